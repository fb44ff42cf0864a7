# SPDX-License-Identifier: GPL-2.0-or-later
"""The list ``devices`` of a host in a lab's definition: an entry is a device, or a range of them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ccwemu.lab import ranges
from ccwemu.lab.fields import Fields, Value, boolean, choice, integer, listed, pattern, text, texts
from ccwemu.lab.spec import DiskSpec, MountedSpec
from ccwemu.machine import spec as machine
from ccwemu.machine.spec import DasdSpec, DeviceSpec, OtherSpec, PlaceSpec, SubchannelSpec, VirtioSpec, VolumeSpec

busid = pattern(r"0\.[0-3]\.[0-9a-f]{4}", "a bus id such as 0.0.7e52 (small hexadecimal digits)")
directory = pattern(r"/[^\0]*", "an absolute path")
serial = pattern(r"([A-Z0-9]{2})?[A-Z0-9]{12}", "12 or 14 capital letters and digits")
volume = pattern(r"[A-Za-z0-9_.{}+-]+", "the name of a device-mapper volume such as vg0-data")
chpid = integer(0, 0xFF, 16)
mask = integer(0, 0xFF, 16)

_PATHS = ("subchannel", "chpids", "pim", "pam", "pom")
_KEYS = {
    "dasd": (
        *_PATHS, "cylinders", "layout", "image", "online", "read_only", "shared", "rejects", "mounted", "files",
        "rejects_suborders", "cu_model", "dev_model", "serial", "ssid", "unit_address", "sparse",
        "swap", "volumes", "alias_of", "other_systems", "reserved",
    ),
    "virtio": (*_PATHS, "kind", "size", "mac", "image"),
    "other": (*_PATHS, "cu_type", "cu_model", "dev_type", "dev_model", "qdio"),
    "empty": _PATHS,
    "chsc": (),
}  # fmt: skip
_VIRTIO_CHPID = 0
_IN_USE = ("mounted", "swap", "volumes")
"""How a host uses a disk from its start; the disk is online then."""
_PLACE = "{device}"
"""Stands for the device number, in a text that is another one for each device of a range."""


@dataclass(frozen=True)
class Device:
    """A subchannel, and what the lab does for the device behind it."""

    subchannel: SubchannelSpec
    disk: DiskSpec | None = None
    mount: MountedSpec | None = None
    swap: PlaceSpec | None = None
    volumes: tuple[VolumeSpec, ...] = ()


Make = Callable[[str], Device]
"""From a device number to the device, on a subchannel that is still to be given its number."""


def read_devices(host: Fields, name: str) -> list[Device]:
    """The devices of a host, ranges counted out, in the order of their subchannels. Raises LabError."""
    entries = host.take("devices", Value.items, [])
    numbers = _Numbers(entries)
    taken: dict[str, str] = {}
    found: dict[str, Device] = {}
    for entry in entries:
        for device in _entry(entry, name, numbers):
            number, devno = device.subchannel.busid, device.subchannel.devno
            if number in found:
                raise entry.error(f"there is a device on subchannel {number} already", "another subchannel")
            if devno is not None and devno in taken:
                raise entry.error(f"device {devno} is already on subchannel {taken[devno]}", "another device number")
            found[number] = device
            taken[devno or ""] = number
    return [found[number] for number in sorted(found)]


def bus_ids(value: Value) -> list[str]:
    """A bus id, or a range of them."""
    try:
        return ranges.busids(value.text(ranges.BUSIDS_EXPECTED))
    except ValueError:
        raise value.error(f"found {value.describe()}", ranges.BUSIDS_EXPECTED) from None


class _Numbers:
    """Subchannel numbers for devices that name none: the lowest that no device of the host names."""

    def __init__(self, entries: list[Value]) -> None:
        self._taken = {number for entry in entries for number in _named(entry)}
        self._next = 0

    def free(self) -> str:
        while f"0.0.{self._next:04x}" in self._taken:
            self._next += 1
        self._taken.add(f"0.0.{self._next:04x}")
        return f"0.0.{self._next:04x}"

    def of(self, fields: Fields, count: int) -> list[str]:
        """For the devices of an entry."""
        if "subchannel" not in fields:
            return [self.free() for _turn in range(count)]
        return _counted(fields["subchannel"], count)


def _named(entry: Value) -> Iterator[str]:
    """The subchannel numbers that an entry takes. What is wrong in it is told by who reads it."""
    entries = entry.entries()
    if "chsc" in entries:
        yield entries["chsc"].text()
    if "subchannel" in entries:
        kinds = [key for key in entries if key in _KEYS]
        yield from _counted(entries["subchannel"], len(bus_ids(entries[kinds[0]])) if kinds else 1)


def _counted(value: Value, count: int) -> list[str]:
    """The subchannels of so many devices, from the one that is given on."""
    try:
        return ranges.counted(busid(value), count)
    except ValueError:
        found = f"found {value.describe()} for the first of {count} devices"
        raise value.error(found, "a number from which on there are as many up to ffff") from None


def _entry(value: Value, host: str, numbers: _Numbers) -> list[Device]:
    """One entry of ``devices``: its first key says the kind and carries the device number, or a range."""
    entries = value.entries()
    kinds = [key for key in entries if key in _KEYS]
    if len(kinds) != 1:
        found = f"found the keys {', '.join(entries) or 'none'}"
        raise value.error(found, f"exactly one of {', '.join(_KEYS)}, which says what the device is")
    kind = kinds[0]
    fields = Fields(value, (kind, *_KEYS[kind]))
    if kind == "chsc":
        return [Device(SubchannelSpec(fields.take(kind, busid), type=machine.CHSC))]
    devnos = fields.take(kind, bus_ids)
    make = _MAKERS[kind](fields, host, len(devnos))
    devices = []
    for devno, number in zip(devnos, numbers.of(fields, len(devnos)), strict=True):
        device = make(devno)
        devices.append(dataclasses.replace(device, subchannel=dataclasses.replace(device.subchannel, busid=number)))
    return devices


def _paths(fields: Fields, default: tuple[int, ...] = ()) -> Callable[[str, DeviceSpec | None], SubchannelSpec]:
    chpids = fields.take("chpids", listed(chpid), default)
    if not chpids:
        raise fields.value.error("found no channel path", "chpids: [41, 42] or so")
    installed = 0xFF00 >> len(chpids) & 0xFF
    shared: dict[str, Any] = {
        "chpids": chpids,
        "pim": fields.take("pim", mask, installed),
        "pam": fields.take("pam", mask, installed),
        "pom": fields.take("pom", mask, 0xFF),
        "qdio": fields.take("qdio", boolean, False),
    }
    return lambda devno, device: SubchannelSpec("", devno=devno, device=device, **shared)


def _each(fields: Fields, key: str, count: int, otherwise: str) -> Callable[[str], str]:
    """A text that names something of each device's own. ``otherwise``: what all of a range had in common."""
    given = fields.take(key, text)
    if count > 1 and _PLACE not in given:
        found = f"found {given!r}, {otherwise} for {count} devices"
        raise fields[key].error(found, f"a text with {_PLACE}, which stands for the device number")
    return lambda devno: given.replace(_PLACE, devno)


def _image(fields: Fields, count: int) -> Callable[[str], str]:
    """The path of a given image, relative to the definition's directory; "" where none is given."""
    if "image" not in fields:
        return lambda devno: ""
    beside = os.path.dirname(os.path.abspath(fields.value.file))
    shared = fields.take("read_only", boolean, False) if "read_only" in fields else False
    name = _each(fields, "image", 1 if shared else count, "one image")
    return lambda devno: os.path.join(beside, name(devno))


def _dasd(fields: Fields, host: str, count: int) -> Make:
    subchannel, image, defaults = _paths(fields), _image(fields, count), DasdSpec()
    unit = fields.take("unit_address", integer(0, 0xFF, 16), None)
    system = fields.take("ssid", integer(0, 0xFFFF, 16), None)
    alias, base = _alias(fields)
    layout = fields.take("layout", choice("cdl", "ldl", "unformatted"), "cdl")
    shared = DasdSpec(
        cylinders=fields.take("cylinders", integer(1, 65520), 100),
        cu_model=fields.take("cu_model", integer(0, 0xFF, 16), defaults.cu_model),
        dev_model=fields.take("dev_model", integer(0, 0xFF, 16), defaults.dev_model),
        serial=fields.take("serial", serial, "0000000" + "ABC01"),
        read_only=fields.take("read_only", boolean, False),
        shared=fields.take("shared", boolean, False),
        rejects=fields.take("rejects", listed(integer(0, 0xFF, 16)), ()),
        rejects_suborders=fields.take("rejects_suborders", listed(integer(0, 0xFF, 16)), ()),
        alias=alias,
        base_unit_address=base,
        other_systems=fields.take("other_systems", integer(0, 15), 0),
        reserved=fields.take("reserved", boolean, False),
        online=fields.take("online", boolean, any(key in fields for key in _IN_USE)),
    )
    partition = 0 if layout == "unformatted" else 1
    for key in _IN_USE:
        if key in fields and not shared.online:
            raise fields[key].error("the disk is offline", f"online: true, or no {key!r}")
    sparse = fields.take("sparse", boolean, True)
    if "image" in fields and "sparse" in fields:
        raise fields["sparse"].error("the image is yours", "no 'sparse' beside 'image'")
    mount = mounted(fields, partition, count)
    swap = fields.take("swap", boolean, False)
    if swap and "mounted" in fields:
        raise fields["swap"].error("it is mounted, too", "either 'mounted' or 'swap'")
    volumes = _volumes(fields, count)

    def make(devno: str) -> Device:
        given = image(devno)
        dasd = dataclasses.replace(
            shared,
            image=given or f"{host}-{devno}.ckd",
            ssid=int(devno.split(".")[2][:2], 16) if system is None else system,
            unit_address=int(devno[-2:], 16) if unit is None else unit,
        )
        disk = DiskSpec(devno, dasd.image, shared.cylinders, layout, made_by_lab=not given, sparse=sparse)
        return Device(
            subchannel(devno, dasd),
            disk,
            mount(devno),
            PlaceSpec(devno, partition) if swap else None,
            tuple(VolumeSpec(volume, (PlaceSpec(devno, partition),)) for volume in volumes(devno)),
        )

    return make


def _alias(fields: Fields) -> tuple[int, int]:
    """Unit type and base unit address of an alias: of one base device, or of any of its subsystem."""
    if "alias_of" not in fields:
        return 0, 0
    base = fields.take("alias_of", pattern(r"any|0\.[0-3]\.[0-9a-f]{4}", "the device number of its base, or any"))
    if base == "any":
        return machine.HYPER_PAV_ALIAS, 0
    return machine.PAV_ALIAS, int(base[-2:], 16)


def _volumes(fields: Fields, count: int) -> Callable[[str], tuple[str, ...]]:
    """Names of device-mapper volumes over each disk."""
    given = fields.take("volumes", listed(volume), ())
    for name in given if count > 1 else ():
        if _PLACE not in name:
            found = f"found {name!r}, one volume for {count} devices"
            raise fields["volumes"].error(found, f"names with {_PLACE}, which stands for the device number")
    return lambda devno: tuple(name.replace(_PLACE, devno) for name in given)


def mounted(fields: Fields, partition: int, count: int) -> Callable[[str], MountedSpec | None]:
    """The mount of each disk of a range, or of a volume, by its device number or name."""
    if "mounted" not in fields:
        if "files" in fields:
            raise fields["files"].error("files without a mount", "the key 'mounted' beside it")
        return lambda devno: None
    files = tuple(fields.take("files", texts, {}).items())
    fields.take("mounted", directory)
    target = _each(fields, "mounted", count, "one mount point")
    return lambda devno: MountedSpec(PlaceSpec(devno, partition), target(devno), files)


def _virtio(fields: Fields, host: str, count: int) -> Make:
    subchannel, image = _paths(fields, (_VIRTIO_CHPID,)), _image(fields, count)
    shared = VirtioSpec(
        fields.take("kind", choice(*machine.VIRTIO_KINDS)),
        size=fields.take("size", integer(0, 1 << 40), 0),
        mac=fields.take("mac", pattern("([0-9a-f]{2}:){5}[0-9a-f]{2}", "a MAC address"), "52:54:00:12:34:56"),
    )
    return lambda devno: Device(subchannel(devno, dataclasses.replace(shared, image=image(devno))))


def _other(fields: Fields, host: str, count: int) -> Make:
    subchannel = _paths(fields)
    device = OtherSpec(
        fields.take("cu_type", integer(0, 0xFFFF, 16)),
        fields.take("cu_model", integer(0, 0xFF, 16), 0),
        fields.take("dev_type", integer(0, 0xFFFF, 16), 0),
        fields.take("dev_model", integer(0, 0xFF, 16), 0),
    )
    return lambda devno: Device(subchannel(devno, device))


def _empty(fields: Fields, host: str, count: int) -> Make:
    subchannel = _paths(fields)
    return lambda devno: Device(subchannel(devno, None))


_MAKERS: Mapping[str, Callable[[Fields, str, int], Make]] = {
    "dasd": _dasd,
    "virtio": _virtio,
    "other": _other,
    "empty": _empty,
}

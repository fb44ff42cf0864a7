# SPDX-License-Identifier: GPL-2.0-or-later
"""The definition of a lab: YAML → :class:`~ccwemu.lab.spec.LabSpec`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

from ccwemu.guest.release import KNOWN as QEMUS
from ccwemu.guestimage.image import KERNELS
from ccwemu.lab.fields import (
    Fields,
    LabError,
    Value,
    boolean,
    choice,
    integer,
    listed,
    load,
    pattern,
    text,
    texts,
)
from ccwemu.lab.spec import DiskSpec, GuestSpec, HostSpec, LabSpec, MountedSpec
from ccwemu.machine import spec as machine
from ccwemu.machine import versions
from ccwemu.machine.spec import ChpidSpec, DasdSpec, DeviceSpec, MachineSpec, OtherSpec, SubchannelSpec, VirtioSpec

SEED = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "labs", "seed.yml")

name = pattern(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?", "a name of small letters, digits and hyphens")
busid = pattern(r"0\.[0-3]\.[0-9a-f]{4}", "a bus id such as 0.0.7e52 (small hexadecimal digits)")
directory = pattern(r"/[^\0]*", "an absolute path")
serial = pattern(r"([A-Z0-9]{2})?[A-Z0-9]{12}", "12 or 14 capital letters and digits")
chpid = integer(0, 0xFF, 16)
mask = integer(0, 0xFF, 16)
symbol = re.compile(r"CONFIG_[A-Z0-9_]+")

_PATHS = ("subchannel", "chpids", "pim", "pam", "pom")
_DEVICE_KEYS = {
    "dasd": (
        *_PATHS, "cylinders", "layout", "image", "online", "read_only", "rejects", "mounted", "files",
        "cu_model", "dev_model", "serial", "ssid", "unit_address",
    ),
    "virtio": (*_PATHS, "kind", "size", "mac", "image"),
    "other": (*_PATHS, "cu_type", "cu_model", "dev_type", "dev_model", "qdio"),
    "empty": _PATHS,
    "chsc": (),
}  # fmt: skip
_VIRTIO_CHPID = 0
_REAL_KEYS = ("kernel", "ssh_port")
"""What only a guest of kind real has."""


def read_lab(path: str, lab: str | None = None) -> LabSpec:
    """Read a definition; ``seed`` is the one that comes with the emulator. ``lab`` takes the place of the lab's name.

    Raises LabError.
    """
    path = SEED if path == "seed" and not os.path.exists(path) else path
    fields = Fields(load(path), ("lab", "hosts", "guests"))
    hosts = tuple(_host(key, entry) for key, entry in fields.take("hosts", Value.entries).items())
    if not hosts:
        raise fields["hosts"].error("found no host", "at least one")
    by_name = {host.name: host for host in hosts}
    guests = fields.take("guests", Value.entries, {})
    return LabSpec(
        lab or fields.take("lab", name),
        os.path.abspath(path),
        hosts,
        tuple(_guest(key, entry, by_name) for key, entry in guests.items()),
    )


def _guest(key: str, value: Value, hosts: Mapping[str, HostSpec]) -> GuestSpec:
    _check_name(key, value)
    if key in hosts:
        raise value.error("a host has this name", "another name for the guest")
    fields = Fields(value, ("host", "kind", *_REAL_KEYS))
    kind = fields.take("kind", choice("quick", "real"), "quick")
    for word in _REAL_KEYS:
        if kind != "real" and word in fields:
            raise fields[word].error(f"a guest of kind {kind} has none", "kind: real, or no such key")
    host, kernel = fields.take("host", choice(*hosts)), fields.take("kernel", choice(*KERNELS), KERNELS[0])
    if kind == "real" and hosts[host].qemu:
        found = f"host {host} has QEMU {hosts[host].qemu}, which is for quick guests"
        raise value.error(found, "a host without 'qemu': a real guest runs in the machine's own")
    return GuestSpec(key, host, kind, kernel, fields.take("ssh_port", integer(1, 65535), 0))


def _check_name(key: str, value: Value) -> None:
    try:
        name(Value(_scalar(key, value), value.file, value.key))
    except LabError:
        raise value.error(f"found the name {key!r}", "a name of small letters, digits and hyphens") from None


def _scalar(key: str, value: Value):  # type: ignore[no-untyped-def]
    import yaml

    return yaml.ScalarNode("tag:yaml.org,2002:str", key, value.node.start_mark, value.node.end_mark)


# -- hosts ------------------------------------------------------------------------------------------------------------

_HOST_KEYS = ("kernel", "qemu", "config", "modules", "cmdline", "cio_ignore", "chpids", "devices")


def _host(key: str, value: Value) -> HostSpec:
    _check_name(key, value)
    fields = Fields(value, _HOST_KEYS)
    defaults = MachineSpec(key)
    numbers = _Numbers(fields)
    devices = [_device(entry, key, numbers) for entry in fields.take("devices", Value.items, [])]
    qemu = fields.take("qemu", choice(*QEMUS), "")
    mounts = [mount for _, _, mount in devices if mount is not None]
    spec = MachineSpec(
        name=key,
        kernel=fields.take("kernel", _kernel, defaults.kernel),
        config=fields.take("config", _config, {}),
        chpids=fields.take("chpids", _chpids, ()),
        subchannels=tuple(sorted((sch for sch, _, _ in devices), key=lambda sch: sch.busid)),
        cio_ignore=fields.take("cio_ignore", text, ""),
        modules=fields.take("modules", listed(text), defaults.modules),
        cmdline=fields.take("cmdline", text, defaults.cmdline),
    )
    try:
        machine.check(spec)
    except machine.SpecError as error:
        raise value.error(str(error), "a machine that can be") from None
    return HostSpec(key, spec, tuple(disk for _, disk, _ in devices if disk is not None), tuple(mounts), qemu)


def _kernel(value: Value) -> str:
    release = value.text("a kernel release such as 6.1.0-29-s390x")
    try:
        versions.parse_release(release)
    except ValueError as error:
        raise value.error(str(error), "a kernel release such as 6.1.0-29-s390x") from None
    return release


def _config(value: Value) -> Mapping[str, str]:
    for key, entry in value.entries().items():
        if not symbol.fullmatch(key):
            raise entry.error(f"found {key!r}", "a symbol of the kernel's configuration such as CONFIG_VFIO_CCW")
    return texts(value)


def _chpids(value: Value) -> tuple[ChpidSpec, ...]:
    specs = []
    for key, entry in value.entries().items():
        number = chpid(Value(_scalar(key, entry), entry.file, entry.key))
        if entry.is_empty():
            specs.append(ChpidSpec(number))
            continue
        fields = Fields(entry, ("type", "online", "chid", "configurable"))
        specs.append(
            ChpidSpec(
                number,
                type=fields.take("type", integer(0, 0xFF, 16), machine.CHPID_FICON),
                online=fields.take("online", boolean, True),
                chid=fields.take("chid", integer(0, 0xFFFF, 16), None),
                configurable=fields.take("configurable", boolean, False),
            )
        )
    return tuple(specs)


class _Numbers:
    """Subchannel numbers for devices that name none: the lowest that no device of the host names."""

    def __init__(self, host: Fields) -> None:
        self._taken = set(self._named(host))
        self._next = 0

    @staticmethod
    def _named(host: Fields) -> Iterator[str]:
        for device in host.take("devices", Value.items, []):
            for key, entry in device.entries().items():
                if key in ("subchannel", "chsc"):
                    yield entry.text()

    def free(self) -> str:
        while f"0.0.{self._next:04x}" in self._taken:
            self._next += 1
        self._taken.add(f"0.0.{self._next:04x}")
        return f"0.0.{self._next:04x}"


_Parsed = tuple[SubchannelSpec, "DiskSpec | None", "MountedSpec | None"]


def _device(value: Value, host: str, numbers: _Numbers) -> _Parsed:
    """One entry of ``devices``: its first key says the kind and carries the device number."""
    entries = value.entries()
    kinds = [key for key in entries if key in _DEVICE_KEYS]
    if len(kinds) != 1:
        found = f"found the keys {', '.join(entries) or 'none'}"
        raise value.error(found, f"exactly one of {', '.join(_DEVICE_KEYS)}, which says what the device is")
    kind = kinds[0]
    fields = Fields(value, (kind, *_DEVICE_KEYS[kind]))
    number = fields.take(kind, busid)
    if kind == "chsc":
        return SubchannelSpec(number, type=machine.CHSC), None, None
    sch = fields.take("subchannel", busid) if "subchannel" in fields else numbers.free()
    device: DeviceSpec | None = None
    disk = mounted = None
    if kind == "dasd":
        device, disk, mounted = _dasd(fields, host, number)
    elif kind == "virtio":
        device = _virtio(fields, value.file)
    elif kind == "other":
        device = OtherSpec(
            fields.take("cu_type", integer(0, 0xFFFF, 16)),
            fields.take("cu_model", integer(0, 0xFF, 16), 0),
            fields.take("dev_type", integer(0, 0xFFFF, 16), 0),
            fields.take("dev_model", integer(0, 0xFF, 16), 0),
        )
    return _subchannel(fields, sch, number, device), disk, mounted


def _subchannel(fields: Fields, sch: str, number: str, device: DeviceSpec | None) -> SubchannelSpec:
    default = (_VIRTIO_CHPID,) if isinstance(device, VirtioSpec) else ()
    chpids = fields.take("chpids", listed(chpid), default)
    if not chpids:
        raise fields.value.error("found no channel path", "chpids: [41, 42] or so")
    installed = 0xFF00 >> len(chpids) & 0xFF
    return SubchannelSpec(
        sch,
        devno=number,
        chpids=chpids,
        pim=fields.take("pim", mask, installed),
        pam=fields.take("pam", mask, installed),
        pom=fields.take("pom", mask, 0xFF),
        device=device,
        qdio=fields.take("qdio", boolean, False),
    )


def _dasd(fields: Fields, host: str, number: str) -> tuple[DasdSpec, DiskSpec, MountedSpec | None]:
    defaults = DasdSpec()
    given = fields.take("image", text, "")
    image = os.path.join(os.path.dirname(os.path.abspath(fields.value.file)), given) if given else ""
    cylinders = fields.take("cylinders", integer(1, 65520), 100)
    online = fields.take("online", boolean, "mounted" in fields)
    dasd = DasdSpec(
        image=image or f"{host}-{number}.ckd",
        cylinders=cylinders,
        cu_model=fields.take("cu_model", integer(0, 0xFF, 16), defaults.cu_model),
        dev_model=fields.take("dev_model", integer(0, 0xFF, 16), defaults.dev_model),
        serial=fields.take("serial", serial, "0000000" + "ABC01"),
        ssid=fields.take("ssid", integer(0, 0xFFFF, 16), int(number.split(".")[2][:2], 16)),
        unit_address=fields.take("unit_address", integer(0, 0xFF, 16), int(number[-2:], 16)),
        read_only=fields.take("read_only", boolean, False),
        rejects=fields.take("rejects", listed(integer(0, 0xFF, 16)), ()),
        online=online,
    )
    layout = fields.take("layout", choice("cdl", "ldl", "unformatted"), "cdl")
    disk = DiskSpec(number, dasd.image, cylinders, layout, made_by_lab=not given)
    if "mounted" not in fields:
        if "files" in fields:
            raise fields["files"].error("files without a mount", "the key 'mounted' beside it")
        return dasd, disk, None
    if not online:
        raise fields["mounted"].error("the disk is offline", "online: true, or no 'mounted'")
    files = tuple(fields.take("files", texts, {}).items())
    target = fields.take("mounted", directory)
    return dasd, disk, MountedSpec(number, 1 if layout == "cdl" else 0, target, files)


def _virtio(fields: Fields, file: str) -> VirtioSpec:
    given = fields.take("image", text, "")
    return VirtioSpec(
        fields.take("kind", choice(*machine.VIRTIO_KINDS)),
        size=fields.take("size", integer(0, 1 << 40), 0),
        image=os.path.join(os.path.dirname(os.path.abspath(file)), given) if given else "",
        mac=fields.take("mac", pattern("([0-9a-f]{2}:){5}[0-9a-f]{2}", "a MAC address"), "52:54:00:12:34:56"),
    )

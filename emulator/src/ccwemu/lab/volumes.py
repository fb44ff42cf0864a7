# SPDX-License-Identifier: GPL-2.0-or-later
"""What is built on the disks of a host, as a lab says it: volumes, arrays, file systems of several disks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ccwemu.lab.devices import Device, mounted
from ccwemu.lab.fields import Fields, Value, boolean, choice, listed, pattern, text
from ccwemu.lab.spec import DiskSpec, MountedSpec
from ccwemu.machine.spec import VOLUME_KINDS, DasdSpec, PlaceSpec, VolumeSpec

_NAMES = {
    "raid": pattern(r"md\d{1,3}", "a name such as md0"),
    "btrfs": pattern(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "the UUID of the file system"),
}
_MAPPED = pattern(r"[A-Za-z0-9_.+-]{1,60}", "a name such as vg0-data")


@dataclass(frozen=True)
class Uses:
    """Volumes that a host has from its start, and what they are used for."""

    volumes: tuple[VolumeSpec, ...]
    mounts: tuple[MountedSpec, ...]
    swaps: tuple[PlaceSpec, ...]


def read_volumes(values: list[Value], devices: Iterable[Device]) -> Uses:
    """The key ``volumes`` of a host. Raises LabError."""
    places = {
        device.disk.device: _place(device.disk) for device in devices if device.disk is not None and _online(device)
    }
    volumes, mounts, swaps = [], [], []
    for value in values:
        fields = Fields(value, ("name", "kind", "on", "mounted", "files", "swap"))
        kind = fields.take("kind", choice(*VOLUME_KINDS), "lvm")
        name = fields.take("name", _NAMES.get(kind, _MAPPED))
        members = fields.take("on", listed(lambda entry: _member(entry, places)))
        if not members:
            raise fields["on"].error("found no member", "disks that are online, or volumes that stand before it")
        if name in places:
            raise fields["name"].error(f"{name} is there already", "a name of its own")
        volumes.append(VolumeSpec(name, members, kind))
        places[name] = PlaceSpec(name, 0)
        swap, mount = fields.take("swap", boolean, False), mounted(fields, 0, 1)(name)
        if swap and mount is not None:
            raise fields["swap"].error("it is mounted, too", "either 'mounted' or 'swap'")
        mounts += [mount] if mount is not None else []
        swaps += [places[name]] if swap else []
    return Uses(tuple(volumes), tuple(mounts), tuple(swaps))


def _online(device: Device) -> bool:
    dasd = device.subchannel.device
    return isinstance(dasd, DasdSpec) and dasd.online


def _place(disk: DiskSpec) -> PlaceSpec:
    return PlaceSpec(disk.device, 0 if disk.layout == "unformatted" else 1)


def _member(value: Value, places: Mapping[str, PlaceSpec]) -> PlaceSpec:
    name = text(value)
    if name not in places:
        raise value.error(f"found {name!r}", "a disk that is online, or a volume that stands before it")
    return places[name]

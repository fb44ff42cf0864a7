# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The css, ccw and mdev buses as values. Nothing here changes anything.

Each directory is listed once for all devices: who is bound to a driver stands in the driver's directory. What is read
for a single device is what a decision about it needs, so that the time is linear in the number of devices asked about.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass, field

from .._busid import BusId
from .._host import Host
from .._sysfs import (
    CCW_DEVICES,
    CHANNEL_SUBSYSTEM,
    CSS_DEVICES,
    CSS_DRIVERS,
    MDEV_DEVICES,
    MDEV_DRIVERS,
    NO_OVERRIDE,
    bus_id_or_none,
    parse_uevent,
)
from ._blocks import Blocks
from ._kept import Kept
from ._model import DASD_DRIVERS, MDEV_TYPE, VFIO_CCW, BlockDevice, CcwDevice, Mdev, Subchannel
from ._users import Uses, users_of


@dataclass(frozen=True)
class Listing:
    """What the directories of the buses hold. ``css_driver``, ``mdev_driver``: the driver of each that has one."""

    subchannels: frozenset[str]
    devices: frozenset[str]
    mdevs: frozenset[str]
    css_driver: dict[str, str] = field(default_factory=dict)
    mdev_driver: dict[str, str] = field(default_factory=dict)


def list_buses(host: Host) -> Listing:
    return Listing(
        subchannels=frozenset(host.names(CSS_DEVICES)),
        devices=frozenset(host.names(CCW_DEVICES)),
        mdevs=frozenset(host.names(MDEV_DEVICES)),
        css_driver=_bound(host, CSS_DRIVERS),
        mdev_driver=_bound(host, MDEV_DRIVERS),
    )


def _bound(host: Host, drivers: str) -> dict[str, str]:
    return {name: driver for driver in host.names(drivers) for name in host.names(f"{drivers}/{driver}")}


@dataclass(frozen=True)
class View:
    """What one observation reads devices through. Without ``blocks`` and ``uses`` disks and users are left out."""

    host: Host
    buses: Listing
    kept: Kept
    blocks: Blocks | None = None
    uses: Uses | None = None

    @property
    def whole(self) -> bool:
        """Whether all is looked at, or only whether devices are where they should be."""
        return self.uses is not None


def parent_of(host: Host, link: str) -> BusId | None:
    """The subchannel below which a device lies: the last directory but one of where its link on a bus points."""
    parts = host.link(link).rsplit("/", 2)
    return bus_id_or_none(parts[1]) if len(parts) == 3 else None


def parents(view: View, devices: Iterable[BusId]) -> dict[BusId, BusId]:
    """CCW device to its subchannel, of those that the host has."""
    there = [device for device in devices if str(device) in view.buses.devices]
    found = {device: parent_of(view.host, f"{CCW_DEVICES}/{device}") for device in there}
    return {device: parent for device, parent in found.items() if parent is not None}


def observe_subchannel(
    view: View, busid: BusId, device: BusId | None = None, in_use: bool = True, uuid: str = ""
) -> Subchannel:
    """A subchannel; ``device`` is the CCW device below it, or known to be behind it.

    ``in_use``: ask whether its mediated device is. ``uuid``: the one that it most likely has.
    """
    host, path = view.host, f"{CHANNEL_SUBSYSTEM}/{busid}"
    driver = view.buses.css_driver.get(str(busid), "")
    override = host.get(f"{path}/driver_override") if view.whole else NO_OVERRIDE
    there = device is not None and str(device) in view.buses.devices
    ccw = observe_ccw(host, device, view.blocks, view.uses, f"{path}/{device}") if device and there else None
    carried = observe_mdevs(view, busid, in_use, uuid) if driver == VFIO_CCW else ()
    instances = f"{path}/mdev_supported_types/{MDEV_TYPE}/available_instances"
    return Subchannel(
        busid=busid,
        type=0 if device is not None else int(host.get(f"{path}/type") or "0", 16),
        driver=driver,
        has_override=override != "",
        driver_override="" if override == NO_OVERRIDE else override,
        devno=device or bus_id_or_none(host.get(f"{path}/dev_busid")),
        device=ccw,
        mdevs=carried,
        kept_driver=view.kept.driver(busid),
        kept_mdevs=view.kept.automatic(busid),
        manual_mdevs=view.kept.manual(busid),
        removing=driver == VFIO_CCW and not carried and host.get(instances) == "0",
    )


def observe_ccw(host: Host, busid: BusId, blocks: Blocks | None, uses: Uses | None, directory: str = "") -> CcwDevice:
    """A CCW device that exists; with its disks and its users when those of the host are given.

    ``directory``: its own where that is known, so that the bus's link need not be followed at each look.
    """
    path = directory or f"{CCW_DEVICES}/{busid}"
    facts = parse_uevent(host.get(f"{path}/uevent"))
    driver, online = facts.get("DRIVER", ""), host.get(f"{path}/online") == "1"
    # a DASD that is offline has no disk, and nobody can use it; one that is online without a disk may be an alias
    names = (["block"] if online else []) if driver in DASD_DRIVERS else host.names(path)
    block = observe_block(host, blocks, path, names) if blocks is not None else ()
    alias = blocks is not None and "block" in names and not block and host.get(f"{path}/alias") == "1"
    disk = uses is not None and driver in DASD_DRIVERS and online and not alias
    hosts = host.get(f"{path}/host_access_count") if disk else ""
    return CcwDevice(
        busid=busid,
        driver=driver,
        online=online,
        cutype=_type(facts, "CU"),
        devtype=_type(facts, "DEV"),
        availability=host.get(f"{path}/availability", "good"),
        alias=alias,
        uid=host.get(f"{path}/uid") if alias else "",
        hosts=int(hosts) if hosts.isdigit() else None,
        reservation=host.get(f"{path}/last_known_reservation_state", "none") if disk else "none",
        block=block,
        users=users_of(host, uses, block, path, names) if uses is not None else (),
    )


def _type(facts: dict[str, str], of: str) -> str:
    """Type and model as the attributes cutype and devtype say them (drivers/s390/cio/device.c)."""
    kind, model = facts.get(f"{of}_TYPE", ""), facts.get(f"{of}_MODEL", "")
    return f"{kind}/{model}".lower() if kind.strip("0") else "n/a"


def observe_block(host: Host, blocks: Blocks, device_path: str, names: Iterable[str]) -> tuple[BlockDevice, ...]:
    """The disks of a CCW device with their partitions (a virtio disk has one below its virtio device).

    ``names``: what the device's directory holds.
    """
    directories = [f"{device_path}/block"] if "block" in names else []
    directories += [f"{device_path}/{name}/block" for name in names if name.startswith("virtio")]
    return tuple(blocks.disk(name) for directory in directories for name in host.names(directory))


def observe_mdevs(view: View, subchannel: BusId, in_use: bool, likely: str = "") -> tuple[Mdev, ...]:
    """The mediated devices of a subchannel that vfio_ccw has: at most one (drivers/s390/cio/vfio_ccw_ops.c)."""
    if likely in view.buses.mdevs and parent_of(view.host, f"{MDEV_DEVICES}/{likely}") == subchannel:
        return (observe_mdev(view, likely, subchannel, in_use),)
    names = view.host.names(f"{CHANNEL_SUBSYSTEM}/{subchannel}/mdev_supported_types/{MDEV_TYPE}/devices")
    return tuple(observe_mdev(view, uuid, subchannel, in_use) for uuid in names)


def observe_mdev(view: View, uuid: str, subchannel: BusId, in_use: bool) -> Mdev:
    group = view.host.link_name(f"{MDEV_DEVICES}/{uuid}/iommu_group")
    used = in_use and group_in_use(view.host, group)
    return Mdev(uuid, subchannel, view.buses.mdev_driver.get(uuid, ""), group, used)


def group_in_use(host: Host, group: str) -> bool:
    """Whether somebody has the IOMMU group open: a second open is refused (drivers/vfio/vfio_main.c)."""
    return bool(group) and host.try_open(f"/dev/vfio/{group}") == errno.EBUSY

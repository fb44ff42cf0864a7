# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a host's channel subsystem into values. Nothing here changes anything."""

from __future__ import annotations

import errno
import json
from typing import Iterable

from ._busid import BadName, BusId
from ._host import Host
from ._ignore import IGNORE_FILE, is_ignored, parse_ignored
from ._journal import read_journal
from ._kernel import observe_kernel
from ._model import MDEV_TYPE, VFIO_CCW, BlockDevice, CcwDevice, HostState, JournalEntry, Mdev, Subchannel
from ._users import Uses, observe_uses, users_of

CSS_DEVICES = "/sys/bus/css/devices"
CCW_DEVICES = "/sys/bus/ccw/devices"
MDEV_DEVICES = "/sys/bus/mdev/devices"
VFIO_CCW_DRIVER = "/sys/bus/css/drivers/vfio_ccw"
IO_SUBCHANNEL_DRIVER = "/sys/bus/css/drivers/io_subchannel"
NO_OVERRIDE = "(null)"
SECTOR = 512

DRIVERCTL_DIRECTORY = "/etc/driverctl.d"
MDEVCTL_DIRECTORY = "/etc/mdevctl.d"
UDEV_RULES = "/etc/udev/rules.d"
TOOLS = ("driverctl", "mdevctl")

REIPL_TYPE, DUMP_TYPE = "/sys/firmware/reipl/reipl_type", "/sys/firmware/dump/dump_type"
SPECIAL_FILES = (
    ("/sys/firmware/ipl/device", "", "", "the host was started (IPL) from it"),
    ("/sys/firmware/reipl/ccw/device", REIPL_TYPE, "ccw", "the host is to be started (re-IPL) from it"),
    ("/sys/firmware/reipl/eckd/device", REIPL_TYPE, "eckd", "the host is to be started (re-IPL) from it"),
    ("/sys/firmware/dump/ccw/device", DUMP_TYPE, "ccw", "it is the host's dump device"),
    ("/sys/firmware/dump/eckd/device", DUMP_TYPE, "eckd", "it is the host's dump device"),
)
"""A device, the file that names the active type of the setting, the type at which the device counts, and why."""


def bus_id_or_none(text: str) -> BusId | None:
    try:
        return BusId.parse(text)
    except BadName:
        return None


def observe(host: Host, devices: Iterable[BusId]) -> HostState:
    """What is known of these devices. Raises HostError, JournalError."""
    wanted = list(devices)
    mdevs = observe_mdevs(host)
    journal = read_journal(host)
    found = _find(host, wanted)
    found.update(_find_noted(host, [journal[one] for one in wanted if one not in found and one in journal], mdevs))
    uses = observe_uses(host)
    subchannels = {device: observe_subchannel(host, busid, mdevs, uses) for device, busid in found.items()}
    ignored = parse_ignored(host.get(IGNORE_FILE))
    kernel = observe_kernel(host)
    return HostState(
        by_device=subchannels,
        subchannels=_same_number(host, wanted, mdevs, uses),
        mdevs=mdevs,
        ignored=tuple(device for device in wanted if is_ignored(ignored, device)),
        special=_special(host),
        journal=journal,
        left_behind={
            device: observe_subchannel(host, journal[device].subchannel, mdevs, uses)
            for device, busid in found.items()
            if device in journal and journal[device].subchannel != busid
        },
        vfio_ccw_registered=host.exists(VFIO_CCW_DRIVER),
        modules_to_load=tuple(kernel.to_load),
        kernel_lacks=kernel.lack(),
        missing_tools=tuple(name for name in TOOLS if not host.has_command(name)),
        zdev_rules=_zdev_rules(host, wanted),
        has_channels=host.exists(CSS_DEVICES),
        may_write=host.is_root() and host.writable(f"{IO_SUBCHANNEL_DRIVER}/unbind"),
    )


def _same_number(host: Host, wanted: list[BusId], mdevs: dict[str, Mdev], uses: Uses) -> dict[BusId, Subchannel]:
    """Subchannels that carry a wanted number as their own: people mix the two numbers up, and an error can say so."""
    return {
        busid: observe_subchannel(host, busid, mdevs, uses) for busid in wanted if host.exists(f"{CSS_DEVICES}/{busid}")
    }


def _find(host: Host, wanted: list[BusId]) -> dict[BusId, BusId]:
    """Device number to subchannel: the parent of the CCW device, or the subchannel whose SCHIB names the number."""
    found: dict[BusId, BusId] = {}
    for device in wanted:
        parent = bus_id_or_none(host.resolve(f"{CCW_DEVICES}/{device}").split("/")[-2])
        if parent is not None and host.exists(f"{CCW_DEVICES}/{device}"):
            found[device] = parent
    rest = set(wanted) - set(found)
    for name in host.names(CSS_DEVICES) if rest else []:
        number = bus_id_or_none(host.get(f"{CSS_DEVICES}/{name}/dev_busid"))
        busid = bus_id_or_none(name)
        if number in rest and number is not None and busid is not None:
            found[number] = busid
    return found


def _find_noted(host: Host, entries: list[JournalEntry], mdevs: dict[str, Mdev]) -> dict[BusId, BusId]:
    """Devices passed on by a kernel before 5.10, where no attribute dev_busid says whose a subchannel is.

    The journal says it, and is believed for a subchannel on which nothing speaks against it: no CCW device, no mediated
    device of another.
    """
    found: dict[BusId, BusId] = {}
    for entry in entries:
        path = f"{CSS_DEVICES}/{entry.subchannel}"
        if not host.exists(path) or host.exists(f"{path}/dev_busid"):
            continue
        carried = [mdev.uuid for mdev in mdevs.values() if mdev.subchannel == entry.subchannel]
        if host.link_name(f"{path}/driver") in ("", VFIO_CCW) and carried in ([], [entry.uuid]):
            found[entry.device] = entry.subchannel
    return found


def observe_all(host: Host) -> list[Subchannel]:
    """Every subchannel of the host, in order of its number."""
    mdevs, uses = observe_mdevs(host), observe_uses(host)
    busids = [bus_id_or_none(name) for name in host.names(CSS_DEVICES)]
    return [observe_subchannel(host, busid, mdevs, uses) for busid in busids if busid is not None]


def observe_subchannel(host: Host, busid: BusId, mdevs: dict[str, Mdev], uses: Uses | None) -> Subchannel:
    path = f"{CSS_DEVICES}/{busid}"
    masks = (host.get(f"{path}/pimpampom").split() + ["", "", ""])[:3]
    override = host.get(f"{path}/driver_override")
    device = observe_ccw_below(host, path, uses)
    carried = tuple(mdev for mdev in mdevs.values() if mdev.subchannel == busid)
    return Subchannel(
        busid=busid,
        type=int(host.get(f"{path}/type") or "0", 16),
        driver=host.link_name(f"{path}/driver"),
        has_override=host.exists(f"{path}/driver_override"),
        driver_override="" if override == NO_OVERRIDE else override,
        devno=device.busid if device else bus_id_or_none(host.get(f"{path}/dev_busid")),
        chpids=tuple(chpid for chpid in host.get(f"{path}/chpids").split() if chpid != "00"),
        pim=masks[0],
        pam=masks[1],
        pom=masks[2],
        device=device,
        mdevs=carried,
        kept_driver=host.get(f"{DRIVERCTL_DIRECTORY}/css-{busid}"),
        kept_mdevs=kept_mdevs(host, busid),
        manual_mdevs=manual_mdevs(host, busid),
        removing=not carried and host.get(f"{path}/mdev_supported_types/{MDEV_TYPE}/available_instances") == "0",
    )


def observe_ccw_below(host: Host, subchannel_path: str, uses: Uses | None) -> CcwDevice | None:
    for name in host.names(subchannel_path):
        busid = bus_id_or_none(name)
        if busid is not None and host.exists(f"{subchannel_path}/{name}/online"):
            return observe_ccw(host, busid, uses)
    return None


def observe_ccw(host: Host, busid: BusId, uses: Uses | None) -> CcwDevice:
    """A CCW device that exists. Its users are looked up when the uses of the host are given."""
    path = f"{CCW_DEVICES}/{busid}"
    block = observe_block(host, path)
    return CcwDevice(
        busid=busid,
        driver=host.link_name(f"{path}/driver"),
        online=host.get(f"{path}/online") == "1",
        cutype=host.get(f"{path}/cutype"),
        devtype=host.get(f"{path}/devtype"),
        availability=host.get(f"{path}/availability", "good"),
        alias=host.get(f"{path}/alias") == "1",
        block=block,
        users=users_of(host, uses, block, path) if uses is not None else (),
    )


def observe_block(host: Host, device_path: str) -> tuple[BlockDevice, ...]:
    """The disks of a CCW device with their partitions (a virtio disk has one below its virtio device)."""
    directories = [f"{device_path}/block"]
    directories += [f"{device_path}/{name}/block" for name in host.names(device_path) if name.startswith("virtio")]
    return tuple(
        _block(host, f"{directory}/{name}", name) for directory in directories for name in host.names(directory)
    )


def _block(host: Host, path: str, name: str) -> BlockDevice:
    partitions = tuple(
        BlockDevice(part, host.get(f"{path}/{part}/dev"), int(host.get(f"{path}/{part}/size") or "0") * SECTOR)
        for part in host.names(path)
        if part.startswith(name) and host.exists(f"{path}/{part}/partition")
    )
    return BlockDevice(name, host.get(f"{path}/dev"), int(host.get(f"{path}/size") or "0") * SECTOR, partitions)


def observe_mdevs(host: Host) -> dict[str, Mdev]:
    """Every mediated device on a subchannel. Others (a crypto matrix) sit on no bus id and are left out."""
    mdevs = {}
    for uuid in host.names(MDEV_DEVICES):
        path = f"{MDEV_DEVICES}/{uuid}"
        parent = bus_id_or_none(host.resolve(path).split("/")[-2])
        if parent is None:
            continue
        group = host.link_name(f"{path}/iommu_group")
        mdevs[uuid] = Mdev(uuid, parent, host.link_name(f"{path}/driver"), group, group_in_use(host, group))
    return mdevs


def group_in_use(host: Host, group: str) -> bool:
    """Whether somebody has the IOMMU group open: a second open is refused (drivers/vfio/vfio_main.c)."""
    return bool(group) and host.try_open(f"/dev/vfio/{group}") == errno.EBUSY


def kept_mdevs(host: Host, subchannel: BusId) -> tuple[str, ...]:
    """UUIDs that mdevctl starts whenever the subchannel is bound to vfio_ccw."""
    directory = f"{MDEVCTL_DIRECTORY}/{subchannel}"
    return tuple(uuid for uuid in host.names(directory) if _starts_by_itself(host.get(f"{directory}/{uuid}")))


def manual_mdevs(host: Host, subchannel: BusId) -> tuple[str, ...]:
    """UUIDs that mdevctl knows on the subchannel and does not start by itself."""
    kept = kept_mdevs(host, subchannel)
    return tuple(name for name in host.names(f"{MDEVCTL_DIRECTORY}/{subchannel}") if name not in kept)


def _starts_by_itself(definition: str) -> bool:
    try:
        return bool(json.loads(definition).get("start") == "auto")
    except (ValueError, AttributeError):
        return False


def _zdev_rules(host: Host, wanted: list[BusId]) -> dict[BusId, str]:
    names = [name for name in host.names(UDEV_RULES) if name.startswith("41-")]
    return {device: f"{UDEV_RULES}/{name}" for device in wanted for name in names if name.endswith(f"-{device}.rules")}


def _special(host: Host) -> dict[BusId, str]:
    special: dict[BusId, str] = {}
    for path, setting, kind, why in SPECIAL_FILES:
        # a setting keeps its device while another type is active; without the file that says so it counts
        if host.get(setting, kind) not in ("", kind):
            continue
        busid = bus_id_or_none(host.get(path))
        if busid is not None:
            special.setdefault(busid, why)
    return special

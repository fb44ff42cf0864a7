# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what is known of the devices that somebody asks about into one value. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from .._busid import BusId
from .._host import Host
from .._sysfs import (
    CCW_DEVICES,
    CCW_DRIVERS,
    CHANNEL_SUBSYSTEM,
    CSS_DEVICES,
    IO_SUBCHANNEL_DRIVER,
    MDEV_DEVICES,
    TOOLS,
    VFIO_CCW_DRIVER,
    bus_id_or_none,
)
from ._at_boot import Parameter, at_boot, find_parameters, find_rules, fixed_names
from ._blocks import Blocks
from ._buses import View, list_buses, observe_mdev, observe_subchannel, parent_of, parents
from ._claims import find_claims
from ._ignore import IGNORE_FILE, ignored_of, parse_ignored
from ._journal import read_journal
from ._kept import Kept
from ._kernel import observe_kernel
from ._mdev_rule import find_stale_rule
from ._model import (
    DASD_DRIVERS,
    IO_SUBCHANNEL,
    VFIO_CCW,
    AtBoot,
    CcwDevice,
    HostState,
    JournalEntry,
    Mdev,
    Request,
    Special,
    Subchannel,
)
from ._users import observe_uses

MACHINE_ID = "/etc/machine-id"
REIPL_TYPE, DUMP_TYPE = "/sys/firmware/reipl/reipl_type", "/sys/firmware/dump/dump_type"
START = "the host is to be started (re-IPL) from it"
SPECIAL_FILES = (
    ("/sys/firmware/ipl/device", "", "", Special("boot", "the host was started (IPL) from it")),
    ("/sys/firmware/reipl/ccw/device", REIPL_TYPE, "ccw", Special("boot", START)),
    ("/sys/firmware/reipl/eckd/device", REIPL_TYPE, "eckd", Special("boot", START)),
    ("/sys/firmware/dump/ccw/device", DUMP_TYPE, "ccw", Special("dump", "it is the host's dump device")),
    ("/sys/firmware/dump/eckd/device", DUMP_TYPE, "eckd", Special("dump", "it is the host's dump device")),
)
"""A device, the file that names the active type of the setting, the type at which the device counts, and why."""


def host_id(host: Host) -> str:
    """What tells this host from others, and stays the same."""
    return host.get(MACHINE_ID) or host.get("/proc/sys/kernel/hostname")


def known_devices(host: Host, journal: Iterable[BusId] = ()) -> list[BusId]:
    """Every device number that the host has, passed on or not, in order."""
    view = View(host, list_buses(host), Kept(host))
    names = [bus_id_or_none(name) for name in view.buses.devices]
    hidden = [
        bus_id_or_none(name) for name in view.buses.subchannels if view.buses.css_driver.get(name) != IO_SUBCHANNEL
    ]
    names += [_names(host, busid) for busid in hidden if busid is not None]
    return sorted({device for device in names if device is not None} | set(journal))


def device_behind(host: Host, subchannel: BusId, journal: Mapping[BusId, JournalEntry]) -> BusId | None:
    """The device of a subchannel, by what the kernel says, else (before 5.10) by its CCW device or the journal."""
    below = [bus_id_or_none(name) for name in host.names(f"{CSS_DEVICES}/{subchannel}")]
    noted = [entry.device for entry in journal.values() if entry.subchannel == subchannel]
    found = [_names(host, subchannel), *below, *(noted if host.exists(f"{CSS_DEVICES}/{subchannel}") else [])]
    return next((device for device in found if device is not None), None)


def observe(host: Host, requests: Sequence[Request], journal: dict[BusId, JournalEntry]) -> HostState:
    """What is known of these devices. Raises HostError."""
    view = View(host, list_buses(host), Kept(host), Blocks(host), observe_uses(host))
    return complete(view, requests, _devices(view, requests, journal))


def complete(view: View, requests: Sequence[Request], state: HostState) -> HostState:
    """Beside what is known of the devices themselves, what is of the host. Raises HostError."""
    host, wanted, kernel = view.host, [request.device for request in requests], observe_kernel(view.host)
    devices = [sub.device for sub in state.by_device.values() if sub.device is not None]
    leaving = {request.device for request in requests if request.present}
    boot = _at_boot(host, requests, state)
    claims = find_claims(host, [device for device in devices if device.busid in leaving])
    return replace(
        state,
        subchannels=_same_number(view, [device for device in wanted if device not in state.by_device]),
        ignored=ignored_of(parse_ignored(host.get(IGNORE_FILE)), wanted),
        special=_special(host),
        left_behind={
            device: observe_subchannel(view, state.journal[device].subchannel)
            for device, sub in state.by_device.items()
            if device in state.journal and state.journal[device].subchannel != sub.busid
        },
        vfio_ccw_registered=host.exists(VFIO_CCW_DRIVER),
        modules_to_load=tuple(kernel.to_load),
        kernel_lacks=kernel.lack(),
        missing_tools=tuple(name for name in TOOLS if not host.has_command(name)),
        stale_rule=find_stale_rule(host),
        at_boot=boot,
        boot_files=_boot_files(host, requests, state, boot),
        claims=claims.claims,
        unread=claims.unread,
        aliases=find_aliases(host, devices),
        by_subchannel=_by_subchannel(state.journal.values()),
        has_channels=host.exists(CSS_DEVICES),
        may_write=host.is_root() and host.writable(f"{IO_SUBCHANNEL_DRIVER}/unbind"),
    )


def look_again(host: Host, requests: Sequence[Request]) -> HostState:
    """Of the same devices only whether they are as wanted. Raises HostError, JournalError."""
    return _devices(View(host, list_buses(host), Kept(host)), requests, read_journal(host))


def _devices(view: View, requests: Sequence[Request], journal: dict[BusId, JournalEntry]) -> HostState:
    found = find(view, [request.device for request in requests], journal)
    by_device = {
        # whether a guest holds a device matters where it is to be taken from it
        request.device: observe_subchannel(
            view, found[request.device], request.device, not request.present, request.uuid
        )
        for request in requests
        if request.device in found
    }
    mdevs = {mdev.uuid: mdev for sub in by_device.values() for mdev in sub.mdevs}
    for request in requests:
        if request.present and request.uuid not in mdevs:
            mdevs.update(_elsewhere(view, request.uuid))
    return HostState(by_device=by_device, mdevs=mdevs, journal=journal)


def _elsewhere(view: View, uuid: str) -> dict[str, Mdev]:
    """A mediated device of this UUID on any subchannel. Others (a crypto matrix) sit on no bus id and are left out."""
    parent = parent_of(view.host, f"{MDEV_DEVICES}/{uuid}") if uuid in view.buses.mdevs else None
    return {} if parent is None else {uuid: observe_mdev(view, uuid, parent, in_use=False)}


def find(view: View, wanted: Sequence[BusId], journal: dict[BusId, JournalEntry]) -> dict[BusId, BusId]:
    """Device number to subchannel: the parent of the CCW device, or the subchannel whose SCHIB names the number.

    The journal says where to look first for a device that was passed; what it says is checked.
    """
    found = parents(view, wanted)
    for device in wanted:
        noted = journal.get(device)
        if device not in found and noted is not None and _names(view.host, noted.subchannel) == device:
            found[device] = noted.subchannel
    missing = set(wanted) - set(found)
    if missing:
        found.update(_search(view, missing))
    entries = [journal[device] for device in wanted if device not in found and device in journal]
    found.update(_find_noted(view, entries))
    return found


def _names(host: Host, subchannel: BusId) -> BusId | None:
    """The device number that a subchannel's SCHIB names (kernel 5.10 and newer)."""
    return bus_id_or_none(host.get(f"{CHANNEL_SUBSYSTEM}/{subchannel}/dev_busid"))


def _search(view: View, missing: set[BusId]) -> dict[BusId, BusId]:
    """Look at the subchannels, at those first that io_subchannel does not have: their devices show nowhere else."""
    found: dict[BusId, BusId] = {}
    order = sorted(view.buses.subchannels, key=lambda name: (view.buses.css_driver.get(name) != VFIO_CCW, name))
    for busid in (bus_id_or_none(name) for name in order):
        if len(found) == len(missing):
            break
        device = _names(view.host, busid) if busid is not None else None
        if device in missing and device is not None and busid is not None:
            found[device] = busid
    return found


def _find_noted(view: View, entries: Iterable[JournalEntry]) -> dict[BusId, BusId]:
    """Devices passed on by a kernel before 5.10, where no attribute dev_busid says whose a subchannel is.

    The journal says it, and is believed for a subchannel on which nothing speaks against it: no CCW device, no mediated
    device of another.
    """
    found: dict[BusId, BusId] = {}
    for entry in entries:
        path = f"{CSS_DEVICES}/{entry.subchannel}"
        if str(entry.subchannel) not in view.buses.subchannels or view.host.exists(f"{path}/dev_busid"):
            continue
        carried = [name for name in view.host.names(path) if name in view.buses.mdevs]
        if view.buses.css_driver.get(str(entry.subchannel), "") in ("", VFIO_CCW) and carried in ([], [entry.uuid]):
            found[entry.device] = entry.subchannel
    return found


def _same_number(view: View, missing: Iterable[BusId]) -> dict[BusId, Subchannel]:
    """Subchannels that carry a wanted number as their own: people mix the two numbers up, and an error can say so."""
    return {busid: observe_subchannel(view, busid) for busid in missing if str(busid) in view.buses.subchannels}


def find_aliases(host: Host, devices: Sequence[CcwDevice]) -> dict[BusId, tuple[BusId, ...]]:
    """PAV aliases that are online, by the base device that each belongs to: the one of the same uid.

    drivers/s390/block/dasd_eckd.c prints a HyperPAV alias, which belongs to none, with xx for the unit address.
    """
    known = {device.busid: device.alias for device in devices}
    bases = [device.busid for device in devices if device.online and not device.alias]
    names = [name for driver in DASD_DRIVERS for name in host.names(f"{CCW_DRIVERS}/{driver}")] if bases else []
    by_uid: dict[str, list[BusId]] = {}
    for busid in (bus_id_or_none(name) for name in names):
        if busid is None or not _is_alias(host, busid, known):
            continue
        by_uid.setdefault(host.get(f"{CCW_DEVICES}/{busid}/uid"), []).append(busid)
    own = {base: by_uid.get(host.get(f"{CCW_DEVICES}/{base}/uid") or "none", []) for base in bases if by_uid}
    return {base: tuple(aliases) for base, aliases in own.items() if aliases}


def _is_alias(host: Host, busid: BusId, known: dict[BusId, bool]) -> bool:
    return known[busid] if busid in known else host.get(f"{CCW_DEVICES}/{busid}/alias") == "1"


def _by_subchannel(entries: Iterable[JournalEntry]) -> dict[BusId, tuple[BusId, ...]]:
    found: dict[BusId, tuple[BusId, ...]] = {}
    for entry in entries:
        found[entry.subchannel] = found.get(entry.subchannel, ()) + (entry.device,)
    return found


def _at_boot(host: Host, requests: Sequence[Request], state: HostState) -> dict[BusId, tuple[AtBoot, ...]]:
    """For the devices that are to last, with the text of the rules that are to go."""
    lasting = [one for one in requests if one.present and (one.persistent or one.remove_rules or one.remove_parameters)]
    if not lasting:
        return {}
    rules, parameters, fixed = find_rules(host), find_parameters(host), fixed_names(host)
    return {request.device: _with_texts(host, request, rules, (parameters, fixed), state) for request in lasting}


def _with_texts(
    host: Host,
    request: Request,
    rules: dict[BusId, list[AtBoot]],
    parameters: tuple[list[Parameter], str],
    state: HostState,
) -> tuple[AtBoot, ...]:
    sub = state.by_device.get(request.device)
    found = at_boot(rules, parameters[0], request.device, sub.device if sub else None, parameters[1])
    if not request.remove_rules:
        return found
    return tuple(replace(one, text=host.read(one.source)) if one.kind == "rule" else one for one in found)


def _boot_files(
    host: Host, requests: Sequence[Request], state: HostState, boot: dict[BusId, tuple[AtBoot, ...]]
) -> dict[str, str]:
    """Of the files that are to be edited; one that went with its kernel is left out."""
    paths: set[str] = set()
    for request in requests:
        entry = state.journal.get(request.device)
        if request.remove_parameters:
            paths |= {one.source for one in boot.get(request.device, ()) if one.kind == "parameter" and not one.kept}
        if not request.present and entry is not None:
            paths |= {path for path, _text in entry.parameters}
    return {path: host.read(path) for path in sorted(paths) if host.exists(path)}


def _special(host: Host) -> dict[BusId, Special]:
    special: dict[BusId, Special] = {}
    for path, setting, kind, why in SPECIAL_FILES:
        # a setting keeps its device while another type is active; without the file that says so it counts
        if host.get(setting, kind) not in ("", kind):
            continue
        busid = bus_id_or_none(host.get(path))
        if busid is not None:
            special.setdefault(busid, why)
    return special

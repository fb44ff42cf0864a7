# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The channel subsystem as a return value."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from .._busid import BusId, GuestDevno, default_uuid
from .._host import Host
from .._sysfs import CHANNEL_SUBSYSTEM, CSS_DEVICES, bus_id_or_none
from ..disk._ccw import as_dict
from ..host._blocks import Blocks
from ..host._buses import View, list_buses, observe_subchannel, parents
from ..host._ignore import IGNORE_FILE, parse_ignored
from ..host._journal import JOURNAL_FILE, passed_and_left, read_notes
from ..host._kept import Kept
from ..host._leftover import definitions_without_device, not_as_noted
from ..host._model import SUBCHANNEL_TYPES, VFIO_CCW, CcwDevice, HostState, JournalEntry, Mdev, Request, Subchannel
from ..host._observe import complete, find, known_devices
from ..host._ranges import expand, is_range
from ..host._users import observe_uses
from ..refusals._case import Case
from ..refusals._rows_boot import ROWS as BOOT_ROWS
from ..refusals._table import check
from ._guests import list_guests

CONFIGURED = {"0": "standby", "1": "configured", "2": "reserved", "3": "not recognized"}
"""drivers/s390/cio/chp.h, CHP_STATUS_*."""
ONLY_ROOT_SEES = (
    "Not all of this is visible to an ordinary user: which guest a device was passed to and whether it is in use is "
    "null where it is not known, and a disk that a process of another user holds open looks free. Run the task as "
    "root (become: true)"
)


def css_info(host: Host, devices: Sequence[str]) -> dict[str, Any]:
    """The module's result. ``devices``: numbers and ranges, none for all. Raises BadName, HostError, JournalError."""
    notes = read_notes(host)
    journal, _left = passed_and_left(notes)
    view = View(host, list_buses(host), Kept(host), Blocks(host), observe_uses(host))
    subchannels = _subchannels(view, devices, journal)
    state = _state(view, subchannels, journal)
    journal_known = not _denied(host, JOURNAL_FILE)
    return {
        "changed": False,
        "warnings_": [] if host.is_root() else [ONLY_ROOT_SEES],
        "subchannels": [_subchannel(host, sub, state) for sub in subchannels],
        "passed_through": [
            _passed(host, sub, state.journal.get(sub.devno), journal_known)
            for sub in subchannels
            if sub.devno and sub.mdevs
        ],
        "guests": [{**asdict(guest), "uuids": list(guest.uuids)} for guest in list_guests(host)],
        "not_as_noted": [] if devices else not_as_noted(notes, state.by_device),
        "definitions_without_device": [] if devices else definitions_without_device(view.kept, subchannels),
        "channel_paths": _channel_paths(host),
        "ignored": [
            str(first) if first == last else f"{first}-{last}" for first, last in parse_ignored(host.get(IGNORE_FILE))
        ],
    }


def _subchannels(view: View, devices: Sequence[str], journal: dict[BusId, JournalEntry]) -> list[Subchannel]:
    """In the order of their numbers."""
    if devices:
        found = find(view, _numbers(view.host, devices, journal), journal)
        return [observe_subchannel(view, found[device], device) for device in sorted(found, key=lambda one: found[one])]
    below = parents(view, [busid for busid in map(bus_id_or_none, view.buses.devices) if busid is not None])
    carries = {parent: device for device, parent in below.items()}
    busids = sorted(busid for busid in map(bus_id_or_none, view.buses.subchannels) if busid is not None)
    return [observe_subchannel(view, busid, carries.get(busid)) for busid in busids]


def _numbers(host: Host, devices: Sequence[str], journal: dict[BusId, JournalEntry]) -> list[BusId]:
    known = known_devices(host, journal) if any(is_range(device) for device in devices) else []
    wanted = []
    for device in devices:
        single = [one["device"] for one in expand({"device": device}, known)] if is_range(device) else [device]
        wanted += [BusId.parse(one) for one in single]
    return list(dict.fromkeys(wanted))


def _state(view: View, subchannels: Sequence[Subchannel], journal: dict[BusId, JournalEntry]) -> HostState:
    by_device = {sub.devno: sub for sub in subchannels if sub.devno is not None}
    mdevs = {mdev.uuid: mdev for sub in subchannels for mdev in sub.mdevs}
    # of what a guest has it is looked at, too, what a restart would make of it
    requests = [
        replace(_question(sub), persistent=sub.driver == VFIO_CCW) for sub in subchannels if sub.devno is not None
    ]
    state = complete(view, requests, HostState(by_device=by_device, mdevs=mdevs, journal=journal))
    return replace(state, may_write=True)  # whoever looks as an ordinary user asks what a root could do


def _question(sub: Subchannel) -> Request:
    """What is asked about a device, to learn why it would be refused."""
    device = sub.devno or sub.busid
    uuid = sub.mdevs[0].uuid if sub.mdevs else default_uuid(device)
    return Request(device, uuid, GuestDevno.like(device))


def _channel_paths(host: Host) -> list[dict[str, str]]:
    names = [name for name in host.names(CHANNEL_SUBSYSTEM) if name.startswith("chp0.")]
    return [
        {
            "chpid": name[len("chp0.") :],
            "status": host.get(f"{CHANNEL_SUBSYSTEM}/{name}/status"),
            "configured": CONFIGURED.get(host.get(f"{CHANNEL_SUBSYSTEM}/{name}/configure"), ""),
            "type": host.get(f"{CHANNEL_SUBSYSTEM}/{name}/type"),
        }
        for name in names
    ]


def _denied(host: Host, path: str) -> bool:
    """Whether this user may not open the file."""
    return host.try_open(path) in (errno.EACCES, errno.EPERM)


def _in_use(host: Host, mdev: Mdev) -> bool | None:
    """None when this user cannot tell: the permission is looked at before whether the group is busy."""
    if not mdev.in_use and mdev.group and _denied(host, f"/dev/vfio/{mdev.group}"):
        return None
    return mdev.in_use


def _subchannel(host: Host, sub: Subchannel, state: HostState) -> dict[str, Any]:
    refusals = _refusals(sub, state)
    path = f"{CSS_DEVICES}/{sub.busid}"
    masks = (host.get(f"{path}/pimpampom").split() + ["", "", ""])[:3] if sub.type == 0 else ["", "", ""]
    chpids = host.get(f"{path}/chpids").split() if sub.type == 0 else []
    installed = int(masks[0] or "0", 16)
    return {
        "subchannel": str(sub.busid),
        "type": SUBCHANNEL_TYPES.get(sub.type, str(sub.type)),
        "driver": sub.driver,
        "driver_override": sub.driver_override,
        "device": str(sub.devno) if sub.devno else "",
        "chpids": [chpid for place, chpid in enumerate(chpids) if installed & (0x80 >> place)],
        "pim": masks[0],
        "pam": masks[1],
        "pom": masks[2],
        "guest": _guest(sub, state),
        "ccw": _ccw(host, sub.device, state) if sub.device else {},
        "mdevs": [{"uuid": mdev.uuid, "in_use": _in_use(host, mdev), "group": mdev.group} for mdev in sub.mdevs],
        "at_boot": {
            "driver": sub.kept_driver,
            "mdevs": list(sub.kept_mdevs),
            "refusals": _at_boot_refusals(sub, state),
        },
        "passable": sub.device is not None and not refusals,
        "refusals": refusals,
    }


def _guest(sub: Subchannel, state: HostState) -> str:
    """The guest that the journal notes for a device that was passed on."""
    entry = state.journal.get(sub.devno) if sub.devno and sub.mdevs else None
    return entry.guest if entry else ""


def _refusals(sub: Subchannel, state: HostState) -> list[dict[str, str]]:
    if sub.devno is None or sub.type != 0:
        return []
    return [{"id": one.id, "found": one.found, "next_step": one.next_step} for one in check(_question(sub), state)]


def _at_boot_refusals(sub: Subchannel, state: HostState) -> list[dict[str, str]]:
    """What would come in the way of a device that was passed on, when the host is started again."""
    if sub.devno is None or sub.driver != VFIO_CCW:
        return []
    case = Case(replace(_question(sub), persistent=True), state)
    rows = [row for row in BOOT_ROWS if row.condition(case)]
    return [{"id": row.id, "found": row.found(case), "next_step": row.next_step(case)} for row in rows]


def _ccw(host: Host, device: CcwDevice, state: HostState) -> dict[str, Any]:
    return {
        "driver": device.driver,
        "online": device.online,
        "control_unit": device.cutype,
        "type": device.devtype,
        "availability": device.availability,
        "alias": device.alias,
        "host_access_count": device.hosts,
        "aliases": [str(alias) for alias in state.aliases.get(device.busid, ())],
        "block_devices": [as_dict(host, block) for block in device.block],
        "users": [use.detail for use in device.users],
        "claims": [use.detail for use in state.claims.get(device.busid, ())],
        "unread": state.unread.get(device.busid, ""),
    }


def _passed(host: Host, sub: Subchannel, entry: JournalEntry | None, journal_known: bool) -> dict[str, Any]:
    mdev = sub.mdevs[0]
    absent = "" if journal_known else None
    devno = GuestDevno.parse(entry.devno) if entry and entry.devno else None
    return {
        "device": str(sub.devno),
        "subchannel": str(sub.busid),
        "uuid": mdev.uuid,
        "guest": entry.guest if entry else absent,
        "devno": str(devno) if devno else absent,
        "guest_device": str(devno.guest_busid) if devno else absent,
        "in_use": _in_use(host, mdev),
    }

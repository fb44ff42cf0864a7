# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The channel subsystem as a return value."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ._busid import BusId, GuestDevno, default_uuid
from ._ccw import as_dict
from ._host import Host
from ._ignore import IGNORE_FILE, parse_ignored
from ._journal import JOURNAL_FILE
from ._model import SUBCHANNEL_TYPES, CcwDevice, HostState, JournalEntry, Mdev, Request, Subchannel
from ._observe import observe, observe_all
from ._refusals import check

ONLY_ROOT_SEES = (
    "Not all of this is visible to an ordinary user: which guest a device was passed to and whether it is in use is "
    "null where it is not known, and a disk that a process of another user holds open looks free. Run the task as "
    "root (become: true)"
)


def css_info(host: Host, devices: Sequence[str]) -> dict[str, Any]:
    """The module's result. Raises BadName, HostError, JournalError."""
    wanted = [BusId.parse(device) for device in devices]
    subchannels = [sub for sub in observe_all(host) if not wanted or sub.devno in wanted]
    found = {sub.devno: sub for sub in subchannels if sub.devno is not None}
    state = replace(observe(host, wanted), by_device=found)
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
        "ignored": [
            str(first) if first == last else f"{first}-{last}" for first, last in parse_ignored(host.get(IGNORE_FILE))
        ],
    }


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
    return {
        "subchannel": str(sub.busid),
        "type": SUBCHANNEL_TYPES.get(sub.type, str(sub.type)),
        "driver": sub.driver,
        "device": str(sub.devno) if sub.devno else "",
        "chpids": list(sub.chpids),
        "pim": sub.pim,
        "pam": sub.pam,
        "pom": sub.pom,
        "ccw": _ccw(sub.device) if sub.device else {},
        "mdevs": [{"uuid": mdev.uuid, "in_use": _in_use(host, mdev), "group": mdev.group} for mdev in sub.mdevs],
        "passable": sub.device is not None and not refusals,
        "refusals": refusals,
    }


def _refusals(sub: Subchannel, state: HostState) -> list[dict[str, str]]:
    if sub.devno is None or sub.type != 0:
        return []
    # whoever looks as an ordinary user asks what a root could do
    request = Request(sub.devno, default_uuid(sub.devno), GuestDevno.like(sub.devno))
    if sub.mdevs:
        request = replace(request, uuid=sub.mdevs[0].uuid)
    return [
        {"id": one.id, "found": one.found, "next_step": one.next_step}
        for one in check(request, replace(state, may_write=True))
    ]


def _ccw(device: CcwDevice) -> dict[str, Any]:
    return {
        "driver": device.driver,
        "online": device.online,
        "control_unit": device.cutype,
        "type": device.devtype,
        "availability": device.availability,
        "block_devices": [as_dict(block) for block in device.block],
        "users": [use.detail for use in device.users],
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

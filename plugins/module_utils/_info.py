# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The channel subsystem as a return value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ._busid import BusId, GuestDevno, default_uuid
from ._ccw import as_dict
from ._host import Host
from ._ignore import IGNORE_FILE, parse_ignored
from ._model import SUBCHANNEL_TYPES, CcwDevice, HostState, JournalEntry, Request, Subchannel
from ._observe import observe, observe_all
from ._refusals import check


def css_info(host: Host, devices: Sequence[str]) -> dict[str, Any]:
    """The module's result. Raises BadName, HostError, JournalError."""
    wanted = [BusId.parse(device) for device in devices]
    subchannels = [sub for sub in observe_all(host) if not wanted or sub.devno in wanted]
    found = {sub.devno: sub for sub in subchannels if sub.devno is not None}
    state = replace(observe(host, wanted), by_device=found)
    return {
        "changed": False,
        "subchannels": [_subchannel(sub, state) for sub in subchannels],
        "passed_through": [
            _passed(sub, state.journal.get(sub.devno)) for sub in subchannels if sub.devno and sub.mdevs
        ],
        "ignored": [
            str(first) if first == last else f"{first}-{last}" for first, last in parse_ignored(host.get(IGNORE_FILE))
        ],
    }


def _subchannel(sub: Subchannel, state: HostState) -> dict[str, Any]:
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
        "mdevs": [{"uuid": mdev.uuid, "in_use": mdev.in_use, "group": mdev.group} for mdev in sub.mdevs],
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


def _passed(sub: Subchannel, entry: JournalEntry | None) -> dict[str, Any]:
    mdev = sub.mdevs[0]
    devno = GuestDevno.parse(entry.devno) if entry and entry.devno else None
    return {
        "device": str(sub.devno),
        "subchannel": str(sub.busid),
        "uuid": mdev.uuid,
        "guest": entry.guest if entry else "",
        "devno": str(devno) if devno else "",
        "guest_device": str(devno.guest_busid) if devno else "",
        "in_use": mdev.in_use,
    }

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a user wrote to requests: every text parsed, the list checked against itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Callable, Sequence

from .._busid import BadName, BusId, GuestDevno, default_uuid, parse_uuid
from ..host._model import WHOLE, Request
from ..host._ranges import expand, is_range
from ..refusals._table import LIST_REFUSALS, Refusal

GUEST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""For fullmatch: the name goes into a shell script and into paths."""


def _refuse(code: str, device: str, found: str) -> Refusal:
    return Refusal(code, device, found, LIST_REFUSALS[code])


@dataclass(frozen=True)
class Defaults:
    """What is taken for what nobody gave. ``uuids``: those that the journal notes for devices."""

    host_id: str = ""
    uuids: Mapping[BusId, str] = field(default_factory=dict)
    correct_rule: bool = False

    def uuid(self, device: BusId) -> str:
        return self.uuids.get(device) or default_uuid(device, self.host_id)


def parse_requests(
    items: Sequence[dict[str, Any]], defaults: Defaults, known: Callable[[], Sequence[BusId]]
) -> tuple[list[Request], list[Refusal]]:
    """The requests that could be parsed, and what is wrong with the others or between them. "" counts as not given.

    ``known`` gives the devices of the host in order; it is asked only when a range is.
    """
    requests: list[Request] = []
    listed: list[str] = []
    refusals: list[Refusal] = []
    for item in items:
        single, wrong = _singles(item, known)
        refusals += wrong
        for one in single:
            request, wrong = _parse(one, defaults)
            refusals += wrong
            if request is not None:
                requests.append(request)
                listed.append(str(one.get("listed") or one["device"]))
    return requests, refusals + _duplicates(requests, listed)


def _singles(item: dict[str, Any], known: Callable[[], Sequence[BusId]]) -> tuple[list[dict[str, Any]], list[Refusal]]:
    name = str(item.get("device") or "")
    if not is_range(name):
        return [item], []
    if item.get("uuid"):
        return [], [_refuse("uuid-for-many", name, f"uuid {item['uuid']} is given to a whole range")]
    try:
        found = expand(item, known())
    except BadName as exc:
        devno = item.get("devno") and str(exc.found).startswith(str(item["devno"]))
        return [], [_refuse("bad-devno" if devno else "malformed", name, f"{exc.found!r}: expected {exc.expected}")]
    if not found:
        return [], [_refuse("empty-range", name, "the host has no device in this range")]
    return found, []


def _parse(item: dict[str, Any], defaults: Defaults) -> tuple[Request | None, list[Refusal]]:
    name = str(item.get("device") or "")
    wrong: list[Refusal] = []
    try:
        device = BusId.parse(name)
    except BadName as exc:
        return None, [_refuse("malformed", repr(name), f"this is no device number; expected {exc.expected}")]
    guest = str(item.get("guest") or "")
    if guest and not GUEST_NAME.fullmatch(guest):
        wrong.append(_refuse("bad-guest", str(device), f"guest {guest!r} is no name for a guest"))
    request = Request(
        device=device,
        uuid=_uuid(item, device, defaults, wrong),
        devno=_devno(item, device, wrong),
        guest=guest,
        present=(item.get("state") or "present") == "present",
        uuid_given=bool(item.get("uuid")),
        persistent=bool(item.get("persistent")),
        adopt=bool(item.get("adopt")),
        remove_rules=bool(item.get("remove_rules")),
        remove_parameters=bool(item.get("remove_parameters")),
        correct_rule=defaults.correct_rule,
        leave_offline=bool(item.get("leave_offline")),
        force=tuple(item.get("force") or ()),
        scope=str(item.get("scope") or WHOLE),
    )
    return request, wrong


def _uuid(item: dict[str, Any], device: BusId, defaults: Defaults, wrong: list[Refusal]) -> str:
    if item.get("uuid"):
        try:
            return parse_uuid(item["uuid"])
        except BadName as exc:
            wrong.append(_refuse("bad-uuid", str(device), f"uuid {exc.found!r}: expected {exc.expected}"))
    return defaults.uuid(device)


def _devno(item: dict[str, Any], device: BusId, wrong: list[Refusal]) -> GuestDevno:
    if item.get("devno"):
        try:
            devno = GuestDevno.parse(item["devno"])
        except BadName as exc:
            wrong.append(_refuse("bad-devno", str(device), f"devno {exc.found!r}: expected {exc.expected}"))
        else:
            if not devno.visible:
                found = f"devno {devno} lies outside the channel subsystem fe"
                wrong.append(_refuse("invisible-devno", str(device), found))
            return devno
    return GuestDevno.like(device)


def _duplicates(requests: list[Request], listed: list[str]) -> list[Refusal]:
    """``listed``: how the user named each request's device, itself or in a range."""
    refusals: list[Refusal] = []
    devices: dict[BusId, str] = {}
    uuids: dict[str, Request] = {}
    places: dict[tuple[str, GuestDevno], Request] = {}
    for request, named in zip(requests, listed):
        name = str(request.device)
        if request.device in devices:
            found = f"it is in the list more than once: as {devices[request.device]} and as {named}"
            refusals.append(_refuse("duplicate-device", name, found))
            continue
        devices[request.device] = named
        if not request.present:
            continue
        if request.uuid in uuids:
            found = f"uuid {request.uuid} is given to {uuids[request.uuid].device} as well"
            refusals.append(_refuse("duplicate-uuid", name, found))
        place = (request.guest, request.devno)
        if request.guest and place in places:
            found = f"devno {request.devno} of guest {request.guest} is given to {places[place].device} as well"
            refusals.append(_refuse("duplicate-devno", name, found))
        uuids.setdefault(request.uuid, request)
        places.setdefault(place, request)
    return refusals

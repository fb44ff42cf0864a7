# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a user wrote to requests: every text parsed, the list checked against itself."""

from __future__ import annotations

import re
from typing import Any, Sequence

from ._busid import BadName, BusId, GuestDevno, default_uuid, parse_uuid
from ._model import Request
from ._refusals import LIST_REFUSALS, Refusal

GUEST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""For fullmatch: the name goes into a shell script and into paths."""


def _refuse(code: str, device: str, found: str) -> Refusal:
    return Refusal(code, device, found, LIST_REFUSALS[code])


def parse_requests(items: Sequence[dict[str, Any]]) -> tuple[list[Request], list[Refusal]]:
    """The requests that could be parsed, and what is wrong with the others or between them. "" counts as not given."""
    requests: list[Request] = []
    refusals: list[Refusal] = []
    for item in items:
        request, wrong = _parse(item)
        refusals += wrong
        if request is not None:
            requests.append(request)
    return requests, refusals + _duplicates(requests)


def _parse(item: dict[str, Any]) -> tuple[Request | None, list[Refusal]]:
    name = str(item.get("device") or "")
    wrong: list[Refusal] = []
    try:
        device = BusId.parse(name)
    except BadName as exc:
        return None, [_refuse("malformed", repr(name), f"this is no device number; expected {exc.expected}")]
    uuid_given, uuid = bool(item.get("uuid")), default_uuid(device)
    if uuid_given:
        try:
            uuid = parse_uuid(item["uuid"])
        except BadName as exc:
            wrong.append(_refuse("bad-uuid", str(device), f"uuid {exc.found!r}: expected {exc.expected}"))
    devno = GuestDevno.like(device)
    if item.get("devno"):
        try:
            devno = GuestDevno.parse(item["devno"])
            if not devno.visible:
                wrong.append(
                    _refuse("invisible-devno", str(device), f"devno {devno} lies outside the channel subsystem fe")
                )
        except BadName as exc:
            wrong.append(_refuse("bad-devno", str(device), f"devno {exc.found!r}: expected {exc.expected}"))
    guest = str(item.get("guest") or "")
    if guest and not GUEST_NAME.fullmatch(guest):
        wrong.append(_refuse("bad-guest", str(device), f"guest {guest!r} is no name for a guest"))
    request = Request(
        device=device,
        uuid=uuid,
        devno=devno,
        guest=guest,
        present=(item.get("state") or "present") == "present",
        uuid_given=uuid_given,
        persistent=bool(item.get("persistent")),
        force=tuple(item.get("force") or ()),
    )
    return request, wrong


def _duplicates(requests: list[Request]) -> list[Refusal]:
    refusals: list[Refusal] = []
    devices: dict[BusId, Request] = {}
    uuids: dict[str, Request] = {}
    places: dict[tuple[str, GuestDevno], Request] = {}
    for request in requests:
        name = str(request.device)
        if request.device in devices:
            refusals.append(_refuse("duplicate-device", name, "it is in the list more than once"))
            continue
        devices[request.device] = request
        if not request.present:
            continue
        if request.uuid in uuids:
            refusals.append(
                _refuse("duplicate-uuid", name, f"uuid {request.uuid} is given to {uuids[request.uuid].device} as well")
            )
        place = (request.guest, request.devno)
        if request.guest and place in places:
            refusals.append(
                _refuse(
                    "duplicate-devno",
                    name,
                    f"devno {request.devno} of guest {request.guest} is given to {places[place].device} as well",
                )
            )
        uuids.setdefault(request.uuid, request)
        places.setdefault(place, request)
    return refusals

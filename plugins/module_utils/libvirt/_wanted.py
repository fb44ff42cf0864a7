# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a user wrote of a domain's devices to types. Looks at the host for the UUIDs of its devices only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._busid import BadName, BusId, GuestDevno, default_uuid, parse_uuid
from .._host import Host
from .._sysfs import CSS_DEVICES, MDEV_DEVICES, bus_id_or_none
from ..engine._requests import GUEST_NAME
from ..host._buses import View, list_buses, parent_of
from ..host._journal import read_journal
from ..host._kept import Kept
from ..host._model import MDEV_TYPE
from ..host._observe import find, host_id
from ..qemu._guest import BadGuest, parse_loadparm
from ._guest import ambiguous
from ._plan import Wanted


def parse_domain(name: str) -> str:
    """A domain's name or UUID. Raises GuestError."""
    try:
        return parse_uuid(name)
    except BadName:
        if GUEST_NAME.fullmatch(name) and not ambiguous(name):
            return name
    raise BadGuest(
        f"domain {name!r}: expected a name of letters, digits, dots, dashes and underscores, with a letter in it, or "
        "the domain's UUID. Nothing was changed."
    )


def parse_wanted(host: Host, items: Sequence[Mapping[str, Any]], present: bool) -> list[Wanted]:
    """Raises GuestError that lists everything wrong."""
    wanted: list[Wanted] = []
    wrong: list[str] = []
    for item in items:
        try:
            wanted.append(_parse(host, item, present))
        except (BadName, BadGuest) as exc:
            wrong.append(str(exc))
    wrong += _twice(wanted)
    if sum(item.get("boot") is True for item in items) > 1:
        wrong.append("boot is set for more than one device; give them a bootindex each, 1 is tried first")
    if wrong:
        raise BadGuest("; ".join(wrong) + ". Nothing was changed.")
    return wanted


def _parse(host: Host, item: Mapping[str, Any], present: bool) -> Wanted:
    """Raises BadName, GuestError."""
    devno = GuestDevno.parse(item["devno"]) if item.get("devno") else None
    if devno is not None and not devno.visible:
        raise BadGuest(f"devno {devno}: a Linux guest sees channel subsystem fe only, write fe.S.DDDD")
    device = BusId.parse(item["device"]) if item.get("device") else None
    uuid = parse_uuid(item["uuid"]) if item.get("uuid") else (uuid_of(host, device) if device else "")
    if not uuid and (present or devno is None):
        raise BadGuest("a device without a name: expected uuid or device, or devno of one that is taken away")
    boot = 1 if item.get("boot") and item.get("bootindex") is None else item.get("bootindex")
    source = device or _device_of(host, uuid)
    return Wanted(
        uuid, devno, boot, parse_loadparm(item.get("loadparm"), boot), GuestDevno.like(source) if source else None
    )


def uuid_of(host: Host, device: BusId) -> str:
    """That of the device's mediated device; where it has none the one that passthrough would give it."""
    journal = read_journal(host)
    place = find(View(host, list_buses(host), Kept(host)), [device], journal).get(device)
    there = host.names(f"{CSS_DEVICES}/{place}/mdev_supported_types/{MDEV_TYPE}/devices") if place else []
    if there:
        return there[0]
    noted = journal.get(device)
    return noted.uuid if noted else default_uuid(device, host_id(host))


def _device_of(host: Host, uuid: str) -> BusId | None:
    """The host's device behind a mediated device, where it is there."""
    parent = parent_of(host, f"{MDEV_DEVICES}/{uuid}") if uuid else None
    if parent is None:
        return None
    noted = [entry.device for entry in read_journal(host).values() if entry.uuid == uuid]
    return bus_id_or_none(host.get(f"{CSS_DEVICES}/{parent}/dev_busid")) or next(iter(noted), None)


def _twice(wanted: Sequence[Wanted]) -> list[str]:
    wrong = []
    for position, one in enumerate(wanted):
        for other in wanted[:position]:
            if one.uuid and one.uuid == other.uuid:
                wrong.append(f"mediated device {one.uuid} is listed twice")
            elif one.devno and one.devno == other.devno:
                wrong.append(f"devno {one.devno} is given to {other.uuid} and {one.uuid}, each device needs its own")
    return wrong

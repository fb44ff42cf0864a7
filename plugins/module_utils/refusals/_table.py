# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every reason for which a device is not passed through or not given back: one table.

A refusal is found before anything is written. Each row has an id, a condition over what was observed, what was
found, and what to do next. ``forcible`` rows can be overruled by naming their id in the option ``force``; the others
would lose data or cannot work.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Sequence

from .._busid import BadName, BusId, spans
from ..host._model import HostState, Request
from . import _rows_boot, _rows_guest, _rows_host, _rows_libvirt, _rows_nodedev, _rows_place, _rows_use
from ._case import Case
from ._row import C_contra, Row, RowOf

IN_FULL = 10
"""Refusals of one kind up to which a message has each in full; the module returns all of them."""


@dataclass(frozen=True)
class Refusal:
    """``id`` is the row's, ``device`` the text that the user gave."""

    id: str
    device: str
    found: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.device}: {self.found} [{self.id}]. {self.next_step}."


class Refused(Exception):
    """One or more devices were refused; nothing was changed."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        self.refusals = list(refusals)
        super().__init__("Nothing was changed. " + " ".join(str(refusal) for refusal in grouped(self.refusals)))


def grouped(refusals: Sequence[Refusal]) -> list[Refusal]:
    """For a message: devices refused in the same words as one, and of many of one kind the first and the rest."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for one in refusals:
        alike.setdefault((one.id, one.found, one.next_step), []).append(one.device)
    found = [Refusal(id_, _together(devices), text, then) for (id_, text, then), devices in alike.items()]
    counts = Counter(one.id for one in found)
    return [one for one in found if counts[one.id] <= IN_FULL] + _firsts(
        [one for one in found if counts[one.id] > IN_FULL]
    )


def _firsts(refusals: Sequence[Refusal]) -> list[Refusal]:
    kinds: dict[str, list[Refusal]] = {}
    for one in refusals:
        kinds.setdefault(one.id, []).append(one)
    return [
        replace(first, found=f"{first.found}; the like of {_together([one.device for one in rest])}")
        for first, *rest in kinds.values()
    ]


def _together(devices: list[str]) -> str:
    try:
        return ", ".join(spans([BusId.parse(device) for device in devices])) if len(devices) > 1 else devices[0]
    except BadName:
        return ", ".join(devices)


ROWS: tuple[Row, ...] = _rows_host.ROWS + _rows_use.ROWS + _rows_boot.ROWS + _rows_place.ROWS

FORCIBLE = tuple(dict.fromkeys(row.id for row in ROWS if row.forcible))

GUEST_ROWS = _rows_guest.ROWS
"""Why a guest does not get a device of its own. They are among LIBVIRT_ROWS as well."""
LIBVIRT_ROWS = _rows_libvirt.ROWS
NODE_ROWS = _rows_nodedev.ROWS

# What is wrong with the list itself, found while it is parsed; the docs are made of this and of the rows above.
LIST_REFUSALS: dict[str, str] = {
    "malformed": "Write the device number in full, quoted, as lscss prints it",
    "bad-uuid": "Make one with uuidgen, or leave uuid out for one that follows from the device number",
    "bad-devno": "Leave devno out for the same number as on the host",
    "bad-guest": "Use letters, digits, dots, dashes and underscores",
    "invisible-devno": "A Linux guest sees channel subsystem fe only: write fe.S.DDDD",
    "no-such-subchannel": "Compare with lscss on the host; name the device number instead, which stays the same",
    "uuid-for-many": "Leave uuid out, or list the devices one by one",
    "empty-range": "Compare with lscss on the host; name devices that it has",
    "duplicate-device": "List each device once",
    "duplicate-uuid": "Give each device a uuid of its own",
    "duplicate-devno": "Give each device of a guest a devno of its own",
}


def check(request: Request, state: HostState) -> list[Refusal]:
    """Every reason to refuse one request, in the table's order."""
    case = Case(request, state)
    refusals: list[Refusal] = []
    for row in ROWS:
        guards = row.present if request.present else row.absent
        if not guards or (row.forcible and row.id in request.force) or not row.condition(case):
            continue
        refusals.append(Refusal(row.id, str(request.device), row.found(case), row.next_step(case)))
        if row.final:
            break
    return refusals


def check_guest(rows: Sequence[RowOf[C_contra]], case: C_contra, device: str, present: bool = True) -> list[Refusal]:
    """Every reason not to give a guest a device, or (not ``present``) not to take it away, in the table's order."""
    refusals: list[Refusal] = []
    for row in rows:
        if not (row.present if present else row.absent) or not row.condition(case):
            continue
        refusals.append(Refusal(row.id, device, row.found(case), row.next_step(case)))
        if row.final:
            break
    return refusals

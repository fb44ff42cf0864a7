# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a range of device numbers to devices: those in it that the host has. Pure; who asks says what the host has."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any, Sequence

from .._busid import BadName, BusId, GuestDevno

EXPECTED = "a range of device numbers, first to last, as 0.0.8000-0.0.80ff"


def is_range(text: str) -> bool:
    return "-" in text


def parse_range(text: str) -> tuple[BusId, BusId]:
    """Ends included, both in one subchannel set. Raises BadName."""
    first, _dash, last = text.partition("-")
    start, end = BusId.parse(first), BusId.parse(last)
    if start.ssid != end.ssid or start > end:
        raise BadName(text, EXPECTED)
    return start, end


def expand(item: dict[str, Any], known: Sequence[BusId]) -> list[dict[str, Any]]:
    """One item for each device of the range that is ``known`` (sorted). Raises BadName.

    A devno is counted from the first number of the range, whether the host has that device or not: so each device keeps
    its place when others come and go.
    """
    first, last = parse_range(item["device"])
    devices = known[bisect_left(known, first) : bisect_right(known, last)]
    start = GuestDevno.parse(item["devno"]) if item.get("devno") else None
    found = []
    for device in devices:
        one = {**item, "device": str(device), "listed": item["device"]}
        if start is not None:
            one["devno"] = str(counted(start, device.number - first.number))
        found.append(one)
    return found


def counted(start: GuestDevno, steps: int) -> GuestDevno:
    """The guest device number so many after another. Raises BadName past the last one, ffff."""
    if start.number + steps > 0xFFFF:
        raise BadName(f"{start} and {steps} more", "guest device numbers up to ffff: begin lower")
    return GuestDevno(start.cssid, start.ssid, start.number + steps)

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of device numbers that the kernel does not look at: /proc/cio_ignore (drivers/s390/cio/blacklist.c)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from .._busid import BadName, BusId

IGNORE_FILE = "/proc/cio_ignore"


def parse_ignored(text: str) -> list[tuple[BusId, BusId]]:
    """Ranges, ends included: one bus id or two with a dash on each line."""
    ranges = []
    for line in text.splitlines():
        first, dash, last = line.strip().partition("-")
        try:
            start = BusId.parse(first)
            ranges.append((start, BusId.parse(last) if dash else start))
        except BadName:
            continue
    return ranges


def ignored_of(ranges: Sequence[tuple[BusId, BusId]], devices: Iterable[BusId]) -> frozenset[BusId]:
    """Those of the devices that lie in one of the ranges, which do not overlap in the kernel's list."""
    ordered = sorted(ranges)
    starts = [first for first, _last in ordered]
    found = set()
    for device in devices:
        at = bisect_right(starts, device) - 1
        if at >= 0 and device <= ordered[at][1]:
            found.add(device)
    return frozenset(found)


def is_ignored(ranges: Sequence[tuple[BusId, BusId]], device: BusId) -> bool:
    return device in ignored_of(ranges, [device])

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the drawing of a host is made of: boxes in five columns, lines, and how much text a box takes. Pure."""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from ._report_model import Device, ranges

PATHS, UNITS, DEVICES, MDEVS, GUESTS = range(5)
COLUMNS = ("Channel paths", "Control units", "Devices", "Mediated devices", "Guests")
WIDTHS = (116, 168, 244, 214, 172)
GAP = 58
LEFT, HEAD = 10, 34
LEFTS = tuple(LEFT + sum(WIDTHS[:column]) + GAP * column for column in range(5))
WIDTH = LEFTS[-1] + WIDTHS[-1] + LEFT
HEIGHT, PILL = 42, 32
BETWEEN, BETWEEN_UNITS = 10, 14
MOST_RANGES = 8
WIDE, NARROW = 7.55, 7.0
"""Width of a letter in a box's name, and on average in what is said below it, in the widest faces in use."""


@dataclass(frozen=True)
class Box:
    """``lines``: the name and, below it, what is said of it. ``state``: of STATES, or on, off, none, unit.

    ``key`` tells it from others of its column.
    """

    column: int
    key: t.Hashable
    lines: tuple[str, str]
    state: str = ""
    level: str = ""
    title: str = ""
    devices: tuple[Device, ...] = ()
    y: float = 0.0

    @property
    def x(self) -> float:
        return LEFTS[self.column]

    @property
    def width(self) -> float:
        return WIDTHS[self.column]

    @property
    def height(self) -> float:
        return PILL if self.column == PATHS else HEIGHT

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    def at(self, y: float) -> Box:
        return replace(self, y=y)


@dataclass(frozen=True)
class Line:
    """From one box to one in the next column. ``broken``: nothing goes along it now."""

    start: Box
    end: Box
    state: str = ""
    broken: bool = False
    title: str = ""


@dataclass
class Part:
    """Devices that are one box, on one control unit."""

    unit: tuple[t.Any, ...]
    devices: list[Device] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return any(device.uuid for device in self.devices)

    @property
    def guests(self) -> list[str]:
        return sorted({device.guest for device in self.devices if device.guest and device.uuid})


def spread(wanted: Sequence[tuple[Box, float]]) -> list[Box]:
    """Each as near to the middle that it wants as the others of its column let it be."""
    placed: list[Box] = []
    y = float(HEAD)
    ordered = sorted(wanted, key=lambda one: one[1])
    for box, middle in ordered:
        y = max(y, middle - box.height / 2)
        placed.append(box.at(y))
        y += box.height + BETWEEN
    if not placed:
        return []
    away = sum(box.middle - middle for box, (_box, middle) in zip(placed, ordered)) / len(placed)
    shift = min(away, placed[0].y - HEAD)
    return [box.at(box.y - shift) for box in placed]


def mean(values: Iterable[float]) -> float:
    every = list(values)
    return sum(every) / len(every)


def short(text: str, width: float, letter: float = NARROW) -> str:
    """As much as fits."""
    most = int(width / letter)
    return text if len(text) <= most else text[: most - 1] + "\u2026"


def plural(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def span(names: Sequence[str], width: float) -> str:
    """Ranges where they fit; else the first and the last."""
    text = ", ".join(ranges(names))
    return text if len(text) <= int(width / WIDE) else short(f"{names[0]} \u2026 {names[-1]}", width, WIDE)


def several(names: Sequence[str]) -> str:
    """Ranges for a sentence, of which there can be thousands."""
    found = ranges(names)
    return ", ".join(found[:MOST_RANGES]) + (f" and {len(found) - MOST_RANGES} more" * (len(found) > MOST_RANGES))

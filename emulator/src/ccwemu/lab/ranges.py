# SPDX-License-Identifier: GPL-2.0-or-later
"""Many of a kind in one entry of a definition: names lpar[01-50], bus ids 0.0.8000-0.0.80ff."""

from __future__ import annotations

import re
from collections.abc import Sequence

MOST_NAMES = 1000
LAST = 0xFFFF
"""The highest number of a device or subchannel of a set."""

_NAMES = re.compile(r"([a-z0-9-]*)\[([0-9]{1,6})-([0-9]{1,6})\]([a-z0-9-]*)")
_BUSIDS = re.compile(r"(0\.[0-3])\.([0-9a-f]{4})(?:-(0\.[0-3])\.([0-9a-f]{4}))?")

NAMES_EXPECTED = f"a range such as lpar[01-50], of at most {MOST_NAMES} names"
BUSIDS_EXPECTED = "a bus id such as 0.0.7e52, or a range such as 0.0.8000-0.0.80ff (small hexadecimal digits)"


def names(text: str) -> list[str]:
    """The names that a text stands for: itself, or those of its range, with as many digits as the first one has.

    Raises ValueError for a range that is none.
    """
    if "[" not in text and "]" not in text:
        return [text]
    match = _NAMES.fullmatch(text)
    if match is None or not 0 <= int(match[3]) - int(match[2]) < MOST_NAMES:
        raise ValueError(text)
    before, first, last, after = match.groups()
    return [f"{before}{number:0{len(first)}}{after}" for number in range(int(first), int(last) + 1)]


def busids(text: str) -> list[str]:
    """The bus ids of a range, ends included, or the one that the text is. Raises ValueError."""
    match = _BUSIDS.fullmatch(text)
    if match is None:
        raise ValueError(text)
    if match[3] is None:
        return [text]
    if match[1] != match[3] or int(match[2], 16) > int(match[4], 16):
        raise ValueError(text)
    return [f"{match[1]}.{number:04x}" for number in range(int(match[2], 16), int(match[4], 16) + 1)]


def counted(first: str, count: int) -> list[str]:
    """So many bus ids, counted up from the first. Raises ValueError past the last one of its set, ffff."""
    head, _dot, number = first.rpartition(".")
    start = int(number, 16)
    if start + count - 1 > LAST:
        raise ValueError(first)
    return [f"{head}.{start + step:04x}" for step in range(count)]


def spread(text: str, count: int) -> Sequence[str]:
    """The names of a text, as many as asked for: of a range all of them, a single one again and again.

    Raises ValueError where the range has another length, or is none.
    """
    found = names(text)
    if len(found) == 1:
        return found * count
    if len(found) != count:
        raise ValueError(text)
    return found


def follows(one: str, other: str) -> bool:
    """Is the second bus id the next one after the first?"""
    head, _, number = one.rpartition(".")
    return other == f"{head}.{int(number, 16) + 1:04x}"


def spans(found: Sequence[str]) -> list[str]:
    """Bus ids as people write many of them: those that follow each other as a range."""
    runs: list[tuple[str, str]] = []
    for each in sorted(found):
        first = runs.pop()[0] if runs and follows(runs[-1][1], each) else each
        runs.append((first, each))
    return [first if first == last else f"{first}-{last}" for first, last in runs]

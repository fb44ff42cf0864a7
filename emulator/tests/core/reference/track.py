# SPDX-License-Identifier: GPL-2.0-or-later
"""The disk's content: tracks of records. IBM 3390 reference for how many records a track holds."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

TRACK_CELLS = 1729  # a 3390 track, in cells of 34 bytes
TRACK_BYTES = 56832  # a track in the image: home address 5, records, end mark 8


@dataclass(frozen=True)
class Block:
    """A record as it lies on the track. ``count``: cylinder, head (4 bytes), record, key length, data length (2)."""

    count: bytes
    key: bytes
    data: bytes

    @classmethod
    def formatted(cls, count: bytes, content: bytes) -> Block:
        """The record that a count field announces; what is missing of its content is zeros."""
        content = content.ljust(count[5] + int.from_bytes(count[6:8], "big"), b"\0")
        return cls(count, content[: count[5]], content[count[5] :])

    @property
    def size(self) -> int:
        return 8 + len(self.key) + len(self.data)

    @property
    def cells(self) -> int:
        return 10 + self._area(len(self.data)) + (self._area(len(self.key)) if self.key else 0)

    @staticmethod
    def _area(length: int) -> int:
        return 9 + ceil((length + 6 * (ceil((length + 6) / 232) + 1)) / 34)


Track = list[Block]  # record 0 first


def fits(before: Track, block: Block) -> bool:
    """Is there room on a track for this record behind these? Record 0 has a place of its own."""
    cells = sum(other.cells for other in before[1:]) + block.cells
    return cells <= TRACK_CELLS and 5 + sum(other.size for other in before) + block.size + 8 <= TRACK_BYTES

# SPDX-License-Identifier: GPL-2.0-or-later
"""The channel programs, bit for bit the same for all engines: format-1 CCWs, key 0, prefetch allowed, all paths."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from .volume import BLOCK, BLOCKS, CYLINDERS, HEADS, TRACK_BYTES

CC, SLI, IDA = 0x40, 0x20, 0x04
SLOT_SIZE = 0x10000
ORB, EXTENT, LOCATE, SEEK, SEARCH, SCRATCH, IDAWS, DATA = 0x200, 0x240, 0x260, 0x27E, 0x290, 0x2A0, 0x300, 0x1000
SCATTER = [(i * 7 + 5) % 24 for i in range(24)]  # where the 2K pages of the IDAWs lie


def ccw(command: int, flags: int, count: int, address: int) -> bytes:
    return struct.pack(">BBHI", command, flags, count, address)


@dataclass
class Program:
    """A channel program in a 64K slot of main storage, which begins at ``base``."""

    kind: str
    base: int
    storage: bytearray = field(default_factory=lambda: bytearray(SLOT_SIZE))
    patches: tuple[int, int] = (SCRATCH, SCRATCH)
    """Where CCHH is set before each start, as offsets in the slot."""
    data_bytes: int = 0
    records: tuple[int, ...] = ()
    ccws: int = 1
    """CCWs that are executed, transfers in channel included."""
    length: int = 1
    """CCWs that the program is made of."""

    def __post_init__(self) -> None:
        chain = getattr(self, f"_{self.kind}")()
        self.length = len(chain)
        self.storage[: 8 * len(chain)] = b"".join(chain)
        self.storage[ORB : ORB + 0x20] = struct.pack(">IBBBBI", 0xCAFE0390, 0, 0xC0, 0xFF, 0, self.base) + bytes(20)

    @property
    def writes(self) -> bool:
        return self.kind == "write12"

    @property
    def end(self) -> int:
        """The CCW address that the SCSW must show."""
        return self.base + 8 * self.length

    @property
    def data(self) -> int:
        return self.base + DATA

    def gather(self, storage: bytes) -> bytes:
        """What lies in the program's buffers, in the order of the records."""
        found = storage[self.data : self.data + self.data_bytes]
        if self.kind == "idaw12":
            return b"".join(found[2048 * page : 2048 * page + 2048] for page in SCATTER)
        return found

    # --- the programs: lists of CCWs ---

    def _empty(self) -> list[bytes]:
        return self._nop()

    def _nop(self) -> list[bytes]:
        return [ccw(0x03, SLI, 1, 0)]

    def _nop14(self) -> list[bytes]:
        self.ccws = 14
        return [ccw(0x03, SLI | (CC if i < 13 else 0), 1, 0) for i in range(14)]

    def _read1(self) -> list[bytes]:
        return self._located(0x06, 1)

    def _read12(self) -> list[bytes]:
        return self._located(0x06, BLOCKS)

    def _write12(self) -> list[bytes]:
        return self._located(0x85, BLOCKS)  # Write Update Data, which is what Linux uses

    def _idaw12(self) -> list[bytes]:
        self.storage[IDAWS : IDAWS + 4 * 24] = struct.pack(">24I", *(self.data + 2048 * page for page in SCATTER))
        return self._located(0x06, BLOCKS)

    def _search1(self) -> list[bytes]:
        return self._searched(1)

    def _search12(self) -> list[bytes]:
        return self._searched(BLOCKS)

    def _located(self, command: int, count: int) -> list[bytes]:
        """Define Extent, Locate Record, then the blocks."""
        write = command == 0x85
        self.storage[EXTENT : EXTENT + 16] = struct.pack(
            ">BBHHBBHHHH", 0x80 if write else 0x40, 0xC0, BLOCK, 0, 0, 0, 0, 0, CYLINDERS - 1, HEADS - 1
        )
        self.storage[LOCATE : LOCATE + 16] = struct.pack(
            ">BBBBHHHHBBH", 0x01 if write else 0x06, 0x80, 0, count, 0, 0, 0, 0, 1, 0xFF, BLOCK
        )
        self.patches = LOCATE + 4, LOCATE + 8
        self.data_bytes = count * BLOCK
        self.records = tuple(range(1, count + 1))
        self.ccws = 2 + count
        chain = [ccw(0x63, CC, 16, self.base + EXTENT), ccw(0x47, CC, 16, self.base + LOCATE)]
        for i in range(count):
            flags = 0 if i == count - 1 else CC
            if self.kind == "idaw12":
                chain.append(ccw(command, flags | IDA, BLOCK, self.base + IDAWS + 8 * i))
            else:
                chain.append(ccw(command, flags, BLOCK, self.data + BLOCK * i))
        return chain

    def _searched(self, number: int) -> list[bytes]:
        """Seek, Search ID Equal, TIC back to it, Read Data. Record 0 is the first that the search sees."""
        self.storage[SEARCH + 4] = number
        self.patches = SEEK + 2, SEARCH
        self.data_bytes = BLOCK
        self.records = (number,)
        self.ccws = 1 + (number + 1) + number + 1
        return [
            ccw(0x07, CC, 6, self.base + SEEK),
            ccw(0x31, CC, 5, self.base + SEARCH),
            ccw(0x08, 0, 0, self.base + 8),
            ccw(0x06, 0, BLOCK, self.data),
        ]


assert TRACK_BYTES + DATA <= SLOT_SIZE

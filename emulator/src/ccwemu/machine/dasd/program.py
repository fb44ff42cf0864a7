# SPDX-License-Identifier: GPL-2.0-or-later
"""Channel programs in storage: CCWs, data areas and the ORB, laid out for whoever starts them.

Pure of I/O. Used by everything that implements :class:`~ccwemu.machine.ccwdriver.ChannelDevice`: it gets a piece of
storage that the channel can reach (:data:`AREA_SIZE` bytes at a page boundary below 2 GiB), puts a program into it
with :meth:`ProgramArea.place`, starts it, and takes what came with :meth:`ProgramArea.collect`.

Source: Principles of Operation, chapters 15 and 16 (ORB, format-1 CCW, SCSW, ESW); Linux cio_start_key for the ORB.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from ccwemu.machine.ccwdriver import Ccw, Ending

COMMAND_CHAINING = 0x40
SUPPRESS_LENGTH = 0x20

MAX_CCWS = 256
"""A chain longer than this is refused by vfio-ccw (kernel-facts C), and the dasd driver never builds one."""

ALIGNMENT = 4096
"""A program begins at a multiple of this, so that the last 12 bits of a CCW address say which CCW it is."""

AREA_SIZE = 1 << 20
"""Bytes of storage that the largest program needs: 190 blocks of 4096 bytes and 26 CCWs with their parameters."""

IRB_SIZE = 96

_ORB = struct.Struct(">IIIIIIII")
_CCW1 = struct.Struct(">BBHI")
# ORB word 1: F format-1 CCWs, P prefetch allowed, H 64-bit IDAWs; as cio builds it.
_ORB_FLAGS = 0x00800000 | 0x00400000 | 0x00020000
ALL_PATHS = 0xFF


class ProgramError(ValueError):
    """A program that cannot be laid out: too many CCWs or bytes."""


@dataclass(frozen=True)
class _Placed:
    """A CCW of the program in the area: where its data are (offset and length in bytes), and whether it reads."""

    offset: int
    length: int
    reads: bool


class ProgramArea:
    """A piece of storage for one channel program at a time.

    ``memory`` is a writable buffer, ``address`` is where the channel sees its first byte (a multiple of
    :data:`ALIGNMENT`, all of it below 2 GiB: a format-1 CCW has 31 address bits).
    """

    def __init__(self, memory: memoryview, address: int) -> None:
        if address % ALIGNMENT or address + len(memory) > 1 << 31:
            raise ProgramError(f"storage at {address:#x}, {len(memory)} bytes: not at a 4 KiB boundary below 2 GiB")
        self._memory = memory
        self._address = address
        self._placed: tuple[_Placed, ...] = ()

    def place(self, program: Sequence[Ccw], lpm: int = 0) -> bytes:
        """Write a program into the area; its ORB (32 bytes, big-endian). ``lpm`` 0 allows every path.

        Raises ProgramError.
        """
        if not 1 <= len(program) <= MAX_CCWS:
            raise ProgramError(f"a channel program of {len(program)} CCWs: 1 to {MAX_CCWS} are possible")
        placed: list[_Placed] = []
        at = ALIGNMENT
        last = len(program) - 1
        for index, ccw in enumerate(program):
            reads = isinstance(ccw.data, int)
            length = ccw.data if isinstance(ccw.data, int) else len(ccw.data)
            # A block gets pages of its own: fewer pages to translate and to pin for a passed-through subchannel.
            step = ALIGNMENT if length >= ALIGNMENT else 8
            at = -(-at // step) * step
            if length > 0xFFFF or at + length > len(self._memory):
                raise ProgramError(f"CCW {index} ({ccw.command:02x}) with {length} bytes does not fit")
            self._memory[at : at + length] = bytes(length) if isinstance(ccw.data, int) else ccw.data
            flags = ccw.flags & ~COMMAND_CHAINING if index == last else ccw.flags | COMMAND_CHAINING
            address = self._address + at if length else 0
            _CCW1.pack_into(self._memory, index * _CCW1.size, ccw.command, flags, length, address)
            placed.append(_Placed(at, length, reads))
            at += length
        self._placed = tuple(placed)
        return _ORB.pack(0, _ORB_FLAGS | (lpm or ALL_PATHS) << 8, self._address, 0, 0, 0, 0, 0)

    def collect(self, cc: int, irb: bytes) -> Ending:
        """How the program that was placed last ended: what each of its read-type CCWs brought.

        A CCW that was not reached brought b""; the one that was last, as many bytes as its residual count leaves.
        """
        reached = -1
        if cc == 0:
            reached = (int.from_bytes(irb[4:8], "big") - self._address) // _CCW1.size - 1
        residual = int.from_bytes(irb[10:12], "big")
        data: list[bytes | None] = []
        for index, ccw in enumerate(self._placed):
            if not ccw.reads:
                data.append(None)
                continue
            length = ccw.length if index < reached else max(ccw.length - residual, 0) if index == reached else 0
            data.append(bytes(self._memory[ccw.offset : ccw.offset + length]))
        return Ending(cc, irb, tuple(data))


def failing_ccw(ending: Ending) -> int | None:
    """Index of the CCW at which a program ended, from the SCSW's CCW address (which points behind it)."""
    address = int.from_bytes(ending.irb[4:8], "big") if len(ending.irb) >= 8 else 0
    return (address - 8) % ALIGNMENT // _CCW1.size if ending.cc == 0 and address else None


def concurrent_sense(ending: Ending) -> bytes:
    """The sense bytes that came with the status (ESW format 0: ERW bit 7 and count, data in the ECW), or b""."""
    if ending.cc != 0 or len(ending.irb) < IRB_SIZE:
        return b""
    erw = int.from_bytes(ending.irb[16:20], "big")
    if not erw & 0x01000000:
        return b""
    count = erw >> 16 & 0x3F
    return ending.irb[32 : 32 + (count or 32)]

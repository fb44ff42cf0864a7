# SPDX-License-Identifier: GPL-2.0-or-later
"""A small machine for the tests of the channel core: one disk, one subchannel, 1 MiB of storage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ccwemu.channel import (
    Device,
    Image,
    Irb,
    OrbFlag,
    Record,
    Storage,
    Subchannel,
    build_ccw,
    build_ccw0,
    build_orb,
    track_address,
)

PROGRAM = 0x1000
DATA = 0x10000
NO_FLAGS = OrbFlag(0)
STORAGE_SIZE = 0x100000
CYLINDERS = 4
BLOCKS = 12
BLOCK_SIZE = 4096

CC, CD, SLI, SKIP, PCI, IDA, SUSPEND, MIDA = 0x40, 0x80, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01


@dataclass
class C:
    """A CCW of a test. ``data``: bytes the channel fetches, or the number of bytes it may store.

    ``at`` is an explicit data address (nothing is placed there); ``count`` an explicit count.
    """

    command: int
    data: bytes | int = 0
    flags: int = 0
    count: int | None = None
    at: int | None = None
    address: int = field(default=0, init=False)


@dataclass(frozen=True)
class Result:
    """What came of a program: condition code, IRB, where each CCW's data were."""

    cc: int
    raw: bytes
    irb: Irb
    addresses: tuple[int, ...]

    @property
    def status(self) -> str:
        """Device status, subchannel status and residual count, as hex: ``0c 00 0000``."""
        return f"{self.raw[8]:02x} {self.raw[9]:02x} {self.raw[10:12].hex()}"

    @property
    def ccw(self) -> int:
        """Index of the CCW at which the program ended (the address in the SCSW is that of the next one)."""
        return (self.irb.scsw.ccw_address - PROGRAM) // 8 - 1

    @property
    def sense(self) -> str:
        """Sense bytes 0, 1 and 7 as hex, empty without a unit check."""
        sense = self.irb.sense
        return f"{sense[0]:02x}{sense[1]:02x}{sense[7]:02x}" if sense else ""


def record_data(cylinder: int, head: int, number: int) -> bytes:
    """Content of a block: tells where it is."""
    return (f"{cylinder}/{head}/{number};".encode() * BLOCK_SIZE)[:BLOCK_SIZE]


def filled_track(cylinder: int, head: int) -> list[Record]:
    blocks = [Record(cylinder, head, n, b"", record_data(cylinder, head, n)) for n in range(1, BLOCKS + 1)]
    return [Record(cylinder, head, 0, b"", bytes(8)), *blocks]


class Rig:
    """A disk with: cylinder 0 and 1 full of blocks; 2/0 keyed records, one an end of file; the rest unformatted."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        Image.create(path, cylinders=CYLINDERS)
        self.image = Image.open(path)
        for cylinder in (0, 1):
            for head in range(15):
                self.image.write_track(cylinder, head, filled_track(cylinder, head))
        self.image.write_track(2, 0, keyed_track())
        self.device = Device(self.image, serial="750000000ABC1", ssid=0x0123, unit_address=0x34, read_only=read_only)
        self.memory = bytearray(STORAGE_SIZE)
        self.storage = Storage()
        self.storage.map(0, self.memory)
        self.sch = self.subchannel()

    def subchannel(self) -> Subchannel:
        """A further host's subchannel to the same disk."""
        return Subchannel(self.device, devno=0x7E52, chpids=[0x41, 0x42], pim=0xC0, pam=0xC0, pom=0xFF)

    def place(self, program: Sequence[C], *, format0: bool = False, at: int = PROGRAM) -> tuple[int, ...]:
        """Put CCWs and their data into storage; the addresses of the data."""
        free = DATA
        for index, ccw in enumerate(program):
            size = ccw.data if isinstance(ccw.data, int) else len(ccw.data)
            ccw.address = free if ccw.at is None else ccw.at
            if ccw.at is None:
                self.memory[free : free + size] = b"\xee" * size if isinstance(ccw.data, int) else ccw.data
                free += (size + 15) & ~7
            count = size if ccw.count is None else ccw.count
            build = build_ccw0 if format0 else build_ccw
            self.memory[at + 8 * index : at + 8 * index + 8] = build(ccw.command, ccw.address, count, ccw.flags)
        return tuple(ccw.address for ccw in program)

    def run(
        self,
        *program: C,
        format0: bool = False,
        orb: OrbFlag = NO_FLAGS,
        lpm: int = 0xFF,
        key: int = 0,
        start: int = PROGRAM,
        sch: Subchannel | None = None,
    ) -> Result:
        """Place a program, start it, test the subchannel."""
        addresses = self.place(program, format0=format0)
        return self.start(addresses, orb if format0 else orb | OrbFlag.FORMAT_1, lpm, key, start, sch or self.sch)

    def start(
        self, addresses: tuple[int, ...], orb: OrbFlag, lpm: int, key: int, start: int, sch: Subchannel
    ) -> Result:
        cc = sch.start(build_orb(start, parameter=0x12345678, lpm=lpm, key=key, flags=orb), self.storage)
        _, raw = sch.test()
        return Result(cc, raw, Irb.parse(raw), addresses)

    def stored(self, address: int, size: int) -> bytes:
        return bytes(self.memory[address : address + size])


def keyed_track() -> list[Record]:
    """Records with keys KEY1..KEY3, the third an end-of-file record (no data)."""
    keyed = [Record(2, 0, n, f"KEY{n}".encode(), f"data of {n}".encode()) for n in (1, 2)]
    return [Record(2, 0, 0, b"", bytes(8)), *keyed, Record(2, 0, 3, b"KEY3", b"")]


def extent(mask: int = 0x40, first: tuple[int, int] = (0, 0), last: tuple[int, int] = (3, 14)) -> bytes:
    """Parameters of a Define Extent; the mask's 0x40 inhibits writing, 0x80 formatting, 0xC0 permits all."""
    return bytes([mask, 0xC0]) + bytes(6) + track_address(*first) + track_address(*last)


def locate(
    operation: int, cylinder: int, head: int, record: int, count: int, *, orientation: int = 0, seek: bytes = b""
) -> bytes:
    """Parameters of a Locate Record."""
    here = track_address(cylinder, head)
    return bytes([orientation | operation, 0, 0, count]) + (seek or here) + here + bytes([record, 0, 0, 0])

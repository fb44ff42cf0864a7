# SPDX-License-Identifier: GPL-2.0-or-later
"""Strategies for channel programs: sensible ones, with faults mixed in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from ccwemu.channel import build_ccw, build_ccw0, track_address

from .twins import (
    ABOVE_4G,
    ABOVE_16M,
    DAMAGED,
    DATA,
    END_OF_MAIN,
    IDALS,
    OPEN,
    PROGRAM,
    PROTECTED,
    READABLE,
    UNIT_ADDRESS,
)

CD, CC, SLI, SKIP, PCI, IDA, SUSPEND, MIDA = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01
TIC = 0x08
FORMAT_1, WIDE, IDA_2K, IMMEDIATE_LENGTH, MAY_SUSPEND, NO_SUSPEND_IRQ, PREFETCH, MIDAWS = (
    0x00800000, 0x00020000, 0x00010000, 0x80, 0x08000000, 0x00080000, 0x00400000, 0x40)  # fmt: skip
AREA_SIZE = 0x800
LONGEST = 16


@dataclass
class Step:
    """A CCW to be: ``data`` goes into storage first; without one, ``size`` bytes may be stored."""

    command: int
    data: bytes = b""
    size: int = 0
    flags: int = 0
    at: int | None = None
    target: int | None = None
    """Of a transfer in channel: index of a CCW, or an address when it is 1000 or more."""

    @property
    def count(self) -> int:
        return self.size or len(self.data)

    def __repr__(self) -> str:
        where = "" if self.at is None else f" @{self.at:x}"
        what = f" ->{self.target:x}" if self.target is not None else f" {self.data.hex()}"
        return f"{self.command:02x}/{self.flags:02x}/{self.count:x}{where}{what}"


@dataclass
class Program:
    """A channel program with the ORB's word 1 and where it begins."""

    steps: list[Step]
    word: int
    start: int = PROGRAM
    host: int = 0
    pieces: list[tuple[int, bytes]] = field(default_factory=list)

    def place(self) -> list[tuple[int, bytes]]:
        """What goes where in storage."""
        placed: list[tuple[int, bytes]] = []
        for index, step in enumerate(self.steps):
            address = DATA + AREA_SIZE * index if step.at is None else step.at
            placed.append((address, step.data))
            if step.target is not None:
                address = step.target if step.target >= 1000 else PROGRAM + 8 * step.target
            elif step.flags & (IDA | MIDA) and step.at is None:
                build_list = self._midal if step.flags & MIDA else self._idal
                placed.append((IDALS + 0x100 * index, build_list(address, step.count)))
                address = IDALS + 0x100 * index
            build = build_ccw if self.word & FORMAT_1 else build_ccw0
            if not self.word & FORMAT_1:
                address &= 0xFFFFFF
            placed.append(
                (PROGRAM + 8 * index, build(step.command, address & 0xFFFFFFFF, step.count & 0xFFFF, step.flags))
            )
        return [*placed, *self.pieces]

    def _idal(self, address: int, size: int) -> bytes:
        width, block = (8, 2048 if self.word & IDA_2K else 4096) if self.word & WIDE else (4, 2048)
        end = min(address + size, END_OF_MAIN)
        words = [address, *range(address - address % block + block, max(end, address + 1), block)]
        return b"".join(word.to_bytes(width, "big") for word in words)

    def _midal(self, address: int, size: int) -> bytes:
        """Pieces inside of pages: the first is short, the second skipped when storing."""
        pieces, done = [], 0
        while done < size and len(pieces) < 6:
            piece = min((5, 3, 4096)[min(len(pieces), 2)], size - done, 4096 - (address + done) % 4096)
            flags = (0x40 if len(pieces) == 1 else 0) | (0x80 if done + piece == size else 0)
            pieces.append(
                bytes([0, 0, 0, 0, 0, flags]) + piece.to_bytes(2, "big") + (address + done).to_bytes(8, "big")
            )
            done += piece
        return b"".join(pieces)


# --- parameters

cylinders = st.sampled_from((0, 0, 0, 1, 1, 2))
heads = st.sampled_from((0, 1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 15))
numbers = st.sampled_from((0, 1, 1, 2, 3, 4, 5, 7, 9))
tracks = st.tuples(cylinders, heads)
sound_tracks = st.tuples(st.sampled_from((0, 0, 1)), st.integers(0, 14))
READS = (0x06, 0x86, 0x06, 0x86, 0x0E, 0x8E, 0x1E, 0x9E, 0x12, 0x92, 0x16, 0x96, 0x1A, 0x9A)
UPDATES = (0x05, 0x85, 0x0D, 0x8D)
FORMATS = (0x1D, 0x1D, 0x1D, 0x9D, 0x11, 0x15, 0x19)
SEARCHES = (0x31, 0x51, 0x71, 0xB1, 0xD1, 0xF1, 0x29, 0x49, 0x69, 0xA9, 0xC9, 0xE9, 0x39, 0xB9)
TRACK_WRITES, TRACK_READS = (0x95, 0xA5), (0xDE, 0xA6)
TRACK_OPERATIONS = (
    (0x0C, 0x00, TRACK_READS), (0x0C, 0x00, TRACK_READS), (0x3F, 0x11, (0x95,)), (0x3F, 0x23, (0xA5,)),
    (0x3F, 0x11, TRACK_WRITES), (0x06, 0x00, READS), (0x01, 0x00, UPDATES), (0x0B, 0x00, FORMATS),
    (0x16, 0x00, (*READS, *TRACK_READS)), (0x3F, 0x23, (*UPDATES, *TRACK_WRITES)))  # fmt: skip
UNKNOWN = (0x01, 0x21, 0xF7, 0xFF)
MISCELLANEOUS = (0x03, 0x04, 0xE4, 0x64, 0xFA, 0x34, 0xAF, 0xB4, 0x94, 0x14, 0x27, 0x3E, 0x13, 0x23, 0x02)
ORIENTATIONS = {0x01: (0x80,), 0x03: (0x40, 0xC0), 0x06: (0x40, 0x80), 0x0C: (0x40,), 0x16: (0x40, 0x80, 0xC0)}
sizes = st.sampled_from((1, 4, 5, 8, 9, 16, 20, 20, 24, 40, 300, 1000, 4096))


@st.composite
def extents(draw: st.DrawFn) -> bytes:
    first, last = sorted((draw(sound_tracks), draw(sound_tracks)))
    if draw(st.integers(0, 2)):
        first, last = (0, 0), (1, 14)
    mask = draw(st.sampled_from((0x00, 0x40, 0x80, 0xC0, 0xC0, 0x18, 0xC8, 0xD0)))
    return bytes([mask, 0xC0]) + bytes(6) + track_address(*first) + track_address(*last)


@st.composite
def locations(draw: st.DrawFn, operation: int, count: int) -> bytes:
    at = draw(sound_tracks)
    argument = track_address(*(at if draw(st.integers(0, 9)) else draw(tracks)))
    orientation = draw(st.sampled_from((0x00, 0x00, *(ORIENTATIONS.get(operation, ()) * 3), 0x40, 0x80, 0xC0)))
    return (
        bytes([orientation | operation, draw(st.sampled_from((0,) * 12 + (1, 1, 2))), 0, count])
        + track_address(*at)
        + argument
        + bytes([draw(numbers), 0, 0, 0])
    )


@st.composite
def count_fields(draw: st.DrawFn) -> bytes:
    key, data = draw(st.sampled_from((0, 0, 4, 200))), draw(st.sampled_from((0, 8, 20, 20, 600, 5000, 50000, 0xFFFF)))
    field = track_address(*draw(tracks)) + bytes([draw(numbers), key]) + data.to_bytes(2, "big")
    return (b"\xff" * 8 if not draw(st.integers(0, 30)) else field) + draw(
        st.sampled_from((b"", b"content", b"c" * 28))
    )


@st.composite
def whole_tracks(draw: st.DrawFn) -> bytes:
    at = track_address(*draw(sound_tracks))
    fields = [(0, 0, 8), *draw(st.lists(st.tuples(numbers, st.sampled_from((0, 4)), st.integers(0, 40)), max_size=3))]
    records = [at + bytes([n, key]) + data.to_bytes(2, "big") + bytes([n]) * (key + data) for n, key, data in fields]
    return b"".join(records) + draw(st.sampled_from((b"\xff" * 8, b"\xff" * 8, b"\xff" * 8, b"")))


@st.composite
def steps_of(draw: st.DrawFn, code: int) -> Step:
    """A command with what it may well take."""
    if code == 0x63:
        return Step(code, draw(extents()))
    if code == 0x47:
        return Step(
            code, draw(locations(draw(st.sampled_from((0, 1, 3, 6, 6, 0x0B, 0x16, 0x2A))), draw(st.integers(0, 3))))
        )
    if code in (0x07, 0x0B, 0x1B):
        return Step(code, bytes(2) + track_address(*draw(tracks)))
    if code & 0x7F in (0x31, 0x51, 0x71):
        return Step(code, track_address(*draw(tracks)) + bytes([draw(numbers)]))
    if code in SEARCHES:
        return Step(code, draw(st.sampled_from((b"KEY1", b"KEY2", b"KEY3", b"KEY0", b"KK", b"\0\0\0\2"))))
    if code == 0x19:
        return Step(code, b"\0" + track_address(*draw(sound_tracks)))
    if code == 0x95:
        return Step(code, draw(whole_tracks()), flags=draw(st.sampled_from((0, SLI))))
    if code in FORMATS or code == 0x9D:
        return Step(code, draw(count_fields()), flags=SLI)
    if code in UPDATES or code == 0xA5:
        return Step(code, b"\x77" * draw(sizes), flags=draw(st.sampled_from((0, SLI, SLI))))
    if code == 0x1F:
        return Step(code, bytes([draw(st.sampled_from((0x00, 0x40, 0x80, 0xC0, 0x18, 0xD8, 0x08, 0x10)))]))
    if code == 0x23:
        return Step(code, bytes([draw(st.sampled_from((0, 100, 223, 224, 255)))]))
    if code == 0xAF:
        function = draw(st.sampled_from((0x00, 0x80, 0x80, 0x20, 0x40, 0x60)))
        return Step(code, bytes([function]) + draw(st.sampled_from((b"A", b"B"))) * 11)
    if code == 0x27:
        order, sub = draw(st.sampled_from(((0x18, 0x41), (0x18, 0x0E), (0x18, 0x52), (0x1D, 0xC0), (0x99, 0))))
        return Step(code, bytes([order, 0, 0, 0, 0, 0, sub]) + bytes(5 if order != 0x1D else 59))
    exact = {0xE4: 12, 0x34: 12, 0x64: 64, 0xFA: 256, 0x3E: 256, 0x04: 32, 0xB4: 32, 0x94: 32, 0x14: 32, 0x12: 8,
             0x92: 8, 0x16: 16, 0x96: 16, 0x1A: 5, 0x9A: 5, 0x13: 0, 0x03: 0}.get(code)  # fmt: skip
    size = exact if exact is not None and draw(st.booleans()) else draw(sizes)
    return Step(code, size=size, flags=draw(st.sampled_from((0, SLI, SLI, SLI))))


def command_of(codes: tuple[int, ...]) -> st.SearchStrategy[Step]:
    return st.sampled_from(codes).flatmap(steps_of)


# --- sequences of commands as a driver would issue them


@st.composite
def domains(draw: st.DrawFn) -> list[Step]:
    """Define Extent, Locate Record, and what it announced (or not quite)."""
    operation, codes = draw(st.sampled_from(
        ((0x06, READS), (0x16, READS), (0x01, UPDATES), (0x03, FORMATS), (0x0B, FORMATS))))  # fmt: skip
    announced = draw(st.integers(1, 5))
    number = announced if draw(st.integers(0, 4)) else draw(st.integers(1, 6))
    work = [draw(command_of(codes)) for _ in range(number)]
    return [Step(0x63, draw(extents())), Step(0x47, draw(locations(operation, announced))), *work]


@st.composite
def searched(draw: st.DrawFn) -> list[Step]:
    """Seek, search until found, do something there."""
    head = draw(positions())
    if draw(st.booleans()):
        head.insert(0, draw(st.sampled_from((0x1F, 0x63)).flatmap(steps_of)))
    search = draw(command_of(SEARCHES))
    work = [draw(command_of((*READS, *UPDATES, *FORMATS, 0x5E))) for _ in range(draw(st.integers(1, 3)))]
    return [*head, search, Step(TIC, target=len(head)), *work]


@st.composite
def positions(draw: st.DrawFn) -> list[Step]:
    """A seek, as reads and searches need it; seldom none."""
    return [Step(0x07, bytes(2) + track_address(*draw(sound_tracks)))] if draw(st.integers(0, 9)) else []


@st.composite
def anything(draw: st.DrawFn) -> list[Step]:
    codes = (
        *MISCELLANEOUS,
        *TRACK_READS,
        *TRACK_WRITES,
        0x5E,
        *READS,
        *UPDATES,
        *FORMATS,
        *SEARCHES,
        0x07,
        0x0B,
        0x1B,
        0x1F,
        0x63,
        0x47,
    )
    return [*draw(positions()), *(draw(command_of((*codes, *UNKNOWN))) for _ in range(draw(st.integers(1, 6))))]


@st.composite
def errands(draw: st.DrawFn) -> list[Step]:
    return [draw(command_of(MISCELLANEOUS)) for _ in range(draw(st.integers(1, 4)))]


@st.composite
def extended_domains(draw: st.DrawFn) -> list[Step]:
    """Define Extent and Locate Record Extended, or a Prefix, and commands for whole tracks, or others."""
    operation, extended, codes = draw(st.sampled_from(TRACK_OPERATIONS))
    announced = draw(st.integers(1, 3))
    tracks = b""
    if extended == 0x11:
        spread = draw(st.sampled_from(("1" * announced, "1" + "01" * (announced - 1), "1", "01")))
        tracks = int(spread.ljust(16, "0"), 2).to_bytes(2, "big")[: draw(st.sampled_from((1, 2, 2, 2)))]
    length = draw(st.sampled_from((0, 9, 16, 20, 20, 24)))
    location = bytearray(draw(locations(operation, announced)))
    location[1] = 0x80 if draw(st.integers(0, 9)) else 0x00
    location[14:16] = length.to_bytes(2, "big")
    location += bytes([0, extended]) + len(tracks).to_bytes(2, "big") + tracks
    extent = draw(extents())
    work = [draw(command_of(codes)) for _ in range(draw(st.integers(1, 4)))]
    if draw(st.booleans()):
        return [Step(0x63, extent), Step(0x4B, bytes(location)), *work]
    head = bytes([draw(st.sampled_from((0, 1, 1, 1, 1, 2))), draw(st.sampled_from((0x80, 0xA0, 0x00)))])
    unit = draw(st.sampled_from((UNIT_ADDRESS, UNIT_ADDRESS, 0x99)))
    return [Step(0xE7, head + bytes([unit]) + bytes(9) + extent + bytes(16) + bytes(location)), *work]


# --- faults and variations

places = st.sampled_from(
    (END_OF_MAIN - 3, END_OF_MAIN, PROTECTED, PROTECTED + 0x7F8, READABLE, READABLE + 0x7F8, OPEN, OPEN + 0x7FC,
     DAMAGED, DAMAGED - 4, ABOVE_16M, ABOVE_16M - 2, 0x80000000 + DATA, 0x7FFFFFFC, DATA, DATA + 7,
     PROGRAM + 16))  # fmt: skip


def splits(step: Step, sizes: list[int], flags: int) -> list[Step]:
    """The same data by a data chain."""
    pieces, done = [], 0
    for size in (*sizes, 0xFFFF):
        part = min(size, step.count - done)
        if part <= 0:
            break
        # the command code of what is data-chained means nothing
        command = step.command if not done else 0x55
        pieces.append(Step(command, step.data[done : done + part], 0 if step.data else part, flags | CD))
        done += part
    if not pieces:
        return [step]
    pieces[-1].flags = step.flags | flags
    return pieces


@st.composite
def varied(draw: st.DrawFn, step: Step) -> list[Step]:
    """Seldom as it was."""
    match draw(st.integers(0, 45)):
        case 0:
            return splits(step, [draw(st.integers(1, 10)), draw(st.integers(1, 30))], 0)
        case 1:
            return splits(step, [draw(st.integers(1, 10))], draw(st.sampled_from((SLI, SKIP, PCI, IDA, CC))))
        case 2:
            return [replace(step, flags=step.flags ^ draw(st.sampled_from((SLI, SKIP, PCI, CD, SUSPEND))))]
        case 3:
            return [replace(step, size=draw(st.sampled_from((0, 1, 2, 7, step.count + 1, step.count + 8, 0xFFFF))))]
        case 4:
            return [replace(step, at=draw(places))]
        case 5:
            return [replace(step, flags=step.flags | IDA)]
        case 6 if step.data:
            at = draw(st.integers(0, len(step.data) - 1))
            changed = bytes([draw(st.integers(0, 255))])
            return [replace(step, data=step.data[:at] + changed + step.data[at + 1 :])]
        case 7:
            return [step, Step(TIC, target=draw(st.integers(0, 10)))]
        case 8:
            return [replace(step, command=draw(st.sampled_from((0x00, 0x40, *UNKNOWN, *MISCELLANEOUS))))]
        case 9:
            return [replace(step, flags=step.flags | SUSPEND)]
        case 10 | 11:
            return [replace(step, flags=step.flags | MIDA)]
        case 12:
            return splits(step, [draw(st.integers(1, 10))], MIDA)
        case 13:
            return [
                step,
                Step(
                    TIC,
                    target=draw(
                        st.sampled_from((PROTECTED, READABLE, DAMAGED, END_OF_MAIN, 0x1004, 0x7FFFFFF8, 0x80001000))
                    ),
                ),
            ]
    return [step]


def chained(steps: list[Step]) -> list[Step]:
    """Command chaining on all but the last."""
    for step in steps[:-1]:
        if step.command != TIC and not step.flags & CD:
            step.flags |= CC
    return steps


@st.composite
def idaw_faults(draw: st.DrawFn, word: int) -> list[tuple[int, bytes]]:
    """An IDAW of one of the lists, spoilt."""
    if draw(st.integers(0, 5)):
        return []
    if draw(st.booleans()):  # a byte of any list: reserved bits, flags and counts of modified IDAWs
        at = IDALS + 0x100 * draw(st.integers(0, 5)) + draw(st.integers(0, 31))
        return [(at, bytes([draw(st.sampled_from((0x00, 0x01, 0x10, 0x40, 0x80, 0xFF)))]))]
    width = 8 if word & WIDE else 4
    bad = draw(
        st.sampled_from((END_OF_MAIN, END_OF_MAIN - 1, DATA + 5, 0x80000000 | DATA, PROTECTED, ABOVE_4G + 9, OPEN))
    )
    at = IDALS + 0x100 * draw(st.integers(0, 5)) + width * draw(st.integers(0, 1))
    return [(at, (bad % (1 << 8 * width)).to_bytes(width, "big"))]


# bits of the ORB; one of this plus 1 programs has it
VARIATIONS = ((PREFETCH, 1), (WIDE, 1), (IDA_2K, 1), (IMMEDIATE_LENGTH, 3), (MAY_SUSPEND, 1), (NO_SUSPEND_IRQ, 3),
              (MIDAWS, 1))  # fmt: skip


@st.composite
def programs(draw: st.DrawFn, hosts: int = 1) -> Program:
    steps = draw(st.one_of(domains(), searched(), anything(), errands(), extended_domains()))
    steps = [replace(piece) for step in steps for piece in draw(varied(step))][:LONGEST]
    word = 0xFF00 | draw(st.sampled_from((FORMAT_1, FORMAT_1, FORMAT_1, 0)))
    for bit, seldom in VARIATIONS:
        if not draw(st.integers(0, seldom)):
            word |= bit
    key = draw(st.sampled_from((0, 0, 0, 0, 0, 0, 0, 0, 5, 6)))
    if not draw(st.integers(0, 9)):
        word = word & ~0xFF00 | draw(st.sampled_from((0x40, 0x80, 0xC0, 0x3F))) << 8
    start = PROGRAM
    if not draw(st.integers(0, 30)):
        start = draw(st.sampled_from((PROGRAM + 8, PROGRAM + 4, END_OF_MAIN, 0x80001000, 0x7FFFFFF8, ABOVE_16M)))
    return Program(chained(steps), word | key << 28, start, draw(st.integers(0, hosts - 1)), draw(idaw_faults(word)))

# SPDX-License-Identifier: GPL-2.0-or-later
"""One machine twice, for the C core and the reference, with equal disk and storage; and what must come out equal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ccwemu import channel as core

from .eckd import HEADS, Disk, Identity
from .storage import PROTECTION_CHECK, Area, Storage
from .subchannel import Status, Subchannel
from .track import Block, Track

CYLINDERS = 2
UNIT_ADDRESS = 0x34
PROGRAM, DATA, IDALS = 0x1000, 0x4000, 0xD000
END_OF_MAIN = 0x10000
PROTECTED, READABLE, OPEN, DAMAGED = 0x20000, 0x20800, 0x21000, 0x22000
ABOVE_16M, ABOVE_4G = 0x1000000, 0x180000000
AREA_KEY = 5
UNPREDICTABLE_COUNT = 0x20 | PROTECTION_CHECK | 0x0F
"""Subchannel status with which the count means nothing: program, protection and the control checks, chaining check."""
CORE_SENSE = (0, 1, 2, 4, 5, 6, 7, 27)
"""Sense bytes that say what happened, where, and in which format."""


def areas() -> list[Area]:
    """Storage with all that can go wrong: a hole behind the main part, keys, addresses beyond 24 and 31 bits."""
    return [
        Area(0, bytearray(b"\xee" * END_OF_MAIN)),
        Area(PROTECTED, bytearray(b"\xee" * 0x800), AREA_KEY, fetch_protected=True),
        Area(READABLE, bytearray(b"\xee" * 0x800), AREA_KEY),
        Area(OPEN, bytearray(b"\xee" * 0x800)),
        Area(DAMAGED, bytearray(b"\xee" * 0x800), damaged=True),
        Area(ABOVE_16M, bytearray(b"\xee" * 0x800)),
        Area(ABOVE_4G, bytearray(b"\xee" * 0x1000)),
    ]


def text(cylinder: int, head: int, number: int, size: int) -> bytes:
    return (f"{cylinder}/{head}/{number};".encode() * (size // 6 + 1))[:size]


def record(cylinder: int, head: int, number: int, size: int, key: bytes = b"") -> core.Record:
    return core.Record(cylinder, head, number, key, text(cylinder, head, number, size))


def initial_track(cylinder: int, head: int) -> list[core.Record]:
    """Each kind of track comes several times: short blocks, keyed ones, mixed ones, long ones, none at all."""
    r0 = core.Record(cylinder, head, 0, b"", bytes(8))
    at = (cylinder, head)
    match head % 5:
        case 0:
            return [r0, *(record(*at, n, 20) for n in (1, 2, 3))]
        case 1:
            return [r0, record(*at, 1, 24, b"KEY1"), record(*at, 2, 0, b"KEY2"), record(*at, 3, 9, b"KEY3")]
        case 2:
            return [r0, record(*at, 1, 300), record(*at, 7, 8, b"K" * 30), record(*at, 3, 0), record(*at, 4, 64)]
        case 3:
            return [r0, record(*at, 1, 4096), *(record(*at, n, 16) for n in range(2, 6))]
        case _:
            return [r0]


def blocks(records: list[core.Record]) -> Track:
    return [Block(record.to_bytes()[:8], record.key, record.data) for record in records]


TRACKS = [(cylinder, head) for cylinder in range(CYLINDERS) for head in range(HEADS)]


@dataclass
class Difference(AssertionError):
    """The two do not agree."""

    what: str
    core: object
    reference: object

    def __str__(self) -> str:
        return f"{self.what}: the core says {self.core}, the reference {self.reference}"


def agree(what: str, ours: object, theirs: object) -> None:
    if ours != theirs:
        raise Difference(what, ours, theirs)


class Image:
    """The core's disk, put back to its initial content for each pair of machines."""

    def __init__(self, path: Path) -> None:
        core.Image.create(path, cylinders=CYLINDERS)
        self.image = core.Image.open(path)
        self.initial = {at: initial_track(*at) for at in TRACKS}
        self.blocks = {at: blocks(self.initial[at]) for at in TRACKS}
        for at in TRACKS:
            self.image.write_track(*at, self.initial[at])
        self.raw = {at: self.image.read_raw(*at) for at in TRACKS}
        self.identity = self._identity()

    def _identity(self) -> Identity:
        """What the core's device says of itself; test_core_eckd.py looks at the content."""
        memory = bytearray(0x2000)
        storage = core.Storage()
        storage.map(0, memory)
        sch = core.Subchannel(self.device(), devno=1, chpids=[0x41], pim=0x80, pam=0x80, pom=0xFF)

        def ask(code: int, before: bytes = b"") -> bytes:
            memory[: len(before) + 8] = before + core.build_ccw(code, 0x1000, 0x1000, 0x20)
            sch.start(core.build_orb(0), storage)
            left = core.Irb.parse(sch.test()[1]).scsw.residual
            return bytes(memory[0x1000 : 0x2000 - left])

        def page(suborder: int) -> bytes:
            memory[0x100:0x10C] = bytes([0x18, 0, 0, 0, 0, 0, suborder, 0, 0, 0, 0, 0])
            return ask(0x3E, core.build_ccw(0x27, 0x100, 12, 0x40))

        return Identity(ask(0xE4), ask(0x64), ask(0xFA), {suborder: page(suborder) for suborder in (0x0E, 0x41)})

    def device(self, read_only: bool = False) -> core.Device:
        return core.Device(self.image, unit_address=UNIT_ADDRESS, read_only=read_only)

    def restore(self) -> None:
        for at in TRACKS:
            if self.image.read_raw(*at) != self.raw[at]:
                self.image.write_track(*at, self.initial[at])
                self.raw[at] = self.image.read_raw(*at)  # what lies behind the end of a track may differ


class Twins:
    """Both machines. ``load`` puts bytes into both storages, ``start`` and ``resume`` run both and compare."""

    def __init__(self, image: Image, *, read_only: bool = False, hosts: int = 1, concurrent_sense: bool = True) -> None:
        image.restore()
        self.image = image
        self.device = image.device(read_only)
        self.areas = areas()
        self.core_storage = core.Storage()
        for area in self.areas:
            self.core_storage.map(
                area.start, area.content, key=area.key, fetch_protected=area.fetch_protected, damaged=area.damaged
            )
        self.storage = Storage(areas())
        self.disk = Disk({at: list(image.blocks[at]) for at in TRACKS}, image.identity, UNIT_ADDRESS, read_only)
        self.hosts = [
            (self._core_subchannel(concurrent_sense), Subchannel(self.disk, host, concurrent_sense=concurrent_sense))
            for host in range(hosts)
        ]

    def _core_subchannel(self, concurrent_sense: bool) -> core.Subchannel:
        return core.Subchannel(
            self.device,
            devno=0x7E52,
            chpids=[0x41, 0x42],
            pim=0xC0,
            pam=0xC0,
            pom=0xFF,
            concurrent_sense=concurrent_sense,
        )

    def load(self, address: int, data: bytes) -> None:
        """Into both storages, whatever the keys. What lies in no area is left out."""
        for area in (*self.areas, *self.storage.areas):
            if area.start <= address and address + len(data) <= area.start + len(area.content):
                area.content[address - area.start : address - area.start + len(data)] = data

    def start(self, orb: bytes, host: int = 0) -> Status:
        ours, theirs = self.hosts[host]
        expected = theirs.start(orb, self.storage)
        agree("condition code", ours.start(orb, self.core_storage), 0)
        return self._compare(ours, expected)

    def refuse(self, orb: bytes, host: int = 0) -> None:
        """The reference says operand exception: the core has to say so too."""
        try:
            self.hosts[host][0].start(orb, self.core_storage)
        except ValueError:
            return
        raise Difference("START SUBCHANNEL", "started", "operand exception")

    def resume(self, host: int = 0) -> Status:
        ours, theirs = self.hosts[host]
        expected = theirs.resume()
        agree("condition code of RESUME SUBCHANNEL", ours.resume(), 0)
        return self._compare(ours, expected)

    def clear(self, host: int = 0) -> None:
        """Give up a suspended program."""
        ours, theirs = self.hosts[host]
        ours.clear()
        ours.test()
        theirs.disk.begin(theirs.host, theirs.path)

    def _compare(self, ours: core.Subchannel, expected: Status) -> Status:
        irb = ours.test()[1]
        self.compare_status(Status.parse(irb), expected)
        for area, other in zip(self.areas, self.storage.areas, strict=True):
            agree(f"storage from {area.start:x} on", *differing(area.content, other.content))
        self.compare_disk()
        return expected

    def compare_status(self, found: Status, expected: Status) -> None:
        agree("SCSW flags", f"{found.flags:08x}", f"{expected.flags:08x}")
        agree("device status", f"{found.device_status:02x}", f"{expected.device_status:02x}")
        agree("subchannel status", f"{found.status:02x}", f"{expected.status:02x}")
        agree("CCW address", f"{found.ccw_address:x}", f"{expected.ccw_address:x}")
        agree("path used", found.path, expected.path)
        if not found.status & UNPREDICTABLE_COUNT and not found.suspended:
            agree("residual count", found.count, expected.count)
        agree("sense", *(status.sense and "".join(f"{status.sense[i]:02x}" for i in CORE_SENSE)
                         for status in (found, expected)))  # fmt: skip

    def compare_disk(self) -> None:
        for at in TRACKS:
            if self.image.image.read_raw(*at) == self.image.raw[at]:
                found = self.image.blocks[at]
            else:
                found = blocks(self.image.image.read_track(*at))
            agree(f"track {at[0]}/{at[1]}", found, self.disk.tracks[at])


def differing(ours: bytearray, theirs: bytearray) -> tuple[str, str]:
    """The first bytes that differ, with their offset; twice the same when none do."""
    if ours == theirs:
        return "", ""
    at = next(i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b)
    return f"+{at:x}: {ours[at : at + 16].hex()}", f"+{at:x}: {theirs[at : at + 16].hex()}"

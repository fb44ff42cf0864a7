# SPDX-License-Identifier: GPL-2.0-or-later
"""Random channel programs, region accesses and images, from fixed seeds: any of them ends, and ends well.

What must hold whatever the guest does: a start comes back with status pending (or a condition code), storage that
is not mapped keeps its content, every track of the image stays sound, home addresses and the header stay as they are.
"""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest
from core_rig import DATA, PROGRAM, STORAGE_SIZE, Rig, extent, locate

from ccwemu.channel import Device, Image, ImageError, Storage, Subchannel, VfioCcw, VfioRegion, build_orb, track_address

ROUNDS = 1500
GUARD = 0x10000

COMMANDS = bytes.fromhex(
    "02030405060708090b0d0e1112131415161a1b1d1e1f23272931343e394749516364697194afb4e4fa8586888d8e929d9eb1b9c9d1e9f100ff"
)
FLAGS = (0x00, 0x20, 0x40, 0x40, 0x60, 0x60, 0x60, 0x80, 0xA0, 0x10, 0x70, 0x08, 0x24, 0x64, 0x02, 0x01)


def some_track(source: random.Random) -> tuple[int, int]:
    return source.randrange(5), source.randrange(16)


def parameters(source: random.Random, command: int) -> bytes:
    """Something that the command may well take for its parameters."""
    place = some_track(source)
    number = source.randrange(15)
    if command == 0x63:
        first = (source.randrange(2), 0)
        return extent(source.choice((0x00, 0x40, 0x80, 0xC0)), first, (3, 14) if source.random() < 0.8 else place)
    if command == 0x47:
        operation = source.choice((0x00, 0x01, 0x01, 0x03, 0x03, 0x06, 0x16, 0x0C))
        return locate(
            operation, *place, number, source.randrange(4), orientation=source.choice((0, 0, 0x40, 0x80, 0xC0))
        )
    if command in (0x1D, 0x9D, 0x15, 0x11):
        key, data = source.choice((0, 4, 255)), source.choice((0, 8, 512, 4096, 40000, 0xFFFF))
        return track_address(*place) + bytes([number, key]) + data.to_bytes(2, "big") + source.randbytes(64)
    if command in (0x07, 0x0B, 0x1B):
        return bytes(2) + track_address(*place)
    if command & 0x7F in (0x31, 0x51, 0x71):
        return track_address(*place) + bytes([number])
    return source.randbytes(source.choice((1, 12, 66)))


def random_program(source: random.Random, memory: memoryview, format0: bool) -> None:
    count = source.randint(1, 12)
    for index in range(count):
        command = source.choice((0x63, 0x47, 0x86, 0x85, 0x1D, source.choice(COMMANDS)))
        data = parameters(source, command)
        at = source.choice((DATA + 0x1000 * index, DATA, source.randrange(STORAGE_SIZE), source.getrandbits(32)))
        if at + len(data) <= STORAGE_SIZE:
            memory[at : at + len(data)] = data
        size = source.choice((len(data), len(data), 4096, 0, source.getrandbits(16)))
        flags = source.choice(FLAGS) | (0x40 if index < count - 1 and source.random() < 0.8 else 0)
        if index < 2 and source.random() < 0.7:  # most programs begin as the driver's do
            command = (0x63, 0x47)[index]
            data = parameters(source, command)
            at, size, flags = DATA + 0x1000 * index, len(data), 0x40
            memory[at : at + size] = data
        if source.random() < 0.05:
            command, at = 0x08, PROGRAM + 8 * source.randrange(count + 1)
        place = PROGRAM + 8 * index
        if format0:
            ccw = bytes([command]) + (at & 0xFFFFFF).to_bytes(3, "big") + bytes([flags, 0]) + size.to_bytes(2, "big")
        elif command == 0x08:
            ccw = bytes([8, 0, 0, 0]) + at.to_bytes(4, "big")
        else:
            ccw = bytes([command, flags]) + size.to_bytes(2, "big") + at.to_bytes(4, "big")
        memory[place : place + 8] = ccw


class Fuzzed:
    """A machine whose storage lies between guards."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.buffer = bytearray(b"\xa5" * (STORAGE_SIZE + 2 * GUARD))
        self.memory = memoryview(self.buffer)[GUARD:-GUARD]
        self.storage = Storage()
        self.storage.map(0, self.memory)

    def check(self) -> None:
        assert self.buffer[:GUARD] == self.buffer[-GUARD:] == b"\xa5" * GUARD
        self.rig.image.check()
        assert self.rig.path.read_bytes()[:512] == self.header

    @property
    def header(self) -> bytes:
        return b"CKD_P370" + bytes.fromhex("0f00000000de000090") + bytes(495)


@pytest.mark.parametrize("seed", range(4))
def test_programs(rig: Rig, seed: int) -> None:
    source = random.Random(seed)
    fuzzed = Fuzzed(rig)
    endings = set()
    for _ in range(ROUNDS):
        format0 = source.random() < 0.3
        random_program(source, fuzzed.memory, format0)
        flags = source.getrandbits(32) & 0x087F00C0 & ~0x00040000
        flags = flags & ~0x00800000 if format0 else flags | 0x00800000
        start = PROGRAM if source.random() < 0.95 else source.getrandbits(31)
        assert rig.sch.start(build_orb(start, flags=flags), fuzzed.storage) == 0  # type: ignore[arg-type]
        while rig.sch.resume() == 0 and source.random() < 0.5:
            pass
        cc, irb = rig.sch.test()
        endings.add((irb[8], irb[9] & 0x7F))
        if rig.sch.store()[31] & 0x20 or cc == 1:  # suspended
            assert rig.sch.clear() == 0
            assert rig.sch.test()[0] == 0
    fuzzed.check()
    assert {0x0C, 0x0E} <= {device for device, _ in endings}
    assert {0x00, 0x20, 0x40} <= {status for _, status in endings}


@pytest.mark.parametrize("seed", range(2))
def test_regions(rig: Rig, seed: int) -> None:
    source = random.Random(seed)
    fuzzed = Fuzzed(rig)
    vfio = VfioCcw(rig.sch, fuzzed.storage, ida_2k=bool(seed))
    vfio.open()
    for _ in range(ROUNDS):
        random_program(source, fuzzed.memory, seed == 1)
        with contextlib.suppress(OSError):
            match source.randrange(8):
                case 0:
                    vfio.pwrite(VfioRegion.ASYNC, source.randrange(4).to_bytes(4, "big"))
                case 1:
                    vfio.pread(source.getrandbits(13), source.randrange(200))
                case 2:
                    vfio.pwrite(source.getrandbits(13), source.randbytes(source.randrange(130)))
                case 3:
                    vfio.reset()
                case _:
                    orb = build_orb(PROGRAM, flags=source.getrandbits(32) & 0xF8FF0080)  # type: ignore[arg-type]
                    vfio.pwrite(VfioRegion.IO, orb + bytes.fromhex("00004000") + bytes(8))
    vfio.close()
    fuzzed.check()


@pytest.mark.parametrize("seed", range(3))
def test_images(tmp_path: Path, seed: int) -> None:
    """A damaged image is refused, or every track that is damaged answers with a check."""
    source = random.Random(seed)
    path = tmp_path / "disk.ckd"
    Image.create(path, cylinders=1)
    sound = path.read_bytes()
    memory = bytearray(0x20000)
    for _ in range(150):
        damaged = bytearray(sound)
        for _ in range(source.randint(1, 4)):
            at = source.choice((source.randrange(40), 512 + 56832 * source.randrange(15) + source.randrange(40)))
            damaged[at] = source.choice((0x00, 0xFF, source.randrange(256)))
        path.write_bytes(damaged[: source.choice((len(damaged), len(damaged), source.randrange(len(damaged))))])
        try:
            image = Image.open(path)
        except ImageError:
            continue
        with image:
            storage = Storage()
            storage.map(0, memory)
            sch = Subchannel(Device(image), devno=1, chpids=[0x41], pim=0x80, pam=0x80, pom=0xFF)
            for _ in range(20):
                head = source.randrange(15)
                memory[0x2000:0x2010] = extent(0xC0, (0, 0), (0, 14))
                memory[0x2010:0x2020] = locate(source.choice((1, 3, 6)), 0, head, source.randrange(3), 2)
                program = [(0x63, 0x40, 16, 0x2000), (0x47, 0x40, 16, 0x2010)]
                program += [(source.choice((0x86, 0x92, 0x85, 0x1D, 0x9D, 0x8E)), 0x60, 512, 0x3000)] * 2
                program += [(0x03, 0x20, 0, 0)]
                for index, (command, flags, count, address) in enumerate(program):
                    ccw = bytes([command, flags]) + count.to_bytes(2, "big") + address.to_bytes(4, "big")
                    memory[PROGRAM + 8 * index : PROGRAM + 8 * index + 8] = ccw
                assert sch.start(build_orb(PROGRAM), storage) == 0
                assert sch.test()[0] == 0

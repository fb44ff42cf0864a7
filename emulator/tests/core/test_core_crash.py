# SPDX-License-Identifier: GPL-2.0-or-later
"""Images whose writer is killed, and images that are cut off while they are open."""

from __future__ import annotations

import errno
import os
import random
import resource
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from core_rig import BLOCK_SIZE, BLOCKS, CC, DATA, PROGRAM, SLI, C, Rig, extent, filled_track, locate, record_data

from ccwemu.channel import Device, Image, ImageError, OrbFlag, Record, Storage, Subchannel, build_ccw, build_orb

HEADER, TRACK = 512, 56832
SIZE = HEADER + 4 * 15 * TRACK
JOURNAL = (SIZE + 4095) // 4096 * 4096
JOURNAL_SIZE = 4096 + 57344
UPDATE, FORMAT = 0x80, 0x00
OK = "0c 00 0000"


def update(head: int = 0, content: bytes = b"n", number: int = 1) -> list[C]:
    return [C(0x63, extent(UPDATE), CC), C(0x47, locate(0x01, 0, head, number, 1), CC), C(0x05, content * BLOCK_SIZE)]


def in_child(work: Callable[[], object]) -> int:
    """Run something in a process of its own, which ends without closing anything; its wait status."""
    pid = os.fork()
    if not pid:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(99)
    return os.waitpid(pid, 0)[1]


@pytest.fixture
def path(rig: Rig) -> Path:
    """A disk that nobody has open."""
    rig.image.close()
    return rig.path


# --- the journal: made by the first write, gone with the close


def test_an_image_at_rest_has_no_journal(rig: Rig) -> None:
    rig.image.close()
    assert rig.path.stat().st_size == SIZE
    image = Image.open(rig.path)
    assert rig.path.stat().st_size == SIZE, "nothing was written yet"
    image.write_track(1, 1, filled_track(1, 1))
    assert rig.path.stat().st_size == JOURNAL + JOURNAL_SIZE
    with Image.open(rig.path, writable=False) as reader:
        assert reader.cylinders == 4
    assert rig.path.stat().st_size == JOURNAL + JOURNAL_SIZE, "a reader leaves it alone"
    image.close()
    assert rig.path.stat().st_size == SIZE


def journal(path: Path, *, valid: int = 1, track: int = 2, start: int = 0, end: int = TRACK, body: bytes = b"") -> None:
    """Put a journal behind the image, as a writer leaves it that was killed."""
    with path.open("r+b") as file:
        file.seek(JOURNAL)
        file.write(b"CCWEMUJ1" + struct.pack("<IIII", valid, track, start, end))
        file.truncate(JOURNAL + JOURNAL_SIZE)
        file.seek(JOURNAL + 4096)
        file.write(body)


def new_track() -> bytes:
    records = [Record(0, 2, 0, b"", bytes(8)), Record(0, 2, 1, b"", b"new" * 1000)]
    home = bytes([0, 0, 0, 0, 2])
    return home + b"".join(record.to_bytes() for record in records) + b"\xff" * 8


@pytest.mark.parametrize("writable", [True, False])
def test_a_commit_that_was_begun_is_finished(path: Path, writable: bool) -> None:
    """A reader sees it as well, and does not write to the file."""
    with path.open("r+b") as file:  # half new, half old
        file.seek(HEADER + 2 * TRACK)
        file.write(new_track()[:1500])
    journal(path, end=len(new_track()), body=new_track())
    before = path.read_bytes()
    with Image.open(path, writable=writable) as image:
        assert image.read_track(0, 2)[1].data == b"new" * 1000
        assert image.read_track(0, 1) == filled_track(0, 1)
        assert image.read_track(0, 3) == filled_track(0, 3)
        image.check()
    assert (path.read_bytes() == before) == (not writable)
    with Image.open(path) as image:
        assert image.read_track(0, 2)[1].data == b"new" * 1000
    assert path.stat().st_size == SIZE


def test_it_is_finished_once(path: Path) -> None:
    journal(path, end=len(new_track()), body=new_track())
    with Image.open(path) as image:
        image.write_track(0, 2, filled_track(0, 2))
    with Image.open(path) as image:
        assert image.read_track(0, 2) == filled_track(0, 2)


def test_a_journal_without_a_commit_means_nothing(path: Path) -> None:
    journal(path, valid=0, body=new_track())
    with Image.open(path) as image:
        assert image.read_track(0, 2) == filled_track(0, 2)
    assert path.stat().st_size == SIZE


@pytest.mark.parametrize("length", [4096, 4097, 20000, JOURNAL_SIZE])
def test_a_journal_that_was_not_ready(path: Path, length: int) -> None:
    """Killed while the journal was made: its first page comes first."""
    journal(path, valid=0)
    os.truncate(path, JOURNAL + length)
    with Image.open(path) as image:
        assert path.stat().st_size == SIZE, "it is cut off at once: other programs do not know it"
        image.check()
    assert path.stat().st_size == SIZE


@pytest.mark.parametrize(
    "damage", [{"track": 60}, {"start": 10, "end": 9}, {"end": TRACK + 1}], ids=["track", "order", "length"]
)
def test_a_damaged_journal_is_refused(path: Path, damage: dict[str, int]) -> None:
    journal(path, **damage)  # type: ignore[arg-type]
    before = path.read_bytes()
    with pytest.raises(ImageError, match="journal behind the tracks is damaged.*restore") as caught:
        Image.open(path)
    assert (caught.value.errno, caught.value.offset) == (errno.EILSEQ, SIZE)
    assert path.read_bytes() == before


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"\xff" * TRACK, "cylinder 0 head 2: home address ffff ffff, expected 0000 0002"),
        (bytes([0, 0, 0, 0, 2]) + b"\xff" * 8, "cylinder 0 head 2: no record 0"),
    ],
    ids=["home address", "record 0"],
)
def test_a_journal_that_would_spoil_a_track_is_refused(path: Path, body: bytes, problem: str, writable: bool) -> None:
    """Found by fuzzing: such a track was written, and the image refused for it."""
    journal(path, end=len(body), body=body)
    before = path.read_bytes()
    with pytest.raises(ImageError, match=problem):
        Image.open(path, writable=writable)
    assert path.read_bytes() == before


@pytest.mark.parametrize("length", [1, 4095, 4096, JOURNAL_SIZE, JOURNAL_SIZE + 1])
def test_other_bytes_behind_the_tracks_are_no_journal(path: Path, length: int) -> None:
    with path.open("ab") as file:
        file.write(b"\0" * (JOURNAL - SIZE) + b"x" * length)
    with pytest.raises(ImageError, match="expected whole cylinders"):
        Image.open(path)


def test_no_room_for_a_journal(path: Path) -> None:
    """A disk that is full for a journal takes writes all the same."""

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE, SIZE))
        with Image.open(path) as image:
            image.write_track(0, 2, [Record(0, 2, 0, b"", bytes(8))])

    assert in_child(work) == 0
    with Image.open(path) as image:
        assert len(image.read_track(0, 2)) == 1
    assert path.stat().st_size == SIZE


def test_two_processes_with_one_open_file(path: Path) -> None:
    """As a host's daemon and a guest: who closes cuts the journal off, and the other one goes on with a new one."""
    descriptor = os.open(path, os.O_RDWR)
    first, second = Image.open(descriptor), Image.open(descriptor)
    os.close(descriptor)
    for image, head in ((first, 1), (second, 2)):
        image.write_track(0, head, [Record(0, head, 0, b"", bytes(8))])
    first.close()
    assert path.stat().st_size == SIZE
    for head in (3, 4):
        second.write_track(0, head, [Record(0, head, 0, b"", bytes(8))])
    second.check()
    second.close()
    with Image.open(path) as image:
        assert [len(image.read_track(0, head)) for head in range(6)] == [13, 1, 1, 1, 1, 13]


# --- killed at any point

KILLS = 40
CONTENTS = 8
"""Blocks of round n are full of the byte n modulo this."""


def write_rounds(path: Path, report: int) -> None:
    """Write a whole track over and over, with another content each time; tell which round has reported device end."""
    memory = bytearray(0x100000)
    storage = Storage()
    storage.map(0, memory)
    sch = Subchannel(Device(Image.open(path)), devno=1, chpids=[0x41], pim=0x80, pam=0x80, pom=0xFF)
    memory[0x800:0x810], memory[0x820:0x830] = extent(UPDATE), locate(0x01, 0, 5, 1, BLOCKS)
    orbs = []
    for content in range(CONTENTS):
        program, data = PROGRAM + 0x100 * content, DATA + 0x10000 * content
        ccws = [build_ccw(0x63, 0x800, 16, CC), build_ccw(0x47, 0x820, 16, CC)]
        ccws += [build_ccw(0x85, data + BLOCK_SIZE * n, BLOCK_SIZE, CC if n < BLOCKS - 1 else 0) for n in range(BLOCKS)]
        memory[program : program + 8 * len(ccws)] = b"".join(ccws)
        memory[data : data + BLOCKS * BLOCK_SIZE] = bytes([content]) * (BLOCKS * BLOCK_SIZE)
        orbs.append(build_orb(program, flags=OrbFlag.FORMAT_1))
    for number in range(1, 1 << 32):
        sch.start(orbs[number % CONTENTS], storage)
        assert sch.test()[1][8:10] == b"\x0c\x00"
        os.pwrite(report, number.to_bytes(4, "big"), 0)


def test_killed_while_it_writes(path: Path, tmp_path: Path) -> None:
    seed = int(os.environ.get("CCWEMU_KILL_SEED", "0")) or random.SystemRandom().getrandbits(32)
    print(f"seed {seed}: repeat with CCWEMU_KILL_SEED={seed}")
    source = random.Random(seed)
    report = os.open(tmp_path / "report", os.O_RDWR | os.O_CREAT)
    for _ in range(KILLS):
        os.pwrite(report, bytes(4), 0)
        pid = os.fork()
        if not pid:
            try:
                write_rounds(path, report)
            finally:
                os._exit(99)
        while os.pread(report, 4, 0) == bytes(4):  # it has begun
            assert os.waitpid(pid, os.WNOHANG)[0] == 0
        until = time.perf_counter() + source.random() * 0.01
        while time.perf_counter() < until:
            pass
        os.kill(pid, signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
        reported = int.from_bytes(os.pread(report, 4, 0), "big")
        with Image.open(path) as image:
            image.check()
            blocks = [record.data for record in image.read_track(0, 5)[1:]]
            found = {byte for block in blocks for byte in set(block)}
        assert len(found) == 1, f"seed {seed}: half old, half new: {found}"
        assert found <= {reported % CONTENTS, (reported + 1) % CONTENTS}, (
            f"seed {seed}: {reported} was reported, {found} is there"
        )
    os.close(report)


# --- a file that is cut off while it is open


def test_a_program_on_tracks_that_are_gone(rig: Rig) -> None:
    """Equipment check instead of a signal that ends the process; tracks that are left can still be read by a tool."""
    keep = HEADER + 2 * TRACK
    os.truncate(rig.path, keep // 4096 * 4096)
    reads = [C(0x63, extent(), CC), C(0x47, locate(0x06, 0, 9, 1, 1), CC), C(0x06, BLOCK_SIZE)]
    result = rig.run(*reads)
    assert (result.raw[8], result.sense) == (0x0E, "108000")
    assert rig.run(*update(9)).sense == "108000", "and ever after"
    assert rig.run(C(0xE4, 12)).sense == "108000"
    with pytest.raises(ImageError, match="truncated while it was open") as caught:
        rig.image.read_track(0, 9)
    assert caught.value.errno == errno.EILSEQ
    with pytest.raises(ImageError, match="truncated while it was open"):
        rig.image.check()


def test_a_write_to_tracks_that_are_gone(rig: Rig) -> None:
    rig.run(*update(0))
    os.truncate(rig.path, HEADER)
    size = rig.path.stat().st_size
    assert rig.run(*update(9)).sense == "108000"
    with pytest.raises(ImageError, match="bytes are missing"):
        rig.image.write_track(0, 0, [Record(0, 0, 0, b"", bytes(8))])
    rig.image.close()
    assert rig.path.stat().st_size == size, "what was cut off does not come back as zeros"


def test_sense_without_concurrent_sense_on_a_file_that_is_gone(rig: Rig) -> None:
    schib = bytearray(rig.sch.store())
    schib[27] &= 0xFE
    rig.sch.modify(bytes(schib))
    os.truncate(rig.path, 0)
    assert rig.run(*update(9)).raw[8] == 0x0E
    result = rig.run(C(0x04, 32))
    assert result.status == OK
    assert rig.stored(result.addresses[0], 2).hex() == "1080"


def test_the_journal_is_cut_off_by_somebody(rig: Rig) -> None:
    """The write that meets it is still carried out, and the next one has a journal again."""
    assert rig.run(*update(1, b"a")).status == OK
    os.truncate(rig.path, SIZE)
    assert rig.run(*update(1, b"b", 2)).status == OK
    assert rig.run(*update(1, b"c", 3)).status == OK
    assert [r.data[:1] for r in rig.image.read_track(0, 1)[1:4]] == [b"a", b"b", b"c"]
    assert rig.path.stat().st_size == JOURNAL + JOURNAL_SIZE


def test_other_images_are_not_concerned(rig: Rig, tmp_path: Path) -> None:
    Image.create(tmp_path / "other", cylinders=1)
    with Image.open(tmp_path / "other") as other:
        os.truncate(tmp_path / "other", 512)
        with pytest.raises(ImageError, match="bytes are missing"):
            other.read_track(0, 14)
        assert rig.run(*update(3)).status == OK
        assert rig.image.read_track(0, 4)[1].data == record_data(0, 4, 1)


def test_formatting_is_all_or_nothing(rig: Rig) -> None:
    """A chain that formats a track and fails in the midst leaves what it reported; the track is sound."""
    counts = [C(0x1D, bytes([0, 3, 0, 0, n, 0, 16, 0]), CC | SLI) for n in (1, 2)]
    program = [C(0x63, extent(FORMAT), CC), C(0x47, locate(0x03, 3, 0, 0, 3), CC), *counts, C(0x1D, b"\xff" * 8, SLI)]
    assert rig.run(*program).sense == "800004"
    rig.image.check()
    assert [record.number for record in rig.image.read_track(3, 0)] == [0, 1, 2]

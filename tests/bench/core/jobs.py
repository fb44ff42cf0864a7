# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs: a channel program, the tracks it goes over, how often. Also their proof: what was read and written."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Iterator

from . import volume
from .programs import SLOT_SIZE, Program
from .volume import BLOCK, BLOCKS, HEADS, TRACK_BYTES

JOB_SIZE = 128
FIRST_SLOT = 0x100000

# flags of a job, as guest.S and driver.c know them
IO, POLL, NEXT_TRACK, SUM, POISON_EACH, STAMP, POISON_ONCE = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02

# first cylinder, first cylinder behind
SWEEP, WRITE_SWEEP, WARM, HOT, HOT_WRITTEN = (1, 101), (121, 221), (1, 11), (101, 111), (111, 121)

# How fast bytes are copied depends on where in a page they lie. Tracks begin at eight different places: the hot track
# is another one in each round, and the same one for all engines.
ALIGNMENTS = 8

# Times that a job is done in a round, the fastest of which counts: what else the machine does comes in bursts. Fewer,
# but still some, of a job that is long in itself.
REPEATS, SOME = 10, 3


@dataclass(frozen=True)
class Workload:
    """A figure to be measured: ``tracks`` is hot (one), warm (150 in turn), sweep (1500 in turn) or first.

    ``first``: sweep, but each track is touched for the first time since the engine has opened the image.
    """

    kind: str
    tracks: str

    def __str__(self) -> str:
        return f"{self.kind}.{self.tracks}"


WORKLOADS = tuple(
    Workload(kind, tracks)
    for kind, patterns in {
        "nop": ("hot",),
        "nop14": ("hot",),
        "read1": ("hot", "warm", "sweep"),
        "read12": ("first", "hot", "warm", "sweep"),
        "write12": ("hot", "sweep"),
        "idaw12": ("hot", "sweep"),
        "search1": ("hot", "sweep"),
        "search12": ("hot",),
    }.items()
    for tracks in patterns
)


@dataclass
class Job:
    """One entry of the job table; the lower fields are what came of it."""

    workload: Workload
    index: int
    programs: int
    poll: bool = False
    timed: bool = True
    verify: bool = False
    round: int = 0
    start: int = 0
    stop: int = 0
    checksum: int = 0
    last: int = 0
    program: Program = field(init=False)

    def __post_init__(self) -> None:
        self.program = Program(self.workload.kind, FIRST_SLOT + self.index * SLOT_SIZE)
        if self.program.writes:  # what will be written; the engine stamps word 0 of each block
            for block in range(BLOCKS):
                at = (self.index * 1009 + block * 61) % (len(volume.noise()) - BLOCK)
                to = 0x1000 + block * BLOCK
                self.program.storage[to : to + BLOCK] = volume.noise()[at : at + BLOCK]

    @property
    def seconds(self) -> float:
        """TOD clock units are 1/4096 of a microsecond."""
        return (self.stop - self.start) / 4096e6

    @property
    def microseconds(self) -> float:
        """A program's time."""
        return self.seconds / self.programs * 1e6

    @property
    def cylinders(self) -> tuple[int, int]:
        tracks = self.workload.tracks
        if tracks == "warm":
            return WARM
        if tracks == "hot":
            return HOT_WRITTEN if self.program.writes else HOT
        return WRITE_SWEEP if self.program.writes else SWEEP

    @property
    def first(self) -> tuple[int, int]:
        return self.cylinders[0], self.round % ALIGNMENTS if self.workload.tracks == "hot" else 0

    def tracks(self) -> list[tuple[int, int]]:
        """The tracks it goes over, in order."""
        if self.workload.tracks == "hot":
            return [self.first]
        return [(cylinder, head) for cylinder in range(*self.cylinders) for head in range(HEADS)]

    @property
    def flags(self) -> int:
        flags = 0 if self.workload.kind == "empty" else IO
        flags |= POLL if self.poll else 0
        flags |= NEXT_TRACK if self.workload.tracks != "hot" else 0
        if self.program.writes:
            return flags | STAMP
        if self.program.data_bytes:
            flags |= POISON_ONCE
            flags |= SUM | POISON_EACH if self.verify else 0
        return flags

    @property
    def stamp(self) -> int:
        return 0x57000000 | self.index << 8

    def entry(self, nop_residual: int) -> bytes:
        """The job as it stands in the table."""
        program = self.program
        status = 0x0C000000 | (nop_residual if self.workload.kind in ("nop", "nop14") else 0)
        packed = struct.pack(
            ">B3xIIIIIIIIIII",
            self.flags,
            self.programs,
            program.base + 0x200,
            program.base + program.patches[0],
            program.base + program.patches[1],
            program.end,
            status,
            program.data,
            program.data_bytes,
            self.first[0] << 16 | self.first[1],
            self.cylinders[1] << 16,
            self.stamp,
        )
        return packed.ljust(JOB_SIZE, b"\0")

    def take(self, entry: bytes) -> None:
        """Read what the engine left in the table. Raises RuntimeError."""
        self.start, self.stop, done, self.checksum, self.last = struct.unpack(">QQIII", entry[48:76])
        if done != self.programs:
            raise RuntimeError(f"job {self.index} ({self.workload}) did {done} of {self.programs} programs")

    def written(self) -> bytes:
        """What a track holds that this job has written."""
        data = bytearray(self.program.storage[0x1000 : 0x1000 + TRACK_BYTES])
        for block in range(BLOCKS):
            data[block * BLOCK : block * BLOCK + 4] = struct.pack(">I", self.stamp + block)
        return bytes(data)


def _expected(job: Job, track: tuple[int, int]) -> bytes:
    return b"".join(volume.record(*track, number) for number in job.program.records)


def _checksum(job: Job) -> int:
    """Sum over all programs of what each must have read, as the instruction CHECKSUM makes it."""
    tracks = job.tracks()
    rounds, rest = divmod(job.programs, len(tracks))
    return sum(
        int.from_bytes(_expected(job, track), "big") * (rounds + (place < rest)) for place, track in enumerate(tracks)
    )


def _check_read(job: Job, storage: bytes) -> Iterator[str]:
    track = job.last >> 16, job.last & 0xFFFF
    if job.program.gather(storage) != _expected(job, track):
        yield f"job {job.index} ({job.workload}): the buffer is not what cylinder {track[0]} head {track[1]} holds"
    if job.verify and (_checksum(job) - job.checksum) % 0xFFFFFFFF:
        yield f"job {job.index} ({job.workload}): the sum over all programs' data is wrong"


def check(jobs: list[Job], storage: bytes, image: Path) -> int:
    """Prove what was read and written. Returns the number of comparisons; raises RuntimeError: figures are void."""
    checked = 0
    last: dict[tuple[int, int], bytes] = {}
    for job in jobs:
        if job.program.writes:
            last.update(dict.fromkeys(islice(job.tracks(), job.programs), job.written()))
        elif job.program.data_bytes:
            checked += 1 + job.verify
            for problem in _check_read(job, storage):
                raise RuntimeError(problem)
    for track, data in last.items():
        if volume.track_data(image, *track) != data:
            raise RuntimeError(f"cylinder {track[0]} head {track[1]} of the image is not what was written")
        checked += 1
    return checked

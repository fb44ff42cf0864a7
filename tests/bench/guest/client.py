# SPDX-License-Identifier: GPL-2.0-or-later
"""In the guest: reads and writes both disks in turn, past the page cache, one request at a time.

Arguments: ROUNDS NAME=DISK NAME=DISK. Before each round it says so and waits for a line, so that the host can bring to
its own disk what it has of the images. In the end it prints the times as JSON: workload → name → ns of each round.

What is on the disks is kept in memory too. After each pass all of it is compared, what was written after it has been
read again; none of that is timed. Ends with 1 where it differs.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Sequence

START = 4 << 20
"""Byte of a disk from which on it is used: behind a DASD's label and table of contents."""
SPAN = 32 << 20
BLOCK = 4096
SEQUENTIAL = {"1m": 1 << 20, "64k": 64 << 10, "4k": BLOCK}
RANDOM = {"4k": BLOCK}
MOST = 2048
"""Requests of a pass, so that those of few bytes do not take much longer than others."""

REPETITIONS, QUICK = 4, 64 << 10
"""How often a pass is done, the fastest of which is the round's, when its requests are of more bytes than that."""


def pieces(order: str, size: int, number: int) -> list[tuple[int, int]]:
    """Where the requests of a round's pass begin and end; no byte twice."""
    begins = list(range(0, SPAN, size))
    if order == "random":
        random.Random(number).shuffle(begins)
    return [(begin, begin + size) for begin in begins[:MOST]]


class Disk:
    def __init__(self, path: str, content: bytes) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_DIRECT)
        self._buffer = mmap.mmap(-1, SPAN)  # a whole page each, as O_DIRECT wants it
        self._content = bytearray(content)
        self.write(pieces("seq", 1 << 20, 0), content)

    def write(self, wanted: Sequence[tuple[int, int]], content: bytes) -> int:
        """Nanoseconds that it took."""
        self._buffer[:] = content
        for begin, end in wanted:
            self._content[begin:end] = content[begin:end]
        parts = self._parts(wanted)
        since = time.monotonic_ns()
        for part, at in parts:
            if os.pwritev(self._file, part, at) != len(part[0]):
                raise SystemExit(f"{self._path}: a short write at {at}")
        took = time.monotonic_ns() - since
        self.read(pieces("seq", 1 << 20, 0))
        return took

    def read(self, wanted: Sequence[tuple[int, int]]) -> int:
        """Nanoseconds that it took."""
        self._buffer[:] = bytes(SPAN)
        parts = self._parts(wanted)
        since = time.monotonic_ns()
        for part, at in parts:
            if os.preadv(self._file, part, at) != len(part[0]):
                raise SystemExit(f"{self._path}: a short read at {at}")
        took = time.monotonic_ns() - since
        for begin, end in wanted:
            if self._buffer[begin:end] != self._content[begin:end]:
                raise SystemExit(f"{self._path}: bytes {START + begin} to {START + end} are not what was written")
        return took

    def _parts(self, wanted: Sequence[tuple[int, int]]) -> list[tuple[list[memoryview], int]]:
        view = memoryview(self._buffer)
        return [([view[begin:end]], START + begin) for begin, end in wanted]


def client_alone() -> float:
    """Nanoseconds of a request that nobody carries out: what this program and its system call take."""
    part = [memoryview(bytes(BLOCK))]
    with open("/dev/null", "wb", buffering=0) as null:
        since = time.monotonic_ns()
        for _request in range(MOST):
            os.pwritev(null.fileno(), part, 0)
        return (time.monotonic_ns() - since) / MOST


def main() -> None:
    rounds, disks = int(sys.argv[1]), dict(word.split("=", 1) for word in sys.argv[2:])
    # each round writes other bytes
    source = os.urandom(SPAN + (rounds + 1) * BLOCK)
    opened = {name: Disk(path, source[:SPAN]) for name, path in disks.items()}
    times: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    workloads = [("seq", *item) for item in SEQUENTIAL.items()] + [("random", *item) for item in RANDOM.items()]
    for number in range(1, rounds + 1):
        names = list(opened) if number % 2 else list(reversed(opened))
        content = source[number * BLOCK :][:SPAN]
        print(f"round {number} of {rounds}", flush=True)
        sys.stdin.readline()
        for name in names:
            times["write.clean.1m"][name].append(opened[name].write(pieces("seq", 1 << 20, number), content))
        for order, label, size in workloads:
            wanted = pieces(order, size, number)
            repetitions = range(REPETITIONS if size > QUICK else 1)
            for name in names:
                times[f"read.{order}.{label}"][name].append(min(opened[name].read(wanted) for _number in repetitions))
            for name in names:
                took = [opened[name].write(wanted, content) for _number in repetitions]
                times[f"write.{order}.{label}"][name].append(min(took))
    sizes = {f"{order}.{label}": (size, len(pieces(order, size, 1))) for order, label, size in workloads}
    sizes["clean.1m"] = sizes["seq.1m"]
    print(json.dumps({"times": times, "requests": sizes, "client_ns": client_alone()}))


if __name__ == "__main__":
    main()

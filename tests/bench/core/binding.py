# SPDX-License-Identifier: GPL-2.0-or-later
"""What a program costs when Python starts it and tests the subchannel. Run as a program of its own:

    python -m core.binding EXTENSION IMAGE HEAD SECONDS

Prints a JSON object: microseconds by kind of program, and "loop" for the loop without any call.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from itertools import repeat
from mmap import mmap
from pathlib import Path
from typing import Any, Callable

from .driver import EMULATOR
from .jobs import ALIGNMENTS, FIRST_SLOT, HOT, REPEATS
from .programs import ORB, SLOT_SIZE, Program
from .volume import record

KINDS = ("nop", "read12")


def measure(extension: Path, image: Path, number: int, seconds: float) -> dict[str, float]:
    """As this module's program prints it, for a round."""
    done = subprocess.run(
        [sys.executable, "-m", "core.binding", str(extension), str(image), str(number % ALIGNMENTS), str(seconds)],
        cwd=Path(__file__).parents[1],
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    )
    return dict(json.loads(done.stdout))


def _channel(extension: Path) -> Any:
    """The module ccwemu.channel of this source tree, over the extension module that was built for measuring."""
    sys.path.insert(0, str(EMULATOR / "src"))
    spec = importlib.util.spec_from_file_location("ccwemu._core", extension)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["ccwemu._core"] = module
    spec.loader.exec_module(module)
    import ccwemu

    ccwemu._core = module
    from ccwemu import channel

    return channel


def _time(body: Callable[[int], None], seconds: float) -> float:
    """Microseconds for one round of the body, which is called with the number of rounds: the fastest repetition."""
    rounds, taken = 100, 0.0
    while taken < seconds / REPEATS:
        rounds *= 2
        taken = _seconds(body, rounds)
    return min(_seconds(body, rounds) for _round in range(REPEATS)) / rounds * 1e6


def _seconds(body: Callable[[int], None], rounds: int) -> float:
    start = time.perf_counter()
    body(rounds)
    return time.perf_counter() - start


def _measure_kind(channel: Any, image: Any, kind: str, head: int, seconds: float) -> float:
    slot = Program(kind, FIRST_SLOT)
    memory = mmap(-1, FIRST_SLOT + SLOT_SIZE)  # begins at a page, as the driver's storage does
    memory[FIRST_SLOT:] = slot.storage
    track = HOT[0], head
    for patch in slot.patches:
        memory[FIRST_SLOT + patch : FIRST_SLOT + patch + 4] = bytes([0, track[0], 0, track[1]])
    storage = channel.Storage()
    storage.map(0, memory)
    sch = channel.Subchannel(channel.Device(image), devno=0x0A80, chpids=[0x41], pim=0x80, pam=0x80, pom=0xFF)
    orb = bytes(memory[FIRST_SLOT + ORB : FIRST_SLOT + ORB + 12])
    expected = (0, slot.end.to_bytes(4, "big") + b"\x0c\x00" + (b"\0\1" if kind == "nop" else b"\0\0"))

    def verify() -> None:
        cc, irb = sch.test()
        if (cc, irb[4:12]) != expected:
            raise RuntimeError(f"{kind}: cc {cc}, SCSW {irb[:12].hex()}, expected {expected[1].hex()}")

    def body(rounds: int) -> None:
        start, test = sch.start, sch.test
        for _round in repeat(None, rounds - 1):
            start(orb, storage)
            test()
        start(orb, storage)
        verify()

    taken = _time(body, seconds)
    data = b"".join(record(*track, number) for number in slot.records)
    if slot.gather(bytes(memory)) != data:
        raise RuntimeError(f"{kind}: the data are not what the track holds")
    return taken


def _loop(rounds: int) -> None:
    for _round in repeat(None, rounds):
        pass


def main() -> None:
    extension, image_path, head, seconds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    channel = _channel(extension)
    with channel.Image.open(image_path) as image:
        times = {kind: _measure_kind(channel, image, kind, head, seconds) for kind in KINDS}
    print(json.dumps({**times, "loop": _time(_loop, seconds)}))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: GPL-2.0-or-later
"""Generated channel programs, run by the C core and by the reference: status, sense, storage and disk come out equal.

As many programs as CCWEMU_EXAMPLES says, else a few; always the same ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from reference.channel import OperandException, TooLong
from reference.strategies import SUSPEND, Program, programs
from reference.twins import Image, Twins

from ccwemu.channel import build_orb

EXAMPLES = int(os.environ.get("CCWEMU_EXAMPLES", "150"))
bounded = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    image = Image(tmp_path_factory.mktemp("reference") / "disk.ckd")
    yield image
    image.image.close()


def run(twins: Twins, program: Program) -> None:
    """Start a program; when it suspends itself, let it go on twice."""
    for address, data in program.place():
        twins.load(address, data)
    orb = build_orb(program.start, parameter=7, lpm=0, flags=program.word)
    try:
        status = twins.start(orb, program.host)
    except OperandException:
        event("operand exception")
        twins.refuse(orb, program.host)
        return
    for attempt in range(3):
        if not status.suspended:
            break
        if attempt:  # without the flag it goes on, else it is suspended at once again
            remove_suspend_flag(twins, status.ccw_address - 8, bool(program.word & 0x00800000))
        status = twins.resume(program.host)
    if status.suspended:
        twins.clear(program.host)
    event(f"{status.device_status:02x} {status.status:02x} {status.sense[:2].hex() if status.sense else ''}")


def remove_suspend_flag(twins: Twins, ccw: int, format_1: bool) -> None:
    at = ccw + (1 if format_1 else 4)
    twins.load(at, bytes([twins.storage.fetch(at, 0) & ~SUSPEND]))


def run_all(twins: Twins, sequence: list[Program]) -> None:
    for program in sequence:
        try:
            run(twins, program)
        except TooLong:
            event("too long for the reference")
            return


@bounded
@given(programs())
def test_one_program(image: Image, program: Program) -> None:
    run_all(Twins(image), [program])


@bounded
@given(st.lists(programs(), min_size=2, max_size=4), st.booleans())
def test_programs_after_each_other(image: Image, sequence: list[Program], concurrent_sense: bool) -> None:
    """What a program leaves behind: sense data, path groups, reservations, written tracks."""
    run_all(Twins(image, concurrent_sense=concurrent_sense), sequence)


@bounded
@given(st.lists(programs(hosts=2), min_size=2, max_size=4))
def test_programs_of_two_hosts(image: Image, sequence: list[Program]) -> None:
    run_all(Twins(image, hosts=2), sequence)


@bounded
@given(programs())
def test_read_only_disk(image: Image, program: Program) -> None:
    run_all(Twins(image, read_only=True), [program])
    assert all(image.image.read_raw(*at) == raw for at, raw in image.raw.items())

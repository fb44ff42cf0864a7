# SPDX-License-Identifier: GPL-2.0-or-later
"""Channel end and device end apart: a seek is over for the channel before the arm has moved.

Principles of Operation, chapter 16: primary status, then secondary status; the device is active in between.
"""

from __future__ import annotations

import pytest
from core_rig import CC, PROGRAM, SLI, C, Rig, record_data

from ccwemu.channel import Device, Function, Irb, OrbFlag, Subchannel, VfioCcw, VfioIrq, VfioRegion, build_orb

SEEK, TIC = bytes(6), 0x08


@pytest.fixture
def apart(rig: Rig) -> Rig:
    device = Device(rig.image, device_end_apart=True)
    rig.sch = Subchannel(device, devno=0x7E52, chpids=[0x41, 0x42], pim=0xC0, pam=0xC0, pom=0xFF)
    return rig


def statuses(rig: Rig, *program: C) -> list[str]:
    """Low half of SCSW word 0, device and subchannel status of each TEST SUBCHANNEL until nothing is pending."""
    rig.place(program)
    rig.sch.start(build_orb(PROGRAM, lpm=0xFF, flags=OrbFlag.FORMAT_1), rig.storage)
    found = []
    for _ in range(5):
        cc, raw = rig.sch.test()
        if cc:
            break
        found.append(f"{raw[2]:02x}{raw[3]:02x} {raw[8]:02x} {raw[9]:02x}")
    return found


ROWS = [
    ("a seek", [C(0x07, SEEK)], ["4045 08 00", "4003 04 00"]),
    ("recalibrate", [C(0x13, 0)], ["4045 08 00", "4003 04 00"]),
    ("a seek with an incorrect length", [C(0x07, SEEK + b"1")], ["4055 08 40", "4003 04 00"]),
    ("a seek that is chained: its device end is waited for", [C(0x07, SEEK, CC), C(0x06, 4096)], ["4007 0c 00"]),
    ("a seek that cannot be", [C(0x07, b"\xff" * 6)], ["4017 0e 00"]),
    ("no seek", [C(0x03, 0)], ["4007 0c 00"]),
]


@pytest.mark.parametrize(("program", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_status(apart: Rig, program: list[C], expected: list[str]) -> None:
    assert statuses(apart, *(C(c.command, c.data, c.flags) for c in program)) == expected


def test_both_statuses_tell_the_path(apart: Rig) -> None:
    apart.place([C(0x07, SEEK)])
    apart.sch.start(build_orb(PROGRAM, lpm=0x40), apart.storage)
    assert [Irb.parse(apart.sch.test()[1]).path_used for _ in range(2)] == [0x40, 0x40]


def test_the_next_start_waits_for_the_device_end(apart: Rig) -> None:
    apart.place([C(0x07, SEEK)])
    orb = build_orb(PROGRAM)
    assert apart.sch.start(orb, apart.storage) == 0
    assert apart.sch.start(orb, apart.storage) == 1, "channel end is pending"
    apart.sch.test()
    assert apart.sch.start(orb, apart.storage) == 1, "device end is"
    apart.sch.test()
    assert apart.sch.start(orb, apart.storage) == 0


def test_clear_does_away_with_it(apart: Rig) -> None:
    apart.place([C(0x07, SEEK)])
    apart.sch.start(build_orb(PROGRAM), apart.storage)
    assert apart.sch.clear() == 0
    assert Function.CLEAR in Irb.parse(apart.sch.test()[1]).scsw.function
    assert apart.sch.test()[0] == 1


def test_reading_after_a_search(apart: Rig) -> None:
    program = [C(0x07, SEEK, CC), C(0x31, bytes(4) + b"\2", CC), C(TIC, at=PROGRAM + 8), C(0x06, 4096, SLI)]
    assert statuses(apart, *program) == ["4007 0c 00"]
    assert apart.stored(program[3].address, 4096) == record_data(0, 0, 2)


def test_a_guest_gets_two_interrupts(apart: Rig) -> None:
    """Linux' vfio_ccw_sch_io_todo: the program is over with the one that leaves no activity."""
    vfio = VfioCcw(apart.sch, apart.storage)
    count = 0

    def interrupt() -> None:
        nonlocal count
        count += 1

    vfio.set_irq(VfioIrq.IO, interrupt)
    vfio.open()
    apart.place([C(0x07, SEEK)])
    region = build_orb(PROGRAM) + (0x4000).to_bytes(4, "big") + bytes(124 - 16)
    vfio.pwrite(VfioRegion.IO, region)
    assert (count, vfio.state) == (1, "CP_PENDING")
    first = vfio.pread(VfioRegion.IO, 124)[24:36]
    assert (first[3], first[8], count, vfio.state) == (0x45, 0x08, 2, "IDLE")
    second = vfio.pread(VfioRegion.IO, 124)[24:36]
    assert (second[3], second[8], count) == (0x03, 0x04, 2)

# SPDX-License-Identifier: GPL-2.0-or-later
"""Extended status: the ESW that goes with an ending. Principles of Operation, chapter 16, "Extended-Status Word"."""

from __future__ import annotations

import pytest
from core_rig import CC, DATA, IDA, PROGRAM, SLI, C, Rig

from ccwemu.channel import build_ccw, build_orb

DAMAGED = 0x10_0000_1000
LOW_DAMAGED = 0x200000
ESW_FORMAT = 0x04000000
TIC = 0x08


@pytest.fixture
def damaged(rig: Rig) -> Rig:
    """Storage with errors, of which IDAWs reach the far part only."""
    for address in (LOW_DAMAGED, DAMAGED):
        rig.storage.map(address, bytearray(0x1000), damaged=True)
    return rig


ROWS = [
    # program, subchannel status, is it a format-0 ESW, words 0-3 of it
    ("a normal ending", [C(0x03, 0)], "00", False, "00800000 00000000 00000000 00000000"),
    ("unit check with its sense data", [C(0xFF, 1, SLI)], "00", True, "00800000 01002000 00000000 00000000"),
    ("program check", [C(0xE4, at=0x300000, count=12)], "20", False, "00800000 00000000 00000000 00000000"),
    ("too much work: the command was not sent", [C(0x03, 0, CC), C(TIC, at=PROGRAM)], "02", True,
     "00805004 00000000 00000000 00000000"),
    ("data stored into damaged storage", [C(0xE4, at=LOW_DAMAGED, count=12)], "08", True,
     "00804200 02400000 00000000 00200000"),
    ("data fetched from it", [C(0x07, at=LOW_DAMAGED + 0x100, count=6)], "08", True,
     "00804100 02400000 00000000 00200100"),
    ("a CCW in it", [C(0x03, 0, CC), C(TIC, at=LOW_DAMAGED + 8)], "04", True, "00804100 02400000 00000000 00200008"),
    ("IDAWs in it", [C(0xE4, at=LOW_DAMAGED, count=12, flags=IDA)], "04", True,
     "00804100 02400000 00000000 00200000"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("program", "status", "format_0", "esw"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_extended_status_word(damaged: Rig, program: list[C], status: str, format_0: bool, esw: str) -> None:
    result = damaged.run(*(C(c.command, c.data, c.flags, c.count, c.at) for c in program))
    assert f"{result.raw[9]:02x}" == status
    assert bool(result.irb.scsw.flags & ESW_FORMAT) == format_0
    assert result.raw[12:28].hex(" ", -4) == esw
    again = damaged.sch.test()
    assert (again[0], again[1][12:32]) == (1, bytes(20)), "it is given once"


def test_a_failing_address_above_4_gib(damaged: Rig) -> None:
    damaged.memory[DATA : DATA + 8] = (DAMAGED + 0x10).to_bytes(8, "big")
    damaged.memory[PROGRAM : PROGRAM + 8] = build_ccw(0xE4, DATA, 12, IDA)
    damaged.sch.start(build_orb(PROGRAM, flags=0x00820000), damaged.storage)  # type: ignore[arg-type]
    raw = damaged.sch.test()[1]
    assert (raw[9], raw[12:28].hex(" ", -4)) == (0x08, "00804200 02400000 00000010 00001010")

# SPDX-License-Identifier: GPL-2.0-or-later
"""What the ORB says of a program: validity, address limits, keys, prefetching, interruptions, and paths that go.

z/Architecture Principles of Operation, chapters 14 to 16.
"""

from __future__ import annotations

import threading

import pytest
from core_rig import CC, CD, DATA, IDA, MIDA, PCI, PROGRAM, SLI, STORAGE_SIZE, SUSPEND, C, Rig

from ccwemu.channel import Function, Irb, OrbFlag, Record, Storage, build_ccw, build_midaw, build_orb

OK = "0c 00 0000"
FORMAT_1 = OrbFlag.FORMAT_1
LIST = 0x8000

# --- validity: START SUBCHANNEL ends with an operand exception


@pytest.mark.parametrize("bit", [0x20, 0x10, 0x08, 0x04, 0x02])
def test_reserved_bits_of_word_1(rig: Rig, bit: int) -> None:
    rig.place([C(0x03, 0)])
    with pytest.raises(ValueError, match="operand exception"):
        rig.sch.start(build_orb(PROGRAM, flags=OrbFlag(FORMAT_1 | bit)), rig.storage)
    assert rig.sch.test()[0] == 1, "nothing was started"


@pytest.mark.parametrize("program", [0x80000000 | PROGRAM, 0xFFFFFFF8])
def test_bit_0_of_word_2(rig: Rig, program: int) -> None:
    with pytest.raises(ValueError, match="operand exception"):
        rig.sch.start(build_orb(program, flags=FORMAT_1), rig.storage)


@pytest.mark.parametrize(
    "bit", [0x04000000, 0x02000000, 0x01000000, 0x01], ids=["streaming", "modification", "sync", "x"]
)
def test_bits_that_mean_nothing_here(rig: Rig, bit: int) -> None:
    rig.place([C(0x03, 0)])
    assert rig.sch.start(build_orb(PROGRAM, flags=OrbFlag(FORMAT_1 | bit)), rig.storage) == 0
    assert rig.sch.test()[1][8:12].hex() == "0c000000"


@pytest.mark.parametrize(("program", "status"), [(0xFFFFF8, "00 20 0000"), (0x1000000, "00 20 0000")])
def test_format_0_programs_lie_below_16_mib(rig: Rig, program: int, status: str) -> None:
    rig.storage.map(0x1000000, bytearray(build_ccw(0x03, 0, 1, SLI)))
    assert rig.start((), OrbFlag(0), 0xFF, 0, program, rig.sch).status == status


# --- address-limit checking: SET ADDRESS LIMIT, limit mode in the PMCW, bit A of the ORB

LIMIT = 0x20000
LOW, HIGH = 0x20, 0x40
A = OrbFlag.ADDRESS_LIMIT

# name, limit mode, ORB, data address, status of a 12-byte read
LIMITS = [
    ("no mode", 0, A, DATA, OK),
    ("low: below", LOW, A, DATA, "0c 20 000c"),
    ("low: at the limit", LOW, A, LIMIT, OK),
    ("low: up to the limit", LOW, A, LIMIT - 1, "0c 20 000c"),
    ("high: below", HIGH, A, LIMIT - 12, OK),
    ("high: over the limit", HIGH, A, LIMIT - 5, "0c 20 0007"),
    ("high: at the limit", HIGH, A, LIMIT, "0c 20 000c"),
    ("not asked for", LOW, OrbFlag(0), DATA, OK),
    ("not asked for, high", HIGH, OrbFlag(0), LIMIT, OK),
]


def set_limit_mode(rig: Rig, mode: int) -> None:
    schib = bytearray(rig.sch.store())
    schib[5] |= mode
    assert rig.sch.modify(bytes(schib)) == 0


@pytest.mark.parametrize(("mode", "orb", "at", "status"), [r[1:] for r in LIMITS], ids=[r[0] for r in LIMITS])
def test_address_limit(rig: Rig, mode: int, orb: OrbFlag, at: int, status: str) -> None:
    """The program itself, and lists of IDAWs, may lie anywhere."""
    rig.storage.set_address_limit(LIMIT)
    set_limit_mode(rig, mode)
    assert rig.run(C(0xE4, 12, at=at), orb=orb).status == status
    rig.memory[LIST : LIST + 8] = at.to_bytes(8, "big")
    if at % 2048 <= 2048 - 12:
        assert rig.run(C(0xE4, 12, IDA, at=LIST), orb=orb | OrbFlag.IDA_64).status == status


def test_limit_of_zero(rig: Rig) -> None:
    set_limit_mode(rig, HIGH)
    assert rig.run(C(0xE4, 12), orb=A).status == "0c 20 000c"


@pytest.mark.parametrize("limit", [0x8000, 0x10001, 0x80000000, 1 << 40])
def test_impossible_limits(limit: int) -> None:
    with pytest.raises(ValueError, match="multiple of 64 KiB"):
        Storage().set_address_limit(limit)


# --- storage keys, in every path: key 6 in the ORB

PROTECTED = 2 * STORAGE_SIZE

# name, key and fetch protection of the area, what lies there, status
KEYS = [
    ("program, readable", 5, False, "program", OK),
    ("program, fetch-protected", 5, True, "program", "00 10 0000"),
    ("program, own key", 6, True, "program", OK),
    ("second CCW, fetch-protected", 5, True, "chained", "00 10 0000"),
    ("behind a TIC, fetch-protected", 5, True, "tic", "00 10 0000"),
    ("data chain, fetch-protected", 5, True, "data chain", "0c 10 0000"),
    ("IDAWs, readable", 5, False, "idaws", OK),
    ("IDAWs, fetch-protected", 5, True, "idaws", "0c 10 0006"),
    ("output, readable", 5, False, "output", OK),
    ("output, fetch-protected", 5, True, "output", "0c 10 0006"),
    ("input", 5, False, "input", "0c 10 000c"),
    ("input, own key", 6, False, "input", OK),
    ("input, key zero in storage", 0, False, "input", "0c 10 000c"),
]


@pytest.mark.parametrize(("key", "fetch", "what", "status"), [r[1:] for r in KEYS], ids=[r[0] for r in KEYS])
def test_keys(rig: Rig, key: int, fetch: bool, what: str, status: str) -> None:
    rig.storage.map(3 * STORAGE_SIZE, bytearray(64), key=6)
    seek = build_ccw(0x07, 3 * STORAGE_SIZE, 6)
    there = {
        "program": seek,
        "chained": seek,
        "tic": seek,
        "data chain": build_ccw(0, 3 * STORAGE_SIZE, 2),
        "idaws": (3 * STORAGE_SIZE).to_bytes(4, "big"),
    }.get(what, b"")
    rig.storage.map(PROTECTED, bytearray(there.ljust(64, b"\0")), key=key, fetch_protected=fetch)
    start = PROTECTED if what == "program" else PROGRAM
    programs = {
        "chained": [C(0x03, 0, CC), C(0x08, at=PROTECTED)],
        "tic": [C(0x03, 0, CC), C(0x08, at=PROTECTED)],
        "data chain": [C(0x07, bytes(4), CD), C(0x08, at=PROTECTED)],
        "idaws": [C(0x07, 0, IDA, count=6, at=PROTECTED)],
        "output": [C(0x07, 0, count=6, at=PROTECTED)],
        "input": [C(0xE4, 12, at=PROTECTED)],
    }
    assert rig.run(*programs.get(what, []), key=6, start=start).status == status


# --- prefetching off: a CCW is fetched when the one before it has ended


@pytest.mark.parametrize("orb", [OrbFlag(0), OrbFlag.PREFETCH])
def test_a_program_that_reads_its_next_ccw(rig: Rig, orb: OrbFlag) -> None:
    """As initial program load does: what has been read is what runs. With prefetching allowed nothing is prefetched."""
    with rig.image as image:
        image.write_track(2, 0, [Record(2, 0, 0, b"", bytes(8)), Record(2, 0, 1, b"", build_ccw(0xE4, DATA, 12))])
        seek = C(0x07, bytes.fromhex("000000020000"), CC)
        result = rig.run(seek, C(0x06, 8, CC, at=PROGRAM + 16), C(0x03, 0), orb=orb)
        assert (result.status, result.ccw) == (OK, 2)
        assert rig.stored(DATA, 3) == bytes.fromhex("ff3990")


def test_a_data_chain_that_reads_its_next_ccw(rig: Rig) -> None:
    with rig.image as image:
        image.write_track(2, 0, [Record(2, 0, 0, b"", bytes(8)),
                                 Record(2, 0, 1, b"", build_ccw(0, DATA, 4) + b"tail")])  # fmt: skip
        seek = C(0x07, bytes.fromhex("000000020000"), CC)
        assert rig.run(seek, C(0x06, 8, CD, at=PROGRAM + 16), C(0, 0)).status == OK
        assert rig.stored(DATA, 4) == b"tail"


# --- interruptions before the end

SUSPENDED = Function.START | Function.SUSPENDED
FINAL = Function.START | Function.PRIMARY | Function.SECONDARY | Function.PENDING
S, U, I = OrbFlag.SUSPEND, OrbFlag.SUPPRESS_SUSPEND_INTERRUPTION, OrbFlag.INITIAL_STATUS  # noqa: E741
NOW = Function.INTERMEDIATE | Function.PENDING

# name, program, ORB, function bits, subchannel status
INTERMEDIATE = [
    ("suspended", [C(0x03, 0, SUSPEND)], S, SUSPENDED | NOW, 0x00),
    ("suspended, suppressed", [C(0x03, 0, SUSPEND)], S | U, SUSPENDED, 0x00),
    ("PCI in the CCW that suspends", [C(0x03, 0, SUSPEND | PCI)], S, SUSPENDED | NOW, 0x80),
    ("the same, suppressed", [C(0x03, 0, SUSPEND | PCI)], S | U, SUSPENDED | NOW, 0x80),
    ("PCI before", [C(0x03, 0, CC | PCI), C(0x03, 0, SUSPEND)], S, SUSPENDED | NOW, 0x80),
    ("PCI before, suppressed", [C(0x03, 0, CC | PCI), C(0x03, 0, SUSPEND)], S | U, SUSPENDED | NOW, 0x80),
    ("PCI in a data chain", [C(0xE4, 4, CD), C(0, 8, PCI)], OrbFlag(0), FINAL | Function.INTERMEDIATE, 0x80),
    ("initial status", [C(0xE4, 12)], I, FINAL | Function.INTERMEDIATE, 0x00),
    ("initial status of an immediate command", [C(0x03, 0)], I, FINAL, 0x00),
    ("the same, chained", [C(0x03, 0, CC), C(0x03, 0)], I, FINAL | Function.INTERMEDIATE, 0x00),
    ("no initial status: refused", [C(0xFF, 0)], I, FINAL | Function.ALERT, 0x00),
    ("no initial status: program check", [C(0x00, 1)], I, FINAL | Function.ALERT, 0x20),
    ("no initial status: suspended", [C(0xE4, 12, SUSPEND)], S | I, SUSPENDED | NOW, 0x00),
]


@pytest.mark.parametrize(
    ("program", "orb", "function", "status"), [r[1:] for r in INTERMEDIATE], ids=[r[0] for r in INTERMEDIATE]
)
def test_intermediate_status(rig: Rig, program: list[C], orb: OrbFlag, function: Function, status: int) -> None:
    rig.place(program)
    rig.sch.start(build_orb(PROGRAM, flags=orb | FORMAT_1), rig.storage)
    scsw = rig.sch.store()[28:40]
    assert Function(int.from_bytes(scsw[2:4], "big") & 0x703F) == function
    assert scsw[9] == status
    zero_initial = bool(orb & I) and bool(function & Function.INTERMEDIATE) and not function & Function.SUSPENDED
    assert bool(scsw[1] & 0x04) == zero_initial


def test_pci_again_after_the_resume(rig: Rig) -> None:
    rig.place([C(0x03, 0, SUSPEND | PCI)])
    rig.sch.start(build_orb(PROGRAM, flags=S | FORMAT_1), rig.storage)
    assert rig.sch.resume() == 1, "status is pending"
    assert rig.sch.test()[1][9] == 0x80
    assert rig.sch.test()[1][9] == 0x00
    rig.memory[PROGRAM + 1] = PCI
    assert rig.sch.resume() == 0
    assert rig.sch.test()[1][8:10].hex() == "0c80"


def test_the_zero_bit_goes_with_the_status(rig: Rig) -> None:
    rig.run(C(0xE4, 12), orb=I)
    assert rig.sch.store()[29] & 0x04 == 0


# --- paths


def _lose_path(rig: Rig) -> bytes:
    """The IRB of an endless program, one of whose paths goes away while another thread executes it."""
    rig.sch.set_paths(0xC0)
    runner = threading.Thread(target=rig.sch.start, args=(build_orb(PROGRAM, flags=FORMAT_1), rig.storage))
    runner.start()
    rig.sch.set_paths(0x40)
    runner.join()
    return rig.sch.test()[1]


def test_a_path_goes_away_in_the_midst_of_a_program(rig: Rig) -> None:
    """Interface-control check before the next CCW; the path is in PNOM, and the next program takes another one."""
    rig.place([C(0x03, 0, CC), C(0x08, at=PROGRAM)])
    # neither thread waits for the other: the path may be gone before the program begins, or stay until its limit
    tries = (_lose_path(rig) for _ in range(1000))
    raw = next(raw for raw in tries if Irb.parse(raw).scsw.path_not_operational)
    irb = Irb.parse(raw)
    assert irb.path_used == 0x80
    assert raw[12:20].hex(" ", -4) == "00805004 08000000", "the path is to be verified"
    assert rig.sch.store()[9] == 0x80
    assert irb.scsw.subchannel_status == 0x02
    assert irb.scsw.function == FINAL | Function.ALERT
    assert rig.run(C(0x03, 0)).irb.path_used == 0x40


@pytest.mark.parametrize(("pam", "used"), [(0xC0, 0x80), (0x40, 0x40), (0x80, 0x80), (0x00, 0x00)])
def test_paths_change_while_suspended(rig: Rig, pam: int, used: int) -> None:
    rig.place([C(0xE4, 12, SUSPEND)])
    rig.sch.start(build_orb(PROGRAM, flags=S | U | FORMAT_1), rig.storage)
    rig.sch.set_paths(pam)
    rig.memory[PROGRAM + 1] = 0
    assert rig.sch.resume() == 0
    irb = Irb.parse(rig.sch.test()[1])
    assert irb.path_used == used
    assert irb.scsw.deferred_cc == (0 if used else 3)
    assert irb.scsw.device_status == (0x0C if used else 0)
    assert rig.run(C(0x03, 0), lpm=0xFF).cc == 0


def test_limit_of_what_midaws_designate(rig: Rig) -> None:
    """What lies below the limit is moved, the rest is a program check."""
    rig.storage.set_address_limit(LIMIT)
    set_limit_mode(rig, HIGH)
    rig.memory[LIST : LIST + 32] = build_midaw(LIMIT - 4, 4) + build_midaw(LIMIT, 8)
    orb = A | OrbFlag.MODIFIED_IDAWS
    assert rig.run(C(0xE4, 12, MIDA, at=LIST), orb=orb).status == "0c 20 0008"

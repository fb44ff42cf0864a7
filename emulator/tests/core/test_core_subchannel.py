# SPDX-License-Identifier: GPL-2.0-or-later
"""The instructions and their condition codes (Principles of Operation, chapter 14), and threads."""

from __future__ import annotations

import threading

import pytest
from core_rig import CC, PROGRAM, SLI, SUSPEND, C, Rig

from ccwemu.channel import Cc, Function, Irb, OrbFlag, Storage, Subchannel, build_ccw, build_orb

ORB = build_orb(PROGRAM, flags=OrbFlag.FORMAT_1)
SUSPENDING = OrbFlag.FORMAT_1 | OrbFlag.SUSPEND | OrbFlag.SUPPRESS_SUSPEND_INTERRUPTION


def make_idle(rig: Rig) -> None:
    rig.place([C(0xE4, 12)])


def make_pending(rig: Rig) -> None:
    make_idle(rig)
    assert rig.sch.start(ORB, rig.storage) == 0


def make_suspended(rig: Rig) -> None:
    rig.place([C(0xE4, 12, SUSPEND)])
    assert rig.sch.start(build_orb(PROGRAM, flags=SUSPENDING), rig.storage) == 0


def make_halted(rig: Rig) -> None:
    make_idle(rig)
    assert rig.sch.halt() == 0


def make_cleared(rig: Rig) -> None:
    make_idle(rig)
    assert rig.sch.clear() == 0


def make_disabled(rig: Rig) -> None:
    make_idle(rig)
    schib = bytearray(rig.sch.store())
    schib[5] &= 0x7F
    assert rig.sch.modify(bytes(schib)) == 0


def make_gone(rig: Rig) -> None:
    make_idle(rig)
    rig.image.close()


STATES = {
    "idle": make_idle,
    "pending": make_pending,
    "suspended": make_suspended,
    "halted": make_halted,
    "cleared": make_cleared,
    "disabled": make_disabled,
    "gone": make_gone,
}

CONDITION_CODES = [
    # state        start halt clear resume cancel test modify
    ("idle", 0, 0, 0, 2, 2, 1, 0),
    ("pending", 1, 1, 0, 1, 1, 0, 1),
    ("suspended", 2, 0, 0, 0, 0, 1, 2),
    ("halted", 1, 1, 0, 1, 1, 0, 1),
    ("cleared", 1, 1, 0, 1, 1, 0, 1),
    ("disabled", 3, 3, 3, 3, 3, 3, 0),
    ("gone", 3, 3, 3, 3, 3, 3, 0),
]
INSTRUCTIONS = ("start", "halt", "clear", "resume", "cancel", "test", "modify")


@pytest.mark.parametrize(
    ("state", "instruction", "cc"),
    [(row[0], name, row[i + 1]) for row in CONDITION_CODES for i, name in enumerate(INSTRUCTIONS)],
)
def test_condition_codes(rig: Rig, state: str, instruction: str, cc: int) -> None:
    schib = rig.sch.store()
    STATES[state](rig)
    match instruction:
        case "start":
            assert rig.sch.start(ORB, rig.storage) == cc
        case "test":
            assert rig.sch.test()[0] == cc
        case "modify":
            assert rig.sch.modify(schib) == cc
        case _:
            assert getattr(rig.sch, instruction)() == cc


SCSW = [
    ("idle", "00000000 00000000 00000000"),
    ("pending", "00804007 00001008 0c000000"),
    ("suspended", "08884020 00001008 0000000c"),
    ("halted", "00002001 00000000 00000000"),
    ("cleared", "00001001 00000000 00000000"),
]


@pytest.mark.parametrize(("state", "scsw"), SCSW)
def test_scsw(rig: Rig, state: str, scsw: str) -> None:
    STATES[state](rig)
    stored, tested = rig.sch.store()[28:40], rig.sch.test()[1][:12]
    assert stored == tested == bytes.fromhex(scsw)


def test_status_is_given_once(rig: Rig) -> None:
    make_pending(rig)
    assert rig.sch.status_pending
    assert rig.sch.test()[0] == 0
    assert not rig.sch.status_pending
    cc, irb = rig.sch.test()
    assert (cc, irb[:4]) == (1, bytes.fromhex("00800000")), "the functions are over"
    assert rig.sch.start(ORB, rig.storage) == 0


def test_halt_ends_a_suspended_program(rig: Rig) -> None:
    make_suspended(rig)
    assert rig.sch.halt() == 0
    function = Irb.parse(rig.sch.test()[1]).scsw.function
    assert function == Function.START | Function.HALT | Function.PRIMARY | Function.SECONDARY | Function.PENDING
    assert rig.sch.resume() == 2


def test_cancel_takes_a_suspended_program_back(rig: Rig) -> None:
    make_suspended(rig)
    assert rig.sch.cancel() == 0
    assert rig.sch.test()[0] == 1
    assert rig.sch.start(ORB, rig.storage) == 0


# --- SCHIB


def test_store(rig: Rig) -> None:
    schib = rig.sch.store()
    assert len(schib) == 52
    assert schib[:28].hex() == "0000000000817e52c00000c00000ffc0414200000000000000000001"


def test_intparm_of_the_orb_is_in_the_schib(rig: Rig) -> None:
    rig.run(C(0x03, 0))
    assert rig.sch.store()[:4].hex() == "12345678"


def test_modify_changes_what_may_be_changed(rig: Rig) -> None:
    before = rig.sch.store()
    wish = bytearray(b"\x11\x22\x33\x44" + b"\x28\x84" + b"\xaa\xaa" + b"\x80\x99\x99\x99" + b"\x12\x34\x7f\x99"
                     + b"\x99" * 8 + b"\x00\x00\x00\x01" + bytes(24))  # fmt: skip
    assert rig.sch.modify(bytes(wish)) == 0
    after = rig.sch.store()
    assert after[0:4].hex() == "11223344"
    assert after[4:6].hex() == "2885", "ISC, enabled, multipath; the device number is still valid"
    assert after[6:8] == before[6:8], "device number"
    assert after[8] == 0x80, "logical path mask"
    assert after[9:12] == before[9:12]
    assert after[12:15].hex() == "12347f"
    assert after[15:24] == before[15:24], "available paths, channel-path ids"


@pytest.mark.parametrize(("at", "value"), [(4, 0x80), (4, 0x07), (5, 0x60), (24, 0x80), (27, 0x08)])
def test_modify_refuses_reserved_bits(rig: Rig, at: int, value: int) -> None:
    schib = bytearray(rig.sch.store())
    schib[at] |= value
    with pytest.raises(ValueError, match="operand exception"):
        rig.sch.modify(bytes(schib))


def test_a_subchannel_without_device(rig: Rig) -> None:
    sch = Subchannel(None, devno=0, chpids=[], pim=0, pam=0, pom=0xFF)
    assert sch.store()[5] & 1 == 0, "no device number is valid"
    assert sch.start(ORB, rig.storage) == Cc.NOT_OPERATIONAL


# --- paths

PATHS = [
    # pam, lpm of the ORB, path used (0: none)
    (0xC0, 0xFF, 0x80),
    (0xC0, 0x40, 0x40),
    (0x40, 0xFF, 0x40),
    (0x40, 0x80, 0x00),
    (0x00, 0xFF, 0x00),
    (0xFF, 0x20, 0x00),
]


@pytest.mark.parametrize(("pam", "lpm", "used"), PATHS)
def test_paths(rig: Rig, pam: int, lpm: int, used: int) -> None:
    rig.sch.set_paths(pam)
    result = rig.run(C(0x03, 0), lpm=lpm)
    assert result.irb.path_used == used
    assert rig.sch.store()[15] == pam
    if used:
        assert result.status == "0c 00 0000"
        assert rig.sch.store()[10] == used
    else:
        assert result.irb.scsw.deferred_cc == 3
        assert result.irb.scsw.path_not_operational
        assert rig.sch.test()[1][0] & 3 == 0, "told once"


def test_a_program_may_not_use_a_path_that_the_host_masked(rig: Rig) -> None:
    schib = bytearray(rig.sch.store())
    schib[8] = 0x40
    assert rig.sch.modify(bytes(schib)) == 0
    assert rig.run(C(0x03, 0)).irb.path_used == 0x40


def test_a_path_that_comes_back(rig: Rig) -> None:
    rig.sch.set_paths(0)
    assert rig.run(C(0x03, 0)).irb.scsw.deferred_cc == 3
    rig.sch.set_paths(0xC0)
    assert rig.run(C(0x03, 0)).status == "0c 00 0000"


# --- wrong use


def test_wrong_arguments(rig: Rig) -> None:
    with pytest.raises(ValueError, match="at least 12 bytes, this one 11"):
        rig.sch.start(ORB[:11], rig.storage)
    with pytest.raises(TypeError):
        rig.sch.start(ORB, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        rig.sch.start(ORB)  # type: ignore[call-arg]
    with pytest.raises(NotImplementedError, match="transport-mode"):
        rig.sch.start(build_orb(PROGRAM, flags=OrbFlag.FORMAT_1 | OrbFlag.TRANSPORT), rig.storage)
    with pytest.raises(ValueError, match="52 bytes"):
        rig.sch.modify(bytes(10))
    with pytest.raises(ValueError, match="at most 8"):
        Subchannel(rig.device, devno=1, chpids=[1] * 9, pim=0x80, pam=0x80, pom=0xFF)
    with pytest.raises(ValueError, match="expected 0 to 255"):
        Subchannel(rig.device, devno=1, chpids=[256], pim=0x80, pam=0x80, pom=0xFF)


def test_a_device_has_eight_subchannels(rig: Rig) -> None:
    others = [rig.subchannel() for _ in range(7)]
    with pytest.raises(ValueError, match="8 subchannels"):
        rig.subchannel()
    del others
    rig.subchannel()


def test_storage_maps(rig: Rig) -> None:
    storage = Storage()
    area = bytearray(4096)
    storage.map(0x1000, area)
    with pytest.raises(BufferError):
        area.extend(b"1")
    with pytest.raises(ValueError, match="mapped there already"):
        storage.map(0x1FFF, bytearray(1))
    with pytest.raises(ValueError, match="must have a length"):
        storage.map(0x8000, bytearray())
    with pytest.raises(ValueError, match="end below"):
        storage.map(2**64 - 1, bytearray(2))
    with pytest.raises(BufferError):
        storage.map(0x8000, b"constant")
    with pytest.raises(ValueError, match="no area of this size"):
        storage.unmap(0x1000, 10)
    with pytest.raises(ValueError, match="expected 0 to 15"):
        storage.map(0x8000, bytearray(1), key=16)
    storage.unmap(0x1000, 4096)
    area.extend(b"1")


def test_unmapped_storage_is_out_of_reach(rig: Rig) -> None:
    rig.storage.unmap(0, len(rig.memory))
    assert rig.start((), OrbFlag.FORMAT_1, 0xFF, 0, PROGRAM, rig.sch).status == "00 20 0000"


# --- threads


def loop_forever(rig: Rig) -> None:
    """A loop that the channel itself gives up only after a million CCWs (CHANNEL_WORK_LIMIT)."""
    rig.memory[PROGRAM : PROGRAM + 16] = build_ccw(0x03, flags=CC) + build_ccw(0x08, PROGRAM)


@pytest.mark.parametrize(("instruction", "function"), [("halt", Function.HALT), ("clear", Function.CLEAR)])
def test_halt_and_clear_from_another_thread(rig: Rig, instruction: str, function: Function) -> None:
    loop_forever(rig)
    for _ in range(20):
        thread = threading.Thread(target=rig.sch.start, args=(ORB, rig.storage))
        thread.start()
        while getattr(rig.sch, instruction)() != 0:  # the program came to its end first
            rig.sch.test()
        thread.join()
        assert function in Irb.parse(rig.sch.test()[1]).scsw.function
        rig.sch.clear()
        rig.sch.test()


def test_two_hosts_at_once(rig: Rig) -> None:
    """Two subchannels with storage of their own share the disk: each gets its own data."""
    failures: list[str] = []

    def work(sch: Subchannel, command: int, size: int, expected: bytes) -> None:
        memory = bytearray(0x4000)
        storage = Storage()
        storage.map(0, memory)
        memory[PROGRAM : PROGRAM + 8] = build_ccw(command, 0x2000, size, SLI)
        for _ in range(2000):
            sch.start(ORB, storage)
            cc, irb = sch.test()
            if cc or irb[8] != 0x0C or memory[0x2000 : 0x2000 + len(expected)] != expected:
                failures.append(irb[:12].hex())

    jobs = [(rig.sch, 0xE4, 12, b"\xff\x39\x90"), (rig.subchannel(), 0x64, 64, b"\x39\x90\xe9")]
    threads = [threading.Thread(target=work, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_one_subchannel_from_many_threads(rig: Rig) -> None:
    """Whatever the order, each start is answered by a condition code, and nothing breaks."""
    rig.place([C(0xE4, 12)])
    codes: list[int] = []

    def work() -> None:
        for _ in range(500):
            codes.append(rig.sch.start(ORB, rig.storage))
            rig.sch.test()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(codes) == 2000
    assert set(codes) <= {0, 1}


def test_closing_the_image_while_programs_run(rig: Rig) -> None:
    rig.place([C(0xE4, 12)])
    ready = threading.Event()
    codes: list[int] = []

    def work() -> None:
        while True:
            cc = rig.sch.start(ORB, rig.storage)
            rig.sch.test()
            codes.append(cc)
            ready.set()
            if cc == 3:
                return

    thread = threading.Thread(target=work)
    thread.start()
    ready.wait()
    rig.image.close()
    thread.join()
    assert codes[-1] == 3

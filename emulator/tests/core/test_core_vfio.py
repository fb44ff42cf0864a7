# SPDX-License-Identifier: GPL-2.0-or-later
"""The vfio-ccw device against what was measured on the real driver (kernel-facts C, Linux 6.1 and 6.12).

Where the measurement was of a virtio device, the disk's own status stands here (channel end and device end with a
unit check).
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import threading
from collections.abc import Iterator

import pytest
from core_rig import CC, IDA, MIDA, NO_FLAGS, PROGRAM, SKIP, SLI, STORAGE_SIZE, SUSPEND, C, Rig, locate

from ccwemu.channel import (
    MidawFlag,
    OrbFlag,
    VfioCcw,
    VfioCommand,
    VfioIrq,
    VfioRegion,
    build_ccw,
    build_midaw,
    build_orb,
    track_address,
)

NOWHERE = STORAGE_SIZE + 0x1000
TIC = 0x08
START, HALT, CLEAR = 0x4000, 0x2000, 0x1000
IRB_AT, RETURN_AT = 24, 120


class Guest:
    """Whoever has opened the device."""

    def __init__(self, rig: Rig, *, ida_2k: bool = True, needs_prefetch: bool = False) -> None:
        self.rig = rig
        self.vfio = VfioCcw(rig.sch, rig.storage, ida_2k=ida_2k, needs_prefetch=needs_prefetch)
        self.interrupts: list[VfioIrq] = []
        for irq in VfioIrq:
            self.vfio.set_irq(irq, lambda irq=irq: self.interrupts.append(irq))
        self.vfio.open()

    def write(self, orb: bytes, function: int = START) -> str:
        """Name of the errno of a write to the I/O region, or "ok"."""
        region = orb + function.to_bytes(4, "big") + bytes(8) + bytes(100)
        try:
            assert self.vfio.pwrite(VfioRegion.IO, region) == 124
        except OSError as error:
            assert error.errno is not None
            code = int.from_bytes(self.vfio.pread(RETURN_AT, 4), "big", signed=True)
            assert code == -error.errno, "the return code in the region says the same"
            return errno.errorcode[error.errno].replace("ENOTSUP", "EOPNOTSUPP")  # one number, two names
        return "ok"

    def run(self, *program: C, format0: bool = False, orb: OrbFlag = NO_FLAGS, lpm: int = 0xFF) -> str:
        self.rig.place(program, format0=format0)
        return self.start(PROGRAM, orb if format0 else orb | OrbFlag.FORMAT_1, lpm)

    def start(self, address: int, orb: OrbFlag, lpm: int = 0xFF) -> str:
        return self.write(build_orb(address, lpm=lpm, flags=orb))

    def scsw(self) -> str:
        data = self.vfio.pread(IRB_AT, 12).hex()
        return f"{data[:8]} {data[8:16]} {data[16:]}"

    def command(self, command: int, size: int = 8) -> str:
        try:
            data = (command.to_bytes(4, "big") + bytes(5))[:size]
            assert self.vfio.pwrite(VfioRegion.ASYNC, data) == size
        except OSError as error:
            assert error.errno is not None
            return errno.errorcode[error.errno].replace("ENOTSUP", "EOPNOTSUPP")  # one number, two names
        return "ok"


@pytest.fixture
def guest(rig: Rig) -> Iterator[Guest]:
    guest = Guest(rig)
    yield guest
    guest.vfio.close()


SENSE_ID = C(0xE4, 12)
NOP = C(0x03, 0)


def fresh(program: list[C]) -> list[C]:
    return [C(c.command, c.data, c.flags, c.count, c.at) for c in program]


START_ROWS = [
    ("sense id", [SENSE_ID], {}, "ok", "00804007 00001008 0c000000"),
    ("format 0: the copy that runs is format 1", [SENSE_ID], {"format0": True}, "ok", "00804007 00001008 0c000000"),
    ("no path named: all of them", [SENSE_ID], {"lpm": 0}, "ok", "00804007 00001008 0c000000"),
    ("prefetch allowed", [SENSE_ID], {"orb": OrbFlag.PREFETCH}, "ok", "00c04007 00001008 0c000000"),
    ("64-bit IDAWs, none used", [SENSE_ID], {"orb": OrbFlag.IDA_64}, "ok", "00804007 00001008 0c000000"),
    ("unit check", [C(0xF7, 1, SLI)], {}, "ok", "04824017 00001008 0e000001"),
    ("transport mode", [SENSE_ID], {"orb": OrbFlag.TRANSPORT}, "EOPNOTSUPP", None),
    ("data not mapped", [C(0xE4, 12, at=NOWHERE)], {}, "EINVAL", None),
    ("data not mapped in a later CCW", [C(0x03, 0, CC), C(0xE4, 12, at=NOWHERE)], {}, "EINVAL", None),
    ("skipped read, not mapped", [C(0xE4, 12, SKIP, at=NOWHERE)], {}, "ok", "00804007 00001008 0c000000"),
    ("skipped write, not mapped", [C(0x07, 6, SKIP, at=NOWHERE)], {}, "EINVAL", None),
    ("no count, not mapped", [C(0xE4, 0, SLI, at=NOWHERE)], {}, "ok", "00804007 00001008 0c000000"),
    ("no-operation, not mapped", [C(0x03, 8, SLI, at=NOWHERE)], {}, "ok", "00804007 00001008 0c000008"),
    ("TIC first: copied, refused by the channel", [C(TIC, at=PROGRAM + 8), SENSE_ID], {}, "ok",
     "00804017 00001008 00200000"),
    ("TIC to TIC: copied, refused by the channel",
     [C(0x03, 0, CC), C(TIC, at=PROGRAM + 16), C(TIC, at=PROGRAM + 24), SENSE_ID], {}, "ok",
     "00804017 00001018 00200000"),
    ("TIC to where nothing is mapped", [C(0x03, 0, CC), C(TIC, at=NOWHERE)], {}, "EINVAL", None),
    ("suspend flag, not allowed by the ORB", [C(0x03, 0, SUSPEND)], {}, "ok", "00804017 00001008 00200000"),
    ("255 CCWs", [C(0x03, 0, CC)] * 254 + [NOP], {}, "ok", "00804007 000017f8 0c000000"),
    ("256 CCWs", [C(0x03, 0, CC)] * 255 + [NOP], {}, "ok", "00804007 00001800 0c000000"),
    ("257 CCWs", [C(0x03, 0, CC)] * 256 + [NOP], {}, "EINVAL", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("program", "how", "result", "scsw"), [r[1:] for r in START_ROWS], ids=[r[0] for r in START_ROWS]
)
def test_start(guest: Guest, program: list[C], how: dict, result: str, scsw: str | None) -> None:  # type: ignore[type-arg]
    assert guest.run(*fresh(program), **how) == result
    assert guest.interrupts == ([VfioIrq.IO] if result == "ok" else [])
    assert guest.vfio.state == "IDLE"
    if scsw is not None:
        assert guest.scsw() == scsw


@pytest.mark.parametrize(
    ("address", "result"),
    [
        (NOWHERE, "EINVAL"),
        (STORAGE_SIZE - 2048, "ok"),
        (STORAGE_SIZE - 2040, "EINVAL"),
        (STORAGE_SIZE - 8, "EINVAL"),
    ],
)
def test_2_kib_of_ccws_are_always_copied(guest: Guest, address: int, result: str) -> None:
    if address < STORAGE_SIZE:
        guest.rig.memory[address : address + 8] = build_ccw(0x03)
    assert guest.start(address, OrbFlag.FORMAT_1) == result


@pytest.mark.parametrize(("chains", "result"), [(2, "ok"), (16, "ok"), (17, "EINVAL")])
def test_chains_tied_by_tics(guest: Guest, chains: int, result: str) -> None:
    """Pieces of a no-operation and a transfer in channel to the next, 4 KiB apart."""
    for n in range(chains):
        at = PROGRAM + 0x1000 * n
        last = n == chains - 1
        guest.rig.memory[at : at + 16] = build_ccw(0x03, flags=0 if last else CC) + build_ccw(TIC, at + 0x1000)
    assert guest.start(PROGRAM, OrbFlag.FORMAT_1) == result
    if result == "ok":
        assert guest.scsw() == f"00804007 {PROGRAM + 0x1000 * (chains - 1) + 8:08x} 0c000000"


def test_a_search_loop_inside_a_chain(guest: Guest) -> None:
    seek = C(0x07, bytes(6), CC)
    program = [seek, C(0x31, bytes([0, 0, 0, 0, 3]), CC), C(TIC, at=PROGRAM + 8), C(0x06, 4096)]
    assert guest.run(*program) == "ok"
    assert guest.scsw() == "00804007 00001020 0c000000"


IDA_ROWS = [
    ("format 2, 4K", OrbFlag.IDA_64, "ok", "ok"),
    ("format 2, 2K", OrbFlag.IDA_64 | OrbFlag.IDA_2K, "EOPNOTSUPP", "ok"),
    ("format 1", OrbFlag(0), "EOPNOTSUPP", "ok"),
]


@pytest.mark.parametrize(("orb", "old", "new"), [r[1:] for r in IDA_ROWS], ids=[r[0] for r in IDA_ROWS])
def test_idaws(rig: Rig, orb: OrbFlag, old: str, new: str) -> None:
    """What 6.1 (old) and 6.12 (new) answered."""
    width = 8 if orb & OrbFlag.IDA_64 else 4
    rig.memory[0x8000 : 0x8000 + width] = 0x20000.to_bytes(width, "big")
    for ida_2k, expected in ((False, old), (True, new)):
        guest = Guest(rig, ida_2k=ida_2k)
        assert guest.run(C(0xE4, 0, IDA, count=12, at=0x8000), orb=orb) == expected
        guest.vfio.close()
    assert rig.stored(0x20000, 3).hex() == "ff3990"


def test_modified_idaws_are_not_translated(guest: Guest) -> None:
    """The driver makes IDAWs for all data (ccwchain_fetch_ccw) and leaves the other flag on: both are invalid."""
    guest.rig.memory[0x8000:0x8010] = build_midaw(0x20000, 12, MidawFlag.LAST)
    program = C(0xE4, 0, MIDA, count=12, at=0x8000)
    assert guest.run(program, orb=OrbFlag.MODIFIED_IDAWS) == "ok"
    assert guest.scsw() == "00804017 00001008 0020000c"
    assert guest.run(C(0xE4, 0, MIDA, count=12, at=NOWHERE), orb=OrbFlag.MODIFIED_IDAWS) == "EINVAL"


def test_idaw_not_mapped(guest: Guest) -> None:
    guest.rig.memory[0x8000:0x8010] = 0x20FFF.to_bytes(8, "big") + NOWHERE.to_bytes(8, "big")
    assert guest.run(C(0xE4, 0, IDA, count=1, at=0x8000), orb=OrbFlag.IDA_64) == "ok"
    assert guest.run(C(0xE4, 0, IDA, count=12, at=0x8000), orb=OrbFlag.IDA_64) == "EINVAL"
    assert guest.run(C(0xE4, 0, IDA, count=12, at=NOWHERE), orb=OrbFlag.IDA_64) == "EINVAL"


def test_kernels_that_need_prefetch(rig: Rig) -> None:
    guest = Guest(rig, needs_prefetch=True)
    assert guest.run(SENSE_ID) == "EOPNOTSUPP"
    assert guest.run(SENSE_ID, orb=OrbFlag.PREFETCH) == "ok"


@pytest.mark.parametrize(
    ("function", "result"), [(0, "ok"), (HALT, "EOPNOTSUPP"), (CLEAR, "EOPNOTSUPP"), (START | HALT, "ok")]
)
def test_function_bits(guest: Guest, function: int, result: str) -> None:
    guest.rig.place([C(0xE4, 12)])
    orb = build_orb(PROGRAM, flags=OrbFlag.FORMAT_1)
    assert guest.write(orb, function) == result
    assert guest.interrupts == ([VfioIrq.IO] if function & START else [])


COMMANDS = [(1, 8, "ok"), (2, 8, "ok"), (1, 4, "ok"), (0, 8, "EINVAL"), (3, 8, "EINVAL"), (1, 9, "EINVAL")]


@pytest.mark.parametrize(("command", "size", "result"), COMMANDS)
def test_async_commands(guest: Guest, command: int, size: int, result: str) -> None:
    assert guest.command(command, size) == result
    assert guest.interrupts == ([VfioIrq.IO] if result == "ok" else [])
    if result == "ok":
        assert guest.scsw() == {1: "00002001", 2: "00001001"}[command] + " 00000000 00000000"


REGIONS = [
    ("all of the I/O region", 0, 124, None),
    ("one byte more", 0, 125, errno.EINVAL),
    ("over its end", 121, 4, errno.EINVAL),
    ("behind its end", 124, 4, errno.EINVAL),
    ("nothing", 0, 0, None),
    ("async", VfioRegion.ASYNC, 8, None),
    ("schib", VfioRegion.SCHIB, 52, None),
    ("schib, one byte more", VfioRegion.SCHIB, 53, errno.EINVAL),
    ("crw", VfioRegion.CRW, 8, None),
    ("no such region", 4 << 10, 4, errno.EINVAL),
    ("far away", 1 << 40, 4, errno.EINVAL),
]


@pytest.mark.parametrize(("offset", "size", "error"), [r[1:] for r in REGIONS], ids=[r[0] for r in REGIONS])
def test_read(guest: Guest, offset: int, size: int, error: int | None) -> None:
    if error is None:
        data = guest.vfio.pread(offset, size)
        assert len(data) == size
        assert offset == VfioRegion.SCHIB or not any(data)
    else:
        with pytest.raises(OSError, match=os.strerror(error)):
            guest.vfio.pread(offset, size)


@pytest.mark.parametrize("region", [VfioRegion.SCHIB, VfioRegion.CRW])
def test_regions_that_cannot_be_written(guest: Guest, region: VfioRegion) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        guest.vfio.pwrite(region, bytes(4))


def test_schib(guest: Guest) -> None:
    schib = guest.vfio.pread(VfioRegion.SCHIB, 52)
    assert schib == guest.rig.sch.store()
    assert schib[4:8].hex() == "00817e52"
    guest.rig.sch.set_paths(0x40)
    assert guest.vfio.pread(VfioRegion.SCHIB, 52)[15] == 0x40
    guest.rig.image.close()
    with pytest.raises(OSError, match=os.strerror(errno.ENODEV)):
        guest.vfio.pread(VfioRegion.SCHIB, 52)


def test_channel_reports(guest: Guest) -> None:
    guest.vfio.path_event(0x41, False)
    guest.vfio.path_event(0x41, True)
    assert guest.interrupts == [VfioIrq.CRW] * 2
    assert guest.vfio.pread(VfioRegion.CRW, 8).hex() == "0406004100000000"
    assert guest.interrupts == [VfioIrq.CRW] * 3, "there is one more"
    assert guest.vfio.pread(VfioRegion.CRW, 8).hex() == "0402004100000000"
    assert guest.vfio.pread(VfioRegion.CRW, 8).hex() == "0000000000000000"
    assert len(guest.interrupts) == 3


def crws(guest: Guest) -> list[str]:
    """Take words until there is none."""
    words = iter(lambda: guest.vfio.pread(VfioRegion.CRW, 4).hex(), "00000000")
    return list(words)


def test_a_report_of_two_words_is_chained(guest: Guest) -> None:
    """A subchannel's report names its subchannel set in a second word."""
    assert guest.vfio.report(0x03040123, 0x03040010)
    assert crws(guest) == ["13040123", "03040010"]


def test_reports_that_do_not_fit_are_lost_and_told(guest: Guest) -> None:
    assert all(guest.vfio.report(0x04020000 + n) for n in range(15))
    assert not guest.vfio.report(0x03040123, 0x03040010), "two words do not fit any more"
    guest.vfio.path_event(0x41, False)
    guest.vfio.path_event(0x42, False)
    words = crws(guest)
    assert words[:14] == [f"0402{n:04x}" for n in range(14)]
    assert words[14:] == ["2402000e", "24060041"], "both have reports behind them that were lost"
    assert guest.vfio.report(0x04020000)
    assert crws(guest) == ["04020000"]


def test_both_words_of_a_report_tell_the_overflow(guest: Guest) -> None:
    for _ in range(8):
        assert guest.vfio.report(0x03040123, 0x03040010)
    assert not guest.vfio.report(0x04020000)
    assert crws(guest) == ["13040123", "03040010"] * 7 + ["33040123", "23040010"]


@pytest.mark.parametrize("word", [0x80000000, 0x40000000, 0x20000000, 0x10000000, 0x00400000])
def test_flags_of_the_queue_are_its_own(guest: Guest, word: int) -> None:
    assert guest.vfio.report(0x04020041 | word)
    assert crws(guest) == ["04020041"]


def test_request_to_give_the_device_back(guest: Guest) -> None:
    guest.vfio.request()
    assert guest.interrupts == [VfioIrq.REQUEST]


# --- the state machine

STATES = [
    # state, start, halt, reset
    ("STANDBY", "EIO", "EIO", "STANDBY"),
    ("IDLE", "ok", "ok", "IDLE"),
    ("NOT_OPER", "EIO", "EIO", "NOT_OPER"),
]


@pytest.mark.parametrize(("state", "start", "halt", "after"), STATES, ids=[row[0] for row in STATES])
def test_states(rig: Rig, state: str, start: str, halt: str, after: str) -> None:
    guest = Guest(rig)
    if state == "STANDBY":
        guest.vfio.close()
    if state == "NOT_OPER":
        guest.vfio.not_operational()
    assert guest.vfio.state == state
    assert guest.run(C(0xE4, 12)) == start
    assert guest.command(1) == halt
    if state == "NOT_OPER":
        with pytest.raises(OSError, match="Invalid argument"):
            guest.vfio.reset()
        with pytest.raises(OSError, match="Invalid argument"):
            guest.vfio.open()
    assert guest.vfio.state == after


def test_reset_ends_what_is_in_progress(guest: Guest) -> None:
    suspended = OrbFlag.SUSPEND | OrbFlag.SUPPRESS_SUSPEND_INTERRUPTION
    assert guest.run(C(0x03, 0, SUSPEND), orb=suspended) == "ok"
    assert (guest.vfio.state, guest.interrupts) == ("CP_PENDING", [])
    assert guest.run(C(0xE4, 12)) == "EBUSY"
    guest.vfio.reset()
    assert guest.vfio.state == "IDLE"
    assert guest.run(C(0xE4, 12)) == "ok"


def test_halt_of_a_suspended_program(guest: Guest) -> None:
    suspended = OrbFlag.SUSPEND | OrbFlag.SUPPRESS_SUSPEND_INTERRUPTION
    guest.run(C(0x03, 0, SUSPEND), orb=suspended)
    assert guest.command(1) == "ok"
    assert (guest.vfio.state, guest.interrupts) == ("IDLE", [VfioIrq.IO])


def test_a_disabled_subchannel_is_not_opened_without_device(rig: Rig) -> None:
    rig.image.close()
    vfio = VfioCcw(rig.sch, rig.storage)
    with pytest.raises(OSError, match="Invalid argument"):
        vfio.open()
    assert vfio.state == "NOT_OPER"


def test_close_leaves_the_subchannel_disabled_and_quiet(rig: Rig) -> None:
    guest = Guest(rig)
    guest.run(C(0xE4, 12))
    guest.vfio.close()
    assert rig.sch.start(build_orb(PROGRAM), rig.storage) == 3
    guest.vfio.open()
    assert guest.run(C(0xE4, 12)) == "ok"


def test_no_path_is_left(guest: Guest) -> None:
    guest.rig.sch.set_paths(0)
    assert guest.run(C(0xE4, 12)) == "ok"
    assert guest.scsw() == "03814411 00000000 00000000"


def test_a_device_that_is_forgotten_takes_its_program_along(rig: Rig) -> None:
    guest = Guest(rig)
    guest.run(C(0x03, 0, SUSPEND), orb=OrbFlag.SUSPEND | OrbFlag.SUPPRESS_SUSPEND_INTERRUPTION)
    del guest
    gc.collect()
    assert rig.sch.resume() in (2, 3)


def test_a_callback_may_use_the_device(rig: Rig) -> None:
    guest = Guest(rig)
    seen: list[bytes] = []

    def handler() -> None:
        seen.append(guest.vfio.pread(IRB_AT, 12))
        if len(seen) < 3:
            guest.run(C(0xE4, 12))

    guest.vfio.set_irq(VfioIrq.IO, handler)
    guest.run(C(0xE4, 12))
    assert len(seen) == 3


def test_callbacks(guest: Guest) -> None:
    with pytest.raises(TypeError):
        guest.vfio.set_irq(0, 5)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="Invalid argument"):
        guest.vfio.set_irq(3, None)
    guest.vfio.set_irq(0, None)
    assert guest.run(C(0xE4, 12)) == "ok"
    assert guest.interrupts == []


def test_blocks_travel(guest: Guest) -> None:
    """A request as the guest's driver makes it."""
    here = track_address(0, 0)
    program = [
        C(0x63, bytes([0x40, 0xC0]) + bytes(6) + here + here, CC),
        C(0x47, locate(0x06, 0, 0, 3, 2), CC),
        C(0x86, 4096, CC),
        C(0x86, 4096),
    ]
    assert guest.run(*program) == "ok"
    assert guest.rig.stored(program[3].address, 6) == b"0/0/4;"


@pytest.mark.parametrize(("command", "scsw"), [(1, "00806007"), (2, "00001001")], ids=["halt", "clear"])
def test_halt_and_clear_of_a_program_in_progress(rig: Rig, command: int, scsw: str) -> None:
    """They end the program between two CCWs."""
    rig.memory[PROGRAM : PROGRAM + 16] = build_ccw(0x03, flags=CC) + build_ccw(TIC, PROGRAM)
    met = 0
    for _ in range(50):
        guest = Guest(rig)
        thread = threading.Thread(target=guest.start, args=(PROGRAM, OrbFlag.FORMAT_1))
        thread.start()
        while guest.vfio.state == "IDLE" and thread.is_alive():
            pass
        assert guest.command(command) == "ok"
        thread.join()
        assert guest.vfio.state == "IDLE"
        met += guest.scsw().startswith(scsw)
        guest.vfio.close()
    assert met


def test_a_start_during_a_program_is_to_be_tried_again(rig: Rig) -> None:
    guest = Guest(rig)
    rig.memory[PROGRAM : PROGRAM + 16] = build_ccw(0x03, flags=CC) + build_ccw(TIC, PROGRAM)
    orb = build_orb(PROGRAM, flags=OrbFlag.FORMAT_1) + START.to_bytes(4, "big")
    inside = threading.Event()

    def work() -> None:
        inside.set()
        with contextlib.suppress(OSError):  # when it is the other that came first
            guest.vfio.pwrite(VfioRegion.IO, orb)

    for _ in range(50):
        thread = threading.Thread(target=work)
        thread.start()
        inside.wait()
        try:
            guest.vfio.pwrite(VfioRegion.IO, orb)
        except OSError as error:
            assert error.errno == errno.EAGAIN
            guest.command(VfioCommand.HALT)
            break
        finally:
            thread.join()
    else:
        pytest.fail("the two starts never met")

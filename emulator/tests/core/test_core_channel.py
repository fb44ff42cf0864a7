# SPDX-License-Identifier: GPL-2.0-or-later
"""Channel programs as Principles of Operation, chapter 15, describe them: program in, status out.

A row: name, program, expected "device status, subchannel status, residual count", and the CCW that it ended at.
The disk's commands that serve here: 03 no-operation (immediate), E4 sense id (gives 12 bytes), 64 read device
characteristics (gives 64), 07 seek (takes 6), 1F set file mask (takes 1), 31 search id (takes 5), AF set path
group (takes 12), 27 perform subsystem function (takes up to 66).
"""

from __future__ import annotations

import pytest
from core_rig import (
    BLOCK_SIZE,
    BLOCKS,
    CC,
    CD,
    DATA,
    IDA,
    PCI,
    PROGRAM,
    SKIP,
    SLI,
    STORAGE_SIZE,
    SUSPEND,
    C,
    Rig,
    extent,
    locate,
)

from ccwemu.channel import Function, OrbFlag, build_ccw

NOWHERE = STORAGE_SIZE + 0x1000
SENSE_ID = bytes.fromhex("ff3990e93390020040fa0100")
SEEK = bytes(6)
TIC = 0x08

OK = "0c 00 0000"

BOTH_FORMATS = [
    # --- length
    ("sense id with its exact length", [C(0xE4, 12)], OK, 0),
    ("longer than the block", [C(0xE4, 40)], "0c 40 001c", 0),
    ("longer, length indication suppressed", [C(0xE4, 40, SLI)], "0c 00 001c", 0),
    ("shorter than the block", [C(0xE4, 7)], "0c 40 0000", 0),
    ("shorter, suppressed", [C(0xE4, 7, SLI)], OK, 0),
    ("one byte", [C(0xE4, 1, SLI)], OK, 0),
    ("control command, exact", [C(0x07, SEEK)], OK, 0),
    ("control command, too long", [C(0x07, SEEK + b"12")], "0c 40 0002", 0),
    ("control command, too long, suppressed", [C(0x07, SEEK + b"12", SLI)], "0c 00 0002", 0),
    ("an incorrect length ends command chaining", [C(0xE4, 40, CC), C(0x03, 1, SLI)], "0c 40 001c", 0),
    ("suppressed, chaining goes on", [C(0xE4, 40, CC | SLI), C(0x03, 1, SLI)], "0c 00 0001", 1),
    # --- command chaining
    ("two commands", [C(0xE4, 12, CC), C(0x64, 64)], OK, 1),
    ("three commands", [C(0x03, 1, CC | SLI), C(0xE4, 12, CC), C(0x64, 64)], OK, 2),
    ("a unit check ends chaining", [C(0xFF, 1, CC | SLI), C(0x03, 1, SLI)], "0e 00 0001", 0),
    # --- data chaining
    ("data chain over two areas", [C(0xE4, 5, CD), C(0, 7)], OK, 1),
    ("the command code of a data-chained CCW does not count", [C(0xE4, 5, CD), C(0x55, 7)], OK, 1),
    ("data chain too long", [C(0xE4, 5, CD), C(0, 20)], "0c 40 000d", 1),
    ("data chain too long, suppressed in the last", [C(0xE4, 5, CD), C(0, 20, SLI)], "0c 00 000d", 1),
    ("data chain not used up: SLI does not help", [C(0xE4, 12, CD | SLI), C(0, 1, SLI)], "0c 00 0001", 1),
    ("ends in the midst of a CCW that chains data", [C(0xE4, 14, CD | SLI), C(0, 1, SLI)], "0c 40 0002", 0),
    ("data chain too short", [C(0xE4, 5, CD), C(0, 6)], "0c 40 0000", 1),
    ("data chain of single bytes", [*[C(0xE4, 1, CD)] * 11, C(0, 1)], OK, 11),
    ("then a command", [C(0xE4, 5, CD), C(0, 7, CC), C(0x64, 64)], OK, 2),
    ("output data chain", [C(0x07, SEEK[:2], CD), C(0, SEEK[2:])], OK, 1),
    ("zero count in a data chain", [C(0xE4, 5, CD), C(0, 0, SLI)], "0c 20 0000", 1),
    # --- transfer in channel
    ("first CCW is a TIC", [C(TIC, at=PROGRAM + 8), C(0x03, 1, SLI)], "00 20 0000", 0),
    ("TIC to the next", [C(0x03, 1, CC | SLI), C(TIC, at=PROGRAM + 16), C(0xE4, 12)], OK, 2),
    ("TIC to TIC", [C(0x03, 1, CC | SLI), C(TIC, at=PROGRAM + 16), C(TIC, at=PROGRAM + 24), C(0x03, 1, SLI)],
     "00 20 0000", 2),
    ("TIC to itself", [C(0x03, 1, CC | SLI), C(TIC, at=PROGRAM + 8)], "00 20 0000", 1),
    ("TIC to no doubleword", [C(0x03, 1, CC | SLI), C(TIC, at=PROGRAM + 4)], "00 20 0000", 1),
    ("TIC out of storage", [C(0x03, 1, CC | SLI), C(TIC, at=NOWHERE)], "00 20 0000", 1),
    ("TIC inside a data chain", [C(0xE4, 5, CD), C(TIC, at=PROGRAM + 16), C(0, 7)], OK, 2),
    # --- skip
    ("skip all", [C(0xE4, 12, SKIP)], OK, 0),
    ("skip does not look at the address", [C(0xE4, 12, SKIP, at=NOWHERE)], OK, 0),
    ("skip the first bytes", [C(0xE4, 4, SKIP | CD), C(0, 8)], OK, 1),
    # --- program checks
    ("data outside of storage", [C(0xE4, 12, at=NOWHERE)], "0c 20 000c", 0),
    ("output data outside of storage", [C(0x07, 0, at=NOWHERE, count=6)], "0c 20 0006", 0),
    ("data run over the end of storage", [C(0xE4, 12, at=STORAGE_SIZE - 5)], "0c 20 0007", 0),
    ("command code with four low zeros", [C(0x40, 1)], "00 20 0001", 0),
    ("command code zero", [C(0x00, 1)], "00 20 0001", 0),
    ("the same in a chained command", [C(0x03, 1, CC | SLI), C(0x00, 1)], "00 20 0001", 1),
    ("suspend flag, though the ORB does not allow it", [C(0x03, 1, SUSPEND | SLI)], "00 20 0001", 0),
    ("modified IDAWs, which the ORB does not allow", [C(0xE4, 12, 0x01)], "00 20 000c", 0),
    ("chain runs out of the program", [C(0x03, 1, CC | SLI)], "00 20 0000", 1),
    # --- program-controlled interruption
    ("PCI", [C(0x03, 1, PCI | SLI)], "0c 80 0001", 0),
    ("PCI in a chained CCW", [C(0x03, 1, CC | SLI), C(0x03, 1, PCI | SLI)], "0c 80 0001", 1),
    ("PCI early on", [C(0x03, 1, PCI | CC | SLI), C(0xE4, 12)], "0c 80 0000", 1),
    ("PCI and incorrect length", [C(0xE4, 40, PCI)], "0c c0 001c", 0),
]  # fmt: skip


@pytest.mark.parametrize("format0", [False, True], ids=["format1", "format0"])
@pytest.mark.parametrize(
    ("program", "status", "ccw"), [row[1:] for row in BOTH_FORMATS], ids=[row[0] for row in BOTH_FORMATS]
)
def test_both_formats(rig: Rig, program: list[C], status: str, ccw: int, format0: bool) -> None:
    # a fresh list: a row may hold one CCW several times
    result = rig.run(*(C(c.command, c.data, c.flags, c.count, c.at) for c in program), format0=format0)
    assert (result.cc, result.status, result.ccw) == (0, status, ccw)
    scsw = result.irb.scsw
    ordinary = Function.START | Function.PRIMARY | Function.SECONDARY | Function.PENDING
    abnormal = result.raw[8] != 0x0C or result.raw[9] & 0x7F
    expected = ordinary | (Function.ALERT if abnormal else 0)
    assert scsw.function == expected | (Function.INTERMEDIATE if result.raw[9] & 0x80 else 0)


FORMAT_1 = [
    ("zero count, no data", [C(0x03, 0)], OK, 0),
    ("zero count for a read: the block is longer", [C(0xE4, 0)], "0c 40 0000", 0),
    ("zero count for a read, suppressed", [C(0xE4, 0, SLI)], OK, 0),
    ("zero count with data chaining", [C(0xE4, 0, CD), C(0, 12)], "00 20 0000", 0),
    ("immediate command with a count", [C(0x03, 1)], "0c 40 0001", 0),
    ("immediate command with a count, chained", [C(0x03, 1, CC), C(0x03, 1)], "0c 40 0001", 0),
    ("address beyond 31 bits", [C(0xE4, 12, at=0x80010000)], "00 20 000c", 0),
    ("TIC with a count", [C(0x03, 0, CC), C(TIC, count=1, at=PROGRAM + 16), C(0x03, 0)], "00 20 0000", 1),
    ("TIC with flags", [C(0x03, 0, CC), C(TIC, 0, SLI, at=PROGRAM + 16), C(0x03, 0)], "00 20 0000", 1),
    ("TIC with bits in the code", [C(0x03, 0, CC), C(0x18, at=PROGRAM + 16), C(0x03, 0)], "00 20 0000", 1),
    ("TIC beyond 31 bits", [C(0x03, 0, CC), C(TIC, at=0x80000000 | PROGRAM + 16), C(0x03, 0)], "00 20 0000", 1),
]


@pytest.mark.parametrize(("program", "status", "ccw"), [row[1:] for row in FORMAT_1], ids=[row[0] for row in FORMAT_1])
def test_format_1(rig: Rig, program: list[C], status: str, ccw: int) -> None:
    result = rig.run(*program)
    assert (result.cc, result.status, result.ccw) == (0, status, ccw)


FORMAT_0 = [
    ("zero count", [C(0x03, 0)], "00 20 0000", 0),
    ("immediate command with a count", [C(0x03, 1)], "0c 00 0001", 0),
    ("TIC with a count", [C(0x03, 1, CC), C(TIC, count=1, at=PROGRAM + 16), C(0x03, 1)], "0c 00 0001", 2),
    ("TIC with flags", [C(0x03, 1, CC), C(TIC, 0, 0xFC, at=PROGRAM + 16), C(0x03, 1)], "0c 00 0001", 2),
    ("TIC with bits in the code", [C(0x03, 1, CC), C(0xF8, at=PROGRAM + 16), C(0x03, 1)], "0c 00 0001", 2),
]


@pytest.mark.parametrize(("program", "status", "ccw"), [row[1:] for row in FORMAT_0], ids=[row[0] for row in FORMAT_0])
def test_format_0(rig: Rig, program: list[C], status: str, ccw: int) -> None:
    result = rig.run(*program, format0=True)
    assert (result.cc, result.status, result.ccw) == (0, status, ccw)


def test_suppressed_length_of_immediate_commands(rig: Rig) -> None:
    result = rig.run(C(0x03, 1, CC), C(0x03, 1), orb=OrbFlag.SUPPRESS_IMMEDIATE_LENGTH)
    assert (result.status, result.ccw) == ("0c 00 0001", 1)


@pytest.mark.parametrize("start", [PROGRAM + 1, PROGRAM + 4, STORAGE_SIZE, 0x7FFFFFF8])
def test_bad_program_address(rig: Rig, start: int) -> None:
    result = rig.run(C(0x03, 1, SLI), start=start)
    assert result.status == "00 20 0000"
    assert result.irb.scsw.ccw_address == (start + 8) & 0x7FFFFFFF


def test_format_0_addresses_have_24_bits(rig: Rig) -> None:
    """A program above 16 MiB is out of reach of format-0 CCWs, mapped or not."""
    high = bytearray(4096)
    rig.storage.map(0x1000000, high)
    high[:8] = bytes([0x03, 0x20, 0, 0, 0, 0, 0, 0])
    assert rig.start((), OrbFlag.FORMAT_1, 0xFF, 0, 0x1000000, rig.sch).status == OK
    assert rig.start((), OrbFlag(0), 0xFF, 0, 0x1000000, rig.sch).status == "00 20 0000"


# --- data


def test_read_stores_what_the_device_gives(rig: Rig) -> None:
    result = rig.run(C(0xE4, 16, SLI))
    assert rig.stored(result.addresses[0], 16) == SENSE_ID + b"\xee" * 4


def test_a_short_read_stores_no_byte_more(rig: Rig) -> None:
    result = rig.run(C(0xE4, 16, SLI, count=5))
    assert rig.stored(result.addresses[0], 16) == SENSE_ID[:5] + b"\xee" * 11


def test_skipped_bytes_stay_out_of_storage(rig: Rig) -> None:
    result = rig.run(C(0xE4, 4, SKIP | CD), C(0, 8))
    assert rig.stored(result.addresses[0], 4) == b"\xee" * 4
    assert rig.stored(result.addresses[1], 8) == SENSE_ID[4:]


def test_a_data_chain_scatters(rig: Rig) -> None:
    result = rig.run(C(0xE4, 5, CD), C(0, 4, CD), C(0, 3))
    pieces = [rig.stored(address, n) for address, n in zip(result.addresses, (5, 4, 3), strict=True)]
    assert b"".join(pieces) == SENSE_ID


def test_data_over_the_border_of_two_areas(rig: Rig) -> None:
    after = bytearray(0x1000)
    rig.storage.map(STORAGE_SIZE, after)
    assert rig.run(C(0xE4, 12, at=STORAGE_SIZE - 5)).status == OK
    assert rig.stored(STORAGE_SIZE - 5, 5) + bytes(after[:7]) == SENSE_ID


@pytest.mark.parametrize("sizes", [(0x2000,), (0x1000, 0x1000)], ids=["one area", "two areas"])
def test_data_end_where_the_addresses_of_the_format_end(rig: Rig, sizes: tuple[int, ...]) -> None:
    """Storage goes on at 16 MiB, format-0 addresses do not; an IDAW that led there before makes no difference."""
    border, idal, areas = 0x1000000, 0x8000, [bytearray(b"\xee" * size) for size in sizes]
    for at, area in zip((border - 0x1000, border), areas, strict=False):
        rig.storage.map(at, area)
    rig.memory[idal : idal + 8] = (border + 0x800).to_bytes(8, "big")
    beyond = C(0xE4, 0, IDA | CC, count=12, at=idal)
    result = rig.run(beyond, C(0xE4, 12, at=border - 4), format0=True, orb=OrbFlag.IDA_64)
    assert (result.status, result.ccw) == ("0c 20 0008", 1)
    stored = b"".join(areas)
    assert stored[0xFFC:0x100C] == SENSE_ID[:4] + b"\xee" * 12
    assert stored[0x1800:0x180C] == SENSE_ID


# --- indirect data addresses

IDAL = 0x8000


@pytest.mark.parametrize(
    ("orb", "width", "block"),
    [(OrbFlag(0), 4, 2048), (OrbFlag.IDA_64, 8, 4096), (OrbFlag.IDA_64 | OrbFlag.IDA_2K, 8, 2048)],
    ids=["format1", "format2-4K", "format2-2K"],
)
class TestIdaws:
    def read(self, rig: Rig, orb: OrbFlag, width: int, words: list[int], size: int, idal: int = IDAL) -> str:
        rig.memory[IDAL : IDAL + width * len(words)] = b"".join(word.to_bytes(width, "big") for word in words)
        rig.memory[DATA : DATA + 0x8000] = b"\xee" * 0x8000
        return rig.run(C(0x64, 0, IDA | SLI, count=size, at=idal), orb=orb).status

    def test_one_block(self, rig: Rig, orb: OrbFlag, width: int, block: int) -> None:
        assert self.read(rig, orb, width, [DATA], 64) == OK
        assert rig.stored(DATA, 6) == bytes.fromhex("3990e9339002")

    def test_the_first_begins_anywhere(self, rig: Rig, orb: OrbFlag, width: int, block: int) -> None:
        assert self.read(rig, orb, width, [DATA + block - 3, DATA + 2 * block], 64) == OK
        assert rig.stored(DATA + block - 3, 4) == bytes.fromhex("3990e9ee")
        assert rig.stored(DATA + 2 * block, 3) == bytes.fromhex("339002")

    def test_the_others_at_a_block(self, rig: Rig, orb: OrbFlag, width: int, block: int) -> None:
        assert self.read(rig, orb, width, [DATA + block - 3, DATA + 2 * block + 8], 64) == "0c 20 003d"

    def test_one_that_is_not_needed_is_not_looked_at(self, rig: Rig, orb: OrbFlag, width: int, block: int) -> None:
        assert self.read(rig, orb, width, [DATA + block - 64, 0xFFFFFFFF], 64) == OK

    def test_out_of_storage(self, rig: Rig, orb: OrbFlag, width: int, block: int) -> None:
        assert self.read(rig, orb, width, [NOWHERE], 64) == "0c 20 0040"

    def test_list_out_of_storage(self, rig: Rig, orb: OrbFlag, width: int, block: int) -> None:
        assert self.read(rig, orb, width, [DATA], 64, idal=NOWHERE) == "0c 20 0040"

    def test_list_not_aligned(self, rig: Rig, orb: OrbFlag, width: int, block: int) -> None:
        assert self.read(rig, orb, width, [DATA], 64, idal=IDAL + 2) == "00 20 0040"


def test_format_1_idaw_has_31_bits(rig: Rig) -> None:
    rig.memory[IDAL : IDAL + 4] = (0x80000000 | DATA).to_bytes(4, "big")
    assert rig.run(C(0x64, 0, IDA, count=64, at=IDAL)).status == "0c 20 0040"


def test_format_2_idaw_reaches_above_2_gib(rig: Rig) -> None:
    high = bytearray(4096)
    rig.storage.map(0x180000000, high)
    rig.memory[IDAL : IDAL + 8] = (0x180000000).to_bytes(8, "big")
    assert rig.run(C(0x64, 0, IDA, count=64, at=IDAL), orb=OrbFlag.IDA_64).status == OK
    assert high[:6] == bytes.fromhex("3990e9339002")


# --- storage keys


@pytest.mark.parametrize(
    ("key", "fetch_protected", "orb_key", "store", "fetch"),
    [
        (0, False, 0, OK, OK),
        (5, False, 0, OK, OK),
        (5, True, 0, OK, OK),
        (5, True, 5, OK, OK),
        (5, False, 6, "0c 10 000c", OK),
        (5, True, 6, "0c 10 000c", "0c 10 0006"),
        (0, False, 6, "0c 10 000c", OK),
    ],
)
def test_protection(rig: Rig, key: int, fetch_protected: bool, orb_key: int, store: str, fetch: str) -> None:
    at = 2 * STORAGE_SIZE
    area = bytearray(64)
    rig.storage.map(at, area, key=key, fetch_protected=fetch_protected)
    assert rig.run(C(0xE4, 12, at=at), key=orb_key).status == store
    area[:] = bytes(64)
    assert rig.run(C(0x07, 0, count=6, at=at), key=orb_key).status == fetch


# --- status modifier


def test_status_modifier_skips_a_ccw(rig: Rig) -> None:
    """A search that is satisfied skips the transfer in channel behind it."""
    result = rig.run(C(0x07, SEEK, CC), C(0x31, bytes(5), CC), C(TIC, at=PROGRAM + 8), C(0x06, 8, SLI))
    assert (result.status, result.ccw) == (OK, 3)


def test_search_loop_finds_the_last_record(rig: Rig) -> None:
    result = rig.run(C(0x07, bytes(6), CC), C(0x31, bytes([0, 0, 0, 0, 12]), CC), C(TIC, at=PROGRAM + 8), C(0x06, 4096))
    assert (result.status, result.ccw) == (OK, 3)
    assert rig.stored(result.addresses[3], 7) == b"0/0/12;"


# --- bounds


def test_an_endless_loop_ends(rig: Rig) -> None:
    result = rig.run(C(0x03, 1, CC | SLI), C(TIC, at=PROGRAM))
    assert result.raw[9] == 0x02  # interface-control check
    assert Function.ALERT in result.irb.scsw.function


@pytest.mark.parametrize("flag", [0, SKIP], ids=["stored", "skipped"])
def test_a_program_moves_no_more_than_a_gib(rig: Rig, flag: int) -> None:
    """A CCW counts as one, a KiB that the device sends as one more: reads of a track end after some 21400."""
    track = BLOCKS * (8 + BLOCK_SIZE)
    read = build_ccw(0x5E, 0x80000, 0xFFFF, CC | SLI | flag)
    rig.memory[PROGRAM : PROGRAM + 8 * 30000] = build_ccw(0x07, 0x800, 6, CC) + read * 29999
    rig.memory[0x800:0x806] = SEEK
    result = rig.start((), OrbFlag.FORMAT_1, 0xFF, 0, PROGRAM, rig.sch)
    assert result.raw[9] == 0x02  # interface-control check
    assert result.ccw == (1 << 20) // (1 + track // 1024) + 2


def test_a_program_formats_no_more_than_a_gib(rig: Rig) -> None:
    """A formatting write copies its track, however little the channel sends."""
    rig.memory[0x800:0x810], rig.memory[0x810:0x820] = extent(0x00), locate(0x03, 3, 0, 0, 1)
    rig.memory[0x820:0x828] = bytes([0, 3, 0, 0, 1, 0, 0, 8])
    pair = build_ccw(0x47, 0x810, 16, CC) + build_ccw(0x1D, 0x820, 8, CC | SLI)
    rig.memory[PROGRAM : PROGRAM + 8 + 16 * 20000] = build_ccw(0x63, 0x800, 16, CC) + pair * 20000
    result = rig.start((), OrbFlag.FORMAT_1, 0xFF, 0, PROGRAM, rig.sch)
    assert result.raw[9] == 0x02
    assert (result.ccw - 1) // 2 == (1 << 20) // (2 + 56832 // 1024) + 1


def test_an_endless_data_chain_ends(rig: Rig) -> None:
    """The device takes a block, byte by byte, and the chain is not at its end."""
    lead = [C(0x63, extent(0x80), CC), C(0x47, locate(0x01, 0, 0, 1, 1), CC)]
    result = rig.run(*lead, C(0x05, b"a", CD), C(0, b"b", CD), C(TIC, at=PROGRAM + 24))
    assert result.raw[8:10].hex() == "0c40"
    assert rig.image.read_track(0, 0)[1].data == b"a" + b"b" * (BLOCK_SIZE - 1)


# --- suspend and resume


def test_suspend_and_resume(rig: Rig) -> None:
    addresses = rig.place([C(0xE4, 12, CC), C(0x64, 64, SUSPEND)])
    orb = OrbFlag.FORMAT_1 | OrbFlag.SUSPEND
    result = rig.start(addresses, orb, 0xFF, 0, PROGRAM, rig.sch)
    assert result.irb.scsw.function == Function.START | Function.SUSPENDED | Function.INTERMEDIATE | Function.PENDING
    assert (result.ccw, result.status) == (1, "00 00 0040")
    assert rig.sch.test()[0] == 1
    rig.memory[PROGRAM + 9] = 0  # the suspend flag goes
    assert rig.sch.resume() == 0
    cc, raw = rig.sch.test()
    assert (cc, raw[8:12].hex(), raw[3] & 0x1F) == (0, "0c000000", 7)
    assert rig.stored(addresses[1], 2) == b"\x39\x90"
    assert rig.sch.resume() == 2


def test_resume_suspends_again_while_the_flag_is_on(rig: Rig) -> None:
    addresses = rig.place([C(0x64, 64, SUSPEND)])
    assert rig.start(addresses, OrbFlag.FORMAT_1 | OrbFlag.SUSPEND, 0xFF, 0, PROGRAM, rig.sch).cc == 0
    assert rig.sch.resume() == 0
    assert rig.sch.test()[1][2:4].hex() == "4029"


def test_suspended_without_interruption(rig: Rig) -> None:
    addresses = rig.place([C(0x64, 64, SUSPEND)])
    orb = OrbFlag.FORMAT_1 | OrbFlag.SUSPEND | OrbFlag.SUPPRESS_SUSPEND_INTERRUPTION
    rig.start(addresses, orb, 0xFF, 0, PROGRAM, rig.sch)
    assert not rig.sch.status_pending
    assert rig.sch.store()[30:32].hex() == "4020"


def test_suspend_flag_in_a_data_chain(rig: Rig) -> None:
    addresses = rig.place([C(0xE4, 5, CD), C(0, 7, SUSPEND)])
    result = rig.start(addresses, OrbFlag.FORMAT_1 | OrbFlag.SUSPEND, 0xFF, 0, PROGRAM, rig.sch)
    assert result.status == "0c 20 0007"


# --- the other bytes of the IRB


def test_scsw_takes_bits_of_the_orb(rig: Rig) -> None:
    result = rig.run(C(0x03, 1, SLI), orb=OrbFlag.PREFETCH | OrbFlag.SUSPEND, key=9)
    assert result.raw[:4].hex() == "98c04007"


def test_unit_check_brings_its_sense_along(rig: Rig) -> None:
    """As measured on a real vfio-ccw (kernel-facts C), apart from channel end and device end, which a disk gives."""
    result = rig.run(C(0xFF, 12, SLI))
    assert result.raw[:32].hex() == "04824017" + "00001008" + "0e00000c" + "00800000" + "01002000" + "00" * 12
    assert result.raw[32:64].hex() == "80000000340000" + "01" + "00" * 19 + "80" + "00" * 4
    assert rig.run(C(0x04, 32)).status == OK
    assert rig.stored(DATA, 32) == bytes(32), "the sense data went with the IRB"


def test_sense_command_without_concurrent_sense(rig: Rig) -> None:
    schib = bytearray(rig.sch.store())
    schib[27] &= 0xFE
    assert rig.sch.modify(bytes(schib)) == 0
    result = rig.run(C(0xFF, 12, SLI))
    assert (result.raw[:4].hex(), result.irb.sense) == ("00804017", None)
    result = rig.run(C(0x04, 32))
    assert rig.stored(result.addresses[0], 8).hex() == "8000000034000001"

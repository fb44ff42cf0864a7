# SPDX-License-Identifier: GPL-2.0-or-later
"""Modified indirect-data-address words (Principles of Operation, chapter 15): lists in, storage and status out.

Read device characteristics gives 64 bytes, set path-group id takes 12.
"""

from __future__ import annotations

import pytest
from core_rig import CC, CD, DATA, IDA, MIDA, SKIP, SLI, STORAGE_SIZE, C, Rig

from ccwemu.channel import MidawFlag, OrbFlag, build_midaw

LIST = 0x8000
PAGE = 0x1000
NOWHERE = STORAGE_SIZE + PAGE
LAST, SKIPPED = MidawFlag.LAST, MidawFlag.SKIP
BLOCK = bytes.fromhex("3990e93390025000109620")
OK = "0c 00 0000"


def read(rig: Rig, words: bytes, count: int = 64, flags: int = 0, at: int = LIST, *, key: int = 0) -> str:
    rig.memory[LIST : LIST + len(words)] = words
    rig.memory[DATA : DATA + 8 * PAGE] = b"\xee" * (8 * PAGE)
    return rig.run(C(0x64, 0, MIDA | flags, count=count, at=at), orb=OrbFlag.MODIFIED_IDAWS, key=key).status


# name, list, count of the CCW, "device status, subchannel status, residual count"
READS = [
    ("one", build_midaw(DATA, 64, LAST), 64, OK),
    ("anywhere in a page", build_midaw(DATA + 17, 64, LAST), 64, OK),
    ("up to the end of a page", build_midaw(DATA + PAGE - 64, 64, LAST), 64, OK),
    ("two", build_midaw(DATA, 24) + build_midaw(DATA + PAGE + 3, 40, LAST), 64, OK),
    ("the second needs no block boundary", build_midaw(DATA, 1) + build_midaw(DATA + 1, 63, LAST), 64, OK),
    ("of one byte each", b"".join(build_midaw(DATA + 2 * n, 1) for n in range(64)), 64, OK),
    ("the last flag is not needed when the count ends", build_midaw(DATA, 64), 64, OK),
    ("words that are not needed are not looked at", build_midaw(DATA, 64) + b"\xff" * 16, 80, "0c 40 0010"),
    ("skipped bytes", build_midaw(0, 4, SKIPPED) + build_midaw(DATA, 60, LAST), 64, OK),
    ("skipped bytes need no storage", build_midaw(NOWHERE, 64, SKIPPED | LAST), 64, OK),
    ("skipped bytes may cross a page", build_midaw(DATA + PAGE - 1, 64, SKIPPED | LAST), 64, OK),
    # --- program checks
    ("count zero", build_midaw(DATA, 0, LAST), 64, "0c 20 0040"),
    ("over the end of a page", build_midaw(DATA + PAGE - 63, 64, LAST), 64, "0c 20 0040"),
    ("more than the CCW's count", build_midaw(DATA, 65, LAST), 64, "0c 20 0040"),
    ("the second more than what is left", build_midaw(DATA, 60) + build_midaw(DATA, 5, LAST), 64, "0c 20 0004"),
    ("the last does not fill the count", build_midaw(DATA, 60, LAST) + build_midaw(DATA, 4, LAST), 64, "0c 20 0004"),
    ("reserved bits", b"\x01" + build_midaw(DATA, 64, LAST)[1:], 64, "0c 20 0040"),
    ("reserved bits, fifth byte", bytes(4) + b"\x80" + build_midaw(DATA, 64, LAST)[5:], 64, "0c 20 0040"),
    ("reserved flags", build_midaw(DATA, 64, LAST | 0x10), 64, "0c 20 0040"),
    ("data-transfer interruption is not installed", build_midaw(DATA, 64, LAST | 0x20), 64, "0c 20 0040"),
    ("data outside of storage", build_midaw(NOWHERE, 64, LAST), 64, "0c 20 0040"),
    ("the second outside of storage", build_midaw(DATA, 4) + build_midaw(NOWHERE, 60, LAST), 64, "0c 20 003c"),
    ("beyond 64 bits of address", build_midaw(0xFFFFFFFFFFFFF000, 64, LAST), 64, "0c 20 0040"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "count", "status"), [r[1:] for r in READS], ids=[r[0] for r in READS])
def test_read(rig: Rig, words: bytes, count: int, status: str) -> None:
    assert read(rig, words, count) == status


LISTS = [
    ("quadword boundary", LIST + 8, "00 20 0040"),
    ("outside of storage", NOWHERE, "0c 20 0040"),
    ("beyond 31 bits", 0x80000000, "00 20 0040"),
]


@pytest.mark.parametrize(("at", "status"), [r[1:] for r in LISTS], ids=[r[0] for r in LISTS])
def test_address_of_the_list(rig: Rig, at: int, status: str) -> None:
    assert read(rig, build_midaw(DATA, 64, LAST), at=at) == status


def test_the_list_lies_in_one_page(rig: Rig) -> None:
    """Its second word would be in the next page."""
    at = LIST + PAGE - 16
    rig.memory[at : at + 32] = build_midaw(DATA, 4) + build_midaw(DATA + 8, 60, LAST)
    assert read(rig, b"", at=at) == "0c 20 003c"
    rig.memory[at : at + 16] = build_midaw(DATA, 64, LAST)
    assert read(rig, b"", at=at) == OK, "one that begins at the last quadword is fine"


@pytest.mark.parametrize("flags", [IDA, SKIP, IDA | SKIP], ids=["ida", "skip", "both"])
def test_not_together_with(rig: Rig, flags: int) -> None:
    assert read(rig, build_midaw(DATA, 64, LAST), flags=flags) == "00 20 0040"


def test_scatter(rig: Rig) -> None:
    words = build_midaw(DATA + 5, 3) + build_midaw(0, 2, SKIPPED) + build_midaw(DATA + PAGE, 6) + build_midaw(DATA, 1)
    assert read(rig, words, 12, SLI) == OK
    assert rig.stored(DATA, 9) == b"\x26" + b"\xee" * 4 + BLOCK[:3] + b"\xee"
    assert rig.stored(DATA + PAGE, 7) == BLOCK[5:11] + b"\xee"


def test_gather(rig: Rig) -> None:
    """A write: skip flags mean nothing then, as with CCWs."""
    group = bytes(range(1, 12))
    rig.memory[DATA : DATA + 12] = b"\x80" + group
    rig.memory[LIST : LIST + 32] = build_midaw(DATA, 5, SKIPPED) + build_midaw(DATA + 5, 7, LAST)
    program = [C(0xAF, 0, MIDA | CC, count=12, at=LIST), C(0x34, 12, at=DATA + PAGE)]
    assert rig.run(*program, orb=OrbFlag.MODIFIED_IDAWS).status == OK
    assert rig.stored(DATA + PAGE, 12) == b"\xc8" + group


def test_each_ccw_of_a_data_chain_has_its_own_list(rig: Rig) -> None:
    rig.memory[LIST : LIST + 48] = build_midaw(DATA, 4, LAST) + build_midaw(DATA + 8, 20) + build_midaw(DATA + 32, 40)
    program = [C(0x64, 0, MIDA | CD, count=4, at=LIST), C(0, 0, MIDA, count=60, at=LIST + 16)]
    assert rig.run(*program, orb=OrbFlag.MODIFIED_IDAWS).status == OK
    assert rig.stored(DATA, 4) + rig.stored(DATA + 8, 7) == BLOCK


def test_a_chain_of_idaws_and_midaws(rig: Rig) -> None:
    rig.memory[LIST : LIST + 16] = build_midaw(DATA, 32, LAST)
    rig.memory[LIST + 16 : LIST + 24] = (DATA + PAGE).to_bytes(8, "big")
    program = [C(0x64, 0, MIDA | CD, count=32, at=LIST), C(0, 0, IDA, count=32, at=LIST + 16)]
    assert rig.run(*program, orb=OrbFlag.MODIFIED_IDAWS | OrbFlag.IDA_64).status == OK
    assert rig.stored(DATA, 11) == BLOCK


def test_format_0(rig: Rig) -> None:
    rig.memory[LIST : LIST + 16] = build_midaw(DATA, 64, LAST)
    assert rig.run(C(0x64, 0, MIDA, count=64, at=LIST), format0=True, orb=OrbFlag.MODIFIED_IDAWS).status == OK
    assert rig.stored(DATA, 11) == BLOCK


def test_above_2_gib(rig: Rig) -> None:
    high = bytearray(PAGE)
    rig.storage.map(0x180000000, high)
    assert read(rig, build_midaw(0x180000000, 64, LAST)) == OK
    assert high[:11] == BLOCK


@pytest.mark.parametrize(
    ("data", "words", "status"),
    [((5, False), (0, False), "0c 10 0040"), ((6, True), (0, False), OK), ((6, False), (5, False), OK),
     ((6, False), (5, True), "0c 10 0040"), ((6, False), (6, True), OK)],
    ids=["store into another key", "own key", "list readable", "list fetch-protected", "list with own key"],
)  # fmt: skip
def test_keys(rig: Rig, data: tuple[int, bool], words: tuple[int, bool], status: str) -> None:
    """Key 6 in the ORB; key and fetch protection of the data's page and of the list's."""
    at = 4 * STORAGE_SIZE
    listed = bytearray(build_midaw(2 * STORAGE_SIZE, 64, LAST).ljust(PAGE, b"\0"))
    rig.storage.map(at, listed, key=words[0], fetch_protected=words[1])
    rig.storage.map(2 * STORAGE_SIZE, bytearray(PAGE), key=data[0], fetch_protected=data[1])
    result = rig.run(C(0x64, 0, MIDA, count=64, at=at), orb=OrbFlag.MODIFIED_IDAWS, key=6)
    assert result.status == status

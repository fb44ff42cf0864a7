# SPDX-License-Identifier: GPL-2.0-or-later
"""Locate Record Extended, Prefix, and the commands for whole tracks, with the parameters that Linux sends.

Layouts: kernel-facts G.6; Linux drivers/s390/block/dasd_eckd.c, locate_record_ext() and prefix_LRE().
"""

from __future__ import annotations

from pathlib import Path

import pytest
from core_rig import BLOCK_SIZE, CC, CD, PROGRAM, SLI, C, Rig, extent, filled_track, keyed_track, locate, record_data

from ccwemu.channel import Device, Image, Record, Storage, Subchannel, track_address

OK = "0c 00 0000"
TIC = 0x08
READ_ONLY, UPDATE, FORMAT, ALL = 0x40, 0x80, 0x00, 0xC0
READ_TRACKS, EXTENDED = 0x0C, 0x3F
FULL_TRACK, TRACK_DATA = 0x11, 0x23
LENGTH_VALID = 0x80
END = b"\xff" * 8


def lre(
    operation: int,
    cylinder: int,
    head: int,
    record: int,
    count: int,
    *,
    extended: int = 0,
    length: int = 0,
    parameter: bytes = b"",
    orientation: int = 0,
) -> bytes:
    """Parameters of a Locate Record Extended: 20 bytes and the extended parameter."""
    data = bytearray(locate(operation, cylinder, head, record, count, orientation=orientation))
    if length:
        data[1] = LENGTH_VALID
        data[14:16] = length.to_bytes(2, "big")
    return bytes(data) + bytes([0, extended]) + len(parameter).to_bytes(2, "big") + parameter


def prefix(
    define: bytes, located: bytes = b"", *, form: int | None = None, valid: int = 0x80, base: int = 0x34
) -> bytes:
    """Parameters of a Prefix: format 1 with a Locate Record Extended, else format 0."""
    head = bytes([(1 if located else 0) if form is None else form, valid, base]).ljust(12, b"\0")
    return head + define.ljust(32, b"\0") + located.ljust(20, b"\0")


def raw(records: list[Record]) -> bytes:
    return b"".join(record.to_bytes() for record in records) + END


def lead(located: bytes, mask: int, *, by_prefix: bool) -> list[C]:
    """The two ways to the same: Define Extent and Locate Record Extended, or Prefix."""
    if by_prefix:
        return [C(0xE7, prefix(extent(mask), located), CC)]
    return [C(0x63, extent(mask), CC), C(0x4B, located, CC)]


@pytest.fixture(params=[False, True], ids=["define and locate", "prefix"])
def by_prefix(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# --- records, located by the extended command

RECORDS = [
    ("read", 0x06, READ_ONLY, C(0x86, BLOCK_SIZE)),
    ("read any", 0x16, READ_ONLY, C(0x06, BLOCK_SIZE)),
    ("read count, key and data: of the next", 0x16, READ_ONLY, C(0x1E, 8 + BLOCK_SIZE)),
    ("write", 0x01, UPDATE, C(0x85, b"n" * BLOCK_SIZE)),
    ("format", 0x03, FORMAT, C(0x1D, track_address(0, 0) + bytes([2, 0, 0, 5]) + b"12345")),
    ("format, as to erase", 0x0B, FORMAT, C(0x1D, track_address(0, 0) + bytes([2, 0, 0, 5]) + b"12345")),
    ("erase", 0x0B, FORMAT, C(0x11, bytes(8))),
]


@pytest.mark.parametrize(("operation", "mask", "ccw"), [r[1:] for r in RECORDS], ids=[r[0] for r in RECORDS])
def test_records(rig: Rig, by_prefix: bool, operation: int, mask: int, ccw: C) -> None:
    program = lead(lre(operation, 0, 0, 1, 1, length=BLOCK_SIZE), mask, by_prefix=by_prefix)
    assert rig.run(*program, C(ccw.command, ccw.data, ccw.flags)).status == OK
    rig.image.check()


def test_read_blocks_over_tracks(rig: Rig, by_prefix: bool) -> None:
    program = lead(lre(0x06, 0, 14, 12, 3, length=BLOCK_SIZE), READ_ONLY, by_prefix=by_prefix)
    result = rig.run(*program, C(0x86, 4096, CC), C(0x86, 4096, CC), C(0x86, 4096))
    assert result.status == OK
    stored = [rig.stored(address, BLOCK_SIZE) for address in result.addresses[-3:]]
    assert stored == [record_data(0, 14, 12), record_data(1, 0, 1), record_data(1, 0, 2)]


# --- Read Track, as for raw access


def test_read_track(rig: Rig, by_prefix: bool) -> None:
    """Whole tracks, record 0 first, with the end mark; Linux' buffer is longer, and SLI is on."""
    program = lead(lre(READ_TRACKS, 1, 14, 0, 2, orientation=0x40), READ_ONLY, by_prefix=by_prefix)
    result = rig.run(*program, C(0xDE, 57326, CC | SLI), C(0xDE, 57326, SLI))
    wanted = [raw(filled_track(1, 14)), raw(keyed_track())]
    assert result.status == f"0c 00 {57326 - len(wanted[1]):04x}"
    assert [rig.stored(at, len(w)) for at, w in zip(result.addresses[-2:], wanted, strict=True)] == wanted


def test_read_track_data(rig: Rig, by_prefix: bool) -> None:
    """From record 3 to the end, a track in full, and 2 blocks of the last one: the transfer-length factor tells."""
    program = lead(lre(READ_TRACKS, 0, 3, 3, 3, length=2 * BLOCK_SIZE), READ_ONLY, by_prefix=by_prefix)
    data = [C(0xA6, 10 * BLOCK_SIZE, CC), C(0xA6, 12 * BLOCK_SIZE, CC), C(0xA6, 2 * BLOCK_SIZE)]
    result = rig.run(*program, *data)
    assert (result.status, result.sense) == (OK, "")
    for at, (head, numbers) in zip(
        result.addresses[-3:], [(3, range(3, 13)), (4, range(1, 13)), (5, (1, 2))], strict=True
    ):
        assert rig.stored(at, BLOCK_SIZE * len(numbers)) == b"".join(record_data(0, head, n) for n in numbers)


def test_read_track_data_into_a_data_chain(rig: Rig) -> None:
    program = lead(lre(READ_TRACKS, 0, 0, 1, 1, length=BLOCK_SIZE), READ_ONLY, by_prefix=True)
    result = rig.run(*program, C(0xA6, 1000, CD), C(0, 3096))
    assert result.status == OK
    assert rig.stored(result.addresses[1], 1000) + rig.stored(result.addresses[2], 3096) == record_data(0, 0, 1)


def test_read_multiple_count_key_and_data(rig: Rig) -> None:
    """From the record behind the one that was found to the end of the track; then the next time round."""
    seek = C(0x07, bytes(2) + track_address(2, 0), CC)
    search = [C(0x31, track_address(2, 0) + b"\x01", CC), C(TIC, at=PROGRAM + 8)]
    wanted = b"".join(record.to_bytes() for record in keyed_track()[1:])
    result = rig.run(seek, C(0x5E, len(wanted)))
    assert result.status == OK
    assert rig.stored(result.addresses[1], len(wanted)) == wanted
    rest = keyed_track()[2].to_bytes() + keyed_track()[3].to_bytes()
    result = rig.run(seek, *search, C(0x06, 9, CC), C(0x5E, len(rest)))
    assert result.status == OK
    assert rig.stored(result.addresses[4], len(rest)) == rest


# --- Write Full Track, as for raw access

NEW = [[Record(3, h, 0, b"", bytes(8)), Record(3, h, 1, b"K%03d" % h, b"data"), Record(3, h, 2, b"", b"x" * 9000)]
       for h in range(15)]  # fmt: skip


def wft(head: int, bits: bytes, count: int) -> bytes:
    return lre(EXTENDED, 3, head, 0, count, extended=FULL_TRACK, parameter=bits)


def test_write_full_track(rig: Rig, by_prefix: bool) -> None:
    program = lead(wft(0, b"\xe0\x00", 3), ALL, by_prefix=by_prefix)
    writes = [C(0x95, raw(NEW[h]), CC) for h in range(3)]
    writes[-1].flags = SLI
    assert rig.run(*program, *writes).status == OK
    assert [rig.image.read_track(3, h) for h in range(3)] == NEW[:3]
    assert len(rig.image.read_track(3, 3)) == 1
    rig.image.check()


def test_write_full_track_skips_what_is_not_in_the_set(rig: Rig) -> None:
    program = lead(wft(1, b"\x90\x80", 3), ALL, by_prefix=True)
    heads = (1, 4, 9)
    assert rig.run(*program, *[C(0x95, raw(NEW[h]), CC) for h in heads[:2]], C(0x95, raw(NEW[9]))).status == OK
    assert [len(rig.image.read_track(3, h)) for h in range(11)] == [3 if h in heads else 1 for h in range(11)]


def test_bytes_behind_the_end_mark(rig: Rig) -> None:
    result = rig.run(*lead(wft(0, b"\x80\x00", 1), ALL, by_prefix=True), C(0x95, raw(NEW[0]) + bytes(100), SLI))
    assert result.status == "0c 00 0064"
    assert rig.image.read_track(3, 0) == NEW[0]


R0, R1 = Record(0, 0, 0, b"", bytes(8)), Record(0, 0, 1, b"", b"data")
NO_TRACKS = [
    ("nothing but an end mark", END),
    ("no end mark", R0.to_bytes() + R1.to_bytes()),
    ("not with record 0 first", R1.to_bytes() + END),
    ("record 0 twice", R0.to_bytes() * 2 + END),
    ("half a count field", R0.to_bytes() + b"\0" * 4),
    ("half a record", R0.to_bytes() + R1.to_bytes()[:-1]),
    ("more than a track holds", R0.to_bytes() + Record(0, 0, 1, b"", bytes(4096)).to_bytes() * 13 + END),
    ("record 0 longer than a track", Record(0, 0, 0, b"", bytes(57000)).to_bytes() + END),
]


@pytest.mark.parametrize("data", [r[1] for r in NO_TRACKS], ids=[r[0] for r in NO_TRACKS])
def test_what_is_no_track_is_not_written(rig: Rig, data: bytes) -> None:
    before = rig.image.read_raw(0, 0)
    located = lre(EXTENDED, 0, 0, 0, 1, extended=FULL_TRACK, parameter=b"\x80\x00")
    result = rig.run(*lead(located, ALL, by_prefix=True), C(0x95, data, SLI))
    assert (result.raw[8], result.sense) == (0x0E, "004000")
    assert rig.image.read_raw(0, 0) == before


def test_a_channel_that_fails_in_the_midst_of_a_track(rig: Rig) -> None:
    before = rig.image.read_raw(0, 0)
    located = lre(EXTENDED, 0, 0, 0, 1, extended=FULL_TRACK, parameter=b"\x80\x00")
    program = lead(located, ALL, by_prefix=True)
    result = rig.run(*program, C(0x95, raw(NEW[0])[:100], CD), C(0, 0, count=9000, at=0x70000000))
    assert result.raw[9] == 0x20
    assert rig.image.read_raw(0, 0) == before


# --- Write Track Data


def test_write_track_data(rig: Rig, by_prefix: bool) -> None:
    """From record 11 of a track over the whole next one to record 2 of the third."""
    located = lre(EXTENDED, 0, 3, 11, 3, extended=TRACK_DATA, length=BLOCK_SIZE)
    blocks = [bytes([n]) * BLOCK_SIZE for n in range(16)]
    parts = [blocks[:2], blocks[2:14], blocks[14:]]
    writes = [C(0xA5, b"".join(part), CC) for part in parts]
    writes[-1].flags = 0
    assert rig.run(*lead(located, UPDATE, by_prefix=by_prefix), *writes).status == OK
    written = [r.data for h in (3, 4, 5) for r in rig.image.read_track(0, h)[1:]][10:26]
    assert written == blocks
    assert rig.image.read_track(0, 5)[3].data == record_data(0, 5, 3)


def test_track_data_of_other_lengths(rig: Rig) -> None:
    located = lre(EXTENDED, 2, 0, 1, 1, extended=TRACK_DATA, length=BLOCK_SIZE)
    before = rig.image.read_raw(2, 0)
    result = rig.run(*lead(located, UPDATE, by_prefix=True), C(0xA5, bytes(BLOCK_SIZE)))
    assert result.sense == "004000"
    assert rig.image.read_raw(2, 0) == before


# --- Write Home Address


def home(address: bytes, mask: int = ALL) -> list[C]:
    located = locate(0x03, 0, 2, 0, 1, orientation=0xC0)
    return [C(0x63, extent(mask), CC), C(0x47, located, CC), C(0x19, address)]


def test_write_home_address(rig: Rig) -> None:
    """It stays what it is, and the track has nothing but record 0 behind it."""
    assert rig.run(*home(b"\0" + track_address(0, 2))).status == OK
    assert rig.image.read_track(0, 2) == [Record(0, 2, 0, b"", bytes(8))]
    assert rig.image.read_track(0, 1) == filled_track(0, 1)
    rig.image.check()


# --- checks


DE = C(0x63, extent(ALL), CC)
CHECKS = [
    ("extended: too short", [DE, C(0x4B, lre(0x06, 0, 0, 1, 1)[:19])], 1, "800003"),
    ("extended: without extent", [C(0x4B, lre(0x06, 0, 0, 1, 1))], 0, "800002"),
    ("extended: in a domain", [DE, C(0x4B, lre(0x06, 0, 0, 1, 1), CC), C(0x4B, lre(0x06, 0, 0, 1, 1))], 2, "800002"),
    ("extended: unknown operation", [DE, C(0x4B, lre(0x2A, 0, 0, 1, 1))], 1, "800004"),
    ("extended: unknown extended operation", [DE, C(0x4B, lre(EXTENDED, 0, 0, 1, 1, extended=0x42))], 1, "800004"),
    ("extended: parameter too long", [DE, C(0x4B, lre(0x06, 0, 0, 1, 1, parameter=bytes(3)))], 1, "800004"),
    ("extended: parameter missing", [DE, C(0x4B, wft(0, b"\x80\x00", 1)[:20])], 1, "800003"),
    ("extended: length not valid", [DE, C(0x4B, lre(0x06, 0, 0, 1, 1)[:14] + b"\x10" + bytes(5))], 1, "800004"),
    ("extended: no operations", [DE, C(0x4B, lre(0x06, 0, 0, 1, 0))], 1, "800004"),
    ("extended: no such record", [DE, C(0x4B, lre(0x06, 0, 0, 13, 1))], 1, "000800"),
    ("full track: no set", [DE, C(0x4B, wft(0, b"", 1))], 1, "800004"),
    ("full track: set does not begin here", [DE, C(0x4B, wft(0, b"\x40\x00", 1))], 1, "800004"),
    ("full track: set of another number", [DE, C(0x4B, wft(0, b"\xc0\x00", 1))], 1, "800004"),
    ("prefix: too short", [C(0xE7, prefix(extent())[:63])], 0, "800003"),
    ("prefix: format 2", [C(0xE7, prefix(extent(), form=2))], 0, "800004"),
    ("prefix: extent not valid", [C(0xE7, prefix(extent(), valid=0))], 0, "800004"),
    ("prefix: another base", [C(0xE7, prefix(extent(), valid=0xA0, base=0x35))], 0, "800004"),
    ("prefix: twice", [C(0xE7, prefix(extent()), CC), C(0xE7, prefix(extent()))], 1, "800002"),
    ("prefix: extent beyond the disk", [C(0xE7, prefix(extent(ALL, (0, 0), (4, 0))))], 0, "800004"),
    ("prefix: located outside of the extent",
     [C(0xE7, prefix(extent(ALL, (0, 0), (0, 14)), lre(0x06, 1, 0, 1, 1)))], 0, "000400"),
    ("read track: outside of a domain", [DE, C(0xDE, 100)], 1, "800002"),
    ("read track: in another domain", [DE, C(0x4B, lre(0x06, 0, 0, 1, 1), CC), C(0xDE, 100)], 2, "800002"),
    ("read track data: outside of a domain", [DE, C(0xA6, 100)], 1, "800002"),
    ("read data: in a domain of tracks", [DE, C(0x4B, lre(READ_TRACKS, 0, 0, 1, 1), CC), C(0x06, 4096)], 2, "800002"),
    ("read track: more than announced", [DE, C(0x4B, lre(READ_TRACKS, 2, 0, 0, 1), CC), C(0xDE, 60000, CC | SLI),
                                         C(0xDE, 60000, SLI)], 3, "800002"),
    ("read track: end of the extent",
     [C(0x63, extent(ALL, (0, 0), (2, 0)), CC), C(0x4B, lre(READ_TRACKS, 2, 0, 0, 2), CC),
      C(0xDE, 60000, CC | SLI), C(0xDE, 60000, SLI)], 3, "000400"),
    ("read multiple: in a domain", [DE, C(0x4B, lre(0x06, 0, 0, 1, 1), CC), C(0x5E, 100)], 2, "800002"),
    ("read multiple: of an empty track", [C(0x07, bytes(2) + track_address(3, 0), CC), C(0x5E, 100)], 1, "000800"),
    ("write full track: outside of a domain", [DE, C(0x95, b"x")], 1, "800002"),
    ("write full track: mask", [C(0x63, extent(UPDATE), CC), C(0x4B, wft(0, b"\x80\x00", 1), CC), C(0x95, raw(NEW[0]))],
     2, "800002"),
    ("write full track: in a domain of data",
     [DE, C(0x4B, lre(EXTENDED, 0, 0, 1, 1, extended=TRACK_DATA, length=4096), CC), C(0x95, raw(NEW[0]))], 2, "800002"),
    ("write track data: mask", [C(0x63, extent(READ_ONLY), CC),
     C(0x4B, lre(EXTENDED, 0, 0, 1, 1, extended=TRACK_DATA, length=4096), CC), C(0xA5, bytes(4096))], 1, "800002"),
    ("write track data: in a domain of tracks",
     [DE, C(0x4B, wft(0, b"\x80\x00", 1), CC), C(0xA5, bytes(4096))], 2, "800002"),
    ("home address: of another track", home(b"\0" + track_address(0, 3)), 2, "800004"),
    ("home address: flag", home(b"\1" + track_address(0, 2)), 2, "800004"),
    ("home address: too short", [*home(b"")[:2], C(0x19, bytes(4), SLI)], 2, "800003"),
    ("home address: mask", home(b"\0" + track_address(0, 2), FORMAT), 2, "800002"),
    ("home address: behind a record",
     [DE, C(0x47, locate(0x03, 0, 2, 1, 1), CC), C(0x19, b"\0" + track_address(0, 2))], 2, "800002"),
]  # fmt: skip


@pytest.mark.parametrize(("program", "ccw", "sense"), [r[1:] for r in CHECKS], ids=[r[0] for r in CHECKS])
def test_checks(rig: Rig, program: list[C], ccw: int, sense: str) -> None:
    result = rig.run(*(C(c.command, c.data, c.flags, c.count, c.at) for c in program))
    assert (f"{result.raw[8]:02x}", result.ccw, result.sense) == ("0e", ccw, sense)
    assert rig.image.read_track(0, 2) == filled_track(0, 2)


@pytest.mark.parametrize("code", [0x95, 0xA5, 0x19])
def test_write_inhibited(read_only_rig: Rig, code: int) -> None:
    assert read_only_rig.run(DE, C(code, bytes(5))).sense == "800200"


def test_a_damaged_track(rig: Rig) -> None:
    with rig.path.open("r+b") as file:
        file.seek(512 + 56832 * 7 + 5 + 16 + 6)  # cylinder 0 head 7, data length of record 1
        file.write(b"\xff\xf0")
    program = lead(lre(READ_TRACKS, 0, 7, 0, 1), READ_ONLY, by_prefix=True)
    assert rig.run(*program, C(0xDE, 60000, SLI)).sense == "108000"
    assert rig.run(C(0x07, bytes(2) + track_address(0, 7), CC), C(0x5E, 60000, SLI)).sense == "108000"


# --- what drivers are told, geometry, sense


def test_announced_features(rig: Rig) -> None:
    """Bits that Linux looks at: features[8] & 1, [9] & 0x20, [12] & 0x40, [14] & 0x80."""
    device = Device(rig.image, announce_prefix=True)
    sch = Subchannel(device, devno=1, chpids=[0x41], pim=0x80, pam=0x80, pom=0xFF)
    result = rig.run(C(0x27, bytes.fromhex("180000000000410000000000"), CC), C(0x3E, 256), sch=sch)
    page = rig.stored(result.addresses[1], 256)
    assert {n: byte for n, byte in enumerate(page) if byte} == {8: 0x01, 9: 0x20, 12: 0x40, 14: 0x80}


# size, IBM's name, model number in Sense ID and the characteristics
MODELS = [
    (1113, "3390-1", 0x02), (2226, "3390-2", 0x06), (3339, "3390-3", 0x0A), (10017, "3390-9", 0x0C),
    (32760, "3390-27", 0x0C), (65520, "3390-54", 0x0C), (65521, "3390-A", 0x0E), (262668, "3390-A", 0x0E),
    (1, "a part of one", 0x02),
]  # fmt: skip


@pytest.mark.parametrize(("cylinders", "model"), [(r[0], r[2]) for r in MODELS], ids=[f"{r[1]} {r[0]}" for r in MODELS])
def test_models(cylinders: int, model: int) -> None:
    assert Device.model_of(cylinders) == model


def test_a_disk_of_more_than_65535_cylinders(tmp_path: Path) -> None:
    """Model A, larger than most machines' memory: its tracks are addressed by 28 bits of cylinder."""
    cylinders, cylinder, head = 200_000, 131_075, 7
    at = 512 + (cylinder * 15 + head) * 56832
    records = [Record(cylinder, head, n, b"", b"far away"[: 8 * n]) for n in (0, 1)]
    with (tmp_path / "disk").open("wb") as file:  # sparse; an opening that checks all tracks would refuse it
        file.write(b"CKD_P370" + (15).to_bytes(4, "little") + (56832).to_bytes(4, "little") + b"\x90")
        file.truncate(512 + cylinders * 15 * 56832)
        file.seek(at)
        home = b"\0" + track_address(cylinder, head)
        file.write(home + b"".join(record.to_bytes() for record in records) + b"\xff" * 8)
    with Image.open(tmp_path / "disk", damaged=True) as image:
        rig = object.__new__(Rig)
        rig.memory, rig.storage = bytearray(0x100000), Storage()
        rig.storage.map(0, rig.memory)
        rig.sch = Subchannel(Device(image), devno=1, chpids=[0x41], pim=0x80, pam=0x80, pom=0xFF)
        result = rig.run(C(0x64, 64))
        data = rig.stored(result.addresses[0], 64)
        assert (data[5], data[12:14].hex(), int.from_bytes(data[60:], "big")) == (0x0E, "fffe", cylinders)
        where = track_address(cylinder, head)
        whole = bytes([0x40, 0xC0]) + bytes(6) + track_address(0, 0) + track_address(cylinders - 1, 14)
        location = bytes([0x06, 0, 0, 1]) + where + where + bytes([1, 0, 0, 0])
        result = rig.run(C(0x63, whole, CC), C(0x47, location, CC), C(0x06, 8))
        assert (result.status, rig.stored(result.addresses[2], 8)) == (OK, b"far away")
        result = rig.run(C(0x07, bytes(2) + where, CC), C(0x1A, 5))
        assert rig.stored(result.addresses[1], 5) == home
        result = rig.run(C(0x07, bytes(2) + track_address(cylinders, 0)))
        assert result.sense == "800004"


@pytest.mark.parametrize("cylinders", [0, 262669])
def test_no_model(cylinders: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 262668"):
        Device.model_of(cylinders)


def test_sense_of_32_bytes(tmp_path: Path) -> None:
    """Program action code in byte 25, byte 27 without the bit of the 24-byte format, the track in bytes 28 to 31."""
    rig = Rig(tmp_path / "disk.ckd")
    device = Device(rig.image, unit_address=0x34, long_sense=True)
    sch = Subchannel(device, devno=1, chpids=[0x41], pim=0x80, pam=0x80, pom=0xFF)
    located = C(0x47, locate(0x06, 1, 9, 13, 1))
    sense = rig.run(C(0x63, extent(), CC), located, sch=sch).irb.sense
    assert sense is not None
    assert (sense[0], sense[1], sense[4], sense[25], sense[27]) == (0x00, 0x08, 0x34, 0x01, 0x30)
    assert sense[28:32].hex() == "00010009"
    sense = rig.run(C(0x63, extent(READ_ONLY, (0, 0), (0, 14)), CC), located, sch=sch).irb.sense
    assert sense is not None
    assert (sense[1], sense[25]) == (0x04, 0x15)


def without_concurrent_sense(sch: Subchannel) -> Subchannel:
    schib = bytearray(sch.store())
    schib[27] &= 0xFE
    assert sch.modify(bytes(schib)) == 0
    return sch


def test_sense_belongs_to_the_host_that_met_the_check(rig: Rig) -> None:
    ours, theirs = without_concurrent_sense(rig.sch), without_concurrent_sense(rig.subchannel())
    assert rig.run(C(0xFF, 12, SLI), sch=ours).raw[8] == 0x0E
    assert rig.run(C(0x63, extent()[:15]), sch=theirs).raw[8] == 0x0E
    assert rig.run(C(0xE4, 12), sch=theirs).status == OK, "gives their sense data up"
    for sch, sense in ((theirs, bytes(8)), (ours, bytes.fromhex("8000000034000001"))):
        result = rig.run(C(0x04, 32), sch=sch)
        assert rig.stored(result.addresses[0], 8) == sense


# --- two hosts and one reservation

RESERVE, RELEASE, STEAL = 0xB4, 0x94, 0x14
BUSY, DONE = "10", "0c"

# what host a and b do, and the unit status of each step
RESERVATIONS = [
    ("the other one is kept out", [("a", RESERVE, DONE), ("b", 0x64, BUSY), ("b", RESERVE, BUSY), ("a", 0x64, DONE)]),
    ("until it is released", [("a", RESERVE, DONE), ("a", RELEASE, DONE), ("b", 0x64, DONE)]),
    ("by its holder", [("a", RESERVE, DONE), ("b", RELEASE, BUSY), ("b", 0x64, BUSY)]),
    ("twice by the same host", [("a", RESERVE, DONE), ("a", RESERVE, DONE), ("a", RELEASE, DONE), ("b", 0x64, DONE)]),
    ("unconditional", [("a", RESERVE, DONE), ("b", STEAL, DONE), ("a", 0x64, BUSY), ("b", 0x64, DONE)]),
    ("back again", [("a", RESERVE, DONE), ("b", STEAL, DONE), ("a", STEAL, DONE), ("b", 0x64, BUSY)]),
    ("unconditional on a free device",
     [("b", STEAL, DONE), ("a", 0x64, BUSY), ("b", RELEASE, DONE), ("a", 0x64, DONE)]),
    ("release of what nobody reserved", [("a", RELEASE, DONE), ("b", RESERVE, DONE)]),
    ("what gets through", [("a", RESERVE, DONE), ("b", 0xE4, DONE), ("b", 0x34, DONE), ("b", 0x04, DONE)]),
]  # fmt: skip


@pytest.mark.parametrize("steps", [r[1] for r in RESERVATIONS], ids=[r[0] for r in RESERVATIONS])
def test_reservations(rig: Rig, steps: list[tuple[str, int, str]]) -> None:
    hosts = {"a": rig.sch, "b": rig.subchannel()}
    for host, command, status in steps:
        assert rig.run(C(command, 64, SLI), sch=hosts[host]).status[:2] == status, (host, hex(command))


def test_reading_what_the_same_program_wrote(rig: Rig) -> None:
    """Writes are put together on a stage; a read behind them in the chain finds them."""
    seek = C(0x07, bytes(2) + track_address(2, 0), CC)
    search = [C(0x31, track_address(2, 0) + b"\x01", CC), C(TIC, at=PROGRAM + 8)]
    again = [C(0x31, track_address(2, 0) + b"\x01", CC), C(TIC, at=PROGRAM + 32)]
    result = rig.run(seek, *search, C(0x05, b"DATA OF 1", CC), *again, C(0x06, 9))
    assert result.status == OK
    assert rig.stored(result.addresses[-1], 9) == b"DATA OF 1"
    with Image.open(rig.path, writable=False) as image:
        assert image.read_track(2, 0)[1].data == b"DATA OF 1"

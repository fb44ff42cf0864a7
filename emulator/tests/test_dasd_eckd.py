# SPDX-License-Identifier: GPL-2.0-or-later
"""The bytes of the dasd driver's channel programs, against what Linux sends."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ccwemu.machine.ccwdriver import Ccw, Ending
from ccwemu.machine.dasd import confdata, eckd, program, request
from ccwemu.machine.dasd.eckd import Geometry, Layout

CDL = Geometry(100, 15, layout=Layout.CDL, block_size=4096)
LDL = Geometry(100, 15, layout=Layout.LDL, block_size=4096)


def hexes(ccws: list[Ccw]) -> list[str]:
    """Each CCW as its command and what goes along: bytes written, or a number of bytes read."""
    return [f"{ccw.command:02x} {ccw.data if isinstance(ccw.data, int) else ccw.data.hex()}" for ccw in ccws]


@pytest.mark.parametrize(
    ("key", "data", "count"), [(0, 512, 49), (0, 1024, 33), (0, 2048, 21), (0, 4096, 12), (44, 96, 50)]
)
def test_records_per_track(key: int, data: int, count: int) -> None:
    assert eckd.records_per_track(key, data) == count


@pytest.mark.parametrize(
    ("track", "address"),
    [(0, "00000000"), (14, "0000000e"), (15, "00010000"), (65536 * 15 + 3, "00000013"), (0x12345 * 15, "23450010")],
)
def test_track_address(track: int, address: str) -> None:
    assert eckd.track_address(track, 15).hex() == address


def test_analysis() -> None:
    assert hexes(eckd.analysis_program(Geometry(100, 15))) == [
        "63 40c40000000000000000000000000001",
        "47 06000004000000000000000000000000",
        "12 8",
        "12 8",
        "12 8",
        "12 8",
        "47 06000001000000010000000100000000",
        "12 8",
    ]


def test_read_of_ordinary_blocks() -> None:
    """Block 30 is record 7 of track 2; 8 blocks end on track 3. Sector: (49 + 6 * 143) / 8 = 113."""
    assert hexes(eckd.read_program(CDL, 30, 8)) == [
        "63 40c00000000000000000000200000003",
        "47 0680000800000002000000020771" + "1000",
        *["86 4096"] * 8,
    ]


def test_write_of_ordinary_blocks() -> None:
    data = bytes(4096) + b"\x01" * 4096
    ccws = eckd.write_program(CDL, 24, data)
    assert hexes(ccws[:2]) == ["63 80c00000000000000000000200000002", "47 01800002000000020000000201061000"]
    assert [(ccw.command, ccw.data) for ccw in ccws[2:]] == [(0x85, data[:4096]), (0x85, data[4096:])]


def test_read_of_the_first_tracks_of_compatible_layout() -> None:
    """Every block of tracks 0 and 1 has its own Locate Record; the labels are read with their keys."""
    ccws = eckd.read_program(CDL, 0, 26)
    assert [ccw.command for ccw in ccws] == [0x63, *[0x47, 0x8E] * 3, *[0x47, 0x86] * 9, *[0x47, 0x8E] * 12, 0x47] + [
        0x86
    ] * 2
    assert [ccw.data for ccw in ccws if ccw.command in (0x86, 0x8E)] == [28, 148, 84, *[4096] * 9, *[140] * 12] + [
        4096
    ] * 2
    counts = [ccw.data[3] for ccw in ccws if ccw.command == 0x47 and isinstance(ccw.data, bytes)]
    assert counts == [1] * 24 + [2]
    assert hexes(ccws[5:7]) == ["47 068000010000000000000000030b0054", "8e 84"]


def test_write_of_a_label_takes_its_first_bytes_only() -> None:
    ccws = eckd.write_program(CDL, 2, bytes(range(256)) * 16)
    assert [(ccw.command, len(ccw.data)) for ccw in ccws if isinstance(ccw.data, bytes)] == [
        (0x63, 16), (0x47, 16), (0x8D, 84),
    ]  # fmt: skip


def test_linux_layout_has_no_special_blocks() -> None:
    assert [ccw.command for ccw in eckd.read_program(LDL, 0, 4)] == [0x63, 0x47, 0x86, 0x86, 0x86, 0x86]


@pytest.mark.parametrize("block", range(30))
def test_the_largest_request_fits(block: int) -> None:
    ccws = eckd.read_program(CDL, block, eckd.MAX_BLOCKS)
    assert len(ccws) < program.MAX_CCWS
    area = program.ProgramArea(memoryview(bytearray(program.AREA_SIZE)), 0)
    area.place(ccws)


def test_short_records_are_filled() -> None:
    blocks = eckd.blocks_from(CDL, 2, (None, b"a" * 28, None, b"b" * 4096))
    assert blocks == b"a" * 28 + b"\xe5" * 4068 + b"b" * 4096


def count(cylinder: int, head: int, record: int, key: int, data: int) -> bytes:
    return eckd.track_address(cylinder * 15 + head, 15) + bytes((record, key)) + data.to_bytes(2, "big")


CDL_COUNTS = [count(0, 0, 1, 4, 24), count(0, 0, 2, 4, 144), count(0, 0, 3, 4, 80)]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([*CDL_COUNTS, count(0, 0, 4, 0, 4096), count(0, 1, 1, 44, 96)], (Layout.CDL, 4096)),
        ([*CDL_COUNTS, count(0, 0, 4, 0, 512), count(0, 1, 1, 44, 96)], (Layout.CDL, 512)),
        ([*CDL_COUNTS, count(0, 0, 4, 4, 4096), count(0, 1, 1, 44, 96)], (Layout.UNSUPPORTED, 0)),
        ([*CDL_COUNTS, count(0, 0, 4, 0, 4000), count(0, 1, 1, 44, 96)], (Layout.UNSUPPORTED, 0)),
        ([*[count(0, 0, n, 0, 4096) for n in (1, 2, 3, 4)], count(0, 1, 1, 0, 4096)], (Layout.LDL, 4096)),
        ([*[count(0, 0, n, 0, 4096) for n in (1, 2, 3, 4)], count(0, 1, 1, 0, 512)], (Layout.UNSUPPORTED, 0)),
        ([*[count(0, 0, n, 0, 4096) for n in (1, 2, 3, 5)], count(0, 1, 1, 0, 4096)], (Layout.UNSUPPORTED, 0)),
        ([*[count(1, 0, n, 0, 4096) for n in (1, 2, 3, 4)], count(0, 1, 1, 0, 4096)], (Layout.UNSUPPORTED, 0)),
        ([bytes(8)] * 5, (Layout.UNSUPPORTED, 0)),
    ],
)
def test_layout(counts: list[bytes], expected: tuple[Layout, int]) -> None:
    assert eckd.analyse(counts) == expected


def test_subsystem_functions() -> None:
    assert hexes(eckd.subsystem_data_program(eckd.SUBORDER_FEATURES, 0, 0)) == [
        "27 180000000000410000000000", "3e 256",
    ]  # fmt: skip
    volume = eckd.subsystem_data_program(eckd.SUBORDER_VOLUME_STORAGE, 0x12, 0x34)
    assert hexes(volume) == ["27 180000001234520000000000", "3e 28"]
    assert volume[1].flags == 0x20
    (order,) = eckd.subsystem_characteristics_program(parallel_access=True)
    assert isinstance(order.data, bytes)
    assert (len(order.data), order.data[0], order.data[6]) == (66, 0x1D, 0xC8)


# --- programs in storage ----------------------------------------------------------------------------------------


def area() -> tuple[bytearray, program.ProgramArea]:
    memory = bytearray(program.AREA_SIZE)
    return memory, program.ProgramArea(memoryview(memory), 0x10000)


def test_a_program_in_storage() -> None:
    memory, place = area()
    orb = place.place([Ccw(0x63, bytes(range(16))), Ccw(0x86, 4096, 0x20), Ccw(0x03, b"", 0x60)], 0x40)
    assert orb.hex() == "00000000" + "00c24000" + "00010000" + "00" * 20
    assert memory[:24].hex() == "63400010" + "00011000" + "86601000" + "00012000" + "03200000" + "00000000"
    assert memory[0x1000:0x1010] == bytes(range(16))


def irb(address: int, device: int = 0x0C, subchannel: int = 0, residual: int = 0) -> bytes:
    return (bytes(4) + address.to_bytes(4, "big") + bytes((device, subchannel)) + residual.to_bytes(2, "big")).ljust(
        96, b"\0"
    )


@pytest.mark.parametrize(
    ("cc", "status", "brought"),
    [
        (0, irb(0x10018), (None, b"abcd", b"efgh")),
        (0, irb(0x10018, residual=3), (None, b"abcd", b"e")),
        (0, irb(0x10010, residual=1), (None, b"abc", b"")),
        (0, irb(0x10008), (None, b"", b"")),
        (3, bytes(96), (None, b"", b"")),
    ],
)
def test_what_a_program_brought(cc: int, status: bytes, brought: tuple[bytes | None, ...]) -> None:
    memory, place = area()
    place.place([Ccw(0x63, b"12345678"), Ccw(0x86, 4), Ccw(0x86, 4)])
    memory[0x1008:0x1010] = b"abcdefgh"[:4] + b"\0\0\0\0"
    memory[0x1008:0x100C], memory[0x1010:0x1014] = b"abcd", b"efgh"
    assert place.collect(cc, status).data == brought


@pytest.mark.parametrize(
    ("ccws", "message"),
    [
        ([], "0 CCWs"),
        ([Ccw(3, b"")] * 257, "257 CCWs"),
        ([Ccw(0x86, 65536)], "does not fit"),
        ([Ccw(0x86, 65535)] * 20, "does not fit"),
    ],
)
def test_a_program_that_does_not_fit(ccws: list[Ccw], message: str) -> None:
    with pytest.raises(program.ProgramError, match=message):
        area()[1].place(ccws)


@pytest.mark.parametrize("address", [0x10008, 0x80000000, 0x7FF80000])
def test_storage_in_the_wrong_place(address: int) -> None:
    with pytest.raises(program.ProgramError, match="4 KiB"):
        program.ProgramArea(memoryview(bytearray(program.AREA_SIZE)), address)


# --- how a program ended ----------------------------------------------------------------------------------------


class Scripted:
    """A channel device that answers with what it was given, in turn, and remembers the programs."""

    def __init__(self, *endings: Ending) -> None:
        self.endings = list(endings)
        self.programs: list[list[int]] = []

    def run(self, program: Sequence[Ccw], lpm: int = 0, expires: float = 0) -> Ending:
        self.programs.append([ccw.command for ccw in program])
        return self.endings.pop(0)

    def schib(self) -> bytes:
        return bytes(52)

    def disable(self) -> None: ...


def test_sense_by_basic_sense() -> None:
    sense = bytes.fromhex("80000000000000000000000000000000").ljust(32, b"\0")
    channel = Scripted(Ending(0, irb(0x10010, 0x0E), (None, b"")), Ending(0, irb(0x10008), (sense,)))
    with pytest.raises(request.RequestFailed) as failure:
        request.execute(channel, [Ccw(0x27, bytes(12)), Ccw(0x3E, 256)])
    assert channel.programs == [[0x27, 0x3E], [0x04]]
    assert failure.value.command_reject and not failure.value.no_record_found
    assert failure.value.report == (
        "I/O status report: CC:00 FC:00 AC:00 SC:00 DS:0E CS:00, failing CCW 2 of 2: 3E000100, "
        "sense 80 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
        "(command reject)"
    )


def test_sense_with_the_status() -> None:
    status = bytearray(irb(0x10008, 0x0E))
    status[16:20] = bytes.fromhex("01180000")
    status[32:34] = b"\x00\x08"
    channel = Scripted(Ending(0, bytes(status), (b"",)))
    with pytest.raises(request.RequestFailed) as failure:
        request.execute(channel, [Ccw(0x12, 8)])
    assert failure.value.no_record_found
    assert (len(failure.value.sense), failure.value.errno) == (24, 5)


@pytest.mark.parametrize(("cc", "number"), [(1, 16), (2, 16), (3, 19)])
def test_condition_codes(cc: int, number: int) -> None:
    with pytest.raises(request.RequestFailed, match=f"condition code {cc}") as failure:
        request.execute(Scripted(Ending(cc, bytes(96))), [Ccw(3, b"")])
    assert failure.value.errno == number


@pytest.mark.parametrize(
    ("device", "subchannel", "good"),
    [(0x0C, 0, True), (0x0C, 0x80, True), (0x0C, 0x40, False), (0x0C, 0x20, False), (0x0D, 0, False), (0x08, 0, False)],
)
def test_endings(device: int, subchannel: int, good: bool) -> None:
    channel = Scripted(Ending(0, irb(0x10008, device, subchannel), (b"x",)))
    if good:
        assert request.execute(channel, [Ccw(0x12, 1)]) == (b"x",)
    else:
        with pytest.raises(request.RequestFailed):
            request.execute(channel, [Ccw(0x12, 1)])


# --- identity ---------------------------------------------------------------------------------------------------


def configuration_data(**changes: bytes) -> bytes:
    """256 bytes as a 3990 gives them: node element, general qualifier at the end."""
    ned = bytes.fromhex("c4010100") + "  3390".encode("cp037")[:6] + "00C".encode("cp037") + "IBM".encode("cp037")
    ned += "75".encode("cp037") + "0000000ABCDE".encode("cp037") + bytes((0x0A, 0x34))
    gneq = bytes.fromhex("800000000000" + "1e00" + "e900").ljust(32, b"\0")
    return changes.get("ned", ned) + bytes(192) + changes.get("gneq", gneq)


def test_configuration_data() -> None:
    found = confdata.parse_configuration(configuration_data())
    assert found.uid == "IBM.750000000ABCDE.e900.34"
    assert (found.lss, found.unit_address, found.ssid, found.timeout) == (0x0A, 0x34, 0xE900, 30)


def qualifier(form: int, rest: str) -> bytes:
    """A specific node element qualifier, behind the node element (dasd_eckd.h: struct dasd_sneq, struct vd_sneq)."""
    sneq = (bytes([0x40, 0]) + form.to_bytes(2, "big") + bytes(4) + bytes.fromhex(rest)).ljust(32, b"\0")
    data = configuration_data()
    return data[:32] + sneq + data[64:]


@pytest.mark.parametrize(
    ("data", "alias", "uid"),
    [
        (qualifier(1, "0100"), False, "IBM.750000000ABCDE.e900.34"),
        (qualifier(1, "0250"), True, "IBM.750000000ABCDE.e900.50"),
        (qualifier(1, "0300"), True, "IBM.750000000ABCDE.e900.xx"),
        (
            qualifier(4, "00112233445566778899aabbccddeeff"),
            False,
            f"IBM.750000000ABCDE.e900.34.{'00112233445566778899aabbccddeeff'}",
        ),
    ],
)
def test_aliases_and_minidisks(data: bytes, alias: bool, uid: str) -> None:
    found = confdata.parse_configuration(data)
    assert (found.is_alias, found.uid) == (alias, uid)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (configuration_data(ned=bytes(32)), "node element descriptor"),
        (configuration_data(gneq=bytes(32)), "general node element qualifier"),
        (b"", "node element descriptor"),
    ],
)
def test_configuration_data_without_its_elements(data: bytes, message: str) -> None:
    with pytest.raises(confdata.BadConfigurationData, match=message):
        confdata.parse_configuration(data)


@pytest.mark.parametrize(
    ("cylinders", "long_cylinders", "expected"), [(10017, 0, 10017), (0xFFFE, 262668, 262668), (0xFFFE, 0, 0xFFFE)]
)
def test_characteristics(cylinders: int, long_cylinders: int, expected: int) -> None:
    data = bytearray(64)
    data[:12] = bytes.fromhex("3990e933900c500010962024")
    data[12:17] = cylinders.to_bytes(2, "big") + bytes.fromhex("000fe0")
    data[60:] = long_cylinders.to_bytes(4, "big")
    assert str(confdata.parse_characteristics(bytes(data))) == (
        f"3390/0C (CU 3990/01) with {expected} cylinders, 15 heads, 224 sectors"
    )

# SPDX-License-Identifier: GPL-2.0-or-later
"""The 3990/3390: what each command answers. Sense is given as bytes 0, 1 and 7 in hex."""

from __future__ import annotations

import pytest
from core_rig import BLOCK_SIZE, CC, DATA, PROGRAM, SLI, SUSPEND, C, Rig, extent, locate, record_data

from ccwemu.channel import Device, Image, OrbFlag, Record, Subchannel, track_address

OK = "0c 00 0000"
CHECK, EXCEPTION = 0x0E, 0x0D
TIC = 0x08

READ_ONLY, UPDATE, FORMAT, ALL = 0x40, 0x80, 0x00, 0xC0
READ_OP, WRITE_OP, FORMAT_OP, WRITE_TRACK_OP, ANY_READ_OP = 0x06, 0x01, 0x03, 0x0B, 0x16


def domain(operation: int, cylinder: int, head: int, record: int, count: int = 1, mask: int | None = None) -> list[C]:
    """Define Extent over the whole disk and Locate Record."""
    if mask is None:
        mask = {WRITE_OP: UPDATE, FORMAT_OP: FORMAT}.get(operation, READ_ONLY)
    return [C(0x63, extent(mask), CC), C(0x47, locate(operation, cylinder, head, record, count), CC)]


# --- identification


def test_sense_id(rig: Rig) -> None:
    """Identification and the command-information word for Read Configuration Data (kernel-facts G.2)."""
    result = rig.run(C(0xE4, 40, SLI))
    assert result.status == "0c 00 001c"
    assert rig.stored(result.addresses[0], 12).hex() == "ff3990e93390020040fa0100"


def test_characteristics(rig: Rig) -> None:
    """Offsets and values of kernel-facts G.3."""
    result = rig.run(C(0x64, 64))
    data = rig.stored(result.addresses[0], 64)
    assert result.status == OK
    assert data[:12].hex() == "3990e933900250001096" + "2026"
    assert int.from_bytes(data[12:14], "big") == 4
    assert int.from_bytes(data[14:16], "big") == 15
    assert data[16] == 224
    assert int.from_bytes(data[17:20], "big") == 58786
    assert int.from_bytes(data[20:22], "big") == 1428
    assert list(data[22:28]) == [2, 34, 19, 9, 6, 116]
    assert int.from_bytes(data[44:46], "big") == 57326
    assert data[48] == 6
    assert int.from_bytes(data[60:64], "big") == 4


def test_configuration_data(rig: Rig) -> None:
    """Node-element descriptor and general qualifier, as Linux looks for them (kernel-facts G.3)."""
    result = rig.run(C(0xFA, 256))
    data = rig.stored(result.addresses[0], 256)
    assert result.status == OK
    assert (data[0] >> 6, data[1]) == (3, 1)
    assert data[4:16].decode("cp037") == "003390002IBM"
    assert data[16:30].decode("cp037") == "0750000000ABC1"
    assert data[31] == 0x34
    assert (data[224], data[230], data[232:234].hex()) == (0x80, 0x1E, "0123")
    assert not any(data[32:224]), "no further descriptors: the device is a base"


SERIALS = [
    ("", "00000000000000"),
    ("ABC01", "000000000ABC01"),
    ("0000000ABC01", "000000000ABC01"),
    ("750000000DXP71", "750000000DXP71"),
]


@pytest.mark.parametrize(("serial", "told"), SERIALS)
def test_serial_number_fills_its_field(rig: Rig, serial: str, told: str) -> None:
    """Location and sequence number, of which Linux makes the uid as they are (dasd_eckd.c, create_uid)."""
    sch = Subchannel(Device(rig.image, serial=serial), devno=1, chpids=[0x41], pim=0x80, pam=0x80, pom=0xFF)
    result = rig.run(C(0xFA, 256), sch=sch)
    assert rig.stored(result.addresses[0], 256)[16:30].decode("cp037") == told


@pytest.mark.parametrize(("cylinders", "model"), [(1, 0x02), (1113, 0x02), (1114, 0x06), (2226, 0x06), (3339, 0x0A)])
def test_model_follows_the_size(tmp_path, cylinders: int, model: int) -> None:  # type: ignore[no-untyped-def]
    Image.create(tmp_path / "disk", cylinders=cylinders)
    with Image.open(tmp_path / "disk") as image:
        assert Device(image).identity == (0x3990, 0xE9, 0x3390, model)
        assert Device(image, dev_model=0x0C, cu_model=0x01).identity == (0x3990, 0x01, 0x3390, 0x0C)


def prssd(suborder: int) -> bytes:
    return bytes([0x18, 0, 0, 0, 0, 0, suborder, 0, 0, 0, 0, 0])


def test_feature_page_tells_of_host_access_alone(rig: Rig) -> None:
    result = rig.run(C(0x27, prssd(0x41), CC), C(0x3E, 256))
    assert (result.status, result.ccw) == (OK, 1)
    assert rig.stored(result.addresses[1], 256) == bytes(14) + b"\x80" + bytes(241)


def test_unit_addresses_are_all_of_base_devices(rig: Rig) -> None:
    """What Linux asks for to find aliases (dasd_alias.c, read_unit_address_configuration)."""
    result = rig.run(C(0x27, prssd(0x0E), CC), C(0x3E, 512, SLI))
    assert result.status == OK
    assert rig.stored(result.addresses[1], 512) == b"\1\0" * 256


@pytest.mark.parametrize(("kind", "base"), [(2, 0x50), (3, 0)])
def test_an_alias_says_so_in_its_configuration(rig: Rig, kind: int, base: int) -> None:
    """Linux dasd_eckd.h, struct dasd_sneq: format 1, then type and base of the unit; and the unit addresses of 0x0E."""
    device = Device(rig.image, unit_address=0xF0, alias=kind, base_unit_address=base)
    sch = Subchannel(device, devno=1, chpids=[0x41], pim=0x80, pam=0x80, pom=0xFF)
    data = rig.stored(rig.run(C(0xFA, 256), sch=sch).addresses[0], 256)
    assert data[32:64].hex() == f"400000010000000000{kind:02x}"[:16] + f"{kind:02x}{base:02x}" + "00" * 22
    units = rig.run(C(0x27, prssd(0x0E), CC), C(0x3E, 512, SLI), sch=sch)
    told = rig.stored(units.addresses[1], 512)
    assert told[0xF0 * 2 : 0xF0 * 2 + 2] == bytes([kind, base])
    assert told.count(bytes([1, 0])) == 255


def test_who_has_a_path_group_is_told(rig: Rig) -> None:
    """Linux dasd_eckd.h, struct dasd_psf_query_host_access; feature 14 says that it can be asked for."""
    sch = Subchannel(Device(rig.image, other_systems=2), devno=1, chpids=[0x41], pim=0x80, pam=0x80, pom=0xFF)
    features = rig.run(C(0x27, prssd(0x41), CC), C(0x3E, 256), sch=sch)
    assert rig.stored(features.addresses[1], 256)[14] == 0x80
    own = bytes(range(1, 12))
    assert rig.run(C(0xAF, b"\x80" + own), sch=sch).status == OK
    result = rig.run(C(0x27, prssd(0x1C), CC), C(0x3E, 16410, SLI), sch=sch)
    assert result.status == f"0c 00 {16410 - 116:04x}"
    data = rig.stored(result.addresses[1], 116)
    assert (data[2:4].hex(), data[16:20].hex()) == ("0064", "00200003")
    assert data[20:32] == b"\x10" + own
    assert [data[20 + 32 * number] for number in range(3)] == [0x10] * 3
    assert len({data[21 + 32 * number : 32 + 32 * number] for number in range(3)}) == 3


def test_alone_this_system_is_the_only_one(rig: Rig) -> None:
    """Not an error: dasdfmt of s390-tools 2.16 prints what is in its stack where host_access_count cannot be read."""
    assert rig.run(C(0xAF, b"\x80" + bytes(range(1, 12)))).status == OK
    result = rig.run(C(0x27, prssd(0x1C), CC), C(0x3E, 16410, SLI))
    data = rig.stored(result.addresses[1], 52)
    assert (data[2:4].hex(), data[16:20].hex(), data[20]) == ("0024", "00200001", 0x10)


def test_a_fully_provisioned_volume_has_all_of_its_space(rig: Rig) -> None:
    """Linux dasd_eckd.h, struct dasd_rssd_vsq and dasd_rssd_lcq: no ESE; allocated, configured, capacity; one pool."""
    result = rig.run(C(0x27, prssd(0x52), CC), C(0x3E, 28, SLI))
    assert result.status == OK
    cylinders = f"{rig.image.cylinders:08x}"
    assert rig.stored(result.addresses[1], 28).hex() == "00" * 16 + cylinders * 3
    result = rig.run(C(0x27, prssd(0x53), CC), C(0x3E, 3616, SLI))
    assert result.status == f"0c 00 {3616 - 40:04x}"
    assert rig.stored(result.addresses[1], 40).hex() == "002800018000" + "00" * 26 + "0000000018004000"


@pytest.mark.parametrize("special", [{"alias": 2, "base_unit_address": 0x50}, {"alias": 3}])
def test_an_alias_has_nothing_of_a_volume(rig: Rig, special: dict[str, int]) -> None:
    sch = Subchannel(Device(rig.image, **special), devno=1, chpids=[0x41], pim=0x80, pam=0x80, pom=0xFF)
    for suborder in (0x1C, 0x52, 0x53):
        assert rig.run(C(0x27, prssd(suborder), CC), C(0x3E, 28, SLI), sch=sch).sense == "800004"


def test_a_unit_without_subsystem_data_rejects_them_and_does_not_announce_them(rig: Rig) -> None:
    device = Device(rig.image)
    sch = Subchannel(device, devno=1, chpids=[0x41], pim=0x80, pam=0x80, pom=0xFF)
    for suborder in (0x1C, 0x52):
        device.reject_suborder(suborder)
        assert rig.run(C(0x27, prssd(suborder), CC), C(0x3E, 28, SLI), sch=sch).sense == "800004"
    features = rig.run(C(0x27, prssd(0x41), CC), C(0x3E, 256), sch=sch)
    assert rig.stored(features.addresses[1], 256) == bytes(256)
    with pytest.raises(ValueError, match="suborder 256"):
        device.reject_suborder(256)


def test_a_device_that_another_system_has_reserved_is_busy_until_its_lock_is_stolen(rig: Rig) -> None:
    sch = Subchannel(Device(rig.image, reserved=True), devno=1, chpids=[0x41], pim=0x80, pam=0x80, pom=0xFF)
    sensed = rig.run(C(0x34, 12), sch=sch)
    assert rig.stored(sensed.addresses[0], 1)[0] & 0x30 == 0x20
    assert rig.run(C(0x14, 32, SLI | CC), C(0x94, 32, SLI), sch=sch).status == OK
    assert rig.run(C(0xFA, 256), sch=sch).status == OK


@pytest.mark.parametrize("wrong", [{"alias": 1}, {"other_systems": 16}])
def test_a_device_that_cannot_be(rig: Rig, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected 0, 2 or 3, and 0 to 15"):
        Device(rig.image, **wrong)


SUBSYSTEM = [
    ("unknown suborder", [C(0x27, prssd(0x50), CC), C(0x3E, 28)], 0, "800004"),
    ("unknown order", [C(0x27, bytes([0x99]) + bytes(11))], 0, "800004"),
    ("parameters too short", [C(0x27, b"\x18")], 0, "800003"),
    ("read without prepare", [C(0x3E, 256)], 0, "800002"),
    ("prepare is for one chain", [C(0x03, 0, CC), C(0x3E, 256)], 1, "800002"),
    ("unknown command", [C(0xF7, bytes(4))], 0, "800001"),
]


@pytest.mark.parametrize(("program", "ccw", "sense"), [r[1:] for r in SUBSYSTEM], ids=[r[0] for r in SUBSYSTEM])
def test_command_reject(rig: Rig, program: list[C], ccw: int, sense: str) -> None:
    result = rig.run(*program)
    assert (result.raw[8], result.ccw, result.sense) == (CHECK, ccw, sense)


def test_set_subsystem_characteristics_is_taken(rig: Rig) -> None:
    assert rig.run(C(0x27, bytes([0x1D]) + bytes(65))).status == OK


# --- reading in the domain of a Locate Record


def test_read_blocks_over_a_cylinder_border(rig: Rig) -> None:
    count = 20
    reads = [C(0x86, BLOCK_SIZE, CC) for _ in range(count - 1)] + [C(0x86, BLOCK_SIZE)]
    result = rig.run(*domain(READ_OP, 0, 14, 7, count), *reads)
    assert (result.status, result.ccw) == (OK, count + 1)
    expected = [(0, 14, n) for n in range(7, 13)] + [(1, 0, n) for n in range(1, 13)] + [(1, 1, 1), (1, 1, 2)]
    for address, place in zip(result.addresses[2:], expected, strict=True):
        assert rig.stored(address, BLOCK_SIZE) == record_data(*place)


def test_layout_analysis_of_linux(rig: Rig) -> None:
    """The chain with which dasd_eckd finds out the format of a disk (kernel-facts G.5)."""
    chain = [C(0x12, 8, CC) for _ in range(4)]
    program = [
        C(0x63, extent(READ_ONLY, (0, 0), (0, 1)), CC),
        C(0x47, locate(READ_OP, 0, 0, 0, 4), CC),
        *chain,
        C(0x47, locate(READ_OP, 0, 1, 0, 1), CC),
        C(0x12, 8),
    ]
    result = rig.run(*program)
    assert (result.status, result.ccw) == (OK, 7)
    counts = [rig.stored(result.addresses[i], 8).hex() for i in (2, 3, 4, 5, 7)]
    assert counts == [f"000000000{n}001000" for n in (1, 2, 3, 4)] + ["0000000101001000"]


def test_analysis_of_an_unformatted_disk(rig: Rig) -> None:
    result = rig.run(*domain(READ_OP, 3, 0, 0, 4), C(0x12, 8, CC), C(0x12, 8))
    assert (result.raw[8], result.ccw, result.sense) == (CHECK, 2, "000800")


READS = [
    ("read data", [*domain(READ_OP, 2, 0, 1), C(0x06, 9)], OK, b"data of 1"),
    ("read key and data", [*domain(READ_OP, 2, 0, 2), C(0x0E, 13)], OK, b"KEY2data of 2"),
    ("read any", [*domain(ANY_READ_OP, 2, 0, 2), C(0x8E, 13)], OK, b"KEY2data of 2"),
    ("read count key and data: the next record", [*domain(READ_OP, 2, 0, 1), C(0x1E, 21)], OK,
     bytes.fromhex("0002000002040009") + b"KEY2data of 2"),
    ("end of file", [*domain(READ_OP, 2, 0, 3), C(0x06, 4, SLI)], "0d 00 0004", b"\xee" * 4),
    ("key of an end-of-file record", [*domain(READ_OP, 2, 0, 3), C(0x0E, 4)], "0d 00 0000", b"KEY3"),
    ("record 0", [*domain(READ_OP, 2, 0, 0), C(0x16, 16)], OK, bytes.fromhex("0002000000000008") + bytes(8)),
    ("home address", [*domain(READ_OP, 2, 0, 0), C(0x1A, 5)], OK, bytes.fromhex("0000020000")),
    ("the first record by orientation to the index",
     [C(0x63, extent(), CC), C(0x47, locate(ANY_READ_OP, 2, 0, 0, 1, orientation=0xC0), CC), C(0x06, 9)],
     OK, b"data of 1"),
    ("behind a record's data",
     [C(0x63, extent(), CC), C(0x47, locate(READ_OP, 2, 0, 1, 1, orientation=0x80), CC), C(0x06, 9)], OK, b"data of 2"),
    ("initial program load", [C(0x02, 24, SLI)], OK, record_data(0, 0, 1)[:24]),
    ("seek, search, read",
     [C(0x07, bytes(2) + track_address(2, 0), CC), C(0x31, track_address(2, 0) + b"\x02", CC),
      C(TIC, at=PROGRAM + 8), C(0x06, 9)], OK, b"data of 2"),
    ("seek, search by key, read",
     [C(0x07, bytes(2) + track_address(2, 0), CC), C(0x29, b"KEY2", CC), C(TIC, at=PROGRAM + 8), C(0x06, 9)],
     OK, b"data of 2"),
    ("search for a greater key",
     [C(0x07, bytes(2) + track_address(2, 0), CC), C(0x49, b"KEY1", CC), C(TIC, at=PROGRAM + 8), C(0x06, 9)],
     OK, b"data of 2"),
    ("search for an id not less", [C(0x07, bytes(2) + track_address(2, 0), CC),
     C(0x71, track_address(2, 0) + b"\x02", CC), C(TIC, at=PROGRAM + 8), C(0x06, 9)], OK, b"data of 2"),
    ("read without orientation takes the first record", [C(0x07, bytes(2) + track_address(2, 0), CC), C(0x06, 9)],
     OK, b"data of 1"),
    ("multitrack search goes on to the next track",
     [C(0x07, bytes(2) + track_address(0, 3), CC), C(0xB1, track_address(0, 5) + b"\x02", CC),
      C(TIC, at=PROGRAM + 8), C(0x06, 7, SLI)], OK, b"0/5/2;0"),
]  # fmt: skip


@pytest.mark.parametrize(("program", "status", "data"), [r[1:] for r in READS], ids=[r[0] for r in READS])
def test_read(rig: Rig, program: list[C], status: str, data: bytes) -> None:
    result = rig.run(*program)
    assert (result.status, result.sense) == (status, "")
    assert rig.stored(result.addresses[-1], len(data)) == data


SEEK = C(0x07, bytes(6), CC)


def nowhere(operation: int, cylinder: int, head: int) -> bytes:
    return locate(operation, 0, 0, 1, 1, seek=track_address(cylinder, head))


CHECKS = [
    # --- Define Extent
    ("extent: too short", [C(0x63, extent()[:15])], 0, "800003"),
    ("extent: twice", [C(0x63, extent(), CC), C(0x63, extent())], 1, "800002"),
    ("extent: not ECKD mode", [C(0x63, b"\x40\x00" + extent()[2:])], 0, "800004"),
    ("extent: ends before it begins", [C(0x63, extent(READ_ONLY, (1, 0), (0, 14)))], 0, "800004"),
    ("extent: beyond the last cylinder", [C(0x63, extent(READ_ONLY, (0, 0), (4, 0)))], 0, "800004"),
    ("extent: beyond the last head", [C(0x63, extent(READ_ONLY, (0, 0), (3, 15)))], 0, "800004"),
    # --- Locate Record
    ("locate: without extent", [C(0x47, locate(READ_OP, 0, 0, 1, 1))], 0, "800002"),
    ("locate: too short", [C(0x63, extent(), CC), C(0x47, bytes(8))], 1, "800003"),
    ("locate: unknown operation", [C(0x63, extent(), CC), C(0x47, locate(0x2A, 0, 0, 1, 1))], 1, "800004"),
    ("locate: no operations", [C(0x63, extent(), CC), C(0x47, locate(READ_OP, 0, 0, 1, 0))], 1, "800004"),
    ("locate: seek beyond the disk", [C(0x63, extent(), CC), C(0x47, nowhere(READ_OP, 4, 0))], 1, "800004"),
    ("locate: outside of the extent",
     [C(0x63, extent(READ_ONLY, (0, 0), (0, 14)), CC), C(0x47, locate(READ_OP, 1, 0, 1, 1))], 1, "000400"),
    ("locate: no such record", [C(0x63, extent(), CC), C(0x47, locate(READ_OP, 0, 0, 13, 1))], 1, "000800"),
    ("locate: record of another track", [C(0x63, extent(), CC), C(0x47, nowhere(READ_OP, 0, 1))], 1, "000800"),
    ("locate: before the last one was used up",
     [*domain(READ_OP, 0, 0, 1, 2), C(0x06, 4096, CC), C(0x47, locate(READ_OP, 0, 0, 1, 1))], 3, "800002"),
    # --- the domain
    ("a write in a domain of reads", [*domain(READ_OP, 0, 0, 1, 1, UPDATE), C(0x05, b"x", SLI)], 2, "800002"),
    ("a read in a domain of writes", [*domain(WRITE_OP, 0, 0, 1), C(0x06, 4096)], 2, "800002"),
    ("a format in a domain of updates", [*domain(WRITE_OP, 0, 0, 1, 1, FORMAT), C(0x1D, bytes(8), SLI)], 2, "800002"),
    ("an update in a domain of formats", [*domain(FORMAT_OP, 0, 0, 1), C(0x05, b"x", SLI)], 2, "800002"),
    ("a seek in a domain", [*domain(READ_OP, 0, 0, 1, 2), C(0x07, bytes(6))], 2, "800002"),
    ("a search in a domain", [*domain(READ_OP, 0, 0, 1, 2), C(0x31, bytes(5))], 2, "800002"),
    # --- file mask
    ("mask: no writing", [*domain(WRITE_OP, 0, 0, 1, 1, READ_ONLY), C(0x05, b"x", SLI)], 1, "800002"),
    ("mask: no formatting", [*domain(FORMAT_OP, 0, 0, 1, 1, UPDATE), C(0x1D, bytes(8), SLI)], 2, "800002"),
    ("mask: no record 0", [C(0x63, extent(FORMAT), CC), C(0x47, locate(FORMAT_OP, 3, 0, 0, 1, orientation=0x40), CC),
                           C(0x15, bytes(8), SLI)], 2, "800002"),
    ("mask by command", [C(0x1F, b"\x40", CC), SEEK, C(0x31, bytes(5), CC), C(TIC, at=PROGRAM + 16),
                         C(0x05, b"x", SLI)], 4, "800002"),
    ("mask twice", [C(0x1F, b"\x40", CC), C(0x1F, b"\x40")], 1, "800002"),
    ("mask after an extent", [C(0x63, extent(), CC), C(0x1F, b"\x40")], 1, "800002"),
    ("mask: no seeks", [C(0x1F, b"\x18", CC), C(0x07, bytes(6))], 1, "000400"),
    ("mask: seek head only", [C(0x1F, b"\x10", CC), C(0x0B, bytes(6))], 1, "000400"),
    ("mask: no head switching", [SEEK, C(0x1F, b"\x18", CC), *[C(0x92, 8, CC)] * 12, C(0x92, 8)], 14,
     "000400"),
    # --- seeks
    ("seek: too short", [C(0x07, bytes(5))], 0, "800003"),
    ("seek: beyond the disk", [C(0x07, bytes(2) + track_address(4, 0))], 0, "800004"),
    ("seek: bin", [C(0x07, b"\0\1" + track_address(0, 0))], 0, "800004"),
    ("seek: outside of the extent",
     [C(0x63, extent(READ_ONLY, (0, 0), (0, 14)), CC), C(0x07, bytes(2) + track_address(1, 0))], 1, "000400"),
    ("sector beyond the track", [SEEK, C(0x23, bytes([224]))], 1, "800004"),
    # --- positions
    ("search for what is not there",
     [SEEK, C(0x31, bytes([0, 0, 0, 0, 99]), CC), C(TIC, at=PROGRAM + 8)], 1, "000800"),
    ("read data of an empty track", [C(0x07, bytes(2) + track_address(3, 0), CC), C(0x06, 10)], 1, "000800"),
    ("end of cylinder", [C(0x07, bytes(2) + track_address(0, 14), CC), *[C(0x92, 8, CC)] * 12, C(0x92, 8)],
     13, "002000"),
    ("end of extent", [C(0x63, extent(READ_ONLY, (0, 0), (0, 3)), CC), C(0x47, locate(READ_OP, 0, 3, 12, 2), CC),
                       C(0x86, 4096, CC), C(0x86, 4096)], 3, "000400"),
    ("multitrack search to the end of the cylinder",
     [C(0x07, bytes(2) + track_address(0, 14), CC), C(0xB1, bytes([9, 9, 9, 9, 99]), CC), C(TIC, at=PROGRAM + 8)],
     1, "002000"),
    # --- writing
    ("write without a search", [C(0x07, bytes(6), CC), C(0x05, b"x", SLI)], 1, "800002"),
    ("format without a search", [C(0x07, bytes(6), CC), C(0x1D, bytes(8), SLI)], 1, "800002"),
    ("write after a search that failed", [SEEK, C(0x31, bytes([0, 0, 0, 0, 5]), CC), C(0x05, b"x", SLI)], 2,
     "800002"),
    ("a second write needs a second search",
     [SEEK, C(0x31, bytes(5), CC), C(TIC, at=PROGRAM + 8), C(0x05, bytes(8), CC), C(0x05, b"x", SLI)], 4, "800002"),
    ("count field of record 0 too short",
     [C(0x63, extent(ALL), CC), C(0x47, locate(FORMAT_OP, 3, 0, 0, 1, orientation=0x40), CC), C(0x15, bytes(7), SLI)],
     2, "800003"),
    ("record longer than a track",
     [*domain(FORMAT_OP, 3, 0, 0), C(0x1D, track_address(3, 0) + bytes([1, 0, 0xFF, 0xFF]), SLI)], 2, "004000"),
    ("count field that is an end of track", [*domain(FORMAT_OP, 3, 0, 0), C(0x1D, b"\xff" * 8, SLI)], 2, "800004"),
    ("the thirteenth block of a track",
     [*domain(FORMAT_OP, 0, 0, 12), C(0x1D, bytes([0, 0, 0, 0, 13, 0, 0x10, 0]), SLI)], 2, "004000"),
]  # fmt: skip


@pytest.mark.parametrize(("program", "ccw", "sense"), [r[1:] for r in CHECKS], ids=[r[0] for r in CHECKS])
def test_checks(rig: Rig, program: list[C], ccw: int, sense: str) -> None:
    before = rig.image.read_track(0, 0), rig.image.read_track(3, 0)
    result = rig.run(*(C(c.command, c.data, c.flags, c.count, c.at) for c in program))
    assert (f"{result.raw[8]:02x}", result.ccw, result.sense) == ("0e", ccw, sense)
    if "second write" not in sense:
        assert (rig.image.read_track(0, 0)[1:], rig.image.read_track(3, 0)) == (before[0][1:], before[1])


def test_sense_tells_the_track(rig: Rig) -> None:
    sense = rig.run(*domain(READ_OP, 1, 9, 13)).irb.sense
    assert sense is not None
    assert (sense[4], sense[5], sense[6], sense[27]) == (0x34, 1, 9, 0x80)


# --- writing


def test_update_blocks_over_tracks(rig: Rig) -> None:
    count = 14
    blocks = [bytes([n]) * BLOCK_SIZE for n in range(count)]
    writes = [C(0x85, block, CC) for block in blocks[:-1]] + [C(0x85, blocks[-1])]
    result = rig.run(*domain(WRITE_OP, 0, 14, 2, count), *writes)
    assert result.status == OK
    written = [record.data for record in rig.image.read_track(0, 14)[2:] + rig.image.read_track(1, 0)[1:4]]
    assert written == blocks
    assert rig.image.read_track(0, 14)[1].data == record_data(0, 14, 1)
    assert rig.image.read_track(1, 0)[4].data == record_data(1, 0, 4)


def test_a_short_write_is_filled_with_zeros(rig: Rig) -> None:
    result = rig.run(*domain(WRITE_OP, 0, 0, 5), C(0x05, b"short", SLI))
    assert result.status == OK
    assert rig.image.read_track(0, 0)[5].data == b"short" + bytes(BLOCK_SIZE - 5)


def test_a_write_from_nowhere_leaves_the_record(rig: Rig) -> None:
    result = rig.run(*domain(WRITE_OP, 0, 0, 5), C(0x05, 0, count=BLOCK_SIZE, at=0x70000000))
    assert result.raw[9] == 0x20
    assert rig.image.read_track(0, 0)[5].data == record_data(0, 0, 5)


def test_write_key_and_data(rig: Rig) -> None:
    result = rig.run(*domain(WRITE_OP, 2, 0, 2), C(0x0D, b"KEYX" + b"NEW_DATA!"))
    assert result.status == OK
    assert rig.image.read_track(2, 0)[2] == Record(2, 0, 2, b"KEYX", b"NEW_DATA!")


def test_updating_an_end_of_file_record(rig: Rig) -> None:
    assert rig.run(*domain(WRITE_OP, 2, 0, 3), C(0x05, b"x", SLI)).status == "0d 00 0001"


def test_seek_search_write(rig: Rig) -> None:
    search = C(0x31, track_address(2, 0) + b"\x01", CC)
    result = rig.run(C(0x07, bytes(2) + track_address(2, 0), CC), search, C(TIC, at=PROGRAM + 8), C(0x05, b"DATA OF 1"))
    assert result.status == OK
    assert rig.image.read_track(2, 0)[1].data == b"DATA OF 1"


def count_field(cylinder: int, head: int, number: int, key: int, data: int) -> bytes:
    return track_address(cylinder, head) + bytes([number, key]) + data.to_bytes(2, "big")


def test_dasdfmt(rig: Rig) -> None:
    """As Linux formats tracks: only count fields come, 9D begins the next track (kernel-facts G.7)."""
    counts = [C(0x9D if n == 1 and head else 0x1D, count_field(3, head, n, 0, 4096), CC | SLI)
              for head in range(3) for n in range(1, 13)]  # fmt: skip
    counts[-1].flags = SLI
    assert rig.run(*domain(FORMAT_OP, 3, 0, 0, 36), *counts).status == OK
    for head in range(3):
        assert rig.image.read_track(3, head)[1:] == [Record(3, head, n, b"", bytes(4096)) for n in range(1, 13)]
    assert len(rig.image.read_track(3, 3)) == 1
    rig.image.check()


def test_format_with_key_and_data(rig: Rig) -> None:
    record = Record(3, 0, 1, b"VOL1", b"label")
    assert rig.run(*domain(FORMAT_OP, 3, 0, 0), C(0x1D, record.to_bytes())).status == OK
    assert rig.image.read_track(3, 0)[1:] == [record]


def test_formatting_cuts_the_track_off(rig: Rig) -> None:
    result = rig.run(*domain(FORMAT_OP, 0, 0, 3), C(0x1D, count_field(0, 0, 77, 0, 10) + b"0123456789"))
    assert result.status == OK
    records = rig.image.read_track(0, 0)
    assert [record.number for record in records] == [0, 1, 2, 3, 77]
    assert records[3].data == record_data(0, 0, 3)
    rig.image.check()


def test_invalidated_track(rig: Rig) -> None:
    """One record without data is how Linux makes a track unusable."""
    assert rig.run(*domain(FORMAT_OP, 0, 0, 0), C(0x1D, count_field(0, 0, 1, 0, 0), SLI)).status == OK
    assert [record.number for record in rig.image.read_track(0, 0)] == [0, 1]


def test_write_record_0(rig: Rig) -> None:
    program = [
        C(0x63, extent(ALL), CC),
        C(0x47, locate(FORMAT_OP, 0, 0, 0, 2, orientation=0x40), CC),
        C(0x15, count_field(0, 0, 0, 0, 8), CC | SLI),
        C(0x1D, count_field(0, 0, 1, 0, 512), SLI),
    ]
    assert rig.run(*program).status == OK
    assert [(record.number, len(record.data)) for record in rig.image.read_track(0, 0)] == [(0, 8), (1, 512)]


def test_erase(rig: Rig) -> None:
    erase = C(0x11, count_field(0, 0, 5, 0, 4096), SLI)
    assert rig.run(*domain(WRITE_TRACK_OP, 0, 0, 4, mask=FORMAT), erase).status == OK
    assert [record.number for record in rig.image.read_track(0, 0)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("size", "records"), [(512, 49), (1024, 33), (2048, 21), (4096, 12)], ids=["512", "1K", "2K", "4K"]
)
def test_a_track_holds_what_a_3390_track_holds(rig: Rig, size: int, records: int) -> None:
    """Records on a track by block size: kernel-facts G.5."""
    counts = [C(0x1D, count_field(3, 0, n, 0, size), CC | SLI) for n in range(1, records + 2)]
    result = rig.run(*domain(FORMAT_OP, 3, 0, 0, records + 1), *counts)
    assert (result.ccw, result.sense) == (records + 2, "004000")
    assert len(rig.image.read_track(3, 0)) == records + 1


WRITES = {
    "update": [*domain(WRITE_OP, 0, 0, 1), C(0x85, b"x", SLI)],
    "format": [*domain(FORMAT_OP, 0, 0, 1), C(0x1D, bytes(8), SLI)],
    "record 0": [C(0x63, extent(ALL), CC), C(0x47, locate(FORMAT_OP, 0, 0, 0, 1, orientation=0x40), CC),
                 C(0x15, bytes(8), SLI)],
    "erase": [*domain(FORMAT_OP, 0, 0, 1), C(0x11, bytes(8), SLI)],
}  # fmt: skip


@pytest.mark.parametrize("program", WRITES.values(), ids=WRITES.keys())
def test_write_inhibited(read_only_rig: Rig, program: list[C]) -> None:
    result = read_only_rig.run(*program)
    assert (result.raw[8], result.ccw, result.sense) == (CHECK, 2, "800200")
    assert read_only_rig.run(*domain(READ_OP, 0, 0, 1), C(0x06, 4096)).status == OK


# --- path groups


PGID = bytes(range(1, 12))


def sense_pgid(rig: Rig, lpm: int = 0x80, sch: Subchannel | None = None) -> str:
    result = rig.run(C(0x34, 12, SLI), lpm=lpm, sch=sch)
    assert result.status == OK
    return rig.stored(DATA, 12).hex()


def set_pgid(rig: Rig, function: int, pgid: bytes = PGID, lpm: int = 0x80, sch: Subchannel | None = None) -> str:
    result = rig.run(C(0xAF, bytes([function]) + pgid, SLI), lpm=lpm, sch=sch)
    return result.sense or result.status


def test_path_group(rig: Rig) -> None:
    assert sense_pgid(rig) == "00" * 12
    assert set_pgid(rig, 0x80) == OK
    assert sense_pgid(rig) == "c8" + PGID.hex()
    assert sense_pgid(rig, 0x40) == "00" * 12, "the other path is not in the group"
    assert set_pgid(rig, 0x80, lpm=0x40) == OK
    assert set_pgid(rig, 0x80, bytes(11)) == "800004", "in a group already"
    assert set_pgid(rig, 0x20, lpm=0x40) == OK
    assert sense_pgid(rig) == sense_pgid(rig, 0x40) == "80" + "00" * 11, "disbanding is for all paths of the group"
    assert set_pgid(rig, 0x20) == "800004", "there is no group any more"


def test_resign_is_for_one_path(rig: Rig) -> None:
    assert set_pgid(rig, 0x00) == set_pgid(rig, 0x00, lpm=0x40) == OK
    assert sense_pgid(rig) == "c0" + PGID.hex(), "single-path mode"
    assert set_pgid(rig, 0x40) == OK
    assert (sense_pgid(rig)[:2], sense_pgid(rig, 0x40)[:2]) == ("80", "c0")


def test_a_group_has_one_mode(rig: Rig) -> None:
    assert set_pgid(rig, 0x80) == OK
    assert set_pgid(rig, 0x00, lpm=0x40) == "800004"


def test_path_group_parameters(rig: Rig) -> None:
    assert set_pgid(rig, 0x60) == "800004"
    assert rig.run(C(0xAF, bytes(5), SLI)).sense == "800003"


# --- reservation by one of two hosts


def test_reservation(rig: Rig) -> None:
    other = rig.subchannel()
    assert rig.run(C(0xB4, 32, SLI)).status == OK
    assert rig.run(C(0x64, 64), sch=other).raw[8] == 0x10, "busy for the other host"
    assert rig.run(C(0x64, 64)).status == OK
    assert sense_pgid(rig)[:2] == "30", "reserved by this host"
    assert sense_pgid(rig, sch=other)[:2] == "20", "reserved elsewhere"
    assert rig.run(C(0x94, 32, SLI)).status == OK
    assert rig.run(C(0x64, 64), sch=other).status == OK


def test_unconditional_reserve_breaks_the_reservation(rig: Rig) -> None:
    other = rig.subchannel()
    rig.run(C(0xB4, 32, SLI))
    assert rig.run(C(0x14, 32, SLI), sch=other).status == OK
    assert rig.run(C(0x64, 64)).raw[8] == 0x10


def test_a_host_that_goes_away_leaves_nothing_reserved(rig: Rig) -> None:
    other = rig.subchannel()
    rig.run(C(0xB4, 32, SLI), sch=other)
    set_pgid(rig, 0x80, sch=other)
    del other
    assert rig.run(C(0x64, 64)).status == OK
    assert sense_pgid(rig, sch=rig.subchannel())[:2] == "00"


def test_a_suspended_program_is_not_disturbed_by_another_host(rig: Rig) -> None:
    """Extent and position belong to the program, not to the device."""
    other = rig.subchannel()
    program = [*domain(READ_OP, 2, 0, 1), C(0x06, 9, SUSPEND)]
    addresses = rig.place(program)
    rig.start(addresses, OrbFlag.FORMAT_1 | OrbFlag.SUSPEND, 0xFF, 0, PROGRAM, rig.sch)
    rig.place([C(0x07, bytes(2) + track_address(1, 3), CC), C(0x1F, b"\xc0")], at=0x2000)
    assert rig.start((), OrbFlag.FORMAT_1, 0xFF, 0, 0x2000, other).status == OK
    rig.place(program)
    rig.memory[PROGRAM + 17] = 0
    assert rig.sch.resume() == 0
    assert rig.sch.test()[1][8:12].hex() == "0c000000"
    assert rig.stored(addresses[2], 9) == b"data of 1"


def test_a_unit_without_a_function(rig: Rig) -> None:
    rig.device.reject(0x64)
    result = rig.run(C(0x64, 64))
    assert (result.raw[8], result.sense) == (CHECK, "800001")
    assert rig.run(C(0xFA, 256)).status == OK
    with pytest.raises(ValueError, match="0 to 255 are possible"):
        rig.device.reject(256)


def test_damaged_track_is_an_equipment_check_and_stays_as_it_is(rig: Rig) -> None:
    at = 512 + 56832 * 7 + 5 + 16  # cylinder 0 head 7, record 1
    with rig.path.open("r+b") as file:
        file.seek(at + 6)
        file.write(b"\xff\xf0")
    for program in (
        [*domain(READ_OP, 0, 7, 1), C(0x06, 4096)],
        [*domain(WRITE_OP, 0, 7, 1), C(0x05, b"x", SLI)],
        [*domain(FORMAT_OP, 0, 7, 1), C(0x1D, bytes(8), SLI)],
    ):
        assert rig.run(*program).sense == "108000"
    assert rig.run(*domain(READ_OP, 0, 8, 1), C(0x06, 4096)).status == OK

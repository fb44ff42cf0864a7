# SPDX-License-Identifier: GPL-2.0-or-later
"""Volume label and VTOC: what is made, and what is found in what others make."""

from __future__ import annotations

import pytest

from ccwemu.machine.dasd import labels
from ccwemu.machine.dasd.eckd import Geometry, Layout

CDL = Geometry(100, 15, layout=Layout.CDL, block_size=4096)
LDL = Geometry(100, 15, layout=Layout.LDL, block_size=4096)
EMPTY = b"\xe5" * 4096


def disk(*, volser: str = "0X7E52", partition: bool = True) -> dict[int, bytes]:
    blocks = {2: labels.volume_label(volser)}
    blocks |= dict(enumerate(labels.vtoc_records(100, 15, 12, 4096, volser, partition), start=12))
    return blocks


def find(geometry: Geometry, blocks: dict[int, bytes]) -> labels.Labels:
    return labels.find(geometry, lambda block: blocks.get(block, b"").ljust(4096, b"\xe5"))


def test_one_partition_over_the_disk() -> None:
    found = find(CDL, disk())
    assert found.announcement("dasda") == " dasda:VOL1/  0X7E52: dasda1"
    assert found.partitions == (labels.Partition(1, 192, 143808, "LINUX.V0X7E52.PART0001.NATIVE"),)


def test_no_partition() -> None:
    found = find(CDL, disk(partition=False))
    assert (found.announcement("dasdb"), found.partitions) == (" dasdb:VOL1/  0X7E52:", ())


@pytest.mark.parametrize(
    ("volser", "line"), [("A", " dasda:VOL1/       A: dasda1"), ("LNX001", " dasda:VOL1/  LNX001: dasda1")]
)
def test_volume_serials(volser: str, line: str) -> None:
    assert find(CDL, disk(volser=volser)).announcement("dasda") == line


def test_three_partitions_at_most() -> None:
    blocks = disk(partition=False)
    for number in range(4):
        first = 2 + 100 * number
        blocks[14 + number] = labels.data_set_dscb(f"PART{number}", "0X7E52", first, first + 99, 15, 4096)
    found = find(CDL, blocks)
    assert [(part.number, part.start_sector, part.sectors) for part in found.partitions] == [
        (1, 192, 9600),
        (2, 9792, 9600),
        (3, 19392, 9600),
    ]
    assert found.announcement("dasda") == " dasda:VOL1/  0X7E52: dasda1 dasda2 dasda3"


@pytest.mark.parametrize("kind", ["4", "5", "7", "9"])
def test_other_dscbs_are_passed_over(kind: str) -> None:
    blocks = disk(partition=False)
    blocks[14] = bytes(44) + kind.encode("cp037") + bytes(95)
    blocks[15] = labels.data_set_dscb("X", "0X7E52", 2, 1499, 15, 4096)
    assert len(find(CDL, blocks).partitions) == 1


def test_extent_beyond_65536_cylinders() -> None:
    """The head's upper 12 bits are the cylinder's bits above 16."""
    large = Geometry(70000, 15, layout=Layout.CDL, block_size=4096)
    blocks = disk(partition=False)
    dscb = bytearray(labels.data_set_dscb("X", "0X7E52", 2, 2, 15, 4096))
    dscb[44] = 0xF8
    dscb[111:115] = bytes.fromhex("116f001e")  # cylinder 69999, head 14
    blocks[14] = bytes(dscb)
    (found,) = find(large, blocks).partitions
    assert (found.start_sector, found.sectors) == (192, (70000 * 15 - 2) * 96)


@pytest.mark.parametrize(
    ("geometry", "label", "line", "extent"),
    [
        (LDL, b"", " dasda:(nonl) dasda1", (24, 143976)),
        (LDL, "LNX1LDL001".encode("cp037"), " dasda:LNX1/  LDL001: dasda1", (24, 143976)),
        (
            LDL,
            "LNX1LDL001".encode("cp037") + bytes(69) + b"\xf2" + (9000).to_bytes(8, "big"),
            " dasda:LNX1/  LDL001: dasda1",
            (24, 71976),
        ),
        (CDL, b"", " dasda:", None),
    ],
)
def test_other_labels(geometry: Geometry, label: bytes, line: str, extent: tuple[int, int] | None) -> None:
    found = find(geometry, {2: label})
    assert found.announcement("dasda") == line
    assert [(part.start_sector, part.sectors) for part in found.partitions] == ([extent] if extent else [])


def test_sizes_of_what_is_made() -> None:
    first, second = labels.ipl_records()
    assert (len(first), len(second), len(labels.volume_label("A"))) == (28, 148, 84)
    records = labels.vtoc_records(100, 15, 12, 4096, "A", True)
    assert [len(record) for record in records] == [140] * 12


def test_the_vtoc_describes_the_device_as_hercules_does() -> None:
    """Fields of the format-4 DSCB that `dasdinit -linux` writes for the same disk."""
    dscb = labels.vtoc_dscb(100, 15, 12, 0)
    assert dscb[44] == 0xF4
    assert dscb[50:52].hex() == "000a"
    assert dscb[62:76].hex() == "0064000fe5a20000003000000c00"
    assert dscb[105:115].hex() == "01000000000100000001"


def test_free_space() -> None:
    assert labels.free_space_dscb(100, 15, 2)[:9].hex() == "05050505" + "0002" + "0063" + "0d"
    assert labels.free_space_dscb(100, 15, 1500)[:9].hex() == "05050505" + "0000000000"


@pytest.mark.parametrize("volser", ["", "TOOLONG", "A B", "Ä", "a.b"])
def test_bad_volume_serials(volser: str) -> None:
    with pytest.raises(ValueError, match="volume serial"):
        labels.check_volser(volser)


def test_volume_serials_are_capitals() -> None:
    assert labels.check_volser("0x7e52") == "0X7E52"

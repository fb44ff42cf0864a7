# SPDX-License-Identifier: GPL-2.0-or-later
"""Disk images: made, read, refused; and agreed on with Hercules' own tools where they are installed."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from core_rig import SLI, C, Rig, extent, locate

from ccwemu.channel import Device, Image, ImageError, Record, Storage, Subchannel

HEADER, TRACK = 512, 56832


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Image.create(tmp_path / "disk.ckd", cylinders=2)
    return tmp_path / "disk.ckd"


def test_create(path: Path) -> None:
    assert path.stat().st_size == HEADER + 2 * 15 * TRACK
    with Image.open(path) as image:
        assert (image.cylinders, image.heads, image.writable) == (2, 15, True)
        image.check()
        assert image.read_track(1, 14) == [Record(1, 14, 0, b"", bytes(8))]
    header = path.read_bytes()[:HEADER]
    assert header[:17].hex() == "434b445f503337300f00000000de000090"
    assert not any(header[17:])


def test_tracks_come_back(path: Path) -> None:
    records = [Record(1, 2, 0, b"", bytes(8)), Record(1, 2, 1, b"KEY", b"x" * 500), Record(1, 2, 2, b"", b"")]
    with Image.open(path) as image:
        image.write_track(1, 2, records)
        assert image.read_track(1, 2) == records
    with Image.open(path, writable=False) as image:
        assert image.read_track(1, 2) == records
        with pytest.raises(PermissionError):
            image.write_track(1, 2, records)


R0 = Record(0, 0, 0, b"", bytes(8))
BAD_TRACKS = [
    ("no record 0", [Record(0, 0, 1, b"", bytes(99))], "does not begin with record 0"),
    ("nothing", [], "does not begin with record 0|impossible length"),
    ("too much", [R0, *[Record(0, 0, n, b"", bytes(4096)) for n in range(1, 14)]], "more than a track holds"),
    ("longer than the slot", [R0, Record(0, 0, 1, b"", bytes(60000))], "impossible length"),
    ("an end in the midst", [R0, Record(0xFFFF, 15, 255, b"", b""), R0], "something follows|does not"),
]


@pytest.mark.parametrize(("records", "problem"), [row[1:] for row in BAD_TRACKS], ids=[row[0] for row in BAD_TRACKS])
def test_no_3390_track(path: Path, records: list[Record], problem: str) -> None:
    with Image.open(path) as image:
        before = image.read_raw(0, 0)
        if "midst" in problem or records and records[1:2] and records[1].number == 255:
            raw = before[:5] + R0.to_bytes() + b"\xff" * 8 + R0.to_bytes() + b"\xff" * 8
            with pytest.raises(ValueError, match=problem):
                image.write_raw(0, 0, raw)
        else:
            with pytest.raises(ValueError, match=problem):
                image.write_track(0, 0, records)
        assert image.read_raw(0, 0) == before


def test_home_address_is_not_changed(path: Path) -> None:
    with Image.open(path) as image, pytest.raises(ValueError, match="another home address"):
        image.write_raw(0, 1, image.read_raw(0, 0)[:37])


def test_no_such_track(path: Path) -> None:
    with Image.open(path) as image, pytest.raises(IndexError, match="no track at cylinder 2 head 0"):
        image.read_track(2, 0)


def patch(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


CORRUPT = [
    ("magic", 0, b"CKD_P371", 0, "does not begin with CKD_P370"),
    ("compressed", 0, b"CKD_C370", 0, "compressed CKD image.*dasdcopy"),
    ("heads", 8, b"\x10", 8, "16 heads.*expected 15"),
    ("track size", 12, b"\x01", 12, "track size 56833.*expected 56832"),
    ("device type", 16, b"\x80", 16, "device type 80.*expected 90"),
    ("one of several files", 17, b"\x02", 17, "several files"),
    ("home address", HEADER + 3 * TRACK + 4, b"\x09", HEADER + 3 * TRACK,
     "cylinder 0 head 3: home address 0000 0009, expected 0000 0003"),
    ("record 0", HEADER + 3 * TRACK + 5, b"\xff" * 8, HEADER + 3 * TRACK + 5, "cylinder 0 head 3: no record 0"),
]  # fmt: skip


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize(
    ("offset", "data", "where", "problem"), [row[1:] for row in CORRUPT], ids=[row[0] for row in CORRUPT]
)
def test_corrupt(path: Path, offset: int, data: bytes, where: int, problem: str, writable: bool) -> None:
    patch(path, offset, data)
    before = path.read_bytes()
    with pytest.raises(ImageError, match=problem) as caught:
        Image.open(path, writable=writable)
    assert (caught.value.path, caught.value.offset, caught.value.errno) == (str(path), where, errno.EILSEQ)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("size", "problem"),
    [
        (0, "truncated: 0 bytes, shorter than the header"),
        (100, "truncated: 100 bytes"),
        (HEADER, "truncated: the file ends after 0 tracks"),
        (HEADER + 15 * TRACK - 1, "truncated: the file ends after 14 tracks and 56831 bytes"),
        (HEADER + 16 * TRACK, "truncated: the file ends after 16 tracks and 0 bytes"),
    ],
)
def test_truncated(path: Path, size: int, problem: str) -> None:
    os.truncate(path, size)
    with pytest.raises(ImageError, match=problem):
        Image.open(path)


def test_check_finds_a_bad_record(path: Path) -> None:
    with Image.open(path) as image:
        image.write_track(1, 5, [Record(1, 5, 0, b"", bytes(8)), Record(1, 5, 1, b"", b"x")])
    at = HEADER + 20 * TRACK + 5 + 16
    patch(path, at + 6, b"\xff\xff")
    with (
        Image.open(path) as image,
        pytest.raises(ImageError, match="cylinder 1 head 5: record 1 .*runs over") as caught,
    ):
        image.check()
    assert caught.value.offset == at


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be opened: No such file") as caught:
        Image.open(tmp_path / "missing")
    assert caught.value.errno == errno.ENOENT
    with pytest.raises(ImageError, match="not a regular file"):
        Image.open(tmp_path, writable=False)


def test_create_leaves_a_file_alone(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(ImageError, match="cannot be created: File exists"):
        Image.create(path, cylinders=1)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("cylinders", "heads"), [(0, 15), (300000, 15), (1, 14)])
def test_create_refuses_impossible_disks(tmp_path: Path, cylinders: int, heads: int) -> None:
    with pytest.raises(ImageError, match="expected 1 to 262668|a 3390 has 15"):
        Image.create(tmp_path / "disk", cylinders=cylinders, heads=heads)
    assert list(tmp_path.iterdir()) == []


def test_one_writer(path: Path) -> None:
    with Image.open(path):
        with pytest.raises(ImageError, match="in use: another program") as caught:
            Image.open(path)
        assert caught.value.errno == errno.EWOULDBLOCK
        Image.open(path, writable=False).close()
    Image.open(path).close()


def test_file_descriptor(path: Path) -> None:
    """The lock belongs to the open file: a descriptor that was handed over keeps it."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        with Image.open(descriptor) as image:
            assert image.cylinders == 2
            with Image.open(descriptor) as again:
                assert again.cylinders == 2
            with pytest.raises(ImageError, match="in use"):
                Image.open(path)
    finally:
        os.close(descriptor)
    Image.open(path).close()


def test_closed(path: Path) -> None:
    image = Image.open(path)
    device = Device(image)
    image.close()
    image.close()
    assert image.closed
    device.close()
    for use in (image.check, lambda: image.read_track(0, 0), lambda: Device(image)):
        with pytest.raises(ValueError, match="closed"):
            use()


def test_read_only_image_makes_a_read_only_device(path: Path) -> None:
    with Image.open(path, writable=False) as image:
        assert Device(image).read_only


@pytest.mark.parametrize("serial", ["abc", "A" * 15, "A-B", "Ä"])
def test_bad_serial(path: Path, serial: str) -> None:
    with Image.open(path) as image, pytest.raises(ValueError, match="serial number"):
        Device(image, serial=serial)


# --- Hercules


def tool(name: str) -> str:
    """Path of one of Hercules' tools; the test is skipped, with the reason, where it is not installed."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed (Debian package hercules)")
    return found


def run(*command: str | Path) -> str:
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def test_an_image_of_dasdinit(tmp_path: Path) -> None:
    path = tmp_path / "hercules.ckd"
    run(tool("dasdinit"), "-linux", path, "3390", "HERC01", "5")
    with Image.open(path) as image:
        image.check()
        assert image.cylinders == 5
        records = image.read_track(0, 0)
        assert [(r.number, len(r.key), len(r.data)) for r in records[:4]] == [
            (0, 0, 8),
            (1, 4, 24),
            (2, 4, 144),
            (3, 4, 80),
        ]
        assert records[3].data[4:10].decode("cp037") == "HERC01"
        rig = bare_rig(image)
        result = rig.run(C(0x63, extent(), 0x40), C(0x47, locate(0x06, 0, 0, 3, 1), 0x40), C(0x0E, 84))
        assert result.status == "0c 00 0000"
        assert rig.stored(result.addresses[2], 84)[8:14].decode("cp037") == "HERC01"


def test_dasdls_reads_what_channel_programs_wrote(tmp_path: Path) -> None:
    """A volume label and a VTOC that went through Write CKD are found by Hercules' dasdls."""
    theirs, ours = tmp_path / "theirs.ckd", tmp_path / "ours.ckd"
    run(tool("dasdinit"), "-linux", theirs, "3390", "CCWEMU", "4")
    Image.create(ours, cylinders=4)
    with Image.open(theirs, writable=False) as source, Image.open(ours) as target:
        copy_by_channel_programs(source, target)
        for cylinder in range(4):
            for head in range(15):
                assert target.read_track(cylinder, head) == source.read_track(cylinder, head)
    listing = run(tool("dasdls"), ours)
    assert "VOLSER=CCWEMU" in listing


def bare_rig(image: Image) -> Rig:
    """A machine with this image as its disk."""
    rig = object.__new__(Rig)
    rig.memory, rig.storage = bytearray(0x100000), Storage()
    rig.storage.map(0, rig.memory)
    rig.sch = Subchannel(Device(image), devno=1, chpids=[0x41], pim=0x80, pam=0x80, pom=0xFF)
    return rig


def copy_by_channel_programs(source: Image, target: Image) -> None:
    rig = bare_rig(target)
    for cylinder in range(source.cylinders):
        for head in range(source.heads):
            records = source.read_track(cylinder, head)
            writes = [C(0x15, records[0].to_bytes(), 0x40)] + [C(0x1D, r.to_bytes(), 0x40) for r in records[1:]]
            writes[-1].flags = SLI
            result = rig.run(
                C(0x63, extent(0xC0), 0x40),
                C(0x47, locate(0x03, cylinder, head, 0, len(writes), orientation=0x40), 0x40),
                *writes,
            )
            assert result.status == "0c 00 0000", (cylinder, head, result.status, result.sense)

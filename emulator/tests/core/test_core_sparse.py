# SPDX-License-Identifier: GPL-2.0-or-later
"""Sparse images: tracks that were never written take no room, and are like any other to who looks at them."""

from __future__ import annotations

import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from core_rig import C, extent, locate
from test_core_image import bare_rig

from ccwemu.channel import Image, ImageError, Record

CYLINDERS = 10017
"""A 3390 model 9."""
TRACK = 56832
BLOCK = bytes(4096)


def formatted(cylinder: int, head: int, block: bytes = BLOCK) -> list[Record]:
    return [
        Record(cylinder, head, 0, b"", bytes(8)),
        *(Record(cylinder, head, n, b"", block) for n in range(1, 13)),
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Image.create(tmp_path / "disk.ckd", cylinders=CYLINDERS, null_records=12)
    return tmp_path / "disk.ckd"


def room(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_it_takes_room_for_what_was_touched(path: Path) -> None:
    assert path.stat().st_size == 512 + CYLINDERS * 15 * TRACK
    assert room(path) < 1 << 16
    with Image.open(path) as image:
        image.check()
        assert room(path) < 1 << 20
        assert image.read_track(5000, 7) == formatted(5000, 7)
        image.write_track(10016, 14, formatted(10016, 14, b"x" * 4096))
    assert room(path) < 1 << 20
    with Image.open(path) as image:
        image.check()
        assert image.read_track(10016, 14) == formatted(10016, 14, b"x" * 4096)
        assert image.read_track(0, 0) == formatted(0, 0)[:1]  # the first one is there


@pytest.mark.parametrize("writable", [True, False])
def test_unformatted(tmp_path: Path, writable: bool) -> None:
    Image.create(tmp_path / "disk.ckd", cylinders=100, null_records=0)
    with Image.open(tmp_path / "disk.ckd", writable=writable) as image:
        assert image.read_track(99, 0) == formatted(99, 0)[:1]


def test_a_look_does_not_change_the_file(path: Path) -> None:
    before = room(path)
    with Image.open(path, writable=False) as image:
        assert image.read_track(300, 3) == formatted(300, 3)
    with Image.open(path, damaged=True) as image:
        assert image.problems() == (0, [])
        assert image.read_raw(4, 4)[:13].hex() == "00" + "00040004" + "00040004" + "00000008"
    assert room(path) == before


def test_channel_programs(path: Path) -> None:
    """Read, write and read back blocks of tracks that were holes, also with one locate over two tracks."""
    with Image.open(path) as image:
        rig = bare_rig(image)
        where = extent(0x80, last=(CYLINDERS - 1, 14))
        read = [C(0x86, 4096, 0x40), C(0x86, 4096)]
        across = (C(0x63, where, 0x40), C(0x47, locate(0x06, 2000, 3, 12, 2), 0x40), *read)
        result = rig.run(*across)
        assert (result.status, result.sense) == ("0c 00 0000", "")
        assert rig.stored(result.addresses[3], 4096) == BLOCK
        result = rig.run(C(0x63, where, 0x40), C(0x47, locate(0x01, 2000, 4, 1, 1), 0x40), C(0x85, b"y" * 4096))
        assert result.status == "0c 00 0000"
        result = rig.run(*across)
        assert [rig.stored(address, 4096) for address in result.addresses[2:]] == [BLOCK, b"y" * 4096]
        image.check()


def test_two_readers_of_the_same_tracks(path: Path) -> None:
    with Image.open(path) as image:
        found: list[bool] = []

        def look() -> None:
            found.extend(image.read_track(cylinder, 0) == formatted(cylinder, 0) for cylinder in range(1, 300))

        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [True] * (4 * 299)


def test_a_track_whose_filling_was_cut_short(path: Path) -> None:
    """Its counts are there, its home address is not: it is filled again."""
    with Image.open(path) as image:
        raw = image.read_raw(7, 0)
    with path.open("r+b") as file:
        file.seek(512 + 7 * 15 * TRACK)
        file.write(bytes(5) + raw[5:2000])
    with Image.open(path) as image:
        assert image.read_track(7, 0) == formatted(7, 0)


def test_a_damaged_track_is_told(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(512 + 9000 * 15 * TRACK)
        file.write(b"\x00\x01")
    with pytest.raises(ImageError, match="cylinder 9000 head 0: home address 0100 0000, expected 2328 0000"):
        Image.open(path)


def test_more_records_than_a_track_holds(tmp_path: Path, path: Path) -> None:
    with pytest.raises(ImageError, match="13 records of 4096 bytes are more than a 3390 track holds"):
        Image.create(tmp_path / "more", cylinders=1, null_records=13)
    with path.open("r+b") as file:
        file.seek(24)
        file.write(b"\x0d")
    with pytest.raises(ImageError, match="13 records of 4096 bytes on tracks that were never written"):
        Image.open(path)


def test_hercules_refuses_it(path: Path) -> None:
    dasdls = shutil.which("dasdls")
    if dasdls is None:
        pytest.skip("dasdls is not installed (Debian package hercules)")
    done = subprocess.run([dasdls, str(path)], capture_output=True, text=True, check=False)
    assert "VOLSER" not in done.stdout

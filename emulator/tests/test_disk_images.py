# SPDX-License-Identifier: GPL-2.0-or-later
"""Disk images: made by us and judged by Hercules, made by Hercules and judged by us."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ccwemu import channel, disk

hercules = pytest.mark.skipif(
    shutil.which("dasdls") is None, reason="dasdls and dasdinit are not installed (package hercules)"
)


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_was_made(tmp_path: Path) -> None:
    disk.create(tmp_path / "disk", 20, volser="0x7e52")
    found = disk.info(tmp_path / "disk")
    assert (found.cylinders, found.heads, found.layout, found.block_size, found.volser) == (
        20, 15, "compatible disk layout", 4096, "0X7E52",
    )  # fmt: skip
    assert found.size == 20 * 15 * 12 * 4096
    (partition,) = found.partitions
    assert (partition.start_sector, partition.sectors) == (192, (20 * 15 - 2) * 96)
    assert partition.data_set == "LINUX.V0X7E52.PART0001.NATIVE"


def test_unformatted(tmp_path: Path) -> None:
    disk.create(tmp_path / "disk", 3, layout="unformatted")
    found = disk.info(tmp_path / "disk")
    assert (found.layout, found.size, found.partitions) == ("unformatted", 0, ())


def test_without_a_partition(tmp_path: Path) -> None:
    disk.create(tmp_path / "disk", 3, volser="A", partition=False)
    assert disk.info(tmp_path / "disk").partitions == ()


def test_progress(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    disk.create(tmp_path / "disk", 2, volser="A", progress=lambda done, total: told.append((done, total)))
    assert told == [(15, 30), (30, 30)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cylinders": 0, "volser": "A"}, "0 cylinders"),
        ({"cylinders": 65521, "volser": "A"}, "65521 cylinders"),
        ({"cylinders": 3, "volser": "TOOLONG"}, "volume serial 'TOOLONG'"),
        ({"cylinders": 3, "volser": ""}, "volume serial ''"),
        ({"cylinders": 3, "layout": "cms"}, "layout 'cms'"),
        ({"cylinders": 3, "volser": "A", "filesystem": "xfs"}, "file system 'xfs'"),
        ({"cylinders": 3, "layout": "unformatted", "filesystem": "ext4"}, "needs layout cdl"),
        ({"cylinders": 3, "volser": "A", "filesystem": "ext4", "partition": False}, "needs layout cdl and a partition"),
    ],
)
def test_what_cannot_be_made(tmp_path: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(disk.DiskError, match=message) as failure:
        disk.create(tmp_path / "disk", **arguments)  # type: ignore[arg-type]
    assert str(tmp_path / "disk") in str(failure.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "disk").write_text("precious")
    with pytest.raises(disk.DiskError, match="there is a file of that name already"):
        disk.create(tmp_path / "disk", 1, volser="A")
    assert (tmp_path / "disk").read_text() == "precious"


def test_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(disk.DiskError, match="No space left"):
        disk.create(tmp_path / "disk", 1, volser="A")
    assert list(tmp_path.iterdir()) == []


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(disk.DiskError, match="No such file"):
        disk.create(tmp_path / "missing" / "disk", 1, volser="A")


@pytest.mark.parametrize("content", [b"", b"CKD_P370", b"no disk at all" * 1000])
def test_info_about_something_else(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "disk").write_bytes(content)
    with pytest.raises(disk.DiskError, match=str(tmp_path / "disk")):
        disk.info(tmp_path / "disk")


@pytest.mark.skipif(
    shutil.which("mkfs.ext4", path="/usr/sbin:/sbin:/usr/bin") is None, reason="no mkfs.ext4 (package e2fsprogs)"
)
def test_a_file_system_in_the_partition(tmp_path: Path) -> None:
    disk.create(tmp_path / "disk", 20, volser="0X7E53", filesystem="ext4")
    image = channel.Image.open(tmp_path / "disk", writable=False)
    try:
        superblock = next(record for record in image.read_track(0, 2) if record.number == 1).data[1024:2048]
    finally:
        image.close()
    assert superblock[56:58] == b"\x53\xef"
    assert [path.name for path in tmp_path.iterdir()] == ["disk"]


@hercules
def test_hercules_lists_our_data_set(tmp_path: Path) -> None:
    disk.create(tmp_path / "disk", 20, volser="0X7E52")
    output = run("dasdls", "-info", str(tmp_path / "disk"))
    assert "VOLSER=0X7E52" in output
    assert "LINUX.V0X7E52.PART0001.NATIVE" in output


@hercules
def test_a_disk_that_hercules_made_for_linux(tmp_path: Path) -> None:
    run("dasdinit", "-linux", str(tmp_path / "disk"), "3390", "LNX001", "20")
    found = disk.info(tmp_path / "disk")
    assert (found.layout, found.block_size, found.volser, found.partitions) == (
        "compatible disk layout", 4096, "LNX001", (),
    )  # fmt: skip


@hercules
def test_a_disk_that_hercules_made_for_others(tmp_path: Path) -> None:
    run("dasdinit", str(tmp_path / "disk"), "3390", "VOL001", "20")
    assert disk.info(tmp_path / "disk").layout == "unformatted"


@hercules
def test_the_same_bytes_as_hercules_where_both_say_the_same(tmp_path: Path) -> None:
    """Ordinary tracks, count fields and all, are equal."""
    disk.create(tmp_path / "ours", 3, volser="LNX001", partition=False)
    run("dasdinit", "-linux", str(tmp_path / "theirs"), "3390", "LNX001", "3")
    digests = []
    for name in ("ours", "theirs"):
        image = channel.Image.open(tmp_path / name, writable=False)
        try:
            tracks = [image.read_track(*divmod(track, 15)) for track in range(2, 45)]
        finally:
            image.close()
        digests.append(hashlib.sha256(repr(tracks).encode()).hexdigest())
    assert digests[0] == digests[1]


@pytest.mark.parametrize("layout", disk.LAYOUTS)
def test_a_sparse_disk_is_as_another(tmp_path: Path, layout: str) -> None:
    volser = "A" if layout == "cdl" else ""
    for name, sparse in (("whole", False), ("sparse", True)):
        disk.create(tmp_path / name, 3, layout, volser, sparse=sparse)
    assert disk.info(tmp_path / "sparse") == dataclasses.replace(
        disk.info(tmp_path / "whole"), path=str(tmp_path / "sparse")
    )
    with channel.Image.open(tmp_path / "whole") as whole, channel.Image.open(tmp_path / "sparse") as sparse_image:
        for track in range(3 * 15):
            assert whole.read_track(*divmod(track, 15)) == sparse_image.read_track(*divmod(track, 15))


def test_a_sparse_disk_of_a_usual_size_with_a_file_system(tmp_path: Path) -> None:
    disk.create(tmp_path / "disk", 3339, volser="A", filesystem="ext4", sparse=True)
    assert (tmp_path / "disk").stat().st_blocks * 512 < 64 << 20
    assert disk.info(tmp_path / "disk").size == 3339 * 15 * 12 * 4096

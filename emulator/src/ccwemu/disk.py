# SPDX-License-Identifier: GPL-2.0-or-later
"""Make and describe disk images: what dasdfmt and fdasd -a make on a real disk (``ccwemu disk``).

An image holds raw tracks (the CKD file format of Hercules). Sizes: a track of a 3390 takes 56832 bytes, a cylinder
15 tracks. A formatted disk has 12 records of 4096 bytes on each track.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ccwemu import channel
from ccwemu.machine.dasd import eckd, labels
from ccwemu.machine.dasd.eckd import Geometry

HEADS = 15
BLOCK_SIZE = 4096
BLOCKS_PER_TRACK = eckd.records_per_track(0, BLOCK_SIZE)
SPARSE_TRACKS = 2
"""Of a sparse image those that are written when it is made: with the label and the VTOC."""
LAYOUTS = ("cdl", "ldl", "unformatted")
"""Compatible (label, VTOC, partition), Linux (blocks from the first track on, no label), and tracks without records."""
MAKERS = {"ext2": ["-q", "-F", "-b", "4096"], "ext4": ["-q", "-F", "-b", "4096"]}
"""File systems that can be made, with the arguments of their mkfs."""

Progress = Callable[[int, int], None]


class DiskError(Exception):
    """A disk that cannot be made or read: which image, what was found, what to do."""


@dataclass(frozen=True)
class Description:
    """What an image holds. ``size`` is in bytes of blocks, 0 for a disk without; ``layout`` as the driver says it."""

    path: str
    cylinders: int
    heads: int
    layout: str
    block_size: int
    size: int
    volser: str
    partitions: tuple[labels.Partition, ...]


# --- making -----------------------------------------------------------------------------------------------------


def create(
    path: str | os.PathLike[str],
    cylinders: int,
    layout: str = "cdl",
    volser: str = "",
    partition: bool = True,
    filesystem: str | None = None,
    progress: Progress | None = None,
    sparse: bool = False,
) -> None:
    """Make a disk image. ``volser`` is needed for layout "cdl"; ``filesystem`` (ext2, ext4) goes into the partition.

    A ``sparse`` one takes room for the tracks that were touched only, and is made at once. Hercules does not read it.
    ``progress`` is told tracks written and tracks in all. Raises DiskError; a file that is there is left alone.
    """
    target = os.fspath(path)
    name = _checked(target, cylinders, layout, volser, partition, filesystem)
    if os.path.lexists(target):
        raise DiskError(f"{target}: there is a file of that name already; remove it, or choose another name")
    # Who looks meanwhile finds no half-made disk, and an interrupted run leaves none.
    draft = f"{target}.{os.getpid()}.part"
    try:
        blocks = 0 if layout == "unformatted" else BLOCKS_PER_TRACK
        channel.Image.create(draft, cylinders=cylinders, heads=HEADS, null_records=blocks if sparse else None)
        if layout != "unformatted":
            labelled = _pieces(cylinders, name, partition) if layout == "cdl" else []
            if not sparse:
                _reserve(draft)
            _format(draft, SPARSE_TRACKS if sparse else cylinders * HEADS, labelled, progress)
        if filesystem is not None:
            _fill(draft, filesystem, target)
        os.rename(draft, target)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
        if isinstance(error, channel.ImageError):
            raise DiskError(f"{target}: the image {error.problem}") from error
        if isinstance(error, OSError):
            raise DiskError(f"{target}: the image could not be written: {error.strerror}") from error
        raise


def _reserve(path: str) -> None:
    """Have the file system set the space aside. Raises OSError(ENOSPC): a mapped file would end the process."""
    with open(path, "r+b") as file:
        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)


def _checked(path: str, cylinders: int, layout: str, volser: str, partition: bool, filesystem: str | None) -> str:
    """The volume serial in capitals. Raises DiskError for what cannot be made."""
    if layout not in LAYOUTS:
        raise DiskError(f"{path}: layout {layout!r} is none of {', '.join(LAYOUTS)}")
    if not 1 <= cylinders <= labels.MAX_CYLINDERS:
        raise DiskError(f"{path}: {cylinders} cylinders; 1 to {labels.MAX_CYLINDERS} are possible")
    if filesystem is not None and filesystem not in MAKERS:
        raise DiskError(f"{path}: file system {filesystem!r} is none of {', '.join(MAKERS)}")
    if filesystem is not None and (layout != "cdl" or not partition):
        raise DiskError(f"{path}: a file system needs layout cdl and a partition")
    if layout != "cdl":
        return ""
    try:
        return labels.check_volser(volser)
    except ValueError as error:
        raise DiskError(f"{path}: {error}") from error


def _pieces(cylinders: int, volser: str, partition: bool) -> list[list[tuple[bytes, bytes]]]:
    """Key and data of the records of the first two tracks of the compatible disk layout: label and VTOC."""
    special = [(record[:4], record[4:]) for record in (*labels.ipl_records(), labels.volume_label(volser))]
    vtoc = labels.vtoc_records(cylinders, HEADS, BLOCKS_PER_TRACK, BLOCK_SIZE, volser, partition)
    blocks = [(b"", bytes(BLOCK_SIZE))] * (BLOCKS_PER_TRACK - len(special))
    return [special + blocks, [(record[:44], record[44:]) for record in vtoc]]


def _format(path: str, tracks: int, first: list[list[tuple[bytes, bytes]]], progress: Progress | None) -> None:
    """Write so many tracks: the given ones first, then empty blocks."""
    image = channel.Image.open(path)
    try:
        empty = [(b"", bytes(BLOCK_SIZE))] * BLOCKS_PER_TRACK
        for track in range(tracks):
            _write_track(image, track, first[track] if track < len(first) else empty)
            if progress is not None and track % HEADS == HEADS - 1:
                progress(track + 1, tracks)
    finally:
        image.close()


def _write_track(image: channel.Image, track: int, pieces: list[tuple[bytes, bytes]]) -> None:
    cylinder, head = divmod(track, HEADS)
    records = [channel.Record(cylinder, head, 0, b"", bytes(8))]
    records += [channel.Record(cylinder, head, number, key, data) for number, (key, data) in enumerate(pieces, start=1)]
    image.write_track(cylinder, head, records)


def _fill(path: str, filesystem: str, name: str) -> None:
    """Make a file system in a file and copy it into the partition's blocks. ``name`` is what errors call the image."""
    program = f"mkfs.{filesystem}"
    maker = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if maker is None:
        raise DiskError(f"{name}: no {program} was found; install the package e2fsprogs")
    partition = info(path).partitions[0]
    first = partition.start_sector * labels.SECTOR // BLOCK_SIZE
    with tempfile.TemporaryDirectory(dir=Path(path).resolve().parent) as directory:
        draft = os.path.join(directory, "filesystem")
        with open(draft, "wb") as file:
            file.truncate(partition.sectors * labels.SECTOR)
        made = subprocess.run([maker, *MAKERS[filesystem], draft], capture_output=True, text=True, check=False)
        if made.returncode:
            raise DiskError(f"{name}: {program} ended with {made.returncode}: {made.stderr.strip()}")
        _copy_in(path, draft, first // BLOCKS_PER_TRACK)


def _copy_in(path: str, source: str, first_track: int) -> None:
    """Copy a file of blocks to whole tracks; tracks of zeros are as formatting left them."""
    step = BLOCKS_PER_TRACK * BLOCK_SIZE
    zeros = bytes(step)
    image = channel.Image.open(path)
    try:
        with open(source, "rb") as file:
            track = first_track
            while data := file.read(step):
                if data != zeros[: len(data)]:
                    data = data.ljust(step, b"\0")
                    pieces = [(b"", data[at : at + BLOCK_SIZE]) for at in range(0, step, BLOCK_SIZE)]
                    _write_track(image, track, pieces)
                track += 1
    finally:
        image.close()


# --- describing -------------------------------------------------------------------------------------------------


def info(path: str | os.PathLike[str]) -> Description:
    """What an image holds, by the rules by which the driver finds it. Raises DiskError."""
    target = os.fspath(path)
    try:
        image = channel.Image.open(target, writable=False)
    except (OSError, channel.ImageError) as error:
        raise DiskError(str(error) if isinstance(error, channel.ImageError) else f"{target}: {error}") from error
    try:
        geometry = _geometry(image)
        found = labels.Labels()
        if geometry.blocks:
            found = labels.find(geometry, lambda block: _read_block(image, geometry, block))
        return Description(
            path=target,
            cylinders=image.cylinders,
            heads=image.heads,
            layout=geometry.layout.value,
            block_size=geometry.block_size,
            size=geometry.blocks * geometry.block_size,
            volser=found.volser,
            partitions=found.partitions,
        )
    except (OSError, channel.ImageError) as error:
        raise DiskError(str(error) if isinstance(error, channel.ImageError) else f"{target}: {error}") from error
    finally:
        image.close()


def _geometry(image: channel.Image) -> Geometry:
    counts = []
    for head, number in ((0, 1), (0, 2), (0, 3), (0, 4), (1, 1)):
        record = _record(image, 0, head, number)
        if record is None:
            return Geometry(image.cylinders, image.heads)
        place = eckd.track_address(record.cylinder * image.heads + record.head, image.heads)
        lengths = bytes((record.number, len(record.key))) + len(record.data).to_bytes(2, "big")
        counts.append(place + lengths)
    layout, block_size = eckd.analyse(counts)
    return Geometry(image.cylinders, image.heads, layout=layout, block_size=block_size)


def _record(image: channel.Image, cylinder: int, head: int, number: int) -> channel.Record | None:
    return next((record for record in image.read_track(cylinder, head) if record.number == number), None)


def _read_block(image: channel.Image, geometry: Geometry, block: int) -> bytes:
    """A block as the driver would read it: key and data of a record, filled with 0xE5."""
    track, before = divmod(block, geometry.blocks_per_track)
    record = _record(image, *divmod(track, geometry.heads), before + 1)
    if record is None:
        raise channel.ImageError(f"track {track} has no record {before + 1}")
    return (record.key + record.data).ljust(geometry.block_size, b"\xe5")

# SPDX-License-Identifier: GPL-2.0-or-later
"""The block device of a DASD: bytes read and written as channel programs, each and every one.

There is no cache: a read starts a program, and what a write brought is on the disk when it returns.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from ccwemu.machine.ccwdriver import Ccw, ChannelDevice
from ccwemu.machine.dasd import eckd, labels
from ccwemu.machine.dasd.eckd import Geometry, Layout
from ccwemu.machine.dasd.request import execute, failure_text

MAJOR = 94
MINORS = 4
"""Minors of a disk: itself and three partitions."""


class DiskPartition:
    """A partition as the block layer shows it; start and length in sectors of 512 bytes."""

    def __init__(self, disk: DasdDisk, partition: labels.Partition) -> None:
        self.number = partition.number
        self.name = f"{disk.name}{partition.number}"
        self.minor = disk.first_minor + partition.number
        self.start_sector = partition.start_sector
        self.sectors = partition.sectors
        self.data_set = partition.data_set


class DasdDisk:
    """A disk that is online: ``dasda`` and its partitions.

    ``read_only`` is asked at each open and write. Raises nothing by itself when made; :meth:`find_partitions` reads.
    """

    major = MAJOR

    def __init__(
        self,
        index: int,
        channel: ChannelDevice,
        geometry: Geometry,
        read_only: Callable[[], bool],
        log: Callable[[str], None],
    ) -> None:
        self.name = disk_name(index)
        self.first_minor = index * MINORS
        self.geometry = geometry
        self.block_size = geometry.block_size or labels.SECTOR
        self.partitions: list[DiskPartition] = []
        self.labels = labels.Labels()
        self._channel = channel
        self._read_only = read_only
        self._log = log
        self._lock = threading.RLock()
        self._alive = True

    @property
    def announcement(self) -> str:
        """What the kernel's partition search prints; "" for a disk without a block."""
        return self.labels.announcement(self.name) if self.geometry.blocks else ""

    def size_bytes(self) -> int:
        return self.geometry.blocks * self.geometry.block_size

    def read_only(self) -> bool:
        return self._read_only()

    def find_partitions(self) -> None:
        """Read label and VTOC. Raises OSError(EIO)."""
        if self.geometry.layout not in (Layout.CDL, Layout.LDL):
            return
        self.labels = labels.find(self.geometry, lambda block: self._read_blocks(block, 1))
        self.partitions = [
            DiskPartition(self, kept)
            for partition in self.labels.partitions
            if (kept := self._within(partition)) is not None
        ]

    def _within(self, partition: labels.Partition) -> labels.Partition | None:
        """What of a partition lies on the disk, as the block layer cuts it."""
        capacity = self.size_bytes() // labels.SECTOR
        name = f"{self.name}: p{partition.number}"
        if partition.sectors <= 0:
            return None
        if partition.start_sector >= capacity:
            self._log(f"{name} start {partition.start_sector} is beyond EOD, ignored")
            return None
        if partition.start_sector + partition.sectors > capacity:
            self._log(f"{name} size {partition.sectors} extends beyond EOD, truncated")
            return replace(partition, sectors=capacity - partition.start_sector)
        return partition

    def open_device(self, partition: int | None, flags: int) -> OpenDasd:
        """Open the disk, or the partition at that place in ``partitions``; open(2) flags.

        Raises OSError: EROFS for writing to a read-only disk, ENODEV when the disk has gone, ENXIO for no partition.
        """
        if not self._alive:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), self.name)
        if flags & os.O_ACCMODE != os.O_RDONLY and self.read_only():
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), self.name)
        if partition is None:
            return OpenDasd(self, 0, self.size_bytes())
        if not 0 <= partition < len(self.partitions):
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO), self.name)
        chosen = self.partitions[partition]
        return OpenDasd(self, chosen.start_sector * labels.SECTOR, chosen.sectors * labels.SECTOR)

    def kill(self) -> None:
        """The device has gone: every later access fails with EIO."""
        with self._lock:
            self._alive = False

    def read_at(self, offset: int, count: int) -> bytes:
        """``count`` bytes from ``offset``, both within the disk. Raises OSError(EIO)."""
        size = self.block_size
        first, before = divmod(offset, size)
        blocks = -(-(before + count) // size)
        with self._lock:
            return self._read_blocks(first, blocks)[before : before + count]

    def write_at(self, offset: int, data: bytes) -> None:
        """Write within the disk; blocks that are not covered whole are read first. Raises OSError(EIO)."""
        size = self.block_size
        first, before = divmod(offset, size)
        blocks = -(-(before + len(data)) // size)
        after = blocks * size - before - len(data)
        with self._lock:
            head = self._read_blocks(first, 1)[:before] if before else b""
            tail = self._read_blocks(first + blocks - 1, 1)[size - after :] if after else b""
            self._write_blocks(first, b"".join((head, data, tail)) if before or after else data)

    def _run(self, program: Sequence[Ccw]) -> tuple[bytes | None, ...]:
        if not self._alive:
            raise OSError(errno.EIO, os.strerror(errno.EIO), self.name)
        try:
            return execute(self._channel, program, log=self._log)
        except OSError as error:
            self._log(failure_text(error))
            raise OSError(errno.EIO, os.strerror(errno.EIO), self.name) from error

    def _read_blocks(self, first: int, count: int) -> bytes:
        parts = []
        for start in range(first, first + count, eckd.MAX_BLOCKS):
            number = min(eckd.MAX_BLOCKS, first + count - start)
            data = self._run(eckd.read_program(self.geometry, start, number))
            parts.append(eckd.blocks_from(self.geometry, number, data))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _write_blocks(self, first: int, data: bytes) -> None:
        step = eckd.MAX_BLOCKS * self.block_size
        view = memoryview(data)
        for at in range(0, len(data), step):
            block = first + at // self.block_size
            self._run(eckd.write_program(self.geometry, block, view[at : at + step]))


class OpenDasd:
    """A disk or partition held open: offsets are relative to it, ``start`` and ``length`` in bytes."""

    def __init__(self, disk: DasdDisk, start: int, length: int) -> None:
        self._disk = disk
        self._start = start
        self._length = length

    def read(self, offset: int, count: int) -> bytes:
        """Up to ``count`` bytes, fewer at the end of the device. Raises OSError(EIO)."""
        count = min(count, self._length - offset)
        return self._disk.read_at(self._start + offset, count) if count > 0 else b""

    def write(self, offset: int, data: bytes) -> int:
        """How many bytes were written: fewer at the end of the device.

        Raises OSError: ENOSPC at or beyond the end, EPERM when the disk was made read-only meanwhile, EIO.
        """
        if self._disk.read_only():
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), self._disk.name)
        count = min(len(data), self._length - offset)
        if count <= 0:
            if not data:
                return 0
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._disk.name)
        self._disk.write_at(self._start + offset, data if count == len(data) else data[:count])
        return count

    def sync(self) -> None:
        """Nothing waits to be written."""

    def close(self) -> None:
        """Nothing is held beyond the object; who counts openers counts this one."""


def disk_name(index: int) -> str:
    """dasda .. dasdz, dasdaa ..: the name of the disk with that index."""
    letters = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, 26)
        letters = chr(ord("a") + letter) + letters
    return "dasd" + letters

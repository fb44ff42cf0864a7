# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks and partitions: /sys/block, /sys/class/block, /sys/dev/block, /proc/partitions, device nodes, openers.

Source: Linux block/genhd.c, block/partitions/core.c, block/blk-sysfs.c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ccwemu.machine.driver_base import SysClass
from ccwemu.machine.driver_core import Device
from ccwemu.machine.kernel import Kernel, text_attribute
from ccwemu.machine.nodes import add_node, remove_node
from ccwemu.machine.tree import Directory, Link, Node, OpenDevice
from ccwemu.machine.uevent import Variables

SECTOR = 512


@dataclass(frozen=True)
class Major:
    """What a block driver's major means: minors of a disk, and whether its driver says "change" when it is ready."""

    minors: int = 1
    tells_ready: bool = False


class Partition(Protocol):
    """A partition as its disk describes it; start and length in sectors of 512 bytes."""

    name: str
    number: int
    minor: int
    start_sector: int
    sectors: int


class Disk(Protocol):
    """A disk as its driver describes it."""

    name: str
    major: int
    first_minor: int
    block_size: int
    """The logical block size in bytes."""

    @property
    def partitions(self) -> Sequence[Partition]: ...

    def size_bytes(self) -> int: ...

    def read_only(self) -> bool: ...

    def open_device(self, partition: int | None, flags: int) -> OpenDevice:
        """``partition`` is an index into ``partitions``."""


class _Counted:
    """An opened device that is counted for as long as it is open."""

    def __init__(self, opened: OpenDevice, closed: Callable[[], None]) -> None:
        self._opened = opened
        self._closed: Callable[[], None] | None = closed

    def read(self, offset: int, count: int) -> bytes:
        return self._opened.read(offset, count)

    def write(self, offset: int, data: bytes) -> int:
        return self._opened.write(offset, data)

    def sync(self) -> None:
        self._opened.sync()

    def close(self) -> None:
        closed, self._closed = self._closed, None
        if closed is not None:
            try:
                self._opened.close()
            finally:
                closed()


class BlockDevice(Device):
    """What a disk and a partition have in common."""

    def __init__(self, registry: Blocks, name: str, parent: Directory, disk: Disk, minor: int) -> None:
        super().__init__(registry.kernel, name, parent, sysclass=registry.sysclass)
        self.disk = disk
        self.devnum = (disk.major, minor)
        self.openers = 0
        """Open files on it, and what else in the kernel has it open."""

    def sectors(self) -> int:
        raise NotImplementedError

    def open_index(self) -> int | None:
        raise NotImplementedError

    def common(self) -> Iterable[Node]:
        yield text_attribute("size", lambda: str(self.sectors()))
        yield text_attribute("ro", lambda: str(int(self.disk.read_only())))
        yield text_attribute("alignment_offset", "0")
        yield text_attribute("discard_alignment", "0")
        yield text_attribute("stat", " ".join(["       0"] * 17))
        yield text_attribute("inflight", "       0        0")
        yield Directory("holders")

    def size(self) -> int:
        """Bytes."""
        return self.sectors() * SECTOR

    def make_node(self) -> None:
        assert self.devnum is not None
        add_node(self.kernel, self.name, 0o600, "block", self.devnum, self._open, self.size)

    def drop_node(self) -> None:
        remove_node(self.kernel, self.name)

    def _open(self, flags: int) -> OpenDevice:
        with self.kernel.lock:
            opened = self.disk.open_device(self.open_index(), flags)
            self.openers += 1
        return _Counted(opened, self._close)

    def _close(self) -> None:
        with self.kernel.lock:
            self.openers -= 1
            self.kernel.lock.notify_all()


class _PartitionDevice(BlockDevice):
    devtype = "partition"

    def __init__(self, registry: Blocks, disk: _DiskDevice, index: int) -> None:
        partition = disk.disk.partitions[index]
        super().__init__(registry, partition.name, disk.directory, disk.disk, partition.minor)
        self._partition = partition
        self._index = index
        self._owner = disk

    def sectors(self) -> int:
        return self._partition.sectors

    def open_index(self) -> int | None:
        return self._index

    def attributes(self) -> Iterable[Node]:
        yield from self.common()
        yield text_attribute("partition", str(self._partition.number))
        yield text_attribute("start", str(self._partition.start_sector))

    def uevent_vars(self) -> Variables:
        return [("DISKSEQ", str(self._owner.sequence)), ("PARTN", str(self._partition.number))]


class _DiskDevice(BlockDevice):
    devtype = "disk"

    def __init__(self, registry: Blocks, owner: Directory | None, disk: Disk, sequence: int) -> None:
        """``owner``: the directory of the device that the disk is; None for a virtual disk."""
        self._owner = owner
        self.sequence = sequence
        self.partitions: list[_PartitionDevice] = []
        virtual = registry.kernel.directory("devices/virtual/block")
        glue = owner.add(Directory("block")) if owner is not None else virtual
        super().__init__(registry, disk.name, glue, disk, disk.first_minor)
        self._registry = registry

    def sectors(self) -> int:
        return self.disk.size_bytes() // SECTOR

    def open_index(self) -> int | None:
        return None

    def attributes(self) -> Iterable[Node]:
        yield from self.common()
        if self._owner is not None:
            yield Link("device", self._owner)
        yield text_attribute("range", str(self._registry.major(self.disk).minors))
        yield text_attribute("ext_range", "256")
        for name, value in (("removable", "0"), ("hidden", "0"), ("capability", "0"), ("diskseq", str(self.sequence))):
            yield text_attribute(name, value)
        for name, value in (("events", ""), ("events_async", ""), ("events_poll_msecs", "-1")):
            yield text_attribute(name, value)
        yield Directory("slaves")
        yield self._queue()

    def _queue(self) -> Directory:
        queue = Directory("queue")
        size = str(self.disk.block_size)
        for name in ("logical_block_size", "physical_block_size", "minimum_io_size", "hw_sector_size"):
            queue.add(text_attribute(name, size))
        for name, value in _QUEUE:
            queue.add(text_attribute(name, value))
        return queue

    def uevent_vars(self) -> Variables:
        return [("DISKSEQ", str(self.sequence))]

    def register(self) -> None:
        super().register()
        self._registry.kernel.directory("block").add(Link(self.name, self.directory))
        self.add_partitions()

    def add_partitions(self) -> None:
        for index in range(len(self.disk.partitions)):
            partition = _PartitionDevice(self._registry, self, index)
            partition.register()
            self.partitions.append(partition)

    def drop_partitions(self) -> None:
        for partition in self.partitions:
            partition.unregister()
        self.partitions.clear()

    def unregister(self) -> None:
        self.drop_partitions()
        self._registry.kernel.directory("block").remove(self.name)
        super().unregister()
        if self._owner is not None and "block" in self._owner:
            self._owner.remove("block")

    def members(self) -> list[BlockDevice]:
        return [self, *self.partitions]


_QUEUE = (
    ("optimal_io_size", "0"),
    ("rotational", "0"),
    ("read_ahead_kb", "128"),
    ("nr_requests", "64"),
    ("max_sectors_kb", "760"),
    ("max_hw_sectors_kb", "760"),
    ("max_segments", "65535"),
    ("max_segment_size", "4096"),
    ("scheduler", "[mq-deadline] none"),
    ("discard_granularity", "0"),
    ("discard_max_bytes", "0"),
    ("discard_zeroes_data", "0"),
    ("write_cache", "write through"),
    ("write_same_max_bytes", "0"),
    ("write_zeroes_max_bytes", "0"),
    ("zoned", "none"),
    ("add_random", "0"),
    ("iostats", "1"),
    ("nomerges", "0"),
    ("rq_affinity", "1"),
    ("dax", "0"),
    ("fua", "0"),
    ("chunk_sectors", "0"),
)


class Blocks:
    """The block layer of a machine: :class:`~ccwemu.machine.ccwdriver.BlockRegistry`."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.sysclass = SysClass(kernel, "block")
        self.majors: dict[int, Major] = {}
        self._disks: dict[str, _DiskDevice] = {}
        self._sequence = 0
        self._elsewhere: Callable[[str], int] = lambda name: 0

    def set_open_counter(self, counter: Callable[[str], int]) -> None:
        """``counter(name)``: how many users a disk or partition has that hold no device file (mounts, swap)."""
        self._elsewhere = counter

    def add_disk(self, parent: Directory | None, disk: Disk) -> None:
        """Make parent/block/<disk> with its partitions, nodes and links; no parent: a virtual disk."""
        self._sequence += 1
        device = _DiskDevice(self, parent, disk, self._sequence)
        self._disks[disk.name] = device
        device.register()
        if self.major(disk).tells_ready:
            device.emit("change")

    def major(self, disk: Disk) -> Major:
        return self.majors.get(disk.major, Major())

    def remove_disk(self, disk: Disk) -> None:
        """Whoever has it open keeps what was opened. A disk that is not there is no error."""
        device = self._disks.pop(disk.name, None)
        if device is not None:
            device.unregister()

    def rescan(self, name: str) -> None:
        """The disk's partitions are others now (BLKRRPART). Raises KeyError."""
        device = self._disks[name]
        device.drop_partitions()
        device.add_partitions()
        device.emit("change")

    def member(self, name: str) -> BlockDevice:
        """A disk or partition by its name. Raises KeyError."""
        for disk in self._disks.values():
            for member in disk.members():
                if member.name == name:
                    return member
        raise KeyError(f"no disk or partition is called {name}")

    def open_count(self, name: str) -> int:
        """Openers of a disk and of its partitions, nodes held open and users elsewhere."""
        device = self._disks.get(name)
        if device is None:
            return 0
        return sum(member.openers + self._elsewhere(member.name) for member in device.members())

    def proc_partitions(self) -> str:
        """/proc/partitions; sizes in KiB. Empty without a disk."""
        members = [member for disk in self._disks.values() for member in disk.members() if member.sectors()]
        if not members:
            return ""
        return "major minor  #blocks  name\n\n" + "".join(map(_partition_line, members))


def _partition_line(member: BlockDevice) -> str:
    assert member.devnum is not None
    major, minor = member.devnum
    return f"{major:4d}  {minor:7d} {member.sectors() // 2:10d} {member.name}\n"

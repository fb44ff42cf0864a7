# SPDX-License-Identifier: GPL-2.0-or-later
"""Who uses a disk besides open files and mounts: swap areas, and volumes of the device mapper (LVM) over it.

Both keep a disk busy and show where Linux shows them: /proc/swaps, ``holders/`` and ``slaves/``, the open count.
Source: Linux mm/swapfile.c (swap_show), block/holder.c, drivers/md/dm-sysfs.c.
"""

from __future__ import annotations

from ccwemu.machine.block import Blocks
from ccwemu.machine.kernel import ensure, text_attribute
from ccwemu.machine.tree import Directory, Link, OpenDevice

MAPPER_MAJOR = 253
SWAPS_HEADER = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
FIRST_PRIORITY = -2
PATH_WIDTH = 40
HEADER_KIB = 4
"""The first page of a swap area is its header."""


class SwapAreas:
    """The swap areas of a machine, by the name of the disk or partition that they fill."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._areas: dict[str, int] = {}

    def on(self, name: str) -> None:
        """swapon(2) of a disk or partition. Raises KeyError where there is none of that name."""
        member = self._blocks.member(name)
        self._areas[name] = (member.size() >> 10) - HEADER_KIB
        member.openers += 1

    def off(self, name: str) -> None:
        """swapoff(2). Raises KeyError."""
        del self._areas[name]
        self._blocks.member(name).openers -= 1

    def text(self) -> str:
        """/proc/swaps; sizes in KiB."""
        lines = [SWAPS_HEADER]
        for index, (name, size) in enumerate(self._areas.items()):
            path = f"/dev/{name}"
            pad = " " * max(1, PATH_WIDTH - len(path))
            wide = "" if size >= 10_000_000 else "\t"
            lines.append(f"{path}{pad}partition\t{size}\t{wide}0\t\t{FIRST_PRIORITY - index}\n")
        return "".join(lines)


class MappedVolume:
    """A device-mapper volume, dm-N, over all of one disk or partition (a :class:`~ccwemu.machine.block.Disk`)."""

    major = MAPPER_MAJOR
    partitions: tuple[()] = ()

    def __init__(self, blocks: Blocks, index: int, below: str) -> None:
        self.name = f"dm-{index}"
        self.first_minor = index
        self._below = blocks.member(below)
        self.block_size = self._below.disk.block_size
        self._size = self._below.size()

    def size_bytes(self) -> int:
        return self._size

    def read_only(self) -> bool:
        return self._below.disk.read_only()

    def open_device(self, partition: int | None, flags: int) -> OpenDevice:
        return self._below.disk.open_device(self._below.open_index(), flags)


class Volumes:
    """The device mapper of a machine."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._count = 0

    def add(self, name: str, below: str) -> str:
        """Make the volume ``name`` (as dmsetup shows it: "vg0-data") over a disk or partition; returns "dm-N".

        Raises KeyError where there is no disk or partition ``below``.
        """
        under = self._blocks.member(below)
        volume = MappedVolume(self._blocks, self._count, below)
        self._count += 1
        self._blocks.add_disk(None, volume)
        over = self._blocks.member(volume.name)
        details = over.directory.add(Directory("dm"))
        for key, value in (("name", name), ("uuid", f"LVM-{name}"), ("suspended", "0")):
            details.add(text_attribute(key, value))
        under.directory.directory("holders").add(Link(volume.name, over.directory))
        over.directory.directory("slaves").add(Link(below, under.directory))
        under.openers += 1
        ensure(self._blocks.kernel.dev, "mapper").add(Link(name, f"../{volume.name}"))
        return volume.name

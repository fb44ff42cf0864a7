# SPDX-License-Identifier: GPL-2.0-or-later
"""Who uses a disk besides open files and mounts: swap areas, and the volumes, arrays and file systems built on it.

All keep a disk busy and show where Linux shows them: /proc/swaps, ``holders/`` and ``slaves/``, /sys/fs/btrfs, the open
count. Source: Linux mm/swapfile.c (swap_show), block/holder.c, drivers/md/{dm-sysfs.c,md.c}, fs/btrfs/sysfs.c.
"""

from __future__ import annotations

from collections.abc import Sequence

from ccwemu.machine.block import BlockDevice, Blocks
from ccwemu.machine.kernel import ensure, text_attribute
from ccwemu.machine.tree import Directory, Link, OpenDevice

MAPPER_MAJOR = 253
ARRAY_MAJOR = 9
MAPPED = {"lvm": "LVM-", "crypt": "CRYPT-LUKS2-"}
"""Kinds of the device mapper's volumes, with what dm/uuid begins with."""
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


class _Volume:
    """A volume as a :class:`~ccwemu.machine.block.Disk`. What it holds is what its first member holds."""

    partitions: tuple[()] = ()

    def __init__(self, name: str, major: int, minor: int, members: Sequence[BlockDevice]) -> None:
        self.name = name
        self.major = major
        self.first_minor = minor
        self._below = members[0]
        self.block_size = self._below.disk.block_size
        self._size = min(member.size() for member in members)

    def size_bytes(self) -> int:
        return self._size

    def read_only(self) -> bool:
        return self._below.disk.read_only()

    def open_device(self, partition: int | None, flags: int) -> OpenDevice:
        return self._below.disk.open_device(self._below.open_index(), flags)


class Volumes:
    """What is built on the disks of a machine."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._names: dict[str, str] = {}
        self._nodes: dict[str, str] = {}

    def block_name(self, name: str) -> str | None:
        """What the kernel calls the volume: "dm-0" for vg0-data. None for one that is not there, or is no disk."""
        return self._names.get(name)

    def node(self, name: str) -> str | None:
        """The device node that a mount of it names: /dev/mapper/vg0-data. None for a volume that is not there."""
        return self._nodes.get(name)

    def add(self, kind: str, name: str, members: Sequence[str]) -> str:
        """Build it on disks, partitions or other volumes, by the kernel's names; returns the kernel's name of it.

        ``kind`` is one of :data:`~ccwemu.machine.spec.VOLUME_KINDS`. Raises KeyError where a member is not there.
        """
        below = [self._blocks.member(member) for member in members]
        if kind == "btrfs":
            self._file_system(name, below)
        elif kind == "raid":
            self._array(name, below)
        else:
            self._mapped(MAPPED[kind], name, below)
        for member in below:
            member.openers += 1
        return self._names.get(name, name)

    def _file_system(self, uuid: str, members: Sequence[BlockDevice]) -> None:
        devices = self._blocks.kernel.directory(f"fs/btrfs/{uuid}/devices")
        for member in members:
            devices.add(Link(member.name, member.directory))
        self._nodes[uuid] = f"/dev/{members[0].name}"

    def _array(self, name: str, members: Sequence[BlockDevice]) -> None:
        over = self._disk(name, _Volume(name, ARRAY_MAJOR, int(name.removeprefix("md")), members), members)
        details = over.directory.add(Directory("md"))
        for key, value in (("level", "raid1"), ("raid_disks", str(len(members))), ("array_state", "clean")):
            details.add(text_attribute(key, value))

    def _mapped(self, prefix: str, name: str, members: Sequence[BlockDevice]) -> None:
        index = sum(known.startswith("dm-") for known in self._names.values())
        over = self._disk(name, _Volume(f"dm-{index}", MAPPER_MAJOR, index, members), members)
        details = over.directory.add(Directory("dm"))
        for key, value in (("name", name), ("uuid", prefix + name), ("suspended", "0")):
            details.add(text_attribute(key, value))
        ensure(self._blocks.kernel.dev, "mapper").add(Link(name, f"../{over.name}"))
        self._nodes[name] = f"/dev/mapper/{name}"

    def _disk(self, name: str, volume: _Volume, members: Sequence[BlockDevice]) -> BlockDevice:
        """Register it as a disk, noted at both ends as a holder of its members."""
        self._blocks.add_disk(None, volume)
        self._names[name] = volume.name
        self._nodes[name] = f"/dev/{volume.name}"
        over = self._blocks.member(volume.name)
        for member in members:
            member.directory.directory("holders").add(Link(volume.name, over.directory))
            over.directory.directory("slaves").add(Link(member.name, member.directory))
        return over

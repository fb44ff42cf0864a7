# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's disks and partitions by name and number, from two places that are each read once for all of them."""

from __future__ import annotations

from .._host import Host
from ._model import BlockDevice

BLOCK_NAMES = "/sys/class/block"
PARTITIONS = "/proc/partitions"


class Blocks:
    """What /sys/class/block holds, with the numbers that /proc/partitions has (it leaves out what has no size)."""

    def __init__(self, host: Host) -> None:
        self._host = host
        names = frozenset(host.names(BLOCK_NAMES))
        self._numbers = parse_partitions(host.get(PARTITIONS))
        self._partitions: dict[str, list[str]] = {}
        for name in sorted(names):
            disk = disk_of(name, names)
            if disk:
                self._partitions.setdefault(disk, []).append(name)

    def disk(self, name: str) -> BlockDevice:
        """A disk with its partitions."""
        partitions = tuple(
            BlockDevice(one, self._number(one, f"/sys/block/{name}/{one}")) for one in self._partitions.get(name, ())
        )
        return BlockDevice(name, self._number(name, f"/sys/block/{name}"), partitions)

    def _number(self, name: str, directory: str) -> str:
        return self._numbers.get(name) or self._host.get(f"{directory}/dev")


def disk_of(name: str, names: frozenset[str]) -> str:
    """The disk that a partition is of, "" for what is none: dasda1, or nvme0n1p1 where the disk ends in a digit
    (block/partitions/core.c).
    """
    stem = name.rstrip("0123456789")
    if stem == name or not stem:
        return ""
    if stem in names:
        return stem
    disk = stem[:-1]
    return disk if stem.endswith("p") and disk[-1:].isdigit() and disk in names else ""


def parse_partitions(text: str) -> dict[str, str]:
    """Name to major:minor; proc(5)."""
    rows = [line.split() for line in text.splitlines()]
    return {row[3]: f"{row[0]}:{row[1]}" for row in rows if len(row) == 4 and row[0].isdigit()}

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who uses a disk, or another device, on the host.

The kernel lets a CCW device be taken from under a mounted file system: unbinding never fails (drivers/base/bus.c).
So all places where Linux shows a user of a block device are read: mountinfo of every mount namespace, swaps, holders
(device mapper, md) layer by layer, btrfs members, loop devices, open files of processes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Iterable

from .._host import Host
from ._model import BlockDevice, Use

# udev opens every new disk for a moment to look at it; the kernel itself refuses to go offline meanwhile.
PASSING_READERS = ("systemd-udevd", "udevd", "(udev-worker)")

ROOT = "root"
"""The kind of use of the disk that the host itself runs from."""

CLASSES = (("net", "network interface"), ("tty", "terminal"))
NODE_CLASSES = ("tape390", "vmur")
"""Directories below a CCW device that hold what a driver made of it (drivers/s390/char/tape_class.c, vmur.c)."""


@dataclass
class Uses:
    """What is in use on the host: path or major:minor of a block device to its users."""

    by_path: dict[str, list[Use]] = field(default_factory=dict)
    by_number: dict[str, list[Use]] = field(default_factory=dict)
    holders: dict[str, list[str]] = field(default_factory=dict)
    """Block device to the volumes that are built on it (device mapper, md)."""

    def add(self, path: str, number: str, use: Use) -> None:
        for table, key in ((self.by_path, path), (self.by_number, number)):
            if key and use not in table.setdefault(key, []):
                table[key].append(use)

    def of(self, device: BlockDevice) -> list[Use]:
        found: list[Use] = []
        for use in self.by_path.get(device.path, []) + self.by_number.get(device.number, []):
            if use not in found:
                found.append(use)
        return found


def unescape(text: str) -> str:
    """Blanks in mountinfo and swaps are written as octal escapes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)


def parse_mountinfo(text: str) -> list[tuple[str, str, str]]:
    """(major:minor, source, mount point) of each line; proc(5)."""
    mounts = []
    for line in text.splitlines():
        left, separator, right = line.partition(" - ")
        fields, tail = left.split(), right.split()
        if separator and len(fields) >= 5 and len(tail) >= 2:
            mounts.append((fields[2], unescape(tail[1]), unescape(fields[4])))
    return mounts


def observe_uses(host: Host) -> Uses:
    """Read every place once; a scan for a thousand disks costs as much as for one."""
    uses = Uses()
    pids = [name for name in host.names("/proc") if name.isdigit()]
    _mounts(host, pids, uses)
    _swaps(host, uses)
    _volumes(host, uses)
    _loops(host, uses)
    _btrfs(host, uses)
    _open_files(host, pids, uses)
    return uses


def users_of(
    host: Host, uses: Uses, disks: Iterable[BlockDevice], device_path: str, names: Iterable[str]
) -> tuple[Use, ...]:
    """Users of a CCW device (its directory in /sys, and what that holds) and of its disks with their partitions.

    Volumes are followed through every layer that is built on a disk.
    """
    found = _users_beside_disks(host, uses, device_path, names)
    for disk in disks:
        for device in disk.with_partitions():
            own = uses.of(device) + _holders(host, uses, device.name, set())
            found.extend(use for use in own if use not in found)
    return tuple(found)


def _users_beside_disks(host: Host, uses: Uses, device_path: str, names: Iterable[str]) -> list[Use]:
    """A ccwgroup that the device is part of, its network interfaces and terminals, and who has its tape nodes open."""
    found: list[Use] = []
    if "group_device" in names:
        found.append(Use("grouped", f"ccwgroup {host.link_name(f'{device_path}/group_device')}"))
    for kind, called in CLASSES:
        if kind in names:
            found += [Use("serves", f"{called} {name}") for name in host.names(f"{device_path}/{kind}")]
    for kind in NODE_CLASSES:
        for name in host.names(f"{device_path}/{kind}") if kind in names else []:
            found += uses.by_path.get(f"/dev/{name}", [])
    return found


def _source_path(host: Host, source: str) -> str:
    """/dev/disk/by-path/... and the like name the same node."""
    return host.resolve(source) if source.startswith("/dev/") else source


def _mounts(host: Host, pids: list[str], uses: Uses) -> None:
    seen = set()
    for pid in ["self"] + pids:
        namespace = host.link(f"/proc/{pid}/ns/mnt")
        if pid != "self" and (not namespace or namespace in seen):
            continue
        seen.add(namespace)
        for number, source, point in parse_mountinfo(host.get(f"/proc/{pid}/mountinfo")):
            where = (
                f"mounted at {point}" if pid == "self" else f"mounted at {point} (in the namespace of process {pid})"
            )
            if source.startswith("/dev/") or not number.startswith("0:"):
                path = _source_path(host, source)
                # one line for a mount that several namespaces share
                if not any(use.detail.startswith(f"mounted at {point}") for use in uses.by_path.get(path, [])):
                    kind = ROOT if point == "/" and pid == "self" else "mounted"
                    uses.add(path, "" if number.startswith("0:") else number, Use(kind, where))


def _swaps(host: Host, uses: Uses) -> None:
    for line in host.get("/proc/swaps").splitlines()[1:]:
        fields = line.split()
        if fields and fields[0].startswith("/dev/"):
            path = _source_path(host, unescape(fields[0]))
            uses.add(path, host.device_number(path), Use("swap", f"swap space on {path}"))


def _volumes(host: Host, uses: Uses) -> None:
    """The kernel notes a volume at both ends, in holders/ and slaves/ (block/holder.c). Disks are more."""
    for name in host.names("/sys/block"):
        for below in [] if name.startswith("dasd") else host.names(f"/sys/block/{name}/slaves"):
            uses.holders.setdefault(below, []).append(name)


def _loops(host: Host, uses: Uses) -> None:
    for name in host.names("/sys/block"):
        backing = host.get(f"/sys/block/{name}/loop/backing_file") if name.startswith("loop") else ""
        if backing.startswith("/dev/"):
            uses.add(_source_path(host, backing), "", Use("holder", f"loop device {name}"))


def _btrfs(host: Host, uses: Uses) -> None:
    for volume in host.names("/sys/fs/btrfs"):
        for member in host.names(f"/sys/fs/btrfs/{volume}/devices"):
            uses.add(f"/dev/{member}", "", Use("holder", f"member of btrfs file system {volume}"))


def _open_files(host: Host, pids: list[str], uses: Uses) -> None:
    for pid in pids:
        for descriptor in host.names(f"/proc/{pid}/fd"):
            target = host.link(f"/proc/{pid}/fd/{descriptor}")
            if not target.startswith("/dev/"):
                continue
            command = host.get(f"/proc/{pid}/comm")
            if command in PASSING_READERS:
                continue
            number = host.device_number(f"/proc/{pid}/fd/{descriptor}")
            uses.add(target, number, Use("opened", f"opened by process {pid} ({command or 'unknown'})"))


def _holders(host: Host, uses: Uses, below: str, seen: set[str]) -> list[Use]:
    """The volumes on a disk, partition or volume, each with what uses it in turn."""
    found: list[Use] = []
    for name in uses.holders.get(below, ()):
        if name in seen:
            continue
        seen.add(name)
        number = host.get(f"/sys/block/{name}/dev")
        own = uses.of(BlockDevice(name, number))
        title = host.get(f"/sys/block/{name}/dm/name")
        if title:
            own += [use for use in uses.by_path.get(f"/dev/mapper/{title}", []) if use not in own]
        above = _holders(host, uses, name, seen)
        details = [_holder_text(host, name, title, below)] + [use.detail for use in own + above]
        found.append(Use(ROOT if any(use.kind == ROOT for use in own + above) else "holder", ", ".join(details)))
    return found


def _holder_text(host: Host, holder: str, name: str, below: str) -> str:
    """A holder by the name that an administrator knows."""
    kind = host.get(f"/sys/block/{holder}/dm/uuid").split("-", 1)[0]
    if holder.startswith("md"):
        return f"RAID array {holder} has {below} as a member"
    if kind == "LVM":
        return f"logical volume {name} ({holder}) lies on {below}"
    if kind == "CRYPT":
        return f"encrypted volume {name} ({holder}) lies on {below}"
    return f"{'device-mapper device ' + name if name else 'device'} ({holder}) lies on {below}"

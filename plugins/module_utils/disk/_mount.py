# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A DASD's file system at its place: the line of /etc/fstab, by the file system's UUID, and the mount."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace
from typing import Any

from .._busid import BusId
from .._host import Host, HostError
from .._sysfs import CCW_DEVICES
from ..host._blocks import Blocks
from ..host._buses import observe_ccw
from ..host._model import BlockDevice
from ..host._users import parse_mountinfo, unescape
from ._ccw import CcwError
from ._dasd import Signature, probe

FSTAB = "/etc/fstab"
MOUNTINFO = "/proc/self/mountinfo"


@dataclass(frozen=True)
class MountRequest:
    """``path``: where. ``options``: as fstab has them. ``mounted`` False: neither mounted nor in fstab."""

    device: BusId
    path: str
    options: str = "defaults,nofail"
    mounted: bool = True
    partition: int = 1


@dataclass(frozen=True)
class Entry:
    """A line of fstab that mounts something; fstab(5)."""

    spec: str
    path: str
    type: str
    options: str

    def __str__(self) -> str:
        return f"{self.spec} {_escape(self.path)} {self.type} {self.options} 0 2\n"


@dataclass(frozen=True)
class Found:
    """What there is: the partition (None while the disk is offline), its file system, who is mounted where."""

    partition: BlockDevice | None
    filesystem: Signature | None
    fstab: str
    mounts: tuple[tuple[str, str, str], ...]
    """(major:minor, source, mount point)"""

    @property
    def path(self) -> str:
        """Of the partition."""
        return self.partition.path if self.partition else ""

    def at(self, path: str) -> str:
        """The source of what is mounted there last, and so is what one sees; "" for nothing."""
        return next((source for _number, source, point in reversed(self.mounts) if point == path), "")

    def is_own(self, path: str) -> bool:
        """Whether what one sees there is the partition."""
        return ([False] + self._own(path))[-1]

    def is_covered(self, path: str) -> bool:
        """Whether the partition is mounted there, and something else over it."""
        return any(self._own(path)) and not self.is_own(path)

    def _own(self, path: str) -> list[bool]:
        """Of each mount there, whether it is the partition's."""
        one = self.partition
        return [
            one is not None and (source == one.path or (number == one.number and not number.startswith("0:")))
            for number, source, point in self.mounts
            if point == path
        ]


def parse_path(text: str) -> str:
    """An absolute path without dots and double slashes. Raises CcwError."""
    path = posixpath.normpath(text)
    if not text.startswith("/") or path == "/" or any(ord(sign) < 32 for sign in text):
        raise CcwError(
            "malformed", f"path {text!r}: expected an absolute path of a directory to mount at, other than /."
        )
    return path


def parse_partition(number: int) -> int:
    """Raises CcwError."""
    if number < 1:
        raise CcwError("malformed", f"partition {number}: expected the number of a partition, from 1 on.")
    return number


def parse_options(text: str) -> str:
    """fstab separates by blanks, and the options by commas. Raises CcwError."""
    if not text or any(sign.isspace() or sign == "#" for sign in text):
        raise CcwError("malformed", f"options {text!r}: expected mount options separated by commas, without blanks.")
    return text


def converge_mount(host: Host, request: MountRequest, check_mode: bool) -> dict[str, Any]:
    """The module's result. Raises CcwError, HostError."""
    found = _observe(host, request)
    entry = _entry(found, request) if request.mounted else None
    if entry is not None:
        _check_mount(found, request, entry)
        _check_directory(host, found, request)
    else:
        _check_unmount(found, request)
    fstab = edited(found.fstab, request.path, entry)
    is_mounted = found.is_own(request.path)
    change = is_mounted != request.mounted
    actions = _actions(request, fstab != found.fstab, change)
    if not check_mode:
        _apply(host, request, found, entry, fstab)
    state = {True: f"mounted at {request.path}\n", False: "not mounted\n"}
    return {
        "changed": bool(actions),
        "actions": actions,
        "device": str(request.device),
        "path": request.path,
        "partition": found.path,
        "diff": [
            {"before_header": FSTAB, "after_header": FSTAB, "before": found.fstab, "after": fstab},
            {
                "before": f"{request.device}: {state[is_mounted]}",
                "after": f"{request.device}: {state[request.mounted]}",
            },
        ],
    }


def _observe(host: Host, request: MountRequest) -> Found:
    fstab = host.read(FSTAB) if host.exists(FSTAB) else ""
    mounts = tuple(parse_mountinfo(host.get(MOUNTINFO)))
    partition = None
    if host.get(f"{CCW_DEVICES}/{request.device}/online") == "1":
        disks = observe_ccw(host, request.device, Blocks(host), None).block
        names = {f"{disk.name}{request.partition}" for disk in disks}
        partition = next((one for disk in disks for one in disk.partitions if one.name in names), None)
    return Found(partition, probe(host, partition.path) if partition else None, fstab, mounts)


def _entry(found: Found, request: MountRequest) -> Entry:
    name = f"{request.device}: "
    if found.partition is None:
        raise CcwError(
            "no-partition",
            f"{name}it has no partition {request.partition} that could be mounted, or is offline. Modules "
            "zkvm.vfio_ccw.ccw_device and zkvm.vfio_ccw.dasd_format see to both.",
        )
    there = found.filesystem
    if there is None or not there.uuid or there.usage not in ("", "filesystem"):
        kind = there.type if there else "nothing that is recognised"
        raise CcwError(
            "no-file-system",
            f"{name}there is {kind} on {found.partition.path}, expected a file system with a UUID. Module "
            "zkvm.vfio_ccw.dasd_format makes one.",
        )
    return Entry(f"UUID={there.uuid}", request.path, there.type, request.options)


def _check_mount(found: Found, request: MountRequest, entry: Entry) -> None:
    other = found.at(request.path)
    if other and not found.is_own(request.path):
        raise CcwError(
            "mounted-there",
            f"{request.device}: {other} is mounted at {request.path} already. Choose another path, or unmount it.",
        )
    for line in found.fstab.splitlines():
        there = parse_line(line)
        if there is not None and there.path == request.path and there.spec != entry.spec:
            raise CcwError(
                "fstab",
                f"{request.device}: {FSTAB} mounts {there.spec} at {request.path}, expected {entry.spec} or nothing. "
                "Choose another path, or remove that line.",
            )


def _check_directory(host: Host, found: Found, request: MountRequest) -> None:
    """What a mount would hide stays to be seen. Raises CcwError."""
    path = request.path
    if found.is_own(path) or not host.exists(path):
        return
    name = f"{request.device}: {path} "
    real = host.resolve(path)
    if real != path:
        raise CcwError(
            "malformed", f"{name}is {real} by a symbolic link, and the mount would be there. Name that path."
        )
    if not host.exists(f"{path}/."):
        raise CcwError("no-directory", f"{name}is no directory. Choose another path, or remove it.")
    names = host.names(path)
    if names:
        some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        raise CcwError(
            "not-empty", f"{name}holds {some}, which the mount would hide. Move that away, or choose another path."
        )


def _check_unmount(found: Found, request: MountRequest) -> None:
    """What is there and may be somebody else's is left alone."""
    if found.is_covered(request.path):
        raise CcwError(
            "mounted-there",
            f"{request.device}: {found.at(request.path)} is mounted over it at {request.path}. Unmount that first.",
        )
    for line in found.fstab.splitlines():
        there = parse_line(line)
        if there is None or there.path != request.path:
            continue
        uuid = found.filesystem.uuid if found.filesystem else ""
        # of a disk that is mounted but cannot be read any more the UUID is not known
        own = there.spec == f"UUID={uuid}" if uuid else found.is_own(request.path)
        if not own:
            seen = (
                f"this disk has {found.filesystem or 'nothing'}" if found.partition else "the disk is offline or gone"
            )
            source = found.at(request.path)
            unmount = f"Unmount {source}, which is there, and remove" if source else "Remove"
            raise CcwError(
                "fstab",
                f"{request.device}: {FSTAB} mounts {there.spec} at {request.path}, and {seen}, so it may not be this "
                f"disk's. {unmount} that line by hand.",
            )


def parse_line(line: str) -> Entry | None:
    """None for a comment or what is no entry."""
    fields = line.split()
    if len(fields) < 2 or fields[0].startswith("#"):
        return None
    fields += ["auto", "defaults"][len(fields) - 2 :] if len(fields) < 4 else []
    return Entry(unescape(fields[0]), posixpath.normpath(unescape(fields[1])), fields[2], fields[3])


def edited(fstab: str, path: str, entry: Entry | None) -> str:
    """With this entry for the path (None: without one); every other line as it is."""
    lines, kept = fstab.splitlines(keepends=True), False
    result = []
    for line in lines:
        there = parse_line(line)
        if there is None or there.path != path:
            result.append(line)
        elif there == entry and not kept:
            result.append(line)
            kept = True
    if entry is not None and not kept:
        if result and not result[-1].endswith("\n"):
            result[-1] += "\n"
        result.append(str(entry))
    return "".join(result)


def _escape(path: str) -> str:
    return path.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011").replace("#", "\\043")


def _actions(request: MountRequest, edit: bool, change: bool) -> list[dict[str, str]]:
    name, path = str(request.device), request.path
    word = "mount" if request.mounted else "unmount"
    rows = (
        (change and not request.mounted, word, f"unmount {path}", path),
        (edit, "fstab", f"{'have' if request.mounted else 'remove'} the line for {path} in {FSTAB}", FSTAB),
        (change and request.mounted, word, f"mount device {name} at {path}", path),
    )
    return [
        {"device": name, "step": step, "description": text, "path": where, "value": ""}
        for wanted, step, text, where in rows
        if wanted
    ]


def _apply(host: Host, request: MountRequest, found: Found, entry: Entry | None, fstab: str) -> None:
    change = found.is_own(request.path) != request.mounted
    if change and not request.mounted:
        _run(host, request, found, ["umount", request.path])
    if fstab != found.fstab:
        host.save(FSTAB, fstab)
    if change and entry is not None:
        how = ["-t", entry.type, "-o", request.options]
        try:
            host.make_directory(request.path)
            _run(host, request, found, ["mount", *how, found.path, request.path])
        except (CcwError, HostError):
            host.save(FSTAB, found.fstab)
            raise


def _run(host: Host, request: MountRequest, found: Found, argv: list[str]) -> None:
    """And read back what it did. Raises CcwError."""
    code, out, err = host.run(argv)
    is_mounted = replace(found, mounts=tuple(parse_mountinfo(host.get(MOUNTINFO)))).is_own(request.path)
    if code or is_mounted != request.mounted:
        said = " ".join((err or out).split())
        raise CcwError(
            "mount-failed",
            f"{request.device}: '{' '.join(argv)}' ended with {code}{f' and said: {said}' if said else ''}. It is "
            f"{'' if is_mounted else 'not '}mounted at {request.path}, and {FSTAB} is as it was.",
        )

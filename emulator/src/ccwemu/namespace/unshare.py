# SPDX-License-Identifier: GPL-2.0-or-later
"""The system calls that Python 3.11 has no function for, and the id maps of a user namespace."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
from dataclasses import dataclass

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

# New system calls have one number on every architecture (but Alpha).
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_MOUNT_SETATTR = 442
_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOUNT_ATTR_RDONLY = 0x1
_MOUNT_ATTR_IDMAP = 0x100000
_PR_SET_NAME = 15
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]
_libc.syscall.restype = ctypes.c_long


def _check(result: int, *what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), " ".join(what))
    return result


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    _check(_libc.setns(fd, kind), "setns")


def mount(source: str, target: str, fstype: str | None, flags: int = 0, data: str | None = None) -> None:
    """mount(2). Raises OSError with source and target as its file name."""
    arguments = [os.fsencode(text) if text is not None else None for text in (source, target, fstype)]
    options = os.fsencode(data) if data is not None else None
    _check(_libc.mount(*arguments, flags, options), "mount", fstype or "", source, "at", target)


def umount(target: str, flags: int = 0) -> None:
    _check(_libc.umount2(os.fsencode(target), flags), "umount", target)


def pivot_root(new: str, old: str) -> None:
    _check(_libc.pivot_root(os.fsencode(new), os.fsencode(old)), "pivot_root", new)


def set_process_name(name: str) -> None:
    _libc.prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def set_dumpable() -> None:
    """Let who started this process look into its /proc directory after it has changed its user id."""
    _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)


def become_subreaper() -> None:
    """Have orphaned descendants come to this process, which then can wait for them."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def bind(source: str, target: str, *, read_only: bool, user_namespace: int | None = None) -> None:
    """Bind a tree with all that is mounted in it.

    ``user_namespace``: a descriptor; files then show with the owners of that namespace, where the file system can
    (an id-mapped mount: Linux 5.12; not every file system). Where it cannot they show as the unmapped user.
    """
    tree = _check(
        _libc.syscall(_SYS_OPEN_TREE, _AT_FDCWD, os.fsencode(source), _OPEN_TREE_CLONE | _AT_RECURSIVE | os.O_CLOEXEC),
        "open_tree",
        source,
    )
    try:
        if read_only:
            _mount_setattr(tree, _MOUNT_ATTR_RDONLY, 0)
        if user_namespace is not None:
            _try_idmap(tree, user_namespace)
        _check(
            _libc.syscall(_SYS_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH),
            "move_mount",
            source,
            "to",
            target,
        )
    finally:
        os.close(tree)


def _mount_setattr(tree: int, attributes: int, userns_fd: int) -> None:
    argument = struct.pack("=QQQQ", attributes, 0, 0, userns_fd)
    flags = _AT_EMPTY_PATH | _AT_RECURSIVE
    _check(_libc.syscall(_SYS_MOUNT_SETATTR, tree, b"", flags, argument, len(argument)), "mount_setattr")


def _try_idmap(tree: int, user_namespace: int) -> None:
    try:
        _mount_setattr(tree, _MOUNT_ATTR_IDMAP, user_namespace)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EPERM, errno.EOPNOTSUPP):
            raise


def loopback_up() -> None:
    """Bring up the interface ``lo`` of this network namespace."""
    siocgifflags, siocsifflags, iff_up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh22x", b"lo", 0)
        flags = struct.unpack_from("h", fcntl.ioctl(control, siocgifflags, request), 16)[0]
        fcntl.ioctl(control, siocsifflags, struct.pack("16sh22x", b"lo", flags | iff_up))


# -- id maps ----------------------------------------------------------------------------------------------------------

IDS = 65536
"""How many user and group ids a node has, where it may have more than one."""

OUTSIDE_BASE = 0x70000000
"""Where a node's ids lie outside when root starts it: above what systemd hands out to containers (524288 ..
0x6fffffff), so that root inside owns nothing outside, /proc/sys and files of the laptop's root included."""

_CAP_SETGID, _CAP_SETUID, _CAP_SYS_ADMIN = 6, 7, 21


@dataclass(frozen=True)
class IdMap:
    """Ids 0 .. count-1 of a node are ``outside`` .. outside+count-1 for who starts it."""

    outside: int
    count: int

    @property
    def single(self) -> bool:
        return self.count == 1

    @property
    def shifted(self) -> bool:
        return not self.single and self.outside != 0

    def line(self) -> str:
        return f"0 {self.outside} {self.count}\n"


def capable(*capabilities: int) -> bool:
    """Whether this process has the capabilities in its own user namespace."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        effective = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:"))
    return all(effective >> capability & 1 for capability in capabilities)


def choose_id_map() -> IdMap:
    """The map that this process may give to a node it starts."""
    single = IdMap(os.geteuid(), 1)
    if os.geteuid() != 0 or not capable(_CAP_SETGID, _CAP_SETUID, _CAP_SYS_ADMIN):
        return single
    uids, gids = _own_ranges("uid"), _own_ranges("gid")
    for outside, count in ((OUTSIDE_BASE, IDS), (0, IDS)):
        if _covered(uids, outside, count) and _covered(gids, outside, count):
            return IdMap(outside, count)
    return single


def _own_ranges(kind: str) -> list[tuple[int, int]]:
    with open(f"/proc/self/{kind}_map", encoding="ascii") as lines:
        fields = [line.split() for line in lines]
    return [(int(inside), int(count)) for inside, _outside, count in fields]


def _covered(ranges: list[tuple[int, int]], first: int, count: int) -> bool:
    return any(start <= first and first + count <= start + length for start, length in ranges)


def write_maps(pid: int, ids: IdMap, proc: str = "/proc") -> None:
    """Write the maps of a process that has just made its user namespace. A single id gives up setgroups()."""
    if ids.single:
        write_file(f"{proc}/{pid}/setgroups", "deny")
    gid = os.getegid() if ids.single else ids.outside
    write_file(f"{proc}/{pid}/uid_map", ids.line())
    write_file(f"{proc}/{pid}/gid_map", f"0 {gid} {ids.count}\n")


def write_file(path: str, text: str) -> None:
    """Write a file that the kernel makes, in one write()."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)

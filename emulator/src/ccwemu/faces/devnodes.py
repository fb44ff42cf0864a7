# SPDX-License-Identifier: GPL-2.0-or-later
"""/dev of a node: the emulated machine's device nodes as regular files, and what every Linux has.

Nobody can make a device node in a user namespace. The nodes of devices that a laptop has too (null, tty, ...) are
bound from its /dev over the files that stand here; the node's init does that.
"""

from __future__ import annotations

from collections.abc import Iterator

from ccwemu.faces.fuse import TreeFace
from ccwemu.faces.rules import DEVICES, Wiring
from ccwemu.machine.tree import Attribute, Directory, Link, Node

BOUND = ("null", "zero", "full", "random", "urandom", "tty", "fuse")
LINKS = {
    "ptmx": "pts/ptmx",
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "log": "/run/systemd/journal/dev-log",
}
MOUNT_POINTS = ("pts", "shm")


def devices_face(root: Directory, fd: int, node: str, wiring: Wiring) -> TreeFace:
    """The machine's device nodes and, beside them, the fixed ones of every node."""
    for fixed in _fixed():
        if fixed.name not in root:
            root.add(fixed)
    return TreeFace(root, fd, name=f"{node} /dev", rules=DEVICES, wiring=wiring)


def _fixed() -> Iterator[Node]:
    for name in BOUND:
        yield Attribute(name, 0o666, lambda: "", st_size=0)
    for name, target in LINKS.items():
        yield Link(name, target)
    for name in MOUNT_POINTS:
        yield Directory(name)

# SPDX-License-Identifier: GPL-2.0-or-later
"""/dev of a node: the emulated machine's device nodes as regular files, and what every Linux has.

Nobody can make a device node in a user namespace. The nodes of devices that a laptop has too (null, tty, ...) are
bound from its /dev over the files that stand here; the node's init does that.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from ccwemu.faces.fuse import DEVICES, FOREVER, TreeFace
from ccwemu.machine.tree import Attribute, Directory, Link, Node

BOUND = ("null", "zero", "full", "random", "urandom", "tty", "fuse")
LINKS = {
    "ptmx": "pts/ptmx",
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}
MOUNT_POINTS = ("pts", "shm")


class DevFace(TreeFace):
    """The machine's device nodes and, beside them, the fixed ones of every node."""

    def __init__(self, root: Directory, fd: int, **options: object) -> None:
        fixed: list[Node] = [Attribute(name, 0o666, lambda: "", st_size=0) for name in BOUND]
        fixed += [Link(name, target) for name, target in LINKS.items()]
        fixed += [Directory(name) for name in MOUNT_POINTS]
        for node in fixed:
            if node.name not in root:
                root.add(node)
        self._fixed = frozenset(node.ino for node in fixed)
        super().__init__(root, fd, **options)  # type: ignore[arg-type]

    def _entry_valid(self, node: Node) -> int:
        return FOREVER if node.ino in self._fixed else 0


def devices_face(
    root: Directory,
    fd: int,
    *,
    node: str,
    lock: AbstractContextManager[object],
    changed: Callable[[], None] | None = None,
) -> TreeFace:
    return DevFace(root, fd, name=f"{node} /dev", rules=DEVICES, lock=lock, changed=changed)

# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine's files by their paths, without a face: what tests and tools in the same process use.

Errors are those that open, read and write give root on Linux (fs/kernfs/file.c).
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ccwemu.machine.cstring import error
from ccwemu.machine.tree import Attribute, Directory, Link, Node

if TYPE_CHECKING:
    from ccwemu.machine.host import Machine


def find(machine: Machine, path: str, follow: bool = True) -> Node | None:
    """The node at "/sys/…", "/proc/…" or "/dev/…", or None. Links on the way are followed; the last if ``follow``."""
    first, *parts = [part for part in path.split("/") if part]
    node: Node | None = {"sys": machine.sysfs, "proc": machine.proc, "dev": machine.dev}.get(first)
    for index, part in enumerate(parts):
        node = node.get(part) if isinstance(node, Directory) else None
        if isinstance(node, Link) and (follow or index < len(parts) - 1):
            target = node.target
            node = target if isinstance(target, Node) and target.alive else None
    return node


def _attribute(machine: Machine, path: str, bits: int) -> Attribute:
    node = find(machine, path)
    if node is None:
        raise error(errno.ENOENT)
    if isinstance(node, Directory):
        raise error(errno.EISDIR)
    if not isinstance(node, Attribute) or not node.mode & bits:
        raise error(errno.EACCES)
    return node


def read(machine: Machine, path: str) -> str:
    """The content. Raises OSError: ENOENT, EACCES (write-only), or what showing it raises."""
    with machine.lock:
        return _attribute(machine, path, 0o444).show().decode()


def write(machine: Machine, path: str, data: str | bytes) -> None:
    """One write(). Raises OSError: ENOENT, EACCES (read-only), or what storing it raises."""
    with machine.lock:
        attribute = _attribute(machine, path, 0o222)
        attribute.store(data.encode() if isinstance(data, str) else data)


def names(machine: Machine, path: str) -> list[str]:
    """What a directory has, sorted. Raises OSError(ENOENT, ENOTDIR)."""
    node = find(machine, path)
    if node is None:
        raise error(errno.ENOENT)
    if not isinstance(node, Directory):
        raise error(errno.ENOTDIR)
    return sorted(child.name for child in node)


def readlink(machine: Machine, path: str) -> str | None:
    """Where a link points to; None where there is none."""
    node = find(machine, path, follow=False)
    return node.readlink() if isinstance(node, Link) else None

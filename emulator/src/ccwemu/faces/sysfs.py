# SPDX-License-Identifier: GPL-2.0-or-later
"""/sys of a node: the machine's tree, by the rules of sysfs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from ccwemu.faces.fuse import SYSFS, TreeFace
from ccwemu.machine.tree import Directory


def sysfs_face(
    root: Directory,
    fd: int,
    *,
    node: str,
    lock: AbstractContextManager[object],
    changed: Callable[[], None] | None = None,
) -> TreeFace:
    return TreeFace(root, fd, name=f"{node} /sys", rules=SYSFS, lock=lock, changed=changed)

# SPDX-License-Identifier: GPL-2.0-or-later
"""/sys of a node: the machine's tree, by the rules of sysfs."""

from __future__ import annotations

from ccwemu.faces.fuse import TreeFace
from ccwemu.faces.mirrored import MirroredFace
from ccwemu.faces.rules import Wiring
from ccwemu.machine.tree import Directory


def sysfs_face(root: Directory, fd: int, node: str, wiring: Wiring) -> TreeFace:
    return MirroredFace(root, fd, name=f"{node} /sys", wiring=wiring)

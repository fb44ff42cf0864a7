# SPDX-License-Identifier: GPL-2.0-or-later
"""/proc of a node: the emulated machine's files over the real procfs of the node's pid namespace.

The real one is mounted at a hidden place. What the machine does not have itself is a link to there, so that the
kernel resolves it for who asks: /proc/self is the caller, /proc/PID/exe the true program.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from ccwemu.faces.fuse import TreeFace
from ccwemu.faces.rules import FOREVER, PROCFS, Wiring
from ccwemu.machine.tree import Directory, Link, Node

HIDDEN = "/run/ccwemu/proc"
"""Where the node's real procfs is mounted."""

FOREIGN = frozenset({"acpi", "bus", "dma", "driver", "fb", "iomem", "ioports", "mtrr", "scsi", "slabinfo"})
"""Files of the laptop's /proc that tell of its own hardware and that an s390x machine does not have."""


class Merged(Directory):
    """A directory of the machine's /proc with what the real one has beside it.

    ``real``: a descriptor of the real procfs' root; ``path`` is relative to it ("" for the root itself).
    """

    def __init__(self, own: Directory, real: int, path: str = "") -> None:
        super().__init__(own.name, own.mode)
        self._own = own
        self._real = real
        self._path = path

    def __iter__(self) -> Iterator[Node]:
        own = [self._shown(node) for node in self._own]
        names = {node.name for node in own}
        if not self._path:
            names |= FOREIGN
        return iter(own + [self._link(name) for name in self._real_names() if name not in names])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def get(self, name: str) -> Node | None:
        own = self._own.get(name)
        if own is not None:
            return self._shown(own)
        if not self._path and name in FOREIGN:
            return None
        try:
            os.stat(self._join(name), dir_fd=self._real, follow_symlinks=False)
        except OSError:
            self._children.pop(name, None)
            return None
        return self._link(name)

    def _join(self, name: str) -> str:
        return f"{self._path}/{name}" if self._path else name

    def _real_names(self) -> list[str]:
        try:
            descriptor = os.open(self._path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._real)
        except OSError:
            return []
        try:
            return os.listdir(descriptor)
        finally:
            os.close(descriptor)

    def _shown(self, own: Node) -> Node:
        if not isinstance(own, Directory):
            return own
        shown = self._children.get(own.name)
        if not isinstance(shown, Merged) or shown._own is not own:
            shown = Merged(own, self._real, self._join(own.name))
            shown.parent = self
            self._children[own.name] = shown
        return shown

    def _link(self, name: str) -> Node:
        known = self._children.get(name)
        if not isinstance(known, Link):
            known = Link(name, f"{HIDDEN}/{self._join(name)}")
            known.parent = self
            self._children[name] = known
        return known


class ProcFace(TreeFace):
    """The face of a merged /proc."""

    def _links(self, node: Node) -> int:
        return 2 if isinstance(node, Directory) else 1  # not counted: that would read the real directory

    def _entry_valid(self, node: Node) -> int:
        """A link to the real procfs lasts; a process does not, and what the machine adds hides what is there."""
        return FOREVER if isinstance(node, Link) and not node.name.isdigit() else 0


def procfs_face(root: Directory, fd: int, real: int, node: str, wiring: Wiring) -> TreeFace:
    """``real``: a descriptor of the root of the node's real procfs, which lasts as long as the face."""
    return ProcFace(Merged(root, real), fd, name=f"{node} /proc", rules=PROCFS, wiring=wiring)

# SPDX-License-Identifier: GPL-2.0-or-later
"""Device nodes that the kernel makes in /dev. Source: Linux drivers/base/devtmpfs.c."""

from __future__ import annotations

import errno
from collections.abc import Callable

from ccwemu.machine.cstring import error
from ccwemu.machine.kernel import Kernel, ensure
from ccwemu.machine.tree import DeviceFile, Directory, OpenDevice


def add_node(
    kernel: Kernel,
    path: str,
    mode: int,
    kind: str,
    rdev: tuple[int, int],
    open_: Callable[[int], OpenDevice],
    size: Callable[[], int] | None = None,
) -> DeviceFile:
    """Make /dev/<path>, with the directories above it. ``kind`` is "block" or "char"."""
    folder, _slash, name = path.rpartition("/")
    directory = ensure(kernel.dev, folder) if folder else kernel.dev
    return directory.add(DeviceFile(name, mode, kind, rdev, open_, size))


def remove_node(kernel: Kernel, path: str) -> None:
    """Take /dev/<path> away, and the directories above it that are left empty."""
    node = kernel.dev.lookup(path)
    while node is not None and node.parent is not None:
        parent = node.parent
        if isinstance(node, Directory) and list(node):
            return
        parent.remove(node.name)
        node = parent


class PlainOpen:
    """An opened character device that can only be held open (its ioctls have no face); ``closed`` is called once."""

    def __init__(self, closed: Callable[[], None]) -> None:
        self._closed: Callable[[], None] | None = closed

    def read(self, offset: int, count: int) -> bytes:
        raise error(errno.EINVAL)

    def write(self, offset: int, data: bytes) -> int:
        raise error(errno.EINVAL)

    def sync(self) -> None:
        raise error(errno.EINVAL)

    def close(self) -> None:
        closed, self._closed = self._closed, None
        if closed is not None:
            closed()

# SPDX-License-Identifier: GPL-2.0-or-later
"""What is open: an attribute, a device, a directory. Source: Linux fs/kernfs/file.c, fs/seq_file.c."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Iterator
from dataclasses import dataclass, field

from ccwemu.faces.rules import Rules
from ccwemu.machine.lock import MachineLock
from ccwemu.machine.tree import Attribute, DeviceFile, Directory, Node, OpenDevice

DEFAULT_POLLMASK = select.POLLIN | select.POLLOUT | select.POLLRDNORM | select.POLLWRNORM


def check_open(node: Attribute, flags: int, rules: Rules) -> None:
    """May an attribute be opened so? Raises OSError. What the mode allows to whom the kernel has checked."""
    access = flags & os.O_ACCMODE
    reads, writes = access != os.O_WRONLY, access != os.O_RDONLY
    if rules.root_needs_bits and ((reads and not node.mode & 0o444) or (writes and not node.mode & 0o222)):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    if flags & os.O_DIRECT:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def must_live(node: Node) -> None:
    """Raises OSError(ENODEV) where a node has left its tree."""
    if not node.alive:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))


def store(node: Attribute, data: bytes, rules: Rules, lock: MachineLock) -> int:
    """One store; the number of bytes taken, which is all that one write() brings up to the limit. Raises OSError."""
    must_live(node)
    data = data[: rules.write_limit]
    value = data.split(b"\0", 1)[0] if rules.cut_at_nul else data
    with lock:
        node.store(value)
    return len(data)


@dataclass
class OpenAttribute:
    """An open attribute: what it read last, and how far the reader is."""

    node: Attribute
    rules: Rules
    lock: MachineLock
    content: bytes | None = None
    position: int = 0

    def read(self, offset: int, size: int) -> bytes:
        """seq_file's way: made anew at offset 0 and wherever the reader jumps; the rest of it is read on."""
        if self.content is None or offset == 0 or offset != self.position:
            self._must_live()
            with self.lock.reading():
                self.content = self.node.show()
        data = self.content[offset : offset + size]
        if not data:
            self._must_live()
        self.position = offset + len(data)
        return data

    def _must_live(self) -> None:
        must_live(self.node)

    def poll(self) -> int:
        """Always ready; exceptional as well before the first read and once the device has vanished.

        kernfs_fop_poll(): an opened attribute counts as changed until it has been read.
        """
        unread = self.content is None and self.rules.polled
        return poll_of(self.node) | (select.POLLERR | select.POLLPRI if unread else 0)


def poll_of(node: Node) -> int:
    return DEFAULT_POLLMASK | (0 if node.alive else select.POLLERR | select.POLLPRI)


@dataclass
class OpenDeviceFile:
    """A device node that is open."""

    node: DeviceFile
    device: OpenDevice

    def poll(self) -> int:
        return poll_of(self.node)


@dataclass
class OpenDirectory:
    """A directory that is read: what it held when the reading began."""

    node: Directory
    entries: list[tuple[str, Node]] = field(default_factory=list)

    def list_from(self, offset: int) -> Iterator[tuple[int, str, Node]]:
        """Index, name and node of the entries from an offset on; offset 0 looks anew."""
        if offset == 0:
            parent = self.node.parent or self.node
            self.entries = [(".", self.node), ("..", parent), *((node.name, node) for node in self.node)]
        for index in range(offset, len(self.entries)):
            yield index, *self.entries[index]

    def poll(self) -> int:
        return poll_of(self.node)


Handle = OpenAttribute | OpenDeviceFile | OpenDirectory

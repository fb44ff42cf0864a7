# SPDX-License-Identifier: GPL-2.0-or-later
"""The nodes of a file tree that a kernel makes: what /sys, /proc and /dev are built of.

A tree knows nothing of FUSE and nothing of channels; a face (:mod:`ccwemu.faces`) serves it.
Source of the behaviour: Linux fs/kernfs, fs/sysfs/file.c, fs/proc/generic.c.
"""

from __future__ import annotations

import errno
import itertools
import os
import posixpath
import time
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

PAGE_SIZE = 4096

_inode_numbers = itertools.count(2)


class Node:
    """A node: name, permission bits, owner. ``alive`` turns false when it is removed from its tree."""

    __slots__ = ("alive", "gid", "ino", "mode", "mtime", "name", "parent", "uid")

    type_bits = 0

    def __init__(self, name: str, mode: int) -> None:
        self.name = name
        self.mode = mode
        self.uid = 0
        self.gid = 0
        self.ino = next(_inode_numbers)
        self.mtime = time.time()
        self.parent: Directory | None = None
        self.alive = True

    @property
    def has_fixed_size(self) -> bool:
        """Whether ``size`` is the same at each look."""
        return True

    @property
    def size(self) -> int:
        """st_size, in bytes."""
        return 0

    def path(self) -> str:
        """The absolute path from the root of the tree."""
        parts: list[str] = []
        node: Node = self
        while node.parent is not None:
            parts.append(node.name)
            node = node.parent
        return "/" + "/".join(reversed(parts))


_N = TypeVar("_N", bound=Node)


class Directory(Node):
    """A directory. Its children keep the order in which they were added."""

    __slots__ = ("_children", "watchers")

    type_bits = 0o040000

    def __init__(self, name: str = "", mode: int = 0o755) -> None:
        super().__init__(name, mode)
        self._children: dict[str, Node] = {}
        self.watchers: list[Callable[[Directory, Node], None]] = []
        """Of a root only: called after a node was added to, or removed from, a directory of the tree."""

    def __iter__(self) -> Iterator[Node]:
        return iter(list(self._children.values()))

    def __contains__(self, name: object) -> bool:
        return name in self._children

    def get(self, name: str) -> Node | None:
        return self._children.get(name)

    def directory(self, name: str) -> Directory:
        """The child directory of that name. Raises KeyError, or TypeError when it is no directory."""
        child = self._children[name]
        if not isinstance(child, Directory):
            raise TypeError(f"{child.path()} is not a directory")
        return child

    def add(self, node: _N) -> _N:
        """Put a node into this directory. Raises OSError(EEXIST)."""
        if node.name in self._children:
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), node.name)
        node.parent = self
        self._children[node.name] = node
        self._tell(node)
        return node

    def remove(self, name: str) -> None:
        """Take a node and all below it out of the tree; open files on them are dead from then on."""
        node = self._children.pop(name)
        _bury(node)
        self._tell(node)

    def _tell(self, node: Node) -> None:
        root = self
        while root.parent is not None:
            root = root.parent
        for watcher in root.watchers:
            watcher(self, node)

    def lookup(self, path: str) -> Node | None:
        """The node at a path relative to this directory, links not followed."""
        node: Node | None = self
        for part in path.strip("/").split("/"):
            if not part:
                continue
            if not isinstance(node, Directory):
                return None
            node = node.get(part)
        return node


def _bury(node: Node) -> None:
    node.alive = False
    if isinstance(node, Directory):
        for child in node:
            _bury(child)


class Attribute(Node):
    """A file whose content is made at each read: a sysfs attribute, a proc file.

    ``show`` returns the content, or is one that never changes; ``store`` takes what one write() brought (at most a
    page, cut by the face). Both raise OSError with the kernel's errno. A show function changes nothing, and what it
    returns depends on nothing that changes without the machine's lock. ``st_size`` is 4096 in sysfs.
    In a proc file it is None, the length of the content at that time: Linux says 0 there and refuses splice(2), which a
    FUSE file cannot refuse, so that busybox's cat and Python's shutil would find a file of no bytes empty.
    """

    __slots__ = ("_show", "_st_size", "_store")

    type_bits = 0o100000

    def __init__(
        self,
        name: str,
        mode: int,
        show: Callable[[], str | bytes] | str | bytes | None = None,
        store: Callable[[bytes], None] | None = None,
        st_size: int | None = PAGE_SIZE,
    ) -> None:
        super().__init__(name, mode)
        self._show = show
        self._store = store
        self._st_size = st_size

    @property
    def has_fixed_size(self) -> bool:
        return self._st_size is not None

    @property
    def constant(self) -> bytes | None:
        """The content if it never changes."""
        if isinstance(self._show, str):
            return self._show.encode()
        return self._show if isinstance(self._show, bytes) else None

    @property
    def size(self) -> int:
        if self._st_size is not None:
            return self._st_size
        try:
            return len(self.show())
        except OSError:
            return 0

    def show(self) -> bytes:
        """The content. Raises OSError: EIO where nothing can be read, or what the kernel's show returns."""
        if self._show is None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        value = self._show if isinstance(self._show, (str, bytes)) else self._show()
        return value.encode() if isinstance(value, str) else value

    def store(self, data: bytes) -> None:
        """One write(). Raises OSError: EIO where nothing can be written, or what the kernel's store returns."""
        if self._store is None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._store(data)


class Link(Node):
    """A symbolic link to another node of the tree (relative, as sysfs makes them) or to a fixed text."""

    __slots__ = ("target",)

    type_bits = 0o120000

    def __init__(self, name: str, target: Node | str) -> None:
        super().__init__(name, 0o777)
        self.target = target

    def readlink(self) -> str:
        """The text of the link. One to a directory above itself names it: "../../../0.0.1234" (fs/kernfs/symlink.c)."""
        if isinstance(self.target, str):
            return self.target
        assert self.parent is not None and self.target.parent is not None
        above = posixpath.relpath(self.target.parent.path(), self.parent.path())
        return self.target.name if above == "." else f"{above}/{self.target.name}"


class OpenDevice(Protocol):
    """What an opened device file can do; offsets and counts in bytes."""

    def read(self, offset: int, count: int) -> bytes: ...

    def write(self, offset: int, data: bytes) -> int: ...

    def sync(self) -> None: ...

    def close(self) -> None: ...


class DeviceFile(Node):
    """A device node. In a user namespace it cannot be a real one: the face shows it as a regular file.

    ``open`` gets the open(2) flags and returns an :class:`OpenDevice` or raises OSError.
    """

    __slots__ = ("_size", "kind", "open", "rdev")

    type_bits = 0o100000

    def __init__(
        self,
        name: str,
        mode: int,
        kind: str,
        rdev: tuple[int, int],
        open_: Callable[[int], OpenDevice],
        size: Callable[[], int] | None = None,
    ) -> None:
        super().__init__(name, mode)
        self.kind = kind
        self.rdev = rdev
        self.open = open_
        self._size = size

    @property
    def has_fixed_size(self) -> bool:
        return False

    @property
    def size(self) -> int:
        return self._size() if self._size is not None else 0

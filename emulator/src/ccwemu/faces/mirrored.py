# SPDX-License-Identifier: GPL-2.0-or-later
"""A face whose names, links and readable attributes are answered by compiled code.

The tree in Python stays the truth. Its compiled mirror is told of every change before who made it goes on, answers
what it can by itself, without the interpreter, and hands the rest to :class:`~ccwemu.faces.fuse.TreeFace`: whatever
is stored, and the content of an attribute that must be made. What was made is served until the next time that anybody
takes the machine's lock to change something.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from ccwemu._mirror import HANDLE, Mirror
from ccwemu.faces import wire
from ccwemu.faces.fuse import TreeFace
from ccwemu.faces.rules import SYSFS, Wiring
from ccwemu.faces.wire import Request
from ccwemu.machine.tree import Attribute, Directory, Link, Node


class MirroredFace(TreeFace):
    """Serves a tree of directories, links and attributes of a fixed size by the rules of sysfs."""

    def __init__(self, root: Directory, fd: int, *, name: str, wiring: Wiring | None = None) -> None:
        self._mirror = Mirror(root, root.type_bits | root.mode, root.uid, root.gid, _nanoseconds(root))
        self._quiet = False
        """Something was read since the latest change: more will be, before the next one."""
        super().__init__(root, fd, name=name, rules=SYSFS, wiring=wiring)

    def start(self) -> None:
        lock = self._wiring.lock
        with lock.reading():
            for child in self._root:
                self._add(self._root, child)
            lock.watch(self._changing)
            self._root.watchers.append(self._tree_changed)
        self.session.start()

    def close(self) -> None:
        self._wiring.lock.unwatch(self._changing)
        super().close()

    def counts(self) -> dict[str, int]:
        """Nodes in the mirror, nodes that left the tree and are still known, open files, requests answered and not."""
        return self._mirror.counts()

    def _receive(self, fd: int, buffer: bytearray) -> int:
        return self._mirror.receive(fd, buffer)

    def _changing(self, changing: bool) -> None:
        self._quiet = False
        self._mirror.set_changing(changing)

    # -- telling the mirror -----------------------------------------------------------------------------------------

    def _tree_changed(self, parent: Directory, node: Node) -> None:
        known = False
        if node.alive:
            self._add(parent, node)
        else:
            known = self._mirror.remove(node.ino)
        self._note_stale(parent, node, known)

    def _add(self, parent: Directory, node: Node) -> None:
        """Add a node with all below it."""
        content: bytes | None = None
        target = 0
        if isinstance(node, Link):
            if isinstance(node.target, Node):
                target = self._number(node.target)
            else:
                content = os.fsencode(node.target)
        elif isinstance(node, Attribute) and node.has_fixed_size:
            content = node.constant
        elif not isinstance(node, Directory):
            raise TypeError(f"{node.path()}: a {type(node).__name__} without a fixed size cannot be mirrored")
        self._mirror.add(
            self._number(parent),
            node.ino,
            node.name,
            node.type_bits | node.mode,
            node.uid,
            node.gid,
            node.size,
            node.mtime,
            content,
            target,
            node,
        )
        if isinstance(node, Directory):
            for child in node:
                self._add(node, child)

    def _setattr(self, request: Request, body: memoryview) -> bytes:
        answer = super()._setattr(request, body)
        node = self._node(request.nodeid)
        self._mirror.set_attributes(request.nodeid, node.mode, node.uid, node.gid, _nanoseconds(node))
        return answer

    # -- asking it --------------------------------------------------------------------------------------------------

    def _knows(self, nodeid: int) -> bool:
        return self._mirror.is_known(nodeid)

    def _node(self, nodeid: int) -> Node:
        node = self._mirror.owner(nodeid)
        if not isinstance(node, Node) or not node.alive:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return node

    def _entry(self, node: Node) -> bytes:
        return self._mirror.entry(self._number(node))

    # -- contents that must be made ---------------------------------------------------------------------------------

    def _read(self, request: Request, body: memoryview) -> bytes:
        number, offset, size, *_more = wire.READ_IN.unpack_from(body)
        if not number & HANDLE:
            return super()._read(request, body)
        node = self._mirror.opened(number)
        assert isinstance(node, Attribute)
        with self._wiring.lock.reading():
            if not node.alive:
                raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
            content, problem = _made(node)
            data = content[offset : offset + size]
            self._mirror.supply(number, content, problem, offset + len(data))
            for other in _beside(node) if self._quiet else ():
                self._mirror.keep(other.ino, *_made(other))
            self._quiet = True
        if problem:
            raise OSError(problem, os.strerror(problem))
        return data

    def _write(self, request: Request, body: memoryview) -> bytes:
        number, _offset, size, *_more = wire.WRITE_IN.unpack_from(body)
        if not number & HANDLE:
            return super()._write(request, body)
        node = self._mirror.opened(number)
        assert isinstance(node, Attribute)
        return self._stored(node, bytes(body[wire.WRITE_IN.size : wire.WRITE_IN.size + size]))


def _nanoseconds(node: Node) -> int:
    return int(node.mtime * 1e9)


def _made(node: Attribute) -> tuple[bytes, int]:
    """What reading an attribute gives: its content, and the errno or 0."""
    try:
        return node.show(), 0
    except OSError as error:
        return b"", error.errno or errno.EIO


def _beside(node: Attribute) -> Iterator[Attribute]:
    """The other attributes of a directory whose content must be made: who reads one mostly reads them all."""
    for other in node.parent or ():
        if isinstance(other, Attribute) and other is not node and other.constant is None and other.mode & 0o444:
            yield other

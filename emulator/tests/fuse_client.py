# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's side of FUSE over a socket instead of a mount: what a test asks a face, in the kernel's words."""

from __future__ import annotations

import errno
import itertools
import os
import socket
from collections.abc import Callable

from ccwemu.faces import wire
from ccwemu.faces.fuse import TreeFace
from ccwemu.faces.wire import Op


def error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class Client:
    """One caller at a time. ``make(fd)`` makes the face, which is started."""

    def __init__(self, make: Callable[[int], TreeFace]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._unique = itertools.count(2, 2)
        self.notices: list[bytes] = []
        self.face = make(theirs.detach())
        self.face.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)  # the face reads the end
        self.face.session.ended.wait()
        self.face.close()
        self._socket.close()

    def send(self, op: int, node: int, body: bytes) -> int:
        unique = next(self._unique)
        size = wire.IN_HEADER.size + len(body)
        self._socket.send(wire.IN_HEADER.pack(size, op, unique, node, 0, 0, 1, 0, 0) + body)
        return unique

    def call(self, op: Op, node: int, body: bytes = b"") -> bytes:
        """The answer's body. Raises OSError for an error answer."""
        return self.answer(self.send(op, node, body))

    def answer(self, unique: int) -> bytes:
        """The body of the answer to a request that was sent, which is the next to come. Raises OSError."""
        while True:
            answer = self._socket.recv(1 << 17)
            _, number, answered = wire.OUT_HEADER.unpack_from(answer)
            if answered == 0:
                self.notices.append(answer)
                continue
            assert answered == unique
            if number:
                raise error(-number)
            return answer[wire.OUT_HEADER.size :]

    # -- as a program sees it

    def look_up(self, node: int, name: str) -> int:
        number: int = wire.ENTRY_OUT.unpack_from(self.call(Op.LOOKUP, node, os.fsencode(name) + b"\0"))[0]
        return number

    def walk(self, path: str) -> int:
        node = wire.ROOT_ID
        for name in path.strip("/").split("/"):
            node = self.look_up(node, name)
        return node

    def forget(self, node: int, count: int = 1) -> None:
        self.send(Op.FORGET, node, wire.FORGET_IN.pack(count))

    def open(self, node: int, flags: int = os.O_RDONLY) -> int:
        handle: int = wire.OPEN_OUT.unpack_from(self.call(Op.OPEN, node, wire.OPEN_IN.pack(flags, 0)))[0]
        return handle

    def read(self, node: int, handle: int, offset: int = 0, size: int = 4096) -> bytes:
        return self.call(Op.READ, node, wire.READ_IN.pack(handle, offset, size, 0, 0, 0, 0))

    def write(self, node: int, handle: int, data: bytes) -> None:
        self.call(Op.WRITE, node, wire.WRITE_IN.pack(handle, 0, len(data), 0, 0, 0, 0) + data)

    def release(self, node: int, handle: int) -> None:
        self.call(Op.RELEASE, node, wire.RELEASE_IN.pack(handle, 0, 0, 0))

    def content(self, node: int) -> bytes:
        """open, read, close"""
        handle = self.open(node)
        try:
            return self.read(node, handle)
        finally:
            self.release(node, handle)

    def store(self, node: int, data: bytes) -> None:
        handle = self.open(node, os.O_WRONLY)
        self.write(node, handle, data)
        self.release(node, handle)

    def list(self, node: int, size: int = 4096) -> dict[str, int]:
        """Names and node numbers of a directory, read in pieces of a size, without . and .. ."""
        found: dict[str, int] = {}
        offset = 0
        self.call(Op.OPENDIR, node, wire.OPEN_IN.pack(0, 0))
        while answer := self.call(Op.READDIR, node, wire.READ_IN.pack(0, offset, size, 0, 0, 0, 0)):
            at = 0
            while at < len(answer):
                inode, offset, length, _ = wire.DIRENT.unpack_from(answer, at)
                start = at + wire.DIRENT.size
                name = os.fsdecode(answer[start : start + length])
                assert name not in found, "listed twice"
                found[name] = inode
                at = start + -(-length // 8) * 8
        assert found.pop(".") == node
        found.pop("..")
        return found

    def errno_of(self, action: Callable[[], object]) -> str:
        """The name of the errno that an action ends with; "" where it succeeds."""
        try:
            action()
        except OSError as problem:
            return errno.errorcode[problem.errno or 0]
        return ""

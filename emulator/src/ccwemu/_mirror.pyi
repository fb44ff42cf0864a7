# SPDX-License-Identifier: GPL-2.0-or-later
"""A compiled mirror of a tree (mirror/mirror.h). Use :mod:`ccwemu.faces.mirrored`.

Node 1 is the root. Modes have type bits; times are nanoseconds since 1970, seconds of what is added. Owners are the
caller's objects, which the mirror holds on to while a node is in the tree or the kernel knows it.
"""

HANDLE: int
"""Bit in the number of every file that is open in the mirror."""

class Mirror:
    def __init__(self, owner: object, mode: int, uid: int, gid: int, mtime: int) -> None: ...
    def add(
        self,
        parent: int,
        node: int,
        name: str | bytes,
        mode: int,
        uid: int,
        gid: int,
        size: int,
        mtime: float,
        content: bytes | None,
        target: int,
        owner: object,
        /,
    ) -> None:
        """``content`` never changes; None: it is made by the owner, or a link's text by the way to ``target``.

        Raises OSError: ENOENT (no such directory), EEXIST, EINVAL (name, mode).
        """
    def remove(self, node: int, /) -> bool:
        """Take a node and all below it out; whether the kernel knows it. One that is not there is no error."""
    def set_attributes(self, node: int, mode: int, uid: int, gid: int, mtime: int, /) -> None: ...
    def is_known(self, node: int, /) -> bool: ...
    def owner(self, node: int, /) -> object | None: ...
    def opened(self, handle: int, /) -> object | None: ...
    def set_changing(self, changing: bool, /) -> None: ...
    def keep(self, node: int, content: bytes, error: int, /) -> None:
        """What a show function returned, or its errno, for those who read while nothing changes."""
    def supply(self, handle: int, content: bytes, error: int, offset: int, /) -> None:
        """The same for an open file, which has read it up to ``offset``. Raises OSError(EBADF)."""
    def entry(self, node: int, /) -> bytes:
        """What a lookup of a node answers (struct fuse_entry_out); it counts as one. Raises OSError(ENOENT)."""
    def request(self, request: bytes, /) -> bytes | None:
        """Answer one request; b"" where none is due, None where it is for the owner."""
    def receive(self, fd: int, buffer: bytearray, /) -> int:
        """Answer requests until there is one for the owner; its size in the buffer. Raises OSError."""
    def counts(self) -> dict[str, int]:
        """nodes, dead, open, answered, handed_over"""

# SPDX-License-Identifier: GPL-2.0-or-later
"""A tree of nodes (:mod:`ccwemu.machine.tree`) as a mounted file system.

What each system call answers is what sysfs answers on Linux 6.1 (fs/kernfs/file.c, fs/kernfs/dir.c), as measured
there; what the caller may do by mode bits and owner is checked by the kernel (mount option default_permissions).
"""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from ccwemu.faces import wire
from ccwemu.faces.wire import Op, Request, Session
from ccwemu.machine.tree import PAGE_SIZE, Attribute, DeviceFile, Directory, Link, Node, OpenDevice

FOREVER = 1 << 30
"""Seconds that the kernel may remember something which can only change through itself."""

DEFAULT_POLLMASK = select.POLLIN | select.POLLOUT | select.POLLRDNORM | select.POLLWRNORM

_ENOENT = OSError(errno.ENOENT, os.strerror(errno.ENOENT))


@dataclass(frozen=True)
class Rules:
    """Where the kernel's file systems differ from each other."""

    write_limit: int = PAGE_SIZE
    """Bytes of one write() that reach the store function: a page in sysfs; proc has no common limit."""
    cut_at_nul: bool = True
    """Whether a NUL ends what was written, as it does where store functions take a C string."""
    max_write: int = 16 * PAGE_SIZE
    """The largest write, in bytes, that arrives in one piece."""
    polled: bool = False
    """Whether a reader may wait for changes of an attribute, as in sysfs."""
    root_needs_bits: bool = True
    """Whether opening for reading (writing) needs a read (write) bit in the mode even for root, as in sysfs."""


SYSFS = Rules(polled=True)
PROCFS = Rules(write_limit=64 * 1024, cut_at_nul=False, root_needs_bits=False)
DEVICES = Rules(max_write=1024 * 1024)


@dataclass(frozen=True)
class Wiring:
    """How a face is tied to its machine and to the machine's other faces."""

    lock: AbstractContextManager[object] = field(default_factory=threading.RLock)
    """Held around every show, store and open: the machine's lock."""
    changed: Callable[[], None] = lambda: None
    """Called after each store, before who wrote is answered, without the lock."""
    noted: Callable[[], None] = lambda: None
    """Called, possibly with the lock held, when there is something for ``forget_stale`` to do."""


@dataclass
class _OpenAttribute:
    """An open attribute: what it read last, and how far the reader is."""

    node: Attribute
    content: bytes | None = None
    position: int = 0


@dataclass
class _OpenDevice:
    node: DeviceFile
    device: OpenDevice


@dataclass
class _OpenDirectory:
    node: Directory
    entries: list[tuple[str, Node]] = field(default_factory=list)


_Handle = _OpenAttribute | _OpenDevice | _OpenDirectory


class TreeFace:
    """Serves one tree on a /dev/fuse descriptor."""

    def __init__(
        self,
        root: Directory,
        fd: int,
        *,
        name: str,
        rules: Rules = SYSFS,
        wiring: Wiring | None = None,
    ) -> None:
        wiring = wiring if wiring is not None else Wiring()
        self._noted = wiring.noted
        self._changed = wiring.changed
        self._root = root
        self._rules = rules
        self._lock = wiring.lock
        self._nodes: dict[int, Node] = {wire.ROOT_ID: root}
        self._lookups: dict[int, int] = {}
        self._handles: dict[int, _Handle] = {}
        self._next_handle = 1
        self._stale: deque[tuple[int, str | None]] = deque()
        self._flushing = threading.Lock()
        self._guard = threading.Lock()
        blocking = frozenset({Op.WRITE, Op.OPEN, Op.READ}) if rules is DEVICES else frozenset({Op.WRITE})
        self.session = Session(fd, name, self._handlers(), blocking, rules.max_write)

    def start(self) -> None:
        self._root.watchers.append(self._tree_changed)
        self.session.start()

    def close(self) -> None:
        if self._tree_changed in self._root.watchers:
            self._root.watchers.remove(self._tree_changed)
        self.session.close()

    # -- what the kernel has cached ---------------------------------------------------------------------------------

    def _tree_changed(self, parent: Directory, node: Node) -> None:
        """Called by the tree, mostly with the machine's lock held: only note what the kernel must forget."""
        nodeid = wire.ROOT_ID if parent is self._root else parent.ino
        if nodeid not in self._nodes:
            return
        if not node.alive:
            self._stale.append((nodeid, node.name))
        if isinstance(node, Directory):
            self._stale.append((nodeid, None))
        if self._stale:
            self._noted()

    def forget_stale(self) -> None:
        """Have the kernel forget what is no more. Never called with the machine's lock held.

        The kernel takes a directory's lock for it, which a caller may hold who waits for an answer from here.
        """
        with self._flushing:
            while self._stale:
                nodeid, name = self._stale.popleft()
                if name is None:
                    self.session.invalidate_attributes(nodeid)
                else:
                    self.session.invalidate_entry(nodeid, name)

    def _handlers(self) -> dict[Op, wire.Handler]:
        refuse = self._refuse
        return {
            Op.LOOKUP: self._lookup,
            Op.FORGET: self._forget,
            Op.BATCH_FORGET: self._batch_forget,
            Op.GETATTR: self._getattr,
            Op.SETATTR: self._setattr,
            Op.READLINK: self._readlink,
            Op.MKNOD: self._mknod,
            Op.CREATE: self._create,
            Op.OPEN: self._open,
            Op.READ: self._read,
            Op.WRITE: self._write,
            Op.FSYNC: self._fsync,
            Op.RELEASE: self._release,
            Op.OPENDIR: self._opendir,
            Op.READDIR: self._readdir,
            Op.READDIRPLUS: self._readdirplus,
            Op.RELEASEDIR: self._release,
            Op.STATFS: self._statfs,
            Op.POLL: self._poll,
            Op.GETXATTR: self._getxattr,
            Op.LISTXATTR: self._listxattr,
            Op.SETXATTR: refuse(errno.EOPNOTSUPP),
            Op.REMOVEXATTR: refuse(errno.EOPNOTSUPP),
            Op.IOCTL: refuse(errno.ENOTTY),
            Op.MKDIR: refuse(errno.EPERM),
            Op.RMDIR: refuse(errno.EPERM),
            Op.UNLINK: refuse(errno.EPERM),
            Op.SYMLINK: refuse(errno.EPERM),
            Op.LINK: refuse(errno.EPERM),
            Op.RENAME: refuse(errno.EPERM),
            Op.RENAME2: refuse(errno.EPERM),
            Op.DESTROY: lambda request, body: b"",
        }

    @staticmethod
    def _refuse(number: int) -> wire.Handler:
        def handler(request: Request, body: memoryview) -> bytes:
            raise OSError(number, os.strerror(number))

        return handler

    # -- names and inodes -------------------------------------------------------------------------------------------

    def _node(self, nodeid: int) -> Node:
        """The node of an inode number that the kernel was given. Raises ENOENT when it has left the tree."""
        node = self._nodes.get(nodeid)
        if node is None or not node.alive:
            raise _ENOENT
        return node

    def _directory(self, nodeid: int) -> Directory:
        node = self._node(nodeid)
        if not isinstance(node, Directory):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return node

    def _attr(self, node: Node) -> bytes:
        inode = wire.ROOT_ID if node is self._root else node.ino
        seconds, rest = divmod(int(node.mtime * 1e9), 1_000_000_000)
        mode = node.type_bits | node.mode
        return wire.ATTR.pack(
            inode,
            node.size,
            0,
            seconds,
            seconds,
            seconds,
            rest,
            rest,
            rest,
            mode,
            self._links(node),
            node.uid,
            node.gid,
            0,
            4096,
            0,
        )

    def _links(self, node: Node) -> int:
        """st_nlink."""
        if not isinstance(node, Directory):
            return 1
        return 2 + sum(isinstance(child, Directory) for child in node)

    def _entry_valid(self, node: Node) -> int:
        """Seconds for which the kernel may take a name for this node without asking: it is told when that ends."""
        return FOREVER

    def _attr_valid(self, node: Node) -> int:
        """Seconds for which the kernel may believe mode, owner, size and times."""
        return FOREVER if node.has_fixed_size else 0

    def _entry(self, node: Node) -> bytes:
        with self._guard:
            self._nodes[node.ino] = node
            self._lookups[node.ino] = self._lookups.get(node.ino, 0) + 1
        return wire.ENTRY_OUT.pack(node.ino, 0, self._entry_valid(node), self._attr_valid(node), 0, 0) + self._attr(
            node
        )

    def _lookup(self, request: Request, body: memoryview) -> bytes:
        child = self._directory(request.nodeid).get(os.fsdecode(bytes(body[:-1])))
        if child is None:
            raise _ENOENT
        return self._entry(child)

    def _drop(self, nodeid: int, count: int) -> None:
        with self._guard:
            left = self._lookups.get(nodeid, 0) - count
            if left > 0:
                self._lookups[nodeid] = left
            elif nodeid != wire.ROOT_ID:
                self._lookups.pop(nodeid, None)
                self._nodes.pop(nodeid, None)

    def _forget(self, request: Request, body: memoryview) -> None:
        self._drop(request.nodeid, wire.FORGET_IN.unpack_from(body)[0])

    def _batch_forget(self, request: Request, body: memoryview) -> None:
        count, _ = wire.BATCH_FORGET_IN.unpack_from(body)
        for index in range(count):
            offset = wire.BATCH_FORGET_IN.size + index * wire.FORGET_ONE.size
            self._drop(*wire.FORGET_ONE.unpack_from(body, offset))

    def _getattr(self, request: Request, body: memoryview) -> bytes:
        node = self._nodes.get(request.nodeid)
        if node is None:
            raise _ENOENT
        return wire.ATTR_OUT.pack(self._attr_valid(node), 0, 0) + self._attr(node)

    def _setattr(self, request: Request, body: memoryview) -> bytes:
        """chmod, chown and utime last; a truncation succeeds and does nothing."""
        node = self._node(request.nodeid)
        valid, _, _, _, _, _, mtime, _, _, mtime_rest, _, mode, _, uid, gid, _ = wire.SETATTR_IN.unpack_from(body)
        if valid & 0x001:
            node.mode = stat.S_IMODE(mode)
        if valid & 0x002:
            node.uid = uid
        if valid & 0x004:
            node.gid = gid
        if valid & 0x100:
            node.mtime = time.time()
        elif valid & 0x020:
            node.mtime = mtime + mtime_rest / 1e9
        return wire.ATTR_OUT.pack(self._attr_valid(node), 0, 0) + self._attr(node)

    def _readlink(self, request: Request, body: memoryview) -> bytes:
        node = self._node(request.nodeid)
        if not isinstance(node, Link):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return os.fsencode(node.readlink())

    def _mknod(self, request: Request, body: memoryview) -> bytes:
        # vfs_create() of a regular file meets no i_op->create: EACCES; vfs_mknod() of the others: EPERM.
        mode = wire.MKNOD_IN.unpack_from(body)[0]
        number = errno.EACCES if stat.S_ISREG(mode) else errno.EPERM
        raise OSError(number, os.strerror(number))

    def _create(self, request: Request, body: memoryview) -> bytes:
        """open(O_CREAT) of a name that is not there. A device may have brought it since the kernel looked."""
        flags = wire.CREATE_IN.unpack_from(body)[0]
        name = os.fsdecode(bytes(body[wire.CREATE_IN.size : -1]))
        child = self._directory(request.nodeid).get(name)
        if child is None:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        opened = self._open_node(child, flags)
        return self._entry(child) + opened

    # -- files ------------------------------------------------------------------------------------------------------

    def _add_handle(self, handle: _Handle) -> int:
        with self._guard:
            number = self._next_handle
            self._next_handle += 1
            self._handles[number] = handle
        return number

    def _open(self, request: Request, body: memoryview) -> bytes:
        return self._open_node(self._node(request.nodeid), wire.OPEN_IN.unpack_from(body)[0])

    def _open_node(self, node: Node, flags: int) -> bytes:
        handle: _Handle
        if isinstance(node, Attribute):
            self._check_open(node, flags)
            handle = _OpenAttribute(node)
        elif isinstance(node, DeviceFile):
            with self._lock:
                handle = _OpenDevice(node, node.open(flags))
        else:
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        return wire.OPEN_OUT.pack(self._add_handle(handle), wire.FOPEN_DIRECT_IO, 0)

    def _check_open(self, node: Attribute, flags: int) -> None:
        access = flags & os.O_ACCMODE
        if self._rules.root_needs_bits and (
            (access != os.O_WRONLY and not node.mode & 0o444) or (access != os.O_RDONLY and not node.mode & 0o222)
        ):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    def _read(self, request: Request, body: memoryview) -> bytes:
        number, offset, size, *_ = wire.READ_IN.unpack_from(body)
        handle = self._handles[number]
        if isinstance(handle, _OpenDevice):
            return handle.device.read(offset, size)
        assert isinstance(handle, _OpenAttribute)
        return self._read_attribute(handle, offset, size)

    def _read_attribute(self, handle: _OpenAttribute, offset: int, size: int) -> bytes:
        """seq_file's way: made anew at offset 0 and wherever the reader jumps; the rest of it is read on."""
        if handle.content is None or offset == 0 or offset != handle.position:
            self._must_live(handle.node)
            with self._lock:
                handle.content = handle.node.show()
        data = handle.content[offset : offset + size]
        if not data:
            self._must_live(handle.node)
        handle.position = offset + len(data)
        return data

    @staticmethod
    def _must_live(node: Node) -> None:
        if not node.alive:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    def _write(self, request: Request, body: memoryview) -> bytes:
        number, offset, size, *_ = wire.WRITE_IN.unpack_from(body)
        data = bytes(body[wire.WRITE_IN.size : wire.WRITE_IN.size + size])
        handle = self._handles[number]
        if isinstance(handle, _OpenDevice):
            return wire.WRITE_OUT.pack(handle.device.write(offset, data), 0)
        assert isinstance(handle, _OpenAttribute)
        return wire.WRITE_OUT.pack(self._store(handle.node, data), 0)

    def _store(self, node: Attribute, data: bytes) -> int:
        """One store; the number of bytes taken, which is all that one write() brings up to the limit."""
        self._must_live(node)
        data = data[: self._rules.write_limit]
        value = data.split(b"\0", 1)[0] if self._rules.cut_at_nul else data
        try:
            with self._lock:
                node.store(value)
        finally:
            self.forget_stale()
            self._changed()
        return len(data)

    def _fsync(self, request: Request, body: memoryview) -> bytes:
        handle = self._handles[wire.FSYNC_IN.unpack_from(body)[0]]
        if isinstance(handle, _OpenDevice):
            handle.device.sync()
        return b""

    def _release(self, request: Request, body: memoryview) -> bytes:
        number = wire.RELEASE_IN.unpack_from(body)[0]
        with self._guard:
            handle = self._handles.pop(number, None)
        if isinstance(handle, _OpenDevice):
            handle.device.close()
        return b""

    def _poll(self, request: Request, body: memoryview) -> bytes:
        """Always ready; exceptional as well before the first read and once the device has vanished.

        kernfs_fop_poll(): an opened attribute counts as changed until it has been read.
        """
        handle = self._handles[wire.POLL_IN.unpack_from(body)[0]]
        revents = DEFAULT_POLLMASK
        unread = isinstance(handle, _OpenAttribute) and handle.content is None and self._rules.polled
        if unread or not handle.node.alive:
            revents |= select.POLLERR | select.POLLPRI
        return wire.POLL_OUT.pack(revents, 0)

    # -- directories ------------------------------------------------------------------------------------------------

    def _opendir(self, request: Request, body: memoryview) -> bytes:
        handle = _OpenDirectory(self._directory(request.nodeid))
        return wire.OPEN_OUT.pack(self._add_handle(handle), 0, 0)

    def _listing(self, body: memoryview) -> tuple[list[tuple[str, Node]], int, int]:
        number, offset, size, *_ = wire.READ_IN.unpack_from(body)
        handle = self._handles[number]
        assert isinstance(handle, _OpenDirectory)
        if offset == 0:
            parent = handle.node.parent or handle.node
            handle.entries = [(".", handle.node), ("..", parent), *((node.name, node) for node in handle.node)]
        return handle.entries, offset, size

    def _readdir(self, request: Request, body: memoryview) -> bytes:
        return self._fill(*self._listing(body), plus=False)

    def _readdirplus(self, request: Request, body: memoryview) -> bytes:
        return self._fill(*self._listing(body), plus=True)

    def _fill(self, entries: list[tuple[str, Node]], offset: int, size: int, *, plus: bool) -> bytes:
        out = bytearray()
        extra = wire.ENTRY_OUT.size + wire.ATTR.size if plus else 0
        for index in range(offset, len(entries)):
            name, node = entries[index]
            raw = os.fsencode(name)
            length = -(-(wire.DIRENT.size + len(raw)) // 8) * 8
            if len(out) + extra + length > size:
                break
            if plus:
                # node number 0: no lookup is counted, as for . and .. and for what has just vanished
                known = node.alive and index >= 2
                out += self._entry(node) if known else bytes(extra)
            inode = wire.ROOT_ID if node is self._root else node.ino
            record = wire.DIRENT.pack(inode, index + 1, len(raw), node.type_bits >> 12) + raw
            out += record.ljust(length, b"\0")
        return bytes(out)

    # -- the rest ---------------------------------------------------------------------------------------------------

    def _statfs(self, request: Request, body: memoryview) -> bytes:
        return wire.STATFS_OUT.pack(0, 0, 0, 0, 0, 4096, 255, 4096, 0)

    def _getxattr(self, request: Request, body: memoryview) -> bytes:
        name = bytes(body[wire.GETXATTR_IN.size : -1])
        number = errno.EOPNOTSUPP if name.startswith(b"system.") else errno.ENODATA
        raise OSError(number, os.strerror(number))

    def _listxattr(self, request: Request, body: memoryview) -> bytes:
        size = wire.GETXATTR_IN.unpack_from(body)[0]
        return b"" if size else wire.GETXATTR_OUT.pack(0, 0)

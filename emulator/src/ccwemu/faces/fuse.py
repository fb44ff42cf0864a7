# SPDX-License-Identifier: GPL-2.0-or-later
"""A tree of nodes (:mod:`ccwemu.machine.tree`) as a mounted file system.

What each system call answers is what sysfs answers on Linux 6.1 (fs/kernfs/file.c, fs/kernfs/dir.c), as measured
there; what the caller may do by mode bits and owner is checked by the kernel (mount option default_permissions).
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from operator import itemgetter

from ccwemu.faces import wire
from ccwemu.faces.files import Handle, OpenAttribute, OpenDeviceFile, OpenDirectory, check_open, store
from ccwemu.faces.rules import DEVICES, FOREVER, SYSFS, Rules, Wiring
from ccwemu.faces.wire import Op, Request, Session
from ccwemu.machine import waiting
from ccwemu.machine.tree import Attribute, DeviceFile, Directory, Link, Node

_SETATTR = itemgetter(0, 6, 9, 11, 13, 14)
"""Of struct fuse_setattr_in: valid, mtime, mtimensec, mode, uid, gid."""
_ENOENT = OSError(errno.ENOENT, os.strerror(errno.ENOENT))


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
        self._wiring = wiring
        self._root = root
        self._rules = rules
        self._nodes: dict[int, Node] = {wire.ROOT_ID: root}
        self._lookups: dict[int, int] = {}
        self._handles: dict[int, Handle] = {}
        self._next_handle = 1
        self._open_devices = 0
        self._stale: dict[tuple[int, str | None], None] = {}
        self._flushing = threading.Lock()
        self._guard = threading.Lock()
        self.stores = 0
        """How often somebody wrote to an attribute, the writes that were refused among them."""
        blocking = frozenset({Op.WRITE, Op.OPEN, Op.READ}) if rules is DEVICES else frozenset()
        at_once = frozenset({Op.RELEASE}) if rules is DEVICES else frozenset()
        self.session = Session(fd, name, self._handlers(), blocking, rules.max_write, at_once, self._receive)

    def start(self) -> None:
        self._root.watchers.append(self._tree_changed)
        self.session.start()

    def close(self) -> None:
        if self._tree_changed in self._root.watchers:
            self._root.watchers.remove(self._tree_changed)
        self.session.close()

    def _receive(self, fd: int, buffer: bytearray) -> int:
        """Read the next request that is to be answered here; its size."""
        return os.readv(fd, [buffer])

    # -- what the kernel has cached ---------------------------------------------------------------------------------

    def _tree_changed(self, parent: Directory, node: Node) -> None:
        """Called by the tree, mostly with the machine's lock held: only note what the kernel must forget."""
        self._note_stale(parent, node, not node.alive and self._knows(node.ino))

    def _note_stale(self, parent: Directory, node: Node, known: bool) -> None:
        """``known``: the kernel has the name of a node that has gone. What it asks for each time it need not forget."""
        is_directory = isinstance(node, Directory)
        if not (known or is_directory):
            return
        nodeid = self._number(parent)
        if known and self._entry_valid(node):
            self._stale[nodeid, node.name] = None
        if is_directory and self._knows(nodeid):
            self._stale[nodeid, None] = None
        if self._stale:
            self._wiring.noted()

    def forget_stale(self) -> None:
        """Have the kernel forget what is no more. Never called with the machine's lock held.

        The kernel takes a directory's lock for it, which a caller may hold who waits for an answer from here.
        """
        if not self._flushing.acquire(blocking=False):
            waiting.announce()
            self._flushing.acquire()
        try:
            while self._stale:
                (nodeid, name), _value = self._stale.popitem()
                if name is None:
                    self.session.invalidate_attributes(nodeid)
                else:
                    waiting.announce()
                    self.session.invalidate_entry(nodeid, name)
        finally:
            self._flushing.release()

    def catch_up(self) -> None:
        """See to it that every device file that was closed is closed here as well. Never called with the lock held.

        The kernel reports the last close without waiting for an answer: who closes a disk and then takes it offline
        must not find it in use.
        """
        if self._open_devices:
            waiting.announce()
            self.session.catch_up()

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

    def _number(self, node: Node) -> int:
        """The inode number that the kernel is given for a node."""
        return wire.ROOT_ID if node is self._root else node.ino

    def _knows(self, nodeid: int) -> bool:
        """Whether the kernel was told of a node, and has not forgotten it."""
        return nodeid in self._nodes

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
        seconds, rest = divmod(int(node.mtime * 1e9), 1_000_000_000)
        mode = node.type_bits | node.mode
        return wire.ATTR.pack(
            self._number(node),
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
        """Seconds for which the kernel may take a name for this node without asking: it is told when that ends.

        It asks for each open of a file: with the answer it learns the size again, which it shortens by itself at
        O_TRUNC and at a short read for sendfile(2), and beyond which sendfile(2) reads nothing.
        """
        return FOREVER if isinstance(node, (Directory, Link)) else 0

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
        count, _padding = wire.BATCH_FORGET_IN.unpack_from(body)
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
        valid, mtime, mtime_rest, mode, uid, gid = _SETATTR(wire.SETATTR_IN.unpack_from(body))
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

    def _add_handle(self, handle: Handle) -> int:
        with self._guard:
            number = self._next_handle
            self._next_handle += 1
            self._handles[number] = handle
        return number

    def _open(self, request: Request, body: memoryview) -> bytes:
        return self._open_node(self._node(request.nodeid), wire.OPEN_IN.unpack_from(body)[0])

    def _open_node(self, node: Node, flags: int) -> bytes:
        handle: Handle
        if isinstance(node, Attribute):
            check_open(node, flags, self._rules)
            handle = OpenAttribute(node, self._rules, self._wiring.lock)
        elif isinstance(node, DeviceFile):
            with self._wiring.lock:
                handle = OpenDeviceFile(node, node.open(flags))
            with self._guard:
                self._open_devices += 1
        else:
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        return wire.OPEN_OUT.pack(self._add_handle(handle), wire.FOPEN_DIRECT_IO, 0)

    def _read(self, request: Request, body: memoryview) -> bytes:
        number, offset, size, *_more = wire.READ_IN.unpack_from(body)
        handle = self._handles[number]
        if isinstance(handle, OpenDeviceFile):
            return handle.device.read(offset, size)
        assert isinstance(handle, OpenAttribute)
        return handle.read(offset, size)

    def _write(self, request: Request, body: memoryview) -> bytes:
        number, offset, size, *_more = wire.WRITE_IN.unpack_from(body)
        data = bytes(body[wire.WRITE_IN.size : wire.WRITE_IN.size + size])
        handle = self._handles[number]
        if isinstance(handle, OpenDeviceFile):
            return wire.WRITE_OUT.pack(handle.device.write(offset, data), 0)
        assert isinstance(handle, OpenAttribute)
        return self._stored(handle.node, data)

    def _stored(self, node: Attribute, data: bytes) -> bytes:
        """The answer to a write to an attribute."""
        with self._guard:
            self.stores += 1
        try:
            with self._wiring.store():
                taken = store(node, data, self._rules, self._wiring.lock)
        finally:
            self.forget_stale()
        return wire.WRITE_OUT.pack(taken, 0)

    def _fsync(self, request: Request, body: memoryview) -> bytes:
        handle = self._handles[wire.FSYNC_IN.unpack_from(body)[0]]
        if isinstance(handle, OpenDeviceFile):
            handle.device.sync()
        return b""

    def _release(self, request: Request, body: memoryview) -> bytes:
        number = wire.RELEASE_IN.unpack_from(body)[0]
        with self._guard:
            handle = self._handles.pop(number, None)
        if isinstance(handle, OpenDeviceFile):
            try:
                handle.device.close()
            finally:
                with self._guard:
                    self._open_devices -= 1
        return b""

    def _poll(self, request: Request, body: memoryview) -> bytes:
        handle = self._handles[wire.POLL_IN.unpack_from(body)[0]]
        return wire.POLL_OUT.pack(handle.poll(), 0)

    # -- directories ------------------------------------------------------------------------------------------------

    def _opendir(self, request: Request, body: memoryview) -> bytes:
        handle = OpenDirectory(self._directory(request.nodeid))
        return wire.OPEN_OUT.pack(self._add_handle(handle), 0, 0)

    def _readdir(self, request: Request, body: memoryview) -> bytes:
        return self._fill(body, plus=False)

    def _readdirplus(self, request: Request, body: memoryview) -> bytes:
        return self._fill(body, plus=True)

    def _fill(self, body: memoryview, *, plus: bool) -> bytes:
        """As many entries as fit, each with what a lookup of it would answer (``plus``)."""
        number, offset, size, *_more = wire.READ_IN.unpack_from(body)
        handle = self._handles[number]
        assert isinstance(handle, OpenDirectory)
        out = bytearray()
        extra = wire.ENTRY_OUT.size + wire.ATTR.size if plus else 0
        for index, name, node in handle.list_from(offset):
            raw = os.fsencode(name)
            length = -(-(wire.DIRENT.size + len(raw)) // 8) * 8
            if len(out) + extra + length > size:
                break
            if plus:
                # node number 0: no lookup is counted, as for . and .. and for what has just vanished
                known = node.alive and index >= 2
                out += self._entry(node) if known else bytes(extra)
            record = wire.DIRENT.pack(self._number(node), index + 1, len(raw), node.type_bits >> 12) + raw
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

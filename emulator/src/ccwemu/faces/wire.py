# SPDX-License-Identifier: GPL-2.0-or-later
"""The FUSE protocol on one /dev/fuse descriptor: frames in, frames out, a few threads.

Spoken here rather than through libfuse, because a kernel-made tree needs what the path-based library interface
hides: the node itself as the identity of a file (a device may vanish and come back under its name while a
descriptor of the old one is still open), invalidation of single names, several mounts in one process without
a signal handler or a C call-back thread, and no system package.

Numbers and layouts: include/uapi/linux/fuse.h, protocol 7.31. All integers are in the machine's own byte order.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import threading
from collections.abc import Callable
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from ccwemu.machine import waiting

log = logging.getLogger(__name__)

ROOT_ID = 1
MINOR = 31


class Op(IntEnum):
    """Request codes."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    SETXATTR = 21
    GETXATTR = 22
    LISTXATTR = 23
    REMOVEXATTR = 24
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    CREATE = 35
    INTERRUPT = 36
    DESTROY = 38
    IOCTL = 39
    POLL = 40
    BATCH_FORGET = 42
    READDIRPLUS = 44
    RENAME2 = 45


# The frame, and the bodies by their names in fuse.h.
IN_HEADER = Struct("=IIQQIIIHH")  # len opcode unique nodeid uid gid pid extlen padding
OUT_HEADER = Struct("=IiQ")  # len error unique
INIT_IN = Struct("=IIII")
INIT_OUT = Struct("=IIIIHHIIHHI28x")
ATTR = Struct("=QQQQQQIIIIIIIIII")
ENTRY_OUT = Struct("=QQQQII")  # nodeid generation entry_valid attr_valid and their nanoseconds; ATTR follows
ATTR_OUT = Struct("=QII")  # attr_valid, nanoseconds, padding; ATTR follows
SETATTR_IN = Struct("=IIQQQQQQIIIIIIII")
OPEN_IN = Struct("=II")
CREATE_IN = Struct("=IIII")
OPEN_OUT = Struct("=QII")
RELEASE_IN = Struct("=QIIQ")
READ_IN = Struct("=QQIIQII")
WRITE_IN = Struct("=QQIIQII")
WRITE_OUT = Struct("=II")
FSYNC_IN = Struct("=QII")
STATFS_OUT = Struct("=QQQQQIIII24x")
GETXATTR_IN = Struct("=II")
GETXATTR_OUT = Struct("=II")
MKNOD_IN = Struct("=IIII")
POLL_IN = Struct("=QQII")
POLL_OUT = Struct("=II")
FORGET_IN = Struct("=Q")
BATCH_FORGET_IN = Struct("=II")
FORGET_ONE = Struct("=QQ")
DIRENT = Struct("=QQII")
INVAL_INODE_OUT = Struct("=Qqq")
INVAL_ENTRY_OUT = Struct("=QII")
POLL_WAKEUP_OUT = Struct("=Q")

NOTIFY_POLL = 1
NOTIFY_INVAL_INODE = 2
NOTIFY_INVAL_ENTRY = 3

FOPEN_DIRECT_IO = 1
POLL_SCHEDULE_NOTIFY = 1

FLAG_ASYNC_READ = 1 << 0
FLAG_ATOMIC_O_TRUNC = 1 << 3
FLAG_BIG_WRITES = 1 << 5
FLAG_DO_READDIRPLUS = 1 << 13
FLAG_READDIRPLUS_AUTO = 1 << 14
FLAG_PARALLEL_DIROPS = 1 << 18
FLAG_MAX_PAGES = 1 << 22
_WANTED = (
    FLAG_ASYNC_READ
    | FLAG_ATOMIC_O_TRUNC
    | FLAG_BIG_WRITES
    | FLAG_DO_READDIRPLUS
    | FLAG_READDIRPLUS_AUTO
    | FLAG_PARALLEL_DIROPS
    | FLAG_MAX_PAGES
)


class Request(NamedTuple):
    """One request: who asks (pid in the pid namespace of the mount), about which node."""

    op: int
    unique: int
    nodeid: int
    uid: int
    gid: int
    pid: int


class _Received(NamedTuple):
    request: Request
    body: memoryview
    done: bool


_MOST_WAITING = 256
"""Requests that :meth:`Session.catch_up` looks at: as many processes would have to wait at the same time."""

Handler = Callable[[Request, memoryview], "bytes | None"]
"""Returns the body of the answer; None for a request that has none. Raises OSError for an error answer."""

Receive = Callable[[int, bytearray], int]
"""Reads a request from a descriptor into a buffer and returns its size; it may answer others before. Raises OSError."""


class _Turn:
    """A thread's turn to read the descriptor: it ends once."""

    __slots__ = ("_hand_over", "ended")

    def __init__(self, hand_over: Callable[[], None]) -> None:
        self._hand_over = hand_over
        self.ended = False

    def end(self) -> None:
        if not self.ended:
            self.ended = True
            self._hand_over()


class Session:
    """One mount. ``handlers`` answers each request code; one without a handler is answered ENOSYS.

    One thread at a time reads the descriptor and answers. Where it is about to wait it hands the reading to another
    thread (:mod:`ccwemu.machine.waiting`), so that it never holds up the others; a request named in ``blocking``, which
    moves data, does so from the start. One named in ``at_once`` is answered before anything else is read, so that
    :meth:`catch_up` can promise that none is left.
    """

    def __init__(
        self,
        fd: int,
        name: str,
        handlers: dict[Op, Handler],
        blocking: frozenset[Op],
        max_write: int,
        at_once: frozenset[Op] = frozenset(),
        receive: Receive = lambda fd, buffer: os.readv(fd, [buffer]),
    ) -> None:
        self.fd = fd
        self.name = name
        self._handlers = dict(handlers)
        self._blocking = blocking
        self._max_write = max_write
        self._spares = threading.Semaphore(0)
        self._spare_count = 0
        self._guard = threading.Lock()
        self._at_once = at_once
        self._receive_into = receive
        self._reading = threading.Lock()
        self._catching_up = threading.Lock()
        if at_once:
            os.set_blocking(fd, False)
            self._own_buffer = self._new_buffer()
        self.ended = threading.Event()

    def start(self) -> None:
        """Serve from a thread of its own. The answer to the mount's first request (INIT) comes from there."""
        self._new_thread()

    def close(self) -> None:
        """Close the descriptor. The kernel ends the mount's requests with ENOTCONN once no thread reads it."""
        self._end()
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    # -- what the kernel is told without having asked ---------------------------------------------------------------

    def invalidate_entry(self, parent: int, name: str) -> None:
        """Have the kernel forget a name of a directory. Never called with a lock held that a handler needs."""
        raw = os.fsencode(name)
        self._notify(NOTIFY_INVAL_ENTRY, INVAL_ENTRY_OUT.pack(parent, len(raw), 0) + raw + b"\0")

    def invalidate_attributes(self, nodeid: int) -> None:
        """Have the kernel forget mode, size, times and link count of a node."""
        self._notify(NOTIFY_INVAL_INODE, INVAL_INODE_OUT.pack(nodeid, -1, 0))

    def wake_poll(self, handle: int) -> None:
        self._notify(NOTIFY_POLL, POLL_WAKEUP_OUT.pack(handle))

    def _notify(self, code: int, body: bytes) -> None:
        try:
            os.writev(self.fd, [OUT_HEADER.pack(OUT_HEADER.size + len(body), code, 0), body])
        except OSError as error:
            # ENOENT: the kernel does not know the name (any more); ENODEV, EBADF: the mount is gone.
            if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EBADF, errno.ENOTCONN):
                log.warning("%s: the kernel did not take a notice: %s", self.name, error)

    # -- threads ----------------------------------------------------------------------------------------------------

    def _new_thread(self) -> None:
        threading.Thread(target=self._serve, name=f"fuse {self.name}", daemon=True).start()

    def _hand_over(self) -> None:
        """Let another thread read the descriptor from now on."""
        with self._guard:
            spare = self._spare_count > 0
            if spare:
                self._spare_count -= 1
        if spare:
            self._spares.release()
        else:
            self._new_thread()

    def _end(self) -> None:
        self.ended.set()
        with self._guard:
            count, self._spare_count = self._spare_count, 0
        if count:
            self._spares.release(count)

    def _become_spare(self) -> None:
        with self._guard:
            if self.ended.is_set():
                return
            self._spare_count += 1
        self._spares.acquire()

    def _new_buffer(self) -> bytearray:
        return bytearray(max(self._max_write, 8192) + 4096)

    def _serve(self) -> None:
        buffer = self._new_buffer()
        ready = select.poll()
        ready.register(self.fd, select.POLLIN)
        while not self.ended.is_set():
            if self._at_once:
                ready.poll()
            try:
                received = self._receive(buffer)
            except OSError as error:
                if error.errno not in (errno.ENODEV, errno.EBADF):  # ENODEV: unmounted
                    log.error("%s: reading requests: %s", self.name, error)
                self._end()
                return
            if received is None or received.done:
                continue
            turn = _Turn(self._hand_over)
            if received.request.op in self._blocking:
                turn.end()
            with waiting.told(turn.end):
                self._answer(received.request, received.body)
            if turn.ended:
                self._become_spare()

    def _receive(self, buffer: bytearray) -> _Received | None:
        """Read one request, and answer it if it is to be answered at once. None where there is none (any more)."""
        with self._reading:
            try:
                size = self._receive_into(self.fd, buffer)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EINTR, errno.ENOENT):  # ENOENT: the request was interrupted
                    return None
                raise
            _length, op, unique, nodeid, uid, gid, pid, *_more = IN_HEADER.unpack_from(buffer)
            request, body = Request(op, unique, nodeid, uid, gid, pid), memoryview(buffer)[IN_HEADER.size : size]
            if op not in self._at_once:
                return _Received(request, body, False)
            self._answer(request, body)
            return _Received(request, body, True)

    def catch_up(self) -> None:
        """Answer what the kernel has asked so far, as far as it is to be answered at once.

        Never called with a lock held that a handler needs. Requests come in the order in which they were made.
        """
        if not self._at_once:
            return
        with self._catching_up, contextlib.suppress(OSError):
            for _turn in range(_MOST_WAITING):
                received = self._receive(self._own_buffer)
                if received is None:
                    return
                if not received.done:
                    self._answer(received.request, received.body)

    def _answer(self, request: Request, body: memoryview) -> None:
        error = 0
        answer: bytes | None = b""
        try:
            if request.op == Op.INIT:
                answer = self._init(body)
            else:
                handler = self._handlers.get(request.op)  # type: ignore[call-overload]
                if handler is None:
                    error = errno.ENOSYS
                else:
                    answer = handler(request, body)
        except OSError as problem:
            error = problem.errno or errno.EIO
        except Exception:
            log.exception("%s: request %d on node %d", self.name, request.op, request.nodeid)
            error = errno.EIO
        if answer is None or request.op == Op.INTERRUPT:
            return
        if error:
            answer = b""
        try:
            os.writev(self.fd, [OUT_HEADER.pack(OUT_HEADER.size + len(answer), -error, request.unique), answer])
        except OSError as problem:
            # ENOENT: the caller was interrupted and no longer waits; ENODEV, EBADF: the mount is gone.
            if problem.errno not in (errno.ENOENT, errno.ENODEV, errno.EBADF):
                log.error("%s: answering request %d: %s", self.name, request.op, problem)

    def _init(self, body: memoryview) -> bytes:
        major, minor, readahead, flags = INIT_IN.unpack_from(body)
        if major != 7:
            raise OSError(errno.EPROTO, f"FUSE protocol {major}.{minor}, expected 7.x")
        pages = max(1, self._max_write // 4096)
        return INIT_OUT.pack(
            7, min(minor, MINOR), readahead, flags & _WANTED, 12, 10, self._max_write, 1, min(pages, 0xFFFF), 0, 0
        )

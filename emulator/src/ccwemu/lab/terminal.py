# SPDX-License-Identifier: GPL-2.0-or-later
"""A terminal of the node's own for a command that a user runs from a terminal.

The user's terminal is a device of the laptop, which nobody in the node may open by name: tty(1), /dev/tty and
/dev/stderr would fail. So the command gets a pseudo terminal of the node; this process carries bytes to and fro.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import socket
import termios
import tty

_CHUNK = 65536


def is_interactive() -> bool:
    """Whether standard input and output are a terminal."""
    return os.isatty(0) and os.isatty(1)


class Terminal:
    """Made before the command's process is; the pair itself by that process, as a pty belongs to who opens it."""

    def __init__(self) -> None:
        self._here, self._there = socket.socketpair()
        self._outer = -1

    def become_controlling(self) -> None:
        """In the command's process, when it is the node's root: a session of its own on a pty of the node."""
        outer, inner = os.openpty()
        socket.send_fds(self._there, [b"+"], [outer])
        self._here.close()
        self._there.close()
        os.close(outer)
        os.login_tty(inner)

    def carry(self) -> None:
        """In this process: carry until the command's side of the terminal is closed."""
        self._there.close()
        _data, descriptors, _flags, _address = socket.recv_fds(self._here, 1, 1)
        if not descriptors:  # the command's process has failed, and said why
            return
        self._outer = descriptors[0]
        self._copy_size()
        saved = termios.tcgetattr(0)
        signal.signal(signal.SIGWINCH, lambda number, frame: self._copy_size())
        try:
            tty.setraw(0, termios.TCSADRAIN)  # what was typed ahead is kept
            self._carry()
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)
            os.close(self._outer)

    def _carry(self) -> None:
        poll = select.poll()
        for descriptor in (0, self._outer):
            poll.register(descriptor, select.POLLIN)
        while True:
            for descriptor, _event in poll.poll():
                data = self._read(descriptor)
                if not data and descriptor == self._outer:
                    return
                if not data:
                    poll.unregister(0)
                    continue
                _write_all(self._outer if descriptor == 0 else 1, data)

    @staticmethod
    def _read(descriptor: int) -> bytes:
        try:
            return os.read(descriptor, _CHUNK)
        except OSError as error:
            if error.errno == errno.EIO:  # Linux says so when the other end is closed
                return b""
            raise

    def _copy_size(self) -> None:
        with contextlib.suppress(OSError):
            size = fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8)
            fcntl.ioctl(self._outer, termios.TIOCSWINSZ, size)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]

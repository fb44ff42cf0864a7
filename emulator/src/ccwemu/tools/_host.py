# SPDX-License-Identifier: GPL-2.0-or-later
"""The socket through which a command asks the emulated machine for what Linux offers by system call only.

One JSON object in a line each way; descriptors come beside the answer (SCM_RIGHTS). The machine is the host for a
command on a host, the guest for one in a quick guest.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from typing import Any

SOCKET = "/run/ccwemu/host.sock"


class HostError(Exception):
    """The machine refused. ``name`` is the errno's name (ENOENT), the text what it says."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class Connection:
    """A connection to the machine; what is opened through it lives as long as it does."""

    def __init__(self, path: str = SOCKET) -> None:
        """Raises OSError where no machine listens."""
        self.socket = _connect(path)
        self._pending = b""
        self._fds: list[int] = []

    def send(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        data = json.dumps(message).encode() + b"\n"
        if fds:
            socket.send_fds(self.socket, [data], list(fds))
        else:
            self.socket.sendall(data)

    def receive(self) -> tuple[dict[str, Any], list[int]] | None:
        """The next message and the descriptors that have come by then; None at the end of the connection."""
        while b"\n" not in self._pending:
            data, fds, _flags, _address = socket.recv_fds(self.socket, 65536, 8, socket.MSG_CMSG_CLOEXEC)
            self._fds += fds
            if not data:
                return None
            self._pending += data
            if self.socket.type == socket.SOCK_SEQPACKET and b"\n" not in self._pending:
                self._pending += b"\n"
        line, _newline, self._pending = self._pending.partition(b"\n")
        fds, self._fds = self._fds, []
        message = json.loads(line)
        if not isinstance(message, dict):
            raise HostError("EPROTO", f"the emulated machine answered {line!r}, expected a JSON object")
        return message, fds

    def ask(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> tuple[dict[str, Any], list[int]]:
        """Send and wait for the answer. Raises HostError where it is an error or none comes, OSError."""
        self.send(message, fds)
        answer = self.receive()
        if answer is None:
            raise HostError("ECONNRESET", f"the emulated machine closed {SOCKET} without an answer")
        if "error" in answer[0]:
            raise HostError(str(answer[0]["error"]), str(answer[0].get("message", answer[0]["error"])))
        return answer

    def close(self) -> None:
        self.socket.close()


def _connect(path: str) -> socket.socket:
    """A stream socket, or a sequenced one where the listener is of that type. Raises OSError."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        connection = socket.socket(socket.AF_UNIX, kind)
        try:
            connection.connect(path)
            return connection
        except OSError as error:
            connection.close()
            if kind == socket.SOCK_SEQPACKET or error.errno != errno.EPROTOTYPE:
                raise
    raise AssertionError


def ask(message: dict[str, Any], path: str = SOCKET) -> dict[str, Any]:
    """One question on a connection of its own. Raises HostError, OSError."""
    connection = Connection(path)
    try:
        answer, fds = connection.ask(message)
        for descriptor in fds:
            os.close(descriptor)
        return answer
    finally:
        connection.close()

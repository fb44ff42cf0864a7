# SPDX-License-Identifier: GPL-2.0-or-later
"""The socket in the guest through which its commands reach its machine: /run/ccwemu/host.sock, as on a host."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

Operation = Callable[[dict[str, Any]], dict[str, Any]]


class Service:
    """A listening socket with one JSON object in a line each way.

    An operation that raises OSError is answered with the errno's name and the text.
    """

    def __init__(self, path: str, operations: dict[str, Operation]) -> None:
        """``path`` is where the socket is made, as seen from here. Raises OSError."""
        self._operations = operations
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(path)
        os.chmod(path, 0o600)
        self._socket.listen(16)
        threading.Thread(target=self._accept, name="commands", daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), name="command", daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rwb") as stream:
                for line in stream:
                    stream.write(json.dumps(self._answer(line)).encode() + b"\n")
                    stream.flush()
        except OSError:
            return

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            message = json.loads(line)
            operation = self._operations[message["op"]]
        except (ValueError, KeyError, TypeError):
            known = ", ".join(self._operations)
            return {"error": "EOPNOTSUPP", "message": f"found {line[:80]!r}, a guest knows the operations {known}"}
        try:
            return {"ok": True, **operation(message)}
        except OSError as error:
            name = errno.errorcode.get(error.errno or errno.EIO, "EIO")
            return {"error": name, "message": error.strerror or str(error)}

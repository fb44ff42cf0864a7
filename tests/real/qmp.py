# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's monitor protocol, as far as these checks need it (QEMU docs/interop/qmp-spec.txt)."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

TIMEOUT = 60  # seconds for an answer or an event


class MonitorError(Exception):
    """QEMU refused a command; the text is what it said."""


class Monitor:
    """A connection to a QEMU. Raises OSError when it does not answer in time."""

    def __init__(self, path: Path) -> None:
        """``path`` may be longer than the address of a socket."""
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(TIMEOUT)
        self._socket.connect(f"/proc/self/fd/{directory}/{path.name}")
        os.close(directory)
        self._lines = self._socket.makefile("rw", encoding="utf-8")
        self._events: list[dict[str, Any]] = []
        self._next()
        self.do("qmp_capabilities")

    def _next(self) -> dict[str, Any]:
        line = self._lines.readline()
        if not line:
            raise ConnectionResetError("QEMU has closed its monitor")
        message: dict[str, Any] = json.loads(line)
        return message

    def do(self, command: str, **arguments: object) -> Any:
        """A command's answer. Raises MonitorError."""
        self._lines.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._lines.flush()
        while True:
            message = self._next()
            if "event" in message:
                self._events.append(message)
            elif "error" in message:
                raise MonitorError(f"{command}: {message['error']['desc']}")
            else:
                return message["return"]

    def wait(self, event: str, **data: object) -> None:
        """Until an event with these data has come."""
        while True:
            for number, message in enumerate(self._events):
                if message["event"] == event and data.items() <= message.get("data", {}).items():
                    del self._events[number]
                    return
            message = self._next()
            if "event" in message:
                self._events.append(message)

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

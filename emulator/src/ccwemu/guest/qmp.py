# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine protocol monitor: enough of QMP to ask how the guest is, to save and to end it (QEMU 7.2, qmp-spec)."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ccwemu.guest.qemuopts import Options, QemuError
from ccwemu.guest.release import Release

Command = Callable[[dict[str, Any]], Any]


class CommandError(Exception):
    """A command is refused; the text is what QEMU says."""


def version(release: Release) -> dict[str, Any]:
    """What query-version returns."""
    major, minor = release.number
    return {"qemu": {"major": major, "minor": minor, "micro": release.micro}, "package": "ccwemu"}


class Monitor:
    """A listening unix socket. ``commands``: name → function of its arguments; the result is what it returns."""

    def __init__(self, options: Options, commands: Mapping[str, Command], release: Release | None = None) -> None:
        """Raises QemuError where the socket cannot be made."""
        self._greeting = {"QMP": {"version": version(release or Release()), "capabilities": []}}
        self.path = options.get("path")
        self._commands = commands
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if os.path.exists(self.path):
                os.unlink(self.path)
            self._socket.bind(self.path)
            self._socket.listen(4)
        except OSError as error:
            raise QemuError(f"Failed to bind socket to {self.path}: {error.strerror}", options.where) from None

    def start(self) -> None:
        threading.Thread(target=self._accept, name="qmp", daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._socket.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), name="qmp", daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        ready = False
        try:
            with connection, connection.makefile("rwb") as stream:
                _send(stream, self._greeting)
                for line in stream:
                    if line.strip():
                        answer, ready = self._answer(line, ready)
                        _send(stream, answer)
        except OSError:
            return

    def _answer(self, line: bytes, ready: bool) -> tuple[dict[str, Any], bool]:
        """The answer to a line, and whether capabilities have been negotiated by then."""
        try:
            request = json.loads(line)
            name = request["execute"]
        except (ValueError, KeyError, TypeError):
            return _error("GenericError", "QMP input must be a JSON object with the member 'execute'"), ready
        identity = {"id": request["id"]} if "id" in request else {}
        if name == "qmp_capabilities":
            done = "Capabilities negotiation is already complete, command ignored"
            answer = _error("CommandNotFound", done) if ready else {"return": {}}
            return {**answer, **identity}, True
        if not ready:
            text = "Expecting capabilities negotiation with 'qmp_capabilities'"
            return {**_error("CommandNotFound", text), **identity}, False
        if name == "query-commands":
            return {"return": [{"name": command} for command in self._commands], **identity}, True
        command = self._commands.get(name)
        if command is None:
            return {**_error("CommandNotFound", f"The command {name} has not been found"), **identity}, True
        try:
            return {"return": command(request.get("arguments", {})), **identity}, True
        except CommandError as error:
            return {**_error("GenericError", str(error)), **identity}, True


def _error(kind: str, text: str) -> dict[str, Any]:
    return {"error": {"class": kind, "desc": text}}


def _send(stream: Any, message: dict[str, Any]) -> None:
    stream.write(json.dumps(message).encode() + b"\r\n")
    stream.flush()

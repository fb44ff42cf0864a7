# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One command to QEMU's machine protocol monitor (docs/interop/qmp-spec of QEMU: JSON objects, one to a line)."""

from __future__ import annotations

import json
from typing import Any

from .._host import Host, HostError

ANSWER_TIMEOUT = 10.0


class QmpError(Exception):
    """The monitor cannot be reached, or QEMU refuses the command."""


def execute(host: Host, path: str, command: str) -> Any:
    """Run a command without arguments and return what it returns. Raises QmpError."""
    try:
        connection = host.connect(path, ANSWER_TIMEOUT)
    except HostError as exc:
        raise QmpError(f"QEMU's monitor cannot be reached: {exc}") from exc
    with connection, connection.makefile("rwb") as stream:
        try:
            _read(stream, "QMP")
            _ask(stream, "qmp_capabilities")
            return _ask(stream, command)
        except (OSError, ValueError) as exc:
            raise QmpError(f"QEMU's monitor {path} broke off: {exc}") from exc


def _ask(stream: Any, command: str) -> Any:
    stream.write(json.dumps({"execute": command}).encode() + b"\n")
    stream.flush()
    return _read(stream, "return")


def _read(stream: Any, member: str) -> Any:
    """The next answer; events in between are passed over."""
    while True:
        line = stream.readline()
        if not line:
            raise QmpError("QEMU's monitor closed the connection")
        message = json.loads(line)
        if "error" in message:
            raise QmpError(f"QEMU refuses: {message['error'].get('desc', message['error'])}")
        if member in message:
            return message[member]

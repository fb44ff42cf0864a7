# SPDX-License-Identifier: GPL-2.0-or-later
"""Running programs in a node by its process 1: the side of who asks (the other: ``_serve`` of namespace/init)."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import select
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAX_OUTPUT = 1 << 16
"""Bytes of a program's output that are kept."""

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Ended:
    """How a program ended: its exit status (negative: the signal) and what it printed."""

    status: int
    output: str


def run_by_init(
    connection: socket.socket, argv: Sequence[str], environment: Mapping[str, str], seconds: float
) -> Ended:
    """One program at a time. Raises OSError: what starting it says, ESRCH where the node is gone."""
    number = next(_numbers)
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    try:
        os.set_blocking(read_end, False)
        try:
            request = {"run": number, "argv": list(argv), "env": dict(environment)}
            socket.send_fds(connection, [json.dumps(request).encode()], [write_end])
        except OSError:
            raise _gone() from None
        finally:
            os.close(write_end)
        return _wait(connection, number, read_end, time.monotonic() + seconds)
    finally:
        os.close(read_end)


def _wait(connection: socket.socket, number: int, read_end: int, deadline: float) -> Ended:
    """What it left running may hold its output open: that is read as far as it has come when it ends."""
    output = b""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    poll.register(read_end, select.POLLIN)
    while True:
        ready = dict(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
        if not ready:
            _kill(connection, number)
            deadline = time.monotonic() + 60  # a process that waits in the kernel does not end
            continue
        if read_end in ready:
            data = _read(read_end)
            output = (output + data)[:MAX_OUTPUT]
            if not data:
                poll.unregister(read_end)
        if connection.fileno() in ready:
            message = _receive(connection)
            if message.get("ended") == number:
                return _ended(message, output + _read(read_end))


def _kill(connection: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):
        connection.send(json.dumps({"kill": number}).encode())


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, MAX_OUTPUT)
    except BlockingIOError:
        return b""


def _receive(connection: socket.socket) -> dict[str, object]:
    try:
        data = connection.recv(1 << 16)
    except OSError:
        data = b""
    if not data:
        raise _gone()
    message = json.loads(data)
    return message if isinstance(message, dict) else {}


def _ended(message: dict[str, object], output: bytes) -> Ended:
    number = message.get("errno")
    if isinstance(number, int):
        raise OSError(number, os.strerror(number))
    status = message.get("status")
    return Ended(status if isinstance(status, int) else 1, output[:MAX_OUTPUT].decode("utf-8", "replace"))


def _gone() -> OSError:
    return OSError(errno.ESRCH, "the node is gone")

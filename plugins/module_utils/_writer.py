# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A child process for writes that may block in the kernel.

Removing a mediated device that someone holds open blocks, without an end and without a way to take the request back
(drivers/vfio/vfio_main.c, vfio_unregister_group_dev). A child does such writes, so that the caller stays free to say
so. One child does many of them, since a process costs more than a write; one that blocks is left to itself.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterable
from typing import Callable

Write = Callable[[str, str], int]
"""Writes a value to a path; 0, or the errno."""


class Lost(Exception):
    """The writer is of no more use: its process is gone."""


class Blocked(Lost):
    """The writer is of no more use: its write did not finish in time."""


class Writer:
    """Forks on creation. The child ends when the writer is closed, or with the process."""

    def __init__(self, write: Write, to_close: Iterable[int]) -> None:
        requests, self._request = os.pipe()
        self._answer, answers = os.pipe()
        if os.fork() == 0:
            os.close(self._request)  # else the end of the requests would never be seen
            os.close(self._answer)
            _serve(write, requests, answers, to_close)
        os.close(requests)
        os.close(answers)

    def write(self, path: str, value: str, timeout: float) -> int:
        """0, or the errno. Raises Lost; Blocked after so many seconds."""
        try:
            os.write(self._request, f"{path}\0{value}\n".encode())
        except BrokenPipeError as exc:
            raise Lost from exc
        ready, _unused, _unused2 = select.select([self._answer], [], [], timeout)
        if not ready:
            raise Blocked
        answer = os.read(self._answer, 16)
        if not answer:
            raise Lost
        return int(answer)

    def close(self) -> None:
        os.close(self._request)
        os.close(self._answer)


def _serve(write: Write, requests: int, answers: int, to_close: Iterable[int]) -> None:
    try:
        # an inherited pipe to the controller would hold the task open as long as the kernel holds this process
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.setsid()
        for descriptor in to_close:  # locks, which a write that blocks for ever must not hold
            os.close(descriptor)
        with os.fdopen(requests, encoding="utf-8") as lines:
            for line in lines:
                path, value = line.rstrip("\n").split("\0")
                number = write(path, value)
                with contextlib.suppress(OSError):  # nobody waits any more
                    os.write(answers, f"{number}\n".encode())
    finally:
        os._exit(0)

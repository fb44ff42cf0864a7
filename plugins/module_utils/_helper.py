# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A child process for what may block in the kernel.

Removing a mediated device that someone holds open blocks, without an end and without a way to take the request back
(drivers/vfio/vfio_main.c, vfio_unregister_group_dev). So does reading a disk that another system has reserved. A child
does such work, so that the caller stays free to say so. One child does much of it, since a process costs more than a
write; one that blocks is left to itself.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Iterable
from typing import Callable

Work = Callable[[str], str]
"""A line of text to another. Raises OSError."""


class Lost(Exception):
    """The helper is of no more use: its process is gone."""


class Blocked(Lost):
    """The helper is of no more use: its work did not finish in time."""


class Helper:
    """Forks on creation. The child ends when the helper is closed, or with the process."""

    def __init__(self, work: Work, to_close: Iterable[int]) -> None:
        requests, self._request = os.pipe()
        self._answer, answers = os.pipe()
        if os.fork() == 0:
            os.close(self._request)  # else the end of the requests would never be seen
            os.close(self._answer)
            _serve(work, requests, answers, to_close)
        os.close(requests)
        os.close(answers)

    def do(self, request: str, timeout: float) -> str:
        """The answer. Raises OSError as the work did; Lost; Blocked after so many seconds."""
        try:
            os.write(self._request, f"{request}\n".encode("utf-8", "surrogateescape"))
        except BrokenPipeError as exc:
            raise Lost from exc
        number, _blank, text = self._line(time.monotonic() + timeout).partition(" ")
        if number != "0":
            raise OSError(int(number), os.strerror(int(number)))
        return text

    def _line(self, end: float) -> str:
        line = b""
        while not line.endswith(b"\n"):
            ready, _unused, _unused2 = select.select([self._answer], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise Blocked
            more = os.read(self._answer, 65536)
            if not more:
                raise Lost
            line += more
        return line.decode("utf-8", "surrogateescape").rstrip("\n")

    @property
    def descriptors(self) -> tuple[int, int]:
        """What another child has to close, which would keep this one from ending."""
        return self._request, self._answer

    def close(self) -> None:
        os.close(self._request)
        os.close(self._answer)


def _serve(work: Work, requests: int, answers: int, to_close: Iterable[int]) -> None:
    try:
        # an inherited pipe to the controller would hold the task open as long as the kernel holds this process
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.setsid()
        for descriptor in to_close:  # what work that blocks for ever must not hold: locks, other children's pipes
            os.close(descriptor)
        with os.fdopen(requests, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                answer = _answer(work, line.rstrip("\n"))
                with contextlib.suppress(OSError):  # nobody waits any more
                    os.write(answers, f"{answer}\n".encode("utf-8", "surrogateescape"))
    finally:
        os._exit(0)


def _answer(work: Work, request: str) -> str:
    try:
        return f"0 {work(request)}"
    except OSError as exc:
        return str(exc.errno or 5)

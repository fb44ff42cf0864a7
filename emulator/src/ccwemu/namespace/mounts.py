# SPDX-License-Identifier: GPL-2.0-or-later
"""What is mounted in a mount namespace, as its /proc/PID/mountinfo says."""

from __future__ import annotations

import os
import select
from collections import Counter
from pathlib import Path


class MountTable:
    """The mounts of a process's namespace. The file is read again only when the kernel says that they are others.

    Source: Linux fs/proc_namespace.c, mounts_poll(): an open file is exceptional once after each change.
    """

    def __init__(self, pid: int, proc: Path = Path("/proc")) -> None:
        """Raises OSError: there is no such process."""
        self.pid = pid
        self._fd = os.open(proc / str(pid) / "mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLPRI)
        self._sources: Counter[str] | None = None

    def count(self, source: str) -> int:
        """How many mounts have this source ("/dev/dasda1"). Raises OSError: the process is gone."""
        if self._poll.poll(0) or self._sources is None:
            self._sources = Counter(_sources(self._read()))
        return self._sources[source]

    def _read(self) -> str:
        os.lseek(self._fd, 0, os.SEEK_SET)
        with open(self._fd, encoding="utf-8", errors="replace", closefd=False) as lines:
            return lines.read()

    def close(self) -> None:
        os.close(self._fd)


def _sources(text: str) -> list[str]:
    """Of each line the mount's source: the second word behind the separator (proc(5))."""
    behind = (line.partition(" - ")[2].split(" ") for line in text.splitlines())
    return [words[1] for words in behind if len(words) > 1]

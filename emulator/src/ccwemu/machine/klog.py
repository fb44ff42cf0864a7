# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

EMERG, ALERT, CRIT, ERR, WARNING, NOTICE, INFO, DEBUG = range(8)

LIMIT = 20_000
"""Records that are kept; the older half goes when there are more."""


@dataclass(frozen=True)
class LogRecord:
    """A message: level 0 (emergency) to 7 (debug), seconds since boot, text."""

    level: int
    seconds: float
    text: str


class KernelLog:
    """What dmesg shows. Times count from the making of the log."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self.records: list[LogRecord] = []

    def append(self, text: str, level: int = INFO) -> None:
        if len(self.records) >= LIMIT:
            del self.records[: LIMIT // 2]
        self.records.append(LogRecord(level, self._clock() - self._start, text))

    def clear(self) -> None:
        self.records.clear()

    def lines(self) -> list[str]:
        """The messages without time and level."""
        return [record.text for record in self.records]

    def text(self) -> str:
        """As dmesg prints it: "[   12.345678] message"."""
        return "".join(f"[{record.seconds:12.6f}] {record.text}\n" for record in self.records)

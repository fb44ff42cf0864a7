# SPDX-License-Identifier: GPL-2.0-or-later
"""The lock of a machine, which tells those who may only look from those who may change something."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ccwemu.machine import waiting

Watcher = Callable[[bool], object]
"""Called with True before anything may change, with False when it no longer can."""


class _CountedLock:
    """An RLock that knows whether its holder may change something. What threading.Condition wants of a lock."""

    def __init__(self) -> None:
        self._lock: Any = threading.RLock()
        self._depth = 0
        self._reading = False
        self.watchers: list[Watcher] = []

    def _tell(self, changing: bool) -> None:
        if self._depth and not self._reading:
            for watcher in self.watchers:
                watcher(changing)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not self._lock.acquire(False):
            if not blocking:
                return False
            waiting.announce()
            if not self._lock.acquire(True, timeout):
                return False
        self._depth += 1
        if self._depth == 1:
            self._tell(True)
        return True

    def release(self) -> None:
        if self._depth == 1:
            self._tell(False)
        self._depth -= 1
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    @contextmanager
    def reading(self) -> Iterator[None]:
        if not self._lock.acquire(False):
            waiting.announce()
            self._lock.acquire()
        try:
            before = self._reading
            self._reading = before or not self._depth
            try:
                yield
            finally:
                self._reading = before
        finally:
            self._lock.release()

    # Who waits lets others change the machine, and may go on changing it afterwards.

    def _release_save(self) -> tuple[Any, int, bool]:
        self._tell(False)
        depth, reading = self._depth, self._reading
        self._depth, self._reading = 0, False
        return self._lock._release_save(), depth, reading

    def _acquire_restore(self, saved: tuple[Any, int, bool]) -> None:
        inner, depth, reading = saved
        self._lock._acquire_restore(inner)
        self._depth, self._reading = depth, reading
        self._tell(True)

    def _is_owned(self) -> bool:
        return bool(self._lock._is_owned())


class MachineLock(threading.Condition):
    """Whoever changes the machine holds it; who waits for a change waits on it.

    :meth:`reading` keeps changes out and promises to make none, so that what was made under it (the content of an
    attribute) holds until the next time that somebody takes the lock in the other way.
    """

    def __init__(self) -> None:
        self._counted = _CountedLock()
        super().__init__(self._counted)  # type: ignore[arg-type]

    def wait(self, timeout: float | None = None) -> bool:
        waiting.announce()
        return super().wait(timeout)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold the lock without changing anything. Inside a section that changes things it is part of that."""
        with self._counted.reading():
            yield

    def watch(self, watcher: Watcher) -> None:
        """Call back around everything that may change the machine. Called under :meth:`reading`."""
        self._counted.watchers.append(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        """End that. One that is not called back is no error."""
        with self._counted.reading():
            if watcher in self._counted.watchers:
                self._counted.watchers.remove(watcher)

# SPDX-License-Identifier: GPL-2.0-or-later
"""Work that the kernel does later: device recognition, path verification, evaluation of subchannels.

A store that causes it has returned before it runs, as on Linux; /proc/cio_settle waits for it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

Job = Callable[[], None]


class WorkQueue:
    """Jobs run one after the other under the machine's lock, in a thread of their own.

    ``threaded=False`` runs them where someone settles: for tests that look at the time between.
    """

    def __init__(self, lock: threading.Condition, report: Callable[[str], None], threaded: bool = True) -> None:
        self._lock = lock
        self._report = report
        self._threaded = threaded
        self._jobs: deque[tuple[float, Job]] = deque()
        self._running = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def schedule(self, job: Job, delay: float = 0.0) -> None:
        """Run the job soon, ``delay`` seconds from now at the earliest."""
        with self._lock:
            self._jobs.append((time.monotonic() + delay, job))
            if self._threaded and self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="kworker", daemon=True)
                self._thread.start()
            self._lock.notify_all()

    @property
    def pending(self) -> bool:
        return bool(self._jobs) or self._running

    def flush(self) -> None:
        """Return when nothing is left to do, also what the jobs themselves scheduled."""
        with self._lock:
            if not self._threaded or threading.current_thread() is self._thread:
                while self._jobs:
                    self._run(self._jobs.popleft()[1])
                return
            while self.pending and not self._closed:
                self._lock.wait()

    def close(self) -> None:
        """Forget what is left and end the thread."""
        with self._lock:
            self._closed = True
            self._jobs.clear()
            self._lock.notify_all()

    def _run(self, job: Job) -> None:
        try:
            job()
        except Exception as problem:  # one bad device must not end the thread that serves all
            self._report(f"work failed: {type(problem).__name__}: {problem}")

    def _loop(self) -> None:
        with self._lock:
            while not self._closed:
                if not self._jobs:
                    self._lock.wait()
                    continue
                due, job = self._jobs[0]
                left = due - time.monotonic()
                if left > 0:
                    self._lock.wait(left)
                    continue
                self._jobs.popleft()
                self._running = True
                try:
                    self._run(job)
                finally:
                    self._running = False
                    self._lock.notify_all()

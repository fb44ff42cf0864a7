# SPDX-License-Identifier: GPL-2.0-or-later
"""A thread that is about to wait says so, and who counts on it meanwhile has another one do its work.

Most stores never wait, and to have a second thread ready for each costs more than the store itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

Callback = Callable[[], None]


class _Callbacks(threading.local):
    """Of this thread, the innermost last."""

    def __init__(self) -> None:
        self.stack: list[Callback] = []


_callbacks = _Callbacks()


class told:
    """Within it, ``callback`` is called before this thread waits, once for each time. It must not wait itself."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callback) -> None:
        self._callback = callback

    def __enter__(self) -> None:
        _callbacks.stack.append(self._callback)

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        _callbacks.stack.pop()


def announce() -> None:
    """This thread is about to wait: for a lock that another has, a condition, a device's answer."""
    for callback in _callbacks.stack:
        callback()

# SPDX-License-Identifier: GPL-2.0-or-later
"""Which uevents may be worked on at the same time.

An event waits for the earlier ones of its device, of the devices above it and of those below it; nothing else orders
events. Source: systemd src/udev/udevd.c (event_is_blocked).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from ccwemu.machine.uevent import Uevent


@dataclass(eq=False)
class Queued:
    """An event that is not finished. It is ready when it waits for none."""

    event: Uevent
    waits_for: int = 0
    _waiting: list[Queued] = field(default_factory=list)


class EventQueue:
    """The events that are not finished."""

    def __init__(self) -> None:
        self._at: dict[str, list[Queued]] = defaultdict(list)
        self._below: dict[str, list[Queued]] = defaultdict(list)

    def add(self, event: Uevent) -> Queued:
        queued = Queued(event)
        path = event.devpath
        above = list(_above(path))
        for each in (path, *above):
            for earlier in self._at.get(each, ()):
                self._let_wait(queued, earlier)
        for earlier in self._below.get(path, ()):
            self._let_wait(queued, earlier)
        self._at[path].append(queued)
        for each in above:
            self._below[each].append(queued)
        return queued

    @staticmethod
    def _let_wait(queued: Queued, earlier: Queued) -> None:
        queued.waits_for += 1
        earlier._waiting.append(queued)

    def finish(self, queued: Queued) -> list[Queued]:
        """Returns those that are ready by that, in the order of their arrival."""
        path = queued.event.devpath
        self._at[path].remove(queued)
        for each in _above(path):
            self._below[each].remove(queued)
        for later in queued._waiting:
            later.waits_for -= 1
        return [later for later in queued._waiting if not later.waits_for]


def _above(path: str) -> Iterator[str]:
    """The paths of the devices above one; "/devices" and the like are none."""
    while path.count("/") > 2:
        path = path.rsplit("/", 1)[0]
        yield path

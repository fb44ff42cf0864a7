# SPDX-License-Identifier: GPL-2.0-or-later
"""The smaller parts of the driver core: a device's mutex, classes, numbers, driver_override.

Source: Linux drivers/base/class.c, driver.c, power/sysfs.c; lib/idr.c.
"""

from __future__ import annotations

import errno
import heapq
import threading
from collections.abc import Callable

from ccwemu.machine.cstring import cstring, error
from ccwemu.machine.kernel import Kernel
from ccwemu.machine.tree import Attribute, Directory

_POWER = {
    "autosuspend_delay_ms": None,
    "control": "auto\n",
    "runtime_active_time": "0\n",
    "runtime_status": "unsupported\n",
    "runtime_suspended_time": "0\n",
}


class DeviceMutex:
    """device_lock(): who binds, unbinds or changes a device keeps others out, also while it waits.

    Waiting gives the machine's lock up, so that a removal that blocks on a user does not stop the machine.
    """

    def __init__(self, lock: threading.Condition) -> None:
        self._lock = lock
        self._owner: int | None = None
        self._depth = 0
        self._waiting = 0

    def __enter__(self) -> None:
        self._lock.acquire()
        me = threading.get_ident()
        while self._owner not in (None, me):
            self._waiting += 1
            try:
                self._lock.wait()
            finally:
                self._waiting -= 1
        self._owner = me
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
            if self._waiting:
                self._lock.notify_all()
        self._lock.release()


class SysClass:
    """A device class: /sys/class/<name>, with a link to each of its devices."""

    def __init__(self, kernel: Kernel, name: str) -> None:
        self.kernel = kernel
        self.name = name
        self.directory = kernel.directory(f"class/{name}")

    def unregister(self) -> None:
        self.kernel.directory("class").remove(self.name)


def power_directory() -> Directory:
    power = Directory("power")
    for name, value in _POWER.items():
        mode = 0o644 if name in ("control", "autosuspend_delay_ms") else 0o444
        power.add(Attribute(name, mode, _power_show(value), lambda _: None))
    return power


def _power_show(value: str | None) -> Callable[[], str]:
    def show() -> str:
        if value is None:
            raise error(errno.EIO)
        return value

    return show


class DriverOverride:
    """The ``driver_override`` attribute. Source: drivers/base/driver.c, driver_set_override()."""

    LIMIT = 4095

    def __init__(self) -> None:
        self.name: str | None = None

    def allows(self, driver: str) -> bool:
        return self.name is None or self.name == driver

    def attribute(self) -> Attribute:
        return Attribute("driver_override", 0o644, lambda: f"{self.name or '(null)'}\n", self._store)

    def _store(self, data: bytes) -> None:
        if len(data) >= self.LIMIT:
            raise error(errno.EINVAL)
        self.name = cstring(data.split(b"\n", 1)[0]) or None


class IdAllocator:
    """The lowest free number (ida_alloc)."""

    def __init__(self) -> None:
        self._used: set[int] = set()
        self._free: list[int] = []
        """A heap of those that were given back: all below the number of those that are used and these."""

    def get(self) -> int:
        number = heapq.heappop(self._free) if self._free else len(self._used)
        self._used.add(number)
        return number

    def put(self, number: int) -> None:
        """Give a number back. One that is free already is no error."""
        if number in self._used:
            self._used.remove(number)
            heapq.heappush(self._free, number)

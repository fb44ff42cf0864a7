# SPDX-License-Identifier: GPL-2.0-or-later
"""/sys/firmware: the device that the machine was started from, and those of the next start and of a dump.

Source: Linux arch/s390/kernel/ipl.c, for CCW devices; other types are not offered. A machine whose description names
none has none of these directories.
"""

from __future__ import annotations

import errno
import re

from ccwemu.machine.cstring import error
from ccwemu.machine.kernel import Kernel, text_attribute
from ccwemu.machine.tree import Attribute

_DEVICE = re.compile(r"0\.([0-3])\.([0-9a-fA-F]{1,4})")


class _Setting:
    """Type and CCW device of the next start, or of a dump; both can be written."""

    def __init__(self, kernel: Kernel, name: str, device: str, kinds: tuple[str, ...]) -> None:
        self._lock = kernel.lock
        self._kinds = kinds
        self._kind = "ccw" if device else kinds[0]
        self._device = device or "0.0.0000"
        directory = kernel.directory(f"firmware/{name}")
        directory.add(Attribute(f"{name}_type", 0o644, lambda: f"{self._kind}\n", self._store_kind))
        ccw = kernel.directory(f"firmware/{name}/ccw")
        ccw.add(Attribute("device", 0o644, lambda: f"{self._device}\n", self._store_device))

    def _store_kind(self, data: bytes) -> None:
        word = data.decode("latin-1").strip()
        if word not in self._kinds:
            raise error(errno.EINVAL)
        with self._lock:
            self._kind = word

    def _store_device(self, data: bytes) -> None:
        match = _DEVICE.fullmatch(data.decode("latin-1").strip())
        if match is None:
            raise error(errno.EINVAL)
        with self._lock:
            self._device = f"0.{match.group(1)}.{int(match.group(2), 16):04x}"


def install(kernel: Kernel, ipl: str, dump: str) -> None:
    """``ipl``: the device that the machine was started from, and will be; ``dump``: its dump device; "" for none."""
    if ipl:
        directory = kernel.directory("firmware/ipl")
        known = (("ipl_type", "ccw"), ("device", ipl), ("loadparm", ""), ("secure", "0"), ("has_secure", "0"))
        for name, value in known:
            directory.add(text_attribute(name, value))
    if ipl or dump:
        _Setting(kernel, "reipl", ipl, ("none", "ccw"))
        _Setting(kernel, "dump", dump, ("none", "ccw"))

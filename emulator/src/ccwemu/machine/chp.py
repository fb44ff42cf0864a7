# SPDX-License-Identifier: GPL-2.0-or-later
"""Channel paths: /sys/devices/css0/chp0.XX. Source: Linux drivers/s390/cio/chp.c."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable

from ccwemu.machine.cstring import cstring, error
from ccwemu.machine.driver_core import Device
from ccwemu.machine.kernel import Kernel, text_attribute
from ccwemu.machine.spec import ChpidSpec
from ccwemu.machine.tree import Attribute, Directory

UTIL_STRING_SIZE = 64


class ChannelPath(Device):
    """A channel path, which software can vary on and off for its own use."""

    def __init__(self, kernel: Kernel, css0: Directory, spec: ChpidSpec, varied: Callable[[int, bool], None]) -> None:
        """``varied(chpid, on)`` is called after the state has changed."""
        super().__init__(kernel, f"chp0.{spec.chpid:02x}", css0)
        self.spec = spec
        self.online = spec.online
        self.configured = True
        """Not on standby."""
        self._varied = varied

    def attributes(self) -> list[Attribute]:
        spec = self.spec
        return [
            Attribute("status", 0o644, lambda: "online\n" if self.online else "offline\n", self._store_status),
            Attribute("configure", 0o644, self._show_configure, self._store_configure),
            text_attribute("type", f"{spec.type:x}"),
            text_attribute("cmg", "unknown"),
            text_attribute("shared", "unknown"),
            Attribute("chid", 0o444, lambda: "" if spec.chid is None else f"{spec.chid:04x}\n"),
            Attribute("chid_external", 0o444, lambda: "" if spec.chid is None else "1\n"),
            text_attribute("esc", "0"),
            Attribute("util_string", 0o444, lambda: b"", st_size=UTIL_STRING_SIZE),
        ]

    def vary(self, on: bool) -> None:
        """Vary logically on or off. Off when off already does nothing; on always has the devices looked at."""
        if not on and not self.online:
            return
        self.online = on
        self._varied(self.spec.chpid, on)

    def _store_status(self, data: bytes) -> None:
        words = cstring(data).split()
        if not words:
            return
        word = words[0]
        if word[:2].lower() == "on" or word == "1":
            self.vary(True)
        elif word[:3].lower() == "off" or word == "0":
            self.vary(False)
        else:
            raise error(errno.EINVAL)

    def _show_configure(self) -> str:
        if not self.spec.configurable:
            raise error(errno.EOPNOTSUPP)
        return f"{int(self.configured)}\n"

    def _store_configure(self, data: bytes) -> None:
        """Succeeds whether or not the machine carries it out (chp_cfg_schedule). A path on standby is not available."""
        match = re.match(r"^\s*([+-]?\d+)\s*$", cstring(data))
        if match is None or int(match[1]) not in (0, 1):
            raise error(errno.EINVAL)
        configured = bool(int(match[1]))
        if self.spec.configurable and configured != self.configured:
            self.configured = configured
            self._varied(self.spec.chpid, configured)

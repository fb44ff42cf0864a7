# SPDX-License-Identifier: GPL-2.0-or-later
"""The channel measurement facility of a ccw device: ``cmb_enable`` and ``cmf/``. Source: drivers/s390/cio/cmf.c."""

from __future__ import annotations

import errno

from ccwemu.machine.cstring import cstring, error, kstrtoul
from ccwemu.machine.kernel import text_attribute
from ccwemu.machine.tree import Attribute, Directory

VALUES = {
    "avg_control_unit_queuing_time": "0",
    "avg_device_active_only_time": "0",
    "avg_device_busy_time": "0",
    "avg_device_connect_time": "0",
    "avg_device_disconnect_time": "0",
    "avg_function_pending_time": "0",
    "avg_initial_command_response_time": "0",
    "avg_sample_interval": "-1",
    "avg_utilization": "00.0%",
    "sample_count": "0",
    "ssch_rsch_count": "0",
}
"""What is measured while nothing has been: the emulated channel subsystem keeps no measurement block."""


class ChannelMeasurement:
    """Measurement of one device, which a directory shows while it is on."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    @property
    def enabled(self) -> bool:
        return "cmf" in self._directory

    def attribute(self) -> Attribute:
        return Attribute("cmb_enable", 0o644, lambda: f"{int(self.enabled)}\n", self._store)

    def _store(self, data: bytes) -> None:
        value = kstrtoul(cstring(data), 16)
        if value == 1:
            self._enable()
        elif value == 0 and self.enabled:
            self._directory.remove("cmf")
        else:
            raise error(errno.EINVAL)

    def _enable(self) -> None:
        if self.enabled:
            return
        group = self._directory.add(Directory("cmf"))
        for name, value in VALUES.items():
            group.add(text_attribute(name, value))

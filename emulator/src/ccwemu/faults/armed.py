# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults on a device of the core in this process, and what has come of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ccwemu.channel import Device
from ccwemu.faults.model import Fault

Counted = Callable[[int, int, int], None]
"""Told the identity of a fault, the starts that still pass, and those that it still meets."""


class ArmedDevice:
    """What is armed on a device. ``counted`` is told, by :meth:`report`, of each fault that starts have met."""

    def __init__(self, device: Device, counted: Counted) -> None:
        self._device = device
        self._counted = counted
        self._any = False

    def arm(self, faults: Iterable[Fault]) -> None:
        """Raises OSError (core/fault.h)."""
        for fault in faults:
            self._device.arm_fault(fault.identity, fault.kind, fault.command, fault.skip, fault.left, fault.sense)
            self._any = True

    def disarm(self) -> None:
        self._device.disarm_fault(0)

    def report(self) -> None:
        """Called after each start; costs nothing before the first fault."""
        if self._any:
            for change in self._device.fault_changes():
                self._counted(*change)

# SPDX-License-Identifier: GPL-2.0-or-later
"""What a quick guest's monitor can be asked and told (QEMU 7.2, qapi/)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ccwemu.guest import migration
from ccwemu.guest.plan import Plan
from ccwemu.guest.qemuopts import QemuError
from ccwemu.guest.qmp import Command, CommandError, version

if TYPE_CHECKING:
    from ccwemu.guest.quick import QuickGuest


class Commands:
    """The commands of one guest, which comes into being after them."""

    def __init__(self, plan: Plan, end: Callable[[], None]) -> None:
        self._plan = plan
        self._end = end
        self._guest: QuickGuest | None = None
        self._status = "inmigrate" if plan.line.incoming else "running"
        self._migration: dict[str, Any] = {}
        self._guard = threading.Lock()

    def runs(self, guest: QuickGuest) -> None:
        """The guest is up."""
        self._guest, self._status = guest, "running"

    def table(self) -> Mapping[str, Command]:
        name, release = self._plan.line.name, self._plan.line.release
        return {
            "query-status": lambda _: self._state(),
            "query-name": lambda _: {"name": name} if name else {},
            "query-version": lambda _: version(release),
            "query-kvm": lambda _: {"enabled": False, "present": False},
            "query-migrate": lambda _: self._migration,
            "quit": lambda _: self._stop(),
            "system_powerdown": lambda _: self._stop(),
            "device_del": self._device_del,
            "migrate": self._migrate,
        }

    def _state(self) -> dict[str, Any]:
        return {"status": self._status, "singlestep": False, "running": self._status == "running"}

    def _stop(self) -> dict[str, Any]:
        self._end()
        return {}

    def _running(self) -> QuickGuest:
        if self._guest is None or self._status != "running":
            raise CommandError(f"The guest is not running: {self._status}")
        return self._guest

    def _device_del(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Of a passed-through device only: the model of Linux in a quick guest does not let go of the others."""
        identity = str(arguments.get("id"))
        with self._guard:
            guest = self._running()
            for passed in guest.held():
                if passed.device.options.id == identity:
                    guest.unplug(passed)
                    return {}
        if any(device.options.id == identity for device in self._plan.devices):
            raise CommandError(f"Device '{identity}' is virtual; unplugging it is not offered by the quick guest")
        raise CommandError(f"Device '{identity}' not found")

    def _migrate(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Save the guest, which then stops. It is done when this returns; QEMU does it in the background."""
        uri = str(arguments.get("uri"))
        with self._guard:
            guest = self._running()
            reason = migration.blocked(self._plan, [passed.number for passed in guest.held()])
            if reason:
                raise CommandError(reason)
            try:
                migration.check_uri(uri, "")
            except QemuError as error:
                raise CommandError(str(error)) from None
            try:
                migration.send(migration.state(self._plan).dump(), uri)
            except OSError as error:
                self._migration = {"status": "failed", "error-desc": str(error)}
                return {}
            self._migration, self._status = {"status": "completed"}, "postmigrate"
            guest.freeze()
        return {}

# SPDX-License-Identifier: GPL-2.0-or-later
"""The faults of one host's devices: what is armed, and who executes the programs that will meet it.

A fault belongs to the device, not to who uses it. It waits here; who takes the subchannel into use (the host's own
driver, or who opens its mediated device) gets what is still to come, and tells back what has come. So a fault that is
armed while the host has the disk is met by the guest that has it next, and the other way round.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from ccwemu.faults.model import SLOTS, Fault, FaultError


class User(Protocol):
    """Who executes the programs of a subchannel at the moment. Its methods must not come back into the board."""

    def arm(self, fault: Fault) -> None: ...

    def disarm(self) -> None:
        """All of them."""

    def set_device_valid(self, valid: bool) -> None:
        """The device has gone from under the subchannel, or come back."""


class Board:
    """Faults by subchannel's bus id. ``lock`` is held while a user is told: it orders what is told."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._faults: dict[str, dict[int, Fault]] = {}
        self._users: dict[str, User] = {}
        self._removed: set[str] = set()
        self._next = 1

    def attach(self, busid: str, user: User) -> list[Fault]:
        """The user has the subchannel from now on; the faults that it is to arm."""
        with self.lock:
            self._users[busid] = user
            return self.pending(busid)

    def detach(self, busid: str, user: User) -> None:
        """No error where another has the subchannel by now."""
        with self.lock:
            if self._users.get(busid) is user:
                del self._users[busid]

    def arm(self, busid: str, fault: Fault) -> Fault:
        """Arm a fault; it gets its identity. Raises FaultError."""
        with self.lock:
            faults = self._faults.setdefault(busid, {})
            if len(faults) >= SLOTS:
                raise FaultError(f"{SLOTS} faults are armed on it, as many as can be; clear them, or have them met")
            armed = replace(fault, identity=self._next)
            self._next += 1
            faults[armed.identity] = armed
            if busid in self._users:
                self._users[busid].arm(armed)
            return armed

    def counted(self, busid: str, identity: int, skip: int, left: int) -> None:
        """What a user tells. One that was cleared meanwhile is no error."""
        with self.lock:
            faults = self._faults.get(busid, {})
            if identity not in faults:
                return
            if left:
                faults[identity] = faults[identity].counted(skip, left)
            else:
                del faults[identity]

    def clear(self, busid: str) -> int:
        """Disarm a device's faults; how many there were."""
        with self.lock:
            count = len(self._faults.pop(busid, {}))
            if busid in self._users:
                self._users[busid].disarm()
            return count

    def pending(self, busid: str) -> list[Fault]:
        """In the order in which they were armed."""
        with self.lock:
            return list(self._faults.get(busid, {}).values())

    def removed(self, busid: str) -> bool:
        """Is the device away?"""
        with self.lock:
            return busid in self._removed

    def move(self, moves: Mapping[str, str]) -> None:
        """Devices are on other subchannels than before (old → new bus id); nobody uses them at that time."""
        with self.lock:
            self._faults = {moves.get(busid, busid): faults for busid, faults in self._faults.items()}
            self._removed = {moves.get(busid, busid) for busid in self._removed}

    def set_removed(self, busid: str, removed: bool) -> bool:
        """Take a device away, or bring it back. False: it is so already."""
        with self.lock:
            if removed is (busid in self._removed):
                return False
            (self._removed.add if removed else self._removed.discard)(busid)
            if busid in self._users:
                self._users[busid].set_device_valid(not removed)
            return True

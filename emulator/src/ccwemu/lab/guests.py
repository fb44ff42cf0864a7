# SPDX-License-Identifier: GPL-2.0-or-later
"""The guests of a lab: those that it defines, and those that run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ccwemu.guestimage.tools import QEMU, qemu
from ccwemu.lab.lines import Message, Refusal
from ccwemu.lab.realguest import RealGuest
from ccwemu.lab.spec import GuestSpec
from ccwemu.tools import real_program


class LabGuests:
    """``changed`` is called when a guest has come up or gone down."""

    def __init__(self, lab: str, specs: Sequence[GuestSpec], hosts: Sequence[str], changed: Callable[[], None]) -> None:
        self._lab = lab
        self._specs = {spec.name: spec for spec in specs}
        self._hosts = hosts
        self._changed = changed
        self._running: dict[str, tuple[str, int]] = {}
        self._real: dict[str, RealGuest] = {}
        self._guard = threading.RLock()

    def open(self) -> None:
        """Have what the real ones need. Raises realguest.RealGuestError, guestimage.tools.Missing."""
        if any(spec.kind == "real" for spec in self._specs.values()):
            qemu(real_program(QEMU))
        for name, spec in self._specs.items():
            if spec.kind == "real":
                self._real[name] = RealGuest(spec)

    def close(self) -> None:
        while self._real:
            self._real.popitem()[1].close()

    def nodes(self, process: Callable[[int | None], dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """For the lab's state: name → description. ``process`` describes what has a pid, or nothing."""
        with self._guard:
            hosts = {name: spec.host for name, spec in self._specs.items()}
            hosts |= {name: host for name, (host, _pid) in self._running.items()}
            nodes = {}
            for name, host in hosts.items():
                _host, pid = self._running.get(name, (host, None))
                nodes[name] = {"role": "guest", "host": host, "kind": "quick", **process(pid)}
                if name in self._real:
                    nodes[name] |= {"kind": "real", "ssh": self._real[name].access()}
            return nodes

    def of(self, host: str) -> HostGuests:
        return HostGuests(self, host)

    def system(self, name: str) -> tuple[Message, list[int]]:
        """What a guest is, and open files that go with it. Raises OSError."""
        real = self._real.get(name)
        return real.system() if real is not None else ({"kind": "quick"}, [])

    def up(self, host: str, name: str, pid: int) -> Callable[[], None]:
        """A guest runs. What to do when it is down. Raises Refusal."""
        with self._guard:
            if name in self._running or name in self._hosts:
                raise Refusal("EEXIST", f"guest {name}: a node of this name already runs in lab {self._lab}")
            if name in self._specs and self._specs[name].host != host:
                raise Refusal("EINVAL", f"guest {name}: the lab defines it on host {self._specs[name].host}")
            self._running[name] = (host, pid)
        self._changed()
        return lambda: self._down(name)

    def _down(self, name: str) -> None:
        with self._guard:
            self._running.pop(name, None)
            if name in self._real:
                self._real[name].down()
        self._changed()


@dataclass(frozen=True)
class HostGuests:
    """A host's view of them (:class:`ccwemu.lab.hostsock.Guests`)."""

    guests: LabGuests
    host: str

    def up(self, name: str, pid: int) -> Callable[[], None]:
        return self.guests.up(self.host, name, pid)

    def system(self, name: str) -> tuple[Message, list[int]]:
        return self.guests.system(name)

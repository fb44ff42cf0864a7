# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a step is: one change with its inverse.

A value: _plan makes lists of steps without touching a host, _apply runs them. The kinds of steps are a table (KINDS),
filled by the modules _steps_* of the buses. No write is believed, and nothing is looked at twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from .._busid import BusId
from .._host import Host
from ..host._model import JournalEntry

DMESG = "dmesg says more"


@dataclass(frozen=True)
class Step:
    """One change. ``kind`` is a row of KINDS, ``subject`` what it is done to, ``value`` the driver, UUID or text."""

    kind: str
    device: BusId | None
    subject: str
    value: str = ""
    entry: JournalEntry | None = None
    inverse: Step | None = None

    @property
    def path(self) -> str:
        return KINDS[self.kind].path(self)

    @property
    def written(self) -> str:
        """What goes to the path."""
        return KINDS[self.kind].written(self)

    @property
    def text(self) -> str:
        return KINDS[self.kind].text(self)

    def as_action(self) -> dict[str, str]:
        """For the module's return value."""
        return {
            "device": str(self.device) if self.device else "",
            "step": self.kind,
            "description": self.text,
            "path": self.path,
            "value": self.written,
        }


Finish = Callable[[], None]
"""Waits for what was started. Raises HostError."""


@dataclass(frozen=True)
class Kind:
    """What all steps of one kind have in common. ``holds`` says whether the step's effect is there."""

    path: Callable[[Step], str]
    written: Callable[[Step], str]
    text: Callable[[Step], str]
    run: Callable[[Host, Step], None]
    holds: Callable[[Host, Step], bool]
    hint: str
    """What to do when it fails."""
    start: Callable[[Host, Step], Finish] | None = None
    """Of a kind that only runs a program, which disturbs no other device's: instead of ``run``, starts it."""
    guard: Callable[[Host, Step], None] = lambda host, step: None
    """Looks right before it is run whether it may be. Raises HostError."""
    guarded_by: frozenset[str] = frozenset()
    """Kinds that, when they were read back right before it, have shown what the guard looks for."""
    shows: frozenset[str] = frozenset()
    """Kinds whose effect, when they come right before it, its guard or its own effect shows."""


KINDS: dict[str, Kind] = {}


def write(host: Host, step: Step) -> None:
    host.write(step.path, step.written)


def subject(step: Step) -> str:
    return step.subject


def value(step: Step) -> str:
    return step.value


def paired(step: Step, inverse: Step) -> Step:
    return Step(step.kind, step.device, step.subject, step.value, step.entry, inverse)

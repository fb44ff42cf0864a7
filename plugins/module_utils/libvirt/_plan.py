# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be attached to a domain and detached from it, live and in its definition. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .._busid import GuestDevno
from ._domain import Hostdev

LIVE, CONFIG = "live", "config"
ATTACH, DETACH = "attach", "detach"


@dataclass(frozen=True)
class Wanted:
    """A device that a domain is to have or to lose. What is None may be anyhow; one of ``uuid`` and ``devno`` is there.

    ``fresh``: the number that it gets where nothing is said and the domain has it not yet.
    """

    uuid: str = ""
    devno: GuestDevno | None = None
    boot: int | None = None
    loadparm: str = ""
    fresh: GuestDevno | None = None

    def names(self, hostdev: Hostdev, present: bool) -> bool:
        """Whether it is this device: by its UUID, to be taken away also by where the guest has it."""
        if self.uuid or present:
            return hostdev.uuid == self.uuid
        return hostdev.devno == self.devno

    def describes(self, hostdev: Hostdev) -> bool:
        """Whether the device is as it is wanted; what is not said may be anyhow."""
        return (
            self.devno in (None, hostdev.devno)
            and self.boot in (None, hostdev.boot)
            and self.loadparm in ("", hostdev.loadparm)
        )

    def over(self, hostdev: Hostdev | None) -> Hostdev:
        """The device as it is to be, what is not said as it was."""
        old = hostdev or Hostdev(self.uuid, self.fresh)
        return Hostdev(
            old.uuid,
            self.devno or old.devno,
            old.boot if self.boot is None else self.boot,
            self.loadparm or old.loadparm,
        )


@dataclass(frozen=True)
class Change:
    """``what`` is attach or detach, ``where`` live or config."""

    what: str
    where: str
    hostdev: Hostdev

    @property
    def inverse(self) -> Change:
        return replace(self, what=ATTACH if self.what == DETACH else DETACH)

    @property
    def text(self) -> str:
        place = "the running guest" if self.where == LIVE else "the definition"
        at = f" as {self.hostdev.devno}" if self.hostdev.devno else ""
        return f"{self.what} {self.hostdev}{at} {'to' if self.what == ATTACH else 'from'} {place}"


def named(wanted: Wanted, hostdevs: Iterable[Hostdev], present: bool) -> Hostdev | None:
    return next((one for one in hostdevs if wanted.names(one, present)), None)


def changes(wanted: Sequence[Wanted], hostdevs: Sequence[Hostdev], where: str, present: bool) -> list[Change]:
    """In order: what goes before what comes, so that a number is free when another device gets it.

    ``hostdevs``: those that the domain has there.
    """
    goes: list[Change] = []
    comes: list[Change] = []
    for one in wanted:
        there = named(one, hostdevs, present)
        if there is not None and not (present and one.describes(there)):
            goes.append(Change(DETACH, where, there))
        if present and (there is None or not one.describes(there)):
            comes.append(Change(ATTACH, where, one.over(there)))
    return goes + comes


def after(hostdevs: Sequence[Hostdev], done: Iterable[Change]) -> tuple[Hostdev, ...]:
    """The devices once the changes are made."""
    left = list(hostdevs)
    for one in done:
        if one.what == ATTACH:
            left.append(one.hostdev)
        else:
            left.remove(one.hostdev)
    return tuple(left)

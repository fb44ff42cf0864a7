# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One request beside what was observed of its device: what rules and plans are made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ..host._model import (
    MDEV_ONLY,
    SUBCHANNEL_ONLY,
    VFIO_CCW,
    AtBoot,
    CcwDevice,
    HostState,
    JournalEntry,
    Mdev,
    Request,
    Subchannel,
    Use,
)

OWN_RULES = "/etc/"
"""Where an administrator's udev rules are; what lies elsewhere belongs to a package."""


@dataclass(frozen=True)
class Case:
    """A request beside what was observed of its device."""

    request: Request
    state: HostState

    @cached_property
    def subchannel(self) -> Subchannel | None:
        return self.state.by_device.get(self.request.device)

    @property
    def place(self) -> Subchannel:
        """The subchannel of a device that was not refused. Raises KeyError for one that is not there."""
        return self.state.by_device[self.request.device]

    @property
    def ccw(self) -> CcwDevice | None:
        return self.subchannel.device if self.subchannel else None

    @cached_property
    def entry(self) -> JournalEntry | None:
        return self.state.journal.get(self.request.device)

    @property
    def left(self) -> JournalEntry | None:
        """What is noted of a device that came back and was left offline."""
        return self.state.left_offline.get(self.request.device)

    @property
    def mdev(self) -> Mdev | None:
        return self.subchannel.mdevs[0] if self.subchannel and self.subchannel.mdevs else None

    @property
    def passed(self) -> bool:
        """Whether the device has left the host already."""
        return self.subchannel is not None and self.subchannel.driver == VFIO_CCW

    @property
    def done(self) -> bool:
        """Whether nothing is left to do to the kernel."""
        if self.request.scope == SUBCHANNEL_ONLY and self.request.present:
            return self.passed
        if self.request.present:
            return self.passed and self.mdev is not None and self.mdev.uuid == self.request.uuid and self.mdev.ready
        if self.request.scope == MDEV_ONLY:
            return self.mdev is None
        return self.ccw is not None and not self.passed

    @property
    def driverless(self) -> bool:
        """Whether the host has the device, and no driver for it although it had one (as far as is known)."""
        if self.ccw is None or self.passed or self.ccw.driver:
            return False
        return self.entry is None or bool(self.entry.driver)

    @property
    def owner(self) -> str:
        """The guest that a device was passed to, as the journal says; "" when it does not say."""
        return self.entry.guest if self.entry and self.passed else ""

    @property
    def ours(self) -> bool:
        """Whether what is set up on the subchannel was set up here, or is to be taken over."""
        return self.entry is not None or self.request.adopt

    @property
    def owned_uuid(self) -> bool:
        """Whether the mediated device on the subchannel is the one asked for, or one that was made here."""
        known = [self.request.uuid] + ([self.entry.uuid] if self.entry and not self.request.uuid_given else [])
        return self.mdev is None or self.request.adopt or self.mdev.uuid in known

    @property
    def missing_tools(self) -> tuple[str, ...]:
        """Which of the programs that make it last the host does not have."""
        other = {SUBCHANNEL_ONLY: "mdevctl", MDEV_ONLY: "driverctl"}.get(self.request.scope)
        return tuple(name for name in self.state.missing_tools if name != other)

    @property
    def claims(self) -> tuple[Use, ...]:
        """Who lays claim to the disk although nobody uses it."""
        return self.state.claims.get(self.request.device, ())

    @property
    def at_boot(self) -> tuple[AtBoot, ...]:
        """What would set the device online at boot, or hide it."""
        return self.state.at_boot.get(self.request.device, ())

    @property
    def editable(self) -> tuple[AtBoot, ...]:
        """The kernel parameters that the device is to be taken out of."""
        found = [one for one in self.at_boot if one.kind == "parameter" and not one.kept]
        return tuple(found) if self.request.remove_parameters else ()

    @property
    def removable(self) -> tuple[AtBoot, ...]:
        """The udev rules that are to be removed: those of an administrator that concern this device alone."""
        own = [one for one in self.at_boot if one.kind == "rule" and one.alone and one.source.startswith(OWN_RULES)]
        return tuple(own) if self.request.remove_rules else ()

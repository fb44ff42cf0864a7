# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written down of devices that are not where it says: definitions for a boot, and the journal.

Both name a subchannel, and subchannel numbers change over an IPL. Pure functions over what was observed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._busid import BusId
from ._kept import Kept
from ._model import VFIO_CCW, JournalEntry, Subchannel

GONE, BACK, MOVED, LEFT = "gone", "back", "moved", "left"
"""The host has no such device; the host has it as its own again; it is passed on, from another subchannel; it came back
and was left offline, since another system was to have it next."""


def definitions_without_device(kept: Kept, subchannels: Iterable[Subchannel]) -> list[dict[str, Any]]:
    """What driverctl and mdevctl have for subchannels that are not there or have no device, in order."""
    carrying = {sub.busid for sub in subchannels if sub.devno is not None}
    found = [
        (busid, kept.driver(busid), [*kept.automatic(busid), *kept.manual(busid)])
        for busid in sorted(kept.subchannels() - carrying)
    ]
    return [
        {"subchannel": str(busid), "driver": driver, "mdevs": mdevs}
        for busid, driver, mdevs in found
        if driver or mdevs  # mdevctl leaves an empty directory behind
    ]


def not_as_noted(notes: Mapping[BusId, JournalEntry], by_device: Mapping[BusId, Subchannel]) -> list[dict[str, str]]:
    """Entries of the journal of devices that are not passed on as it says, in order: GONE, BACK, MOVED or LEFT."""
    found = [(notes[device], by_device.get(device)) for device in sorted(notes)]
    return [
        {
            "device": str(entry.device),
            "noted": str(entry.subchannel),
            "subchannel": str(sub.busid) if sub else "",
            "guest": entry.guest,
            "uuid": entry.uuid,
            "state": state,
        }
        for entry, sub in found
        for state in [_state(entry, sub)]
        if state
    ]


def _state(entry: JournalEntry, sub: Subchannel | None) -> str:
    if sub is None:
        return GONE
    if entry.left_offline:
        return LEFT if sub.device is not None and not sub.device.online else ""
    if sub.driver != VFIO_CCW:
        return BACK
    return MOVED if sub.busid != entry.subchannel else ""

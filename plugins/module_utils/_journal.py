# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host was like before a device was taken from it, kept so that it can be given back in the same state."""

from __future__ import annotations

import errno
import json
from dataclasses import asdict
from typing import Any

from ._busid import BadName, BusId
from ._host import Host, HostError
from ._model import JournalEntry

JOURNAL_FILE = "/var/lib/vfio_ccw/journal.json"
FORMAT = 1


class JournalError(Exception):
    """The journal is there and cannot be understood: guessing a device's former state would be wrong."""


def _entry(device: str, raw: dict[str, Any]) -> JournalEntry:
    return JournalEntry(
        device=BusId.parse(device),
        subchannel=BusId.parse(raw["subchannel"]),
        uuid=str(raw["uuid"]),
        guest=str(raw.get("guest", "")),
        devno=str(raw.get("devno", "")),
        was_online=bool(raw["was_online"]),
        driver=str(raw.get("driver", "")),
    )


def read_journal(host: Host) -> dict[BusId, JournalEntry]:
    """All entries. Who may not read it may not change devices either, and sees none. Raises JournalError."""
    if not host.exists(JOURNAL_FILE):
        return {}
    try:
        text = host.read(JOURNAL_FILE)
    except HostError as exc:
        if exc.errno in (errno.EACCES, errno.EPERM):
            return {}
        raise
    try:
        raw = json.loads(text)
        if raw["format"] != FORMAT:
            raise JournalError(f"{JOURNAL_FILE}: format {raw['format']!r}, expected {FORMAT}; a newer release wrote it")
        entries = [_entry(device, value) for device, value in raw["devices"].items()]
    except (ValueError, KeyError, TypeError, AttributeError, BadName) as exc:
        raise JournalError(
            f"{JOURNAL_FILE} cannot be read ({exc}). It says which disks were online before they were passed "
            "through; repair it, or "
            "move it away to go on without"
        ) from exc
    return {entry.device: entry for entry in entries}


def put_entry(host: Host, device: BusId, entry: JournalEntry | None) -> None:
    """Set or (None) remove one device's entry. Raises HostError, JournalError."""
    entries = read_journal(host)
    entries.pop(device, None)
    if entry is not None:
        entries[device] = entry
    devices = {}
    for key in sorted(entries):
        raw = asdict(entries[key])
        del raw["device"]
        raw["subchannel"] = str(entries[key].subchannel)
        devices[str(key)] = raw
    host.save(JOURNAL_FILE, json.dumps({"format": FORMAT, "devices": devices}, indent=2) + "\n", mode=0o600)

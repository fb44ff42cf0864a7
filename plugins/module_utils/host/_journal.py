# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host was like before a device was taken from it, kept so that it can be given back in the same state."""

from __future__ import annotations

import contextlib
import errno
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from .._busid import BusId
from .._host import Host, HostError, Lock
from ._model import JournalEntry

STATE_DIRECTORY = "/var/lib/vfio_ccw"
JOURNAL_FILE = f"{STATE_DIRECTORY}/journal.json"
LOCK_FILE = f"{STATE_DIRECTORY}/lock"
LOCK_TIMEOUT = 600.0
"""Seconds to wait for another run on the same host (a list of a thousand disks takes some)."""
FORMAT = 1
NOTED = tuple(field.name for field in fields(JournalEntry) if field.name != "device")
"""What is kept of a device."""


class JournalError(Exception):
    """The journal is there and cannot be understood: guessing a device's former state would be wrong."""


@contextlib.contextmanager
def only_one(host: Host, who: str, timeout: float = LOCK_TIMEOUT) -> Iterator[Lock]:
    """Keep other runs on this host away: each reads the journal, and writes all of it. Raises HostError.

    ``who`` tells others who has it. Who may not write there may not change devices either; the refusals say it better.
    """
    with contextlib.ExitStack() as stack:
        lock = Lock(who)
        if host.is_root():
            try:
                lock = stack.enter_context(host.locked(LOCK_FILE, timeout, who))
            except HostError as exc:
                if exc.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                    raise
        yield lock


def _entry(device: str, raw: dict[str, Any]) -> JournalEntry:
    return JournalEntry(
        device=BusId.parse(device),
        subchannel=BusId.parse(raw["subchannel"]),
        uuid=str(raw["uuid"]),
        guest=str(raw.get("guest", "")),
        devno=str(raw.get("devno", "")),
        was_online=None if raw["was_online"] is None else bool(raw["was_online"]),
        driver=str(raw.get("driver", "")),
        override=str(raw.get("override", "")),
        kept_driver=str(raw.get("kept_driver", "")),
        defined=str(raw.get("defined", "")),
        rules=tuple((str(path), str(text)) for path, text in raw.get("rules", ())),
        parameters=tuple((str(path), str(text)) for path, text in raw.get("parameters", ())),
        left_offline=bool(raw.get("left_offline", False)),
    )


def read_journal(host: Host) -> dict[BusId, JournalEntry]:
    """Devices that were passed on. Raises HostError, JournalError."""
    return passed_and_left(read_notes(host))[0]


def passed_and_left(notes: Mapping[BusId, JournalEntry]) -> tuple[dict[BusId, JournalEntry], dict[BusId, JournalEntry]]:
    """Entries of devices that were passed on, and those of devices that came back and were left offline."""
    passed = {device: entry for device, entry in notes.items() if not entry.left_offline}
    return passed, {device: entry for device, entry in notes.items() if entry.left_offline}


def read_notes(host: Host) -> dict[BusId, JournalEntry]:
    """All entries, those of devices too that came back and were left offline.

    Who may not read it may not change devices either, and sees none. Raises HostError, JournalError.
    """
    with _understandable():
        entries = [_entry(device, raw) for device, raw in _read(host).items()]
    return {entry.device: entry for entry in entries}


def get_entry(host: Host, device: BusId) -> JournalEntry | None:
    """One device's entry. Raises HostError, JournalError."""
    raw = _read(host).get(str(device))
    with _understandable():
        return None if raw is None else _entry(str(device), raw)


def put_entries(host: Host, entries: Mapping[BusId, JournalEntry | None]) -> None:
    """Set or (None) remove the entries of these devices, all at once. Raises HostError, JournalError."""
    devices = _read(host)
    for device, entry in entries.items():
        devices.pop(str(device), None)
        if entry is not None:
            raw = {name: getattr(entry, name) for name in NOTED}
            devices[str(device)] = {**raw, "subchannel": str(entry.subchannel)}
    # a device to a line, for people
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(devices[key])}" for key in sorted(devices))
    body = f"{{\n{lines}\n}}" if lines else "{}"
    host.save(JOURNAL_FILE, f'{{"format": {FORMAT}, "devices": {body}}}\n', mode=0o600)


def _read(host: Host) -> dict[str, Any]:
    if not host.exists(JOURNAL_FILE):
        return {}
    try:
        text = host.read(JOURNAL_FILE)
    except HostError as exc:
        if exc.errno in (errno.EACCES, errno.EPERM):
            return {}
        raise
    with _understandable():
        raw = json.loads(text)
        if raw["format"] != FORMAT:
            raise JournalError(f"{JOURNAL_FILE}: format {raw['format']!r}, expected {FORMAT}; a newer release wrote it")
        return dict(raw["devices"])


@contextlib.contextmanager
def _understandable() -> Iterator[None]:
    """Turns whatever damaged text leads to into a JournalError."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise JournalError(
            f"{JOURNAL_FILE} cannot be read ({exc!r}). It says which disks were online before they were passed on; "
            "repair it, or move it away to go on without"
        ) from exc

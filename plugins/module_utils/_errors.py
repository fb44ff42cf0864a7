# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The identifiers of errors that end a module: one table. Those of refusals are the rows' of _refusals.

The docs are made of it. An exception that knows better than its class carries ``error_id``.
"""

from __future__ import annotations

import errno
from typing import Callable

from ._busid import BadName
from ._host import HostError, StillBlocked
from .disk._ccw import CcwError
from .disk._zdev import ZdevError
from .engine._apply import StepFailed
from .engine._engine import NotAsWanted
from .engine._kernel_support import KernelError
from .host._journal import JournalError
from .info._doctor import DoctorError
from .info._export import ExportError
from .libvirt._virsh import LibvirtError
from .qemu._guest import BadGuest, GuestError
from .refusals._table import Refused

Holds = Callable[[Exception], bool]


def _is(kind: type[Exception]) -> Holds:
    return lambda exc: isinstance(exc, kind)


def _host(operation: str, number: int) -> Holds:
    return lambda exc: isinstance(exc, HostError) and (exc.operation, exc.errno) == (operation, number)


ERRORS: tuple[tuple[str, Holds, str], ...] = (
    ("refused", _is(Refused), "Devices were refused before anything was done; `refusals` has each with its own id."),
    ("step-failed", _is(StepFailed), "A step failed. `step` is its kind, `undone` what was undone."),
    ("not-as-wanted", _is(NotAsWanted), "All steps succeeded, and the host is not as it should be: others work on it."),
    ("kernel-lacks", _is(KernelError), "The kernel cannot pass devices through, or a module could not be loaded."),
    (
        "lock-timeout",
        _host("lock", errno.EAGAIN),
        "Another run on the host did not end in time; the message says whose.",
    ),
    ("missing-program", _host("run", errno.ENOENT), "A program that is needed is not on the host."),
    ("still-blocked", _is(StillBlocked), "The kernel did not finish in time: somebody still holds the device."),
    ("host-access", _is(HostError), "A file of the host could not be read or written; the message has path and errno."),
    ("damaged-journal", _is(JournalError), "The journal of what the host had before cannot be understood."),
    ("malformed", _is(BadName), "A number, name or UUID is not one."),
    ("device-state", _is(CcwError), "The device does not allow it, or did not do it."),
    ("export-failed", _is(ExportError), "The host cannot be told of."),
    ("bad-guest", _is(DoctorError), "The guest's name is not one."),
    (
        "guest-not-possible",
        _is(BadGuest),
        "What is asked of a guest is not possible; the message has every rule broken.",
    ),
    ("guest-failed", _is(GuestError), "The guest was not started or stopped."),
    ("chzdev-failed", _is(ZdevError), "chzdev is not there, or did not do what it was told."),
    ("libvirt-failed", _is(LibvirtError), "virsh or libvirt does not do what it is told."),
)
"""Identifier, which errors have it (the first that holds), what it means."""

DISK_ERRORS: dict[str, str] = {
    "alias": "The device is an alias (PAV) of a disk and has none of its own.",
    "format-failed": "A step of formatting did not succeed; the message has what is on the disk now.",
    "fstab": "/etc/fstab has a line of somebody else's for the directory.",
    "gone": "Between two steps the disk went offline, or another got its name: no further step was done.",
    "ignored": "The kernel ignores the device (cio_ignore).",
    "in-use": "The disk is mounted, swapped on, part of a volume group or an array, or open.",
    "malformed": "A label, partition number, path or options that cannot be.",
    "missing-program": "A program that is needed is not installed; the message names the package.",
    "mount-failed": "mount or umount did not do it.",
    "mounted-there": "Something else is mounted at the directory.",
    "no-consent": "Something would be lost on the disk, and nobody said for this disk that it may be.",
    "no-directory": "What is to be mounted at is a file.",
    "no-driver": "No driver is bound to the device.",
    "no-eckd": "The disk is no ECKD DASD, so it has no low-level format.",
    "no-effect": "The kernel accepted what was written and did not do it.",
    "no-file-system": "There is no file system with a UUID to mount.",
    "no-partition": "The disk has no such partition, or is offline.",
    "not-available": "The device has no path, is reserved, or is gone.",
    "not-empty": "The directory holds files that a mount would hide.",
    "not-found": "There is no such device.",
    "offline": "The disk is offline, so that what is on it cannot be seen.",
    "passed-through": "The device's subchannel has another driver: a guest has it.",
    "read-only": "The disk cannot be written.",
    "switch-failed": "The kernel refused to set the device online or offline.",
}
"""Identifiers that a CcwError brings along: of a disk where it is used."""


def error_id(exc: Exception) -> str:
    """The identifier of an error, "" for one that nobody foresaw."""
    own = getattr(exc, "error_id", "")
    return own or next((name for name, holds, _meaning in ERRORS if holds(exc)), "")

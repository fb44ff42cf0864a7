# SPDX-License-Identifier: GPL-2.0-or-later
"""One guest of a name at a time on a host: two would share a file system."""

from __future__ import annotations

import fcntl
import os

from ccwemu.guest.qemuopts import QemuError

GUESTS = "/var/lib/ccwemu/guests"
"""Where the file systems of a host's guests lie, on the host."""


class Claim:
    """Holds a guest's name, by a lock on a file in its directory, until it is let go or the process ends."""

    def __init__(self, name: str, directory: str) -> None:
        """Makes the directory. Raises QemuError where another guest has the name."""
        try:
            os.makedirs(directory, exist_ok=True)
            self._lock = os.open(os.path.join(directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(name, directory, error) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(self._lock, 0)
            os.write(self._lock, f"{os.getpid()}\n".encode())
        except BlockingIOError:
            os.close(self._lock)
            raise QemuError(f"guest {name} is already running on this host; end it, or use another -name") from None
        except OSError as error:
            os.close(self._lock)
            raise _unusable(name, directory, error) from None

    def release(self) -> None:
        """Safe to call again."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _unusable(name: str, directory: str, error: OSError) -> QemuError:
    return QemuError(f"guest {name}: cannot use {directory}: {error.strerror}")

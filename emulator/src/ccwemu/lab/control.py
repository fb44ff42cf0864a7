# SPDX-License-Identifier: GPL-2.0-or-later
"""Starting and ending labs: what ``ccwemu up`` and ``ccwemu down`` do."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable

from ccwemu.lab import state
from ccwemu.lab.state import StateError

PATIENCE = 10.0
"""Seconds to wait for a lab that was asked to end before it is killed."""

_SOURCES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_BOOT = "import sys; sys.path.insert(0, {!r}); from ccwemu.lab.daemon import main; sys.exit(main(sys.argv[1:]))"

Report = Callable[[str], None]


class ControlError(Exception):
    """A lab could not be started or ended; the text says why and what to do."""


def up(lab: str, definition: str, report: Report) -> None:
    """Start a lab and return when it is up. Raises ControlError, StateError."""
    found = state.read(lab)
    directory = state.lab_directory(lab)
    if found is not None and found.running:
        raise ControlError(
            f"lab {lab}: is running already (process {found.daemon_pid}); end it with: ccwemu down {lab}"
        )
    if found is not None:
        raise ControlError(
            f"lab {lab}: is dead: its process {found.daemon_pid} is gone, its files are left in {directory}; "
            f"run: ccwemu down {lab}"
        )
    _make_directory(directory)
    lock = _lock(lab, directory)
    try:
        with open(os.path.join(directory, "daemon.log"), "ab") as log:
            error = _start(directory, definition, log.fileno(), lock, report)
    finally:
        os.close(lock)
    if error is not None:
        raise ControlError(f"lab {lab}: did not come up: {error}; details: {directory}/daemon.log")


def _make_directory(directory: str) -> None:
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        raise ControlError(
            f"cannot make the directory {directory}: {error.strerror}; set CCWEMU_HOME to a directory of yours"
        ) from None


def _lock(lab: str, directory: str) -> int:
    """A lock on the lab's directory, which the daemon inherits: two starts at once cannot both succeed."""
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise ControlError(
            f"lab {lab}: another ccwemu is starting or ending it; see ccwemu ps, and try again"
        ) from None
    return lock


def _start(directory: str, definition: str, log: int, lock: int, report: Report) -> str | None:
    """Start the daemon; what went wrong, or None."""
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", _BOOT.format(_SOURCES), directory, definition, str(write_end)],
        pass_fds=[write_end, lock],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        cwd="/",
    )
    os.close(write_end)
    with os.fdopen(read_end, encoding="utf-8") as reports:
        for line in reports:
            message = json.loads(line)
            if "progress" in message:
                report(message["progress"])
            elif "error" in message:
                process.wait()
                return str(message["error"])
            elif "ready" in message:
                # The daemon outlives this command; it is nobody's zombie.
                process.returncode = 0
                return None
    status = process.wait()
    return f"its process ended with status {status}"


def down(lab: str, *, keep: bool) -> bool:
    """End a lab, dead or alive, and remove its directory. False when there was none. Raises ControlError."""
    directory = state.lab_directory(lab)
    try:
        found = state.read(lab)
    except StateError:
        found = None
    if found is None and not os.path.isdir(directory):
        return False
    if found is not None:
        _end(found)
    if keep:
        for name in ("state.json", "control.sock"):
            if os.path.lexists(os.path.join(directory, name)):
                os.unlink(os.path.join(directory, name))
        return True
    try:
        state.remove(directory)
    except OSError as error:
        raise ControlError(f"lab {lab}: has ended, but {error.filename} cannot be removed: {error.strerror}") from None
    return True


def _end(found: state.LabState) -> None:
    """Ask the daemon to end; kill it when it does not. Its nodes end with it."""
    try:
        pidfd = os.pidfd_open(found.daemon_pid)
    except ProcessLookupError:
        return
    try:
        if not found.running:  # the pid is somebody else's by now
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(pidfd, number)
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            if poll.poll(PATIENCE * 1000):
                return
        raise ControlError(f"lab {found.lab}: its process {found.daemon_pid} does not end")
    except ProcessLookupError:
        return
    except PermissionError:
        raise ControlError(
            f"lab {found.lab}: process {found.daemon_pid} belongs to another user; end it as that user"
        ) from None
    finally:
        os.close(pidfd)

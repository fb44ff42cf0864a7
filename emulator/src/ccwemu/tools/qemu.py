# SPDX-License-Identifier: GPL-2.0-or-later
"""qemu-system-s390x: checks its command line, then runs a quick guest in this process.

It is the QEMU that the lab names for the host, 7.2 by default.

For a guest that the lab has as one of kind real it starts the machine's own qemu-system-s390x and stays beside it.
With CCWEMU_QEMU=real in the environment that program takes its place, with nothing but the library added that gives
it the emulated host's /dev/vfio; so it does where no guest is wanted, but to be told what QEMU can (libvirt asks so).
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NoReturn

from ccwemu.guest.plan import Plan, plan
from ccwemu.guest.qemuopts import PROGRAM, QemuError

if TYPE_CHECKING:
    from ccwemu.guest.qmp import Command, Monitor

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Background:
    """-daemonize: the parent waits for the guest to be up, and returns what became of it."""

    def __init__(self) -> None:
        self._ready: int | None = None

    def fork(self) -> None:
        """Goes on in the child only. The parent ends here: 0 when the child says it is ready, 1 otherwise.

        The standard streams are let go at once but for messages: the guest's init inherits them, and who reads a
        pipe from this command waits until everybody has closed it.
        """
        told, tell = os.pipe2(os.O_CLOEXEC)
        sys.stdout.flush()
        if os.fork():
            os.close(tell)
            os._exit(0 if os.read(told, 1) else 1)
        os.close(told)
        os.setsid()
        os.umask(0o027)
        sys.stderr = os.fdopen(fcntl.fcntl(2, fcntl.F_DUPFD_CLOEXEC, 3), "w")
        null = os.open("/dev/null", os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.close(null)
        self._ready = tell

    def ready(self) -> None:
        """Let the parent go, and the error stream with it; once."""
        if self._ready is None:
            return
        os.chdir("/")
        sys.stderr.close()
        sys.stderr = sys.__stderr__
        os.write(self._ready, b"+")
        os.close(self._ready)
        self._ready = None


@contextlib.contextmanager
def pid_file(path: str | None) -> Iterator[None]:
    """Hold -pidfile locked while the guest runs. Raises QemuError."""
    if path is None:
        yield
        return
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise QemuError(f"cannot create PID file: Could not create '{path}': {error.strerror}") from None
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise QemuError(f"cannot create PID file: Cannot lock pid file: {error.strerror}") from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
        os.close(descriptor)


class Running:
    """What ends the guest: a signal, a monitor, or the end of its host."""

    def __init__(self) -> None:
        self.reason = ""
        self._main = threading.main_thread().ident

    def end(self, reason: str) -> None:
        """From any thread."""
        self.reason = self.reason or reason
        assert self._main is not None
        signal.pthread_kill(self._main, signal.SIGHUP)

    def wait(self) -> None:
        """Until the end; says what it was, as QEMU does for a signal."""
        told = signal.sigwaitinfo(ENDING)
        if self.reason:
            if self.reason != "quit":
                _say(f"{PROGRAM}: {self.reason}\n")
            return
        who = f" ({_command_of(told.si_pid)})" if told.si_pid else ""
        _say(f"{PROGRAM}: terminating on signal {told.si_signo} from pid {told.si_pid}{who}\n")


def _command_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().split(b"\0")[0].decode("utf-8", "replace") or "<unknown process>"
    except OSError:
        return "<unknown process>"


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _monitors(made: Plan, commands: Mapping[str, Command]) -> list[Monitor]:
    """The -qmp sockets. Raises QemuError."""
    if not made.line.qmp:
        return []
    from ccwemu.guest.qmp import Monitor

    chardevs = {chardev.id: chardev for chardev in made.line.chardevs}
    options = [chardevs.get(option.get("chardev"), option) for option in made.line.qmp]
    if any(option.get("fd") for option in options):  # libvirt's: it would wait for this monitor for ever
        raise QemuError(
            f"the lab has no guest {made.line.name!r} of kind real on this host, and a quick guest cannot be a domain "
            "of libvirt: give the domain the name of one, or define it in the lab with kind: real"
        )
    return [Monitor(option, commands, made.line.release) for option in options if option.get("path")]


def _log_to(directory: str) -> None:
    """What goes wrong in the guest's threads after start-up goes to a file: -daemonize has no error stream."""
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, "guest.log")
    logging.basicConfig(filename=path, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    if sys.stderr is not sys.__stderr__:  # in the background: what the init of the guest says goes there too
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(descriptor, 2)
        os.close(descriptor)


def _execute(made: Plan, background: Background) -> None:
    """Start the guest and stay until it is to end. Raises QemuError."""
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    running = Running()
    from ccwemu.guest.commands import Commands

    commands = Commands(made, lambda: running.end("quit"))
    monitors = _monitors(made, commands.table())
    try:
        from ccwemu.guest.claim import GUESTS
        from ccwemu.guest.quick import QuickGuest

        _log_to(os.path.join(GUESTS, made.line.name or "guest"))
        for monitor in monitors:
            monitor.start()
        if made.line.incoming and not _take_over(made, background):
            return
        guest = QuickGuest(made, running.end)
        guest.start()
        try:
            commands.runs(guest)
            background.ready()
            running.wait()
        finally:
            guest.stop()
    finally:
        for monitor in monitors:
            monitor.close()


class _Ended(Exception):
    """A signal came while a saved guest was waited for."""


def _take_over(made: Plan, background: Background) -> bool:
    """Wait for the saved guest of -incoming and check it; False when told to end before. Raises QemuError."""
    from ccwemu.guest import migration

    def end(number: int, frame: object) -> NoReturn:
        raise _Ended

    migration.check_uri(made.line.incoming, f"-incoming {made.line.incoming}")
    background.ready()  # as QEMU: it is up, and waits
    before = {number: signal.signal(number, end) for number in ENDING}
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
        data = migration.receive(made.line.incoming)
    except _Ended:
        return False
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        for number, handler in before.items():
            signal.signal(number, handler)
    migration.check(migration.Saved.parse(data), made)
    return True


def _become_real(argv: list[str]) -> NoReturn:
    """Become the real program, with nothing added but the library. Raises QemuError."""
    from ccwemu.guest import real

    os.execve(real.program(), [PROGRAM, *argv], real.environment())


def _asks_the_real_one(argv: list[str]) -> bool:
    """Whether a program wants to know what the QEMU can that guests of kind real run in. Raises QemuError."""
    from ccwemu.guest.release import Release, of_host
    from ccwemu.guest.system import asks_what_it_can

    return asks_what_it_can(argv) and of_host() == Release()


def _run_real(argv: list[str], background: Background) -> int | None:
    """Run a guest that the lab has as one of kind real: its exit status. None for any other. Raises QemuError."""
    from ccwemu.guest.system import name_of

    name = name_of(argv)
    if not name:
        return None
    from ccwemu.guest import real

    registration = real.Registration(name)
    system = registration.system
    if system is None:
        registration.close()
        return None
    if any(word in ("-daemonize", "--daemonize") for word in argv):
        background.fork()
    return real.run(argv, registration, system, sys.stderr.fileno(), background.ready)


def main(argv: list[str]) -> int:
    """qemu-system-s390x."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    background = Background()
    try:
        if os.environ.get("CCWEMU_QEMU") == "real" or _asks_the_real_one(argv):
            _become_real(argv)
        status = _run_real(argv, background)
        return _run_quick(argv, background) if status is None else status
    except QemuError as error:
        _say(error.text())
        return 1


def _run_quick(argv: list[str], background: Background) -> int:
    """Check the command line, then be the guest. The exit status. Raises QemuError."""
    made = plan(argv)
    for warning in made.line.warnings:
        _say(warning)
    if made.line.information is not None:
        sys.stdout.write(made.line.information)
        return 0
    if made.line.daemonize:
        background.fork()
    with pid_file(made.line.pidfile):
        _execute(made, background)
    return 0

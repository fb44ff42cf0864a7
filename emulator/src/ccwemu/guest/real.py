# SPDX-License-Identifier: GPL-2.0-or-later
"""A real guest: the machine's own qemu-system-s390x in the emulated host, with the library that is its /dev/vfio.

What the command line says is QEMU's to understand. The lab adds what such a guest has on a real host too, besides
its channel devices: a system to boot, and a network card through which one logs in (:mod:`ccwemu.guest.system`).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Callable, Sequence

from ccwemu.guest.claim import GUESTS, Claim
from ccwemu.guest.qemuopts import PROGRAM, QemuError
from ccwemu.guest.relay import Relay
from ccwemu.guest.system import System, lab_options, values_of
from ccwemu.namespace.unshare import become_subreaper
from ccwemu.tools import real_program
from ccwemu.tools._host import Connection, HostError

# -- the program ------------------------------------------------------------------------------------------------------


def preload_library(name: str = "vfio") -> str:
    """Where libccwemu-NAME.so is: beside the compiled core, wherever that was built or installed."""
    import ccwemu._core

    return os.path.join(os.path.dirname(os.path.realpath(ccwemu._core.__file__)), f"libccwemu-{name}.so")


def program() -> str:
    """The machine's own qemu-system-s390x. Raises QemuError."""
    found = real_program(PROGRAM)
    if found is None:
        raise QemuError("the real program is not installed; run: apt-get install qemu-system-misc")
    return found


def environment() -> dict[str, str]:
    """For the real program: with the library in front. Raises QemuError."""
    library = preload_library()
    if not os.path.exists(library):
        raise QemuError(f"{library} is missing; build the emulator again (make setup)")
    return {**os.environ, "LD_PRELOAD": ":".join(filter(None, (os.environ.get("LD_PRELOAD"), library)))}


# -- the lab ----------------------------------------------------------------------------------------------------------


class Registration:
    """A connection to the lab for one guest: what the guest is, then that it is up, for as long as it lasts."""

    def __init__(self, name: str) -> None:
        """``system`` is None for a guest that is not of kind real. Raises QemuError."""
        self.name = name
        self.system: System | None = None
        try:
            self._connection = Connection()
            answer, descriptors = self._connection.ask({"op": "guest-system", "name": name})
        except (OSError, HostError) as error:
            raise QemuError(f"guest {name}: the emulated host does not say what it is: {error}") from None
        if answer["kind"] == "real":
            self.system = System.of(answer, descriptors)

    def up(self, pidfd: int) -> None:
        """Raises QemuError."""
        try:
            self._connection.ask({"op": "guest-up", "name": self.name}, (pidfd,))
        except (OSError, HostError) as error:
            raise QemuError(f"guest {self.name}: the emulated host does not take it: {error}") from None

    def close(self) -> None:
        if self.system is not None:
            self.system.close()
        self._connection.close()


# -- the guest --------------------------------------------------------------------------------------------------------


class QemuEnded(Exception):
    """QEMU gave up, and has said why itself. ``status``: its exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"{PROGRAM} ended with {status}")
        self.status = status


class RealGuest:
    """QEMU as a child of this process, which stays until it has ended."""

    def __init__(self, argv: Sequence[str], registration: Registration, system: System) -> None:
        self._registration = registration
        self._system = system
        self._directory = os.path.join(GUESTS, registration.name)
        self._pid_file = os.path.join(self._directory, "qemu.pid")
        self._background = any(word in ("-daemonize", "--daemonize") for word in argv)
        self._argv = [PROGRAM, *lab_options(argv, system, self._directory), *argv]
        if values_of(argv, "-pidfile"):
            self._pid_file = values_of(argv, "-pidfile")[-1]
        elif self._background:
            self._argv += ["-pidfile", self._pid_file]
        self._claim: Claim | None = None
        self._relay: Relay | None = None
        self._pidfd = -1

    def start(self, messages: int) -> None:
        """Until QEMU runs, or does not: then raises QemuError or QemuEnded. Its messages go to that descriptor."""
        self._claim = Claim(self._registration.name, self._directory)
        try:
            self._system.provide(self._directory)
        except OSError as error:
            raise QemuError(
                f"guest {self._registration.name}: its kernel and disk in {self._directory}: {error}"
            ) from None
        become_subreaper()  # a QEMU that goes to the background stays our child
        self._pidfd = os.pidfd_open(self._spawn(messages))
        try:
            self._registration.up(self._pidfd)
        except QemuError:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            raise
        self._relay = Relay(self._system.listener, self._system.port)

    def _spawn(self, messages: int) -> int:
        """The pid of the QEMU that runs on."""
        stdin, stdout = (subprocess.DEVNULL, messages) if self._background else (None, None)
        child = subprocess.Popen(  # descriptors that the command line names come along; those opened here do not
            self._argv, executable=program(), env=environment(), stdin=stdin, stdout=stdout, stderr=messages,
            close_fds=False,
        )  # fmt: skip
        if not self._background:
            child.returncode = 0  # waited for by its descriptor
            pid: int = child.pid
            return pid
        status = child.wait()
        if status:
            raise QemuEnded(status)
        with open(self._pid_file, encoding="ascii") as file:
            return int(file.read())

    def wait(self) -> int:
        """Until QEMU has ended, signals handed on to it. Its exit status, as a shell has it."""

        def forward(number: int, _frame: object) -> None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.Signals(number))

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, forward)
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        poll.poll()
        ended = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
        assert ended is not None
        return ended.si_status if ended.si_code == os.CLD_EXITED else 128 + ended.si_status

    def close(self) -> None:
        """Safe to call at any stage."""
        if self._relay is not None:
            self._relay.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        if self._claim is not None:
            self._claim.release()


def run(
    argv: Sequence[str], registration: Registration, system: System, messages: int, ready: Callable[[], None]
) -> int:
    """A guest from its start to its end: the exit status. ``ready()`` is called when QEMU runs. Raises QemuError."""
    guest = RealGuest(argv, registration, system)
    try:
        guest.start(messages)
        ready()
        return guest.wait()
    except QemuEnded as end:
        return end.status
    finally:
        guest.close()
        registration.close()

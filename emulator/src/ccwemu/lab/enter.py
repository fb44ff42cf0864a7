# SPDX-License-Identifier: GPL-2.0-or-later
"""Running a command inside a node: its namespaces are entered by this process, then the command is its child."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from ccwemu.namespace import unshare as sys_

if TYPE_CHECKING:
    from ccwemu.lab.terminal import Terminal

NAMESPACES = (
    sys_.CLONE_NEWUSER
    | sys_.CLONE_NEWNS
    | sys_.CLONE_NEWPID
    | sys_.CLONE_NEWUTS
    | sys_.CLONE_NEWIPC
    | sys_.CLONE_NEWNET
)
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/bash",
    "SYSTEMD_DEVICE_VERIFY_SYSFS": "0",
}
_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def run_in_node(node: Mapping[str, Any], argv: Sequence[str]) -> NoReturn:
    """Run ``argv`` as the node's root in its /; this process ends as the command does, by signal or exit status.

    With a terminal on standard input and output the command gets one of the node's own.

    Raises OSError where the node cannot be entered.
    """
    pidfd = os.pidfd_open(node["pid"])
    outside = node["uid"]
    if os.geteuid() != outside:
        _give_pipes(outside)
    sys_.setns(pidfd, NAMESPACES)
    os.close(pidfd)
    pair = _terminal() if os.isatty(0) and os.isatty(1) else None
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)  # until they can be handed on
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _become_command(argv, pair, has_groups=node["id_count"] > 1)
    for number in _FORWARDED:
        signal.signal(number, lambda number, frame: _forward(child, number))
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    _wait_as(child, pair)


def _terminal() -> Terminal:
    from ccwemu.lab.terminal import Terminal

    return Terminal()


def _give_pipes(owner: int) -> None:
    """Let the node's root open its own /dev/stdout where that is a pipe of ours: pipes have owners too."""
    for descriptor in (0, 1, 2):
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            os.fchown(descriptor, owner, owner)


def _become_command(argv: Sequence[str], pair: Terminal | None, *, has_groups: bool) -> NoReturn:
    try:
        if has_groups:
            os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        os.chdir("/")
        if pair is not None:
            pair.become_controlling()
        language = {key: value for key, value in os.environ.items() if key in ("LANG", "LC_ALL", "COLUMNS", "LINES")}
        os.execvpe(argv[0], list(argv), {**ENVIRONMENT, **language, "TERM": os.environ.get("TERM", "dumb")})
    except OSError as error:
        print(f"ccwemu: {argv[0]}: {error.strerror}", file=sys.stderr)
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _wait_as(child: int, pair: Terminal | None) -> NoReturn:
    """End as the child ends; stop and go on with it."""
    if pair is not None:
        pair.carry()
    while True:
        _pid, status = os.waitpid(child, os.WUNTRACED)
        if os.WIFSTOPPED(status):  # Ctrl-Z: stop with it, go on with it
            os.kill(os.getpid(), signal.SIGSTOP)
            _forward(child, signal.SIGCONT)
            continue
        if os.WIFSIGNALED(status):
            cause = os.WTERMSIG(status)
            if cause != signal.SIGKILL:
                signal.signal(cause, signal.SIG_DFL)
            os.kill(os.getpid(), cause)
        os._exit(os.waitstatus_to_exitcode(status))


def _forward(child: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)

# SPDX-License-Identifier: GPL-2.0-or-later
"""Running a command in a real guest: by ssh, through the port that its lab has for it."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

LIMIT = 20
"""Seconds in which a guest has to answer; its processor is emulated."""

OPTIONS = (
    # for every ssh of whoever logs in; the lab's state file says them to the others
    "StrictHostKeyChecking=no",  # a guest makes its host key when it is started for the first time
    "UserKnownHostsFile=/dev/null",
    "LogLevel=ERROR",
    "IdentitiesOnly=yes",
)


def ssh_command(access: Mapping[str, Any], argv: Sequence[str], *, terminal: bool) -> list[str]:
    """The ssh that runs ``argv`` there, each word as it is. ``access`` is the node's ``ssh`` of the lab's state."""
    command = ["ssh", "-i", access["key"], "-p", str(access["port"])]
    for option in (*access["options"], "BatchMode=yes", f"ConnectTimeout={LIMIT}"):
        command += ["-o", option]
    if terminal:
        command.append("-t")
    return [*command, "--", f"{access['user']}@{access['address']}", shlex.join(argv)]


class Unreachable(Exception):
    """One cannot log in to a guest; the text says why and what to do."""


def answers(address: str, port: int, limit: float = LIMIT) -> bool:
    """Whether an ssh server greets there. A guest that boots has a port, behind which nobody is."""
    try:
        with socket.create_connection((address, port), limit) as connection:
            connection.settimeout(limit)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def run_by_ssh(name: str, node: Mapping[str, Any], argv: Sequence[str]) -> NoReturn:
    """Become the ssh that runs a command in a guest; ``node``: what the lab's state says of it. Raises Unreachable."""
    if shutil.which("ssh") is None:
        raise Unreachable(
            f"guest {name}: is reached by ssh, which is not installed; run: sudo apt-get install openssh-client"
        )
    access = node["ssh"]
    if not answers(access["address"], access["port"]):
        raise Unreachable(
            f"guest {name}: runs (process {node['pid']}), but nobody answers at its ssh port, {access['port']} of "
            f"{access['address']}: it boots still, or its system has crashed; its console on host {node['host']} says "
            "'ccwemu-guest: ready' when one can log in"
        )
    command = ssh_command(access, argv, terminal=os.isatty(0) and os.isatty(1))
    os.execvp(command[0], command)

# SPDX-License-Identifier: GPL-2.0-or-later
"""Running a command in a real guest: by ssh, through the port that its lab has for it."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

OPTIONS = (
    "StrictHostKeyChecking=no",  # a guest makes its host key when it is started for the first time
    "UserKnownHostsFile=/dev/null",
    "LogLevel=ERROR",
    "IdentitiesOnly=yes",
    "BatchMode=yes",
    "ConnectTimeout=20",
)


def ssh_command(access: Mapping[str, Any], argv: Sequence[str], *, terminal: bool) -> list[str]:
    """The ssh that runs ``argv`` there, each word as it is. ``access`` is the node's ``ssh`` of the lab's state."""
    command = ["ssh", "-i", access["key"], "-p", str(access["port"])]
    for option in OPTIONS:
        command += ["-o", option]
    if terminal:
        command.append("-t")
    return [*command, "--", f"{access['user']}@{access['address']}", shlex.join(argv)]


def run_by_ssh(access: Mapping[str, Any], argv: Sequence[str]) -> NoReturn:
    """Become that ssh. Ends with 1 where there is none."""
    if shutil.which("ssh") is None:
        print("ccwemu: a real guest is reached by ssh, which is not installed; run: apt-get install openssh-client",
              file=sys.stderr)  # fmt: skip
        sys.exit(1)
    command = ssh_command(access, argv, terminal=os.isatty(0) and os.isatty(1))
    os.execvp(command[0], command)

# SPDX-License-Identifier: GPL-2.0-or-later
"""reboot, shutdown, poweroff and halt inside a node: systemd's commands as far as a node needs them.

A node has no init system to ask; the machine is, at its socket. Only ``now`` and ``+0`` are possible times.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ccwemu.tools import _host

COMMANDS = ("reboot", "shutdown", "poweroff", "halt")
NOW = ("now", "+0", "0")


class UsageError(Exception):
    """A command line that means nothing here."""


def parse(command: str, words: Sequence[str]) -> str:
    """The request to the machine: "reboot" or "poweroff". Raises UsageError."""
    wanted = "reboot" if command == "reboot" else "poweroff"
    times = []
    for word in words:
        if word in ("-r", "--reboot"):
            wanted = "reboot"
        elif word in ("-h", "-P", "-H", "--poweroff", "--halt", "-p"):
            wanted = "poweroff"
        elif word in ("-f", "--force", "-ff", "--no-wall", "-d", "-w", "-n"):
            continue
        elif word.startswith("-"):
            raise UsageError(f"unrecognized option '{word}'")
        else:
            times.append(word)
    if command == "shutdown" and times and times[0] not in NOW:
        raise UsageError(f"cannot wait until {times[0]!r} on an emulated machine; use: now")
    return wanted


def main(argv: Sequence[str]) -> int:
    """``argv[0]`` is the command's name. Returns the exit status."""
    try:
        _host.ask({"op": parse(argv[0], argv[1:])})
    except UsageError as error:
        print(f"{argv[0]}: {error}", file=sys.stderr)
        return 1
    except (_host.HostError, OSError) as error:
        print(f"Failed to talk to the emulated machine: {error}", file=sys.stderr)
        return 1
    return 0

# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands that run inside an emulated node.

Each is a module with ``main(argv) -> int``: ``argv`` is what follows the command's name, the result its exit
status. They read /sys and /proc as the real programs do and know nothing of the emulator, except where Linux has
no file for what they do (loading a module, the kernel log): those ask /run/ccwemu/host.sock.

A launcher in a node does ``sys.exit(ccwemu.tools.run(COMMAND, sys.argv[1:]))`` and is found under the command's
name. Nothing heavy is imported here: a play starts these commands hundreds of times.
"""

from __future__ import annotations

import os
import signal
import sys

COMMANDS: dict[str, str] = {
    "lscss": "ccwemu.tools.lscss:main",
    "lsdasd": "ccwemu.tools.lsdasd:main",
    "chccwdev": "ccwemu.tools.chccwdev:main",
    "cio_ignore": "ccwemu.tools.cio_ignore:main",
    "modprobe": "ccwemu.tools.kmod:modprobe",
    "insmod": "ccwemu.tools.kmod:insmod",
    "rmmod": "ccwemu.tools.kmod:rmmod",
    "lsmod": "ccwemu.tools.kmod:lsmod",
    "dmesg": "ccwemu.tools.dmesg:main",
    "tunedasd": "ccwemu.tools.tunedasd:main",
    "uname": "ccwemu.tools.uname:main",
    "mount": "ccwemu.tools.mount:main",
    "qemu-system-s390x": "ccwemu.tools.qemu:main",
}
"""Command name → "module:function"."""

DIRECTORIES = ("/usr/local/sbin", "/sbin", "/usr/sbin", "/bin", "/usr/bin")
"""Where plays and programs look for them, by full path too: a launcher must win over the machine's own program."""

REAL_PROGRAMS = "/run/ccwemu/real/bin"
"""The machine's own /usr/bin in a node, where a launcher lies over some of it."""


def run(command: str, argv: list[str]) -> int:
    """Run a command; the exit status. KeyError for a name that is not in COMMANDS."""
    module_name, _colon, function = COMMANDS[command].partition(":")
    # A reader that goes away (lscss | head) ends the command silently, as it does a C program.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    module = __import__(module_name, fromlist=[function])
    try:
        status: int = getattr(module, function)(argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return status


def real_program(name: str) -> str | None:
    """The path of the machine's own program of that name, the launchers passed over; None where there is none."""
    for directory in (*DIRECTORIES[1:], "/usr/local/bin", REAL_PROGRAMS):
        path = os.path.join(directory, name)
        if os.access(path, os.X_OK) and not _is_launcher(path):
            return path
    return None


def _is_launcher(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return b"ccwemu" in file.read(512)
    except OSError:
        return True

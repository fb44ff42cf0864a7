# SPDX-License-Identifier: GPL-2.0-or-later
"""uname: the names of the emulated machine's kernel, as coreutils prints them.

uname(2) answers with the running kernel's names; the emulated ones are in /proc.
"""

from __future__ import annotations

import getopt
import os
import sys

from ccwemu.tools import real_program
from ccwemu.tools._files import read_line

MACHINE = "s390x"
_ORDER = "snrvmpio"
_LONG = {
    "all": "a", "kernel-name": "s", "sysname": "s", "nodename": "n", "kernel-release": "r", "release": "r",
    "kernel-version": "v", "machine": "m", "processor": "p", "hardware-platform": "i", "operating-system": "o",
}  # fmt: skip


def kernel_version(release: str, line: str) -> str:
    """``#1 SMP ...`` out of /proc/version; ``#1 SMP`` where that belongs to another kernel."""
    return line[line.index("#") :] if line.startswith(f"Linux version {release} ") and "#" in line else "#1 SMP"


def main(argv: list[str], root: str = "") -> int:
    """Print the names that are asked for."""
    try:
        flags, words = getopt.gnu_getopt(argv, "asnrvmpio", list(_LONG))
    except getopt.GetoptError:
        flags, words = [], ["?"]
    if words:  # --help, --version and mistakes: the real one knows best
        real = real_program("uname")
        if real is None:
            sys.stderr.write("uname: invalid arguments\n")
            return 1
        os.execv(real, ["uname", *argv])
    wanted = {_LONG.get(flag.lstrip("-"), flag.lstrip("-")) for flag, _value in flags} or {"s"}
    if "a" in wanted:
        wanted = set("snrvmo")
    release = read_line(root + "/proc/sys/kernel/osrelease") or os.uname().release
    values = {
        "s": "Linux",
        "n": os.uname().nodename,
        "r": release,
        "v": kernel_version(release, read_line(root + "/proc/version") or ""),
        "m": MACHINE,
        "p": "unknown",
        "i": "unknown",
        "o": "GNU/Linux",
    }
    sys.stdout.write(" ".join(values[key] for key in _ORDER if key in wanted) + "\n")
    return 0

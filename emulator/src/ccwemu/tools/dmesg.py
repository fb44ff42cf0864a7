# SPDX-License-Identifier: GPL-2.0-or-later
"""dmesg: print the kernel log of the emulated machine."""

from __future__ import annotations

import re
import sys

from ccwemu.tools import _host

USAGE = """Usage: dmesg [OPTIONS]

Print the kernel log of the emulated machine.

OPTIONS
 -t, --notime    Without the time of each message
 -T, --ctime     Accepted; the times of the emulated machine are printed as they are
 -h, --help      Print this text
 -V, --version   Print the version
"""


def main(argv: list[str]) -> int:
    """Print the log."""
    no_time = False
    for word in argv:
        if word in ("-h", "--help"):
            sys.stdout.write(USAGE)
            return 0
        if word in ("-V", "--version"):
            sys.stdout.write("dmesg from ccwemu\n")
            return 0
        if word in ("-t", "--notime"):
            no_time = True
        elif word not in ("-T", "--ctime", "-P", "--nopager", "--color=never", "-S", "--syslog", "-k", "--kernel"):
            sys.stderr.write(f"dmesg: option {word} is not offered by an emulated machine; see dmesg --help\n")
            return 1
    try:
        text = str(_host.ask({"op": "dmesg"}).get("text", ""))
    except (OSError, _host.HostError) as error:
        sys.stderr.write(f"dmesg: read kernel buffer failed: {error}\n")
        return 1
    if no_time:
        text = re.sub(r"(?m)^\[ *\d+\.\d+\] ", "", text)
    sys.stdout.write(text if not text or text.endswith("\n") else text + "\n")
    return 0

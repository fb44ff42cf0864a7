# SPDX-License-Identifier: GPL-2.0-or-later
"""tunedasd: reserve and release DASDs. Prints what s390-tools 2.16.0 prints (tunedasd(8)).

The ioctls of the emulated machine's disks go through its socket. The other options are not offered.
"""

from __future__ import annotations

import os
import sys

from ccwemu.tools import _host
from ccwemu.tools._files import S390_TOOLS_VERSION

USAGE = """Usage: tunedasd OPTION DEVICE...

Reserve or release DASDs. DEVICE is a device node, for example /dev/dasda.

OPTIONS
 -h, --help       Print this text
 -v, --version    Print the version
 -S, --reserve    Reserve the device
 -L, --release    Release the device
 -O, --slock      Reserve the device whoever has it reserved
"""

OPTIONS = {
    "-S": "reserve",
    "--reserve": "reserve",
    "-L": "release",
    "--release": "release",
    "-O": "steal",
    "--slock": "steal",
}
BEGUN = {"reserve": "Reserving", "release": "Releasing", "steal": "Unconditional reserving"}
FAILED = {"reserve": "reserve", "release": "release", "steal": "unconditional reserve"}


def main(argv: list[str]) -> int:
    """Do it to each device; the exit status is 0 where none failed."""
    options = [word for word in argv if word.startswith("-")]
    devices = [word for word in argv if not word.startswith("-")]
    if any(word in ("-h", "--help") for word in options):
        sys.stdout.write(USAGE)
        return 0
    if any(word in ("-v", "--version") for word in options):
        sys.stdout.write(f"tunedasd: S/390 DASD maintenance version {S390_TOOLS_VERSION}\n")
        return 0
    unknown = [word for word in options if word not in OPTIONS]
    if unknown or len(options) != 1:
        what = f"option {unknown[0]} is not offered" if unknown else "one option is expected"
        sys.stderr.write(f"tunedasd: {what} by the tunedasd of an emulated machine; see tunedasd --help\n")
        return 1
    if not devices:
        sys.stderr.write(f"tunedasd: Missing device\n{USAGE}")
        return 1
    return max([_change(OPTIONS[options[0]], device) for device in devices])


def _change(order: str, device: str) -> int:
    sys.stdout.write(f"{BEGUN[order]} device <{device}>...\n")
    sys.stdout.flush()
    try:
        _host.ask({"op": "reservation", "order": order, "disk": os.path.basename(os.path.realpath(device))})
    except (OSError, _host.HostError) as error:
        sys.stderr.write(f"tunedasd: Could not {FAILED[order]} device <{device}>: {error}\n")
        return 1
    sys.stdout.write("Done.\n")
    return 0

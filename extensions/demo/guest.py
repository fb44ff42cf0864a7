# SPDX-License-Identifier: GPL-3.0-or-later
"""The same flow with a stock Debian under the real QEMU as the guest: its own kernel, driver and tools on the disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ccwemu
import demo
from demo import GUEST, GUEST_DEVICE, LAB, node, say

SEED = Path(ccwemu.__file__).parent / "labs" / "seed.yml"
DEFINITION = demo.PROJECT / "build" / "demo" / "real.yml"
DISK, PARTITION, MIB = "/dev/dasda", "/dev/dasda1", 32


def real_lab() -> str:
    """The lab of the demo, with a guest of kind real."""
    DEFINITION.parent.mkdir(parents=True, exist_ok=True)
    DEFINITION.write_text(SEED.read_text(encoding="utf-8").replace("kind: quick", "kind: real"), encoding="utf-8")
    return str(DEFINITION)


def in_guest() -> str:
    """The guest makes a file system on the disk and writes to it: the checksum of its partition."""
    demo.passed()
    say("In the guest: Debian's kernel, and its own tools")
    node(GUEST, "uname", "-a")
    node(GUEST, "lscss")
    node(GUEST, "chccwdev", "-d", GUEST_DEVICE)
    node(GUEST, "chccwdev", "-e", GUEST_DEVICE)
    node(GUEST, "lsdasd", "-l", GUEST_DEVICE)
    say(f"Formatted, partitioned, a file system, {MIB} MiB written")
    node(GUEST, "dasdfmt", "-b", "4096", "-d", "cdl", "-y", DISK)
    node(GUEST, "udevadm", "settle")  # udev looks at the disk, and fdasd wants it for itself
    node(GUEST, "fdasd", "-a", DISK)
    node(GUEST, "udevadm", "settle")
    node(GUEST, "mkfs.ext4", "-q", PARTITION)
    node(GUEST, "mount", PARTITION, "/mnt")
    node(GUEST, "dd", "if=/dev/urandom", "of=/mnt/data", "bs=1M", f"count={MIB}")
    node(GUEST, "df", "-h", "/mnt")
    node(GUEST, "umount", "/mnt")
    return demo.checksum(GUEST, PARTITION)


def main() -> int:
    print(f"=== A guest image, made of Debian's s390x packages (lab {LAB})", flush=True)
    if subprocess.run(["ccwemu", "guest-image", "build"], check=False).returncode:
        return 1
    return demo.main(real_lab(), in_guest)


if __name__ == "__main__":
    sys.exit(main())

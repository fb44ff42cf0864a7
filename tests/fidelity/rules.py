# SPDX-License-Identifier: GPL-3.0-or-later
"""What an emulated host may say differently from the recorded machine, and why. Nothing else may differ."""

from __future__ import annotations

import re

from trace_notation import Rule, drop, substitute

MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"

ALWAYS: list[Rule] = [
    ("names of owners: the recorded machine had no /etc/passwd", substitute(r" (root +root|0 +0) +(?=\d)", " 0 0 ")),
    ("dates of files", substitute(rf"({MONTHS}) +\d+ +\d\d:\d\d", "DATE")),
    ("sizes of tmpfs directories: /dev is one there", substitute(r"^(d.* 0 0) \d+ DATE", r"\1 SIZE DATE")),
    (
        "links of a directory: the recorded machine has buses, classes and modules that are nothing to channel I/O",
        substitute(r"^(d[rwxst-]{9}) +\d+ ", r"\1 N "),
    ),
    (
        "a user namespace has no device nodes: a regular file takes the place of one, with a size for major and minor",
        substitute(r"^[bc-](\S{9}) +1 0 0 (\d+, +\d+|\d+) (DATE (\S+/)?(dasd\w+|vfio|\d+))$", r"node \1 \3"),
    ),
    (
        "addresses and sizes of kernel modules",
        substitute(r"^(\w+) +\d+ (.*) Live 0x[0-9a-f]+$", r"\1 SIZE \2 Live ADDRESS"),
    ),
    ("sizes of kernel modules", substitute(r"^(\w+) {5,}\d+  (\d+ .*)$", r"\1 SIZE \2")),
    (
        "the disk's own identity: vendor, serial number, subsystem",
        substitute(r"BIB\.M750000000FAKE\.0000\.34|IBM\.\w{14}\.\w{4}\.34", "UID"),
    ),
    ("the disk's vendor", substitute(r"((?:^|/vendor = ))(BIB|IBM)\b", r"\1VENDOR")),
    (
        "a user namespace cannot mount a block device: a tmpfs with that source stands for the file system",
        substitute(r"^(/dev/dasd\w+ \S+) \S+ \S+ 0 0$", r"\1 TYPE OPTIONS 0 0"),
    ),
    ("what mke2fs says: busybox's insists on a block device node, so e2fsprogs' ran", drop(r"inodes per group$")),
    ("time stamps in the kernel log: the recorded machine had printk.time=0", substitute(r"\[ *\d+\.\d{6}\] ", "")),
    (
        "the remark of the emulated mount",
        drop(r"^mount: /mnt: /dev/dasda1 is a disk of an emulated machine: a tmpfs with that source is mounted"),
    ),
    (
        "busybox's insmod and kmod's say the same in other words",
        substitute(r"^insmod: (?:can't insert '(\S+)'|ERROR: could not load module (\S+)): ", r"insmod: \1\2: "),
    ),
    ("messages of file systems: they are not part of what is emulated", drop(r"ext4 filesystem being mounted")),
    ("addresses in the kernel's messages", substitute(r"\b[0-9a-f]{16}\b", "ADDRESS")),
]

DMESG: list[Rule] = [
    (
        "the driver's dump of a failed request: sense bytes, storage contents and addresses of the recorded run",
        drop(r"^dasd\(eckd\): |^  [0-9a-f]{8} |: I/O status report: |: ERP (ADDRESS|failed for the DASD)", "dmesg"),
    ),
]

NOT_EMULATED = re.compile(r"\$ (lszdev|chzdev)\b")
"""Commands of the tools trace that an emulated host does not have: the zdev tools."""

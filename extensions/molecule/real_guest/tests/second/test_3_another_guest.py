# SPDX-License-Identifier: GPL-3.0-or-later
"""Another guest got the disk: it finds the file system, and in it the same bytes."""

from __future__ import annotations


def test_the_disk_is_online(linux02):
    (row,) = [line.split() for line in linux02.check_output("lsdasd").splitlines() if line.startswith("0.0.1234")]
    assert row[1] == "active"


def test_it_reads_what_the_first_one_wrote(lpar1, linux02):
    name = linux02.check_output("ls /sys/bus/ccw/devices/0.0.1234/block")
    written = lpar1.check_output("cat /root/checksums").split()[1]
    linux02.check_output("mount -o ro /dev/%s1 /mnt", name)
    assert linux02.check_output("sha256sum /mnt/data").split()[0] == written
    linux02.check_output("umount /mnt")

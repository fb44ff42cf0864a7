# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest writes 64 MiB to the file system that the role made, and finds them again after a reboot."""

from __future__ import annotations

import time

MIB = "64"
REBOOT_LIMIT = 300
"""Seconds; the processor is emulated."""


def disk_of(guest):
    """The block device of the disk that was passed through."""
    return "/dev/" + guest.check_output("ls /sys/bus/ccw/devices/0.0.1234/block")


def test_the_role_has_formatted_it(linux01):
    """That it does so once is seen by the scenario's idempotence."""
    partition = disk_of(linux01) + "1"
    assert linux01.check_output("blkid -p -s TYPE -o value %s", partition) == "ext4"
    assert linux01.check_output("blkid -p -s LABEL -o value %s", partition) == "data"


def test_64_mib_are_written(linux01):
    partition = disk_of(linux01) + "1"
    linux01.check_output("mount %s /mnt", partition)
    linux01.check_output("dd if=/dev/urandom of=/mnt/data bs=1M count=%s status=none", MIB)
    linux01.check_output("sync")
    linux01.check_output("sha256sum /mnt/data > /root/written")


def test_the_guest_reboots(linux01):
    before = linux01.file("/proc/sys/kernel/random/boot_id").content_string
    linux01.run("umount /mnt && (setsid reboot > /dev/null 2>&1 &)")
    end = time.monotonic() + REBOOT_LIMIT
    after = before
    while after in (before, "") and time.monotonic() < end:
        after = linux01.run("cat /proc/sys/kernel/random/boot_id").stdout
        time.sleep(1)
    assert after not in (before, "")


def test_the_64_mib_are_there(linux01):
    linux01.check_output("chccwdev -e 0.0.1234")
    linux01.check_output("udevadm settle")
    linux01.check_output("mount %s1 /mnt", disk_of(linux01))
    linux01.check_output("sha256sum -c /root/written")
    linux01.check_output("umount /mnt")


def test_it_goes_offline(lpar1, linux01):
    """What is on it is noted on the host, for those who get the disk next."""
    partition = linux01.check_output("sha256sum %s1", disk_of(linux01)).split()[0]
    data = linux01.check_output("cat /root/written").split()[0]
    lpar1.check_output("echo %s %s > /root/checksums", partition, data)
    linux01.check_output("chccwdev -d 0.0.1234")
    assert linux01.file("/sys/bus/ccw/devices/0.0.1234/online").content_string == "0\n"

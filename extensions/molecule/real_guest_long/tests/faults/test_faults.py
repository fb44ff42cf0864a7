# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's own driver meets faults of the device: it recovers, or it reports; nothing hangs."""

from __future__ import annotations

import os
import subprocess

from lab_rig import until

DEVICE = "/sys/bus/ccw/devices/0.0.1235"
READ = "timeout 120 dd if=/dev/%s of=/dev/null bs=64k count=4 iflag=direct status=none"
LIMIT = 120
"""Seconds for the guest to see that a device has gone."""


def fault(*words):
    """``ccwemu fault`` for the disk, by its number on the host: what it says."""
    command = ["ccwemu", "fault", "--lab", os.environ["CCWEMU_LAB"], "lpar1", "0.0.7e55", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def disk_of(guest):
    return guest.check_output(f"ls {DEVICE}/block")


def test_an_equipment_check_is_recovered_from(linux01):
    fault("unit-check", "--sense", "equipment-check", "--command", "86", "--count", "2")
    linux01.check_output(READ, disk_of(linux01))
    assert "unit-check" not in fault("list"), "nobody has met it"
    assert "0.0.1235" in linux01.check_output("dmesg")


def test_a_command_reject_is_an_error(linux01):
    fault("unit-check", "--sense", "command-reject", "--command", "86", "--count", "1")
    assert "error reading" in linux01.run(READ, disk_of(linux01)).stderr
    linux01.check_output(READ, disk_of(linux01))


def test_a_lost_interruption_is_waited_for_no_longer_than_the_driver_does(linux01):
    linux01.check_output(f"echo 4 > {DEVICE}/expires")
    fault("lost-interrupt", "--command", "86")
    linux01.check_output(READ, disk_of(linux01))
    assert "lost-interrupt" not in fault("list"), "nobody has met it"


def test_a_device_that_disappears_is_told(linux01):
    """Linux keeps a disk that was online, without its device (drivers/s390/cio/device.c, io_subchannel_sch_event)."""
    linux01.check_output("chccwdev -a failfast=1 0.0.1235")
    disk = disk_of(linux01)
    fault("remove")
    until(lambda: linux01.file(f"{DEVICE}/availability").content_string == "no device\n", LIMIT)
    assert "error reading" in linux01.run(READ, disk).stderr
    fault("restore")

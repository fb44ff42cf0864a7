# SPDX-License-Identifier: GPL-3.0-or-later
"""Channel paths go and come at the host while the guest reads.

Linux keeps a request while a DASD has no path, and ends it in an error where the disk's ``failfast`` is on
(drivers/s390/block/dasd.c, dasd_generic_last_path_gone and do_dasd_request).
"""

from __future__ import annotations

from lab_rig import until

DEVICE = "/sys/bus/ccw/devices/0.0.8001"
READ = "dd if=/dev/%s of=/dev/null bs=64k count=8 iflag=direct status=none"


def vary(host, chpid, state):
    host.check_output("sh -c %s", f"echo {state} > /sys/devices/css0/chp0.{chpid}/status")


def available(guest):
    """The path-available mask that the guest has of the disk's subchannel."""
    return guest.check_output(f"cat $(readlink -f {DEVICE}/..)/pimpampom").split()[1]


def disk_of(guest):
    return guest.check_output(f"ls {DEVICE}/block")


def test_one_path_goes_and_io_goes_on(lpar1, linux01):
    assert available(linux01) == "c0"
    vary(lpar1, "41", "off")
    until(lambda: available(linux01) == "40")
    linux01.check_output(READ, disk_of(linux01))


def test_the_last_path_goes_and_a_read_fails_fast(lpar1, linux01):
    linux01.check_output("chccwdev -a failfast=1 0.0.8001")
    vary(lpar1, "42", "off")
    until(lambda: available(linux01) == "00")
    assert "0.0.8001: No operational channel path is left" in linux01.check_output("dmesg")
    assert "error reading" in linux01.run(READ, disk_of(linux01)).stderr


def test_a_read_that_may_wait_ends_when_the_paths_are_back(lpar1, linux01):
    linux01.check_output("chccwdev -a failfast=0 0.0.8001")
    linux01.check_output(f"rm -f /root/ended; ({READ}; echo $? > /root/ended) > /dev/null 2>&1 &", disk_of(linux01))
    assert not linux01.file("/root/ended").exists
    vary(lpar1, "42", "on")
    vary(lpar1, "41", "on")
    until(lambda: available(linux01) == "c0")
    until(lambda: linux01.file("/root/ended").exists)
    assert linux01.file("/root/ended").content_string == "0\n"

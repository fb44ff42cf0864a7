# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk is back on the host: it, and Hercules' own tool, see the volume that the guest has made."""

from __future__ import annotations

import os
import subprocess

from ccwemu.lab.state import lab_directory

VOLUME = "0X1234"
"""What the guest's fdasd names it, by the device number in the guest."""
IMAGE = os.path.join(lab_directory(os.environ["CCWEMU_LAB"]), "disks", "lpar1-0.0.7e52.ckd")


def test_the_disk_is_online_on_the_host(lpar1):
    (row,) = [line.split() for line in lpar1.check_output("lsdasd").splitlines() if line.startswith("0.0.7e52")]
    assert row[1] == "active"


def test_the_host_reads_what_the_guest_wrote(lpar1):
    name = lpar1.check_output("ls /sys/bus/ccw/devices/0.0.7e52/block")
    written = lpar1.check_output("cat /root/checksums").split()[0]
    assert lpar1.check_output("sha256sum /dev/%s1", name).split()[0] == written


def test_ccwemu_sees_the_volume():
    said = subprocess.run(["ccwemu", "disk", "info", IMAGE], check=True, capture_output=True, text=True).stdout
    assert f"volume:     {VOLUME}" in said.splitlines()


def test_hercules_sees_the_volume(lpar1):
    """Of a disk that is online the image has a journal at its end, which Hercules refuses."""
    lpar1.check_output("chccwdev -d 0.0.7e52")
    said = subprocess.run(["dasdls", IMAGE], check=True, capture_output=True, text=True).stdout
    lpar1.check_output("chccwdev -e 0.0.7e52")
    assert f"VOLSER={VOLUME}" in said

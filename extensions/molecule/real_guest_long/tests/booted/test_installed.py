# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest was started from the disk that was passed to it, by QEMU's own boot loader and zipl's."""

from __future__ import annotations


def test_the_start_script_says_so(lpar1):
    script = lpar1.file("/etc/vfio_ccw/guests/linux01.sh").content_string
    (device,) = [line for line in script.splitlines() if "devno=fe.0.1234" in line]
    assert ",bootindex=1" in device
    assert "-kernel" not in script


def test_the_root_file_system_is_on_it(linux01):
    assert linux01.check_output("findmnt -n -o SOURCE /") == "/dev/dasda1"
    assert "rd.dasd=0.0.1234" in linux01.file("/proc/cmdline").content_string
    assert linux01.check_output("hostname") == "installed"
    assert not linux01.file("/dev/vda").exists

# SPDX-License-Identifier: GPL-3.0-or-later
"""Both kernels that Debian offers have the disk online, and it keeps what is written."""

from __future__ import annotations

import pytest

KERNELS = {"linux01": "6.1.", "linux02": "6.12."}
WRITE_AND_READ = r"""
yes data | head -c 1048576 | dd of=/dev/%s bs=64k seek=16 conv=fsync status=none
dd if=/dev/%s bs=64k skip=16 count=16 iflag=direct status=none | sha256sum
yes data | head -c 1048576 | sha256sum
"""


@pytest.mark.parametrize("name", KERNELS)
def test_the_disk_is_online(request, name):
    guest = request.getfixturevalue(name)
    assert guest.check_output("uname -r").startswith(KERNELS[name])
    assert guest.file("/sys/bus/ccw/devices/0.0.1234/status").content_string == "online\n"
    disk = guest.check_output("ls /sys/bus/ccw/devices/0.0.1234/block")
    read, written = guest.check_output(WRITE_AND_READ, disk, disk).splitlines()
    assert read == written

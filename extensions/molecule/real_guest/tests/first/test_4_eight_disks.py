# SPDX-License-Identifier: GPL-3.0-or-later
"""Eight disks at once in one guest, all online, with I/O on all of them at the same time."""

from __future__ import annotations

import pytest

DISKS = ["0.0.1234", *(f"0.0.800{number}" for number in range(1, 8))]
# Each disk gets other bytes, at the same time as the others, and gives them back from the disk, not from memory
WRITE_AND_READ = r"""
for device in {devices}; do
  name=$(ls /sys/bus/ccw/devices/$device/block)
  (
    yes $device | head -c 4194304 | dd of=/dev/$name bs=64k seek=16 conv=fsync status=none
    dd if=/dev/$name bs=64k skip=16 count=64 iflag=direct status=none | sha256sum > /root/read-$device
  ) &
done
wait
"""


@pytest.mark.parametrize("device", DISKS)
def test_it_is_online(linux01, device):
    linux01.run("chccwdev -e %s", device)
    assert linux01.file(f"/sys/bus/ccw/devices/{device}/online").content_string == "1\n"


def test_all_carry_what_was_written_to_them(linux01):
    linux01.check_output(WRITE_AND_READ.format(devices=" ".join(DISKS[1:])))
    for device in DISKS[1:]:
        expected = linux01.check_output("yes %s | head -c 4194304 | sha256sum", device)
        assert linux01.check_output("cat /root/read-%s", device) == expected, device

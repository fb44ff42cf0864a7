# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk that two hosts see: one at a time uses it, and to the other it is reserved."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab_rig import give, running_lab, take

from ccwemu import disk

LAB = """\
lab: shared
hosts:
  lpar1:
    devices: [{dasd: 0.0.7e52, subchannel: 0.0.0000, chpids: [41], image: disk.ckd, shared: true, online: true}]
  lpar2:
    devices: [{dasd: 0.0.9000, subchannel: 0.0.0000, chpids: [41], image: disk.ckd, shared: true, ssid: "7e00",
               unit_address: "52"}]
guests:
  linux01: {host: lpar2, kind: quick}
"""
UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
QEMU = (
    "qemu-system-s390x -name linux01 -nodefaults -display none -daemonize -pidfile /run/linux01.pid "
    f"-device vfio-ccw,sysfsdev=/sys/bus/mdev/devices/{UUID},devno=fe.0.1234"
)
ONLINE = "cat /sys/bus/ccw/devices/{}/online"


@pytest.mark.lab
def test_one_host_at_a_time(tmp_path: Path) -> None:
    disk.create(tmp_path / "disk.ckd", 3, volser="SHARED")
    with running_lab(tmp_path, LAB) as lab:
        assert lab.output("lpar1", ONLINE.format("0.0.7e52")) == "1\n"
        assert "3390/0c" in lab.output("lpar2", "lscss")
        refused = lab.shell("lpar2", "chccwdev -e 0.0.9000; cat /sys/bus/ccw/devices/0.0.9000/availability")
        assert refused.stdout.endswith("boxed\n")
        assert "it is boxed" in lab.output("lpar2", "dmesg")

        lab.output("lpar1", "printf moved | dd of=/dev/dasda1 conv=notrunc status=none; chccwdev -d 0.0.7e52")
        lab.output("lpar2", "chccwdev -f -e 0.0.9000")
        assert lab.output("lpar2", "dd if=/dev/dasda1 bs=5 count=1 status=none") == "moved"
        assert lab.shell("lpar1", "chccwdev -e 0.0.7e52").returncode != 0
        uid = lab.output("lpar2", "cat /sys/bus/ccw/devices/0.0.9000/uid")

        lab.output("lpar2", "chccwdev -d 0.0.9000")
        lab.output("lpar2", give("0.0.0000", UUID))
        lab.output("lpar2", QEMU)
        assert lab.output("linux01", "chccwdev -e 0.0.1234; dd if=/dev/dasda1 bs=5 count=1 status=none")[-5:] == "moved"
        assert lab.output("linux01", "cat /sys/bus/ccw/devices/0.0.1234/uid") == uid
        assert lab.shell("lpar1", "chccwdev -e 0.0.7e52").returncode != 0
        lab.output("lpar2", "kill $(cat /run/linux01.pid); while [ -e /run/linux01.pid ]; do :; done")
        lab.output("lpar2", take("0.0.0000", UUID))
        lab.output("lpar1", "chccwdev -f -e 0.0.7e52")
        assert lab.output("lpar1", "dd if=/dev/dasda1 bs=5 count=1 status=none") == "moved"

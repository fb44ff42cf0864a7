# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host and the guest look like once the disk 0.0.7e52 has gone to linux01."""

from __future__ import annotations

UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
SUBCHANNEL = "0.0.16ca"


def test_the_subchannel_is_bound_to_vfio_ccw(lpar1):
    assert lpar1.file(f"/sys/bus/css/devices/{SUBCHANNEL}/driver").linked_to == "/sys/bus/css/drivers/vfio_ccw"


def test_the_mediated_device_exists_on_the_subchannel(lpar1):
    assert lpar1.file(f"/sys/bus/mdev/devices/{UUID}").linked_to == f"/sys/devices/css0/{SUBCHANNEL}/{UUID}"
    assert lpar1.check_output("lscss --vfio").splitlines()[2].split()[:2] == [UUID, SUBCHANNEL]


def test_the_modules_are_kept_over_a_reboot(lpar1):
    kept = lpar1.file("/etc/modules-load.d/vfio_ccw.conf").content_string.split("\n")
    assert "vfio_ccw" in kept


def test_no_other_disk_was_touched(lpar1):
    assert lpar1.file("/sys/bus/ccw/devices/0.0.7e53/online").content_string == "1\n"
    assert lpar1.mount_point("/srv/data").exists
    assert lpar1.file("/sys/bus/ccw/devices/0.0.7e54/online").content_string == "0\n"


def test_the_guest_was_started_by_the_start_script(lpar1):
    script = lpar1.file("/etc/vfio_ccw/guests/linux01.sh").content_string
    assert f"vfio-ccw,devno=fe.0.1234,sysfsdev=/sys/bus/mdev/devices/{UUID}" in script
    assert "s390-ccw-virtio" in script
    assert lpar1.run("pgrep -f qemu-system-s390x").rc == 0


def test_the_guest_sees_a_3390(linux01):
    rows = [line.split() for line in linux01.check_output("lscss").splitlines()]
    (row,) = [row for row in rows if row[0] == "0.0.1234"]
    assert row[2].startswith("3390/")
    assert row[3].startswith("3990/")


def test_the_disk_is_online_in_the_guest(linux01):
    assert linux01.file("/sys/bus/ccw/devices/0.0.1234/online").content_string == "1\n"
    assert "0.0.1234  active    dasda" in linux01.check_output("lsdasd")
    assert linux01.file("/sys/block/dasda/dasda1").is_directory


def test_what_the_guest_writes_it_reads(linux01):
    linux01.check_output("dd if=/dev/urandom of=/root/written bs=4096 count=64 status=none")
    linux01.check_output("dd if=/root/written of=/dev/dasda1 bs=4096 seek=8 conv=fsync status=none")
    linux01.check_output("dd if=/dev/dasda1 of=/root/read bs=4096 skip=8 count=64 status=none")
    assert linux01.run("cmp /root/written /root/read").rc == 0

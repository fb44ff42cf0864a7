# SPDX-License-Identifier: GPL-2.0-or-later
"""A quick guest from end to end: a DASD is passed to it, used in it, changed under it, and taken back.

Starts an emulated host; needs /dev/fuse and user namespaces, and the emulator installed (its compiled core must be
visible inside a node).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_rig import Lab, give, running_guest, running_lab, take, until

import ccwemu

pytestmark = pytest.mark.lab

LAB = """\
lab: guest-run
hosts:
  lpar1:
    devices:
      - {virtio: 0.0.0000, subchannel: 0.0.0000, kind: net}
      - {dasd: 0.0.7e52, subchannel: 0.0.16ca, chpids: [41, 42], cylinders: 10}
guests:
  linux01: {host: lpar1}
"""
UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
DEVICE = f"vfio-ccw,devno=fe.0.1234,sysfsdev=/sys/bus/mdev/devices/{UUID}"
QEMU = f"qemu-system-s390x -M s390-ccw-virtio -nodefaults -nographic -daemonize -device {DEVICE}"
START = f"{QEMU} -name linux01 -pidfile /run/linux01.pid -qmp unix:/run/linux01.qmp,server=on,wait=off"
PASS = give("0.0.16ca", UUID)
TAKE_BACK = take("0.0.16ca", UUID)


def statistics(lab: Lab) -> dict[str, int]:
    """What has gone through the regions of the guest's disk."""
    ask = "import json; from ccwemu.tools import _host; print(json.dumps(_host.ask({'op': 'statistics'})))"
    path = str(Path(ccwemu.__file__).parents[1])
    text = lab.output("linux01", f'PYTHONPATH={path} {sys.executable} -c "{ask}"')
    found: dict[str, int] = json.loads(text)["devices"]["0.0.1234"]
    return found


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("guest"), LAB) as made:
        yield made


@pytest.fixture
def guest(lab: Lab) -> Iterator[Lab]:
    """The disk is passed through and linux01 is up; afterwards the host has it again."""
    with running_guest(lab, "0.0.16ca", UUID, START):
        yield lab


def test_blocks_travel_as_channel_programs(guest: Lab) -> None:
    """What the guest writes, the host reads; and every block went through the regions of vfio-ccw."""
    assert "0.0.1234 0.0.0000  3390/0c 3990/e9 " in guest.output("linux01", "lscss")
    assert guest.output("linux01", "chccwdev -e 0.0.1234") == "Setting device 0.0.1234 online\nDone\n"
    before = statistics(guest)
    written = guest.output(
        "linux01",
        "head -c 1M /dev/urandom > /tmp/x; dd if=/tmp/x of=/dev/dasda1 bs=64k 2>/dev/null; sha256sum < /tmp/x",
    )
    assert guest.output("linux01", "dd if=/dev/dasda1 bs=64k count=16 2>/dev/null | sha256sum") == written
    after = statistics(guest)
    assert after["blocks_written"] - before["blocks_written"] == 256
    assert after["blocks_read"] - before["blocks_read"] == 256
    guest.output("linux01", "chccwdev -d 0.0.1234")
    guest.output("lpar1", "kill $(cat /run/linux01.pid)")
    until(lambda: guest.shell("lpar1", "[ ! -e /run/linux01.pid ]").returncode == 0)
    guest.output("lpar1", TAKE_BACK + "chccwdev -e 0.0.7e52")
    read = guest.output("lpar1", "dd if=/dev/dasda1 bs=64k count=16 2>/dev/null | sha256sum; chccwdev -d 0.0.7e52")
    assert read.startswith(written)
    guest.output("lpar1", PASS)


def test_a_device_in_use_is_refused(guest: Lab) -> None:
    """By the second QEMU, in QEMU's words, also with -daemonize."""
    second = guest.shell("lpar1", f"{QEMU} -name other")
    assert second.returncode == 1
    assert (
        second.stderr == f"qemu-system-s390x: -device {DEVICE}: failed to open /dev/vfio/0: Device or resource busy\n"
    )


def test_a_guest_of_the_same_name_is_refused(guest: Lab) -> None:
    second = guest.shell("lpar1", "qemu-system-s390x -nodefaults -name linux01")
    assert second.returncode == 1
    assert "guest linux01 is already running on this host" in second.stderr


def test_the_host_takes_a_device_away(guest: Lab) -> None:
    """Removing the mediated device asks QEMU for it: it leaves the guest, and the removal goes on."""
    guest.output("linux01", "chccwdev -e 0.0.1234")
    guest.output("lpar1", f"echo 1 > /sys/bus/mdev/devices/{UUID}/remove")
    assert "0.0.1234" not in guest.output("linux01", "lscss")
    assert guest.shell("linux01", "[ -e /dev/dasda ]").returncode == 1
    available = "cat /sys/bus/css/devices/0.0.16ca/mdev_supported_types/vfio_ccw-io/available_instances"
    assert guest.output("lpar1", available) == "1\n"


def test_a_channel_path_goes_and_comes(guest: Lab) -> None:
    """A CHPID of the host shows in the guest's path masks, and the disk goes on over the other path."""
    masks = "cat /sys/bus/css/devices/0.0.0000/pimpampom"
    guest.output("linux01", "chccwdev -e 0.0.1234")
    guest.output("lpar1", "echo off > /sys/devices/css0/chp0.41/status")
    until(lambda: guest.output("linux01", masks) == "c0 40 ff\n")
    guest.output("linux01", "dd if=/dev/dasda1 of=/dev/null bs=4k count=1 2>/dev/null")
    guest.output("lpar1", "echo on > /sys/devices/css0/chp0.41/status")
    until(lambda: guest.output("linux01", masks) == "c0 c0 ff\n")


def test_a_mounted_disk_stays_online(guest: Lab) -> None:
    """mount refuses a disk without a file system, as the real one does; one that is mounted cannot go offline."""
    empty = "chccwdev -e 0.0.1234; dd if=/dev/zero of=/dev/dasda1 bs=64k count=2 2>/dev/null; mount /dev/dasda1 /mnt"
    refused = guest.shell("linux01", empty)
    assert refused.returncode == 32
    assert "mount: /mnt: wrong fs type, bad option, bad superblock on /dev/dasda1, " in refused.stderr
    guest.output("linux01", "mke2fs -q -F -b 4096 /dev/dasda1 && mount -o ro /dev/dasda1 /mnt")
    assert guest.output("linux01", "grep -c '^/dev/dasda1 /mnt ' /proc/mounts") == "1\n"
    assert guest.shell("linux01", "echo 0 > /sys/bus/ccw/devices/0.0.1234/online").returncode == 1
    assert "open count 1" in guest.output("linux01", "dmesg | tail -1")
    guest.output("linux01", "umount /mnt && chccwdev -d 0.0.1234")


def test_a_guest_keeps_its_files_over_a_reboot(guest: Lab) -> None:
    guest.output("linux01", "echo kept > /root/note; chccwdev -e 0.0.1234")
    guest.shell("linux01", "python3 -c 'import ctypes; ctypes.CDLL(None).reboot(0x01234567)'")
    until(lambda: guest.shell("linux01", "cat /sys/bus/ccw/devices/0.0.1234/online").stdout == "0\n")
    assert guest.output("linux01", "cat /root/note") == "kept\n"


def test_the_monitor_ends_the_guest(guest: Lab) -> None:
    quit_it = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/linux01.qmp'); f = s.makefile('rw'); "
        'f.readline(); print(\'{\\"execute\\": \\"qmp_capabilities\\"}\', file=f, flush=True); f.readline(); '
        'print(\'{\\"execute\\": \\"quit\\"}\', file=f, flush=True); print(f.readline())'
    )
    assert json.loads(guest.output("lpar1", f'python3 -c "{quit_it}"')) == {"return": {}}
    until(lambda: guest.shell("lpar1", "[ ! -e /run/linux01.pid ]").returncode == 0)
    assert guest.shell("lpar1", "[ -e /run/linux01.qmp ]").returncode == 1


def test_a_missing_mediated_device(lab: Lab) -> None:
    done = lab.shell("lpar1", f"{QEMU} -name linux01")
    assert done.returncode == 1
    path = f"/sys/bus/mdev/devices/{UUID}"
    assert done.stderr.endswith(f"Host device '{path}' not found: No such file or directory\n")

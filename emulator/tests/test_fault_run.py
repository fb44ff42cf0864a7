# SPDX-License-Identifier: GPL-2.0-or-later
"""``ccwemu fault`` on a running lab: the host's own disk, and a quick guest's.

Starts an emulated host; needs /dev/fuse and user namespaces, and the emulator installed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab_rig import Lab, running_guest, running_lab, take, until

pytestmark = pytest.mark.lab

LAB = """\
lab: fault-run
hosts:
  lpar1:
    modules: [dasd_eckd_mod]
    devices:
      - {virtio: 0.0.0000, subchannel: 0.0.0000, kind: net}
      - {dasd: 0.0.7e52, subchannel: 0.0.16ca, chpids: [41, 42], cylinders: 10, online: true}
      - {dasd: 0.0.7e53, subchannel: 0.0.16cb, chpids: [41, 42], cylinders: 10}
guests:
  linux01: {host: lpar1}
"""
UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
SCH = "0.0.16cb"
QEMU = (
    "qemu-system-s390x -M s390-ccw-virtio -nodefaults -nographic -daemonize -name linux01 -pidfile /run/linux01.pid "
    f"-device vfio-ccw,devno=fe.0.1234,sysfsdev=/sys/bus/mdev/devices/{UUID}"
)
READ = "dd if=/dev/dasda of=/dev/null bs=4k count=1 status=none"
ERROR = "dd: error reading '/dev/dasda': Input/output error\n"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("fault"), LAB) as made:
        yield made


@pytest.fixture
def guest(lab: Lab) -> Iterator[Lab]:
    """linux01 is up with the second disk, 0.0.1234 there."""
    with running_guest(lab, SCH, UUID, QEMU):
        yield lab


def fault(lab: Lab, words: str, device: str = "0.0.7e52") -> str:
    done = lab.command("fault", "lpar1", device, *words.split())
    assert done.returncode == 0, done.stderr
    return done.stdout


def pending(lab: Lab, device: str = "0.0.7e52") -> bool:
    return fault(lab, "list", device) != f"device {device}: nothing is pending\n"


@pytest.mark.parametrize(("words", "error", "said"), [
    ("unit-check --sense equipment-check --count 3", "", ""),
    ("unit-check --sense environmental", "", ""),
    ("unit-check --sense data-check --count 11", ERROR, "(data check)"),
    ("unit-check --sense command-reject", ERROR, "(command reject)"),
    ("unit-check --sense file-protected", ERROR, "(file protected)"),
    ("lost-interrupt --count 2", "", "The request timed out, 9 retries remaining"),
])  # fmt: skip
def test_the_hosts_disk(lab: Lab, words: str, error: str, said: str) -> None:
    """What Linux's error recovery tries again is not seen by who reads; the rest is an I/O error."""
    lab.output("lpar1", "echo 1 > /sys/bus/ccw/devices/0.0.7e52/expires; dmesg > /tmp/before")
    fault(lab, words)
    assert pending(lab)
    assert lab.shell("lpar1", READ).stderr.startswith(error or "\n") is bool(error)
    assert not pending(lab)
    log = lab.output("lpar1", "dmesg | diff /tmp/before - || true")
    assert said in log
    assert bool(log) is bool(said)
    lab.output("lpar1", READ)


def test_cleared(lab: Lab) -> None:
    fault(lab, "unit-check --sense command-reject --count 5")
    assert fault(lab, "clear") == "device 0.0.7e52: 1 fault cleared\n"
    lab.output("lpar1", READ)


def test_an_online_disk_goes_and_comes(lab: Lab) -> None:
    """Linux keeps a DASD that was online, and takes it into use again."""
    state = "cat /sys/bus/ccw/devices/0.0.7e52/availability /sys/bus/ccw/devices/0.0.7e52/online"
    fault(lab, "remove")
    assert fault(lab, "list") == "device 0.0.7e52: is away\n"
    assert lab.output("lpar1", state) == "no device\n1\n"
    assert lab.shell("lpar1", READ).stderr.startswith(ERROR)
    again = lab.command("fault", "lpar1", "0.0.7e52", "remove")
    assert (again.returncode, again.stderr) == (
        1, "ccwemu: host lpar1: device 0.0.7e52: is away already; bring it back with restore\n"
    )  # fmt: skip
    fault(lab, "restore")
    lab.output("lpar1", "echo 1 > /proc/cio_settle")
    assert lab.output("lpar1", state) == "good\n1\n"
    lab.output("lpar1", READ)


def test_a_disk_that_was_given_up_is_found_again(lab: Lab) -> None:
    """Offline it goes with its subchannel; so it does when somebody does not want to wait for it."""
    there = "ls -d /sys/bus/css/devices/0.0.16ca /sys/bus/ccw/devices/0.0.7e52 2>/dev/null | wc -l"
    fault(lab, "remove")
    lab.output("lpar1", "echo 0 > /sys/bus/ccw/devices/0.0.7e52/online; echo 1 > /proc/cio_settle")
    assert lab.output("lpar1", there) == "0\n"
    assert lab.command("reboot", "lpar1").returncode == 0
    assert lab.output("lpar1", there) == "0\n", "it is away for a rebooted host, too"
    fault(lab, "restore")
    lab.output("lpar1", "echo 1 > /proc/cio_settle; chccwdev -e 0.0.7e52")
    lab.output("lpar1", READ)


def test_faults_follow_the_disk_into_the_guest(guest: Lab) -> None:
    device = "0.0.7e53"
    fault(guest, "unit-check --sense equipment-check --command 63 --count 3", device)
    guest.output("linux01", "chccwdev -e 0.0.1234")
    until(lambda: not pending(guest, device))  # bringing it online reads the disk; its guest tells of it
    guest.output("linux01", "echo 1 > /sys/bus/ccw/devices/0.0.1234/expires")
    fault(guest, "lost-interrupt", device)
    until(lambda: guest.shell("linux01", READ).returncode == 0 and not pending(guest, device))
    assert "The request timed out, 10 retries remaining" in guest.output("linux01", "dmesg")
    fault(guest, "unit-check --sense command-reject --count 2", device)
    until(lambda: guest.shell("linux01", READ).stderr.startswith(ERROR))
    guest.shell("linux01", READ)
    until(lambda: not pending(guest, device))
    guest.output("linux01", READ + "; chccwdev -d 0.0.1234")
    fault(guest, "unit-check --sense command-reject --command 63", device)
    guest.output("lpar1", "kill $(cat /run/linux01.pid)")
    until(lambda: guest.shell("lpar1", "[ ! -e /run/linux01.pid ]").returncode == 0)
    guest.output("lpar1", take(SCH, UUID))
    assert pending(guest, device)
    guest.shell("lpar1", "chccwdev -e 0.0.7e53; chccwdev -d 0.0.7e53")
    assert not pending(guest, device), "met by the host"


def test_a_guests_disk_goes(guest: Lab) -> None:
    """vfio_ccw lets the subchannel go: the guest is asked for the device and loses it."""
    guest.output("linux01", "chccwdev -e 0.0.1234")
    fault(guest, "remove", "0.0.7e53")
    guest.output("lpar1", "echo 1 > /proc/cio_settle")
    assert guest.shell("lpar1", f"ls /sys/bus/css/devices/{SCH}").returncode == 2
    assert "0.0.1234" not in guest.output("linux01", "lscss")
    fault(guest, "restore", "0.0.7e53")
    guest.output("lpar1", "echo 1 > /proc/cio_settle; chccwdev -e 0.0.7e53; chccwdev -d 0.0.7e53")

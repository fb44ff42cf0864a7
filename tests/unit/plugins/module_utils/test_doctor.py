# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each link of the chain from the kernel to the guest, broken in turn."""

from __future__ import annotations

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BusId, GuestDevno
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.info._doctor import DoctorError, examine
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._qemu import (
    Guest,
    PassedDevice,
    command_line,
    start_script,
)
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_kernel import converge

UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
DEVICE = BusId.parse("0.0.7e52")
WANTED = {"device": "0.0.7e52", "uuid": UUID, "guest": "linux01", "devno": "fe.0.1234"}


def guest(devno="fe.0.1234", uuid=UUID):
    return Guest("linux01", (PassedDevice(uuid, GuestDevno.parse(devno)),), accel="tcg")


def passed(kernel):
    converge(kernel.host(), [WANTED])


def with_script(kernel, **other):
    passed(kernel)
    kernel.put(guest().script, start_script(guest(**other)))


def running(kernel, **other):
    with_script(kernel)
    kernel.start_process(4711, command_line(guest(**other)))
    kernel.open_by(4711, "qemu-system-s39", "/dev/vfio/0")
    kernel.busy.add("/dev/vfio/0")


def stolen(kernel):
    with_script(kernel)
    kernel.open_by(99, "vfio-test", "/dev/vfio/0")
    kernel.busy.add("/dev/vfio/0")


def without_mdev(kernel):
    passed(kernel)
    kernel._remove(UUID)


def without_driver(kernel):
    kernel.mdev_driver = ""
    kernel.host().write("/sys/bus/ccw/devices/0.0.7e52/online", "0")
    kernel.host().write("/sys/bus/css/drivers/io_subchannel/unbind", "0.0.16ca")
    kernel.host().write("/sys/bus/css/drivers/vfio_ccw/bind", "0.0.16ca")
    kernel._create("0.0.16ca", UUID)


def pathless(kernel):
    kernel.put("sys/devices/css0/0.0.16ca/pimpampom", "c0 00 ff\n")


def mounted(kernel):
    kernel.put("proc/self/mountinfo", "61 22 94:1 / /srv rw - ext4 /dev/dasda1 rw\n")


def unsupported(kernel):
    kernel._rmtree(kernel.root / "sys/bus/css/drivers/vfio_ccw")
    kernel.put("proc/modules", "")
    kernel.add_config(CONFIG_VFIO="m", CONFIG_VFIO_CCW="n")
    kernel.add_module_tree("vfio")


# what the host is like, the verdict, the link of the chain, its state, what is said
CASES = [
    (lambda kernel: None, "passable", "passthrough", "open", "the host has it"),
    (mounted, "refused", "mounted", "fails", "mounted at /srv"),
    (pathless, "refused", "paths", "fails", "CHPIDs 41 42, PIM PAM POM c0 00 ff"),
    (unsupported, "refused", "no-vfio-ccw", "fails", "CONFIG_VFIO_CCW"),
    (passed, "ready", "start script", "open", "/etc/vfio_ccw/guests/linux01.sh is not there"),
    (with_script, "ready", "guest", "open", "does not run"),
    (lambda k: with_script(k, devno="fe.0.9999"), "refused", "start script", "fails", "devno=fe.0.1234"),
    (lambda k: with_script(k, uuid=UUID[:-1] + "1"), "refused", "start script", "fails", UUID),
    (running, "usable", "use", "ok", "QEMU has /dev/vfio/0 open"),
    (lambda k: running(k, devno="fe.0.9999"), "refused", "guest", "fails", "expected devno=fe.0.1234"),
    (lambda k: running(k, uuid=UUID[:-1] + "1"), "refused", "use", "fails", "process 4711"),
    (stolen, "refused", "use", "fails", "process 99 (vfio-test)"),
    (without_mdev, "refused", "mediated device", "fails", "has no mediated device"),
    (without_driver, "refused", "mediated device", "fails", "has no driver"),
]


@pytest.mark.parametrize("prepare, verdict, link, state, says", CASES)
def test_the_link_that_is_broken_is_named(kernel, prepare, verdict, link, state, says):
    prepare(kernel)
    host = kernel.host()
    result = examine(host, DEVICE, "linux01")
    found = [one for one in result["checks"] if one["check"] == link]
    assert [one["state"] for one in found] == [state], result["report"]
    assert says in found[0]["found"]
    assert found[0]["next_step"] or state == "ok"
    assert (result["verdict"], result["usable"]) == (verdict, verdict == "usable")
    assert (host.writes, host.saves) == ([], [])


def test_the_answer_is_one_page(kernel):
    running(kernel)
    report = examine(kernel.host(), DEVICE, "linux01")["report"]
    assert report[0] == "0.0.7e52 can be used in guest linux01, as 0.0.1234"
    assert all(len(line) < 200 for line in report) and len(report) < 20


def test_without_a_guest_it_is_the_one_that_the_host_notes(kernel):
    running(kernel)
    assert examine(kernel.host(), DEVICE, "") == examine(kernel.host(), DEVICE, "linux01")


def test_another_guest_is_told_who_has_it(kernel):
    running(kernel)
    result = examine(kernel.host(), DEVICE, "linux02")
    assert result["verdict"] == "refused"
    assert "passed to guest linux01" in " ".join(result["report"])


@pytest.mark.parametrize(
    ("device", "says"), [("0.0.ffff", "no subchannel of this host"), ("0.0.16ca", "its device is 0.0.7e52")]
)
def test_a_device_that_is_not_there(kernel, device, says):
    result = examine(kernel.host(), BusId.parse(device), "")
    assert result["verdict"] == "refused"
    assert says in " ".join(result["report"])


def test_whether_it_lasts(kernel):
    converge(kernel.host(), [{**WANTED, "persistent": True}])
    lasts = examine(kernel.host(), DEVICE, "")["checks"][-1]
    assert (lasts["check"], lasts["state"]) == ("restart of the host", "ok")
    kernel.put("proc/cmdline", "rd.dasd=0.0.7e52\n")
    lasts = examine(kernel.host(), DEVICE, "")["checks"][-1]
    assert lasts["state"] == "open" and "rd.dasd=0.0.7e52" in lasts["found"]


def test_what_is_no_guest_is_an_error(kernel):
    with pytest.raises(DoctorError, match="is no name for a guest"):
        examine(kernel.host(), DEVICE, "../x")


def test_a_device_that_was_left_offline_for_another_system(kernel):
    passed(kernel)
    converge(kernel.host(), [{"device": "0.0.7e52", "state": "absent", "leave_offline": True}])
    (check,) = [one for one in examine(kernel.host(), DEVICE, "")["checks"] if one["check"] == "left offline"]
    assert check["state"] == "open" and "chccwdev -e" in check["next_step"]

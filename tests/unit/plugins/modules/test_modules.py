# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules' ends: what a success and each kind of failure hands to Ansible."""

from __future__ import annotations

import errno

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils import _errors, _module
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BadName, BusId
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import HostError, StillBlocked
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.disk._ccw import CcwError
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.disk._zdev import ZdevError
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine import _report
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._apply import StepFailed
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._engine import NotAsWanted
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._kernel_support import KernelError, converge_kernel
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._steps import bind_ccw
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.host._journal import JournalError
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.info._doctor import DoctorError
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.info._export import ExportError
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._virsh import LibvirtError
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._guest import BadGuest, GuestError
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._table import Refused
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_kernel import converge

DISK = {"device": "0.0.7e52"}


class Ended(Exception):
    """What exit_json and fail_json do to a module."""


class FakeModule:
    def __init__(self):
        self.result, self.failed, self.warnings = {}, None, []

    def exit_json(self, **result):
        self.result, self.failed = result, False
        raise Ended

    def fail_json(self, **result):
        self.result, self.failed = result, True
        raise Ended

    def warn(self, text):
        self.warnings.append(text)


@pytest.fixture(name="end")
def _end(kernel, monkeypatch):
    """Runs a module's work on the fake host and gives the module as it ended."""
    monkeypatch.setattr(_module, "host_of", lambda module: kernel.host())

    def end(work):
        module = FakeModule()
        with pytest.raises(Ended):
            _module.run(module, work)
        return module

    return end


def test_a_success_hands_over_its_warnings(end):
    module = end(lambda host: {"changed": False, "warnings_": ["slow"]})
    assert (module.failed, module.result, module.warnings) == (False, {"changed": False}, ["slow"])


def test_commands_may_run_beside_each_other():
    module = FakeModule()
    module.get_bin_path = lambda name: f"/bin/{name}"
    host = _module.host_of(module)
    first, second = (
        host.start(["sh", "-c", f"echo out {number}; echo $LC_ALL >&2; exit {number}"]) for number in (1, 2)
    )
    assert (second(), first()) == ((2, "out 2\n", "C\n"), (1, "out 1\n", "C\n"))


@pytest.mark.parametrize("command", ["no-such-command", "/no/such/command"])
def test_a_command_that_the_host_lacks(command):
    module = FakeModule()
    module.get_bin_path = lambda name: None
    with pytest.raises(HostError, match=f"run {command}: No such file or directory"):
        _module.host_of(module).run([command])


def test_refusals_are_listed_one_by_one(end):
    module = end(lambda host: converge(host, [{"device": "0.0.7e53"}, {"device": "x"}]))
    assert module.failed
    assert [(one["device"], one["id"]) for one in module.result["refusals"]] == [
        ("'x'", "malformed"),
        ("0.0.7e53", "mounted"),
    ]
    assert all(one["found"] and one["next_step"] for one in module.result["refusals"])
    assert module.result["msg"].startswith("Nothing was changed.")


def test_what_was_undone_is_told_and_is_no_change(end, kernel):
    kernel.faults = {3: (errno.EIO, "before")}
    module = end(lambda host: converge(host, [DISK]))
    assert module.failed and module.result["changed"] is False
    assert [one["step"] for one in module.result["undone"]] == ["unbind-ccw", "offline", "record"]
    assert "EIO" in module.result["msg"] and "io_subchannel/unbind" in module.result["msg"]


def test_what_was_completed_before_a_failure_is_a_change(end, kernel):
    kernel.qdio.add("0.0.16cc")
    module = end(lambda host: converge(host, [DISK, {"device": "0.0.7e54"}], keep=True))
    assert module.failed and module.result["changed"] is True
    assert {one["device"] for one in module.result["actions"]} == {"0.0.7e52"}


def test_a_kernel_that_cannot_do_it_is_described(end, kernel):
    kernel._rmtree(kernel.root / "sys/bus/css/drivers/vfio_ccw")
    kernel.put("proc/modules", "")
    kernel.add_module_tree()
    kernel.add_config(CONFIG_VFIO="n")
    module = end(lambda host: converge_kernel(host, persistent=True, check_mode=False))
    assert module.failed
    assert module.result["config"]["CONFIG_VFIO"] == {"needed": True, "value": "n"}
    assert module.result["kernel"] == "6.1.0-29-s390x"


def test_any_other_error_is_its_text(end):
    def work(host):
        raise HostError("read", "/proc/x", errno.EIO)

    assert end(work).result == {"msg": "read /proc/x: Input/output error (EIO)", "error_id": "host-access"}


def raising(exc):
    def work(host):
        raise exc

    return work


STEP = bind_ccw(BusId.parse("0.0.7e52"), "dasd-eckd")
FAILURES = {
    "refused": Refused([]),
    "step-failed": StepFailed(STEP, HostError("write", "/x", errno.EIO), [], [], []),
    "not-as-wanted": NotAsWanted(""),
    "kernel-lacks": KernelError(""),
    "lock-timeout": HostError("lock", "/x", errno.EAGAIN),
    "missing-program": HostError("run", "mdevctl", errno.ENOENT),
    "still-blocked": StillBlocked("write", "/x", errno.EBUSY),
    "host-access": HostError("read", "/x", errno.ENOENT),
    "damaged-journal": JournalError(""),
    "malformed": BadName("x", "y"),
    "device-state": CcwError("", "text"),
    "export-failed": ExportError(""),
    "bad-guest": DoctorError(""),
    "guest-not-possible": BadGuest(""),
    "guest-failed": GuestError(""),
    "chzdev-failed": ZdevError(""),
    "libvirt-failed": LibvirtError(""),
}


@pytest.mark.parametrize("name", FAILURES)
def test_every_failure_has_its_identifier(end, name):
    module = end(raising(FAILURES[name]))
    assert (module.failed, module.result["error_id"]) == (True, name)


def test_no_identifier_is_left_out():
    assert [name for name, _holds, _meaning in _errors.ERRORS] == list(FAILURES)


def test_an_error_may_know_better_than_its_kind(end):
    assert end(raising(CcwError("in-use", "text"))).result == {"msg": "text", "error_id": "in-use"}


def test_a_failed_step_is_named(end):
    assert end(raising(FAILURES["step-failed"])).result["step"] == "bind-ccw"


def test_a_diff_shows_the_writes_to_the_kernel():
    action = {
        "description": "set device 0.0.7e52 offline",
        "path": "/sys/bus/ccw/devices/0.0.7e52/online",
        "value": "0",
    }
    load = {"description": "load kernel module vfio", "path": "/sys/module/vfio", "value": "vfio"}
    steps, states = _report.diff("a\n", "b\n", "devices", [action, load])
    assert steps["prepared"] == (
        "steps:\n  set device 0.0.7e52 offline: '0' > /sys/bus/ccw/devices/0.0.7e52/online\n  load kernel module vfio\n"
    )
    assert (states["before"], states["after"]) == ("a\n", "b\n")
    assert len(_report.diff("a\n", "a\n", "devices", [])) == 1


def test_what_was_done_is_told_even_when_the_host_is_not_as_wanted(end, kernel):
    create = kernel._create

    def create_and_leave(sch, value):
        answer = create(sch, value)
        kernel.put(f"sys/devices/css0/{sch}/dev_busid", "none\n")
        return answer

    kernel._create = create_and_leave
    module = end(lambda host: converge(host, [DISK]))
    assert module.failed and module.result["changed"] is True
    assert "no subchannel of this host has the device any more" in module.result["msg"]
    assert module.result["actions"][-1]["step"] == "create-mdev"

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is killed between any two steps, of any plan, is finished or taken back by the next one."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._apply import StepFailed
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_kernel import Killed, converge, seed

UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
TAKEN = {"device": "0.0.7e52", "uuid": UUID, "guest": "linux01", "devno": "fe.0.1234"}
LASTING = {**TAKEN, "persistent": True, "remove_rules": True, "remove_parameters": True}
IDLE = {"device": "0.0.7e54", "guest": "linux02"}
RULE = "etc/udev/rules.d/41-dasd-eckd-0.0.7e52.rules"


def back(*items):
    return [{"device": item["device"], "state": "absent"} for item in items]


def nothing(kernel):
    pass


def rule(kernel):
    """What chzdev writes, kernel parameters, an override that names the driver that has it, a manual definition."""
    kernel.put(RULE, 'ACTION=="add", KERNEL=="0.0.7e52", ATTR{[ccw/0.0.7e52]online}="1"\n')
    kernel.put("etc/kernel/cmdline", "root=/dev/vda1 rd.dasd=0.0.7e50-0.0.7e54\n")
    kernel.put("etc/dasd.conf", "0.0.7e52 readonly=1\n")
    kernel.put("sys/devices/css0/0.0.16ca/driver_override", "io_subchannel\n")
    kernel.put("etc/driverctl.d/css-0.0.16ca", "io_subchannel\n")
    kernel._mdevctl("define", UUID, "0.0.16ca", False)


def unloaded(kernel):
    kernel._rmtree(kernel.root / "sys/bus/css/drivers/vfio_ccw")
    kernel.put("proc/modules", "")


def given(*items, prepare=nothing, then=()):
    """A host on which these were passed through before, and then this was done."""

    def do(kernel):
        prepare(kernel)
        converge(kernel.host(), list(items))
        if then:
            converge(kernel.host(), list(then))

    return do


def foreign(kernel):
    given(LASTING)(kernel)
    (kernel.root / "var/lib/vfio_ccw/journal.json").unlink()


def without_driver(kernel):
    given(TAKEN)(kernel)
    mdev = kernel.root / "sys/devices/css0/0.0.16ca" / UUID
    (mdev / "driver").unlink()
    (kernel.root / "sys/bus/mdev/drivers/vfio_ccw_mdev" / UUID).unlink()
    (mdev / "iommu_group").unlink()


# what the host is like, what is asked for, what is its contrary
PLANS = {
    "take": (nothing, [TAKEN], back(TAKEN)),
    "take two": (nothing, [TAKEN, IDLE], back(TAKEN, IDLE)),
    "take with modules": (unloaded, [TAKEN], back(TAKEN)),
    "take, to last": (nothing, [LASTING], back(LASTING)),
    "take, to last, what others set up": (rule, [LASTING], back(LASTING)),
    "let it last": (given(TAKEN), [LASTING], None),
    "another guest's name": (given({**TAKEN, "guest": ""}), [TAKEN], back(TAKEN)),
    "make the mediated device again": (without_driver, [TAKEN], back(TAKEN)),
    "take over": (foreign, [{**LASTING, "adopt": True}], None),
    "give back": (given(TAKEN), back(TAKEN), [TAKEN]),
    "give back, left offline": (given(TAKEN), [{**back(TAKEN)[0], "leave_offline": True}], [TAKEN]),
    "take what was left offline": (
        given(TAKEN, then=[{**back(TAKEN)[0], "leave_offline": True}]),
        [TAKEN],
        [{**back(TAKEN)[0], "leave_offline": True}],
    ),
    "give back what lasts, left offline": (
        given(LASTING, prepare=rule),
        [{**back(LASTING)[0], "leave_offline": True}],
        [LASTING],
    ),
    "take what lasts and was left offline": (
        given(LASTING, prepare=rule, then=[{**back(LASTING)[0], "leave_offline": True}]),
        [LASTING],
        [{**back(LASTING)[0], "leave_offline": True}],
    ),
    "give back two": (given(TAKEN, IDLE), back(TAKEN, IDLE), [TAKEN, IDLE]),
    "give back what lasts": (given(LASTING), back(LASTING), [LASTING]),
    "give back what others set up": (given(LASTING, prepare=rule), back(LASTING), [LASTING]),
    "one here, one there": (given(IDLE), [TAKEN, *back(IDLE)], [IDLE, *back(TAKEN)]),
}


UNTOLD = ("var/lib/vfio_ccw/lock", "dev/vfio", "sys/kernel", "proc/modules", "sys/bus/css/drivers/vfio_ccw/")


def state(kernel):
    """Every file and link that somebody could tell the difference by (loaded modules stay), and the journal."""
    found = {}
    for path in sorted(kernel.root.rglob("*")):
        name = str(path.relative_to(kernel.root))
        if name.startswith(UNTOLD) or path.is_dir():
            continue
        found[name] = os.readlink(path) if path.is_symlink() else path.read_text()
    text = found.pop("var/lib/vfio_ccw/journal.json", "")
    return found, json.loads(text)["devices"] if text else {}


@pytest.fixture(name="root")
def _root(tmp_path):
    """Hundreds of hosts are made: in memory where that is possible."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as directory:
        yield Path(directory)


class Hosts:
    """Fresh hosts of one kind, as many as a test needs."""

    def __init__(self, root, prepare):
        self._root, self._prepare, self._count = root, prepare, 0

    def new(self):
        self._count += 1
        (self._root / str(self._count)).mkdir()
        kernel = seed(self._root / str(self._count))
        self._prepare(kernel)
        return kernel


def killed_everywhere(hosts, items):
    """A host for each place between two changes of a run, which was killed there; before the first, after the last."""
    host = hosts.new().host()
    with contextlib.suppress(StepFailed):
        converge(host, items)
    assert host.mutations > 0
    # right before a change is right after the one before it
    for at in range(1, host.mutations + 2):
        kernel = hosts.new()
        killed = kernel.host()
        killed.kill_at = (at, "before") if at <= host.mutations else (host.mutations, "after")
        with pytest.raises(Killed):
            converge(killed, items)
        yield kernel, f"killed at change {at} of {host.mutations}"


@pytest.mark.parametrize("plan", PLANS)
def test_the_next_run_finishes_it(root, plan):
    prepare, items, _contrary = PLANS[plan]
    hosts = Hosts(root, prepare)
    wanted = hosts.new()
    converge(wanted.host(), items)
    for kernel, where in killed_everywhere(hosts, items):
        converge(kernel.host(), items)
        assert state(kernel) == state(wanted), where
        assert not converge(kernel.host(), items).changed, where


@pytest.mark.parametrize("plan", [name for name, (_prepare, _items, contrary) in PLANS.items() if contrary])
def test_the_next_run_takes_it_back(root, plan):
    prepare, items, contrary = PLANS[plan]
    hosts = Hosts(root, prepare)
    wanted = hosts.new()
    converge(wanted.host(), items)
    converge(wanted.host(), contrary)
    for kernel, where in killed_everywhere(hosts, items):
        converge(kernel.host(), contrary)
        assert state(kernel) == state(wanted), where
        assert not converge(kernel.host(), contrary).changed, where


@pytest.mark.parametrize("plan", ["take two", "take, to last", "one here, one there"])
def test_a_run_that_is_killed_while_it_undoes_is_taken_back(root, plan):
    prepare, items, contrary = PLANS[plan]

    def failing(kernel):
        prepare(kernel)
        kernel.qdio.add("0.0.16cf")

    last = {"device": "0.0.7e57"}

    def with_another(kernel):
        failing(kernel)
        kernel.add_subchannel("0.0.16cf", "0.0.7e57", cutype="3990/e9", devtype="3390/0c", driver="dasd-eckd")

    hosts = Hosts(root, with_another)
    before = hosts.new()
    for kernel, where in killed_everywhere(hosts, [*items, last]):
        converge(kernel.host(), [*contrary, *back(last)])
        assert state(kernel) == state(before), where


def test_a_file_that_a_killed_run_did_not_finish_is_swept_up(root):
    kernel = Hosts(root, nothing).new()
    kernel.put("etc/driverctl.d/.vfio_ccw-abc", "vfio_ccw\n")
    assert converge(kernel.host(), [TAKEN], check_mode=True).changed
    assert (kernel.root / "etc/driverctl.d/.vfio_ccw-abc").exists()
    converge(kernel.host(), back(TAKEN))
    assert not (kernel.root / "etc/driverctl.d/.vfio_ccw-abc").exists()

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The subchannel alone, and the mediated device alone: the same engine with less to say."""

from __future__ import annotations

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._table import Refused
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_kernel import converge
from ansible_collections.zkvm.vfio_ccw.tests.unit.refusal_cases import foreign_mdev, mount, passed_and_in_use

UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
OTHER_UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb921"
SCH = {"device": "0.0.7e52", "scope": "subchannel"}
BACK = {**SCH, "state": "absent"}
MDEV = {"device": "0.0.7e52", "scope": "mdev", "uuid": UUID}
GONE = {"device": "0.0.7e52", "scope": "mdev", "state": "absent"}
WHOLE = {"device": "0.0.7e52"}


def kinds(outcome):
    return [step.kind for step in outcome.done]


def driver(kernel):
    return kernel.host().link_name("/sys/devices/css0/0.0.16ca/driver")


def files(kernel):
    return {
        str(path.relative_to(kernel.root)): path.read_text()
        for place in ("etc", "sys/bus/ccw/devices/0.0.7e52", "sys/devices/css0/0.0.16ca")
        for path in (kernel.root / place).rglob("*")
        if path.is_file()
    }


def test_the_subchannel_goes_and_comes_back(kernel):
    before = files(kernel)
    there = converge(kernel.host(), [SCH])
    assert kinds(there) == ["record", "offline", "unbind-ccw", "unbind-subchannel", "bind-subchannel"]
    assert driver(kernel) == "vfio_ccw"
    assert not converge(kernel.host(), [SCH]).changed
    converge(kernel.host(), [BACK])
    assert files(kernel) == before
    assert not converge(kernel.host(), [BACK]).changed


def test_by_its_own_number_it_is_the_same(kernel):
    own = {"subchannel": "0.0.16ca", "scope": "subchannel"}
    converge(kernel.host(), [own])
    assert driver(kernel) == "vfio_ccw"
    assert not converge(kernel.host(), [SCH]).changed
    kernel.make_old()
    converge(kernel.host(), [{**own, "state": "absent"}])
    assert driver(kernel) == "io_subchannel"


def test_that_lasts_with_driverctl_alone(kernel):
    (kernel.root / "usr/bin/mdevctl").unlink()
    converge(kernel.host(), [{**SCH, "persistent": True}])
    assert kernel.get("etc/driverctl.d/css-0.0.16ca") == "vfio_ccw\n"
    assert not (kernel.root / "etc/mdevctl.d").exists()
    converge(kernel.host(), [BACK])
    assert kernel.host().names("/etc/driverctl.d") == []


def test_the_mediated_device_comes_and_goes(kernel):
    converge(kernel.host(), [SCH])
    before = files(kernel)
    assert kinds(converge(kernel.host(), [{**MDEV, "persistent": True}])) == ["record", "create-mdev", "define-mdev"]
    assert not converge(kernel.host(), [{**MDEV, "persistent": True}]).changed
    assert not converge(kernel.host(), [SCH]).changed
    assert kinds(converge(kernel.host(), [GONE])) == ["undefine-mdev", "remove-mdev"]
    assert files(kernel) == before
    assert not converge(kernel.host(), [GONE]).changed


def test_both_are_what_passing_through_does(kernel):
    converge(kernel.host(), [SCH])
    converge(kernel.host(), [MDEV])
    assert not converge(kernel.host(), [WHOLE]).changed
    converge(kernel.host(), [{**WHOLE, "state": "absent"}])
    assert kernel.get("sys/bus/ccw/devices/0.0.7e52/online") == "1\n"


def test_a_mediated_device_that_was_passed_through_may_be_exchanged(kernel):
    converge(kernel.host(), [{**WHOLE, "guest": "linux01"}])
    converge(kernel.host(), [GONE])
    converge(kernel.host(), [MDEV])
    assert (kernel.root / "sys/bus/mdev/devices" / UUID).exists()
    converge(kernel.host(), [{**WHOLE, "state": "absent"}])
    assert driver(kernel) == "io_subchannel"


def test_a_definition_by_hand_is_one_again_when_the_device_goes(kernel):
    converge(kernel.host(), [SCH])
    kernel._mdevctl("define", UUID, "0.0.16ca", False)
    definition = kernel.get(f"etc/mdevctl.d/0.0.16ca/{UUID}")
    converge(kernel.host(), [{**MDEV, "persistent": True}])
    converge(kernel.host(), [GONE])
    assert kernel.get(f"etc/mdevctl.d/0.0.16ca/{UUID}") == definition


def with_mdev(kernel):
    converge(kernel.host(), [WHOLE])


def passed(kernel):
    converge(kernel.host(), [SCH])


def mounted(kernel):
    mount(kernel, "70 22 94:1 / /mnt rw - ext4 /dev/dasda1 rw")


@pytest.mark.parametrize(
    "prepare, item, refusal",
    [
        (mounted, SCH, "mounted"),
        (with_mdev, BACK, "carries-mdev"),
        (foreign_mdev, SCH, "not-ours"),
        (foreign_mdev, MDEV, "not-ours"),
        (None, MDEV, "not-passed"),
        (passed_and_in_use, {**GONE, "uuid": UUID}, "in-use"),
        (foreign_mdev, GONE, "not-ours"),
        (with_mdev, {**MDEV, "uuid": OTHER_UUID}, "other-uuid"),
        (None, {"subchannel": "0.0.ffff", "scope": "subchannel"}, "no-such-subchannel"),
        (None, {"subchannel": "nonsense", "scope": "mdev"}, "no-such-subchannel"),
    ],
)
def test_what_is_refused(kernel, prepare, item, refusal):
    if prepare:
        prepare(kernel)
    host = kernel.host()
    with pytest.raises(Refused) as refused:
        converge(host, [item])
    assert refusal in [one.id for one in refused.value.refusals]
    assert (host.writes, host.saves) == ([], [])


def test_a_mediated_device_that_others_made_is_taken_over(kernel):
    foreign_mdev(kernel)
    assert kinds(converge(kernel.host(), [{**GONE, "adopt": True}])) == ["remove-mdev"]

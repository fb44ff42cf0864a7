# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A range stands for the devices in it that the host has, passed on or not."""

from __future__ import annotations

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BusId, spans
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_kernel import DASD, converge

RANGE = {"device": "0.0.8000-0.0.800f", "guest": "linux01", "devno": "fe.0.1000"}
BACK = {"device": "0.0.8000-0.0.800f", "state": "absent"}
UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"


@pytest.fixture(name="disks")
def _disks(kernel):
    """With gaps, and not in the order of their subchannels."""
    for subchannel, number in (("0.0.3005", 0), ("0.0.3001", 1), ("0.0.3002", 4), ("0.0.3000", 16)):
        kernel.add_subchannel(subchannel, f"0.0.80{number:02x}", **DASD)
    return kernel


def places(outcome):
    return {one["device"]: one["devno"] for one in outcome.devices}


def test_each_keeps_its_place_when_others_come_and_go(disks):
    outcome = converge(disks.host(), [RANGE])
    assert places(outcome) == {"0.0.8000": "fe.0.1000", "0.0.8001": "fe.0.1001", "0.0.8004": "fe.0.1004"}
    disks.add_subchannel("0.0.3010", "0.0.8002", **DASD)
    outcome = converge(disks.host(), [RANGE])
    assert places(outcome)["0.0.8004"] == "fe.0.1004"
    assert {step.device for step in outcome.done} == {BusId.parse("0.0.8002")}


def test_a_second_run_finds_the_ones_that_were_passed_on(disks):
    converge(disks.host(), [RANGE])
    host = disks.host()
    outcome = converge(host, [RANGE])
    assert (outcome.changed, len(outcome.requests), host.writes) == (False, 3, [])


def test_the_range_goes_back(disks):
    converge(disks.host(), [RANGE])
    outcome = converge(disks.host(), [BACK])
    assert outcome.changed
    assert all((disks.root / f"sys/bus/ccw/devices/0.0.80{number}").exists() for number in ("00", "01", "04"))
    assert not converge(disks.host(), [BACK]).changed


def test_the_journal_knows_devices_that_an_old_kernel_does_not_name(disks):
    disks.make_old()
    converge(disks.host(), [RANGE])
    assert len(converge(disks.host(), [BACK]).requests) == 3
    assert (disks.root / "sys/bus/ccw/devices/0.0.8004").exists()


@pytest.mark.parametrize(
    ("devices", "text"),
    [
        ([], []),
        (["0.0.8000"], ["0.0.8000"]),
        (["0.0.8002", "0.0.8000", "0.0.8001", "0.0.8001"], ["0.0.8000-0.0.8002"]),
        (["0.0.ffff", "0.1.0000"], ["0.0.ffff", "0.1.0000"]),
    ],
)
def test_many_devices_are_written_as_ranges(devices, text):
    assert spans(BusId.parse(device) for device in devices) == text

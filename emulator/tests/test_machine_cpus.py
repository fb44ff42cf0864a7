# SPDX-License-Identifier: GPL-2.0-or-later
"""/sys/devices/system/cpu, as a Debian 6.1.0-50-s390x with two processors lists it."""

from __future__ import annotations

import pytest

from ccwemu.machine.access import read
from ccwemu.machine.host import Machine
from ccwemu.machine.spec import MachineSpec

TWO = [
    ("online", "0-1"), ("possible", "0-1"), ("present", "0-1"), ("offline", ""), ("kernel_max", "255"),
    ("cpu1/topology/core_id", "1"), ("cpu1/topology/physical_package_id", "1"), ("cpu1/topology/book_id", "0"),
    ("cpu1/topology/thread_siblings", "2"), ("cpu1/topology/thread_siblings_list", "1"),
    ("cpu0/topology/book_siblings", "3"), ("cpu0/topology/drawer_siblings_list", "0-1"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), TWO)
def test_two(name: str, text: str) -> None:
    machine = Machine(MachineSpec("lpar1"), threaded=False)
    machine.boot()
    assert read(machine, f"/sys/devices/system/cpu/{name}") == f"{text}\n"


def test_one() -> None:
    machine = Machine(MachineSpec("lpar1", cpus=1), threaded=False)
    machine.boot()
    assert read(machine, "/sys/devices/system/cpu/online") == "0\n"
    assert read(machine, "/sys/devices/system/cpu/cpu0/topology/book_siblings_list") == "0\n"

# SPDX-License-Identifier: GPL-2.0-or-later
"""Groups of ccw devices: made and taken apart as drivers/s390/cio/ccwgroup.c does it."""

from __future__ import annotations

import errno

import pytest

from ccwemu.machine.host import Machine
from ccwemu.machine.spec import MachineSpec, OtherSpec, SubchannelSpec
from ccwemu.machine.tree import Attribute, Directory, Link

NUMBERS = {"f500": 0x08, "f501": 0x08, "f502": 0x08, "f600": 0x1E, "0600": 0x08}
FIRST = "devices/css0/0.0.0000/0.0.f500"
GROUP = "bus/ccwgroup/drivers/ctcm/group"


@pytest.fixture
def machine() -> Machine:
    subchannels = tuple(
        SubchannelSpec(f"0.0.{index:04x}", devno=f"0.0.{devno}", device=OtherSpec(0x3088, model))
        for index, (devno, model) in enumerate(NUMBERS.items())
    )
    made = Machine(MachineSpec("host", subchannels=subchannels), threaded=False)
    made.boot()
    made.settle()
    for name in ("ccwgroup", "fsm", "ctcm"):
        made.modules.load(name, [])
    return made


def write(machine: Machine, path: str, text: str) -> str:
    """The name of the errno, "" for none."""
    node = machine.sysfs.lookup(path)
    assert isinstance(node, Attribute), path
    try:
        node.store(text.encode())
    except OSError as failure:
        return errno.errorcode[failure.errno or 0]
    return ""


def link(machine: Machine, path: str) -> str:
    node = machine.sysfs.lookup(path)
    assert isinstance(node, Link), path
    return node.readlink()


def grouped(machine: Machine) -> list[str]:
    devices = machine.sysfs.lookup("bus/ccwgroup/devices")
    assert isinstance(devices, Directory)
    return sorted(node.name for node in devices)


WRONG = [
    "0.0.f500", "0.0.f500,0.0.f501,0.0.f502", "0.0.f500,0.0.f500", "0.0.f500,0.0.f600", "0.0.f500,0.0.ffff",
    "f500,f501", "0.0.f500,0.0.f501,",
]  # fmt: skip


def test_two_alike_are_grouped_once(machine: Machine) -> None:
    for text in WRONG:
        assert write(machine, GROUP, text) == "EINVAL", text
    assert grouped(machine) == []
    assert write(machine, GROUP, "0.0.f501,0.0.F500\n") == ""
    assert grouped(machine) == ["0.0.f501"]
    assert write(machine, GROUP, "0.0.f500,0.0.f502") == "EINVAL"
    assert link(machine, f"{FIRST}/group_device") == "../../../ctcm/0.0.f501"
    assert link(machine, "devices/ctcm/0.0.f501/cdev1") == "../../css0/0.0.0000/0.0.f500"


def test_nothing_answers_at_its_other_end(machine: Machine) -> None:
    write(machine, GROUP, "0.0.f500,0.0.f501")
    for text, said in (("1", "ENODEV"), ("0", ""), ("2", "EINVAL"), ("x", "EINVAL")):
        assert write(machine, "devices/ctcm/0.0.f500/online", text) == said


@pytest.mark.parametrize(
    ("path", "text"),
    [("devices/ctcm/0.0.f500/ungroup", "1"), ("bus/ccw/drivers/ctcm/unbind", "0.0.f501")],
)
def test_a_group_ends(machine: Machine, path: str, text: str) -> None:
    write(machine, GROUP, "0.0.f500,0.0.f501")
    assert write(machine, path, text) == ""
    assert grouped(machine) == []
    assert machine.sysfs.lookup(f"{FIRST}/group_device") is None


def test_the_module_takes_its_groups_along(machine: Machine) -> None:
    write(machine, GROUP, "0.0.f500,0.0.f501")
    machine.modules.unload("ctcm")
    assert grouped(machine) == []
    assert machine.sysfs.lookup("devices/ctcm") is None
    machine.modules.load("ctcm", [])
    assert write(machine, GROUP, "0.0.f500,0.0.f501") == ""

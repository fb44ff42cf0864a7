# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to last over a reboot of the host does: through the files and tools that distributions keep."""

from __future__ import annotations

import pytest

UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
MODULES = ["vfio", "mdev", "vfio_iommu_type1", "vfio_ccw"]


def node(who, lab: str, *command: str) -> str:
    done = who.ccwemu("exec", "--lab", lab, "lpar1", "--", *command)
    assert done.returncode == 0, done.stdout
    return done.stdout


def loaded(who, lab: str) -> list[str]:
    return [line.split()[0] for line in node(who, lab, "cat", "/proc/modules").splitlines()]


@pytest.mark.lab
def test_modules_are_loaded_again(controller, fresh_lab):
    play = controller.home / "modules.yml"
    play.write_text("- hosts: lpar1\n  gather_facts: false\n  tasks:\n    - zkvm.vfio_ccw.kernel_support:\n", "utf-8")
    assert not set(MODULES) & set(loaded(controller, fresh_lab))
    done = controller.playbook("-i", controller.inventory(fresh_lab), str(play))
    assert done.returncode == 0, done.stdout
    assert controller.ccwemu("reboot", "--lab", fresh_lab, "lpar1").returncode == 0
    assert set(MODULES) <= set(loaded(controller, fresh_lab))


@pytest.mark.lab
def test_driverctl_and_mdevctl_bring_the_device_back(controller, fresh_lab):
    node(controller, fresh_lab, "chccwdev", "-d", "0.0.7e52")
    node(controller, fresh_lab, "driverctl", "-b", "css", "set-override", "0.0.16ca", "vfio_ccw")
    node(controller, fresh_lab, "mdevctl", "define", "-a", "-u", UUID, "-p", "0.0.16ca", "-t", "vfio_ccw-io")
    assert controller.ccwemu("reboot", "--lab", fresh_lab, "lpar1").returncode == 0
    assert node(controller, fresh_lab, "mdevctl", "list").strip() == f"{UUID} 0.0.16ca vfio_ccw-io auto (defined)"
    assert node(controller, fresh_lab, "cat", "/sys/bus/ccw/devices/0.0.7e53/online") == "1\n"

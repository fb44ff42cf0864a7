# SPDX-License-Identifier: GPL-3.0-or-later
"""A device goes to a guest and back on kernels before 5.10, too, which do not say whose a passed subchannel is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SEED = Path(__file__).resolve().parents[2] / "emulator/src/ccwemu/labs/seed.yml"
PLAY = """\
- hosts: lpar1
  gather_facts: false
  tasks:
    - zkvm.vfio_ccw.passthrough:
        devices:
          - device: 0.0.7e52
            guest: linux01
            state: "{{ wanted }}"
"""


@pytest.fixture(params=["4.15.0-213-generic", "5.4.0-216-generic", "5.10.0-35-s390x"])
def old_lab(request, controller):
    definition = controller.home / f"{request.param}.yml"
    text = re.sub(r"kernel: \S+", f"kernel: {request.param}", SEED.read_text(encoding="utf-8"))
    definition.write_text(text, encoding="utf-8")
    name = "old-" + "-".join(request.param.split(".")[:2])
    up = controller.ccwemu("up", "--name", name, str(definition))
    assert up.returncode == 0, up.stdout
    yield name
    down = controller.ccwemu("down", name)
    assert down.returncode == 0, down.stdout


@pytest.mark.lab
def test_a_device_goes_to_a_guest_and_comes_back(controller, old_lab):
    play = controller.home / "old-kernels.yml"
    play.write_text(PLAY, encoding="utf-8")

    def run(wanted: str) -> str:
        done = controller.playbook("-i", controller.inventory(old_lab), "-e", f"wanted={wanted}", str(play))
        assert done.returncode == 0, done.stdout
        found = re.search(r"changed=(\d+)", done.stdout)
        assert found is not None, done.stdout
        return found.group(1)

    def online() -> str:
        return controller.ccwemu(
            "exec", "--lab", old_lab, "lpar1", "--", "cat", "/sys/bus/ccw/devices/0.0.7e52/online"
        ).stdout

    was = online()
    assert run("present") == "1"
    assert run("present") == "0"
    assert run("absent") == "1"
    assert online() == was
    assert run("absent") == "0"

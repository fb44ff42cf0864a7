# SPDX-License-Identifier: GPL-3.0-or-later
"""Many hosts in one inventory: all provision in one run, and all give back in another."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

COUNT = 5
HOSTS = [f"lpar{number}" for number in range(1, COUNT + 1)]
DEVICES = "0.0.8000-0.0.8001"
LAB = f"""\
lab: fleet
hosts:
  lpar[1-{COUNT}]:
    devices:
      - {{dasd: {DEVICES}, chpids: [41], cylinders: 1, online: true}}
"""


@pytest.fixture(scope="module", name="fleet")
def _fleet(controller) -> Iterator[str]:
    definition = controller.home / "fleet.yml"
    definition.write_text(LAB, encoding="utf-8")
    up = controller.ccwemu("up", str(definition))
    assert up.returncode == 0, up.stdout
    yield "fleet"
    down = controller.ccwemu("down", "fleet")
    assert down.returncode == 0, down.stdout


def _on_each(controller) -> dict[str, tuple[list[str], str]]:
    """The mediated devices of each host, and what its lscss says."""
    command = ("sh", "-c", "ls /sys/bus/mdev/devices 2>/dev/null | tr '\\n' ' '; echo; lscss")
    done = {host: controller.ccwemu("exec", "--lab", "fleet", host, "--", *command) for host in HOSTS}
    assert [host for host, one in done.items() if one.returncode] == [], done
    parts = {host: one.stdout.partition("\n") for host, one in done.items()}
    return {host: (uuids.split(), devices) for host, (uuids, _newline, devices) in parts.items()}


@pytest.mark.lab
def test_a_fleet_provisions_in_one_run_and_gives_back(controller, fleet):
    variables = {"passthrough_devices": [{"device": DEVICES}]}
    argv = ("-i", controller.inventory(fleet), "--forks", str(COUNT), "-e", json.dumps(variables))
    before = _on_each(controller)
    there = controller.playbook(*argv, "zkvm.vfio_ccw.provision")
    assert there.returncode == 0, there.stdout
    passed = {uuid for uuids, _devices in _on_each(controller).values() for uuid in uuids}
    assert len(passed) == 2 * COUNT  # no host has another's

    back = controller.playbook(*argv, "zkvm.vfio_ccw.release")
    assert back.returncode == 0, back.stdout
    assert _on_each(controller) == before

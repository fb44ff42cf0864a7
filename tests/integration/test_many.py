# SPDX-License-Identifier: GPL-3.0-or-later
"""A long list is one task: ranges and selections, progress while it works, a small result, all back on failure."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

COUNT = 120
RANGE = "0.0.8000-0.0.80ff"
ALL = "0.0.8000-0.0.8077"
DEVICES = f"      - {{dasd: {ALL}, chpids: [41], cylinders: 1, online: true}}\n"
LAST = "0.0.8070-0.0.80ff"

PLAY = """\
- hosts: lpar1
  gather_facts: false
  tasks:
    - zkvm.vfio_ccw.kernel_support: {{persistent: false}}
    - zkvm.vfio_ccw.passthrough: {{devices: [{{device: {range}, guest: linux01, devno: fe.0.1000}}]}}
      register: taken
    - zkvm.vfio_ccw.passthrough: {{devices: [{{device: {range}, guest: linux01, devno: fe.0.1000}}]}}
      register: again
    - zkvm.vfio_ccw.css_info:
      register: css
    - zkvm.vfio_ccw.passthrough:
        devices: [{{select: "[?device == '0.0.8003' || device == '0.0.8001']", guest: linux01, devno: fe.0.2000}}]
      register: moved
    - zkvm.vfio_ccw.passthrough: {{devices: [{{select: "[?guest == 'linux01'].device", state: absent}}]}}
      register: back
    - zkvm.vfio_ccw.passthrough: {{devices: [{{select: "[?device == '0.0.8002' || passable].device"}}]}}
      check_mode: true
      register: checked
    - zkvm.vfio_ccw.passthrough: {{devices: [{{select: "[?guest == 'nobody']"}}]}}
      ignore_errors: true
      register: nobody
    - zkvm.vfio_ccw.passthrough: {{devices: [{{select: "[?"}}]}}
      ignore_errors: true
      register: broken
    - ansible.builtin.copy:
        dest: {result}
        content: "{{{{ {{'taken': taken, 'again': again, 'back': back, 'checked': checked, 'moved': moved,
                   'passed': css.passed_through, 'nobody': nobody, 'broken': broken}} | to_json }}}}"
      delegate_to: localhost
"""


@pytest.fixture(scope="module", name="many")
def _many(controller) -> Iterator[str]:
    definition = controller.home / "many.yml"
    definition.write_text(f"lab: many\nhosts:\n  lpar1:\n    devices:\n{DEVICES}", encoding="utf-8")
    up = controller.ccwemu("up", str(definition))
    assert up.returncode == 0, up.stdout
    yield "many"
    down = controller.ccwemu("down", "many")
    assert down.returncode == 0, down.stdout


@pytest.fixture(scope="module", name="said_and_results")
def _said_and_results(controller, many):
    result, play = controller.home / "many.json", controller.home / "many-play.yml"
    play.write_text(PLAY.format(range=RANGE, result=json.dumps(str(result))), encoding="utf-8")
    done = controller.playbook("-i", controller.inventory(many), str(play))
    assert done.returncode == 0, done.stdout
    return done.stdout, json.loads(result.read_text(encoding="utf-8"))


@pytest.mark.lab
def test_a_range_goes_to_a_guest_in_one_task_and_says_how_far_it_is(said_and_results):
    said, results = said_and_results
    taken = results["taken"]
    assert (taken["changed"], taken["summary"]["devices"], taken["summary"]["to_guests"]) == (True, COUNT, [ALL])
    assert f"lpar1: process {said.split('lpar1: process ')[1].split()[0]} (passthrough of {RANGE}, since" in said
    assert "ansible_job_id" not in taken
    assert {one["devno"] for one in results["passed"]} == {f"fe.0.{0x1000 + number:04x}" for number in range(COUNT)}


@pytest.mark.lab
def test_its_result_is_small(said_and_results):
    results = said_and_results[1]
    assert len(json.dumps(results["taken"])) < 4000
    assert {one["step"]: one["count"] for one in results["taken"]["actions"]}["create-mdev"] == COUNT


@pytest.mark.lab
def test_the_second_run_changes_nothing(said_and_results):
    results = said_and_results[1]
    assert (results["again"]["changed"], results["again"]["summary"]["unchanged"]) == (False, COUNT)


@pytest.mark.lab
def test_a_selection_keeps_the_places_that_the_guest_has(said_and_results):
    assert [one["devno"] for one in said_and_results[1]["moved"]["devices"]] == ["fe.0.1001", "fe.0.1003"]


@pytest.mark.lab
def test_a_selection_goes_back(said_and_results):
    results = said_and_results[1]
    assert results["back"]["summary"]["to_host"] == [ALL]
    assert results["checked"]["summary"]["devices"] == COUNT


@pytest.mark.lab
def test_a_selection_that_is_none_says_so(said_and_results):
    results = said_and_results[1]
    assert "matches none of the host's devices" in results["nobody"]["msg"]
    assert "is no JMESPath expression" in results["broken"]["msg"]


@pytest.mark.lab
def test_a_failure_takes_the_whole_list_back(controller, many, said_and_results):
    play = controller.home / "many-fails.yml"
    play.write_text(
        "- hosts: lpar1\n  gather_facts: false\n  tasks:\n"
        f"    - zkvm.vfio_ccw.passthrough: {{devices: [{{device: {LAST}, persistent: true}}]}}\n",
        encoding="utf-8",
    )

    def node(*command: str) -> str:
        done = controller.ccwemu("exec", "--lab", many, "lpar1", "--", *command)
        assert done.returncode == 0, done.stdout
        return done.stdout

    files = "find /etc/mdevctl.d /etc/driverctl.d -type f; cat /var/lib/vfio_ccw/journal.json"
    seen = ("sh", "-c", f"lscss; lsdasd; {files}")
    # what cannot be written, for the last device: a directory is in the place of the file
    node("sh", "-c", "mkdir -p /etc/driverctl.d/css-0.0.0077/x")
    before = node(*seen)
    done = controller.playbook("-i", controller.inventory(many), str(play))
    assert done.returncode != 0
    assert "0.0.8077: could not let driverctl bind subchannel 0.0.0077 to vfio_ccw at boot" in done.stdout
    assert "everything done to 0.0.8070-0.0.8076" in done.stdout
    assert node(*seen) == before

# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot work is refused with one clear message (device, what was found, what to do) and changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
OTHER_UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb921"
PASSED = {"device": "0.0.7e54", "uuid": OTHER_UUID, "guest": "linux02"}

# id of the refusal, what is asked for, what the message says
CASES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("not-found", {"device": "0.0.ffff"}, ["0.0.ffff", "no subchannel of this host has a device", "lscss"]),
    ("malformed", {"device": "7e5x"}, ["7e5x", "Write the device number in full"]),
    ("ignored", {"device": "0.0.9000"}, ["0.0.9000", "/proc/cio_ignore", "cio_ignore -r 0.0.9000"]),
    ("not-io-subchannel", {"device": "0.0.0002"}, ["0.0.0002", "chsc", "Only devices on I/O subchannels"]),
    ("not-found", {"device": "0.0.16ca"}, ["0.0.16ca is the number of a subchannel; its device is 0.0.7e52"]),
    ("virtio", {"device": "0.0.0001"}, ["0.0.0001", "virtio device", "3832/01"]),
    ("mounted", {"device": "0.0.7e53"}, ["0.0.7e53", "mounted at /srv/data", "Unmount it"]),
    (
        "other-guest",
        {**PASSED, "guest": "linux01"},
        ["0.0.7e54", "passed to guest linux02 already (wanted: linux01)", "Give it back first"],
    ),
    ("bad-uuid", {"device": "0.0.7e52", "uuid": "not-a-uuid"}, ["0.0.7e52", "not-a-uuid", "uuidgen"]),
    ("uuid-taken", {"device": "0.0.7e52", "uuid": OTHER_UUID}, [OTHER_UUID, "0.0.16cc", "Choose another one"]),
    ("bad-devno", {"device": "0.0.7e52", "devno": "fe.9.1234"}, ["0.0.7e52", "fe.9.1234"]),
]

PLAY = """\
- hosts: lpar1
  gather_facts: false
  tasks:
    - zkvm.vfio_ccw.kernel_support: {{persistent: false}}
    - zkvm.vfio_ccw.passthrough: {{devices: [{passed}]}}
    - ansible.builtin.command: {{argv: [sh, -c, {snapshot}]}}
      register: before
      changed_when: false
    - zkvm.vfio_ccw.passthrough: {{devices: ["{{{{ item }}}}"]}}
      loop: {requests}
      ignore_errors: true
      register: answers
    - zkvm.vfio_ccw.passthrough: {{devices: {requests}}}
      ignore_errors: true
      register: all_at_once
    - zkvm.vfio_ccw.passthrough: {{devices: [{{device: 0.0.7e52}}]}}
      become: true
      become_method: ansible.builtin.su
      become_user: nobody
      become_flags: -s /bin/sh
      vars: {{ansible_pipelining: true}}
      ignore_errors: true
      register: unprivileged
    - ansible.builtin.command: {{argv: [sh, -c, {snapshot}]}}
      register: after
      changed_when: false
    - zkvm.vfio_ccw.passthrough: {{devices: [{returned}]}}
    - ansible.builtin.copy:
        dest: {result}
        content: "{{{{ {{'answers': answers.results, 'all': all_at_once, 'unprivileged': unprivileged,
                   'before': before.stdout, 'after': after.stdout}} | to_json }}}}"
      delegate_to: localhost
"""
SNAPSHOT = "lscss -a; lscss --vfio; lsdasd -a; mdevctl list; cat /proc/modules /sys/bus/css/devices/*/driver_override"


@pytest.fixture(scope="module")
def answers(controller, lab) -> dict[str, Any]:
    """All cases, asked for in one run."""
    result = controller.home / "answers.json"
    play = controller.home / "bad-input.yml"
    play.write_text(
        PLAY.format(
            passed=json.dumps(PASSED),
            returned=json.dumps({**PASSED, "state": "absent"}),
            requests=json.dumps([request for _id, request, _parts in CASES]),
            snapshot=json.dumps(SNAPSHOT),
            result=json.dumps(str(result)),
        ),
        encoding="utf-8",
    )
    done = controller.playbook("-i", controller.inventory(lab), str(play))
    assert done.returncode == 0, done.stdout
    return json.loads(result.read_text(encoding="utf-8"))


@pytest.mark.lab
@pytest.mark.parametrize(
    ("index", "case"), list(enumerate(CASES)), ids=[f"{case[0]}-{case[1]['device']}" for case in CASES]
)
def test_refused(answers, index, case):
    refusal, request, parts = case
    answer = answers["answers"][index]
    assert answer["failed"], answer
    assert not answer.get("changed")
    assert f"[{refusal}]" in answer["msg"]
    for part in [request["device"], *parts]:
        assert part in answer["msg"]


@pytest.mark.lab
def test_all_refusals_of_a_list_are_named(answers):
    for refusal, request, _parts in CASES:
        if refusal in ("malformed", "bad-uuid", "bad-devno"):
            assert request["device"] in answers["all"]["msg"]
            assert f"[{refusal}]" in answers["all"]["msg"]


@pytest.mark.lab
def test_no_permission(answers):
    assert "[no-permission]" in answers["unprivileged"]["msg"]
    assert "become: true" in answers["unprivileged"]["msg"]


@pytest.mark.lab
def test_nothing_was_changed(answers):
    assert answers["after"] == answers["before"]


@pytest.mark.lab
def test_a_kernel_without_vfio_ccw(controller):
    definition = controller.home / "old.yml"
    definition.write_text(
        "lab: without\nhosts:\n  lpar1:\n    config: {CONFIG_VFIO_CCW: n}\n"
        "    devices: [{dasd: 0.0.7e52, chpids: [41], cylinders: 2}]\n",
        encoding="utf-8",
    )
    up = controller.ccwemu("up", str(definition))
    assert up.returncode == 0, up.stdout
    try:
        inventory = controller.inventory("without")
        for task in ("kernel_support: {}", "passthrough: {devices: [{device: 0.0.7e52}]}"):
            play = controller.home / "without.yml"
            play.write_text(
                f"- hosts: lpar1\n  gather_facts: false\n  tasks:\n    - zkvm.vfio_ccw.{task}\n", encoding="utf-8"
            )
            done = controller.playbook("-i", inventory, str(play))
            assert done.returncode != 0
            assert "CONFIG_VFIO_CCW" in done.stdout
            assert "6.1.0-29-s390x" in done.stdout
    finally:
        controller.ccwemu("down", "without")

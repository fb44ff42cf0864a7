# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection plugin against ansible-core's own conformance tasks, and what it says of a lab that is not there."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
CONFORMANCE = PROJECT / "build" / "ansible-core" / "test" / "integration" / "targets" / "connection"


def conformance(who, lab: str, pipelining: bool) -> None:
    for play in ("test_connection.yml", "test_reset_connection.yml"):
        text = (CONFORMANCE / play).read_text(encoding="utf-8")
        (who.home / play).write_text(text, encoding="utf-8")
        done = who.playbook(
            "-i",
            who.inventory(lab),
            str(who.home / play),
            "-e",
            json.dumps(
                {
                    "target_hosts": "lpar1",
                    "action_prefix": "",
                    "local_tmp": str(who.home / "conformance"),
                    "remote_tmp": "/tmp/conformance",
                    "ansible_pipelining": pipelining,
                }
            ),
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.lab
@pytest.mark.parametrize("pipelining", [True, False])
def test_conformance(controller, lab, pipelining):
    conformance(controller, lab, pipelining)


@pytest.mark.lab
@pytest.mark.parametrize("pipelining", [True, False])
def test_conformance_as_an_ordinary_user(ordinary_user, lab_of_ordinary_user, pipelining):
    conformance(ordinary_user, lab_of_ordinary_user, pipelining)


@pytest.mark.lab
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_command_opens_its_streams_by_name(controller, lab, stream):
    inventory = controller.inventory(lab)
    done = controller.run(
        "ansible", "adhoc", "-i", inventory, "lpar1", "-m", "ansible.builtin.raw", "-a", f"echo said > /dev/{stream}"
    )
    assert done.returncode == 0, done.stdout
    assert "said" in done.stdout


def ping(who, lab: str, node: str) -> str:
    inventory = who.inventory(lab)
    done = who.run("ansible", "adhoc", "-i", inventory, node, "-m", "ansible.builtin.ping")
    assert done.returncode != 0
    return " ".join(done.stdout.split())


@pytest.mark.lab
def test_a_guest_that_is_not_running(controller, lab):
    answer = ping(controller, lab, "linux01")
    assert "linux01: the guest is not running in lab 'shared'; start it on its host lpar1" in answer


def test_a_lab_that_is_not_running(controller):
    answer = ping(controller, "nosuch", "lpar1")
    assert "lab 'nosuch' is not running" in answer
    assert "No such file" not in answer, "ansible-core appends the texts of causes"
    assert "ccwemu up" in answer


@pytest.mark.lab
def test_a_dead_lab(controller, fresh_lab):
    state = json.loads((controller.home / "labs" / fresh_lab / "state.json").read_text(encoding="utf-8"))
    os.kill(state["nodes"]["lpar1"]["pid"], signal.SIGKILL)
    os.kill(state["daemon_pid"], signal.SIGKILL)
    answer = ping(controller, fresh_lab, "lpar1")
    assert "lab 'fresh' is dead" in answer
    assert "ccwemu down fresh; ccwemu up LAB.yml" in answer

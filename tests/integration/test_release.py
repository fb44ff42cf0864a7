# SPDX-License-Identifier: GPL-3.0-or-later
"""One of two devices of a running guest comes back: its system is shut down, its start script stays, with the other."""

from __future__ import annotations

import json

import pytest

SCRIPT = "/etc/vfio_ccw/guests/linux01.sh"
BACK = {"device": "0.0.7e54", "guest": "linux01", "devno": "fe.0.2222"}
UNKNOWN = "which is not among the guests of the inventory"
KEPT = {"device": "0.0.7e55", "guest": "linux01", "devno": "fe.0.3333"}


@pytest.mark.lab
def test_a_guest_keeps_its_other_device(controller, fresh_lab):
    def playbook(name: str, *devices: dict[str, str]) -> str:
        variables = {"passthrough_devices": list(devices), "guest_accel": "tcg"}
        done = controller.playbook(
            "-i", controller.inventory(fresh_lab), "-e", json.dumps(variables), f"zkvm.vfio_ccw.{name}"
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def node(*command: str) -> str:
        done = controller.ccwemu("exec", "--lab", fresh_lab, "lpar1", "--", *command)
        assert done.returncode == 0, done.stdout
        return done.stdout

    playbook("provision", BACK, KEPT)
    said = playbook("release", BACK)
    assert "It keeps 0.0.3333" in said and UNKNOWN not in said
    script = node("cat", SCRIPT)
    assert "fe.0.3333" in script and "fe.0.2222" not in script
    assert "0.0.7e54" in node("lscss")
    again = playbook("release", BACK)
    assert "changed=0" in again and "It keeps" not in again
    node(SCRIPT)  # as an administrator would
    assert "qemu-system-s390x" in node("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    playbook("release", KEPT)
    assert "linux01" not in node("sh", "-c", "ls /etc/vfio_ccw/guests")

# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest under the real QEMU whose system never answers: the playbook says so in time, with what its console shows."""

from __future__ import annotations

import dataclasses
import json

import pytest
from ccwemu.guestimage import image
from ccwemu.tools import real_program

LAB = """\
lab: silent
hosts:
  lpar1:
    devices: [{dasd: 0.0.7e52, subchannel: 0.0.16ca, chpids: [41], cylinders: 3}]
guests:
  linux01: {host: lpar1, kind: real}
"""
VARIABLES = {
    "passthrough_devices": [
        {"device": "0.0.7e52", "uuid": "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920", "guest": "linux01", "devno": "fe.0.1234"}
    ],
    "guest_accel": "tcg",
    "guest_memory": 256,
    "guest_login_timeout": 5,
    "ansible_ssh_timeout": 3,  # of one attempt; the inventory gives an emulated processor a minute
}


@pytest.fixture
def silent(controller, tmp_path):
    """A controller whose guest image is nothing but zeros: to the processor, one program check after another."""
    directory = tmp_path / "images" / "zeros"
    directory.mkdir(parents=True)
    told = {"format": image.FORMAT, "series": "6.1", "release": "none", "recipe": image.recipe(), "made": 1.0}
    (directory / "manifest.json").write_text(json.dumps(told), encoding="utf-8")
    for name in ("kernel", "initrd", "root.ext4", "id_ed25519"):
        (directory / name).write_bytes(bytes(1 << 20))
    yield dataclasses.replace(controller, environment={**controller.environment, "CCWEMU_IMAGES": str(tmp_path)})
    controller.ccwemu("down", "silent")


@pytest.mark.lab
@pytest.mark.skipif(
    real_program("qemu-system-s390x") is None, reason="qemu-system-s390x is missing: apt-get install qemu-system-misc"
)
def test_a_guest_that_never_answers(silent):
    definition = silent.home / "silent.yml"
    definition.write_text(LAB, encoding="utf-8")
    up = silent.ccwemu("up", str(definition))
    assert up.returncode == 0, up.stdout
    done = silent.playbook("-i", silent.inventory("silent"), "zkvm.vfio_ccw.provision", "-e", json.dumps(VARIABLES))
    assert done.returncode == 2, done.stdout
    for part in (
        "linux01 was started on lpar1, but nobody could log in within 5 s",
        "/var/log/vfio_ccw/linux01.console",
    ):
        assert part in done.stdout

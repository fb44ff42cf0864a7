# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest under the real QEMU that nobody can log in to: the playbook says so in time, with what its console shows."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

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


pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(
        real_program("qemu-system-s390x") is None,
        reason="qemu-system-s390x is missing: apt-get install qemu-system-misc",
    ),
]


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


@pytest.fixture
def stock(controller):
    """A controller whose guest is a stock Debian, from the image that the user of the tests has."""
    subprocess.run([sys.executable, "-m", "ccwemu", "guest-image", "build"], check=True)
    images = {"CCWEMU_IMAGES": str(image.cache())}
    yield dataclasses.replace(controller, environment={**controller.environment, **images})
    controller.ccwemu("down", "silent")


def provision(who, **variables):
    """What the playbook prints when it fails."""
    definition = who.home / "silent.yml"
    definition.write_text(LAB, encoding="utf-8")
    up = who.ccwemu("up", str(definition))
    assert up.returncode == 0, up.stdout
    extra = json.dumps({**VARIABLES, **variables})
    done = who.playbook("-i", who.inventory("silent"), "zkvm.vfio_ccw.provision", "-e", extra)
    assert done.returncode == 2, done.stdout
    return done.stdout


def test_a_guest_that_never_answers(silent):
    said = provision(silent)
    for part in (
        "linux01 was started on lpar1, but nobody could log in within 5 s. Look at its console",
        "/var/log/vfio_ccw/linux01.console",
    ):
        assert part in said


NO_ROOT = ["-append", "console=ttysclp0 rdinit=/missing root=/dev/missing"]
PAUSED = [*NO_ROOT, "-action", "panic=pause"]


@pytest.mark.parametrize(
    "arguments, how",
    [
        (NO_ROOT, "its QEMU has ended"),
        pytest.param(PAUSED, "its system has panicked", marks=pytest.mark.long),
    ],
)
def test_a_guest_whose_kernel_panics(stock, arguments, how):
    """It is not waited for as long as for one that is slow."""
    said = provision(stock, guest_extra_args=arguments, guest_login_timeout=120)
    for part in (
        f"linux01 was started on lpar1, but {how} before anybody could log in: Kernel panic - not syncing: VFS: Unable",
        "Its console is /var/log/vfio_ccw/linux01.console on lpar1",
        "Call Trace:",
    ):
        assert part in said


@pytest.mark.long
def test_a_guest_that_nothing_can_be_started_from(stock):
    """QEMU's own boot loader finds no boot record on the disk, and ends it: before anybody looked, or soon after."""
    said = provision(stock, guest_boot="fe.0.1234")
    assert "ended at once" in said or "its QEMU has ended before anybody could log in" in said
    assert "IPL1 data invalid" in said

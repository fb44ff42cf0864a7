# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk goes to a guest on another host that sees it: refused while it is used; a step that fails says where the disk
is, and the same command finishes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

LAB = """\
lab: move
hosts:
  lpar1:
    devices:
      - {dasd: 0.0.7e52, chpids: [41], image: disk.ckd, shared: true, online: true}
      - {dasd: 0.0.7e53, chpids: [41], cylinders: 2}
  lpar2:
    devices:
      - {dasd: 0.0.9000, chpids: [41], image: disk.ckd, shared: true, ssid: "007e", unit_address: "52"}
guests:
  linux01: {host: lpar1, kind: quick}
  linux02: {host: lpar2, kind: quick}
"""
GUEST = {"guest_accel": "tcg"}
MOVE = {**GUEST, "move_device": "0.0.7e52", "move_from": "linux01", "move_to": "linux02", "move_to_device": "0.0.9000"}
MOVE_BACK = {
    **GUEST,
    "move_device": "0.0.9000",
    "move_from": "linux02",
    "move_to": "linux01",
    "move_to_device": "0.0.7e52",
    "move_devno": "fe.0.1234",
}
DEVICES = [
    {"device": "0.0.7e52", "guest": "linux01", "devno": "fe.0.1234"},
    {"device": "0.0.7e53", "guest": "linux01", "devno": "fe.0.1235"},
]
HOLD = "sh -c 'echo $$ > /run/holder; exec sleep 1000' 3< /dev/dasda1 > /dev/null 2>&1 < /dev/null &"


class Lab:
    def __init__(self, who) -> None:
        self._who = who

    def playbook(self, name: str, *options: str, fails: bool = False, **variables: Any) -> str:
        argv = ("-i", self._who.inventory("move"), "-e", json.dumps(variables), *options)
        done = self._who.playbook(*argv, f"zkvm.vfio_ccw.{name}")
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def node(self, name: str, script: str) -> str:
        return self._who.ccwemu("exec", "--lab", "move", name, "--", "sh", "-c", script).stdout


@pytest.fixture(name="lab")
def _lab(controller) -> Iterator[Lab]:
    disk = str(controller.home / "disk.ckd")
    made = controller.ccwemu("disk", "create", disk, "--cylinders", "3")
    assert made.returncode == 0, made.stdout
    definition = controller.home / "move.yml"
    definition.write_text(LAB, encoding="utf-8")
    up = controller.ccwemu("up", str(definition))
    assert up.returncode == 0, up.stdout
    yield Lab(controller)
    controller.ccwemu("down", "move")


def changed(output: str) -> int:
    return sum(int(number) for number in re.findall(r"changed=(\d+)", output))


@pytest.mark.lab
def test_a_disk_moves_to_a_guest_on_another_host(lab):
    lab.playbook("provision", "--limit", "lpar1,linux01", passthrough_devices=DEVICES, **GUEST)
    lab.node("linux01", "printf moved | dd of=/dev/dasda1 conv=notrunc,fsync status=none")

    assert "expected" in lab.playbook("move", fails=True, **{**MOVE, "move_to": "linux03"}).lower()
    lab.node("linux01", HOLD)
    refused = " ".join(lab.playbook("move", fails=True, **MOVE).split())
    assert "0.0.1234: not set offline, the disk is in use: opened by process" in refused
    assert "0.0.7e52 on lpar1 is passed through to linux01, and in use there" in refused
    assert changed(refused) == 0
    lab.node("linux01", "kill $(cat /run/holder)")

    planned = lab.playbook("move", "--check", **MOVE)
    assert "0.0.7e52 of linux01 (lpar1) would go to linux02 (lpar2)" in " ".join(planned.split()), planned
    assert "dasda" in lab.node("linux01", "lsdasd")

    broken = " ".join(
        lab.playbook("move", fails=True, guest_binary="/no/such/qemu", guest_restart_ok=False, **MOVE).split()
    )
    assert "/no/such/qemu" in broken and "Where the disk is now: 0.0.7e52 on lpar1" in broken
    done = lab.playbook("move", **MOVE)
    assert "is 0.0.9000 in linux02 now, online" in " ".join(done.split())
    assert lab.node("linux02", "dd if=/dev/dasda1 bs=5 count=1 status=none") == "moved"
    assert "0.0.7e52  offline" in lab.node("lpar1", "lsdasd -a")
    assert "fe.0.1235" in lab.node("lpar1", "cat /etc/vfio_ccw/guests/linux01.sh")
    assert "fe.0.1234" not in lab.node("lpar1", "cat /etc/vfio_ccw/guests/linux01.sh")
    assert "0.0.1235" in lab.node("linux01", "lscss")  # it runs, without the disk
    assert changed(lab.playbook("move", **MOVE)) == 0

    # the way back ends where it began: on the first host, online as it was before the first passthrough
    lab.playbook("move", **MOVE_BACK)
    assert lab.node("linux01", "dd if=/dev/dasda1 bs=5 count=1 status=none") == "moved"
    lab.playbook("release", "--limit", "lpar1,linux01", passthrough_devices=DEVICES, **GUEST)
    assert "0.0.7e52  active" in lab.node("lpar1", "lsdasd -a")
    assert "0.0.7e53  offline" in lab.node("lpar1", "lsdasd -a")
    assert "0.0.9000  offline" in lab.node("lpar2", "lsdasd -a")

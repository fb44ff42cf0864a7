# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks with guests of libvirt: a stock Debian in a domain gets disks, gives them back, and hands them on.

Each test goes on from where the one before it ended.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from ccwemu.guestimage import image
from libvirt_node import UUIDS, Node
from test_libvirt_host import node_of, running
from test_libvirt_host import pytestmark as needs

pytestmark = needs

LAB = """\
lab: roles
hosts:
  lpar1:
    libvirt: true
    devices:
      - {dasd: 0.0.7e52, subchannel: 0.0.16ca, chpids: [41, 42], cylinders: 3, online: true}
      - {dasd: 0.0.7e53, subchannel: 0.0.16cb, chpids: [41, 42], cylinders: 3, online: true}
  lpar2:
    devices: [{dasd: 0.0.7e54, chpids: [41], cylinders: 3}]
guests:
  linux01: {host: lpar1, kind: real}
  linux02: {host: lpar2, kind: real}
"""
FIRST = {"device": "0.0.7e52", "guest": "linux01", "devno": "fe.0.1234", "uuid": UUIDS[0]}
SECOND = {"device": "0.0.7e53", "guest": "linux01", "devno": "fe.0.1235", "uuid": UUIDS[1]}
GUEST = {"guest_hypervisor": "libvirt", "guest_accel": "tcg", "guest_memory": 512}

READ = "dd if=/dev/$(ls /sys/bus/ccw/devices/{}/block)1 bs=5 count=1 status=none"
HOST_STATE = "lscss; lsdasd -a; cut -d' ' -f1 /proc/modules; virsh --quiet list --all"


class Lab:
    """A lab whose guests libvirt runs, and the collection's playbooks on it."""

    def __init__(self, who, name: str) -> None:
        self._who, self._name = who, name

    def playbook(self, name: str, *options: str, fails: bool = False, **variables: Any) -> str:
        """What it prints, on one line."""
        argv = ("-i", self._who.inventory(self._name), "-e", json.dumps({**GUEST, **variables}), *options)
        done = self._who.playbook(*argv, f"zkvm.vfio_ccw.{name}")
        assert (done.returncode != 0) == fails, done.stdout
        return " ".join(done.stdout.split())

    def node(self, name: str) -> Node:
        return node_of(self._who, self._name, name)

    def shell(self, name: str, script: str) -> str:
        return self.node(name).run("sh", "-c", script)


def changed(output: str) -> int:
    return sum(int(number) for number in re.findall(r"changed=(\d+)", output))


def hostdevs(lab: Lab, host: str, domain: str, *options: str) -> set[str]:
    """The UUIDs of the devices that a domain has: as it runs, or with ``--inactive`` as it is defined."""
    xml = lab.node(host).virsh("dumpxml", domain, *options)
    return set(re.findall(r"<address uuid='([^']+)'", xml))


@pytest.fixture(scope="module", name="who")
def _who(controller):
    """Who has the guest image of whoever runs the tests."""
    who = dataclasses.replace(controller, environment={**controller.environment, "CCWEMU_IMAGES": str(image.cache())})
    built = who.ccwemu("guest-image", "build")
    assert built.returncode == 0, built.stdout
    return who


@pytest.fixture(scope="module", name="lab")
def _lab(who) -> Iterator[Lab]:
    for name in running(who, "roles", LAB):
        yield Lab(who, name)


@pytest.fixture(scope="module", name="bare")
def _bare(lab) -> str:
    return lab.shell("lpar1", HOST_STATE)


@pytest.mark.parametrize(
    "limit, wrong, says",
    [
        ("lpar1,linux01", {"passthrough_devices": [{**FIRST, "devno": "00.0.1234"}]},
         "linux01: devno 00.0.1234, and libvirt puts every device into channel subsystem fe"),
        ("lpar1,linux01", {"guest_extra_args": ["-nic", "user"]}, "libvirt gives its own memory balloon"),
        ("lpar2,linux02", {}, "virsh cannot connect to qemu:///system"),
    ],
    ids=["devno", "extra_args", "no-libvirtd"],
)  # fmt: skip
def test_what_libvirt_does_not_do_is_said_before_anything_is_changed(lab, bare, limit, wrong, says):
    told = lab.playbook("provision", "--limit", limit, fails=True, **{"passthrough_devices": [FIRST], **wrong})
    assert says in told, told
    assert changed(told) == 0
    assert lab.shell("lpar1", HOST_STATE) == bare


def test_a_check_names_the_steps_and_does_none(lab, bare):
    told = lab.playbook("provision", "--check", "--diff", "--limit", "lpar1,linux01", passthrough_devices=[FIRST])
    for part in (
        "set device 0.0.7e52 offline",
        "bind subchannel 0.0.16ca to vfio_ccw",
        f"create mediated device {UUIDS[0]}",
        '+<domain type="qemu">',
        f'+ <address uuid="{UUIDS[0]}" />',
        "-not running +running",
        "Once it does, 0.0.1234 would be set online in it",
    ):
        assert part in told, part
    assert lab.shell("lpar1", HOST_STATE) == bare


def test_a_domain_is_defined_and_started_and_gets_the_disk(lab):
    told = lab.playbook("provision", "--limit", "lpar1,linux01", passthrough_devices=[FIRST])
    assert "0.0.7e52: linux01 has it as 0.0.1234, online" in told
    assert "0.0.1234  active" in lab.shell("linux01", "lsdasd")
    lab.shell("linux01", "printf written | dd of=/dev/dasda1 conv=notrunc,fsync status=none")


def test_it_gets_another_disk_while_it_runs_and_that_is_all(lab):
    started = lab.shell("linux01", "cat /proc/sys/kernel/random/boot_id")
    devices = {"passthrough_devices": [FIRST, SECOND]}
    told = lab.playbook("provision", "--limit", "lpar1,linux01", **devices)
    assert "0.0.7e53: linux01 has it as 0.0.1235, online" in told
    assert lab.shell("linux01", "cat /proc/sys/kernel/random/boot_id") == started
    assert "0.0.1235  active" in lab.shell("linux01", "lsdasd")
    assert hostdevs(lab, "lpar1", "linux01") == hostdevs(lab, "lpar1", "linux01", "--inactive") == set(UUIDS)
    assert changed(lab.playbook("provision", "--limit", "lpar1,linux01", **devices)) == 0


def test_a_disk_does_not_leave_for_a_guest_whose_libvirt_is_not_there(lab):
    move = {"move_device": "0.0.7e53", "move_from": "linux01", "move_to": "linux02", "move_to_device": "0.0.7e54"}
    told = lab.playbook("move", fails=True, **move)
    assert "virsh cannot connect to qemu:///system" in told
    assert changed(told) == 0
    assert "0.0.1235  active" in lab.shell("linux01", "lsdasd")


def test_it_gives_a_disk_back_while_it_runs(lab):
    told = lab.playbook("release", "--limit", "lpar1,linux01", passthrough_devices=[FIRST])
    assert "lpar1 has 0.0.7e52." in told
    assert "0.0.1234" not in lab.shell("linux01", "lscss")
    assert "0.0.1235  active" in lab.shell("linux01", "lsdasd")
    assert hostdevs(lab, "lpar1", "linux01") == hostdevs(lab, "lpar1", "linux01", "--inactive") == {UUIDS[1]}
    assert lab.shell("lpar1", "dd if=/dev/dasda1 bs=7 count=1 status=none") == "written"


def test_it_shuts_down_for_the_last_and_all_is_as_it_was_but_for_the_domain(lab, bare):
    told = lab.playbook("release", "--limit", "lpar1,linux01", passthrough_devices=[FIRST, SECOND], guest_live=False)
    assert "It keeps its definition, without these devices: start it again by virsh start linux01 on lpar1" in told
    assert lab.node("lpar1").virsh("list", "--all").split() == ["-", "linux01", "shut", "off"]
    assert hostdevs(lab, "lpar1", "linux01", "--inactive") == set()
    lab.node("lpar1").virsh("undefine", "linux01")
    modules = r"/^(vfio|mdev)/d"
    assert lab.shell("lpar1", f"{{ {HOST_STATE}; }} | sed -E '{modules}'") == bare


# --- from guest to guest: make test-real

MOVES = """\
lab: moves
hosts:
  lpar1:
    libvirt: true
    devices:
      - {dasd: 0.0.7e52, chpids: [41], image: disk.ckd, shared: true, online: true}
      - {dasd: 0.0.7e53, chpids: [41], cylinders: 3}
  lpar2:
    libvirt: true
    devices:
      - {dasd: 0.0.9000, chpids: [41], image: disk.ckd, shared: true, ssid: "7e", unit_address: "52"}
guests:
  linux01: {host: lpar1, kind: real}
  linux02: {host: lpar1, kind: real}
  linux03: {host: lpar2, kind: real}
"""
MOVED = {"device": "0.0.7e52", "guest": "linux01", "devno": "fe.0.1234"}
STAYS = {"device": "0.0.7e53", "guest": "linux02", "devno": "fe.0.1235"}


@pytest.fixture(name="moves")
def _moves(who) -> Iterator[Lab]:
    made = who.ccwemu("disk", "create", str(who.home / "disk.ckd"), "--cylinders", "3")
    assert made.returncode == 0, made.stdout
    for name in running(who, "moves", MOVES):
        yield Lab(who, name)


@pytest.mark.long
def test_a_disk_goes_from_domain_to_domain_while_they_run(moves):
    """On one host from one running guest to another, then to a guest on another host, which is started for it."""
    moves.playbook("provision", "--limit", "lpar1,linux01,linux02", passthrough_devices=[MOVED, STAYS])
    moves.shell("linux01", "printf moved | dd of=/dev/dasda1 conv=notrunc,fsync status=none")
    boots = "cat /proc/sys/kernel/random/boot_id"
    before = {guest: moves.shell(guest, boots) for guest in ("linux01", "linux02")}

    move = {"move_device": "0.0.7e52", "move_from": "linux01", "move_to": "linux02", "move_devno": "fe.0.1236"}
    planned = moves.playbook("move", "--check", **move)
    assert "0.0.7e52 of linux01 (lpar1) would go to linux02 (lpar1)" in planned
    assert "0.0.1234  active" in moves.shell("linux01", "lsdasd")
    told = moves.playbook("move", **move)
    assert "is 0.0.1236 in linux02 now, online" in told
    assert {guest: moves.shell(guest, boots) for guest in before} == before
    assert moves.shell("linux02", READ.format("0.0.1236")) == "moved"
    assert "0.0.1234" not in moves.shell("linux01", "lscss")
    assert hostdevs(moves, "lpar1", "linux01") == hostdevs(moves, "lpar1", "linux01", "--inactive") == set()
    assert changed(moves.playbook("move", **move)) == 0

    onwards = {"move_device": "0.0.7e52", "move_from": "linux02", "move_to": "linux03", "move_to_device": "0.0.9000"}
    told = moves.playbook("move", **onwards)
    assert "is 0.0.9000 in linux03 now, online" in told
    assert moves.shell("linux03", READ.format("0.0.9000")) == "moved"
    assert moves.shell("linux02", boots) == before["linux02"]
    assert "0.0.1235  active" in moves.shell("linux02", "lsdasd")
    assert "0.0.7e52  offline" in moves.shell("lpar1", "lsdasd -a")

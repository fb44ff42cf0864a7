# SPDX-License-Identifier: GPL-3.0-or-later
"""A stock Debian as a domain of the real libvirt on an emulated host. ``make test-real`` runs it.

It takes a minute with a guest image that is there. Each test goes on from where the one before it ended.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_rig import Lab, running_lab, until
from libvirt_node import DOMAIN, HOSTDEV, MDEVS, UUIDS, Node, pass_through

COLLECTIONS = Path(__file__).resolve().parents[2] / "build/collections"
PATIENCE = 120
"""Seconds for a guest to boot or to shut down, on an emulated processor."""

LAB = """\
lab: libvirt-guest
hosts:
  lpar1:
    libvirt: true
    devices:
      - {dasd: 0.0.7e52, subchannel: 0.0.16ca, chpids: [41, 42], cylinders: 20, online: true}
      - {dasd: 0.0.7e53, subchannel: 0.0.16cb, chpids: [41, 42], cylinders: 20}
guests:
  linux01: {host: lpar1, kind: real}
"""

WRITE = """\
set -e
chccwdev -e 0.0.1230 >&2
dd if=/dev/urandom of=/dev/dasda1 bs=4096 count=200 oflag=direct status=none
dd if=/dev/dasda1 bs=4096 count=200 iflag=direct status=none | sha256sum
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    subprocess.run([sys.executable, "-m", "ccwemu", "guest-image", "build"], check=True)
    with running_lab(tmp_path_factory.mktemp("libvirt"), LAB) as made:
        yield made


@pytest.fixture(scope="module")
def host(lab: Lab) -> Node:
    node = Node(lambda *words: joined(lab, "lpar1", *words))
    pass_through(node)
    return node


def joined(lab: Lab, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    done = lab.command("exec", name, "--", *words)
    done.stdout += done.stderr
    return done


def guest(lab: Lab, *words: str) -> str:
    return joined(lab, "linux01", *words).stdout


def answers(lab: Lab) -> bool:
    return joined(lab, "linux01", "true").returncode == 0


def test_the_guest_has_its_disk(lab, host):
    host.virsh(
        "define", host.put("/tmp/domain.xml", DOMAIN.format(hostdev=HOSTDEV.format(uuid=UUIDS[0], devno="0x1230")))
    )
    host.virsh("start", "linux01")
    until(lambda: answers(lab), PATIENCE)
    assert "0.0.1230" in guest(lab, "lscss")
    told = joined(lab, "linux01", "sh", "-c", WRITE)
    assert told.returncode == 0, told.stdout
    (lab.written,) = [line for line in told.stdout.splitlines() if line.endswith("  -")]


def test_a_disk_comes_and_goes_while_it_runs(lab, host):
    hostdev = host.put("/tmp/hostdev.xml", HOSTDEV.format(uuid=UUIDS[1], devno="0x1231"))
    host.virsh("attach-device", "linux01", hostdev, "--live", "--config")
    until(lambda: "0.0.1231" in guest(lab, "lscss"))
    assert "online" in guest(lab, "chccwdev", "-e", "0.0.1231")
    assert "0.0.1231  active" in guest(lab, "lsdasd")
    assert "offline" in guest(lab, "chccwdev", "-d", "0.0.1231")
    host.virsh("detach-device", "linux01", hostdev, "--live", "--config")
    until(lambda: "0.0.1231" not in guest(lab, "lscss"))
    assert "0.0.1230  active" in guest(lab, "lsdasd")


def hostdev_module(lab: Lab, **options: Any) -> dict[str, Any]:
    """What zkvm.vfio_ccw.libvirt_hostdev says, that it is done or nothing is to be done."""
    inventory = Path(lab.environment["CCWEMU_HOME"], "libvirt.ccwemu.yml")
    inventory.write_text("plugin: zkvm.vfio_ccw.ccwemu\nlab: libvirt-guest\n", encoding="utf-8")
    environment = {
        **lab.environment,
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_INVENTORY_ENABLED": "zkvm.vfio_ccw.ccwemu",
        "ANSIBLE_NOCOLOR": "1",
    }
    argv = [sys.executable, "-m", "ansible", "adhoc", "lpar1", "-i", str(inventory)]
    argv += ["-m", "zkvm.vfio_ccw.libvirt_hostdev", "-a", json.dumps({"domain": "linux01", **options})]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.split("=>", 1)[1])


def test_our_module_gives_a_disk_and_takes_it_while_it_runs(lab, host):
    """Each time twice, the second time nothing is to be done. The guest's own lscss says whether it is so."""
    devices = [{"uuid": UUIDS[1], "devno": "fe.0.1231"}]
    without = guest(lab, "lscss")
    shown = []
    for state, steps, there in (
        ("present", ["attach-live", "attach-config"], True),
        ("absent", ["detach-live", "detach-config"], False),
        ("present", ["attach-live", "attach-config"], True),
        ("absent", ["detach-live", "detach-config"], False),
    ):
        told = hostdev_module(lab, state=state, devices=devices)
        assert [one["step"] for one in told["actions"]] == steps and not told["restart_required"]
        until(lambda there=there: ("0.0.1231" in guest(lab, "lscss")) == there)
        shown.append(guest(lab, "lscss"))
        assert not hostdev_module(lab, state=state, devices=devices)["changed"]
        if there:
            assert "online" in guest(lab, "chccwdev", "-e", "0.0.1231")
            assert "0.0.1231  active" in guest(lab, "lsdasd")
            assert "offline" in guest(lab, "chccwdev", "-d", "0.0.1231")
    assert shown == [shown[0], without, shown[0], without]
    assert "0.0.1230  active" in guest(lab, "lsdasd")


def test_a_disk_that_is_taken_while_it_is_online_goes_on_when_it_is_back(lab, host):
    """QEMU does not ask the guest, whose Linux keeps the device (disconnected) and finds it again."""
    devices = [{"uuid": UUIDS[1], "devno": "fe.0.1231"}]
    hostdev_module(lab, state="present", devices=devices)
    until(lambda: "0.0.1231" in guest(lab, "lscss"))
    assert "online" in guest(lab, "chccwdev", "-e", "0.0.1231")
    hostdev_module(lab, state="absent", devices=devices)
    until(lambda: "0.0.1231 n/a" in guest(lab, "lscss"))
    hostdev_module(lab, state="present", devices=devices)
    until(lambda: "0.0.1231 0.0." in guest(lab, "lscss"))
    read = "dd if=/dev/$(ls /sys/bus/ccw/devices/0.0.1231/block) bs=4096 count=1 iflag=direct status=none | wc -c"
    assert guest(lab, "sh", "-c", read).strip() == "4096"
    assert "offline" in guest(lab, "chccwdev", "-d", "0.0.1231")
    hostdev_module(lab, state="absent", devices=devices)


def test_it_shuts_its_system_down(lab, host):
    host.virsh("shutdown", "linux01")
    until(lambda: not host.virsh("list"), PATIENCE)


def test_libvirt_starts_it_with_the_host(lab, host):
    host.virsh("autostart", "linux01")
    assert lab.command("reboot", "lpar1").returncode == 0
    until(lambda: "linux01" in host.virsh("list"), PATIENCE)
    until(lambda: answers(lab), PATIENCE)
    assert "0.0.1230" in guest(lab, "lscss")


def test_the_host_reads_what_the_guest_has_written(lab, host):
    host.virsh("destroy", "linux01")
    host.virsh("undefine", "linux01")
    for name in MDEVS:
        host.virsh("nodedev-destroy", name)
        host.virsh("nodedev-undefine", name)
    for subchannel in ("0.0.16ca", "0.0.16cb"):
        host.run("driverctl", "-b", "css", "unset-override", subchannel)
    host.run("chccwdev", "-e", "0.0.7e52")
    read = "dd if=/dev/dasda1 bs=4096 count=200 status=none | sha256sum"
    assert host.run("sh", "-c", read).strip() == lab.written

# SPDX-License-Identifier: GPL-3.0-or-later
"""A change is tried on twins of the hosts: they answer as the hosts would, and the hosts are only read.

The "real" host is one of another lab. Its name is not one that a lab takes, as real hosts' are not.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REAL = "LPAR1.example.com"
LAB = """\
lab: real
hosts:
  lpar1:
    kernel: 5.15.0-91-generic
    cmdline: root=/dev/vda1 dasd=0.0.8002
    cio_ignore: 0.0.9000
    devices:
      - {virtio: 0.0.0000, subchannel: 0.0.0000, kind: blk, size: 1048576}
      - {dasd: 0.0.8000-0.0.8003, subchannel: 0.0.0010, chpids: [41, 42], cylinders: 3}
      - {dasd: 0.0.8004, chpids: [41], cylinders: 3, online: true}
      - {dasd: 0.0.7e53, chpids: [41], cylinders: 3, mounted: /srv/data}
      - {dasd: 0.0.7e54, chpids: [41], cylinders: 3, swap: true}
      - {dasd: 0.0.7e55, chpids: [41], cylinders: 3, volumes: [vg0-data]}
      - {dasd: 0.0.9000, chpids: [41], cylinders: 3}
"""
INVENTORY = """\
kvm_hosts:
  hosts:
    LPAR1.example.com:
      ansible_connection: zkvm.vfio_ccw.ccwemu
      ansible_ccwemu_lab: real
      ansible_ccwemu_home: {home}
      ansible_ccwemu_node: lpar1
      ansible_host: lpar1
      passthrough_devices: [{{device: 0.0.8000-0.0.8001, guest: linux01, devno: fe.0.1000}}]
guests:
  hosts:
    linux01:
      kvm_host: LPAR1.example.com
      ansible_connection: ansible.builtin.ssh
      ansible_host: 192.0.2.1
"""
SEEN = """\
lscss; lscss --vfio; lsdasd; mdevctl list; ps -e -o args | grep [q]emu
find /etc /var/lib /boot -type f -newer /etc/hostname -exec md5sum {} +
"""
STORES = """\
import json, socket
asked = socket.socket(socket.AF_UNIX)
asked.connect("/run/ccwemu/host.sock")
asked.sendall(b'{"op": "stores"}\\n')
print(json.loads(asked.makefile().readline())["stores"])
"""


@pytest.fixture(scope="module", name="inventory")
def _inventory(controller) -> Iterator[Path]:
    """A host that has a device passed through for good, and one until its next boot, a guest that runs with them."""
    (controller.home / "real.yml").write_text(LAB, "utf-8")
    up = controller.ccwemu("up", str(controller.home / "real.yml"))
    assert up.returncode == 0, up.stdout
    path = controller.home / "real.inventory.yml"
    path.write_text(INVENTORY.format(home=controller.home / "labs"), "utf-8")
    before = controller.home / "before.yml"
    devices = [
        {"device": "0.0.8000", "guest": "linux01", "devno": "fe.0.1000", "persistent": True},
        {"device": "0.0.8001", "guest": "linux01", "devno": "fe.0.1001"},
    ]
    guest = [{"uuid": f"{{{{ passed.devices[{one}].uuid }}}}", "devno": f"fe.0.100{one}"} for one in range(2)]
    tasks = [
        {"zkvm.vfio_ccw.kernel_support": None},
        {"zkvm.vfio_ccw.passthrough": {"devices": devices}, "register": "passed"},
        {"zkvm.vfio_ccw.qemu_guest": {"name": "linux01", "state": "started", "devices": guest}},
    ]
    before.write_text(json.dumps([{"hosts": "kvm_hosts", "gather_facts": False, "tasks": tasks}]), "utf-8")
    done = controller.playbook("-i", str(path), str(before))
    assert done.returncode == 0, done.stdout
    yield path
    controller.ccwemu("down", "real")


def seen(controller) -> str:
    done = controller.ccwemu("exec", "--lab", "real", "lpar1", "--", "sh", "-c", SEEN)
    assert done.returncode == 0, done.stdout
    return done.stdout


def stores(controller) -> int:
    """How often something was written to the kernel's files."""
    return int(controller.ccwemu("exec", "--lab", "real", "lpar1", "--", "python3", "-c", STORES).stdout)


def rehearse(controller, inventory: Path, **variables: object) -> str:
    """The output; the host is as before, and nothing was written to its kernel."""
    before = seen(controller), stores(controller)
    words = ["-i", str(inventory), "zkvm.vfio_ccw.rehearse", "-e", json.dumps(variables)]
    done = controller.playbook(*words)
    assert (seen(controller), stores(controller)) == before, done.stdout
    return done.stdout


def refusal(text: str) -> str:
    """What a refused run says, from the first device on."""
    found = re.search(r'Nothing was changed\. (.*?)\\?"', text)
    assert found is not None, text
    return found.group(1)


@pytest.mark.lab
def test_a_good_change_succeeds_on_the_twin(controller, inventory):
    """One of one's own, by a file; the extra vars of the run reach it."""
    change = controller.home / "change.yml"
    task = {"zkvm.vfio_ccw.passthrough": {"devices": [{"device": "{{ another }}", "persistent": True}]}}
    change.write_text(json.dumps([{"hosts": "kvm_hosts", "gather_facts": False, "tasks": [task]}]), "utf-8")
    said = rehearse(controller, inventory, rehearse_playbook=str(change), another="0.0.8004")
    assert f"succeeds on the twins of {REAL}, and a second run changes nothing" in said
    assert f"changed: [{REAL}]" in said and "running: linux01" in said
    assert "not as on the real host: 0.0.8000-0.0.8003: size not known" in said


@pytest.mark.lab
@pytest.mark.long
def test_more_disks_for_a_guest_that_runs(controller, inventory):
    added = [{"device": "0.0.8003-0.0.8004", "guest": "linux01", "devno": "fe.0.1002"}]
    present = [{"device": "0.0.8000-0.0.8001", "guest": "linux01", "devno": "fe.0.1000"}]
    said = rehearse(controller, inventory, passthrough_devices=present + added, guest_restart_ok=True)
    assert f"zkvm.vfio_ccw.provision succeeds on the twins of {REAL}, and a second run changes nothing" in said


@pytest.mark.lab
@pytest.mark.long
def test_nothing_to_do_is_nothing_to_do_on_the_twin(controller, inventory):
    """What the host has is there: the overrides, the mediated devices, the journal, the guest that runs."""
    said = rehearse(controller, inventory)
    first = said[: said.index("TASK [Run it again]")]
    assert not re.search(r"LPAR1.example.com *: ok=\d+ *changed=[1-9]", first), said


@pytest.mark.lab
def test_the_twin_refuses_what_the_host_would(controller, inventory):
    bad = [{"device": device} for device in ("0.0.7e53", "0.0.7e54", "0.0.7e55", "0.0.9000", "0.0.0000")]
    bad.append({"device": "0.0.8002", "persistent": True})
    said = rehearse(controller, inventory, passthrough_devices=bad)
    assert "zkvm.vfio_ccw.provision fails on the twins of LPAR1.example.com; the real hosts were only read" in said
    assert re.search(
        r'"LPAR1.example.com: 0.0.7e53: the disk is in use on the host: mounted at /srv/data \[mounted\]",\n'
        r' *"    -> Unmount it',
        said,
    )
    assert "LPAR1.example.com: 0.0.8002: " in said and "Mend that, on the real host" in said
    checked = [
        "-i",
        str(inventory),
        "--check",
        "zkvm.vfio_ccw.provision",
        "-e",
        json.dumps({"passthrough_devices": bad}),
    ]
    real = controller.playbook(*checked)
    assert real.returncode != 0
    assert refusal(said) == refusal(real.stdout)
    for reason in ("mounted at /srv/data", "swap", "vg0-data", "cio_ignore", "virtio", "dasd=0.0.8002"):
        assert reason in refusal(said), said


@pytest.mark.lab
@pytest.mark.long
def test_twins_that_are_kept(controller, inventory):
    work = controller.home / "rehearsal"
    change = controller.home / "touch.yml"
    task = {"ansible.builtin.command": {"argv": ["touch", "/srv/here"]}}
    change.write_text(json.dumps([{"hosts": "kvm_hosts", "gather_facts": False, "tasks": [task]}]), "utf-8")
    given = {"rehearse_playbook": str(change), "rehearse_keep": True, "rehearse_directory": str(work)}
    said = rehearse(controller, inventory, **given)
    assert f"succeeds on the twins of {REAL}, but a second run changes something again" in said
    assert f"export CCWEMU_HOME={work}/labs" in said
    twins = dataclasses.replace(controller, environment={**controller.environment, "CCWEMU_HOME": f"{work}/labs"})
    assert "here" in twins.ccwemu("exec", "lpar1-example-com", "--", "ls", "/srv").stdout.split()
    assert twins.ccwemu("down", "rehearsal").returncode == 0


@pytest.mark.lab
def test_without_the_emulator(controller, inventory):
    said = rehearse(controller, inventory, rehearse_ccwemu="/no/such/ccwemu")
    assert "There is no command /no/such/ccwemu on the controller, and so no twin. Install it" in said

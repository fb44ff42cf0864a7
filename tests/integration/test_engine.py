# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine on a lab: killed by SIGKILL, kept waiting by another run, asked what is wrong."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

DEVICE = {"device": "0.0.7e52", "guest": "linux01", "devno": "fe.0.1234", "persistent": True}
BACK = {"device": "0.0.7e52", "state": "absent"}
LOCK = "/var/lib/vfio_ccw/lock"

# Ends the module right before the Nth time that it opens a file below /sys for writing (a child may do it), replaces or
# removes a file, or runs a command.
KILLER = """\
import os, signal, sys
limit, seen, module = int(os.environ.get("KILL_AT", "0")), [0], os.getpid()
CHANGES = ("os.fork", "os.rename", "os.remove", "subprocess.Popen")
def watch(event, arguments):
    writes = event == "open" and str(arguments[0]).startswith("/sys/") and arguments[2] & 3
    if os.getpid() == module and (writes or event in CHANGES):
        seen[0] += 1
        if seen[0] == limit:
            os.kill(os.getpid(), signal.SIGKILL)
if "AnsiballZ_passthrough" in open("/proc/self/cmdline").read():
    sys.addaudithook(watch)
"""
SEEN = (
    "lscss; lsdasd -a; mdevctl list; find /etc/mdevctl.d /etc/driverctl.d -type f; "
    "cat /sys/bus/css/devices/*/driver_override"
)


class Node:
    def __init__(self, who, lab: str) -> None:
        self._who, self._lab = who, lab

    def run(self, *command: str, check: bool = True) -> str:
        done = self._who.ccwemu("exec", "--lab", self._lab, "lpar1", "--", *command)
        assert done.returncode == 0 or not check, done.stdout
        return done.stdout

    def state(self) -> str:
        return self.run("sh", "-c", SEEN)

    def play(self, device: dict[str, object], **variables: object) -> subprocess.CompletedProcess[str]:
        play = self._who.home / "engine.yml"
        task = {"zkvm.vfio_ccw.passthrough": {"devices": [device], "lock_timeout": 1}}
        play.write_text(json.dumps([{"hosts": "lpar1", "gather_facts": False, "tasks": [task]}]), encoding="utf-8")
        inventory = self._who.inventory(self._lab)
        return self._who.playbook("-i", inventory, "-e", json.dumps(variables), str(play))


@pytest.fixture(name="node")
def _node(controller, fresh_lab) -> Node:
    node = Node(controller, fresh_lab)
    node.run("modprobe", "vfio_ccw")
    return node


def killed(node: Node, device: dict[str, object], at: int) -> None:
    """Run the module with a Python that ends it there."""
    python = f'#!/bin/sh\nexport KILL_AT={at} PYTHONPATH=/root\nexec /usr/bin/python3 "$@"\n'
    for path, text in (("/root/sitecustomize.py", KILLER), ("/root/killed-python", python)):
        node.run("sh", "-c", f"cat > {path} <<'END'\n{text}END\nchmod +x {path}")
    done = node.play(device, ansible_python_interpreter="/root/killed-python", ansible_pipelining=False)
    assert '"rc": 137' in done.stdout, done.stdout


@pytest.mark.lab
@pytest.mark.parametrize(("at", "back_at"), [(2, 1), (5, 4), (9, 7)])
def test_a_run_that_is_killed_is_finished_or_taken_back_by_the_next(node, at, back_at):
    before = node.state()
    killed(node, DEVICE, at)
    assert node.state() != before or at == 2
    assert node.play(BACK).returncode == 0
    assert node.state() == before
    killed(node, DEVICE, at)
    assert node.play(DEVICE).returncode == 0
    passed = node.state()
    assert "vfio_ccw-io auto (defined)" in passed
    assert "changed=0" in node.play(DEVICE).stdout
    killed(node, BACK, back_at)
    assert node.play(BACK).returncode == 0
    assert node.state() == before


STORES = """\
import json, socket
machine = socket.socket(socket.AF_UNIX)
machine.connect("/run/ccwemu/host.sock")
machine.sendall(b'{"op": "stores"}\\n')
print(json.loads(machine.makefile().readline())["stores"])
"""


@pytest.mark.lab
def test_a_second_run_writes_nothing_to_the_kernel(node):
    counts = [int(node.run("python3", "-c", STORES))]
    for changed in ("changed=1", "changed=0"):
        assert changed in node.play(DEVICE).stdout
        counts.append(int(node.run("python3", "-c", STORES)))
    before, passed, again = counts
    # offline, unbound twice, bound, created, driver_override
    assert (passed - before, again - passed) == (6, 0)


HOLDER = f"""\
import fcntl, os, sys
lock = os.open("{LOCK}", os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
os.write(lock, b"process 4711 (passthrough of 0.0.8000-0.0.80ff, since 12:00:00 UTC): 100 of 256 devices done\\n")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.mark.lab
def test_a_second_run_waits_and_says_for_whom(controller, fresh_lab, node):
    node.run("mkdir", "-p", "/var/lib/vfio_ccw")
    before = node.state()
    command = [controller.python, "-m", "ccwemu", "exec", "--lab", fresh_lab, "lpar1", "--", "python3", "-c", HOLDER]
    environment = {**os.environ, **controller.environment}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=controller.home
    ) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        done = node.play(DEVICE)
        assert done.returncode != 0
        for part in ("waited 1 s for process 4711", "100 of 256 devices done", "let it finish, then run this again"):
            assert part in done.stdout
        assert node.state() == before
        holder.stdin.close()
    assert node.play(DEVICE).returncode == 0


@pytest.mark.lab
def test_after_an_ipl_the_wrong_device_is_named_and_the_cure_works(controller, fresh_lab, node):
    def reboot(*options: str) -> None:
        done = controller.ccwemu("reboot", "--lab", fresh_lab, *options, "lpar1")
        assert done.returncode == 0, done.stdout

    assert node.play(DEVICE).returncode == 0
    reboot()
    assert "changed=0" in node.play(DEVICE).stdout
    wrong, seeds = "0.0.7e52", iter(range(1, 30))
    while not wrong.startswith("0.0.") or wrong == "0.0.7e52":  # until another device has the subchannel
        reboot("--renumber", "--seed", str(next(seeds)))
        wrong = node.run("cat", "/sys/bus/css/devices/0.0.16ca/dev_busid", check=False).strip()
    before, refused = node.state(), node.play(DEVICE)
    assert refused.returncode != 0
    for part in (f"has device {wrong}, and vfio_ccw has taken it [wrong-device]", "state: absent, adopt: true"):
        assert part in refused.stdout
    assert "[uuid-taken]" not in refused.stdout
    assert node.state() == before
    assert node.play({"device": wrong, "state": "absent", "adopt": True}).returncode == 0
    assert wrong in node.run("lsdasd", "-a")
    assert node.play(DEVICE).returncode == 0
    assert "changed=0" in node.play(DEVICE).stdout
    assert node.play(BACK).returncode == 0
    assert node.run("sh", "-c", "ls /etc/driverctl.d; mdevctl list") == "\n"


@pytest.mark.lab
def test_the_doctor_says_on_one_page_what_is_wrong_and_what_is_right(controller, fresh_lab):
    inventory = controller.inventory(fresh_lab)

    def playbook(name: str, variables: dict[str, object]) -> str:
        done = controller.playbook("-i", inventory, "-e", json.dumps(variables), f"zkvm.vfio_ccw.{name}")
        assert done.returncode == 0, done.stdout
        assert name != "doctor" or "changed=0" in done.stdout
        return done.stdout

    disk, asked = {"device": "0.0.7e52", "guest": "linux01"}, {"doctor_device": "0.0.7e52", "doctor_guest": "linux01"}
    assert "0.0.7e52 could be passed through and is not in guest linux01" in playbook("doctor", asked)
    mounted = playbook("doctor", {**asked, "doctor_device": "0.0.7e53"})
    assert "0.0.7e53 cannot be used in guest linux01" in mounted and "mounted at /srv/data" in mounted
    playbook("provision", {"passthrough_devices": [{**disk, "devno": "fe.0.1234"}], "guest_accel": "tcg"})
    usable = playbook("doctor", asked)
    assert "0.0.7e52 can be used in guest linux01, as 0.0.1234" in usable
    assert "0.0.1234 in linux01: there and online" in usable

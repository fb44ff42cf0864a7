# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles and the playbooks over them: what is wrong is said before anything is changed, a check on a bare host tells
all that the run then does, surveys may leave everything empty, and the results are published.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (PROJECT / "roles").iterdir())
UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
DISK = {"device": "0.0.7e52", "uuid": UUID, "guest": "linux01", "devno": "fe.0.1234"}
GUEST = {"passthrough_devices": [DISK], "guest_accel": "tcg"}
EVERYTHING = (
    "{ lscss; lsdasd -a; cat /proc/modules; ls /sys/bus/mdev/devices;"
    "find /etc/modules-load.d /etc/vfio_ccw /var/lib/vfio_ccw -type f; } 2> /dev/null"
)
RECAP = re.compile(r"^(\S+)\s+:.*\bchanged=(\d+)", re.MULTILINE)


class Bench:
    """A lab of its own, and playbooks on it."""

    def __init__(self, who, lab: str) -> None:
        self._who, self._lab = who, lab

    def run(self, name: str, variables: dict[str, Any], *options: str, fails: bool = False) -> str:
        argv = ("-i", self._who.inventory(self._lab), "-e", json.dumps(variables), *options)
        done = self._who.playbook(*argv, name if name.endswith(".yml") else f"zkvm.vfio_ccw.{name}")
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def node(self, *command: str, name: str = "lpar1") -> str:
        return self._who.ccwemu("exec", "--lab", self._lab, name, "--", *command).stdout

    def state(self) -> str:
        return self.node("sh", "-c", EVERYTHING)

    def fault(self, *words: str) -> list[str]:
        """The command that has the disk meet a fault."""
        return [self._who.python, "-m", "ccwemu", "fault", "--lab", self._lab, "lpar1", "0.0.7e52", *words]

    def play(self, *tasks: dict[str, Any], hosts: str = "lpar1") -> str:
        """One play with these tasks. Raises AssertionError where it fails."""
        path = self._who.home / "roles.yml"
        path.write_text(json.dumps([{"hosts": hosts, "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
        return self.run(str(path), {})


def changed(output: str) -> int:
    return sum(int(number) for _host, number in RECAP.findall(output))


@pytest.fixture(name="bench")
def _bench(controller, fresh_lab) -> Bench:
    return Bench(controller, fresh_lab)


def role(name: str, entry: str = "main", **variables: Any) -> dict[str, Any]:
    task = {"ansible.builtin.include_role": {"name": f"zkvm.vfio_ccw.{name}", "tasks_from": entry}}
    return {"name": name, **task, "vars": variables}


def fails(task: dict[str, Any], *says: str) -> dict[str, Any]:
    """A task that fails, with a message in which all of this is said."""
    tell = "{{ ansible_failed_result.msg | default('it did not fail') }} {{ ansible_failed_result | to_json }}"
    conditions = [f"{part!r} in said" for part in says]
    return {
        "block": [task, {"ansible.builtin.set_fact": {"went_well": True}}],
        "rescue": [{"ansible.builtin.assert": {"that": conditions, "fail_msg": tell}, "vars": {"said": tell}}],
        "always": [{"ansible.builtin.assert": {"that": "went_well is not defined", "fail_msg": "it did not fail"}}],
    }


WRONG = [
    ("passthrough", {"passthrough_state": "perhaps"}, "passthrough_state must be one of: present, absent"),
    ("passthrough", {"passthrough_devices": [{"device": "0.0.7e52", "gest": "linux01"}]}, "gest"),
    ("passthrough", {"passthrough_devices": "0.0.7e52"}, "passthrough_devices"),
    ("passthrough", {"passthrough_persistent": "maybe"}, "passthrough_persistent must be one of"),
    ("passthrough", {"passthrough_on_error": "ignore"}, "passthrough_on_error must be one of: undo, keep"),
    ("passthrough", {"passthrough_device": [{"device": "0.0.7e52"}]}, "A list belongs into passthrough_devices"),
    ("passthrough", {"passthrough_devcies": []}, "unknown; did you mean passthrough_devices? Correct the name"),
    ("passthrough", {"passtrough_device": "0.0.7e52"}, "did you mean passthrough_device?"),
    ("kvm_host", {"kvm_host_tool": "mdevctl"}, "did you mean kvm_host_tools?"),
    ("guest", {"guest_cpu": 2}, "did you mean guest_cpus?"),
    ("guest_device", {"guest_device_mount": []}, "did you mean guest_device_mounts?"),
    ("passthrough", {"passthrough_guest": "linux01"}, "are for passthrough_device, which is not given"),
    ("kvm_host", {"kvm_host_tools": ["screwdriver"]}, "kvm_host_tools must be one or more of"),
    ("guest", {"guest_memory": "lots"}, "guest_memory is lots, expected whole numbers"),
    ("guest", {"guest_accel": "warp"}, "guest_accel must be one of"),
    ("guest", {"guest_hypervisor": "xen"}, "guest_hypervisor must be one of: qemu, libvirt"),
    ("guest", {"guest_restart_ok": "perhaps"}, "guest_restart_ok must be one of"),
    ("guest", {"guest_boot": "fe.0.4711"}, "guest_boot is fe.0.4711, but the guest's devices are none"),
    ("guest_device", {"guest_device_state": "standby"}, "guest_device_state must be one of: online, offline"),
    ("guest_device", {"guest_device_filesystem": "vfat"}, "guest_device_filesystem must be one of"),
    ("guest_device", {"guest_device_mounts": [{"device": "0.0.1234"}]}, "missing required arguments: path"),
    ("guest_device", {"guest_device_timeout": "soon"}, "guest_device_timeout is soon, expected whole seconds. Nothing"),
    (
        "guest_device",
        {"guest_device_devices": "0.0.1,0.0.2", "guest_device_mount_path": "/srv"},
        "which is for one disk",
    ),
    (
        "guest_device",
        {"guest_device_destroy_data": True},
        "guest_device_destroy_data has true, expected bus ids in the",
    ),
    (
        "guest_device",
        {"guest_device_format": "fe.0.1234"},
        "guest_device_format has fe.0.1234, expected bus ids in the",
    ),
    (
        "guest_device",
        {"guest_device_format": "0.0.1234", "guest_device_destroy_data": ["0.0.1234", "0.0.1235"]},
        "guest_device_destroy_data has 0.0.1235, which guest_device_format has not",
    ),
]

STRANGER = [{"device": "0.0.7e52", "guest": "linux09"}]
WRONG_FOR_PLAYBOOKS = [
    ("provision", {"guest_memory": "lots"}, "guest_memory is lots"),
    ("provision", {"kvm_host_tool": "mdevctl"}, "did you mean kvm_host_tools?"),
    ("provision", {"passthrough_guest": "linux01"}, "passthrough_device, which is not given"),
    ("provision", {"kvm_host": ""}, "linux01: kvm_host is not set"),
    ("provision", {"kvm_host": "lpar9"}, "linux01: kvm_host is lpar9, expected a host of the inventory"),
    ("provision", {"kvm_host": "linux01"}, "lpar1: 0.0.7e52 is for linux01, whose kvm_host is linux01, expected lpar1"),
    (
        "provision",
        {"passthrough_devices": STRANGER},
        "lpar1: 0.0.7e52 is for linux09, which is not among the guests of the inventory (linux01)",
        "Correct the name, or add linux09 to the group guests with kvm_host: lpar1. Nothing was changed.",
    ),
    ("release", {"kvm_host": ""}, "linux01: kvm_host is not set"),
]

HIDE_MDEVCTL = """\
set -e
mkdir -p /run/kept /run/hidden
mount --rbind /usr/bin /run/kept
for name in $(ls /run/kept); do ln -s /run/kept/$name /run/hidden/$name; done
rm /run/hidden/mdevctl
mount --bind /run/hidden /usr/bin
"""


@pytest.mark.lab
def test_what_is_wrong_is_said_before_anything_is_changed(bench):
    before = bench.state()
    bench.play(
        *[fails(role(name, **variables), says) for name, variables, says in WRONG],
        {"ansible.builtin.command": {"argv": ["sh", "-c", HIDE_MDEVCTL]}},
        fails(
            role("kvm_host", passthrough_persistent=True),
            "mdevctl is not installed",
            "Install the package mdevctl",
            "kvm_host_install_packages: true",
        ),
    )
    # what is wrong with a guest is said before its host is touched
    for playbook, wrong, *says in WRONG_FOR_PLAYBOOKS:
        said = bench.run(playbook, {**GUEST, **wrong}, fails=True)
        assert changed(said) == 0 and not [part for part in says if part not in said], said
    assert bench.state() == before


SET_BY_PLAYBOOKS = {"guest_name", "guest_host", "guest_state", "guest_device_devices", "passthrough_stopped_guests"}


def empty(name: str) -> dict[str, Any]:
    """Every variable of a role that a survey could set, left empty."""
    specs = yaml.safe_load((PROJECT / f"roles/{name}/meta/argument_specs.yml").read_text(encoding="utf-8"))
    options = specs["argument_specs"]["main"]["options"]
    nested = {option for option, spec in options.items() if spec.get("elements") == "dict"}
    return {option: "" for option in options if option not in nested | SET_BY_PLAYBOOKS}


def published(text: str, name: str) -> Any:
    """A statistic, as a workflow gets it."""
    return json.loads(text[text.index("RUN: ") + len("RUN: ") :])[f"vfio_ccw_{name}"]


def steps(text: str) -> list[str]:
    """The steps that a diff tells."""
    return [line.strip() for line in text.splitlines() if re.match(r"  (set|unbind|bind|create|note|remove) ", line)]


@pytest.mark.lab
def test_there_and_back_from_a_bare_host(bench, monkeypatch):
    """A check tells what the run then does; a survey may leave all but the device empty; the results are published."""
    # facts are not used, not even those that Ansible would give by itself
    monkeypatch.setenv("ANSIBLE_INJECT_FACT_VARS", "False")
    monkeypatch.setenv("ANSIBLE_GATHERING", "explicit")
    monkeypatch.setenv("ANSIBLE_SHOW_CUSTOM_STATS", "1")
    bare = bench.state()
    assert "vfio_ccw" not in bare
    checked = bench.run("provision", GUEST, "--check", "--diff")
    assert bench.state() == bare and "would be set online in it" in checked
    done = bench.run("provision", GUEST, "--diff")
    assert steps(checked) == steps(done) and len(steps(done)) >= 5
    assert changed(checked) == changed(done) - 1  # into the guest one sees only when it runs
    assert "0.0.7e52: linux01 has it as 0.0.1234, online" in done
    (device,) = published(done, "provision")["devices"]["lpar1"]
    assert (device["device"], device["guest"], device["guest_device"]) == ("0.0.7e52", "linux01", "0.0.1234")
    (disk,) = published(done, "provision")["guests"]["linux01"]
    assert disk["block_devices"][0]["path"] == "/dev/dasda"

    survey = {key: value for name in ROLES for key, value in empty(name).items()}
    flat = {"passthrough_device": "0.0.7e52", "passthrough_guest": "linux01", "passthrough_devno": "fe.0.1234"}
    flat = {**survey, **flat, "passthrough_uuid": UUID, "guest_accel": "tcg"}
    assert changed(bench.run("provision", flat)) == 0
    passed = bench.state()
    checked = bench.run("release", flat, "--check", "--diff")
    assert bench.state() == passed
    back = bench.run("release", flat, "--diff")
    assert changed(checked) == changed(back) == 3 and steps(checked) == steps(back)
    assert [one["state"] for one in published(back, "release")["devices"]["lpar1"]] == ["absent"]
    assert changed(bench.run("release", flat)) == 0
    # a guest that this inventory does not know is not looked into when its device comes back
    stranger = {"passthrough_device": "0.0.7e54", "passthrough_guest": "linux09"}
    bench.play(role("passthrough", **stranger))
    assert "passed to linux09, which is not among the guests" in bench.run("release", stranger)
    assert "No device of lpar1 was asked for" in bench.run("provision", {})


def fault(bench, *words: str) -> dict[str, Any]:
    """A task that has the disk meet a fault."""
    return {"ansible.builtin.command": {"argv": bench.fault(*words)}, "delegate_to": "localhost"}


@pytest.mark.lab
def test_a_disk_that_holds_something_is_not_formatted_without_consent(bench):
    bench.run("provision", GUEST)
    disk = {"guest_device_devices": "0.0.1234", "guest_device_format": "0.0.1234"}
    both = {**disk, "guest_device_format": "0.0.1234,0.0.1235", "guest_device_filesystem": "xfs"}
    refused = ("0.0.1234 (/dev/dasda): left as it is", "its volume serial is", "destroy_data: true")
    precious = {"ansible.builtin.command": {"argv": ["mkfs.ext4", "-q", "-F", "-L", "precious", "/dev/dasda1"]}}
    consent = {**disk, "guest_device_destroy_data": "0.0.1234"}
    said = bench.play(
        fails(role("guest_device", guest_device_filesystem="ext4", **disk), *refused),
        precious,
        {"name": "Before", "ansible.builtin.command": "sha256sum /dev/dasda", "register": "before"},
        fails(role("guest_device", guest_device_filesystem="xfs", **disk), *refused, "ext4 'precious' on /dev/dasda1"),
        # neither an empty consent nor one for another disk is one for this; and a disk of another run is left alone
        fails(role("guest_device", guest_device_destroy_data="", **both), *refused),
        fails(role("guest_device", guest_device_destroy_data="0.0.1235", **both), *refused),
        role("guest_device", guest_device_destroy_data="0.0.1234", **{**both, "guest_device_devices": ""}),
        fails(role("guest_device", guest_device_filesystem="xfs", **consent), "mkfs.xfs is not installed"),
        fails(
            role("guest_device", guest_device_label="x" * 17, guest_device_filesystem="ext4", **consent), "at most 16"
        ),
        # consent for a disk that is as wanted destroys nothing
        role("guest_device", guest_device_filesystem="ext4", **consent),
        fails(role("guest_device", guest_device_persistent="yes", **disk), "chzdev is not installed", "s390-tools"),
        {"name": "After", "ansible.builtin.command": "sha256sum /dev/dasda", "register": "after"},
        {"ansible.builtin.assert": {"that": "before.stdout == after.stdout"}},
        hosts="linux01",
    )
    assert changed(said) == 3  # the commands above


@pytest.mark.lab
@pytest.mark.long
def test_a_disk_that_fails_while_it_is_set_up(bench):
    """What failed is said and can be repeated; of what a mount point holds nothing is hidden."""
    bench.run("provision", GUEST)
    disk = {"guest_device_devices": "0.0.1234", "guest_device_format": "0.0.1234", "guest_device_filesystem": "ext4"}
    consent = {**disk, "guest_device_destroy_data": ["0.0.1234"]}
    mounts = {"guest_device_devices": "0.0.1234", "guest_device_mount_path": "/srv/data"}
    failed = ("0.0.1234: 'mkfs.ext4", "nothing was done before it", "run this again")
    bench.play(
        fault(bench, "unit-check", "--sense", "equipment-check", "--command", "85", "--count", "100000"),
        fails(role("guest_device", **consent), *failed),
        fault(bench, "clear"),
        role("guest_device", **consent),
        {"ansible.builtin.file": {"path": "/srv/data/left", "state": "directory", "mode": "0755"}},
        fails(role("guest_device", **mounts), "/srv/data holds left, which the mount would hide"),
        {"ansible.builtin.file": {"path": "/srv/data/left", "state": "absent"}},
        role("guest_device", **mounts),
        role("guest_device", guest_device_state="offline", **mounts),
        {"ansible.builtin.command": "grep -c /srv/data /etc/fstab", "failed_when": "no.rc != 1", "register": "no"},
        hosts="linux01",
    )


@pytest.mark.parametrize("name", ROLES)
def test_defaults_and_argument_specs_say_the_same(name):
    specs = yaml.safe_load((PROJECT / f"roles/{name}/meta/argument_specs.yml").read_text(encoding="utf-8"))
    defaults = yaml.safe_load((PROJECT / f"roles/{name}/defaults/main.yml").read_text(encoding="utf-8"))
    options = specs["argument_specs"]["main"]["options"]
    assert set(options) == set(defaults)
    for variable, option in options.items():
        assert option["description"] and "type" in option
        if "{{" not in str(defaults[variable]):
            assert option["default"] == defaults[variable], variable

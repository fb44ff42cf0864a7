# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused for the state that a host is in, each state brought about as it comes about: by what the host's /sys,
its tools, its kernel and the guests on it do. A refusal names the device and what to do, and nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals import _table

LAB = """\
lab: states
hosts:
  lpar1:
    qemu: "5.2"                        # lets no device go when the kernel asks for it
    files:
      /etc/zipl.conf: |
        [linux]
        image = /boot/image
        parameters = "root=/dev/vda1 cio_ignore=all,!0.0.8000"
    devices:
      - {dasd: 0.0.8000-0.0.8006, chpids: [41], cylinders: 2, online: true}
      - {dasd: 0.0.8010, chpids: [51], cylinders: 2, online: true}
      - {dasd: 0.0.8011, chpids: [52], cylinders: 2, online: true}
      - {other: 0.0.0600, chpids: [42], cu_type: "3270"}
      - {other: 0.0.f500-0.0.f501, chpids: [43], cu_type: "3088", cu_model: "08"}
  disk:
    devices: [{dasd: 0.0.8000, chpids: [41], cylinders: 2, mounted: /}]
  volume:
    devices: [{dasd: 0.0.8000, chpids: [41], cylinders: 2, online: true}]
    volumes: [{name: vg0-root, on: [0.0.8000], mounted: /}]
  old:
    kernel: 5.2.0-1-s390x
    devices: [{dasd: 0.0.8000-0.0.8001, chpids: [41], cylinders: 2}]
  without:
    config: {CONFIG_VFIO_CCW: n}
    devices: [{dasd: 0.0.8000, chpids: [41], cylinders: 2}]
  bare:
    commands:
      - [mount, --bind, /dev/null, /usr/bin/mdevctl]
      - [mount, --bind, /dev/null, /usr/sbin/driverctl]
    devices: [{dasd: 0.0.8000, chpids: [41], cylinders: 2}]
  unseen:
    commands: [[mount, -t, tmpfs, none, /sys]]
    devices: [{dasd: 0.0.8000, chpids: [41], cylinders: 2}]
guests:
  linux01: {host: lpar1, kind: quick}
"""
UUIDS = {name: f"6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb92{name[-1]}" for name in ("0.0.8000", "0.0.8001", "0.0.8002")}
PASSED = [{"device": device, "uuid": uuid, "guest": "linux01"} for device, uuid in UUIDS.items()]
USED = [
    {"uuid": UUIDS["0.0.8000"], "devno": "fe.0.8000"},
    {"uuid": UUIDS["0.0.8001"], "devno": "fe.0.8001"},
]

SETUP = f"""\
- hosts: lpar1
  gather_facts: false
  tasks:
    - zkvm.vfio_ccw.kernel_support: {{persistent: false}}
    - zkvm.vfio_ccw.passthrough: {{devices: {json.dumps(PASSED)}}}
    - zkvm.vfio_ccw.qemu_guest: {{name: linux01, accel: tcg, devices: {json.dumps(USED)}}}
    - ansible.builtin.shell: (echo 1 > /sys/bus/mdev/devices/{UUIDS["0.0.8001"]}/remove) > /dev/null 2>&1 &
    - ansible.builtin.wait_for: {{path: /sys/bus/mdev/devices/{UUIDS["0.0.8001"]}, state: absent, timeout: 30}}
    - ansible.builtin.shell: echo {UUIDS["0.0.8002"]} > /sys/bus/mdev/drivers/vfio_ccw_mdev/unbind
    - ansible.builtin.command: chccwdev -e 0.0.0600
    - ansible.builtin.command: tunedasd -S /dev/dasdd
    - ansible.builtin.shell: echo offline > /sys/devices/css0/chp0.51/status
    - ansible.builtin.shell: modprobe ctcm && echo 0.0.f500,0.0.f501 > /sys/bus/ccwgroup/drivers/ctcm/group
"""

GUESTS = [
    ("no-mdev", UUIDS["0.0.8000"][:-1] + "f", "does not exist", "module zkvm.vfio_ccw.passthrough"),
    ("mdev-in-use", UUIDS["0.0.8000"], "/dev/vfio/0 is busy", "stop that guest"),
    ("mdev-without-driver", UUIDS["0.0.8002"], "has no driver", "Remove it and make it again"),
]
DISK = {"device": "0.0.8000"}
LISTS: list[tuple[str, Any, str]] = [
    ("bad-guest", {**DISK, "guest": "../x"}, "'../x'"),
    ("invisible-devno", {**DISK, "devno": "0.0.1234"}, "0.0.1234"),
    ("uuid-for-many", {"device": "0.0.8000-0.0.8001", "uuid": UUIDS["0.0.8000"]}, "0.0.8000-0.0.8001"),
    ("empty-range", {"device": "0.0.9000-0.0.90ff"}, "no device in this range"),
    ("duplicate-device", [DISK, DISK], "0.0.8000"),
    (
        "duplicate-uuid",
        [{**DISK, "uuid": UUIDS["0.0.8000"]}, {"device": "0.0.8001", "uuid": UUIDS["0.0.8000"]}],
        UUIDS["0.0.8000"],
    ),
    (
        "duplicate-devno",
        [
            {**DISK, "guest": "linux01", "devno": "fe.0.0001"},
            {"device": "0.0.8001", "guest": "linux01", "devno": "fe.0.0001"},
        ],
        "fe.0.0001",
    ),
]
"""What is wrong with a list: found while it is read, whatever the host is like."""

CASES: list[tuple[str, str, str, Any, list[str]]] = [
    # host, id, module, what is asked for, what the message says
    (
        "lpar1",
        "in-use",
        "passthrough",
        {"device": "0.0.8000", "state": "absent"},
        ["(linux01) has its mediated device", UUIDS["0.0.8000"], "stop the guest"],
    ),
    (
        "lpar1",
        "in-use",
        "passthrough",
        {"device": "0.0.8001", "state": "absent"},
        ["(linux01) still has the mediated device open that was removed", "Stop that guest"],
    ),
    (
        "lpar1",
        "in-use",
        "passthrough",
        {"device": "0.0.8001", "uuid": UUIDS["0.0.8001"]},
        ["no instance is free", "Run this again afterwards"],
    ),
    ("lpar1", "in-use", "mdev", {"device": "0.0.8000", "state": "absent"}, ["is busy", "stop the guest"]),
    (
        "lpar1",
        "carries-mdev",
        "subchannel",
        {"devices": ["0.0.8002"], "driver": "io_subchannel"},
        [UUIDS["0.0.8002"], "module zkvm.vfio_ccw.mdev"],
    ),
    (
        "lpar1",
        "not-passed",
        "mdev",
        {"device": "0.0.8004"},
        ["is bound to io_subchannel, expected vfio_ccw", "module zkvm.vfio_ccw.subchannel"],
    ),
    (
        "lpar1",
        "reserved-here",
        "passthrough",
        {"device": "0.0.8003"},
        ["last_known_reservation_state is 'reserved'", "tunedasd -L /dev/dasdd"],
    ),
    (
        "lpar1",
        "hidden-at-boot",
        "passthrough",
        {"device": "0.0.8005", "persistent": True},
        ["/etc/zipl.conf (cio_ignore=all,!0.0.8000)", "Put !0.0.8005 at the end of cio_ignore="],
    ),
    (
        "lpar1",
        "unavailable",
        "passthrough",
        {"device": "0.0.8010"},
        ["its availability is 'no path', expected 'good'", "lschp, chchp"],
    ),
    (
        "lpar1",
        "unavailable",
        "passthrough",
        {"device": "0.0.8011"},
        ["its availability is 'no device', expected 'good'", "lschp, chchp"],
    ),
    (
        "lpar1",
        "online-no-disk",
        "passthrough",
        {"device": "0.0.0600"},
        ["control unit 3270/00", "chccwdev -d 0.0.0600"],
    ),
    (
        "lpar1",
        "grouped",
        "passthrough",
        {"device": "0.0.f501"},
        ["the host has it in ccwgroup 0.0.f500", "ungroup of the group"],
    ),
    (
        "disk",
        "root-device",
        "passthrough",
        {"device": "0.0.8000"},
        ["the host runs from it: mounted at /", "Name another disk"],
    ),
    (
        "volume",
        "root-device",
        "passthrough",
        {"device": "0.0.8000"},
        ["logical volume vg0-root (dm-0) lies on dasda1, mounted at /", "Name another disk"],
    ),
    ("old", "no-such-subchannel", "mdev", {"subchannel": "0.0.ffff"}, [_table.LIST_REFUSALS["no-such-subchannel"]]),
    (
        "old",
        "no-override",
        "passthrough",
        {"device": "0.0.8000", "persistent": True},
        ["no driver_override for subchannels (5.3 and newer have)", "Leave persistent out"],
    ),
    (
        "without",
        "no-vfio-ccw",
        "passthrough",
        {"device": "0.0.8000"},
        ["CONFIG_VFIO_CCW", "Module zkvm.vfio_ccw.kernel_support"],
    ),
    (
        "bare",
        "no-tools",
        "passthrough",
        {"device": "0.0.8000", "persistent": True},
        ["the host lacks driverctl and mdevctl", "Install the package of that name"],
    ),
    (
        "unseen",
        "no-channels",
        "passthrough",
        {"device": "0.0.8000"},
        ["/sys/bus/css is not there", "with /sys mounted"],
    ),
    *[
        (
            "lpar1",
            refusal,
            "qemu_guest",
            {"name": "linux02", "accel": "tcg", "devices": [{"uuid": uuid, "devno": "fe.0.0001"}]},
            [uuid, *says],
        )
        for refusal, uuid, *says in GUESTS
    ],
    *[
        ("old", refusal, "passthrough", asked, [found, _table.LIST_REFUSALS[refusal]])
        for refusal, asked, found in LISTS
    ],
]

STORES = """\
import json, socket
machine = socket.socket(socket.AF_UNIX)
machine.connect("/run/ccwemu/host.sock")
machine.sendall(json.dumps({"op": "stores"}).encode() + bytes([10]))
print(json.loads(machine.makefile().readline())["stores"])"""
LOOK = ("lscss -a", "lscss --vfio", "lsdasd -a", "cat /proc/modules /var/lib/vfio_ccw/journal.json")
SNAPSHOT = "; ".join([*LOOK, "ls -R /etc/udev /etc/driverctl.d /etc/mdevctl.d"])


HOSTS = tuple(dict.fromkeys(case[0] for case in CASES))


def _task(index: int, module: str, asked: Any) -> dict[str, Any]:
    if module == "passthrough":
        asked = {"devices": asked if isinstance(asked, list) else [asked], "correct_rule": True}
    return {f"zkvm.vfio_ccw.{module}": asked, "ignore_errors": True, "register": f"answer{index}"}


def _tasks(host: str, answers: str) -> list[dict[str, Any]]:
    """All cases of a host, and how often its kernel was written to, before and after."""
    look = {"ansible.builtin.command": {"argv": ["sh", "-c", f"python3 -c '{STORES}'; {SNAPSHOT}"]}}
    cases = {index: _task(index, *case[2:4]) for index, case in enumerate(CASES) if case[0] == host}
    said = ", ".join(f"'{index}': answer{index}" for index in cases)
    content = f"{{{{ {{{said}, 'before': before.stdout, 'after': after.stdout}} | to_json }}}}"
    told = {"ansible.builtin.copy": {"content": content, "dest": answers}, "delegate_to": "localhost"}
    return [{**look, "register": "before"}, *cases.values(), {**look, "register": "after"}, told]


BESIDE_EACH_OTHER = """\
- hosts: kvm_hosts
  gather_facts: false
  strategy: free
  tasks:
    - ansible.builtin.include_tasks: states-of-{{ inventory_hostname }}.yml
"""


@pytest.fixture(scope="module", name="answers")
def _answers(controller) -> Iterator[dict[str, dict[str, Any]]]:
    """What each host's modules returned, and what the host said before and after."""
    definition = controller.home / "states.yml"
    definition.write_text(LAB, encoding="utf-8")
    up = controller.ccwemu("up", str(definition))
    assert up.returncode == 0, up.stdout
    away = controller.ccwemu("fault", "--lab", "states", "lpar1", "0.0.8011", "remove")
    assert away.returncode == 0, away.stdout
    answers = {host: controller.home / f"answers-of-{host}.json" for host in HOSTS}
    for host in HOSTS:
        tasks = json.dumps(_tasks(host, str(answers[host])))
        (controller.home / f"states-of-{host}.yml").write_text(tasks, encoding="utf-8")
    for name, text in {"set-up": SETUP, "states": BESIDE_EACH_OTHER}.items():
        play = controller.home / f"play-{name}.yml"
        play.write_text(text, encoding="utf-8")
        done = controller.playbook("-f", str(len(HOSTS)), "-i", controller.inventory("states"), str(play))
        assert done.returncode == 0, done.stdout
    yield {host: json.loads(path.read_text(encoding="utf-8")) for host, path in answers.items()}
    down = controller.ccwemu("down", "states")
    assert down.returncode == 0, down.stdout


def _named(case) -> str:
    """How the user named what is refused: a device, or the first of several."""
    _host, _refusal, _module, asked, _parts = case
    first = asked[0] if isinstance(asked, list) else asked
    if "devices" in first:
        first = first["devices"][0]
    return first if isinstance(first, str) else next(iter(first.values()))


@pytest.mark.lab
@pytest.mark.parametrize(
    ("index", "case"),
    list(enumerate(CASES)),
    ids=[f"{case[0]}-{case[1]}-{number}" for number, case in enumerate(CASES)],
)
def test_refused(answers, index, case):
    host, refusal, _module, _asked, parts = case
    answer = answers[host][str(index)]
    assert answer.get("failed"), answer
    assert not answer.get("changed")
    assert f"[{refusal}]" in answer["msg"]
    for part in [_named(case), *parts]:
        assert part in answer["msg"]
    if "refusals" in answer:
        assert {one["id"] for one in answer["refusals"]} == {refusal}


@pytest.mark.lab
@pytest.mark.parametrize("host", HOSTS)
def test_nothing_was_written(answers, host):
    """To the kernel not a byte; and what the host's tools say of it is the same."""
    assert answers[host]["after"] == answers[host]["before"]

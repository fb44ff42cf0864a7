# SPDX-License-Identifier: GPL-3.0-or-later
"""The libvirt modules on an emulated host with libvirtd: node devices, a domain, a device that comes and goes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml
from test_examples import PROJECT, documentation
from test_libvirt_host import UUIDS, Node, node_of, running, with_images
from test_libvirt_host import pytestmark as needs

pytestmark = needs

LAB = """\
lab: modules
hosts:
  lpar1:
    libvirt: true
    devices:
      - {dasd: 0.0.7e52, subchannel: 0.0.16ca, chpids: [41, 42], cylinders: 3, online: true}
      - {dasd: 0.0.7e53, subchannel: 0.0.16cb, chpids: [41, 42], cylinders: 3}
guests:
  linux01: {host: lpar1, kind: real}
"""
DEVICES = [{"device": f"0.0.7e5{number + 2}", "uuid": uuid} for number, uuid in enumerate(UUIDS)]
GUEST = {"name": "linux01", "accel": "tcg", "memory": 256,
         "devices": [{"uuid": UUIDS[0], "devno": "fe.0.1234"}]}  # fmt: skip
SECOND = {"domain": "linux01", "devices": [{"device": "0.0.7e53", "devno": "fe.0.1235"}]}
GONE = {"domain": "linux01", "devices": [{"devno": "fe.0.1235"}], "state": "absent"}

# module, its options, the steps that it does
STEPS = [
    ("kernel_support", {}, None),
    ("passthrough", {"devices": DEVICES}, None),
    ("libvirt_nodedev", {"devices": DEVICES, "autostart": True}, ["define", "autostart"] * 2),
    ("libvirt_nodedev", {"devices": DEVICES, "autostart": True}, []),
    ("libvirt_guest", GUEST, ["define", "start"]),
    ("command", {"cmd": "virsh suspend linux01"}, None),  # a processor that meets only program checks starves its QEMU
    ("libvirt_guest", GUEST, []),
    ("libvirt_nodedev", {"devices": DEVICES[:1], "state": "absent"}, "node-in-use"),
    ("libvirt_nodedev", {"devices": [{**DEVICES[0], "uuid": UUIDS[1][:-1] + "f"}]}, "other-mdev"),
    ("libvirt_nodedev", {"devices": [{**DEVICES[1], "uuid": UUIDS[0]}], "state": "present"}, "uuid-elsewhere"),
    ("libvirt_hostdev", SECOND, ["attach-live", "attach-config"]),
    ("libvirt_hostdev", SECOND, []),
    ("libvirt_hostdev", {**SECOND, "devices": [{"uuid": UUIDS[1], "devno": "fe.0.4321"}]}, "moved"),
    ("libvirt_hostdev", GONE, ["detach-live", "detach-config"]),
    ("libvirt_hostdev", GONE, []),
    ("libvirt_hostdev", {**SECOND, "config": False}, ["attach-live"]),
    ("libvirt_guest", GUEST, []),
    ("command", {"cmd": "virsh undefine linux01"}, None),
    ("libvirt_hostdev", {**SECOND, "config": True}, "no-definition"),
    ("libvirt_guest", {"name": "linux01", "state": "absent", "shutdown": "terminate"}, ["stop"]),
    ("libvirt_nodedev", {"devices": DEVICES, "state": "absent"}, ["stop", "undefine"] * 2),
]


@pytest.fixture(scope="module", name="who")
def _who(controller, tmp_path_factory):
    return with_images(controller, tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module", name="node")
def _node(who) -> Iterator[Node]:
    for lab in running(who, "modules", LAB):
        yield node_of(who, lab, "lpar1")


def test_the_modules_do_what_must_be_done_and_no_more(who, node):
    tasks = [
        {
            module if module == "command" else f"zkvm.vfio_ccw.{module}": options,
            "register": f"done{number}",
            "ignore_errors": isinstance(steps, str),
        }
        for number, (module, options, steps) in enumerate(STEPS)
    ]
    seen = [f"done{number}" for number, (_module, _options, steps) in enumerate(STEPS) if steps is not None]
    content = "{{ [" + ", ".join(seen) + "] | to_json }}"
    tasks += documentation(PROJECT / "plugins/modules/libvirt_nodedev.py", "EXAMPLES")
    write = {"copy": {"dest": str(who.home / "modules.json"), "content": content}, "delegate_to": "localhost"}
    play = who.home / "modules.yml"
    play.write_text(yaml.safe_dump([{"hosts": "lpar1", "gather_facts": False, "tasks": [*tasks, write]}]))
    done = who.playbook("-i", who.inventory("modules"), str(play))
    assert done.returncode == 0, done.stdout
    results = json.loads((who.home / "modules.json").read_text(encoding="utf-8"))
    for (module, options, steps), result in zip([one for one in STEPS if one[2] is not None], results, strict=True):
        if isinstance(steps, str):
            assert [one["id"] for one in result["refusals"]] == [steps], (module, options, result)
        else:
            assert [one["step"] for one in result["actions"]] == steps, (module, options, result)
            assert result["changed"] == bool(steps)
    by_steps = {tuple(one["step"] for one in result.get("actions", [])): result for result in results}
    (_first, second) = by_steps["attach-live", "attach-config"]["hostdevs"]
    assert second["live"] and second["config"] and second["devno"] == "fe.0.1235"
    assert by_steps[("attach-live",)]["restart_required"]  # a device that only the running guest has


def test_nothing_is_left(node):
    assert node.virsh("list", "--all", "--name").split() == []
    assert node.names("nodedev-list", "--cap", "mdev", "--all") == []

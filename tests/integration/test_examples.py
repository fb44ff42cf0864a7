# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of every module's documentation are run as they stand there, and nothing is left of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
MODULES = sorted(path for path in (PROJECT / "plugins/modules").glob("*.py"))
# of the others those for libvirt need one (test_libvirt.py), and these s390-tools (extensions/molecule/real_guest)
WITH_S390_TOOLS = ("chzdev", "dasd_format")
ON_A_HOST = [path for path in MODULES if not path.name.startswith("libvirt_") and path.stem not in WITH_S390_TOOLS]

LAB = """\
lab: examples
hosts:
  lpar1:
    devices:
      - {dasd: 0.0.7e52, chpids: [41], cylinders: 4, online: true}
      - {dasd: 0.0.1234, chpids: [41], cylinders: 2}
      - {dasd: 0.0.8000, chpids: [41], cylinders: 1}
      - {dasd: 0.0.8001, chpids: [41], cylinders: 1, online: true}
guests:
  linux01: {host: lpar1, kind: quick}
"""

# what an example takes for granted, and what takes it back
DISK = {"device": "0.0.7e52", "uuid": "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"}
GUEST = {"name": "linux01", "state": "present", "devices": [{"uuid": DISK["uuid"], "devno": "fe.0.1234"}]}
PLAIN = {"zkvm.vfio_ccw.ccw_device": {"device": "0.0.1234", "state": "offline"}}
AROUND: dict[str, tuple[list[Any], list[Any]]] = {
    "qemu_guest": (
        [
            {"zkvm.vfio_ccw.kernel_support": None},
            {"zkvm.vfio_ccw.passthrough": {"devices": [DISK]}},
            {"ansible.builtin.file": {"path": "/var/lib/guests", "state": "directory", "mode": "0755"}},
            {"ansible.builtin.copy": {"dest": "/var/lib/guests/linux01.qcow2", "content": "", "mode": "0600"}},
        ],
        [{"zkvm.vfio_ccw.passthrough": {"devices": [{**DISK, "state": "absent"}]}}],
    ),
    "migration_check": (
        [{"zkvm.vfio_ccw.qemu_guest": {**GUEST, "accel": "tcg"}}],
        [{"zkvm.vfio_ccw.qemu_guest": {"name": "linux01", "state": "absent"}}],
    ),
    "mdev": (
        [
            {"zkvm.vfio_ccw.kernel_support": None},
            {"zkvm.vfio_ccw.subchannel": {"devices": ["0.0.7e52"], "driver": "vfio_ccw"}},
        ],
        [{"zkvm.vfio_ccw.subchannel": {"devices": ["0.0.7e52"], "driver": "io_subchannel"}}],
    ),
    "subchannel": ([{"zkvm.vfio_ccw.kernel_support": None}], []),
    "passthrough": ([{"zkvm.vfio_ccw.kernel_support": None}], []),
    "dasd_mount": (
        [
            {"zkvm.vfio_ccw.ccw_device": {"device": "0.0.1234"}, "register": "disk"},
            {
                "ansible.builtin.command": {
                    "argv": ["mkfs.ext4", "-q", "{{ disk.devices[0].block_devices[0].partitions[0].path }}"]
                }
            },
        ],
        [PLAIN],
    ),
}


def documentation(path: Path, name: str) -> Any:
    """One of the texts that Ansible reads from a module, parsed."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            return yaml.safe_load(ast.literal_eval(node.value))
    raise AssertionError(f"{path} has no {name}")


@pytest.fixture(scope="module", name="lab")
def _lab(controller) -> Iterator[str]:
    definition = controller.home / "examples.yml"
    definition.write_text(LAB, encoding="utf-8")
    up = controller.ccwemu("up", str(definition))
    assert up.returncode == 0, up.stdout
    yield "examples"
    down = controller.ccwemu("down", "examples")
    assert down.returncode == 0, down.stdout


@pytest.mark.lab
@pytest.mark.parametrize("path", ON_A_HOST, ids=[path.stem for path in ON_A_HOST])
def test_the_examples_work(controller, lab, path):
    def state() -> str:
        files = "find /etc/driverctl.d /etc/vfio_ccw/guests -type f 2>/dev/null"
        seen = f"lscss; mdevctl list; {files}; lsdasd -a | cut -c1-20"
        return controller.ccwemu("exec", "--lab", lab, "lpar1", "--", "sh", "-c", seen).stdout

    before, (first, last) = state(), AROUND.get(path.stem, ([], []))
    tasks = first + documentation(path, "EXAMPLES") + last
    play = controller.home / "example.yml"
    play.write_text(yaml.safe_dump([{"hosts": "lpar1", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
    done = controller.playbook("-i", controller.inventory(lab), str(play))
    assert done.returncode == 0, done.stdout
    assert state() == before


@pytest.mark.parametrize("path", MODULES, ids=[path.stem for path in MODULES])
def test_every_module_is_in_the_action_group_and_has_samples(path):
    group = yaml.safe_load((PROJECT / "meta/runtime.yml").read_text(encoding="utf-8"))["action_groups"]["vfio_ccw"]
    assert path.stem in group
    returned = documentation(path, "RETURN")
    assert returned

    def samples(values: dict[str, Any]) -> bool:
        return all(
            "sample" in one
            or one["type"] == "bool"
            or ("contains" in one and samples(one["contains"]))
            or one["type"] in ("str", "int")
            for one in values.values()
        )

    assert samples(returned), returned

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which variables are misspelt ones of the roles, and which are somebody else's."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils._names import Doubt, doubts, known_variables

ROLES = Path(__file__).resolve().parents[4] / "roles"
KNOWN = known_variables(ROLES)

# found, the variable that was meant, whether that is sure
MISSPELT = [
    ("passthrough_devcies", "passthrough_devices", True),
    ("passthrough_device_", "passthrough_device", True),
    ("passthrough_persistant", "passthrough_persistent", True),
    ("passthrough_removes_rule", "passthrough_remove_rules", True),
    ("passtrough_devices", "passthrough_devices", True),
    ("passthru_device", "passthrough_device", True),
    ("guest_acel", "guest_accel", True),
    ("guest_cpu", "guest_cpus", True),
    ("guest_nmae", "guest_name", True),
    ("guest_device", "guest_devices", True),
    ("guest_extra_arg", "guest_extra_args", True),
    ("guests_memory", "guest_memory", True),
    ("guest_device_mount", "guest_device_mounts", True),
    ("guest_devices_timeout", "guest_device_timeout", True),
    ("kvm_host_tool", "kvm_host_tools", True),
    ("kvm_hosts_tools", "kvm_host_tools", True),
    # a variable of another role
    ("guest_devnos", "passthrough_devno", False),
    ("guest_format", "guest_device_format", False),
    ("kvm_host_persistent", "guest_device_persistent", False),
    ("passthrough_accel", "guest_accel", False),
]
OTHERS = [
    "guest_root", "guest_port", "guest_os", "guest_ip", "guest_disk", "guest_user", "guest_network", "guest_image",
    "passthrough_pci_slots", "kvm_host", "kvm_hosts", "kvm_host_address", "kvm_host_result", "guest_result",
    "guest_device_result", "passthrough_result", "devices", "host_name", "ansible_host", "libvirt_devices", "guests",
    "__guest_acel", "__guest_device_devices", "my_passthrough_devices",
    "test_devices", "target_guests", "move_devno", "report_dest",
]  # fmt: skip


@pytest.mark.parametrize(("found", "meant", "sure"), MISSPELT)
def test_a_misspelt_variable_is_found_with_what_was_meant(found, meant, sure):
    assert [(doubt.meant, doubt.sure) for doubt in doubts([found], KNOWN)] == [(meant, sure)]


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_somebody_elses_is_left_alone(name):
    assert doubts([name], KNOWN) == []


def test_no_known_variable_is_in_doubt():
    assert doubts([name for variables in KNOWN.values() for name in variables], KNOWN) == []


def test_a_doubt_is_the_role_s_whose_name_it_bears():
    assert [doubt.role for doubt in doubts(["guest_devnos", "passtrough_device", "guest_device_mount"], KNOWN)] == [
        "guest",
        "passthrough",
        "guest_device",
    ]


def test_a_doubt_says_what_was_found_and_what_to_do():
    assert str(Doubt("guest", "guest_acel", "guest_accel", True)) == (
        "The variable guest_acel is unknown; did you mean guest_accel? Correct the name, or choose another one if it "
        "is for something else."
    )


def test_what_the_roles_take_and_set_is_known():
    for path in ROLES.iterdir():
        specs = yaml.safe_load((path / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
        assert {option for entry in specs.values() for option in entry["options"]} <= KNOWN[path.name]
        for tasks in (path / "tasks").glob("*.yml"):
            for task in yaml.safe_load(tasks.read_text(encoding="utf-8")):
                facts = {name for name in task.get("ansible.builtin.set_fact", {}) if not name.startswith("__")}
                assert facts <= KNOWN[path.name], tasks

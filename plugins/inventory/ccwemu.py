# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes of a running ccwemu lab as an inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ccwemu
short_description: The hosts and guests of a ccwemu lab
version_added: 0.1.0
author: The zkvm.vfio_ccw maintainers (@zkvm)
description:
  - Lists the emulated hosts of a lab in the group C(kvm_hosts) and its guests in the group C(guests), each reached
    by the connection P(zkvm.vfio_ccw.ccwemu#connection), real guests by P(ansible.builtin.ssh#connection) through
    their port of this machine.
  - A guest is listed as soon as the lab is up, also when it is not running yet.
options:
  plugin:
    description: Name of this plugin.
    type: str
    required: true
    choices: [zkvm.vfio_ccw.ccwemu]
  lab:
    description: Name of the lab.
    type: str
    required: true
    env:
      - name: CCWEMU_LAB
  home:
    description: Directory under which labs are kept; see the connection plugin.
    type: path
    env:
      - name: CCWEMU_HOME
  python:
    description: Path of Python in the nodes.
    type: str
    default: /usr/bin/python3
  when_down:
    description:
      - What a lab that is not running means.
      - V(error) says so and how to start it; V(empty) gives the empty groups, for a playbook that is to start the lab.
    type: str
    choices: [error, empty]
    default: error
"""

EXAMPLES = r"""
# lab.ccwemu.yml
plugin: zkvm.vfio_ccw.ccwemu
lab: seed
"""

import typing as t

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils._ccwemu import LabStateError, read_nodes

GROUPS = {"host": "kvm_hosts", "guest": "guests"}

SSH_TIMEOUT = 60  # seconds; the processor of such a guest is emulated


class InventoryModule(BaseInventoryPlugin):
    """Inventory of a ccwemu lab, from the state file that its daemon keeps."""

    NAME = "zkvm.vfio_ccw.ccwemu"

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path)) and path.endswith(("ccwemu.yml", "ccwemu.yaml"))

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache=cache)
        self._read_config_data(path)
        lab = self.get_option("lab")
        for group in GROUPS.values():
            self.inventory.add_group(group)
        try:
            nodes = read_nodes(self.get_option("home"), lab)
        except LabStateError as exc:
            if self.get_option("when_down") == "empty":
                return
            raise AnsibleParserError(str(exc)) from None
        for name, node in nodes.items():
            self._add(lab, name, node)

    def _add(self, lab: str, name: str, node: dict[str, t.Any]) -> None:
        self.inventory.add_host(name, group=GROUPS[node["role"]])
        variables = self._by_ssh(node["ssh"]) if "ssh" in node else self._by_namespaces(lab)
        variables["ansible_python_interpreter"] = self.get_option("python")
        if node["role"] == "guest":
            variables["kvm_host"] = node["host"]
        for key, value in variables.items():
            self.inventory.set_variable(name, key, value)

    def _by_namespaces(self, lab: str) -> dict[str, t.Any]:
        return {
            "ansible_connection": "zkvm.vfio_ccw.ccwemu",
            "ansible_ccwemu_lab": lab,
            "ansible_ccwemu_home": self.get_option("home"),
        }

    @staticmethod
    def _by_ssh(access: dict[str, t.Any]) -> dict[str, t.Any]:
        return {
            "ansible_connection": "ansible.builtin.ssh",
            "ansible_host": access["address"],
            "ansible_port": access["port"],
            "ansible_user": access["user"],
            "ansible_ssh_private_key_file": access["key"],
            "ansible_ssh_common_args": " ".join(f"-o {option}" for option in access["options"]),
            "ansible_ssh_pipelining": True,
            "ansible_ssh_timeout": SSH_TIMEOUT,
        }

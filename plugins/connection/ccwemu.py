# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run tasks inside a node (a host or a guest) of a ccwemu lab."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ccwemu
short_description: Run tasks in an emulated s390x host or guest of a ccwemu lab
version_added: 0.1.0
author: The zkvm.vfio_ccw maintainers (@zkvm)
description:
  - Runs commands and copies files in a node of a lab that C(ccwemu up) has started, by entering the node's namespaces.
  - Works for the user who started the lab, root or not; nothing needs to be installed in the node but Python.
requirements:
  - nsenter (util-linux) on the controller
options:
  remote_addr:
    description: Name of the node in the lab.
    type: str
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_host
      - name: ansible_ccwemu_node
  lab:
    description: Name of the lab.
    type: str
    required: true
    vars:
      - name: ansible_ccwemu_lab
    env:
      - name: CCWEMU_LAB
  home:
    description:
      - Directory under which labs are kept, the same as in the environment of C(ccwemu up).
      - Default is C(ccwemu) below C($XDG_STATE_HOME), which is C(~/.local/state) when unset.
    type: path
    vars:
      - name: ansible_ccwemu_home
    env:
      - name: CCWEMU_HOME
  nsenter:
    description: The nsenter command of the controller.
    type: str
    default: nsenter
    vars:
      - name: ansible_ccwemu_nsenter
extends_documentation_fragment:
  - ansible.builtin.connection_pipelining
"""

import os
import shutil
import subprocess
import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils._ccwemu import LabStateError, is_running, read_nodes

display = Display()

NAMESPACES = ("--user", "--mount", "--pid", "--uts", "--ipc", "--net")
NODE_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "LANG": "C.UTF-8",
    "SYSTEMD_DEVICE_VERIFY_SYSFS": "0",
}
COPY_BLOCK = "65536"


def run_with_pipes(argv: list[str], data: bytes, owner: int) -> tuple[int, bytes, bytes]:
    """Run a command whose standard streams are pipes of ``owner``: exit status, output, errors.

    A pipe has an owner too, and without this the node's root could not open its own /dev/stderr.
    """
    pipes = [os.pipe() for _stream in range(3)]
    if owner != os.getuid():
        for end, _other in pipes:
            os.fchown(end, owner, owner)
    inner = [pipes[0][0], pipes[1][1], pipes[2][1]]
    process = subprocess.Popen(argv, env=NODE_ENVIRONMENT, stdin=inner[0], stdout=inner[1], stderr=inner[2])
    for end in inner:
        os.close(end)
    process.stdin = os.fdopen(pipes[0][1], "wb")
    process.stdout, process.stderr = (os.fdopen(pipe[0], "rb") for pipe in pipes[1:])
    with process:
        output, errors = process.communicate(data)
    return process.returncode, output, errors


class Connection(ConnectionBase):
    """Connection to a node of a ccwemu lab."""

    transport = "zkvm.vfio_ccw.ccwemu"
    has_pipelining = True
    default_user = "root"

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        self._connected: bool = False
        self._enter: list[str] = []
        self._node_root = os.getuid()

    def _connect(self) -> Connection:
        if self._connected:
            return self
        node = self._find_node()
        nsenter = shutil.which(self.get_option("nsenter"))
        if nsenter is None:
            raise AnsibleError(
                f"command {self.get_option('nsenter')!r} not found on the controller; install util-linux"
            )
        # a node of an ordinary user maps one id, and there is nothing to change to
        credentials = ["--preserve-credentials"] if node.get("id_count", 1) == 1 else []
        self._enter = [nsenter, "--target", str(node["pid"]), *NAMESPACES, *credentials, "--wd=/", "--"]
        self._node_root = node.get("uid", os.getuid())
        self._connected = True
        return self

    def _find_node(self) -> dict[str, t.Any]:
        lab, name = self.get_option("lab"), self.get_option("remote_addr")
        try:
            nodes = read_nodes(self.get_option("home"), lab)
        except LabStateError as exc:
            raise AnsibleConnectionFailure(f"{name}: {exc}") from None
        if name not in nodes:
            raise AnsibleConnectionFailure(
                f"{name}: lab {lab!r} has no such node; it has: {', '.join(sorted(nodes)) or 'none'}"
            )
        node = nodes[name]
        if "ssh" in node:
            access = node["ssh"]
            raise AnsibleConnectionFailure(
                f"{name}: is a real guest of lab {lab!r} and reached by the connection ansible.builtin.ssh, "
                f"{access['address']} port {access['port']}; the inventory plugin zkvm.vfio_ccw.ccwemu says so"
            )
        if not is_running(node):
            raise AnsibleConnectionFailure(f"{name}: {self._why_down(lab, node)}")
        return node

    @staticmethod
    def _why_down(lab: str, node: dict[str, t.Any]) -> str:
        if node.get("role") == "guest":
            return (
                f"the guest is not running in lab {lab!r}; start it on its host {node.get('host')} "
                "(module zkvm.vfio_ccw.qemu_guest, state: started)"
            )
        return f"lab {lab!r} is dead (its process {node.get('pid')} is gone); run: ccwemu down {lab}; ccwemu up LAB.yml"

    def _run(self, argv: list[str], **kwargs: t.Any) -> subprocess.CompletedProcess[bytes]:
        self._connect()
        display.vvv(f"EXEC {argv!r}", host=self.get_option("remote_addr"))
        return subprocess.run(
            [*self._enter, *argv], env=NODE_ENVIRONMENT, stderr=subprocess.PIPE, check=False, **kwargs
        )

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        self._connect()
        display.vvv(f"EXEC {cmd}", host=self.get_option("remote_addr"))
        return run_with_pipes([*self._enter, "/bin/sh", "-c", cmd], in_data or b"", self._node_root)

    def put_file(self, in_path: str, out_path: str) -> None:
        super().put_file(in_path, out_path)
        if not os.path.exists(in_path):
            raise AnsibleFileNotFound(f"file or module does not exist: {in_path}")
        with open(in_path, "rb") as source:
            done = self._run(
                ["dd", f"of={out_path}", f"bs={COPY_BLOCK}", "status=none"], stdin=source, stdout=subprocess.DEVNULL
            )
        if done.returncode != 0:
            raise AnsibleError(f"cannot copy {in_path} to {out_path}: {done.stderr.decode(errors='replace').strip()}")

    def fetch_file(self, in_path: str, out_path: str) -> None:
        super().fetch_file(in_path, out_path)
        with open(out_path, "wb") as target:
            done = self._run(
                ["dd", f"if={in_path}", f"bs={COPY_BLOCK}", "status=none"], stdin=subprocess.DEVNULL, stdout=target
            )
        if done.returncode != 0:
            raise AnsibleError(f"cannot fetch {in_path} to {out_path}: {done.stderr.decode(errors='replace').strip()}")

    def reset(self) -> None:
        """Look the node up anew at the next use: a guest that was started again has another process."""
        self.close()

    def close(self) -> None:
        self._connected = False
        self._enter = []

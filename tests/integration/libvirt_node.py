# SPDX-License-Identifier: GPL-3.0-or-later
"""virsh on an emulated host, and what it is given there."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

UUIDS = [f"6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb92{number}" for number in range(2)]
MDEVS = [f"mdev_{uuid.replace('-', '_')}_0_0_16c{sch}" for uuid, sch in zip(UUIDS, "ab", strict=True)]

NODE_DEVICE = """\
<device>
  <parent>css_0_0_{subchannel}</parent>
  <capability type='mdev'><type id='vfio_ccw-io'/><uuid>{uuid}</uuid></capability>
</device>
"""

HOSTDEV = """\
<hostdev mode='subsystem' type='mdev' model='vfio-ccw'>
  <source><address uuid='{uuid}'/></source>
  <address type='ccw' cssid='0xfe' ssid='0x0' devno='{devno}'/>
</hostdev>
"""

DOMAIN = """\
<domain type='qemu'>
  <name>linux01</name>
  <memory unit='MiB'>256</memory>
  <os><type arch='s390x' machine='s390-ccw-virtio'>hvm</type></os>
  <devices>{hostdev}</devices>
</domain>
"""


class Node:
    """A host of a lab: commands, and virsh."""

    def __init__(self, execute: Callable[..., subprocess.CompletedProcess[str]]) -> None:
        """``execute(*words)`` runs a command on the host, its error stream joined."""
        self.execute = execute

    def run(self, *words: str) -> str:
        done = self.execute(*words)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}"
        return done.stdout

    def put(self, path: str, text: str) -> str:
        self.run("sh", "-c", 'printf %s "$1" > "$2"', "sh", text, path)
        return path

    def virsh(self, *words: str) -> str:
        return self.run("virsh", "--quiet", *words)

    def refused(self, *words: str) -> str:
        done = self.execute("virsh", "--quiet", *words)
        assert done.returncode == 1, done.stdout
        return done.stdout

    def names(self, *words: str) -> list[str]:
        return self.virsh(*words).split()

    def guest_devices(self) -> set[str]:
        """The numbers of linux01's vfio-ccw devices, as its QEMU has them."""
        tree = self.virsh("qemu-monitor-command", "linux01", "--hmp", "info qtree")
        return set(re.findall(r'dev: vfio-ccw,.*?\bdevno = "([0-9a-f.]+)"', tree, re.DOTALL))


def pass_through(node: Node) -> None:
    """IBM, "Configuring VFIO CCW" for KVM hosts: driverctl, nodedev-define, nodedev-start, nodedev-autostart."""
    node.run("chccwdev", "-d", "0.0.7e52")
    for uuid, subchannel, name in zip(UUIDS, ("16ca", "16cb"), MDEVS, strict=True):
        node.run("driverctl", "-b", "css", "set-override", f"0.0.{subchannel}", "vfio_ccw")
        node.virsh("nodedev-define", node.put("/tmp/mdev.xml", NODE_DEVICE.format(uuid=uuid, subchannel=subchannel)))
        node.virsh("nodedev-start", name)
        node.virsh("nodedev-autostart", name)

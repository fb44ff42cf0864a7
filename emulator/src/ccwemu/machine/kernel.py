# SPDX-License-Identifier: GPL-2.0-or-later
"""What every part of the emulated kernel shares: its trees, its lock, its log, its events, its work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from ccwemu.machine import klog
from ccwemu.machine.klog import KernelLog
from ccwemu.machine.lock import MachineLock
from ccwemu.machine.tree import Attribute, Directory
from ccwemu.machine.uevent import UeventLog
from ccwemu.machine.versions import KernelFacts, facts
from ccwemu.machine.work import WorkQueue


class Kernel:
    """The context. All changes happen under ``lock``; who waits, waits on it."""

    def __init__(self, release: str, threaded: bool = True) -> None:
        self.release = release
        self.facts: KernelFacts = facts(release)
        self.lock = MachineLock()
        self.log = KernelLog()
        self.uevents = UeventLog()
        self.work = WorkQueue(self.lock, lambda text: self.log.append(text, klog.ERR), threaded)
        self.module_users: Counter[str] = Counter()
        """Holds on modules besides those of dependent modules: online disks, opened devices."""
        self.sysfs = Directory()
        self.proc = Directory("", 0o555)
        self.dev = Directory()
        for path in ("block", "bus", "class", "dev/block", "dev/char", "devices/virtual", "devices/system", "firmware"):
            self.directory(path)
        for path in ("fs", "hypervisor", "kernel/iommu_groups", "kernel/mm", "module"):
            self.directory(path)
        kernel = self.directory("kernel")
        kernel.add(Attribute("uevent_seqnum", 0o444, lambda: f"{self.uevents.seqnum}\n"))
        kernel.add(Attribute("uevent_helper", 0o644, lambda: "\n", lambda _: None))

    def directory(self, path: str) -> Directory:
        """The directory of /sys at a path like "class/vfio", made where it is not there."""
        return ensure(self.sysfs, path)


def ensure(root: Directory, path: str) -> Directory:
    """A directory below a root, with those above it, made where they are not there."""
    node = root
    for part in path.strip("/").split("/"):
        if part not in node:
            node.add(Directory(part))
        node = node.directory(part)
    return node


def text_attribute(name: str, text: str | Callable[[], str], mode: int = 0o444) -> Attribute:
    """A read-only attribute that ends its value with a newline."""
    if isinstance(text, str):
        return Attribute(name, mode, f"{text}\n")
    return Attribute(name, mode, lambda: f"{text()}\n")

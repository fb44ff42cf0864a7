# SPDX-License-Identifier: GPL-2.0-or-later
"""/sys/devices/system/cpu: which processors there are, and where. None can be taken offline.

Source: Linux drivers/base/{cpu,topology}.c, arch/s390/kernel/topology.c; listed on a Debian 6.1.0-50-s390x.
"""

from __future__ import annotations

from ccwemu.machine.kernel import Kernel, text_attribute

KERNEL_MAX = 255
"""The highest number that a processor can have (CONFIG_NR_CPUS less one)."""

_GROUPS = ("core_cpus", "package_cpus", "core_siblings", "thread_siblings", "book_siblings", "drawer_siblings")
"""Who shares something with a processor; each is a core of its own in a socket of its own, as /proc/cpuinfo says."""


def install(kernel: Kernel, count: int) -> None:
    """Make the directories of ``count`` processors."""
    every = f"0-{count - 1}" if count > 1 else "0"
    system = kernel.directory("devices/system/cpu")
    for name, text in (
        ("online", every), ("possible", every), ("present", every), ("offline", ""), ("isolated", ""),
        ("kernel_max", str(KERNEL_MAX)),
    ):  # fmt: skip
        system.add(text_attribute(name, text))
    for number in range(count):
        _install_topology(kernel, number, count)


def _install_topology(kernel: Kernel, number: int, count: int) -> None:
    topology = kernel.directory(f"devices/system/cpu/cpu{number}/topology")
    for name, identity in (("core_id", number), ("physical_package_id", number), ("book_id", 0), ("drawer_id", 0)):
        topology.add(text_attribute(name, str(identity)))
    for name in _GROUPS:
        shared = range(count) if name.startswith(("book", "drawer")) else range(number, number + 1)
        mask = sum(1 << each for each in shared)
        listed = f"{shared[0]}-{shared[-1]}" if len(shared) > 1 else str(shared[0])
        topology.add(text_attribute(name, f"{mask:x}"))
        topology.add(text_attribute(f"{name}_list", listed))

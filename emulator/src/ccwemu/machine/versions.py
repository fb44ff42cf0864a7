# SPDX-License-Identifier: GPL-2.0-or-later
"""What differs between kernel versions: one table, so that nothing else asks for a version.

Source: comparison of the trees 4.15, 5.4, 5.10, 5.15, 6.1, 6.8, 6.12 (drivers/s390/cio, drivers/vfio, drivers/base).
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any


@dataclass(frozen=True)
class KernelFacts:
    """The behaviour of one kernel version. The values given here are those of the oldest, 4.12."""

    bound_errno: int = errno.ENODEV
    """``bind`` of a device that is bound already."""
    driver_override: bool = False
    dev_busid: bool = False
    rescan: bool = False
    power_directories: bool = True
    """Devices have a ``power/`` directory (arch/s390 took kernel/power/Kconfig in)."""
    late_css_add: bool = True
    """The "add" uevent of an I/O subchannel waits until its ccw device was recognised."""
    mdev_driver: str = "vfio_mdev"
    mdev_driver_module: str = "vfio_mdev"
    """Who brings that driver: vfio_mdev (a module of its own), mdev, or vfio_ccw."""
    mdev_rebind: bool = True
    """An unbound mdev can be bound again (later mdev_match() matches nothing)."""
    no_instance_errno: int = errno.EPERM
    request_irq: bool = False
    vfio_dev: bool = False
    """<mdev>/vfio-dev/vfioN and the class vfio-dev."""
    vfio_dev_cdev: bool = False
    """… with a ``dev`` attribute, where CONFIG_VFIO_DEVICE_CDEV is set."""
    group_name: bool = False
    group_type_mode: int = 0o444
    """The mode of <iommu group>/type: its default domain can be changed later."""
    parent_directory: bool = False
    """<subchannel>/parent while bound to vfio_ccw."""
    purge_without_device: bool = False
    """"purge" takes subchannels without a ccw device too (in general: no driver bound)."""
    purge_takes_vfio: bool = False
    """… and, by a confusion of types, one bound to vfio_ccw that has no mediated device."""
    vfio_ccw_needs_symbols: tuple[str, ...] = ("CONFIG_S390_CCW_IOMMU", "CONFIG_VFIO_MDEV")
    """What CONFIG_VFIO_CCW depends on, besides CONFIG_VFIO."""
    mdev_needs_vfio: bool = False
    """The module mdev uses symbols of vfio."""
    module_suffix: str = ".ko"


CHANGES: tuple[tuple[tuple[int, int], Mapping[str, Any]], ...] = (
    ((5, 3), {"driver_override": True}),
    ((5, 10), {"dev_busid": True, "power_directories": False}),
    (
        (5, 15),
        {
            "bound_errno": errno.EBUSY,
            "group_type_mode": 0o644,
            "rescan": True,
            "mdev_driver_module": "mdev",
            "mdev_needs_vfio": True,
            "mdev_rebind": False,
            "request_irq": True,
            "purge_without_device": True,
            "purge_takes_vfio": True,
        },
    ),
    ((5, 16), {"mdev_driver": "vfio_ccw_mdev", "mdev_driver_module": "vfio_ccw", "mdev_needs_vfio": False}),
    ((5, 17), {"late_css_add": False}),
    ((6, 1), {"no_instance_errno": errno.EUSERS, "vfio_dev": True, "group_name": True}),
    ((6, 2), {"parent_directory": True, "vfio_ccw_needs_symbols": ("CONFIG_VFIO_MDEV",)}),
    ((6, 6), {"vfio_dev_cdev": True}),
    ((6, 12), {"purge_takes_vfio": False, "module_suffix": ".ko.xz"}),
)
"""(first version, what is different from there on). The first release that has a change is known for some only by
its date; where the trees alone are known, the older of the possible releases stands here."""

OLDEST = (4, 12)


def parse_release(release: str) -> tuple[int, int]:
    """The version of a kernel release: "6.1.0-29-s390x" → (6, 1). Raises ValueError."""
    match = re.match(r"^(\d+)\.(\d+)", release)
    if match is None:
        raise ValueError(f"kernel release {release!r}: must begin with a version like 6.1")
    version = int(match[1]), int(match[2])
    if version < OLDEST:
        raise ValueError(f"kernel release {release!r}: vfio_ccw exists from Linux 4.12 on; choose a later kernel")
    return version


def facts(release: str) -> KernelFacts:
    """The behaviour of a kernel, by its release. Raises ValueError."""
    version = parse_release(release)
    known = {field.name for field in fields(KernelFacts)}
    behaviour = KernelFacts()
    for since, change in CHANGES:
        assert change.keys() <= known
        if version >= since:
            behaviour = replace(behaviour, **change)
    return behaviour

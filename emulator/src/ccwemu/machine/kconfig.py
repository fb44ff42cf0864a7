# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's configuration: defaults of an s390x kernel with vfio_ccw, over which a machine sets its own.

Source: Linux arch/s390/Kconfig, drivers/s390/block/Kconfig, drivers/vfio/Kconfig and below, drivers/virtio/Kconfig.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping

from ccwemu.machine.versions import facts, parse_release

DEFAULTS: tuple[tuple[str, str], ...] = (
    ("CONFIG_64BIT", "y"),
    ("CONFIG_S390", "y"),
    ("CONFIG_SMP", "y"),
    ("CONFIG_MODULES", "y"),
    ("CONFIG_MODULE_UNLOAD", "y"),
    ("CONFIG_IKCONFIG", "y"),
    ("CONFIG_IKCONFIG_PROC", "y"),
    ("CONFIG_SYSFS", "y"),
    ("CONFIG_DEVTMPFS", "y"),
    ("CONFIG_KVM", "m"),
    ("CONFIG_QDIO", "m"),
    ("CONFIG_CCW", "y"),
    ("CONFIG_CCWGROUP", "m"),
    ("CONFIG_CHSC_SCH", "m"),
    ("CONFIG_SCM_BUS", "y"),
    ("CONFIG_EADM_SCH", "m"),
    ("CONFIG_IOMMU_API", "y"),
    ("CONFIG_IOMMU_SUPPORT", "y"),
    ("CONFIG_S390_CCW_IOMMU", "y"),
    ("CONFIG_VFIO", "m"),
    ("CONFIG_VFIO_IOMMU_TYPE1", "m"),
    ("CONFIG_VFIO_DEVICE_CDEV", "n"),
    ("CONFIG_VFIO_MDEV", "m"),
    ("CONFIG_VFIO_MDEV_DEVICE", "m"),
    ("CONFIG_VFIO_CCW", "m"),
    ("CONFIG_DASD", "m"),
    ("CONFIG_DASD_PROFILE", "y"),
    ("CONFIG_DASD_ECKD", "m"),
    ("CONFIG_DASD_EER", "y"),
    ("CONFIG_TN3270", "y"),
    ("CONFIG_CTCM", "m"),
    ("CONFIG_VIRTIO", "y"),
    ("CONFIG_S390_GUEST", "y"),
    ("CONFIG_VIRTIO_BLK", "y"),
    ("CONFIG_VIRTIO_NET", "y"),
    ("CONFIG_VIRTIO_BALLOON", "y"),
    ("CONFIG_HW_RANDOM_VIRTIO", "y"),
)

DEPENDS: dict[str, tuple[str, ...]] = {
    "CONFIG_VFIO_IOMMU_TYPE1": ("CONFIG_VFIO",),
    "CONFIG_VFIO_DEVICE_CDEV": ("CONFIG_VFIO",),
    "CONFIG_VFIO_MDEV": ("CONFIG_VFIO",),
    "CONFIG_VFIO_MDEV_DEVICE": ("CONFIG_VFIO_MDEV",),
    "CONFIG_DASD_ECKD": ("CONFIG_DASD",),
    "CONFIG_DASD_PROFILE": ("CONFIG_DASD",),
    "CONFIG_DASD_EER": ("CONFIG_DASD",),
    "CONFIG_EADM_SCH": ("CONFIG_SCM_BUS",),
    "CONFIG_CTCM": ("CONFIG_CCW", "CONFIG_CCWGROUP"),
    "CONFIG_IKCONFIG_PROC": ("CONFIG_IKCONFIG",),
    "CONFIG_VIRTIO_BLK": ("CONFIG_VIRTIO",),
    "CONFIG_VIRTIO_NET": ("CONFIG_VIRTIO",),
    "CONFIG_VIRTIO_BALLOON": ("CONFIG_VIRTIO",),
    "CONFIG_HW_RANDOM_VIRTIO": ("CONFIG_VIRTIO",),
}
"""A symbol is not asked for (absent from the file) where one of these is not set."""

LIFETIME: dict[str, tuple[tuple[int, int] | None, tuple[int, int] | None]] = {
    "CONFIG_S390_CCW_IOMMU": (None, (6, 2)),
    "CONFIG_VFIO_MDEV_DEVICE": (None, (5, 15)),
    "CONFIG_VFIO_DEVICE_CDEV": ((6, 6), None),
}
"""(first version that has the symbol, first that has it no more)"""


class KernelConfig:
    """The configuration of one kernel: what each symbol is set to."""

    def __init__(self, release: str, own: Mapping[str, str]) -> None:
        self.release = release
        self._values = _resolve(release, own)

    def get(self, symbol: str) -> str:
        """What it is set to: "y", "m" or a text; "n" where it is not set or not there."""
        return self._values.get(symbol, "n")

    def text(self) -> str:
        """The .config file."""
        title = f"# Linux/s390 {self.release} Kernel Configuration"
        head = f"#\n# Automatically generated file; DO NOT EDIT.\n{title}\n#\n"
        lines = (f"# {key} is not set" if value == "n" else f"{key}={value}" for key, value in self._values.items())
        return head + "".join(f"{line}\n" for line in lines)

    def gzip(self) -> bytes:
        """/proc/config.gz."""
        return gzip.compress(self.text().encode(), mtime=0)


def _exists(symbol: str, version: tuple[int, int]) -> bool:
    first, end = LIFETIME.get(symbol, (None, None))
    return (first is None or version >= first) and (end is None or version < end)


def _resolve(release: str, own: Mapping[str, str]) -> dict[str, str]:
    """Defaults, the machine's own, then what depends on something that is not set goes."""
    version = parse_release(release)
    wanted = dict(DEFAULTS) | dict(own)
    depends = DEPENDS | {"CONFIG_VFIO_CCW": ("CONFIG_VFIO", *facts(release).vfio_ccw_needs_symbols)}
    values: dict[str, str] = {}
    for symbol, value in wanted.items():
        if not _exists(symbol, version):
            continue
        if any(wanted.get(other, "n") == "n" or not _exists(other, version) for other in depends.get(symbol, ())):
            continue
        values[symbol] = value
    return values

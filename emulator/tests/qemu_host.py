# SPDX-License-Identifier: GPL-2.0-or-later
"""What QEMU reads on a host to pass a device through, as plain files below a directory."""

from __future__ import annotations

import os
from pathlib import Path

UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"


def make_host(root: Path) -> Path:
    """Subchannel 0.0.16ca with one path, 41, and a mediated device in IOMMU group 7; its directory."""
    mdev = root / f"sys/devices/css0/0.0.16ca/{UUID}"
    mdev.mkdir(parents=True)
    (root / "sys/bus/css/devices").mkdir(parents=True)
    os.symlink("../../../devices/css0/0.0.16ca", root / "sys/bus/css/devices/0.0.16ca")
    (mdev.parent / "pimpampom").write_text("80 80 ff\n")
    (mdev.parent / "chpids").write_text("41 00 00 00 00 00 00 00 \n")
    (root / "sys/devices/css0/chp0.41").mkdir()
    (root / "sys/devices/css0/chp0.41/type").write_text("1b\n")
    (root / "sys/kernel/iommu_groups/7").mkdir(parents=True)
    os.symlink("../../../../kernel/iommu_groups/7", mdev / "iommu_group")
    (root / "dev/vfio").mkdir(parents=True)
    for name in ("7", "vfio"):
        (root / "dev/vfio" / name).write_text("")
    return mdev

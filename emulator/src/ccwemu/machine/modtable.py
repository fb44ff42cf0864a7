# SPDX-License-Identifier: GPL-2.0-or-later
"""The modules that an emulated kernel can have: where they lie, what they need, which symbol builds them.

Sizes are those of a 6.1 kernel (real ones for dasd, vfio, mdev and vfio_ccw).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ccwemu.machine.kconfig import KernelConfig
from ccwemu.machine.versions import KernelFacts


@dataclass(frozen=True)
class ModuleInfo:
    """``depends`` are modules whose symbols it uses; ``post`` a soft dependency, loaded after it by modprobe."""

    name: str
    path: str
    """Below /lib/modules/RELEASE, without suffix."""
    symbol: str
    size: int
    description: str
    depends: tuple[str, ...] = ()
    post: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    """Names and default values of what /sys/module/<m>/parameters shows."""


def _vfio_ccw_needs(facts: KernelFacts) -> tuple[str, ...]:
    return ("mdev", "vfio")


def _mdev_needs(facts: KernelFacts) -> tuple[str, ...]:
    return ("vfio",) if facts.mdev_needs_vfio else ()


Row = tuple[ModuleInfo, Callable[[KernelFacts], tuple[str, ...]] | None]

_DASD_IDS = ("3990:3390", "2105:3390", "3880:3380", "3990:3380", "2105:3380", "9343:9345", "2107:3390", "2107:3380")

ROWS: tuple[Row, ...] = (
    (
        ModuleInfo(
            "dasd_mod", "kernel/drivers/s390/block/dasd_mod", "CONFIG_DASD", 106496,
            "Linux on S/390 DASD device driver", parameters=(("dasd", ""), ("eer_pages", "5")),
        ),
        None,
    ),
    (
        ModuleInfo(
            "dasd_eckd_mod", "kernel/drivers/s390/block/dasd_eckd_mod", "CONFIG_DASD_ECKD", 106496,
            "S/390 ECKD DASD disk driver", depends=("dasd_mod",),
            aliases=tuple("ccw:t{}m*dt{}dm*".format(*ids.split(":")) for ids in _DASD_IDS),
        ),
        None,
    ),
    (
        ModuleInfo(
            "vfio", "kernel/drivers/vfio/vfio", "CONFIG_VFIO", 28672, "VFIO - User Level meta-driver",
            post=("vfio_iommu_type1",), aliases=("devname:vfio/vfio", "char-major-10-196"),
        ),
        None,
    ),
    (
        ModuleInfo(
            "vfio_iommu_type1", "kernel/drivers/vfio/vfio_iommu_type1", "CONFIG_VFIO_IOMMU_TYPE1", 36864,
            "Type1 IOMMU driver for VFIO", depends=("vfio",),
            parameters=(("allow_unsafe_interrupts", "N"), ("disable_hugepages", "N"), ("dma_entry_limit", "65535")),
        ),
        None,
    ),
    (
        ModuleInfo("mdev", "kernel/drivers/vfio/mdev/mdev", "CONFIG_VFIO_MDEV", 20480, "Mediated device Core Driver"),
        _mdev_needs,
    ),
    (
        ModuleInfo(
            "vfio_mdev", "kernel/drivers/vfio/mdev/vfio_mdev", "CONFIG_VFIO_MDEV_DEVICE", 16384,
            "VFIO based driver for Mediated device", depends=("mdev", "vfio"),
        ),
        None,
    ),
    (
        ModuleInfo(
            "vfio_ccw", "kernel/drivers/s390/cio/vfio_ccw", "CONFIG_VFIO_CCW", 32768,
            "VFIO based Subchannel device driver", aliases=("css:t0",),
        ),
        _vfio_ccw_needs,
    ),
    (
        ModuleInfo(
            "chsc_sch", "kernel/drivers/s390/cio/chsc_sch", "CONFIG_CHSC_SCH", 20480,
            "driver for s390 chsc subchannels", aliases=("css:t1",),
        ),
        None,
    ),
    (
        ModuleInfo(
            "eadm_sch", "kernel/drivers/s390/cio/eadm_sch", "CONFIG_EADM_SCH", 16384,
            "driver for s390 eadm subchannels", aliases=("css:t3",),
        ),
        None,
    ),
    (ModuleInfo("ccwgroup", "kernel/drivers/s390/cio/ccwgroup", "CONFIG_CCWGROUP", 20480, ""), None),
    (
        ModuleInfo("fsm", "kernel/drivers/s390/net/fsm", "CONFIG_CTCM", 16384, "Finite state machine helper functions"),
        None,
    ),
    (
        ModuleInfo(
            "ctcm", "kernel/drivers/s390/net/ctcm", "CONFIG_CTCM", 98304,
            "Network driver for S/390 CTC + CTCMPC (SNA)", depends=("ccwgroup", "fsm"),
            aliases=tuple(f"ccw:t3088m{model}dt*dm*" for model in ("08", "1E", "1F")),
        ),
        None,
    ),
    (
        ModuleInfo(
            "virtio_blk", "kernel/drivers/block/virtio_blk", "CONFIG_VIRTIO_BLK", 28672, "Virtio block driver",
            aliases=("virtio:d00000002v*",),
        ),
        None,
    ),
    (
        ModuleInfo(
            "virtio_net", "kernel/drivers/net/virtio_net", "CONFIG_VIRTIO_NET", 81920, "Virtio network driver",
            aliases=("virtio:d00000001v*",),
        ),
        None,
    ),
    (
        ModuleInfo(
            "virtio_rng", "kernel/drivers/char/hw_random/virtio-rng", "CONFIG_HW_RANDOM_VIRTIO", 16384,
            "Virtio random number driver", aliases=("virtio:d00000004v*",),
        ),
        None,
    ),
    (
        ModuleInfo(
            "virtio_balloon", "kernel/drivers/virtio/virtio_balloon", "CONFIG_VIRTIO_BALLOON", 28672,
            "Virtio balloon driver", aliases=("virtio:d00000005v*",),
        ),
        None,
    ),
)  # fmt: skip


def module_table(config: KernelConfig, facts: KernelFacts) -> tuple[dict[str, ModuleInfo], dict[str, ModuleInfo]]:
    """(modules that can be loaded, what is built in) of a kernel, by name."""
    modules: dict[str, ModuleInfo] = {}
    builtin: dict[str, ModuleInfo] = {}
    for row, needs in ROWS:
        info = row if needs is None else replace(row, depends=row.depends + needs(facts))
        value = config.get(info.symbol)
        if value == "m":
            modules[info.name] = info
        elif value == "y":
            builtin[info.name] = info
    return modules, builtin

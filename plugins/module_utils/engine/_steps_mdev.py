# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps on mediated devices: created on a subchannel, and removed."""

from __future__ import annotations

from .._busid import BusId
from .._host import Host
from .._sysfs import CSS_DEVICES, MDEV_DEVICES
from ..host._model import MDEV_TYPE
from ._step import DMESG, KINDS, Kind, Step, paired, value, write


def _ready(host: Host, step: Step) -> bool:
    """Whether it is on this subchannel and has its driver, which gives it its IOMMU group."""
    return host.is_link(f"{CSS_DEVICES}/{step.subject}/{step.value}/driver")


def _remove(host: Host, step: Step) -> None:
    host.write_bounded(step.path, step.written)


def _gone(host: Host, step: Step) -> bool:
    if host.exists(f"{MDEV_DEVICES}/{step.value}"):
        return False
    # the directory goes first, while a user still holds the device: the free instance is what tells, unless another
    # mediated device has it
    path = f"{CSS_DEVICES}/{step.subject}"
    free = host.get(f"{path}/mdev_supported_types/{MDEV_TYPE}/available_instances", "1") != "0"
    return free or any(host.exists(f"{MDEV_DEVICES}/{name}") for name in host.names(path))


KINDS.update(
    {
        "create-mdev": Kind(
            path=lambda step: f"{CSS_DEVICES}/{step.subject}/mdev_supported_types/{MDEV_TYPE}/create",
            written=value,
            text=lambda step: f"create mediated device {step.value} on subchannel {step.subject}",
            run=write,
            holds=_ready,
            hint="The mediated device needs a driver: on kernels up to 5.14 module vfio_mdev must be loaded before; "
            + DMESG,
            shows=frozenset({"bind-subchannel"}),
        ),
        "remove-mdev": Kind(
            path=lambda step: f"{MDEV_DEVICES}/{step.value}/remove",
            written=lambda step: "1",
            text=lambda step: f"remove mediated device {step.value}",
            run=_remove,
            holds=_gone,
            hint="A guest holds the device. It was asked to let go; stop the guest, the kernel then finishes "
            "the removal",
        ),
    }
)


def create_mdev(device: BusId, subchannel: BusId, uuid: str) -> Step:
    step = Step("create-mdev", device, str(subchannel), uuid)
    return paired(step, Step("remove-mdev", device, str(subchannel), uuid))


def remove_mdev(device: BusId, subchannel: BusId, uuid: str) -> Step:
    step = Step("remove-mdev", device, str(subchannel), uuid)
    return paired(step, Step("create-mdev", device, str(subchannel), uuid))

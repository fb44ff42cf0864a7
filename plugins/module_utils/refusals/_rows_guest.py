# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the table of refusals: why a guest does not get a mediated device now. Whoever runs the guest asks them."""

from __future__ import annotations

from dataclasses import dataclass

from .._host import Host
from .._sysfs import MDEV_DEVICES
from ..host._buses import group_in_use
from ._row import RowOf, say


@dataclass(frozen=True)
class SeenMdev:
    """A mediated device on the host. ``group``: its IOMMU group, "" without a driver; ``in_use``: a QEMU has it."""

    exists: bool = False
    group: str = ""
    in_use: bool = False


def look(host: Host, uuid: str) -> SeenMdev:
    path = f"{MDEV_DEVICES}/{uuid}"
    if not host.exists(path):
        return SeenMdev()
    group = host.link_name(f"{path}/iommu_group")
    return SeenMdev(True, group, group_in_use(host, group))


@dataclass(frozen=True)
class MdevCase:
    """A mediated device that a guest is to have."""

    uuid: str
    mdev: SeenMdev
    opens: bool = True
    """Whether a QEMU is to open it now: the guest is started with it, or gets it while it runs."""
    planned: bool = False
    """Whether one that is not there may be made by a task before this one (check mode)."""


ROWS: tuple[RowOf[MdevCase], ...] = (
    RowOf(
        id="no-mdev",
        when="A guest is to be started with, or to get while it runs, a UUID that no mediated device of the host has",
        condition=lambda case: case.opens and not case.mdev.exists and not case.planned,
        found=lambda case: f"mediated device {case.uuid} does not exist",
        next_step=say("Make it with module zkvm.vfio_ccw.passthrough"),
        final=True,
    ),
    RowOf(
        id="mdev-without-driver",
        when="The mediated device has no driver, so QEMU cannot open it",
        condition=lambda case: case.opens and case.mdev.exists and not case.mdev.group,
        found=lambda case: f"mediated device {case.uuid} has no driver",
        next_step=say("Remove it and make it again: passthrough with state absent, then present"),
    ),
    RowOf(
        id="mdev-in-use",
        when="Another guest has the mediated device open",
        condition=lambda case: case.opens and case.mdev.in_use,
        found=lambda case: (
            f"mediated device {case.uuid} is in use by another guest: /dev/vfio/{case.mdev.group} is busy"
        ),
        next_step=say("Take it from that guest, or stop that guest; fuser -v on the file says which process it is"),
    ),
)

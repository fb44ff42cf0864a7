# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the table of refusals: why libvirt does not define, start or end a mediated device as its node device."""

from __future__ import annotations

from dataclasses import dataclass

from .._busid import BusId
from .._releases import lacking
from ..host._model import VFIO_CCW
from ..libvirt._versions import FEATURES, LibvirtVersion
from ._row import RowOf, say


@dataclass(frozen=True)
class NodeCase:
    """A device of the host and the mediated device that libvirt is to have for it, beside what was observed."""

    device: BusId
    uuid: str
    state: str = "started"
    autostart: bool | None = None
    subchannel: BusId | None = None
    driver: str = ""
    """Of the subchannel."""
    active: bool = False
    """Whether the kernel has the mediated device; ``in_use``: whether a guest has it open."""
    in_use: bool = False
    others: tuple[str, ...] = ()
    """Other mediated devices of the subchannel."""
    parent: str = ""
    """libvirt's name of the parent of a node device of this UUID, "" where it has none."""
    libvirt: LibvirtVersion = LibvirtVersion(99, 0)

    @property
    def node(self) -> str:
        return node_name(self.subchannel) if self.subchannel else ""

    @property
    def old_libvirt(self) -> list[str]:
        wanted = {
            "nodedev-css": "",
            "nodedev-define": "",
            **({} if self.autostart is None else {"nodedev-autostart": ""}),
        }
        return [text for _who, text in lacking(self.libvirt, FEATURES, wanted)]


def node_name(subchannel: BusId) -> str:
    """libvirt's name of a subchannel (src/node_device/node_device_udev.c: udevGenerateDeviceName)."""
    return f"css_0_{subchannel.ssid:x}_{subchannel.number:04x}"


ROWS: tuple[RowOf[NodeCase], ...] = (
    RowOf(
        id="libvirt-too-old",
        when="libvirt cannot do what is asked, see the page on libvirt",
        condition=lambda case: bool(case.old_libvirt),
        found=lambda case: "; ".join(case.old_libvirt),
        next_step=say("Use that libvirt, or mdevctl without it: passthrough with persistent: true"),
        absent=True,
        final=True,
    ),
    RowOf(
        id="not-found",
        when="No subchannel of the host has a device of this number",
        condition=lambda case: case.subchannel is None,
        found=say("the host has no device of this number"),
        next_step=say("Compare with lscss on the host"),
        final=True,
    ),
    RowOf(
        id="not-passed",
        when="The subchannel is not bound to vfio_ccw, so libvirt has no place for a mediated device there",
        condition=lambda case: case.driver != VFIO_CCW,
        found=lambda case: f"subchannel {case.subchannel} is bound to {case.driver or 'no driver'}, not to {VFIO_CCW}",
        next_step=say("Pass it through first: module zkvm.vfio_ccw.passthrough, or driverctl -b css set-override"),
    ),
    RowOf(
        id="uuid-elsewhere",
        when="libvirt has a mediated device of this UUID on another subchannel",
        condition=lambda case: case.parent not in ("", case.node),
        found=lambda case: f"uuid {case.uuid} is that of a node device on {case.parent}, not on {case.node}",
        next_step=say("Undefine that one (virsh nodedev-undefine), or use another uuid"),
    ),
    RowOf(
        id="other-mdev",
        when="Another mediated device is on the subchannel, which can carry one",
        condition=lambda case: case.state == "started" and not case.active and bool(case.others),
        found=lambda case: f"subchannel {case.subchannel} carries mediated device {', '.join(case.others)}",
        next_step=say("Use that uuid, or remove that one first"),
    ),
    RowOf(
        id="node-in-use",
        when="A guest has the mediated device open that is to be ended",
        condition=lambda case: case.state in ("stopped", "absent") and case.in_use,
        found=lambda case: f"mediated device {case.uuid} is in use by a guest",
        next_step=say("Take it from the guest (zkvm.vfio_ccw.libvirt_hostdev), or stop the guest, first"),
        absent=True,
    ),
)

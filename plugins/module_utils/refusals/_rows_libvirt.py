# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the table of refusals: why a libvirt domain does not get, or lose, a passed-through channel device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .._busid import GuestDevno
from .._releases import lacking
from ..libvirt._domain import Hostdev
from ..libvirt._versions import FEATURES, LibvirtVersion
from ..qemu._versions import FEATURES as QEMU_FEATURES
from ..qemu._versions import FREE, QemuVersion
from ._row import RowOf, say
from ._rows_guest import ROWS as MDEV_ROWS
from ._rows_guest import MdevCase


@dataclass(frozen=True)
class LibvirtCase(MdevCase):
    """A device that a domain is to have or to lose, beside what was observed."""

    domain: str = ""
    wanted: Hostdev = Hostdev("")
    present: bool = True
    exists: bool = True
    """Whether there is such a domain, or it is about to be defined."""
    active: bool = False
    persistent: bool = True
    live: bool = False
    """Whether the running domain is to be changed; ``config``: whether its definition is."""
    config: bool = True
    now: Hostdev | None = None
    """The device as the running domain has it."""
    moved: bool = False
    """Whether it is wanted otherwise there."""
    taken: Mapping[GuestDevno, str] = field(default_factory=dict)
    """Device numbers that others of the domain have, and who."""
    orders: Mapping[int, str] = field(default_factory=dict)
    """Places in the boot order that others have, and who."""
    common_boot: bool = False
    """Whether the domain has a boot order of its own, which libvirt takes not together with a device's."""
    libvirt: LibvirtVersion = LibvirtVersion(99, 0)
    qemu: QemuVersion = QemuVersion(99, 0)

    @property
    def old_libvirt(self) -> list[str]:
        wanted = {"hostdev": "", **({"boot": ""} if self.wanted.boot is not None else {})}
        if self.wanted.loadparm:
            wanted["device-loadparm"] = ""
        return [text for _who, text in lacking(self.libvirt, FEATURES, wanted)]

    @property
    def old_qemu(self) -> list[str]:
        wanted = {"boot": ""} if self.wanted.boot is not None else {}
        texts = [text for _who, text in lacking(self.qemu, QEMU_FEATURES, wanted)]
        if self.qemu < FREE:
            texts.append(
                f"libvirt puts every device into channel subsystem fe, which takes QEMU {FREE} or newer, "
                f"{self.qemu.found} [explicit-css]"
            )
        return texts


ROWS: tuple[RowOf[LibvirtCase], ...] = (
    RowOf(
        id="no-domain",
        when="libvirt knows no domain of this name",
        condition=lambda case: not case.exists,
        found=lambda case: f"libvirt has no domain {case.domain}",
        next_step=say("Define it first (zkvm.vfio_ccw.libvirt_guest, virt-install, virsh define); virsh list --all"),
        final=True,
    ),
    RowOf(
        id="not-running",
        when="live is asked for and the domain does not run",
        condition=lambda case: case.live and not case.active,
        found=lambda case: f"domain {case.domain} does not run, so there is nothing to change live",
        next_step=say("Start it, or leave live out"),
        final=True,
    ),
    RowOf(
        id="no-definition",
        when="config is asked for and the domain is transient",
        condition=lambda case: case.config and not case.persistent,
        found=lambda case: f"domain {case.domain} is transient: it runs and has no definition to change",
        next_step=say("Define it (virsh dumpxml, virsh define), or leave config out"),
        final=True,
    ),
    RowOf(
        id="libvirt-too-old",
        when="libvirt cannot do what is asked, see the page on libvirt",
        condition=lambda case: bool(case.old_libvirt),
        found=lambda case: "; ".join(case.old_libvirt),
        next_step=say("Use that libvirt, or start the guest without libvirt (zkvm.vfio_ccw.qemu_guest)"),
    ),
    RowOf(
        id="qemu-too-old",
        when="The domain's QEMU cannot do what is asked, see the page on QEMU",
        condition=lambda case: bool(case.old_qemu),
        found=lambda case: "; ".join(case.old_qemu),
        next_step=say("Use that QEMU (emulator), or leave it out"),
    ),
    RowOf(
        id="devno-taken",
        when="Another device of the domain has the device number",
        condition=lambda case: case.wanted.devno in case.taken,
        found=lambda case: f"devno {case.wanted.devno} of {case.domain} is that of {_owner(case)}",
        next_step=say("Give it another devno, or take the other device away first"),
    ),
    RowOf(
        id="boot-taken",
        when="Another device of the domain has this place in the boot order",
        condition=lambda case: case.wanted.boot in case.orders,
        found=lambda case: f"bootindex {case.wanted.boot} of {case.domain} is that of {_first(case)}",
        next_step=say("Give it another bootindex, or take the other device's away first"),
    ),
    RowOf(
        id="common-boot",
        when="The domain has a boot order in its os element, which libvirt takes not together with a device's",
        condition=lambda case: case.wanted.boot is not None and case.common_boot,
        found=lambda case: f"the os element of {case.domain} has a boot order (<boot dev=...>), libvirt takes one only",
        next_step=say(
            "Remove it (virsh edit), or leave boot out; where only the running guest has it, change the definition "
            "alone (live: false)"
        ),
    ),
    RowOf(
        id="moved",
        when="The running domain has the device in another place: changing it would pull it from under the guest",
        condition=lambda case: case.moved,
        found=lambda case: f"the running guest has it as {case.now.devno if case.now else ''}, not as it is wanted",
        next_step=say(
            "Set it offline in the guest and detach it (state absent), then attach it; or change the definition "
            "alone (live: false) and restart the guest"
        ),
    ),
    *MDEV_ROWS,
)


def _owner(case: LibvirtCase) -> str:
    return _called(case.taken[case.wanted.devno] if case.wanted.devno else "")


def _first(case: LibvirtCase) -> str:
    return _called(case.orders[case.wanted.boot] if case.wanted.boot else "")


def _called(who: str) -> str:
    return f"mediated device {who}" if "-" in who else f"its {who}"

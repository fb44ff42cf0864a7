# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a QEMU can do with channel devices, by its version: one table. The docs are made from it.

Sources: QEMU's wiki page "Features/Channel I/O Passthrough"; hw/vfio/ccw.c and hw/s390x/{css,s390-ccw,ipl}.c of the
versions named; the release notes of 4.1 and 9.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .._releases import Feature, NotPossible, Release, lacking

MACHINE = "s390-ccw-virtio"
_MACHINE = re.compile(rf"{MACHINE}(?:-([a-z]+)?(\d+)\.(\d+)(?:\.\d+)?)?")


class QemuVersion(Release):
    """A release of QEMU, or what ``qemu-system-s390x --version`` prints."""

    program = "QEMU"
    says = r"version (\d+)\.(\d+)"


FREE = QemuVersion(2, 12)
"""From here on any device may be in any channel subsystem."""
SQUASH_GONE = QemuVersion(3, 1)
"""From here on there is no s390-squash-mcss any more (QEMU's commit 36699ab480 of August 2018)."""
REPLACEMENT = "put the passed-through devices into channel subsystem fe (devno=fe.S.DDDD)"

FEATURES = (
    Feature("vfio-ccw", "passing a channel device through (`-device vfio-ccw`)", QemuVersion(2, 10)),
    Feature(
        "squash",
        "machine option `s390-squash-mcss` (deprecated from 2.12 on)",
        QemuVersion(2, 10),
        SQUASH_GONE,
        REPLACEMENT,
    ),
    Feature("explicit-css", "any device in any channel subsystem, `devno=fe.S.DDDD` for passed-through ones", FREE),
    Feature("force-orb-pfch", "property `force-orb-pfch` of vfio-ccw", QemuVersion(3, 0)),
    Feature("boot", "starting a guest from a passed-through DASD (`bootindex`)", QemuVersion(4, 1)),
    Feature("path-events", "channel paths that go and come are told to the guest", QemuVersion(5, 1)),
    Feature("hot-unplug", "a device is given up when the host asks for it", QemuVersion(6, 0)),
    Feature("device-loadparm", "`loadparm` of a device; before, the machine's own only", QemuVersion(9, 2)),
    Feature("boot-fallback", "more than one boot device, tried in order", QemuVersion(9, 2)),
)
BY_ID = {feature.id: feature for feature in FEATURES}


def has(qemu: QemuVersion, feature: str) -> bool:
    return BY_ID[feature].there(qemu)


def missing(qemu: QemuVersion, wanted: dict[str, str]) -> Iterator[str]:
    """Why a QEMU will not do. ``wanted``: feature → who asks for it."""
    for who, why in lacking(qemu, FEATURES, wanted):
        yield f"{who}: {why}"


def machine_version(machine: str, qemu: QemuVersion) -> QemuVersion | None:
    """The version of a machine type; the newest for one without; None for a distribution's own. Raises NotPossible."""
    match = _MACHINE.fullmatch(machine)
    if match is None:
        raise NotPossible(f"machine {machine!r}: expected {MACHINE} or {MACHINE}-X.Y")
    if match.group(1):
        return None
    version = QemuVersion(int(match.group(2)), int(match.group(3))) if match.group(2) else qemu
    if version > qemu:
        raise NotPossible(f"machine {machine}: QEMU {qemu} does not know it; it needs QEMU {version} or newer")
    return version


def full_machine(machine: str, qemu: QemuVersion) -> str:
    """The name under which QEMU saves a guest: the plain machine type stands for the newest one."""
    return f"{MACHINE}-{qemu}" if machine == MACHINE else machine

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a QEMU can do with channel devices, by its version: one table. The docs are made from it.

Sources: QEMU's wiki page "Features/Channel I/O Passthrough"; hw/vfio/ccw.c and hw/s390x/{css,s390-ccw,ipl}.c of the
versions named; the release notes of 4.1 and 9.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterator

_PLAIN = re.compile(r"(\d+)\.(\d+)(?:\.\d+)*")
_SAID = re.compile(r"version (\d+)\.(\d+)")
MACHINE = "s390-ccw-virtio"
_MACHINE = re.compile(rf"{MACHINE}(?:-([a-z]+)?(\d+)\.(\d+)(?:\.\d+)?)?")


class NotPossible(Exception):
    """A QEMU that cannot do what is asked, or a guest that no QEMU could run; the text says the rule and a way out."""


@dataclass(frozen=True, order=True)
class QemuVersion:
    """A release. The third number is left out: no rule depends on it."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> QemuVersion:
        """From ``2.10``, ``2.10.1`` or what ``qemu-system-s390x --version`` prints. Raises NotPossible."""
        match = _PLAIN.fullmatch(str(text).strip()) or _SAID.search(str(text))
        if match is None:
            raise NotPossible(
                f"QEMU version {text!r}: expected two numbers as in 2.12, or what QEMU's --version prints; "
                "quote it in YAML, where 2.10 is a number and loses its last digit"
            )
        return cls(int(match.group(1)), int(match.group(2)))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    @property
    def found(self) -> str:
        """For a message. Who writes 2.10 without quotes in YAML has given 2.1."""
        hint = " (quote 2.10 in YAML, or it becomes 2.1)" if (self.major, self.minor) == (2, 1) else ""
        return f"this one is {self}{hint}"


@dataclass(frozen=True)
class Feature:
    """``since`` is the first release that has it, ``gone`` the first that has it no more."""

    id: str
    what: str
    since: QemuVersion
    gone: QemuVersion | None = None
    instead: str = ""
    """What to use where it is gone."""

    def there(self, qemu: QemuVersion) -> bool:
        return self.since <= qemu and (self.gone is None or qemu < self.gone)


FREE = QemuVersion(2, 12)
"""From here on any device may be in any channel subsystem."""
SQUASH_GONE = QemuVersion(4, 2)
"""The source of 4.2 has no s390-squash-mcss any more; 3.0's still has."""
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
    Feature("path-events", "channel paths that go and come are told to the guest", QemuVersion(5, 2)),
    Feature("hot-unplug", "a device is given up when the host asks for it", QemuVersion(6, 0)),
    Feature("device-loadparm", "`loadparm` of a device; before, the machine's own only", QemuVersion(9, 2)),
    Feature("boot-fallback", "more than one boot device, tried in order", QemuVersion(9, 2)),
)
BY_ID = {feature.id: feature for feature in FEATURES}


def has(qemu: QemuVersion, feature: str) -> bool:
    return BY_ID[feature].there(qemu)


def missing(qemu: QemuVersion, wanted: dict[str, str]) -> Iterator[str]:
    """Why a QEMU will not do. ``wanted``: feature → who asks for it."""
    for name, who in wanted.items():
        feature = BY_ID[name]
        if qemu < feature.since:
            yield f"{who}: {feature.what} needs QEMU {feature.since} or newer, {qemu.found} [{name}]"
        elif feature.gone is not None and qemu >= feature.gone:
            yield f"{who}: {feature.what} is gone from QEMU {feature.gone} on, this one is {qemu}; {feature.instead}"


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

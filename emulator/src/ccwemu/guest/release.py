# SPDX-License-Identifier: GPL-2.0-or-later
"""The QEMU that a host has: what differs by release in what a quick guest shows of it.

Sources: hw/s390x/css.c (css_create_sch), s390-virtio-ccw.c, qom/object.c and migration/savevm.c of several releases;
QEMU's wiki page "Features/Channel I/O Passthrough". 7.2 is compared with the real program.
"""

from __future__ import annotations

from dataclasses import dataclass

KNOWN = [
    "2.10",
    "2.11",
    "2.12",
    "3.0",
    "3.1",
    "4.0",
    "4.1",
    "4.2",
    "5.0",
    "5.1",
    "5.2",
    "6.0",
    "6.1",
    "6.2",
    "7.0",
    "7.1",
    "7.2",
    "8.0",
    "8.1",
    "8.2",
    "9.0",
    "9.1",
    "9.2",
    "10.0",
    "10.1",
    "10.2",
]
"""The releases since vfio-ccw came."""

FILE = "/run/ccwemu/qemu"
"""On a host whose lab names a release: which."""

OLDEST_MACHINE = (2, 4)
SQUASH = "s390-squash-mcss"
VIRTUAL_CSSID = 0xFE
"""The channel subsystem that QEMU makes for virtual devices (include/hw/s390x/css.h)."""


@dataclass(frozen=True)
class Release:
    """``number``: major and minor."""

    number: tuple[int, int] = (7, 2)
    micro: int = 22

    @classmethod
    def parse(cls, text: str) -> Release:
        """One of KNOWN. Raises ValueError."""
        if text not in KNOWN:
            raise ValueError(f"found QEMU {text!r}")
        major, minor = (int(part) for part in text.split("."))
        return cls() if (major, minor) == cls.number else cls((major, minor), 0)

    @property
    def name(self) -> str:
        return "{}.{}".format(*self.number)

    @property
    def text(self) -> str:
        """What -version prints."""
        return (
            f"QEMU emulator version {self.name}.{self.micro} (ccwemu quick guest)\n"
            "Copyright (c) 2003-2022 Fabrice Bellard and the QEMU Project developers\n"
        )

    @property
    def lets_devices_go(self) -> bool:
        """Whether it listens when the kernel asks for a device (hw/vfio/ccw.c, the REQ interrupt)."""
        return self.number >= (6, 0)

    @property
    def machine(self) -> str:
        """What the plain machine type stands for."""
        return f"s390-ccw-virtio-{self.name}"

    def knows_machine(self, version: tuple[int, int]) -> bool:
        return OLDEST_MACHINE <= version <= self.number

    @property
    def restricts_css(self) -> bool:
        """Virtual devices must be in channel subsystem fe, others must not."""
        return self.number < (2, 12)

    @property
    def squashes(self) -> bool:
        """The machine property s390-squash-mcss exists (removed by QEMU's commit 36699ab480 of August 2018)."""
        return self.number < (3, 1)

    @property
    def warns_of_short_forms(self) -> bool:
        """``packed`` instead of ``packed=on`` (docs/about/deprecated.rst)."""
        return self.number >= (6, 0)

    def knows_property(self, driver: str, key: str) -> bool:
        """Whether a device's property, one that came later than the device, is there."""
        since = {"force-orb-pfch": (3, 0), "bootindex": (4, 1), "loadparm": (9, 2)}
        return driver != "vfio-ccw" or self.number >= since.get(key, (0, 0))

    def unknown_property(self, owner: str, key: str) -> str:
        """What is said of a property that a device or the machine has not (qom/object.c)."""
        return f"Property '{owner if self.number >= (5, 2) else ''}.{key}' not found"

    def unknown_section(self, section: str) -> str:
        """What is said of a saved device that the new guest has not (the hint: commit 827beacb47 of September 2018)."""
        if self.number < (3, 1):
            return f"Unknown savevm section or instance '{section}' 0"
        word = "savevm section" if self.number < (10, 2) else "section"
        return (
            f"Unknown {word} or instance '{section}' 0. Make sure that your current VM setup matches your saved VM "
            "setup, including any hotplugged devices"
        )


def of_host(root: str = "") -> Release:
    """The one that the lab names for the host under ``root``."""
    try:
        with open(root + FILE, encoding="ascii") as file:
            return Release.parse(file.read().strip())
    except FileNotFoundError:
        return Release()

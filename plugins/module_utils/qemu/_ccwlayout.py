# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where QEMU puts a guest's channel devices, by version: the rules of css_create_sch (hw/s390x/css.c).

A guest's Linux sees one channel subsystem, as its css 0: the default one, fe. QEMU 2.10 and 2.11: a virtual device must
be in fe, a passed-through one must not; s390-squash-mcss=on then makes css 0 the default one and moves all devices
there (ccw_init, hw/s390x/s390-virtio-ccw.c). From 2.12 on every device may be everywhere. Pure functions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Iterable

from .._busid import GUEST_CSSID, MAX_CSSID, MAX_SSID, GuestDevno
from .._releases import NotPossible
from ._versions import (
    FREE,
    MACHINE,
    REPLACEMENT,
    SQUASH_GONE,
    QemuVersion,
    full_machine,
    machine_version,
)

VFIO_CCW = "vfio-ccw"
_SECTIONS = {
    "virtio-serial": "virtio-console",
    "virtio-keyboard": "virtio-input",
    "virtio-mouse": "virtio-input",
    "virtio-tablet": "virtio-input",
}
"""What a device calls itself in a saved guest, where that is not its name (hw/virtio; seen with QEMU 7.2)."""


@dataclass(frozen=True)
class CcwDevice:
    """A device of a command line. ``devno`` None: QEMU chooses one (an automatic bus id)."""

    driver: str
    devno: GuestDevno | None = None

    @property
    def passed(self) -> bool:
        return self.driver == VFIO_CCW

    @property
    def section(self) -> str:
        name = self.driver[:-4] if self.driver.endswith("-ccw") and not self.passed else self.driver
        return _SECTIONS.get(name, name)

    def __str__(self) -> str:
        return f"{self.driver} {self.devno if self.devno else 'without devno'}"


@dataclass(frozen=True)
class CcwConfig:
    """What of a guest's command line decides where its channel devices are."""

    qemu: QemuVersion
    devices: tuple[CcwDevice, ...] = ()
    squash: bool = False
    machine: str = MACHINE

    @property
    def restricted(self) -> bool:
        return self.qemu < FREE

    @property
    def default_css(self) -> int:
        """The channel subsystem that the guest's Linux sees."""
        return 0 if self.squash else GUEST_CSSID

    def without_passed(self) -> CcwConfig:
        return replace(self, devices=tuple(one for one in self.devices if not one.passed))


@dataclass(frozen=True)
class Placed:
    """A device where QEMU put it."""

    device: CcwDevice
    devno: GuestDevno

    @property
    def section(self) -> str:
        """Its name in a saved guest (virtual_css_bus_get_dev_path)."""
        return f"/{self.devno.cssid:02x}.{self.devno.ssid:x}.{self.devno.number:04x}/{self.device.section}"


@dataclass(frozen=True)
class Layout:
    """``css``: the channel subsystems that came into being; one stays when its last device is unplugged."""

    placed: tuple[Placed, ...]
    css: frozenset[int]


def layout(config: CcwConfig) -> Layout:
    """Where the devices are. Raises NotPossible with what QEMU says, the rule and the version that would do."""
    machine_version(config.machine, config.qemu)
    if config.squash and config.qemu >= SQUASH_GONE:
        raise NotPossible(f"s390-squash-mcss: QEMU {config.qemu} has no such machine option any more; {REPLACEMENT}")
    placed: list[Placed] = []
    for device in config.devices:
        if device.passed and config.qemu < QemuVersion(2, 10):
            raise NotPossible(f"{device}: vfio-ccw needs QEMU 2.10 or newer, {config.qemu.found}")
        devno = _place(config, device, {one.devno for one in placed})
        placed.append(Placed(device, devno))
    return Layout(tuple(placed), frozenset([config.default_css, *(one.devno.cssid for one in placed)]))


def _place(config: CcwConfig, device: CcwDevice, taken: set[GuestDevno]) -> GuestDevno:
    if device.devno is None:
        outside = config.restricted and device.passed and not config.squash
        return _first_free(range(MAX_CSSID) if outside else (config.default_css,), taken)
    devno = device.devno
    if config.restricted and device.passed == devno.visible:
        kind = "non-virtual" if device.passed else "virtual"
        cure = (
            f"give it devno 0.{devno.ssid:x}.{devno.number:04x} and the machine s390-squash-mcss=on"
            if device.passed
            else f"give it devno fe.{devno.ssid:x}.{devno.number:04x}"
        )
        raise NotPossible(
            f"{device}: QEMU {config.qemu} says 'cssid {devno.cssid:x} not valid for {kind} devices'; {cure}, or use "
            f"QEMU {FREE} or newer, where a device may be in any channel subsystem [explicit-css]"
        )
    if config.squash:
        devno = replace(devno, cssid=config.default_css)
    if devno in taken:
        where = f"{devno.cssid:x}.{devno.ssid:x}.{devno.number:04x}"
        raise NotPossible(f"{device}: QEMU says 'Device {where} already exists'; give each device a devno of its own")
    return devno


def _first_free(subsystems: Iterable[int], taken: set[GuestDevno]) -> GuestDevno:
    for cssid in subsystems:
        for ssid in range(MAX_SSID + 1):
            for number in range(0x10000):
                if GuestDevno(cssid, ssid, number) not in taken:
                    return GuestDevno(cssid, ssid, number)
    raise NotPossible("QEMU says 'Virtual channel subsystem is full!'; give the guest fewer devices")


def translate(config: CcwConfig, qemu: QemuVersion) -> CcwConfig:
    """The same guest for another QEMU, its devices where its Linux saw them; every devno is explicit then.

    The machine type stays the one that it is, under its full name, where that QEMU may know it. Raises
    NotPossible where that QEMU cannot have them there.
    """
    devices = [
        CcwDevice(one.device.driver, replace(one.devno, cssid=GUEST_CSSID) if config.squash else one.devno)
        for one in layout(config).placed
    ]
    machine = full_machine(config.machine, config.qemu) if config.qemu < qemu else config.machine
    wanted = replace(config, qemu=qemu, devices=tuple(devices), squash=False, machine=machine)
    if qemu < FREE:
        wanted = _restricted(wanted)
    layout(wanted)
    return wanted


def _restricted(config: CcwConfig) -> CcwConfig:
    """For 2.10 and 2.11: the guest sees passed-through devices when all are squashed into one css, or none of them."""
    seen = [one for one in config.devices if one.passed and one.devno is not None and one.devno.visible]
    unseen = [one for one in config.devices if one.passed and one not in seen]
    if seen and unseen:
        raise NotPossible(
            f"{unseen[0]}: QEMU {config.qemu} shows a guest all passed-through devices or none "
            f"(s390-squash-mcss), and it is to see {seen[0]}; use QEMU {FREE} or newer, or give all a devno in css fe"
        )
    devices = [replace(one, devno=replace(one.devno, cssid=0)) if one in seen else one for one in config.devices
               if one.devno is not None]  # fmt: skip
    return replace(config, devices=tuple(devices), squash=bool(seen))

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The definition of a libvirt domain that a guest is to have. Pure functions.

A domain that is there already is changed only where the guest says something: what libvirt has filled in and what its
administrator has added stays. So a definition that needs no change comes out as it was.

Sources: libvirt's docs/formatdomain.rst and docs/drvqemu.rst ("Pass-through of arbitrary QEMU commands").
"""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..qemu._qemu import Guest, PassedDevice, boot_order
from ..qemu._versions import MACHINE
from ..qemu._versions import has as qemu_has
from ._domain import Hostdev, channel_elements, hostdev_element, read_hostdev
from ._versions import LibvirtVersion, has
from ._xml import QEMU_NAMESPACE, child, set_text

LOG_DIRECTORY = "/var/log/libvirt/qemu"
TYPES = {"kvm": "kvm", "tcg": "qemu"}
"""libvirt's name for QEMU's accelerator."""
_KIB = {"b": 1 / 1024, "bytes": 1 / 1024, "kb": 1000 / 1024, "k": 1, "kib": 1, "m": 1024, "mib": 1024, "g": 1024**2,
        "gib": 1024**2, "t": 1024**3, "tib": 1024**3}  # fmt: skip


@dataclass(frozen=True)
class LibvirtGuest:
    """A guest as libvirt is to define it. ``environment``: of the QEMU process; ``libvirt``: the one there."""

    guest: Guest
    libvirt: LibvirtVersion
    environment: Mapping[str, str] = field(default_factory=dict)
    autostart: bool | None = None
    """Whether it is started with the host; None: as it is."""
    console: str | None = None
    """Where libvirt writes a copy of the console; "" for nowhere, None for its own place."""
    live: bool = True
    """Whether it gets devices while it runs."""

    @property
    def log(self) -> str:
        return f"{LOG_DIRECTORY}/{self.guest.name}.console" if self.console is None else self.console

    @property
    def hostdevs(self) -> tuple[Hostdev, ...]:
        return tuple(self._hostdev(device) for device in self.guest.devices)

    def _hostdev(self, device: PassedDevice) -> Hostdev:
        loadparm = device.loadparm if self._tells_devices else ""
        return Hostdev(device.uuid, device.devno, device.bootindex, loadparm)

    @property
    def _tells_devices(self) -> bool:
        """Whether libvirt and QEMU take a loadparm for each device."""
        return has(self.libvirt, "device-loadparm") and qemu_has(self.guest.qemu, "device-loadparm")

    @property
    def arguments(self) -> tuple[str, ...]:
        """What QEMU is told past libvirt: what libvirt has no element for, then what the user adds.

        QEMU joins what several -machine say.
        """
        words: list[str] = []
        first = boot_order(self.guest)[:1]
        if first and first[0].loadparm and not self._tells_devices:
            words += ["-machine", f"loadparm={first[0].loadparm}"]
        if any(device.force_orb_pfch for device in self.guest.devices):
            words += ["-global", "vfio-ccw.force-orb-pfch=on"]
        return (*words, *self.guest.extra)


def definition(wanted: LibvirtGuest, there: ET.Element | None) -> ET.Element:
    """The domain's XML as it is to be. ``there``: as it is, None for a domain that does not exist yet."""
    guest = wanted.guest
    domain = ET.Element("domain") if there is None else copy.deepcopy(there)
    _accelerator(domain, TYPES[guest.accel])
    set_text(domain, "name", guest.name)
    _memory(domain, guest.memory)
    set_text(domain, "vcpu", str(guest.cpus))
    _machine(domain, guest.machine)
    if guest.binary:
        set_text(domain, "devices/emulator", guest.binary)
    devices = child(domain, "devices")
    if there is None:
        _console(devices, wanted.log)
    _hostdevs(devices, channel_elements(domain), wanted.hostdevs)
    if any(hostdev.boot is not None for hostdev in wanted.hostdevs):
        _no_common_boot_order(domain)
    _command_line(domain, wanted.arguments, wanted.environment)
    return domain


def _accelerator(domain: ET.Element, kind: str) -> None:
    """A CPU model is one for the accelerator that the domain had; libvirt writes another where there is none."""
    model = domain.find("cpu")
    if model is not None and domain.get("type") != kind:
        domain.remove(model)
    domain.set("type", kind)


def _no_common_boot_order(domain: ET.Element) -> None:
    """libvirt writes <boot dev='hd'/> where nothing is said, and takes it not together with a device's boot order."""
    system = child(domain, "os")
    for boot in system.findall("boot"):
        system.remove(boot)


def _memory(domain: ET.Element, mib: int) -> None:
    """In MiB, unless it is there already in whatever unit."""
    for name in ("memory", "currentMemory"):
        element = domain.find(name)
        if (name == "memory" or element is not None) and _kib(element) != mib * 1024:
            set_text(domain, name, str(mib), unit="MiB")


def _kib(element: ET.Element | None) -> float:
    if element is None or not (element.text or "").strip().isdigit():
        return -1
    return int(element.text or "") * _KIB.get(element.get("unit", "KiB").lower(), 0)


def _machine(domain: ET.Element, machine: str) -> None:
    """libvirt writes the newest machine type for one without a version."""
    there = domain.find("os/type")
    kept = there is not None and machine == MACHINE and there.get("machine", "").startswith(MACHINE)
    set_text(domain, "os/type", "hvm", arch="s390x", **({} if kept else {"machine": machine}))


def _console(devices: ET.Element, log: str) -> None:
    console = ET.SubElement(devices, "console", type="pty")
    if log:
        ET.SubElement(console, "log", file=log, append="on")
    ET.SubElement(console, "target", type="sclp")


def _hostdevs(devices: ET.Element, elements: Sequence[ET.Element], wanted: Sequence[Hostdev]) -> None:
    """Exactly these passed-through channel devices. One that is as it should be keeps its element."""
    missing = list(wanted)
    for element in elements:
        found = read_hostdev(element)
        if found in missing:
            missing.remove(found)
        else:
            devices.remove(element)
    devices.extend([hostdev_element(hostdev) for hostdev in missing])


def _command_line(domain: ET.Element, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """``qemu:commandline`` is all the guest's: QEMU's arguments are an order, which cannot be shared."""
    tag = f"{{{QEMU_NAMESPACE}}}commandline"
    there = domain.find(tag)
    wanted = ET.Element(tag)
    for word in arguments:
        ET.SubElement(wanted, f"{{{QEMU_NAMESPACE}}}arg", value=word)
    for name, value in sorted(environment.items()):
        ET.SubElement(wanted, f"{{{QEMU_NAMESPACE}}}env", name=name, value=value)
    if there is not None:
        domain.remove(there)
    if len(wanted):
        domain.append(wanted)


def with_hostdevs(domain: ET.Element, wanted: Sequence[Hostdev]) -> ET.Element:
    """The domain with exactly these passed-through channel devices."""
    changed = copy.deepcopy(domain)
    _hostdevs(child(changed, "devices"), channel_elements(changed), wanted)
    if any(hostdev.boot is not None for hostdev in wanted):
        _no_common_boot_order(changed)
    return changed


def has_common_boot_order(domain: ET.Element) -> bool:
    """Whether the domain as a whole is said to be started from something that libvirt has not written by itself."""
    return [boot.get("dev") for boot in domain.findall("os/boot")] not in ([], ["hd"])

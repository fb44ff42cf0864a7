# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain's passed-through channel devices: libvirt's XML into types and back. Pure functions.

Sources: libvirt's docs/formatdomain.rst ("Host device assignment", "Device addresses"), src/conf/device_conf.c
(virDomainDeviceCCWAddressParseXML).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass

from .._busid import BadName, GuestDevno, parse_uuid
from ._xml import BadXml

MODEL = "vfio-ccw"


@dataclass(frozen=True)
class Hostdev:
    """A mediated device of a domain. ``devno`` None: libvirt chooses; ``boot`` None: not booted from."""

    uuid: str
    devno: GuestDevno | None = None
    boot: int | None = None
    loadparm: str = ""

    def __str__(self) -> str:
        return f"mediated device {self.uuid}"


def hostdev_element(hostdev: Hostdev) -> ET.Element:
    element = ET.Element("hostdev", mode="subsystem", type="mdev", model=MODEL)
    ET.SubElement(ET.SubElement(element, "source"), "address", uuid=hostdev.uuid)
    if hostdev.boot is not None:
        boot = ET.SubElement(element, "boot", order=str(hostdev.boot))
        if hostdev.loadparm:
            boot.set("loadparm", hostdev.loadparm)
    if hostdev.devno is not None:
        element.append(address_element(hostdev.devno))
    return element


def address_element(devno: GuestDevno) -> ET.Element:
    return ET.Element(
        "address",
        type="ccw",
        cssid=f"0x{devno.cssid:x}",
        ssid=f"0x{devno.ssid:x}",
        devno=f"0x{devno.number:04x}",
    )


def channel_elements(domain: ET.Element) -> list[ET.Element]:
    """The hostdev elements of passed-through channel devices."""
    return [
        element
        for element in domain.findall("devices/hostdev")
        if (element.get("type"), element.get("model")) == ("mdev", MODEL)
    ]


def read_hostdev(element: ET.Element) -> Hostdev:
    """Raises BadXml."""
    source, boot, address = (element.find(path) for path in ("source/address", "boot", "address[@type='ccw']"))
    try:
        return Hostdev(
            uuid=parse_uuid("" if source is None else source.get("uuid", "")),
            devno=None if address is None else read_address(address),
            boot=None if boot is None else int(boot.get("order", "")),
            loadparm="" if boot is None else boot.get("loadparm", ""),
        )
    except (BadName, ValueError) as exc:
        raise BadXml(f"a hostdev of model {MODEL} that cannot be read: {exc}") from exc


def read_address(address: ET.Element) -> GuestDevno:
    """libvirt takes these numbers with any C prefix. Raises ValueError."""
    cssid, ssid, number = (int(address.get(name, ""), 0) for name in ("cssid", "ssid", "devno"))
    return GuestDevno.parse(f"{cssid:x}.{ssid:x}.{number:04x}")


def hostdevs(domain: ET.Element) -> tuple[Hostdev, ...]:
    """Those of a domain. Raises BadXml."""
    return tuple(read_hostdev(element) for element in channel_elements(domain))


def taken(domain: ET.Element) -> Iterator[tuple[GuestDevno, str]]:
    """Each device number of the domain with what has it: a hostdev's UUID, else the kind of device. Raises BadXml."""
    for device in domain.findall("devices/*"):
        address = device.find("address[@type='ccw']")
        if address is None or address.get("devno") is None:
            continue
        try:
            yield read_address(address), _name(device)
        except ValueError as exc:
            raise BadXml(f"a {device.tag} whose address cannot be read: {exc}") from exc


def boot_orders(domain: ET.Element) -> Iterator[tuple[int, str]]:
    """Each place in the boot order with what has it, as ``taken``."""
    for device in domain.findall("devices/*"):
        boot = device.find("boot")
        if boot is not None and boot.get("order", "").isdigit():
            yield int(boot.get("order", "")), _name(device)


def _name(device: ET.Element) -> str:
    source = device.find("source/address") if device.tag == "hostdev" else None
    return device.tag if source is None else source.get("uuid", device.tag).lower()

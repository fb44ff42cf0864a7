# SPDX-License-Identifier: GPL-3.0-or-later
"""Refusals of a device for a domain, on a real libvirt without a daemon: the domain stays as it is."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._hostdev import Order, converge_hostdevs
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._wanted import parse_wanted
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._xml import dump
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._table import Refused
from libvirt_embedded import Embedded

DOMAIN = """\
<domain type='qemu'>
  <name>linux01</name><memory unit='MiB'>64</memory>
  <os><type arch='s390x' machine='s390-ccw-virtio'>hvm</type></os>
  <devices><emulator>/usr/bin/qemu-system-s390x</emulator></devices>
</domain>
"""
BOOTING = {"uuid": "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920", "devno": "fe.0.1234", "boot": True}


def nothing(libvirt: Embedded) -> None:
    """No domain at all."""


def defined(libvirt: Embedded) -> None:
    libvirt.virsh.run("define", "/dev/stdin", xml=ET.fromstring(DOMAIN))


def booting_from_network(libvirt: Embedded) -> None:
    tree = ET.fromstring(DOMAIN)
    ET.SubElement(tree.find("os"), "boot", dev="network")
    libvirt.virsh.run("define", "/dev/stdin", xml=tree)


CASES: list[tuple[str, Callable[[Embedded], None], dict[str, object], str]] = [
    ("no-domain", nothing, {}, "libvirt has no domain linux01 [no-domain]. Define it first"),
    ("not-running", defined, {"live": True}, "linux01 does not run, so there is nothing to change live [not-running]"),
    (
        "qemu-too-old",
        defined,
        {"qemu": "2.11"},
        "channel subsystem fe, which takes QEMU 2.12 or newer, this one is 2.11",
    ),
    ("common-boot", booting_from_network, {}, "(<boot dev=...>), libvirt takes one only [common-boot]. Remove it"),
]


def asked(libvirt: Embedded, **order) -> str:
    """What a module would say that is asked to give the domain a device; no text where it is not refused."""
    with pytest.raises(Refused) as refused:
        wanted = parse_wanted(libvirt.host, [BOOTING], True)
        converge_hostdevs(libvirt.host, libvirt.virsh, Order("linux01", tuple(wanted), **order), False)
    return str(refused.value)


def told(libvirt: Embedded) -> list[str]:
    """The domains of libvirt, and what defines them."""
    names = libvirt.virsh.run("list", "--all", "--name").split()
    return [dump(libvirt.virsh.domain(name, inactive=True)) for name in names]


@pytest.mark.parametrize(("refusal", "prepare", "order", "says"), CASES, ids=[case[0] for case in CASES])
def test_refused(libvirt, refusal, prepare, order, says):
    prepare(libvirt)
    before = told(libvirt)
    try:
        message = asked(libvirt, **order)
        assert f"[{refusal}]" in message and says in message
        assert told(libvirt) == before
    finally:
        if before:
            libvirt.virsh.run("undefine", "--domain", "linux01")

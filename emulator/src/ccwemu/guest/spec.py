# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine that a guest's Linux finds: the virtual channel subsystem as QEMU builds it.

Source: QEMU 7.2 hw/s390x/css.c: subchannels are numbered in the order of their devices, separately for each
subchannel set; only css 0xfe is visible; virtio devices are behind CHPID 0.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ccwemu.guest.cmdline import CommandLine
from ccwemu.guest.devices import CcwId, GuestDevice
from ccwemu.guest.plan import Plan
from ccwemu.machine.spec import (
    CHPID_VIRTIO,
    ChpidSpec,
    DasdSpec,
    DeviceSpec,
    MachineSpec,
    OtherSpec,
    SubchannelSpec,
    VirtioSpec,
)

VIRTIO_CHPID = 0
_IDENTITY = frozenset(field.name for field in fields(DasdSpec)) - {"image", "online"}


def dasd_of(description: Mapping[str, Any]) -> DeviceSpec | None:
    """The device behind a mediated one, out of the host's description; None where nothing is known of it."""
    known = {key: value for key, value in description.items() if key in _IDENTITY}
    if known.get("dev_type", 0x3390) == 0x3390 and "cylinders" in known:
        return DasdSpec(**known)
    if "cu_type" in known:
        kept = {key: known[key] for key in ("cu_type", "cu_model", "dev_type", "dev_model") if key in known}
        return OtherSpec(**{"cu_model": 0, **kept})
    return None


def passed_through(busid: str, number: CcwId, description: Mapping[str, Any]) -> SubchannelSpec:
    """A subchannel that the host's is passed through to, with the host's paths."""
    pim = int(description["pim"])
    # chpids[n] belongs to mask 0x80 >> n; what follows the last installed path is nothing.
    installed = max((bit + 1 for bit in range(8) if pim & 0x80 >> bit), default=0)
    return SubchannelSpec(
        busid,
        devno=number.busid,
        chpids=tuple(description["chpids"])[:installed],
        pim=pim,
        pam=int(description["pam"]),
        pom=int(description["pom"]),
        device=dasd_of(description),
    )


def _virtio(device: GuestDevice, line: CommandLine) -> VirtioSpec:
    assert device.model.kind is not None
    image, size = "", 0
    if device.model.kind == "blk":
        drive = next(drive for drive in line.drives if drive.id == device.values["drive"])
        image = os.path.abspath(drive.get("file")) if drive.get("file") else ""
        size = os.path.getsize(image) if image else 0
    mac = device.values.get("mac", "52:54:00:12:34:56").replace("-", ":").lower()
    return VirtioSpec(device.model.kind, size=size, image=image, mac=mac)


def machine_spec(plan: Plan, described: Mapping[CcwId, Mapping[str, Any]]) -> MachineSpec:
    """The guest's machine. ``described``: what the host said of each passed-through device."""
    counts: Counter[int] = Counter()
    subchannels = []
    for number, device in plan.numbered():
        if number.cssid != plan.line.default_cssid:
            continue
        busid = f"0.{number.ssid:x}.{counts[number.ssid]:04x}"
        counts[number.ssid] += 1
        if device.passed_through:
            subchannels.append(passed_through(busid, number, described[number]))
        else:
            virtio = _virtio(device, plan.line)
            subchannels.append(SubchannelSpec(busid, devno=number.busid, chpids=(VIRTIO_CHPID,), device=virtio))
    line = plan.line
    return MachineSpec(
        name=line.name or "guest",
        chpids=(ChpidSpec(VIRTIO_CHPID, type=CHPID_VIRTIO),),
        subchannels=tuple(subchannels),
        cmdline=line.append or "root=/dev/vda1",
        cpus=line.cpus,
        memory_kib=line.memory >> 10,
    )


def subchannel_ids(spec: MachineSpec) -> dict[str, str]:
    """Device's bus id → subchannel's bus id."""
    return {sch.devno: sch.busid for sch in spec.subchannels if sch.devno is not None}

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refusals of what the host or the device cannot do."""

from __future__ import annotations

from ..host._model import MDEV_ONLY, QDIO_CU_TYPES, SUBCHANNEL_TYPES, VFIO_CCW, VIRTIO_CU_TYPE
from ._case import Case
from ._row import Row, control_unit, say


def _cu(case: Case) -> str:
    return control_unit(case).split("/")[0]


def _not_an_io_subchannel(case: Case) -> bool:
    own = case.state.subchannels.get(case.request.device)
    if case.subchannel is not None:
        return case.subchannel.type != 0
    return own is not None and own.type != 0


def _type_text(case: Case) -> str:
    own = case.subchannel or case.state.subchannels[case.request.device]
    return (
        f"it names a subchannel of type {SUBCHANNEL_TYPES.get(own.type, 'unknown')} ({own.type}), which has no device"
    )


def _missing_hint(case: Case) -> str:
    own = case.state.subchannels.get(case.request.device)
    if own is not None and own.devno is not None:
        return (
            f"{case.request.device} is the number of a subchannel; its device is {own.devno}. Name the device "
            "number, as lscss prints it in its first column"
        )
    return "Compare with lscss on the host; check that the device is defined to this LPAR and its paths are online"


ROWS: tuple[Row, ...] = (
    Row(
        "no-channels",
        "The system has no channel subsystem (/sys/bus/css)",
        lambda case: not case.state.has_channels,
        say("this system has no channel subsystem: /sys/bus/css is not there"),
        say("Run this on an s390x host (LPAR, z/VM or KVM) with /sys mounted"),
        absent=True,
        final=True,
    ),
    Row(
        "no-permission",
        "The user may not change the drivers of subchannels",
        lambda case: not case.state.may_write,
        say("this user may not change the drivers of subchannels"),
        say("Run the task as root (become: true)"),
        absent=True,
        final=True,
    ),
    Row(
        "ignored",
        "The device number is in /proc/cio_ignore, so the kernel does not look at it",
        lambda case: case.subchannel is None and case.request.device in case.state.ignored,
        say("the kernel ignores this device number: it is listed in /proc/cio_ignore"),
        lambda case: (
            f"Free it with 'cio_ignore -r {case.request.device}', and take it out of cio_ignore= on the kernel's "
            "command line"
        ),
        absent=True,
        final=True,
    ),
    Row(
        "not-io-subchannel",
        "The number names a subchannel that is not of type 0 (CHSC, message, EADM)",
        _not_an_io_subchannel,
        _type_text,
        say("Only devices on I/O subchannels (type 0) can be passed through"),
        absent=True,
        final=True,
    ),
    Row(
        "not-found",
        "No subchannel of the host has a device of this number; it may be a subchannel's number",
        lambda case: case.subchannel is None,
        say("no subchannel of this host has a device of this number"),
        _missing_hint,
        absent=True,
        final=True,
    ),
    Row(
        "no-vfio-ccw",
        "The kernel has no driver vfio_ccw: an option is not set or a module is missing",
        lambda case: not case.state.vfio_ccw_registered and bool(case.state.kernel_lacks),
        lambda case: f"the kernel has no driver vfio_ccw: {case.state.kernel_lacks}",
        say("Module zkvm.vfio_ccw.kernel_support lists what is there"),
    ),
    Row(
        "virtio",
        "The device is a virtio device of the host's own hypervisor",
        lambda case: _cu(case) == VIRTIO_CU_TYPE,
        lambda case: f"it is a virtio device (control unit {control_unit(case)}), made by this host's own hypervisor",
        say("Pass the disk or network that lies behind it to the guest as virtio"),
        final=True,
    ),
    Row(
        "qdio",
        "The device is driven by QDIO (OSA, HiperSockets, FCP), which vfio_ccw does not support",
        lambda case: _cu(case) in QDIO_CU_TYPES,
        lambda case: f"it is a QDIO device (control unit {control_unit(case)}); vfio_ccw does not support QDIO",
        say("Use virtio-net for an OSA or HiperSockets device, and virtio-scsi for FCP"),
        final=True,
    ),
    Row(
        "not-passed",
        "A mediated device alone is asked for (module mdev), and vfio_ccw does not have the subchannel",
        lambda case: case.request.scope == MDEV_ONLY and not case.passed,
        lambda case: (
            f"its subchannel {case.place.busid} is bound to {case.place.driver or 'no driver'}, expected {VFIO_CCW}, "
            "which alone has mediated devices"
        ),
        say("Bind it first (module zkvm.vfio_ccw.subchannel), or do both at once (zkvm.vfio_ccw.passthrough)"),
        final=True,
    ),
)

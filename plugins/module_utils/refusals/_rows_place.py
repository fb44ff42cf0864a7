# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refusals of what is not as it was left: others at work on the subchannel, other guests, other mediated devices."""

from __future__ import annotations

from .._busid import BusId
from .._sysfs import DRIVERCTL_DIRECTORY
from ..host._model import IO_SUBCHANNEL, SUBCHANNEL_ONLY, VFIO_CCW
from ._case import Case
from ._row import Row, say


def _wants_mdev(case: Case) -> bool:
    return case.request.scope != SUBCHANNEL_ONLY


def _uuid_taken(case: Case) -> bool:
    other = case.state.mdevs.get(case.request.uuid)
    return other is not None and (case.subchannel is None or other.subchannel != case.subchannel.busid)


def _bad_override(case: Case) -> bool:
    wrong = case.subchannel.driver_override if case.subchannel else ""
    return bool(wrong) and wrong not in (VFIO_CCW, IO_SUBCHANNEL) and not case.done and not case.request.adopt


def _unknown_driver(case: Case) -> bool:
    return case.subchannel is not None and case.subchannel.driver not in ("", IO_SUBCHANNEL, VFIO_CCW)


def _stranger(case: Case) -> BusId | None:
    """The device that sits, passed on, where the journal notes this one."""
    old = case.state.left_behind.get(case.request.device)
    if old is None or old.driver != VFIO_CCW or old.devno in (None, case.request.device):
        return None
    owner = case.state.journal.get(old.devno) if old.devno else None
    return None if owner is not None and owner.subchannel == old.busid else old.devno


def _what_is_there(case: Case) -> str:
    mdev = f" with mediated device {case.mdev.uuid}" if case.mdev else ""
    return f"vfio_ccw has subchannel {case.place.busid}{mdev}"


def _foreign_override(case: Case) -> str:
    sub = case.subchannel
    if sub is None:
        return ""
    if sub.kept_driver == VFIO_CCW:
        return f"{DRIVERCTL_DIRECTORY}/css-{sub.busid}"
    return f"driver_override of subchannel {sub.busid}" if sub.driver_override == VFIO_CCW else ""


ROWS: tuple[Row, ...] = (
    Row(
        "foreign-driver",
        "The subchannel is bound to a driver other than io_subchannel and vfio_ccw",
        _unknown_driver,
        lambda case: (
            f"subchannel {case.subchannel.busid if case.subchannel else ''} is bound to the driver "
            f"{case.subchannel.driver if case.subchannel else ''}, expected io_subchannel or vfio_ccw"
        ),
        say("Unbind it from that driver first"),
        absent=True,
    ),
    Row(
        "driver-override",
        "driver_override of the subchannel names another driver, so that no other can bind it",
        _bad_override,
        lambda case: (
            f"driver_override of subchannel {case.subchannel.busid if case.subchannel else ''} names "
            f"{case.subchannel.driver_override if case.subchannel else ''!r}; no other driver can bind it"
        ),
        lambda case: f"Clear it: driverctl -b css unset-override {case.subchannel.busid if case.subchannel else ''}",
        absent=True,
    ),
    Row(
        "wrong-device",
        "The subchannel that the journal notes for the device has another device now, and vfio_ccw has that one",
        lambda case: _stranger(case) is not None and (case.request.present or not case.request.adopt),
        lambda case: (
            f"the journal notes subchannel {case.state.left_behind[case.request.device].busid} for it; since the host "
            f"was started again that has device {_stranger(case)}, and vfio_ccw has taken it"
        ),
        lambda case: (
            f"A guest may use the wrong device: stop it, give the device back (device: {_stranger(case)}, state: "
            "absent, adopt: true), and run this again"
        ),
        absent=True,
        final=True,
    ),
    Row(
        "not-ours",
        "Somebody else bound the subchannel to vfio_ccw (no entry in the journal)",
        lambda case: case.passed and not case.ours,
        lambda case: f"it was passed on by other means: {_what_is_there(case)}, and the journal does not know of it",
        say("adopt: true takes it over as it is"),
        absent=True,
    ),
    Row(
        "foreign-override",
        "Somebody else wants the subchannel for vfio_ccw: driver_override, or driverctl at boot (not in the journal)",
        lambda case: not case.passed and not case.ours and bool(_foreign_override(case)),
        lambda case: f"somebody else has it set aside for vfio_ccw: {_foreign_override(case)}",
        lambda case: f"adopt: true takes it over; 'driverctl -b css unset-override {case.place.busid}' ends it",
    ),
    Row(
        "other-guest",
        "The device is passed to another guest already",
        lambda case: bool(case.owner) and bool(case.request.guest) and case.owner != case.request.guest,
        lambda case: f"it is passed to guest {case.owner} already (wanted: {case.request.guest})",
        lambda case: f"Give it back first: device {case.request.device}, guest {case.owner}, state absent",
        absent=True,
    ),
    Row(
        "other-uuid",
        "The subchannel carries another mediated device already; it can carry one only",
        lambda case: _wants_mdev(case) and case.mdev is not None and case.mdev.uuid != case.request.uuid,
        lambda case: (
            f"its subchannel has the mediated device {case.mdev.uuid if case.mdev else ''} already (wanted: "
            f"{case.request.uuid}), and a subchannel carries one only"
        ),
        lambda case: f"Name uuid {case.mdev.uuid if case.mdev else ''}, or give the device back first",
    ),
    Row(
        "other-uuid",
        "The mediated device on the subchannel was not made here",
        lambda case: not case.owned_uuid,
        lambda case: (
            f"its mediated device {case.mdev.uuid if case.mdev else ''} was not made here "
            f"(expected {case.entry.uuid if case.entry and not case.request.uuid_given else case.request.uuid})"
        ),
        lambda case: f"Name it if you want it removed: uuid: {case.mdev.uuid if case.mdev else ''}",
        present=False,
        absent=True,
    ),
    Row(
        "carries-mdev",
        "The subchannel alone is to go back to its driver io_subchannel (module subchannel), and has a mediated device",
        lambda case: case.request.scope == SUBCHANNEL_ONLY and case.mdev is not None,
        lambda case: f"its subchannel has the mediated device {case.mdev.uuid if case.mdev else ''}",
        say("Remove that first (module zkvm.vfio_ccw.mdev), or do both at once (zkvm.vfio_ccw.passthrough)"),
        present=False,
        absent=True,
    ),
    Row(
        "in-use",
        "A running guest has the mediated device open",
        lambda case: case.mdev is not None and case.mdev.in_use,
        lambda case: (
            f"a running guest{' (' + case.owner + ')' if case.owner else ''} has its mediated device "
            f"{case.mdev.uuid if case.mdev else ''} open: /dev/vfio/{case.mdev.group if case.mdev else ''} is busy"
        ),
        say("Set the device offline in the guest and stop the guest, or unplug the device, first"),
        present=False,
        absent=True,
    ),
    Row(
        "in-use",
        "A mediated device was removed while a running guest had it open, and the guest still has",
        lambda case: case.passed and case.subchannel is not None and case.subchannel.removing,
        lambda case: (
            f"a running guest{' (' + case.owner + ')' if case.owner else ''} still has the mediated device open that "
            f"was removed from subchannel {case.place.busid}: it is gone, and no instance is free"
        ),
        say("Stop that guest: the kernel then finishes the removal. Run this again afterwards"),
        absent=True,
    ),
    Row(
        "uuid-taken",
        "A mediated device on another subchannel has this uuid",
        lambda case: _wants_mdev(case) and _uuid_taken(case),
        lambda case: (
            f"uuid {case.request.uuid} is the one of a mediated device on subchannel "
            f"{case.state.mdevs[case.request.uuid].subchannel}"
        ),
        say("Choose another one (uuidgen)"),
    ),
)

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every reason for which a device is not passed through or not given back: one table.

A refusal is found before anything is written. Each row has an id, a condition over what was observed, what was
found, and what to do next. ``forcible`` rows can be overruled by naming their id in the option ``force``; the others
would lose data or cannot work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Sequence

from ._case import Case
from ._model import (
    IO_SUBCHANNEL,
    QDIO_CU_TYPES,
    SUBCHANNEL_TYPES,
    VFIO_CCW,
    VIRTIO_CU_TYPE,
    HostState,
    Request,
)


@dataclass(frozen=True)
class Refusal:
    """``id`` is the row's, ``device`` the text that the user gave."""

    id: str
    device: str
    found: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.device}: {self.found} [{self.id}]. {self.next_step}."


class Refused(Exception):
    """One or more devices were refused; nothing was changed."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        self.refusals = list(refusals)
        super().__init__("Nothing was changed. " + " ".join(str(refusal) for refusal in self.refusals))


Condition = Callable[[Case], bool]
Text = Callable[[Case], str]


@dataclass(frozen=True)
class Row:
    id: str
    when: str
    """The condition in words, for the documentation."""
    condition: Condition
    found: Text
    next_step: Text
    present: bool = True
    """Whether it guards passing a device through."""
    absent: bool = False
    """Whether it guards giving it back."""
    forcible: bool = False
    final: bool = False
    """Whether later rows say nothing once this one holds."""


def _leaving(case: Case) -> bool:
    """The device is still the host's and is to be taken from it."""
    return case.ccw is not None and not case.passed


def _used(kind: str) -> Condition:
    return lambda case: _leaving(case) and case.ccw is not None and any(use.kind == kind for use in case.ccw.users)


def _uses(kind: str) -> Text:
    return lambda case: f"the {'disk' if _is_disk(case) else 'device'} is in use on the host: {_details(case, kind)}"


def _is_disk(case: Case) -> bool:
    return case.ccw is not None and case.ccw.is_dasd


def _details(case: Case, kind: str) -> str:
    return "; ".join(use.detail for use in (case.ccw.users if case.ccw else ()) if use.kind == kind)


def _say(text: str) -> Text:
    return lambda case: text


def _cu(case: Case) -> str:
    return case.ccw.cutype.split("/")[0] if case.ccw else ""


def _kind(case: Case) -> str:
    number = case.subchannel.type if case.subchannel else 0
    return f"{SUBCHANNEL_TYPES.get(number, 'unknown')} (type {number})"


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
            "number, as lscss prints "
            "it in its first column"
        )
    return "Compare with lscss on the host; check that the device is defined to this LPAR and its paths are online"


def _uuid_taken(case: Case) -> bool:
    other = case.state.mdevs.get(case.request.uuid)
    return other is not None and (case.subchannel is None or other.subchannel != case.subchannel.busid)


def _other_kept(case: Case) -> str:
    kept = case.subchannel.kept_mdevs if case.subchannel else ()
    return next((uuid for uuid in kept if uuid != case.request.uuid), "")


def _bad_override(case: Case) -> bool:
    wrong = case.subchannel.driver_override if case.subchannel else ""
    return bool(wrong) and wrong not in (VFIO_CCW, IO_SUBCHANNEL) and not case.done


def _unknown_driver(case: Case) -> bool:
    return case.subchannel is not None and case.subchannel.driver not in ("", IO_SUBCHANNEL, VFIO_CCW)


ROWS: tuple[Row, ...] = (
    Row(
        "no-channels",
        "The system has no channel subsystem (/sys/bus/css)",
        lambda case: not case.state.has_channels,
        _say("this system has no channel subsystem: /sys/bus/css is not there"),
        _say("Run this on an s390x host (LPAR, z/VM or KVM) with /sys mounted"),
        absent=True,
        final=True,
    ),
    Row(
        "no-permission",
        "The user may not change the drivers of subchannels",
        lambda case: not case.state.may_write,
        _say("this user may not change the drivers of subchannels"),
        _say("Run the task as root (become: true)"),
        absent=True,
        final=True,
    ),
    Row(
        "ignored",
        "The device number is in /proc/cio_ignore, so the kernel does not look at it",
        lambda case: case.subchannel is None and case.request.device in case.state.ignored,
        _say("the kernel ignores this device number: it is listed in /proc/cio_ignore"),
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
        _say("Only devices on I/O subchannels (type 0) can be passed through"),
        absent=True,
        final=True,
    ),
    Row(
        "not-found",
        "No subchannel of the host has a device of this number; it may be a subchannel's number",
        lambda case: case.subchannel is None,
        _say("no subchannel of this host has a device of this number"),
        _missing_hint,
        absent=True,
        final=True,
    ),
    Row(
        "no-vfio-ccw",
        "The kernel has no driver vfio_ccw: an option is not set or a module is missing",
        lambda case: not case.state.vfio_ccw_registered and bool(case.state.kernel_lacks),
        lambda case: f"the kernel has no driver vfio_ccw: {case.state.kernel_lacks}",
        _say("Module zkvm.vfio_ccw.kernel_support lists what is there"),
    ),
    Row(
        "virtio",
        "The device is a virtio device of the host's own hypervisor",
        lambda case: _cu(case) == VIRTIO_CU_TYPE,
        lambda case: (
            f"it is a virtio device (control unit {case.ccw.cutype if case.ccw else ''}), made by this host's own "
            "hypervisor"
        ),
        _say("Pass the disk or network that lies behind it to the guest as virtio"),
        final=True,
    ),
    Row(
        "qdio",
        "The device is driven by QDIO (OSA, HiperSockets, FCP), which vfio_ccw does not support",
        lambda case: _cu(case) in QDIO_CU_TYPES,
        lambda case: (
            f"it is a QDIO device (control unit {case.ccw.cutype if case.ccw else ''}); vfio_ccw does not support QDIO"
        ),
        _say("Use virtio-net for an OSA or HiperSockets device, and virtio-scsi for FCP"),
        final=True,
    ),
    Row(
        "mounted",
        "A file system on the disk or on one of its partitions is mounted",
        _used("mounted"),
        _uses("mounted"),
        _say("Unmount it, and remove it from /etc/fstab"),
    ),
    Row(
        "swap",
        "The disk or one of its partitions is a swap area in use",
        _used("swap"),
        _uses("swap"),
        _say("Run swapoff, and remove it from /etc/fstab"),
    ),
    Row(
        "holder",
        "A volume (LVM, device mapper, md) is built on the disk or on one of its partitions",
        _used("holder"),
        _uses("holder"),
        _say("Take the disk out of that volume, or deactivate the volume"),
    ),
    Row(
        "opened",
        "A process has the disk or one of its partitions open",
        _used("opened"),
        _uses("opened"),
        _say("End that process, or name another disk"),
    ),
    Row(
        "grouped",
        "The device is part of a group device (CTC, LCS, qeth) on the host",
        _used("grouped"),
        lambda case: f"the host has it in {_details(case, 'grouped')}",
        _say("Take the group apart first: 'chzdev -d' with its type and number, or write 1 to ungroup of the group"),
    ),
    Row(
        "serves",
        "A network interface or a terminal of the host is on the device",
        _used("serves"),
        lambda case: f"it serves the host as {_details(case, 'serves')}",
        lambda case: f"End its use, and set it offline: 'chccwdev -d {case.request.device}'",
    ),
    Row(
        "online-no-disk",
        "The device is online and no disk (a console, a tape, a channel-to-channel adapter): its users do not all show",
        lambda case: _leaving(case) and case.ccw is not None and case.ccw.online and not case.ccw.is_dasd,
        lambda case: (
            f"it is online on the host and no disk (control unit {case.ccw.cutype if case.ccw else ''}), so it cannot "
            "be seen who uses it"
        ),
        lambda case: f"If nobody does, set it offline: 'chccwdev -d {case.request.device}'",
        forcible=True,
    ),
    Row(
        "alias",
        "The device is a PAV alias, not a disk of its own",
        lambda case: _leaving(case) and case.ccw is not None and case.ccw.alias,
        _say("it is a PAV alias, not a disk of its own"),
        _say("Name the base device"),
    ),
    Row(
        "unavailable",
        "The device does not answer: no path, boxed (reserved by another system) or no device",
        lambda case: _leaving(case) and case.ccw is not None and case.ccw.availability not in ("good", ""),
        lambda case: (
            f"the device does not answer: its availability is {case.ccw.availability if case.ccw else ''!r}, "
            "expected 'good'"
        ),
        _say("Bring its channel paths online (lschp, chchp); a boxed device is reserved by another system"),
        forcible=True,
    ),
    Row(
        "boot-device",
        "The host was started from the device, or is to be started from it or dumped to it",
        lambda case: case.request.device in case.state.special and not case.passed,
        lambda case: case.state.special[case.request.device],
        _say("Name another device, or change the host's boot settings first (chreipl, dumpconf)"),
        forcible=True,
    ),
    Row(
        "no-tools",
        "persistent is asked for and driverctl or mdevctl is not installed",
        lambda case: case.request.persistent and bool(case.state.missing_tools),
        lambda case: f"it is to last over a restart, but the host lacks {' and '.join(case.state.missing_tools)}",
        _say("Install the package of that name, or leave persistent out and run this again after a restart"),
    ),
    Row(
        "no-override",
        "persistent is asked for and the kernel has no driver_override for subchannels (before 5.3)",
        lambda case: case.request.persistent and case.subchannel is not None and not case.subchannel.has_override,
        _say(
            "it is to last over a restart, but this kernel has no driver_override for subchannels (5.3 and newer have)"
        ),
        _say("Leave persistent out and run this again after a restart"),
    ),
    Row(
        "online-at-boot",
        "persistent is asked for and the host would put the device online at boot (a udev rule of chzdev)",
        lambda case: case.request.persistent and case.request.device in case.state.zdev_rules,
        lambda case: f"the host sets it online at boot: {case.state.zdev_rules[case.request.device]}",
        lambda case: f"Run 'chzdev -d -p {case.request.device}', and update the initial RAM disk",
        forcible=True,
    ),
    Row(
        "foreign-driver",
        "The subchannel is bound to a driver other than io_subchannel and vfio_ccw",
        _unknown_driver,
        lambda case: (
            f"subchannel {case.subchannel.busid if case.subchannel else ''} is bound to the driver "
            f"{case.subchannel.driver if case.subchannel else ''}, expected io_subchannel or vfio_ccw"
        ),
        _say("Unbind it from that driver first"),
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
        lambda case: case.mdev is not None and case.mdev.uuid != case.request.uuid,
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
        "other-uuid-at-boot",
        "mdevctl is to create another mediated device whenever the subchannel is bound to vfio_ccw",
        lambda case: not case.done and bool(_other_kept(case)),
        lambda case: (
            f"/etc/mdevctl.d/{case.place.busid}/{_other_kept(case)} lets mdevctl create mediated device "
            f"{_other_kept(case)} as soon as vfio_ccw has the subchannel (wanted: {case.request.uuid}), and a "
            "subchannel carries one only"
        ),
        lambda case: (
            f"Name uuid {_other_kept(case)}, or end it: mdevctl undefine -u {_other_kept(case)} -p {case.place.busid}"
        ),
    ),
    Row(
        "in-use",
        "A running guest has the mediated device open",
        lambda case: case.mdev is not None and case.mdev.in_use,
        lambda case: (
            f"a running guest{' (' + case.owner + ')' if case.owner else ''} has its mediated device "
            f"{case.mdev.uuid if case.mdev else ''} open: /dev/vfio/{case.mdev.group if case.mdev else ''} is busy"
        ),
        _say("Set the device offline in the guest and stop the guest, or unplug the device, first"),
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
        _say("Stop that guest: the kernel then finishes the removal. Run this again afterwards"),
        absent=True,
    ),
    Row(
        "uuid-taken",
        "A mediated device on another subchannel has this uuid",
        _uuid_taken,
        lambda case: (
            f"uuid {case.request.uuid} is the one of a mediated device on subchannel "
            f"{case.state.mdevs[case.request.uuid].subchannel}"
        ),
        _say("Choose another one (uuidgen)"),
    ),
)

FORCIBLE = tuple(row.id for row in ROWS if row.forcible)

# What is wrong with the list itself, found while it is parsed; the docs are made of this and of the rows above.
LIST_REFUSALS: dict[str, str] = {
    "malformed": "Write the device number in full, quoted, as lscss prints it",
    "bad-uuid": "Make one with uuidgen, or leave uuid out for one that follows from the device number",
    "bad-devno": "Leave devno out for the same number as on the host",
    "bad-guest": "Use letters, digits, dots, dashes and underscores",
    "invisible-devno": "A Linux guest sees channel subsystem fe only: write fe.S.DDDD",
    "duplicate-device": "List each device once",
    "duplicate-uuid": "Give each device a uuid of its own",
    "duplicate-devno": "Give each device of a guest a devno of its own",
}


def check(request: Request, state: HostState) -> list[Refusal]:
    """Every reason to refuse one request, in the table's order."""
    case = Case(request, state)
    refusals: list[Refusal] = []
    for row in ROWS:
        guards = row.present if request.present else row.absent
        if not guards or (row.forcible and row.id in request.force) or not row.condition(case):
            continue
        refusals.append(Refusal(row.id, str(request.device), row.found(case), row.next_step(case)))
        if row.final:
            break
    return refusals

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refusals of what the host needs itself: disks in use, devices that serve it, the ones it is started from.

The kernel would take most of these from the host without a word, so those that lose data cannot be overruled.
"""

from __future__ import annotations

from .._busid import BusId, spans
from ._case import Case
from ._row import Condition, Row, Text, control_unit, leaving, say

BOXED = "boxed"


def _used(kind: str) -> Condition:
    return lambda case: leaving(case) and case.ccw is not None and any(use.kind == kind for use in case.ccw.users)


def _uses(kind: str) -> Text:
    return lambda case: f"the {'disk' if _is_disk(case) else 'device'} is in use on the host: {_details(case, kind)}"


def _is_disk(case: Case) -> bool:
    return case.ccw is not None and case.ccw.is_dasd


def _details(case: Case, kind: str) -> str:
    return "; ".join(use.detail for use in (case.ccw.users if case.ccw else ()) if use.kind == kind)


def _claimed(kind: str) -> Condition:
    return lambda case: leaving(case) and any(use.kind == kind for use in case.claims)


def _claim(case: Case, kind: str) -> str:
    return "; ".join(use.detail for use in case.claims if use.kind == kind)


def _aliases(case: Case) -> tuple[BusId, ...]:
    return case.state.aliases.get(case.request.device, ())


def _alias_text(case: Case) -> str:
    uid = case.ccw.uid if case.ccw else ""
    if uid.endswith(".xx"):
        system = uid.rpartition(".")[0]
        return f"it is a HyperPAV alias: through it a guest would reach every disk of the subsystem {system}"
    return f"it is a PAV alias{f' of the disk {uid}' if uid else ''}, not a disk of its own"


def _other_systems(case: Case) -> int:
    return (case.ccw.hosts or 1) - 1 if case.ccw else 0


def _reservation(case: Case) -> str:
    return case.ccw.reservation if case.ccw else ""


def _availability(case: Case) -> str:
    return case.ccw.availability if case.ccw else ""


def _node(case: Case) -> str:
    return case.ccw.block[0].path if case.ccw and case.ccw.block else "its node"


def _special(kind: str) -> Condition:
    def needed(case: Case) -> bool:
        special = case.state.special.get(case.request.device)
        return special is not None and special.kind == kind and not case.passed

    return needed


ROWS: tuple[Row, ...] = (
    Row(
        "root-device",
        "The host's root file system is on the disk, itself or through a volume",
        _used("root"),
        lambda case: f"the host runs from it: {_details(case, 'root')}",
        say("Name another disk: a running host cannot do without its root file system"),
    ),
    Row(
        "mounted",
        "A file system on the disk or on one of its partitions is mounted",
        _used("mounted"),
        _uses("mounted"),
        say("Unmount it, and remove it from /etc/fstab"),
    ),
    Row(
        "swap",
        "The disk or one of its partitions is a swap area in use",
        _used("swap"),
        _uses("swap"),
        say("Run swapoff, and remove it from /etc/fstab"),
    ),
    Row(
        "holder",
        "A volume (LVM, device mapper, md) is built on the disk or on one of its partitions",
        _used("holder"),
        _uses("holder"),
        say("Take the disk out of that volume, or deactivate the volume"),
    ),
    Row(
        "volume-member",
        "By the label on it, the disk or a partition is a member of a volume group, RAID array or btrfs file system of "
        "several disks that is not active",
        _claimed("member"),
        lambda case: f"a volume needs it that is not active: {_claim(case, 'member')}",
        say("Take it out of that volume (vgreduce, mdadm --remove, btrfs device remove) or remove its label (wipefs)"),
        forcible=True,
    ),
    Row(
        "in-fstab",
        "/etc/fstab, or a mount unit below /etc/systemd/system, names the disk or one of its partitions, which is not "
        "mounted",
        _claimed("fstab"),
        lambda case: f"the host is to mount it: {_claim(case, 'fstab')}",
        say("Take that out of the file: without the disk the host may not start any more"),
        forcible=True,
    ),
    Row(
        "swap-in-fstab",
        "/etc/fstab, or a swap unit below /etc/systemd/system, names the disk or one of its partitions as swap area",
        _claimed("fstab-swap"),
        lambda case: f"the host is to swap on it: {_claim(case, 'fstab-swap')}",
        say("Take that out of the file"),
        forcible=True,
    ),
    Row(
        "in-crypttab",
        "/etc/crypttab names the disk or one of its partitions",
        _claimed("crypttab"),
        lambda case: f"the host is to decrypt it: {_claim(case, 'crypttab')}",
        say("Take that out of the file: without the disk the host may not start any more"),
        forcible=True,
    ),
    Row(
        "opened",
        "A process has the disk or one of its partitions open",
        _used("opened"),
        _uses("opened"),
        say("End that process, or name another disk"),
    ),
    Row(
        "grouped",
        "The device is part of a group device (CTC, LCS, qeth) on the host",
        _used("grouped"),
        lambda case: f"the host has it in {_details(case, 'grouped')}",
        say("Take the group apart first: 'chzdev -d' with its type and number, or write 1 to ungroup of the group"),
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
        lambda case: leaving(case) and case.ccw is not None and case.ccw.online and not case.ccw.is_dasd,
        lambda case: (
            f"it is online on the host and no disk (control unit {control_unit(case)}), so it cannot "
            "be seen who uses it"
        ),
        lambda case: f"If nobody does, set it offline: 'chccwdev -d {case.request.device}'",
        forcible=True,
    ),
    Row(
        "alias",
        "The device is a PAV alias, not a disk of its own",
        lambda case: leaving(case) and case.ccw is not None and case.ccw.alias,
        _alias_text,
        say("Name the base device"),
    ),
    Row(
        "base-with-aliases",
        "PAV aliases of the disk are online on the host",
        lambda case: leaving(case) and bool(_aliases(case)),
        lambda case: f"the host uses PAV aliases of it: {', '.join(spans(_aliases(case)))}",
        lambda case: f"Set them offline first: 'chccwdev -d {','.join(str(one) for one in _aliases(case))}'",
        forcible=True,
    ),
    Row(
        "reserved",
        "Another system has the device reserved (boxed)",
        lambda case: leaving(case) and _availability(case) == BOXED,
        say("another system has it reserved: its availability is 'boxed', expected 'good'"),
        say("Let that system release it, or make sure that it is gone for good"),
        forcible=True,
    ),
    Row(
        "reserved",
        "Another system took the reservation of the device from this one (last_known_reservation_state: lost)",
        lambda case: leaving(case) and _reservation(case) == "lost",
        say("another system took its reservation from this host: last_known_reservation_state is 'lost'"),
        say("Let that system release it, and write 'reset' to last_known_reservation_state of the device"),
        forcible=True,
    ),
    Row(
        "reserved-here",
        "This host has the device reserved (last_known_reservation_state: reserved)",
        lambda case: leaving(case) and _reservation(case) == "reserved",
        say("this host itself has it reserved: last_known_reservation_state is 'reserved'"),
        lambda case: f"Find out what reserved it, and release it: tunedasd -L {_node(case)}",
        forcible=True,
    ),
    Row(
        "shared",
        "Other systems have a path group to the disk (host_access_count): it is online there, too",
        lambda case: leaving(case) and _other_systems(case) > 0,
        lambda case: (
            f"{_other_systems(case)} other system{'s have' if _other_systems(case) > 1 else ' has'} it online: "
            f"host_access_count is {case.ccw.hosts if case.ccw else 0}, expected 1"
        ),
        lambda case: (
            f"Set it offline there (/sys/kernel/debug/dasd/{case.request.device}/host_access_list says which systems "
            "they are), or overrule this if all of them know that they share it"
        ),
        forcible=True,
    ),
    Row(
        "unavailable",
        "The device does not answer: no path, or no device",
        lambda case: leaving(case) and _availability(case) not in ("good", "", BOXED),
        lambda case: f"the device does not answer: its availability is {_availability(case)!r}, expected 'good'",
        say("Bring its channel paths online (lschp, chchp)"),
        forcible=True,
    ),
    Row(
        "boot-device",
        "The host was started from the device, or is to be started from it",
        _special("boot"),
        lambda case: case.state.special[case.request.device].why,
        say("Name another device, or change the host's boot settings first (chreipl)"),
        forcible=True,
    ),
    Row(
        "dump-device",
        "The host is to be dumped to the device",
        _special("dump"),
        lambda case: case.state.special[case.request.device].why,
        say("Name another device, or change the host's dump settings first (dumpconf)"),
        forcible=True,
    ),
)

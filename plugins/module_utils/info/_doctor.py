# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a device cannot be used in a guest, or that it can: every link of the chain from the kernel to the guest's QEMU.

Nothing here changes anything. Whether the device can leave the host is asked of the table of refusals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .._busid import BusId, GuestDevno
from .._host import Host
from .._sysfs import CSS_DEVICES
from ..engine._requests import GUEST_NAME, Defaults
from ..host._buses import group_in_use
from ..host._journal import passed_and_left, read_notes
from ..host._model import VFIO_CCW, JournalEntry, Request
from ..host._observe import host_id, observe
from ..qemu._guest import running_argv
from ..qemu._qemu import Guest
from ..refusals._case import Case
from ..refusals._rows_boot import ROWS as BOOT_ROWS
from ..refusals._table import check

OK, FAILS, OPEN = "ok", "fails", "open"
"""``open``: nothing is wrong, and it is not done (or cannot be seen from here)."""

USABLE, READY, PASSABLE, REFUSED = "usable", "ready", "passable", "refused"
CAN = {
    USABLE: "can be used",
    READY: "is ready and not in use yet",
    PASSABLE: "could be passed through and is not",
    REFUSED: "cannot be used",
}


class DoctorError(Exception):
    """A question that cannot be asked."""


@dataclass(frozen=True)
class Check:
    """One link of the chain. ``state``: OK, FAILS or OPEN."""

    name: str
    state: str
    found: str
    next_step: str = ""

    def lines(self) -> list[str]:
        first = f"{self.state:<6} {self.name}: {self.found}"
        return [first] + ([f"       -> {self.next_step}"] if self.next_step else [])


def examine(host: Host, device: BusId, guest: str) -> dict[str, Any]:
    """The module's result. ``guest`` "" for the one that the journal notes, if any.

    Raises DoctorError, HostError, JournalError.
    """
    if guest and not GUEST_NAME.fullmatch(guest):
        raise DoctorError(f"guest {guest!r} is no name for a guest: use letters, digits, dots, dashes and underscores")
    journal, left = passed_and_left(read_notes(host))
    entry = journal.get(device)
    guest = guest or (entry.guest if entry else "")
    request = _request(host, device, guest, entry)
    state = replace(observe(host, [request], journal), left_offline=left)
    sub = state.by_device.get(device)
    if sub is not None and sub.mdevs:
        request = replace(request, uuid=sub.mdevs[0].uuid, adopt=True)
    case = Case(request, state)
    checks = _host_checks(host, case)
    if case.passed:
        checks += _mdev_checks(case)
        checks += _guest_checks(host, case, guest) if guest else []
    checks.append(_boot_check(case))
    return _result(case, guest, checks)


def _request(host: Host, device: BusId, guest: str, entry: JournalEntry | None) -> Request:
    uuid = entry.uuid if entry else Defaults(host_id(host)).uuid(device)
    devno = GuestDevno.parse(entry.devno) if entry and entry.devno else GuestDevno.like(device)
    return Request(device, uuid, devno, guest, persistent=True)


def _result(case: Case, guest: str, checks: list[Check]) -> dict[str, Any]:
    verdict = _verdict(case, guest, checks)
    where = f" in guest {guest}" if guest else ""
    seen = f", as {case.request.devno.guest_busid}" if verdict == USABLE and guest else ""
    head = f"{case.request.device} {CAN[verdict]}{where}{seen}"
    return {
        "changed": False,
        "device": str(case.request.device),
        "guest": guest,
        "guest_device": str(case.request.devno.guest_busid),
        "verdict": verdict,
        "usable": verdict == USABLE,
        "checks": [
            {"check": one.name, "state": one.state, "found": one.found, "next_step": one.next_step} for one in checks
        ],
        "report": [head, *(line for one in checks for line in one.lines())],
    }


def _verdict(case: Case, guest: str, checks: list[Check]) -> str:
    if any(one.state == FAILS for one in checks):
        return REFUSED
    if not case.passed:
        return PASSABLE
    chain = [one for one in checks if one.name in ("start script", "guest")]
    return USABLE if guest and all(one.state == OK for one in chain) else READY


# --- the host


def _host_checks(host: Host, case: Case) -> list[Check]:
    state, sub = case.state, case.subchannel
    kernel = "vfio_ccw is registered" if state.vfio_ccw_registered else "vfio_ccw can be loaded"
    checks = [] if state.kernel_lacks and not state.vfio_ccw_registered else [Check("kernel", OK, kernel)]
    refusals = check(replace(case.request, persistent=False), state)
    checks += [Check(one.id, FAILS, one.found, one.next_step) for one in refusals]
    if sub is None:
        return checks
    driver = sub.driver or "no driver"
    place = f"on subchannel {sub.busid}, which {'has ' if not sub.driver else 'is bound to '}{driver}"
    checks.append(Check("device", OK, place))
    checks.append(_paths(host, case))
    if case.request.device in state.unread:
        found = f"nobody looked at what is on it: {state.unread[case.request.device]}"
        checks.append(
            Check("contents", OPEN, found, "Set it online, and look again, if it may hold what the host needs")
        )
    if case.left is not None and case.ccw is not None and not case.ccw.online:
        found = "the host had it online, and left it offline for another system"
        checks.append(Check("left offline", OPEN, found, "Set it online (chccwdev -e) once no other system uses it"))
    if not case.passed:
        next_step = "" if refusals else "Module zkvm.vfio_ccw.passthrough takes it"
        checks.append(Check("passthrough", OPEN, "the host has it", next_step))
    return checks


def _paths(host: Host, case: Case) -> Check:
    path = f"{CSS_DEVICES}/{case.place.busid}"
    chpids = [chpid for chpid in host.get(f"{path}/chpids").split() if chpid != "00"]
    masks = host.get(f"{path}/pimpampom").split()
    text = f"CHPIDs {' '.join(chpids) or 'none'}, PIM PAM POM {' '.join(masks)}"
    if len(masks) == 3 and not int(masks[0], 16) & int(masks[1], 16) & int(masks[2], 16):
        return Check("paths", FAILS, f"no path is installed, available and operational: {text}", "See lschp and chchp")
    return Check("paths", OK, text)


def _boot_check(case: Case) -> Check:
    sub = case.subchannel
    wrong = [row for row in BOOT_ROWS if case.subchannel is not None and row.condition(case)]
    if sub is not None and sub.kept_driver == VFIO_CCW and case.request.uuid in sub.kept_mdevs and not wrong:
        return Check("restart of the host", OK, "driverctl and mdevctl set it up again")
    found = "; ".join(row.found(case) for row in wrong) or "it would be the host's again"
    then = "; ".join(row.next_step(case) for row in wrong) or "persistent: true makes it last"
    return Check("restart of the host", OPEN, found, then)


# --- the mediated device and the guest


def _mdev_checks(case: Case) -> list[Check]:
    mdev = case.mdev
    if mdev is None:
        text = f"subchannel {case.place.busid} is bound to vfio_ccw and has no mediated device"
        return [Check("mediated device", FAILS, text, "Module zkvm.vfio_ccw.passthrough makes it")]
    if not mdev.ready:
        text = f"{mdev.uuid} has no {'driver' if not mdev.driver else 'IOMMU group'}, so that QEMU cannot open it"
        return [Check("mediated device", FAILS, text, "Module zkvm.vfio_ccw.passthrough makes it again")]
    return [Check("mediated device", OK, f"{mdev.uuid}, /dev/vfio/{mdev.group}")]


def _guest_checks(host: Host, case: Case, name: str) -> list[Check]:
    guest, uuid = Guest(name, ()), case.request.uuid
    pid, argv = running_argv(host, guest.pid_file)
    wanted = f"devno={case.request.devno}," if case.entry is not None else ""  # else nobody knows where it is to be
    has = [word for word in argv if uuid in word]
    script = host.get(guest.script)
    checks = [_script(guest, script, uuid, wanted)]
    if not pid:
        checks.append(Check("guest", OPEN, f"{name} does not run", f"Start it: {guest.script}"))
    elif not has:
        text = f"{name} (process {pid}) was started without it"
        checks.append(Check("guest", OPEN, text, "Restart it to use its new start script"))
    elif wanted not in has[0] + ",":
        text = f"{name} (process {pid}) has it elsewhere: {has[0]}, expected {wanted[:-1]}"
        checks.append(Check("guest", FAILS, text, "Restart it to use its new start script"))
    else:
        checks.append(Check("guest", OK, f"{name} (process {pid}) was started with it"))
    return checks + _holder(host, case, pid if has else 0)


def _script(guest: Guest, script: str, uuid: str, wanted: str) -> Check:
    if not script:
        found, then = (
            f"{guest.script} is not there",
            "Module zkvm.vfio_ccw.qemu_guest writes it, unless libvirt runs it",
        )
        return Check("start script", OPEN, found, then)
    if uuid not in script:
        then = "Module zkvm.vfio_ccw.qemu_guest writes it: name the device there"
        return Check("start script", FAILS, f"{guest.script} does not name mediated device {uuid}", then)
    if wanted not in script:
        return Check("start script", FAILS, f"{guest.script} does not have {wanted[:-1]} for it", "Write it anew")
    return Check("start script", OK, f"{guest.script} has it{' as ' if wanted else ''}{wanted[:-1]}")


def _holder(host: Host, case: Case, pid: int) -> list[Check]:
    """Whether somebody else has the mediated device open."""
    group = case.mdev.group if case.mdev else ""
    if not group_in_use(host, group):
        return [Check("use", OPEN, f"nobody has /dev/vfio/{group} open")] if pid else []
    holder = _who_opened(host, f"/dev/vfio/{group}")
    if pid and holder in (0, pid):
        return [Check("use", OK, f"QEMU has /dev/vfio/{group} open")]
    who = f"process {holder} ({host.get(f'/proc/{holder}/comm') or 'unknown'})" if holder else "somebody"
    return [Check("use", FAILS, f"{who} has /dev/vfio/{group} open", "End that process, or let it give the device up")]


def _who_opened(host: Host, node: str) -> int:
    for pid in host.names("/proc"):
        if pid.isdigit():
            for descriptor in host.names(f"/proc/{pid}/fd"):
                if host.link(f"/proc/{pid}/fd/{descriptor}") == node:
                    return int(pid)
    return 0

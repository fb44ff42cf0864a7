# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest on its host: its start script, its QEMU process, started and stopped."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .._busid import BadName, GuestDevno, parse_uuid
from .._host import Host, HostError
from .._releases import NotPossible
from ..engine._requests import GUEST_NAME
from ..refusals._rows_guest import MdevCase, look
from ..refusals._table import GUEST_ROWS, Refused, check_guest
from ._qemu import NEWEST, Guest, PassedDevice, command_line, start_script, unfit
from ._qmp import QmpError, execute
from ._versions import FEATURES, QemuVersion

SCRIPT_MODE = 0o700
START_TIMEOUT = 10.0
TAIL = 64 * 1024
"""Bytes of a console that are looked at."""
SHOWN = 10
"""Lines of a console in a message."""
KVM = "/dev/kvm"
_LOADPARM = re.compile(r"[A-Za-z0-9. ]{1,8}")
"""hw/s390x/ipl.c: s390_ipl_fmt_loadparm."""
PREFETCH_KERNEL, PREFETCH_QEMU = (5, 10), QemuVersion(5, 1)
"""From these on channel programs without the prefetch flag, as a booting guest's, are taken."""

NEEDS = [feature.id for feature in FEATURES if feature.id not in ("vfio-ccw", "squash")]
"""What a guest's QEMU can be asked for by name."""
DEVICE_SPEC = {
    "uuid": {"type": "str", "required": True},
    "devno": {"type": "str", "required": True},
    "boot": {"type": "bool", "default": False},
    "bootindex": {"type": "int"},
    "loadparm": {"type": "str"},
    "force_orb_pfch": {"type": "bool"},
}
"""Of a guest's device, as the modules of both hypervisors take it."""
GUEST_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "started", "stopped", "absent"], "default": "started"},
    "devices": {"type": "list", "elements": "dict", "default": [], "options": DEVICE_SPEC},
    "qemu_version": {"type": "str"},
    "machine": {"type": "str", "default": "s390-ccw-virtio"},
    "needs": {"type": "list", "elements": "str", "default": [], "choices": NEEDS},
    "memory": {"type": "int", "default": 1024},
    "cpus": {"type": "int", "default": 1},
    "accel": {"type": "str", "choices": ["auto", "kvm", "tcg"], "default": "auto"},
    "extra_args": {"type": "list", "elements": "str", "default": []},
    "shutdown": {"type": "str", "choices": ["powerdown", "terminate"], "default": "powerdown"},
    "timeout": {"type": "int", "default": 180},
}
"""What the modules of both hypervisors ask of a guest."""


class GuestError(Exception):
    """A guest that cannot be as wanted; nothing was started."""


class BadGuest(GuestError):
    """What is asked of a guest is not possible, or not with what is there; nothing was changed."""


@dataclass(frozen=True)
class Hypervisor:
    """What runs guests on a host. ``kernel``: its version (major, minor), which may refuse what QEMU passes on."""

    qemu: QemuVersion = NEWEST
    kernel: tuple[int, int] = (99, 0)

    @property
    def needs_prefetch(self) -> bool:
        return self.kernel < PREFETCH_KERNEL or self.qemu < PREFETCH_QEMU


def hypervisor(host: Host, binary: str, given: str = "") -> Hypervisor:
    """Asked from the binary, unless the version is given. Raises GuestError, HostError."""
    release = re.match(r"(\d+)\.(\d+)", host.get("/proc/sys/kernel/osrelease"))
    kernel = (int(release.group(1)), int(release.group(2))) if release else Hypervisor.kernel
    said = given
    if not given:
        try:
            code, said, err = host.run([binary, "--version"])
        except HostError as exc:
            raise BadGuest(
                f"{exc}: the QEMU to start guests with cannot be asked for its version. Install QEMU 2.10 or newer on "
                "the host, or name its command (binary). Nothing was changed."
            ) from exc
        if code != 0:
            raise BadGuest(f"'{binary} --version' ended with {code}: {(err or said).strip()}. Give qemu_version")
    try:
        return Hypervisor(QemuVersion.parse(said), kernel)
    except NotPossible as exc:
        raise BadGuest(f"{exc}. Nothing was changed.") from exc


def parse_guest(params: dict[str, Any], accel: str, there: Hypervisor = Hypervisor()) -> Guest:
    """From a module's parameters. Raises GuestError that lists everything wrong."""
    wrong: list[str] = []
    name = str(params["name"])
    if not GUEST_NAME.fullmatch(name):
        wrong.append(f"name {name!r}: expected letters, digits, dots, dashes and underscores")
    devices = _parse_devices(params.get("devices") or [], there, wrong)
    for number in ("memory", "cpus"):
        if params[number] < 1:
            wrong.append(f"{number} {params[number]}: expected 1 or more")
    guest = Guest(
        name=name,
        devices=tuple(devices),
        memory=params["memory"],
        cpus=params["cpus"],
        accel=accel,
        binary=params["binary"],
        extra=tuple(params.get("extra_args") or ()),
        qemu=there.qemu,
        machine=params.get("machine") or Guest.machine,
        needs=tuple(params.get("needs") or ()),
    )
    wrong = wrong or unfit(guest)
    if wrong:
        raise BadGuest(f"guest {name}: " + "; ".join(wrong) + ". Nothing was changed.")
    return guest


def _parse_devices(items: Sequence[dict[str, Any]], there: Hypervisor, wrong: list[str]) -> list[PassedDevice]:
    devices: list[PassedDevice] = []
    for item in items:
        try:
            device = _parse_device(item, there)
        except BadName as exc:
            wrong.append(str(exc))
            continue
        if not device.devno.visible:
            wrong.append(f"devno {device.devno}: a Linux guest sees channel subsystem fe only, write fe.S.DDDD")
        for other in devices:
            if other.devno == device.devno:
                wrong.append(
                    f"devno {device.devno} is given to {other.uuid} and {device.uuid}, each device needs its own"
                )
            if other.uuid == device.uuid:
                wrong.append(f"uuid {device.uuid} is listed twice")
        devices.append(device)
    if sum(item.get("boot") is True for item in items) > 1:
        wrong.append("boot is set for more than one device; give them a bootindex each, 1 is tried first")
    return devices


def _parse_device(item: dict[str, Any], there: Hypervisor) -> PassedDevice:
    """Raises BadName."""
    bootindex = item.get("bootindex")
    if item.get("boot") and bootindex is None:
        bootindex = 1
    loadparm = parse_loadparm(item.get("loadparm"), bootindex)
    prefetch = item.get("force_orb_pfch")
    if prefetch is None:
        prefetch = bootindex is not None and there.needs_prefetch
    return PassedDevice(parse_uuid(item["uuid"]), GuestDevno.parse(item["devno"]), bootindex, loadparm, prefetch)


def parse_loadparm(given: str | None, bootindex: int | None) -> str:
    """Raises BadName."""
    loadparm = str(given or "")
    if loadparm and not _LOADPARM.fullmatch(loadparm):
        raise BadName(loadparm, "a loadparm of up to 8 letters, digits, dots and blanks")
    if loadparm and bootindex is None:
        raise BadName(loadparm, "no loadparm for a device that the guest is not started from; set boot or bootindex")
    return loadparm


def choose_accel(host: Host, wanted: str) -> tuple[str, list[str]]:
    """The accelerator, and a warning when it is the slow one for want of the other."""
    if wanted != "auto":
        return wanted, []
    if host.exists(KVM):
        return "kvm", []
    return "tcg", [
        f"{KVM} is not there, so the guest will be emulated (slow). Load the kernel module kvm on the host, or say "
        "that it is meant so: accel: tcg, guest_accel: tcg for the role guest"
    ]


# --- the process


def running_argv(host: Host, guest_pid_file: str) -> tuple[int, list[str]]:
    """Process id and arguments of the QEMU that wrote the pid file, (0, []) when it does not run.

    The number alone proves nothing: another process may have got it since.
    """
    text = host.get(guest_pid_file)
    if not re.fullmatch(r"[1-9]\d*", text):
        return 0, []
    argv = argv_of(host, int(text), guest_pid_file)
    return (int(text), argv) if argv else (0, [])


def argv_of(host: Host, pid: int, guest_pid_file: str) -> list[str]:
    """Arguments of a process that is the guest's QEMU, [] when it is gone or something else."""
    argv = host.get(f"/proc/{pid}/cmdline").rstrip("\0").split("\0")
    return argv if ("-pidfile", guest_pid_file) in zip(argv, argv[1:]) else []


def is_running(host: Host, guest: Guest) -> bool:
    return running_argv(host, guest.pid_file)[0] != 0


# --- the way to a state


@dataclass(frozen=True)
class Shutdown:
    """How a guest is ended: ``how`` is powerdown (its system shuts down) or terminate (as pulling its plug)."""

    how: str = "powerdown"
    timeout: float = 180.0
    """Seconds."""


def converge_guest(host: Host, guest: Guest, state: str, shutdown: Shutdown, check_mode: bool) -> dict[str, Any]:
    """The module's result. ``state``: present, started, stopped, absent. Raises GuestError, HostError."""
    script = start_script(guest)
    old = host.read(guest.script) if host.exists(guest.script) else ""
    pid, argv = running_argv(host, guest.pid_file)
    keep = state in ("present", "started")
    save = keep and (old != script or host.mode(guest.script) != SCRIPT_MODE)
    remove = state == "absent" and bool(old)
    start, stop = state == "started" and not pid, state in ("stopped", "absent") and bool(pid)
    if start:
        check_devices(host, guest, check_mode)
    actions = _actions(guest, save, start, stop, remove)
    if not check_mode:
        if save:
            host.save(guest.script, script, SCRIPT_MODE)
        if start:
            _start(host, guest)
        if stop:
            _stop(host, guest, pid, shutdown)
        if remove:
            host.unlink(guest.script)
    runs = (bool(pid) or start) and not stop
    outdated = bool(pid) and keep and argv[-len(command_line(guest)) + 1 :] != command_line(guest)[1:]
    warning = f"guest {guest.name} runs with another command line than its start script has; restart it to use that one"
    return {
        "changed": bool(actions),
        "actions": actions,
        "name": guest.name,
        "running": runs,
        "was_running": bool(pid),
        "restart_required": outdated,
        "command": command_line(guest) if state != "absent" else [],
        "script": guest.script,
        "pid_file": guest.pid_file,
        "monitor": guest.monitor,
        "console": guest.console,
        "diff": _diff(guest, old, script if keep else ("" if remove else old), bool(pid), runs),
        "warnings_": [warning] if outdated else [],
    }


def _diff(guest: Guest, before: str, after: str, ran: bool, runs: bool) -> list[dict[str, str]]:
    state = {True: "running\n", False: "not running\n"}
    return [
        {"before_header": guest.script, "after_header": guest.script, "before": before, "after": after},
        {
            "before_header": f"guest {guest.name}",
            "after_header": f"guest {guest.name}",
            "before": state[ran],
            "after": state[runs],
        },
    ]


def _actions(guest: Guest, save: bool, start: bool, stop: bool, remove: bool) -> list[dict[str, str]]:
    rows = (
        (save, "write-script", f"write the start script of guest {guest.name}", guest.script),
        (start, "start", f"start guest {guest.name}", guest.script),
        (stop, "stop", f"stop guest {guest.name}", guest.pid_file),
        (remove, "remove-script", f"remove the start script of guest {guest.name}", guest.script),
    )
    return [
        {"device": "", "step": step, "description": text, "path": path, "value": ""}
        for wanted, step, text, path in rows
        if wanted
    ]


def check_devices(host: Host, guest: Guest, check_mode: bool) -> None:
    """What QEMU would fail on, said before it is started. Raises Refused."""
    refusals = []
    for device in guest.devices:
        case = MdevCase(device.uuid, look(host, device.uuid), planned=check_mode)
        refusals += check_guest(GUEST_ROWS, case, f"guest {guest.name}")
    if refusals:
        raise Refused(refusals)


def _start(host: Host, guest: Guest) -> None:
    code, out, err = host.run([guest.script])
    if code != 0:
        said = (err or out).strip() or f"it ended with {code}"
        raise GuestError(f"guest {guest.name} was not started: {guest.script}: {said}")
    if not host.wait_for(lambda: is_running(host, guest), START_TIMEOUT):
        raise GuestError(
            f"guest {guest.name}: {guest.script} reported success, but no QEMU with {guest.pid_file} runs: it has "
            f"ended at once, as for a disk that nothing can be started from. The last lines of its console, "
            f"{guest.console}: {' / '.join(_last_lines(host, guest.console, SHOWN)) or 'nothing'}."
        )


def _stop(host: Host, guest: Guest, pid: int, shutdown: Shutdown) -> None:
    if shutdown.how == "powerdown":
        told = "being told to shut down"
        next_step = (
            "Log in and see what keeps it, or wait longer (timeout); a guest that is still starting, or that has no "
            "system, does not listen. shutdown: terminate ends it at once, as pulling its plug"
        )
        try:
            execute(host, guest.monitor, "system_powerdown")
        except QmpError as exc:
            raise GuestError(
                f"guest {guest.name} was not shut down: {exc}. It still runs; shutdown: terminate ends it at once."
            ) from exc
    else:
        told, next_step = "SIGTERM", "End it by hand if it hangs"
        host.kill(pid, signal.SIGTERM)
    # QEMU removes its pid file before it lets go of its devices: the process tells
    if not host.wait_for(lambda: not argv_of(host, pid, guest.pid_file), shutdown.timeout):
        raise GuestError(
            f"guest {guest.name}: QEMU (process {pid}) still runs {shutdown.timeout:g} s after {told}. Its "
            f"console is in {guest.console}. {next_step}."
        )
    try:
        host.unlink(guest.pid_file)  # QEMU does it itself, unless it was killed
    except HostError as exc:
        raise GuestError(f"guest {guest.name} is stopped, but its pid file stays: {exc}") from exc


# --- looking


def observe_guest(host: Host, name: str, lines: int) -> dict[str, Any]:
    """The info module's result: whether the guest runs, and the last lines of its console. Raises GuestError."""
    if not GUEST_NAME.fullmatch(name):
        raise BadGuest(f"name {name!r}: expected letters, digits, dots, dashes and underscores")
    guest = Guest(name, ())
    pid, argv = running_argv(host, guest.pid_file)
    return {
        "changed": False,
        "name": name,
        "running": bool(pid),
        "pid": pid,
        "status": _run_state(host, guest) if pid else "",
        "command": argv,
        "script": guest.script if host.exists(guest.script) else "",
        "console": guest.console,
        "console_lines": _last_lines(host, guest.console, lines),
    }


def _run_state(host: Host, guest: Guest) -> str:
    """QEMU's word for it, such as guest-panicked (qapi/run-state.json); "" where the monitor does not say."""
    try:
        return str(execute(host, guest.monitor, "query-status").get("status", ""))
    except (QmpError, AttributeError):
        return ""


def _last_lines(host: Host, path: str, count: int) -> list[str]:
    """Of a console, which may be long, and hold anything."""
    size = host.size(path)
    text = host.read_at(path, max(0, size - TAIL), TAIL).decode("utf-8", "replace") if size else ""
    return [line for line in (one.strip() for one in text.splitlines()) if line][-count:] if count else []

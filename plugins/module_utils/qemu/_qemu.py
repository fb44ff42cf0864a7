# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU's command line for a guest with passed-through channel devices, and the script that runs it.

Pure functions: nothing here looks at a host. What differs by QEMU's version is said in _qemu_versions and _ccwlayout.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .._busid import GuestDevno
from .._releases import NotPossible
from ._ccwlayout import layout
from ._command import config_of
from ._versions import (
    FREE,
    MACHINE,
    SQUASH_GONE,
    QemuVersion,
    has,
    missing,
)

SCRIPT_DIRECTORY = "/etc/vfio_ccw/guests"
RUN_DIRECTORY = "/run/vfio_ccw"
LOG_DIRECTORY = "/var/log/vfio_ccw"
NEWEST = QemuVersion(10, 2)
"""The newest release that was looked at."""


@dataclass(frozen=True)
class PassedDevice:
    """A mediated device and where the guest sees it."""

    uuid: str
    devno: GuestDevno
    bootindex: int | None = None
    loadparm: str = ""
    force_orb_pfch: bool = False
    """Let QEMU set the ORB's prefetch flag, which old kernels and QEMUs insist on and a booting guest does not set."""

    @property
    def sysfsdev(self) -> str:
        return f"/sys/bus/mdev/devices/{self.uuid}"


@dataclass(frozen=True)
class Guest:
    """A guest as QEMU is to run it. ``memory`` in MiB; ``extra`` goes to QEMU as it is; ``qemu`` is the one there."""

    name: str
    devices: tuple[PassedDevice, ...]
    memory: int = 1024
    cpus: int = 1
    accel: str = "kvm"
    binary: str = "qemu-system-s390x"
    extra: tuple[str, ...] = ()
    qemu: QemuVersion = NEWEST
    machine: str = MACHINE
    needs: tuple[str, ...] = ()
    """What its QEMU must be able to do besides (ids of _qemu_versions.FEATURES)."""

    @property
    def script(self) -> str:
        return f"{SCRIPT_DIRECTORY}/{self.name}.sh"

    @property
    def pid_file(self) -> str:
        return f"{RUN_DIRECTORY}/{self.name}.pid"

    @property
    def monitor(self) -> str:
        return f"{RUN_DIRECTORY}/{self.name}.qmp"

    @property
    def console(self) -> str:
        return f"{LOG_DIRECTORY}/{self.name}.console"


def device_option(device: PassedDevice, qemu: QemuVersion = NEWEST) -> str:
    """The value of -device for one mediated device.

    Before 2.12 a passed-through device is named outside of css fe; s390-squash-mcss brings it there.
    """
    devno = replace(device.devno, cssid=0) if qemu < FREE else device.devno
    text = f"vfio-ccw,devno={devno},sysfsdev={device.sysfsdev}"
    if device.bootindex is not None:
        text += f",bootindex={device.bootindex}"
    if device.loadparm and has(qemu, "device-loadparm"):
        text += f",loadparm={device.loadparm}"
    return text + (",force-orb-pfch=on" if device.force_orb_pfch else "")


def machine_option(guest: Guest) -> str:
    """The value of -M."""
    text = guest.machine
    if guest.devices and guest.qemu < FREE:
        text += ",s390-squash-mcss=on"
    first = boot_order(guest)[:1]
    if first and first[0].loadparm and not has(guest.qemu, "device-loadparm"):
        text += f",loadparm={first[0].loadparm}"
    return text


def boot_order(guest: Guest) -> list[PassedDevice]:
    booting = [(device.bootindex, device) for device in guest.devices if device.bootindex is not None]
    return [device for _index, device in sorted(booting, key=lambda pair: pair[0])]


def unfit(guest: Guest) -> list[str]:
    """Why the guest cannot run on the QEMU that is there: the rule, and the version that would do."""
    wanted = dict.fromkeys(guest.needs, "needs")
    if guest.devices:
        wanted["vfio-ccw"] = "devices"
    order = boot_order(guest)
    if order:
        wanted["boot"] = f"device {order[0].uuid}"
    if len(order) > 1:
        wanted["boot-fallback"] = f"boot devices {order[0].uuid} and {order[1].uuid}"
    if any(device.force_orb_pfch for device in guest.devices):
        wanted["force-orb-pfch"] = "force_orb_pfch"
    later = [device for device in guest.devices if device.loadparm and device not in order[:1]]
    if later:
        wanted["device-loadparm"] = f"loadparm of {later[0].uuid}, which is not the first boot device"
    wrong = list(missing(guest.qemu, wanted))
    try:
        layout(config_of(command_line(guest), guest.qemu))
    except NotPossible as exc:
        wrong.append(str(exc))
    return wrong


def outdated_options(guest: Guest) -> list[str]:
    """Warnings about extra arguments that a newer QEMU does without."""
    carries = any("s390-squash-mcss" in word for word in guest.extra)
    if not carries or not FREE <= guest.qemu < SQUASH_GONE:
        return []
    return [
        f"guest {guest.name}: extra_args have s390-squash-mcss, deprecated since QEMU {FREE} and gone from "
        f"{SQUASH_GONE} on; leave it out: devices with devno fe.S.DDDD are where the guest sees them without it"
    ]


def command_line(guest: Guest) -> list[str]:
    """The argument vector. QEMU as a daemon may not have the terminal, so the console goes to a file."""
    argv = [guest.binary, "-name", guest.name, "-M", machine_option(guest), "-accel", guest.accel]
    argv += ["-m", str(guest.memory), "-smp", str(guest.cpus), "-nodefaults"]
    argv += ["-display", "none", "-serial", f"file:{guest.console}", "-monitor", "none"]
    argv += ["-qmp", f"unix:{guest.monitor},server=on,wait=off", "-pidfile", guest.pid_file]
    for device in guest.devices:
        argv += ["-device", device_option(device, guest.qemu)]
    return argv + list(guest.extra) + ["-daemonize"]


def start_script(guest: Guest) -> str:
    """A shell script that runs exactly that argument vector, one option to a line."""
    lines = [
        "#!/bin/sh",
        f"# Starts guest {guest.name}. Kept by zkvm.vfio_ccw.qemu_guest: changes made here are lost.",
        "set -eu",
        f"mkdir -p -m 0700 {RUN_DIRECTORY} {LOG_DIRECTORY}",
        "exec " + " \\\n  ".join(_grouped(command_line(guest))),
    ]
    return "\n".join(lines) + "\n"


def _grouped(argv: Sequence[str]) -> list[str]:
    """Quoted words, an option together with its value."""
    groups: list[str] = []
    for word in argv:
        quoted = shlex.quote(word)
        after_option = groups and groups[-1].startswith("-") and " " not in groups[-1]
        if after_option and not word.startswith("-"):
            groups[-1] += " " + quoted
        else:
            groups.append(quoted)
    return groups

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""QEMU's command line for a guest with passed-through channel devices, and the script that runs it.

Pure functions: nothing here looks at a host. Option names as QEMU 2.12 and newer have them (the machine option
s390-squash-mcss of 2.10 and 2.11 is not used: it was deprecated in 2.12 and is gone since).
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from ._busid import GuestDevno

SCRIPT_DIRECTORY = "/etc/vfio_ccw/guests"
RUN_DIRECTORY = "/run/vfio_ccw"
LOG_DIRECTORY = "/var/log/vfio_ccw"
MACHINE = "s390-ccw-virtio"


@dataclass(frozen=True)
class PassedDevice:
    """A mediated device and where the guest sees it."""

    uuid: str
    devno: GuestDevno
    bootindex: int | None = None

    @property
    def sysfsdev(self) -> str:
        return f"/sys/bus/mdev/devices/{self.uuid}"


@dataclass(frozen=True)
class Guest:
    """A guest as QEMU is to run it. ``memory`` in MiB; ``extra`` goes to QEMU as it is."""

    name: str
    devices: tuple[PassedDevice, ...]
    memory: int = 1024
    cpus: int = 1
    accel: str = "kvm"
    binary: str = "qemu-system-s390x"
    extra: tuple[str, ...] = ()

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


def device_option(device: PassedDevice) -> str:
    """The value of -device for one mediated device."""
    text = f"vfio-ccw,devno={device.devno},sysfsdev={device.sysfsdev}"
    return text if device.bootindex is None else f"{text},bootindex={device.bootindex}"


def command_line(guest: Guest) -> list[str]:
    """The argument vector. QEMU as a daemon may not have the terminal, so the console goes to a file."""
    argv = [guest.binary, "-name", guest.name, "-M", MACHINE, "-accel", guest.accel]
    argv += ["-m", str(guest.memory), "-smp", str(guest.cpus), "-nodefaults"]
    argv += ["-display", "none", "-serial", f"file:{guest.console}", "-monitor", "none"]
    argv += ["-qmp", f"unix:{guest.monitor},server=on,wait=off", "-pidfile", guest.pid_file]
    for device in guest.devices:
        argv += ["-device", device_option(device)]
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

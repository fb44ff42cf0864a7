# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that run on a real host, started on the one in the lab: quick ones, with their passed-through devices."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ccwemu.guest.cmdline import WITHOUT_ARGUMENT
from ccwemu.imports.document import Guest, Host

PROGRAM = "qemu-system-s390x"
DIRECTORIES = ("/run/vfio_ccw", "/var/log/vfio_ccw", "/run/libvirt/qemu")
_KEPT = (
    "-name", "-M", "-machine", "-accel", "-m", "-smp", "-nodefaults", "-display", "-serial", "-monitor", "-qmp",
    "-pidfile", "-daemonize", "-no-user-config", "-nographic", "-uuid",
)  # fmt: skip
"""What a guest here is started with; its other devices and images are not here."""


def commands(described: Host, running: list[str], differences: list[str]) -> Iterator[list[str]]:
    """What the host does to have its guests run. ``running`` is told their names."""
    there = {mdev for sch in described.subchannels for mdev in sch.mdevs}
    started = [guest for guest in described.guests if guest.running and guest.devices]
    if started:
        yield ["mkdir", "-p", "-m", "0700", *DIRECTORIES]
    for guest in started:
        lacking = [uuid for uuid, _ in guest.devices if uuid not in there]
        if lacking:
            differences.append(f"guest {guest.name}: does not run: mediated device {lacking[0]} was not described")
            continue
        running.append(guest.name)
        argv, dropped = _argv(guest)
        if dropped:
            differences.append(f"guest {guest.name}: runs without {' '.join(dropped)}")
        yield argv


def _argv(guest: Guest) -> tuple[list[str], list[str]]:
    """The command line, and the options that are left out of it."""
    if not guest.argv:
        return _of_libvirt(guest), ["all that libvirt gives it but its passed-through devices"]
    argv, dropped = [PROGRAM], []
    words = list(guest.argv)
    while words and not os.path.basename(words.pop(0)).startswith("qemu"):
        pass
    while words:
        option = words.pop(0)
        argument = [words.pop(0)] if words and option not in WITHOUT_ARGUMENT and not words[0].startswith("-") else []
        if option in _KEPT or (option == "-device" and argument and argument[0].startswith("vfio-ccw,")):
            argv += [option, *argument]
        else:
            dropped.append(option)
    return argv, list(dict.fromkeys(dropped))


def _of_libvirt(guest: Guest) -> list[str]:
    argv = [PROGRAM, "-name", guest.name, "-M", "s390-ccw-virtio", "-accel", "kvm", "-nodefaults", "-display", "none"]
    argv += ["-pidfile", f"/run/libvirt/qemu/{guest.name}.pid"]
    for uuid, devno in guest.devices:
        place = f",devno={devno}" if devno else ""
        argv += ["-device", f"vfio-ccw,sysfsdev=/sys/bus/mdev/devices/{uuid}{place}"]
    return [*argv, "-daemonize"]

# SPDX-License-Identifier: GPL-2.0-or-later
"""From the command line to the devices of a guest, in the order in which QEMU realizes them."""

from __future__ import annotations

from dataclasses import dataclass, field

from ccwemu.guest import cmdline, hostcheck
from ccwemu.guest.cmdline import CommandLine
from ccwemu.guest.devices import (
    CcwId,
    GuestDevice,
    complete,
    drive_devices,
    help_text,
    list_text,
    machine_devices,
    make,
)
from ccwemu.guest.hostcheck import HostDevice
from ccwemu.guest.qemuopts import QemuError
from ccwemu.guest.release import of_host


@dataclass
class Plan:
    """A guest that can be started. ``hosts``: what stands behind the passed-through devices."""

    line: CommandLine
    devices: list[GuestDevice] = field(default_factory=list)
    hosts: dict[CcwId, HostDevice] = field(default_factory=dict)

    def numbered(self) -> list[tuple[CcwId, GuestDevice]]:
        """Every device with its number; all have one by now."""
        return [(device.devno, device) for device in self.devices if device.devno is not None]


def plan(argv: list[str], root: str = "") -> Plan:
    """Check a command line and what it names on the host under ``root``. Raises QemuError as QEMU gives up."""
    line = cmdline.parse_argv(argv, of_host(root))
    made = Plan(line)
    if line.information is not None:
        return made
    for options in line.devices:
        if options.get("help"):
            try:
                line.information = help_text(options.get("driver"), line.release)
            except QemuError as error:
                raise error.at(options.where) from None
        elif options.get("driver") in ("help", "?"):
            line.information = list_text()
        if line.information is not None:
            return made
    cmdline.check_machine(line)
    cmdline.open_console(line)
    cmdline.check_drives(line)
    taken: set[CcwId] = set()
    for device in machine_devices(line):
        device.take(taken, line)
        made.devices.append(device)
    for options in [*line.devices, *drive_devices(line)]:
        made_device = make(options, line)
        if made_device is not None:
            _realize(made, made_device, taken, root)
            made.devices.append(made_device)
    return made


def _realize(made: Plan, device: GuestDevice, taken: set[CcwId], root: str) -> None:
    if not device.passed_through:
        device.take(taken, made.line)
        complete(device)
        return
    real, subchannel = hostcheck.find(device)
    number = device.take(taken, made.line)
    host = hostcheck.describe(device, real, subchannel, root)
    if any(other.uuid == host.uuid for other in made.hosts.values()):
        raise QemuError(f"vfio: subchannel {subchannel} has already been attached", device.where)
    made.hosts[number] = hostcheck.open_group(device, host, real, root)

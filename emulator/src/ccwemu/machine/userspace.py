# SPDX-License-Identifier: GPL-2.0-or-later
"""What a host's own configuration does at boot and when devices appear, as systemd and udev carry it out.

- /etc/modules-load.d: systemd-modules-load(8);
- /etc/driverctl.d: driverctl's udev rule, ``ACTION=="add"`` of a device that has a file there;
- /etc/mdevctl.d: mdevctl's udev rule, a parent that says ``MDEV_STATE=registered`` has its "auto" devices started.

No daemon runs for it on an emulated host: this listens to the machine's events and reads the host's /etc.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ccwemu.machine import klog
from ccwemu.machine.access import find, readlink, write
from ccwemu.machine.host import Machine
from ccwemu.machine.tree import Attribute
from ccwemu.machine.uevent import Uevent


def _text(etc: Path, path: Path) -> str:
    """The content of a file of the host; "" where there is none. A link that leads out of its /etc is not followed."""
    try:
        if path.resolve().is_relative_to(etc.resolve()) and path.is_file():
            return path.read_text("utf-8", "replace")
    except OSError:
        pass
    return ""


def modules_to_load(etc: Path) -> list[str]:
    """The modules that /etc/modules and /etc/modules-load.d name, in order."""
    files = [etc / "modules", *sorted((etc / "modules-load.d").glob("*.conf"))]
    lines = (line.strip() for path in files for line in _text(etc, path).split("\n"))
    return [line.split()[0] for line in lines if line and line[0] not in "#;"]


def automatic_devices(etc: Path, parent: str) -> list[tuple[str, str]]:
    """(UUID, type) of the mediated devices that /etc/mdevctl.d starts by itself on a parent."""
    return [(path.name, str(entry.get("mdev_type", ""))) for path, entry in _definitions(etc, parent)]


def _definitions(etc: Path, parent: str) -> Iterator[tuple[Path, dict[str, object]]]:
    for path in sorted((etc / "mdevctl.d" / parent).glob("*")):
        try:
            entry = json.loads(_text(etc, path))
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("start") == "auto":
            yield path, entry


class Userspace:
    """Attach it to a machine before that boots; ``etc`` is the host's /etc as seen from here."""

    def __init__(self, machine: Machine, etc: Path) -> None:
        self._machine = machine
        self._etc = etc
        self._unsubscribe = machine.uevents.subscribe(self._event)

    def close(self) -> None:
        self._unsubscribe()

    def load_modules(self) -> None:
        """systemd-modules-load: once, when the machine is up."""
        with self._machine.lock:
            self._machine.modules.load_at_boot(modules_to_load(self._etc))
        self._machine.settle()

    def _event(self, event: Uevent) -> None:
        name = event.devpath.rsplit("/", 1)[1]
        subsystem = event.env["SUBSYSTEM"]
        work = self._machine.kernel.work
        if event.action == "add" and self._driver(subsystem, name):
            work.schedule(lambda: self._override(subsystem, name))
        if event.action in ("add", "change") and event.env.get("MDEV_STATE") == "registered":
            work.schedule(lambda: self._start_devices(event.devpath, name))

    def _driver(self, bus: str, name: str) -> str:
        return _text(self._etc, self._etc / "driverctl.d" / f"{bus}-{name}").strip()

    def _override(self, bus: str, name: str) -> None:
        """``driverctl load-override``: unbind, driver_override, drivers_probe."""
        driver = self._driver(bus, name)
        device = f"/sys/bus/{bus}/devices/{name}"
        bound = (readlink(self._machine, f"{device}/driver") or "").rsplit("/", 1)[-1]
        if not isinstance(find(self._machine, f"{device}/driver_override"), Attribute) or bound == driver:
            return
        try:
            if find(self._machine, f"/sys/bus/{bus}/drivers/{driver}") is None:
                self._machine.modules.modprobe(driver)
            if bound:
                write(self._machine, f"{device}/driver/unbind", name)
            write(self._machine, f"{device}/driver_override", driver)
            write(self._machine, f"/sys/bus/{bus}/drivers_probe", name)
        except OSError as problem:
            self._say(f"driverctl: failed to bind device {name} to driver {driver}: {problem.strerror}")

    def _start_devices(self, devpath: str, parent: str) -> None:
        """``mdevctl start-parent-mdevs``."""
        for uuid, kind in automatic_devices(self._etc, parent):
            if find(self._machine, f"/sys/bus/mdev/devices/{uuid}") is not None:
                continue
            try:
                write(self._machine, f"/sys{devpath}/mdev_supported_types/{kind}/create", uuid)
            except OSError as problem:
                self._say(f"mdevctl: failed to create mdev {uuid}, type {kind} on {parent}: {problem.strerror}")

    def _say(self, text: str) -> None:
        self._machine.dmesg.append(text, klog.ERR)

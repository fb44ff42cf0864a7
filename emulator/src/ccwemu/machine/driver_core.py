# SPDX-License-Identifier: GPL-2.0-or-later
"""The driver core: buses, devices, drivers, classes; bind, unbind, probe; who matches whom; uevents.

Written once; css, ccw, mdev and virtio are tables over it.
Source: Linux drivers/base/bus.c, dd.c, core.c, class.c, module.c.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import Any

from ccwemu.machine import klog
from ccwemu.machine.cstring import cstring, error, streq
from ccwemu.machine.driver_base import DeviceMutex, SysClass, power_directory
from ccwemu.machine.kernel import Kernel
from ccwemu.machine.tree import Attribute, Directory, Link, Node
from ccwemu.machine.uevent import Variables, store_synthetic


class Device:
    """A device. Sub-classes give ``uevent_vars`` (what the bus and class add) and attributes."""

    devtype: str | None = None

    def __init__(
        self,
        kernel: Kernel,
        name: str,
        parent: Directory,
        *,
        bus: Bus | None = None,
        sysclass: SysClass | None = None,
    ) -> None:
        self.kernel = kernel
        self.name = name
        self.parent_directory = parent
        self.directory = Directory(name)
        self.bus = bus
        self.sysclass = sysclass
        self.driver: Driver | None = None
        self.registered = False
        self.suppress_uevents = False
        self.mutex = DeviceMutex(kernel.lock)
        self.devnum: tuple[int, int] | None = None
        """Major and minor, of a device that has a node."""
        self.devnode: str | None = None
        self.devmode: int | None = None
        self.drvdata: Any = None

    # What sub-classes say

    def uevent_vars(self) -> Variables:
        return []

    def attributes(self) -> Iterable[Node]:
        return ()

    def make_node(self) -> None:
        """Of a device with a number: make its node in /dev, before the event tells of it."""

    def drop_node(self) -> None: ...

    # Uevents

    @property
    def devpath(self) -> str:
        return self.directory.path()

    @property
    def subsystem(self) -> str | None:
        if self.bus is not None:
            return self.bus.name
        return self.sysclass.name if self.sysclass is not None else None

    def environment(self) -> Variables:
        """dev_uevent(): node, type, driver, then what bus and class add."""
        env: Variables = []
        if self.devnum is not None:
            env += [("MAJOR", str(self.devnum[0])), ("MINOR", str(self.devnum[1]))]
            env.append(("DEVNAME", self.devnode or self.name))
            if self.devmode is not None:
                env.append(("DEVMODE", f"{self.devmode:#o}".replace("0o", "0")))
        if self.devtype is not None:
            env.append(("DEVTYPE", self.devtype))
        if self.driver is not None:
            env.append(("DRIVER", self.driver.name))
        return env + self.uevent_vars()

    def emit(self, action: str, extra: Variables | None = None) -> None:
        """A uevent; a device without bus and class has none. An unbind event carries no MODALIAS."""
        if self.subsystem is None or self.suppress_uevents:
            return
        env = (extra or []) + self.environment()
        if action == "unbind":
            env = [(key, value) for key, value in env if key != "MODALIAS"]
        self.kernel.uevents.emit(action, self.devpath, self.subsystem, env)

    def _show_uevent(self) -> str:
        if self.subsystem is None:
            return ""
        return "".join(f"{key}={value}\n" for key, value in self.environment())

    def _store_uevent(self, data: bytes) -> None:
        try:
            store_synthetic(data, self.devpath, self.emit, self._warn)
        except OSError:
            self.log(f"uevent: failed to send synthetic uevent: -{errno.EINVAL}", klog.ERR)
            raise

    def _warn(self, text: str) -> None:
        self.kernel.log.append(text, klog.WARNING)

    def log(self, message: str, level: int = klog.INFO) -> None:
        """dev_printk: prefixed with the driver's name, or that of the bus or class, and the device's."""
        prefix = self.driver.name if self.driver is not None else self.subsystem or ""
        self.kernel.log.append(f"{prefix} {self.name}: {message}", level)

    # Life

    def add_nodes(self, nodes: Iterable[Node]) -> list[str]:
        """An attribute group; returns the names, for :meth:`remove_nodes`."""
        return [self.directory.add(node).name for node in nodes]

    def remove_nodes(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self.directory:
                self.directory.remove(name)

    def register(self) -> None:
        """device_add: into the tree, onto the bus, the event, then a driver is looked for."""
        self.parent_directory.add(self.directory)
        self.registered = True
        self.directory.add(Attribute("uevent", 0o644, self._show_uevent, self._store_uevent))
        if self.devnum is not None:
            major, minor = self.devnum
            self.directory.add(Attribute("dev", 0o444, lambda: f"{major}:{minor}\n"))
            kind = "block" if self.subsystem == "block" else "char"
            self.kernel.directory(f"dev/{kind}").add(Link(f"{major}:{minor}", self.directory))
        self.add_nodes(self.attributes())
        if self.kernel.facts.power_directories:
            self.directory.add(power_directory())
        if self.sysclass is not None:
            self.directory.add(Link("subsystem", self.sysclass.directory))
            self.sysclass.directory.add(Link(self.name, self.directory))
        if self.bus is not None:
            self.bus.add_device(self)
        if self.devnum is not None:
            self.make_node()
        self.emit("add")
        if self.bus is not None and self.bus.autoprobe:
            self.bus.attach(self)

    def unregister(self) -> None:
        """device_del: off the bus first (which releases the driver, and may wait), then out of the tree."""
        if not self.registered:
            return
        self.registered = False
        if self.devnum is not None:
            self.drop_node()
            kind = "block" if self.subsystem == "block" else "char"
            self.kernel.directory(f"dev/{kind}").remove(f"{self.devnum[0]}:{self.devnum[1]}")
        if self.sysclass is not None:
            self.sysclass.directory.remove(self.name)
        self.remove_nodes(["uevent", "dev"])
        if self.bus is not None:
            self.bus.remove_device(self)
        self.emit("remove")
        if self.directory.alive and self.name in self.parent_directory:
            self.parent_directory.remove(self.name)


class Driver:
    """A driver of a bus; ``probe`` and ``remove`` are what sub-classes do. ``module`` None: built in."""

    def __init__(self, bus: Bus, name: str, module: str | None = None) -> None:
        self.bus = bus
        self.name = name
        self.module = module
        self.devices: dict[Device, None] = {}
        """Those that are bound to it, the newest last."""
        self.directory = Directory(name)

    def probe(self, device: Device) -> None:
        """Raises OSError where the device is not taken."""

    def remove(self, device: Device) -> None:
        """Cannot fail; may wait."""

    def _populate(self) -> None:
        bus = self.bus
        self.directory.add(Attribute("bind", 0o200, store=lambda data: bus.bind(self, data)))
        self.directory.add(Attribute("unbind", 0o200, store=lambda data: bus.unbind(self, data)))
        self.directory.add(Attribute("uevent", 0o200, store=self._store_uevent))

    def _store_uevent(self, data: bytes) -> None:
        store_synthetic(data, self.directory.path(), self.emit, lambda text: bus_warn(self.bus, text))

    def emit(self, action: str, extra: Variables | None = None) -> None:
        self.bus.kernel.uevents.emit(action, self.directory.path(), "drivers", extra or [])

    def register(self) -> None:
        """driver_register: directory, unbound devices that match are taken, the event."""
        bus = self.bus
        bus.drivers[self.name] = self
        bus.directory.directory("drivers").add(self.directory)
        self._populate()
        if bus.autoprobe:
            for device in list(bus.devices.values()):
                bus.attach_to(device, self)
        self._link_module()
        self.emit("add")

    def _link_module(self) -> None:
        modules = self.bus.kernel.sysfs.directory("module")
        if self.module is None or self.module not in modules:
            return
        module = modules.directory(self.module)
        self.directory.add(Link("module", module))
        if "drivers" not in module:
            module.add(Directory("drivers"))
        module.directory("drivers").add(Link(f"{self.bus.name}:{self.name}", self.directory))

    def unregister(self) -> None:
        """driver_unregister: lets its devices go, newest first; others may take them only when asked to."""
        for device in reversed(list(self.devices)):
            self.bus.release(device, self)
        del self.bus.drivers[self.name]
        self.emit("remove")
        if self.module is not None:
            module = self.bus.kernel.sysfs.directory("module").get(self.module)
            if isinstance(module, Directory) and "drivers" in module:
                module.directory("drivers").remove(f"{self.bus.name}:{self.name}")
        self.bus.directory.directory("drivers").remove(self.name)


def bus_warn(bus: Bus, text: str) -> None:
    bus.kernel.log.append(text, klog.WARNING)


class Bus:
    """A bus type: /sys/bus/<name>."""

    name = ""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.devices: dict[str, Device] = {}
        self.drivers: dict[str, Driver] = {}
        self.autoprobe = True
        self.directory = kernel.directory("bus").add(Directory(self.name))
        for name in ("devices", "drivers"):
            self.directory.add(Directory(name))
        self.directory.add(
            Attribute("drivers_autoprobe", 0o644, lambda: f"{int(self.autoprobe)}\n", self._store_autoprobe)
        )
        self.directory.add(Attribute("drivers_probe", 0o200, store=self._store_probe))
        self.directory.add(Attribute("uevent", 0o200, store=self._store_uevent))
        self.emit("add")

    def emit(self, action: str, extra: Variables | None = None) -> None:
        self.kernel.uevents.emit(action, self.directory.path(), "bus", extra or [])

    def unregister(self) -> None:
        self.emit("remove")
        self.kernel.directory("bus").remove(self.name)

    # What sub-classes say

    def match(self, device: Device, driver: Driver) -> bool:
        raise NotImplementedError

    # The bus's own attributes

    def _store_autoprobe(self, data: bytes) -> None:
        self.autoprobe = data[:1] != b"0"

    def _store_probe(self, data: bytes) -> None:
        """Succeeds even where no driver took the device (bus_rescan_devices_helper)."""
        device = self.find(data)
        if device is None:
            raise error(errno.ENODEV)
        with device.mutex:
            if device.driver is None:
                self.attach(device)

    def _store_uevent(self, data: bytes) -> None:
        store_synthetic(data, self.directory.path(), self.emit, lambda text: bus_warn(self, text))

    # Devices

    def find(self, data: bytes) -> Device | None:
        """The device whose name was written."""
        written = cstring(data)
        device = self.devices.get(written.removesuffix("\n"))
        return device if device is not None and streq(written, device.name) else None

    def add_device(self, device: Device) -> None:
        self.directory.directory("devices").add(Link(device.name, device.directory))
        device.directory.add(Link("subsystem", self.directory))
        self.devices[device.name] = device

    def remove_device(self, device: Device) -> None:
        device.remove_nodes(["subsystem"])
        self.directory.directory("devices").remove(device.name)
        del self.devices[device.name]
        self.release(device)

    # Binding

    def attach(self, device: Device) -> bool:
        """device_attach: the first driver that matches and takes it. A failed probe is no error here."""
        return any(self.attach_to(device, driver) for driver in list(self.drivers.values()))

    def attach_to(self, device: Device, driver: Driver) -> bool:
        with device.mutex:
            if not device.registered or device.driver is not None or not self.match(device, driver):
                return False
            try:
                self.probe(device, driver)
            except OSError as problem:
                if problem.errno not in (errno.ENODEV, errno.ENXIO):
                    bus_warn(self, f"{driver.name}: probe of {device.name} failed with error -{problem.errno}")
                return False
            return True

    def probe(self, device: Device, driver: Driver) -> None:
        """really_probe. Raises what the driver's probe raises."""
        device.driver = driver
        driver.directory.add(Link(device.name, device.directory))
        device.directory.add(Link("driver", driver.directory))
        try:
            driver.probe(device)
        except OSError:
            _unlink_driver(device, driver)
            device.driver = None
            raise
        driver.devices[device] = None
        device.emit("bind")

    def release(self, device: Device, only: Driver | None = None) -> None:
        """device_release_driver: links first, then the driver's remove (which may wait), then the event.

        ``only``: not where another driver has the device by now.
        """
        with device.mutex:
            driver = device.driver
            if driver is None or only not in (None, driver):
                return
            _unlink_driver(device, driver)
            driver.remove(device)
            device.driver = None
            del driver.devices[device]
            device.emit("unbind")

    def bind(self, driver: Driver, data: bytes) -> None:
        """``drivers/<d>/bind``. Raises OSError: no such device, no match, bound already, what probe says."""
        device = self.find(data)
        if device is None or not self.match(device, driver):
            raise error(errno.ENODEV)
        with device.mutex:
            if not device.registered:
                raise error(errno.ENODEV)
            if device.driver is not None:
                raise error(self.kernel.facts.bound_errno)
            self.probe(device, driver)

    def unbind(self, driver: Driver, data: bytes) -> None:
        """``drivers/<d>/unbind``: never refuses a device that is bound to the driver, whatever uses it."""
        device = self.find(data)
        if device is None or device.driver is not driver:
            raise error(errno.ENODEV)
        self.release(device, driver)


def _unlink_driver(device: Device, driver: Driver) -> None:
    if device.name in driver.directory:
        driver.directory.remove(device.name)
    device.remove_nodes(["driver"])

# SPDX-License-Identifier: GPL-2.0-or-later
"""Mediated devices: parents, the type, create and remove, and who holds one open.

Source: Linux drivers/vfio/mdev/mdev_core.c, mdev_sysfs.c, mdev_driver.c; vfio_main.c (vfio_unregister_group_dev).
"""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable, Iterable

from ccwemu.machine import klog
from ccwemu.machine.cstring import cstring, error, kstrtoul
from ccwemu.machine.driver_base import SysClass
from ccwemu.machine.driver_core import Bus, Device, Driver
from ccwemu.machine.kernel import Kernel, text_attribute
from ccwemu.machine.tree import Attribute, Directory, Link
from ccwemu.machine.vfio import GroupNode, Vfio, VfioRegistration

TYPE_ID = "vfio_ccw-io"
TYPE_NAME = "I/O subchannel (Non-QDIO)"
DEVICE_API = "vfio-ccw"

UUID_LENGTH = 36
_UUID = re.compile(rb"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")

REQUEST_INTERVAL = 10.0
"""Seconds between two requests to the user of a device to let it go."""


class MdevHandle:
    """A mediated device held open: what QEMU has. Close it exactly once; closing again does nothing."""

    def __init__(self, mdev: MediatedDevice) -> None:
        self._mdev = mdev
        self.uuid = mdev.name
        self.subchannel = mdev.parent.device.name
        self.request: Callable[[], None] | None = None
        self.paths: Callable[[int], None] | None = None
        self._closed = False

    def on_request(self, callback: Callable[[], None] | None) -> None:
        """Someone wants the device back: called when removal begins and every ten seconds from then on."""
        self.request = callback

    def on_paths(self, callback: Callable[[int], None] | None) -> None:
        """The paths that the host lets the device use (a mask) have changed."""
        self.paths = callback

    def close(self) -> None:
        with self._mdev.kernel.lock:
            if not self._closed:
                self._closed = True
                self._mdev.closed()


class MdevBus(Bus):
    """Devices are attached to their driver where they are made; from 5.15 on nothing matches afterwards."""

    name = "mdev"

    def match(self, device: Device, driver: Driver) -> bool:
        return self.kernel.facts.mdev_rebind


class MdevDriver(Driver):
    """vfio_mdev or vfio_ccw_mdev: registers the device with VFIO; its removal waits for the user."""

    def __init__(self, bus: Bus, name: str, module: str, vfio: Vfio) -> None:
        super().__init__(bus, name, module)
        self._vfio = vfio

    def probe(self, device: Device) -> None:
        assert isinstance(device, MediatedDevice)
        device.registration = self._vfio.register(device)

    def remove(self, device: Device) -> None:
        assert isinstance(device, MediatedDevice)
        device.wait_for_release()
        if device.registration is not None:
            device.registration.unregister()
            device.registration = None


class MediatedDevice(Device):
    """<subchannel>/<uuid>."""

    def __init__(self, core: MdevCore, parent: MdevParent, uuid: str) -> None:
        super().__init__(core.kernel, uuid, parent.device.directory, bus=core.bus)
        self._core = core
        self.parent = parent
        self.registration: VfioRegistration | None = None
        self.handle: MdevHandle | None = None
        self._claimed_group: GroupNode | None = None
        """The group, where it was opened along with the device and is closed with it."""
        self._removing = False

    def add_files(self) -> None:
        """Last at creation, first at removal (mdev_create_sysfs_files)."""
        self.parent.type_directory.directory("devices").add(Link(self.name, self.directory))
        self.directory.add(Attribute("remove", 0o200, store=self._store_remove))
        self.directory.add(Link("mdev_type", self.parent.type_directory))

    def _store_remove(self, data: bytes) -> None:
        if kstrtoul(cstring(data), 0):
            self.remove()

    def remove(self) -> None:
        """Take the device away; waits while it is open. A second one who asks is not told."""
        if self._removing:
            return
        self._removing = True
        self.parent.type_directory.directory("devices").remove(self.name)
        self.remove_nodes(["remove", "mdev_type"])
        with self.mutex:
            self.unregister()
        self._core.forget(self)

    def open(self, holds_group: bool = False) -> MdevHandle:
        """Open the device, and its group too where the caller does not hold that open already.

        Raises OSError: ENODEV without driver, EBUSY when open, EINVAL for a group that nobody has open.
        """
        if self.registration is None or self._removing:
            raise error(errno.ENODEV)
        if self.handle is not None:
            raise error(errno.EBUSY)
        group = self.registration.node
        if not holds_group:
            group.claim()
        elif not group.opened:
            raise error(errno.EINVAL)
        self.kernel.module_users["vfio_ccw"] += 1
        self.handle = MdevHandle(self)
        self._claimed_group = None if holds_group else group
        return self.handle

    def closed(self) -> None:
        self.handle = None
        self.kernel.module_users["vfio_ccw"] -= 1
        group, self._claimed_group = self._claimed_group, None
        if group is not None:
            group.yield_()
        self.kernel.lock.notify_all()

    def wait_for_release(self) -> None:
        """Ask the user at once and every ten seconds, until the device is closed."""
        due = time.monotonic()
        asked = 0
        while self.handle is not None:
            left = due - time.monotonic()
            if left <= 0:
                self._ask(asked)
                self.kernel.lock.notify_all()
                asked += 1
                due += self._core.request_interval
            else:
                self.kernel.lock.wait(left)

    def _ask(self, asked: int) -> None:
        if not self.kernel.facts.request_irq or self.handle is None:
            return
        if self.handle.request is None:
            if asked == 0:
                self.log("No device request channel registered, blocked until released by user", klog.NOTICE)
            return
        if asked % 10 == 0:
            self.log(f"Relaying device request to user (#{asked})", klog.NOTICE)
        self.handle.request()


class MdevParent:
    """What a subchannel has while it is bound to vfio_ccw: ``mdev_supported_types`` and one instance to give."""

    INSTANCES = 1

    def __init__(self, core: MdevCore, device: Device, counted: Callable[[int], None]) -> None:
        """``counted(n)`` is told how many mediated devices the parent has."""
        self._core = core
        self._counted = counted
        self.device = device
        self.children: list[MediatedDevice] = []
        self.unregistering = False
        types = device.directory.add(Directory("mdev_supported_types"))
        self.type_directory = types.add(Directory(TYPE_ID))
        for node in self._type_nodes():
            self.type_directory.add(node)
        core.parent_class.directory.add(Link(device.name, device.directory))
        device.log("MDEV: Registered")
        device.emit("change", [("MDEV_STATE", "registered")])

    def _type_nodes(self) -> Iterable[Attribute | Directory]:
        yield text_attribute("available_instances", lambda: str(self.available))
        yield Attribute("create", 0o200, store=self._store_create)
        yield text_attribute("device_api", DEVICE_API)
        yield text_attribute("name", TYPE_NAME)
        yield Directory("devices")

    @property
    def available(self) -> int:
        return self.INSTANCES - len(self.children)

    def _store_create(self, data: bytes) -> None:
        """36 characters of UUID and any one character more."""
        if len(data) not in (UUID_LENGTH, UUID_LENGTH + 1) or not _UUID.match(data):
            raise error(errno.EINVAL)
        self._core.create(self, data[:UUID_LENGTH].decode("ascii").lower())

    def changed(self) -> None:
        self._counted(len(self.children))

    def unregister(self) -> None:
        """Removes its devices first, and waits for those that are open."""
        self.unregistering = True
        self.device.log("MDEV: Unregistering")
        self._core.parent_class.directory.remove(self.device.name)
        for child in list(self.children):
            child.remove()
        while self.children:
            self.device.kernel.lock.wait()
        self.device.remove_nodes(["mdev_supported_types"])
        self.device.emit("change", [("MDEV_STATE", "unregistered")])


class MdevCore:
    """The module mdev."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.bus = MdevBus(kernel)
        self.parent_class = SysClass(kernel, "mdev_bus")
        self.devices: dict[str, MediatedDevice] = {}
        self.request_interval = REQUEST_INTERVAL

    def unload(self) -> None:
        self.parent_class.unregister()
        self.bus.unregister()

    def create(self, parent: MdevParent, uuid: str) -> None:
        """Checks in Linux's order: the UUID is taken anywhere, no instance left, the parent goes away."""
        facts = self.kernel.facts
        if uuid in self.devices:
            raise error(errno.EEXIST)
        if parent.available < 1:
            raise error(facts.no_instance_errno)
        if parent.unregistering:
            raise error(errno.ENODEV)
        mdev = MediatedDevice(self, parent, uuid)
        self.devices[uuid] = mdev
        parent.children.append(mdev)
        parent.changed()
        mdev.register()
        driver = self.bus.drivers.get(facts.mdev_driver)
        if mdev.driver is None and driver is not None and not facts.mdev_rebind:
            self.bus.probe(mdev, driver)
        mdev.add_files()

    def forget(self, mdev: MediatedDevice) -> None:
        """The last reference is gone: the instance is free again."""
        del self.devices[mdev.name]
        mdev.parent.children.remove(mdev)
        mdev.parent.changed()
        self.kernel.lock.notify_all()

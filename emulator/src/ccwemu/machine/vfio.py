# SPDX-License-Identifier: GPL-2.0-or-later
"""VFIO: the container node, groups, the devices in them, and iommu groups.

Source: Linux drivers/vfio/vfio_main.c, drivers/iommu/iommu.c.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from ccwemu.machine.cstring import error
from ccwemu.machine.driver_base import IdAllocator, SysClass
from ccwemu.machine.driver_core import Device
from ccwemu.machine.kernel import Kernel, text_attribute
from ccwemu.machine.nodes import PlainOpen, add_node, remove_node
from ccwemu.machine.tree import Attribute, Directory, Link

CONTAINER_DEVNUM = (10, 196)
GROUP_MAJOR = 252
CDEV_MAJOR = 251


class IommuGroup:
    """/sys/kernel/iommu_groups/N with its one device."""

    def __init__(self, kernel: Kernel, number: int, device: Device) -> None:
        self._kernel = kernel
        self._device = device
        self.number = number
        self.directory = kernel.directory("kernel/iommu_groups").add(Directory(str(number)))
        self.directory.add(Directory("devices"))
        mode = kernel.facts.group_type_mode
        self.directory.add(Attribute("type", mode, lambda: "unknown\n", _refuse_type))
        self.directory.add(Attribute("reserved_regions", 0o444, lambda: ""))
        if kernel.facts.group_name:
            self.directory.add(text_attribute("name", "vfio-noiommu"))
        device.directory.add(Link("iommu_group", self.directory))
        self.directory.directory("devices").add(Link(device.name, device.directory))
        device.log(f"Adding to iommu group {number}")

    def remove(self) -> None:
        self._device.remove_nodes(["iommu_group"])
        self._device.log(f"Removing from iommu group {self.number}")
        self._kernel.directory("kernel/iommu_groups").remove(str(self.number))


def _refuse_type(_data: bytes) -> None:
    raise error(errno.EINVAL)


class GroupNode(Device):
    """/dev/vfio/N: one opener at a time. A device in it can be opened by who has the group open."""

    def __init__(self, vfio: Vfio, number: int) -> None:
        parent = vfio.kernel.directory("devices/virtual/vfio")
        super().__init__(vfio.kernel, str(number), parent, sysclass=vfio.group_class)
        self.devnum = (GROUP_MAJOR, vfio.minors.get())
        self.devnode = f"vfio/{number}"
        self._minors = vfio.minors
        self.opened = False

    def make_node(self) -> None:
        assert self.devnum is not None and self.devnode is not None
        add_node(self.kernel, self.devnode, 0o600, "char", self.devnum, self._open_node)

    def drop_node(self) -> None:
        assert self.devnode is not None
        remove_node(self.kernel, self.devnode)

    def unregister(self) -> None:
        super().unregister()
        assert self.devnum is not None
        self._minors.put(self.devnum[1])

    def claim(self) -> None:
        """Open the group. Raises OSError(EBUSY)."""
        if self.opened:
            raise error(errno.EBUSY)
        self.opened = True
        self.kernel.module_users["vfio"] += 1

    def yield_(self) -> None:
        self.opened = False
        self.kernel.module_users["vfio"] -= 1

    def _open_node(self, _flags: int) -> PlainOpen:
        with self.kernel.lock:
            self.claim()
        return PlainOpen(self._close_node)

    def _close_node(self) -> None:
        with self.kernel.lock:
            self.yield_()


class _ContainerNode(Device):
    """/dev/vfio/vfio, a misc device."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__(kernel, "vfio", kernel.directory("devices/virtual/misc"), sysclass=SysClass(kernel, "misc"))
        self.devnum = CONTAINER_DEVNUM
        self.devnode = "vfio/vfio"
        self.devmode = 0o666

    def make_node(self) -> None:
        assert self.devnode is not None
        add_node(self.kernel, self.devnode, 0o666, "char", CONTAINER_DEVNUM, self._open_node)

    def drop_node(self) -> None:
        assert self.devnode is not None
        remove_node(self.kernel, self.devnode)

    def _open_node(self, _flags: int) -> PlainOpen:
        with self.kernel.lock:
            self.kernel.module_users["vfio"] += 1
        return PlainOpen(self._close_node)

    def _close_node(self) -> None:
        with self.kernel.lock:
            self.kernel.module_users["vfio"] -= 1


class VfioDevice(Device):
    """<mdev>/vfio-dev/vfioN (from 6.1 on)."""

    def __init__(self, vfio: Vfio, owner: Device, number: int, cdev: bool) -> None:
        glue = owner.directory.add(Directory("vfio-dev"))
        super().__init__(vfio.kernel, f"vfio{number}", glue, sysclass=vfio.device_class)
        self._owner = owner
        if cdev:
            self.devnum = (CDEV_MAJOR, number)
            self.devnode = f"vfio/devices/vfio{number}"

    def attributes(self) -> list[Link]:
        return [Link("device", self._owner.directory)]

    def unregister(self) -> None:
        super().unregister()
        self._owner.remove_nodes(["vfio-dev"])


class Vfio:
    """The module vfio: its classes, its node, and the devices that drivers register with it."""

    def __init__(self, kernel: Kernel, cdev: bool = False) -> None:
        """``cdev``: CONFIG_VFIO_DEVICE_CDEV."""
        self.kernel = kernel
        self.minors = IdAllocator()
        self.group_ids = IdAllocator()
        self._device_ids = IdAllocator()
        self._cdev = cdev and kernel.facts.vfio_dev_cdev
        self.group_class = SysClass(kernel, "vfio")
        self.device_class = SysClass(kernel, "vfio-dev") if kernel.facts.vfio_dev else None
        self._container = _ContainerNode(kernel)
        self._container.register()

    def unload(self) -> None:
        self._container.unregister()
        self.group_class.unregister()
        if self.device_class is not None:
            self.device_class.unregister()

    def register(self, device: Device) -> VfioRegistration:
        return VfioRegistration(self, device)

    def new_device(self, owner: Device) -> tuple[VfioDevice, Callable[[], None]] | None:
        """The device of class vfio-dev, and what frees its number."""
        if self.device_class is None:
            return None
        number = self._device_ids.get()
        return VfioDevice(self, owner, number, self._cdev), lambda: self._device_ids.put(number)


class VfioRegistration:
    """A device that is registered with VFIO: its iommu group, group node and vfio-dev."""

    def __init__(self, vfio: Vfio, device: Device) -> None:
        self._vfio = vfio
        number = vfio.group_ids.get()
        self.group = IommuGroup(vfio.kernel, number, device)
        self.node = GroupNode(vfio, number)
        self.node.register()
        self._made = vfio.new_device(device)
        if self._made is not None:
            self._made[0].register()

    def unregister(self) -> None:
        if self._made is not None:
            made, free = self._made
            made.unregister()
            free()
        self.node.unregister()
        self.group.remove()
        self._vfio.group_ids.put(self.group.number)

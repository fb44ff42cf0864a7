# SPDX-License-Identifier: GPL-2.0-or-later
"""Virtio devices over channel I/O: the virtio bus, the virtio_ccw driver, and what the devices are.

Source: Linux drivers/s390/virtio/virtio_ccw.c, drivers/virtio/virtio.c, drivers/block/virtio_blk.c.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Sequence

from ccwemu.machine import ccwdriver
from ccwemu.machine.block import SECTOR, Blocks, Major
from ccwemu.machine.ccw import CcwDevice
from ccwemu.machine.driver_base import IdAllocator, SysClass
from ccwemu.machine.driver_core import Bus, Device, Driver
from ccwemu.machine.kernel import Kernel, text_attribute
from ccwemu.machine.spec import PartitionSpec, VirtioSpec
from ccwemu.machine.tree import Attribute, Directory, Link, OpenDevice
from ccwemu.machine.uevent import Variables

NET, BLK, RNG, BALLOON = 1, 2, 4, 5
DRIVER_OK = 0x0F
BLOCK_MAJOR = 254
MINORS = 16

NAMES = {NET: "virtio_net", BLK: "virtio_blk", RNG: "virtio_rng", BALLOON: "virtio_balloon"}
"""Drivers on the virtio bus by device id; each is a module of that name."""


class VirtioBus(Bus):
    name = "virtio"

    def match(self, device: Device, driver: Driver) -> bool:
        assert isinstance(device, VirtioDevice) and isinstance(driver, VirtioDriver)
        return device.device_id == driver.device_id


class VirtioDevice(Device):
    """<ccw device>/virtioN."""

    def __init__(self, bus: VirtioBus, ccw: CcwDevice, number: int) -> None:
        super().__init__(bus.kernel, f"virtio{number}", ccw.directory, bus=bus)
        self.number = number
        self.device_id = ccw.cu_model
        self.vendor = ccw.cu_type
        spec = ccw.subchannel.spec.device
        self.spec = spec if isinstance(spec, VirtioSpec) else None

    @property
    def modalias(self) -> str:
        return f"virtio:d{self.device_id:08X}v{self.vendor:08X}"

    def uevent_vars(self) -> Variables:
        return [("MODALIAS", self.modalias)]

    def attributes(self) -> Iterable[Attribute]:
        yield text_attribute("device", f"{self.device_id:#06x}")
        yield text_attribute("vendor", f"{self.vendor:#06x}")
        yield text_attribute("status", lambda: f"{DRIVER_OK if self.driver is not None else 3:#010x}")
        yield text_attribute("modalias", self.modalias)
        yield text_attribute("features", "0" * 32 + "1" + "0" * 31)


class VirtioDriver(Driver):
    """A driver of one kind of virtio device that shows nothing but itself."""

    def __init__(self, bus: VirtioBus, device_id: int, module: str | None) -> None:
        super().__init__(bus, NAMES[device_id], module)
        self.device_id = device_id


class VirtioBlk(VirtioDriver):
    """vda, vdb, …"""

    def __init__(self, bus: VirtioBus, module: str | None, blocks: Blocks) -> None:
        super().__init__(bus, BLK, module)
        self._blocks = blocks
        self._indices = IdAllocator()
        blocks.majors[BLOCK_MAJOR] = Major(MINORS)

    def probe(self, device: Device) -> None:
        assert isinstance(device, VirtioDevice)
        disk = VirtioDisk(self._indices.get(), device.spec or VirtioSpec("blk"))
        device.drvdata = disk
        self._blocks.add_disk(device.directory, disk)

    def remove(self, device: Device) -> None:
        disk = device.drvdata
        assert isinstance(disk, VirtioDisk)
        self._blocks.remove_disk(disk)
        disk.detach()
        self._indices.put(disk.index)
        device.drvdata = None


class VirtioNet(VirtioDriver):
    """eth0, eth1, …: what /sys shows of an interface, not the interface."""

    def __init__(self, bus: VirtioBus, module: str | None) -> None:
        super().__init__(bus, NET, module)
        self._sysclass = SysClass(bus.kernel, "net")
        self._indices = IdAllocator()

    def probe(self, device: Device) -> None:
        assert isinstance(device, VirtioDevice)
        device.drvdata = index = self._indices.get()
        glue = device.directory.add(Directory("net"))
        mac = device.spec.mac if device.spec is not None else VirtioSpec("net").mac
        interface = _NetInterface(self.bus.kernel, glue, self._sysclass, device, index, mac)
        device.drvdata = interface
        interface.register()

    def remove(self, device: Device) -> None:
        interface = device.drvdata
        assert isinstance(interface, _NetInterface)
        interface.unregister()
        device.remove_nodes(["net"])
        self._indices.put(interface.index)
        device.drvdata = None


class _NetInterface(Device):
    def __init__(
        self, kernel: Kernel, parent: Directory, sysclass: SysClass, owner: Device, index: int, mac: str
    ) -> None:
        super().__init__(kernel, f"eth{index}", parent, sysclass=sysclass)
        self.index = index
        self._owner = owner
        self._mac = mac

    def uevent_vars(self) -> Variables:
        return [("INTERFACE", self.name), ("IFINDEX", str(self.index + 2))]

    def attributes(self) -> Iterable[Attribute | Link]:
        yield Link("device", self._owner.directory)
        values = {
            "address": self._mac, "addr_len": "6", "type": "1", "mtu": "1500", "operstate": "up", "carrier": "1",
            "ifindex": str(self.index + 2), "iflink": str(self.index + 2), "flags": "0x1003", "tx_queue_len": "1000",
        }  # fmt: skip
        for name, value in values.items():
            yield text_attribute(name, value)


class VirtioCcw:
    """The driver on the ccw bus: it brings its devices online by itself, soon after it was bound."""

    name = "virtio_ccw"
    module: str | None = None
    ids: Sequence[tuple[int, int, int, int]] = ((0x3832, 0, 0, 0),)

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._bus = VirtioBus(kernel)
        self._numbers = IdAllocator()

    @property
    def bus(self) -> VirtioBus:
        return self._bus

    def probe(self, device: ccwdriver.CcwDevice) -> None:
        assert isinstance(device, CcwDevice)
        self._kernel.work.schedule(lambda: self._auto_online(device))

    def _auto_online(self, device: CcwDevice) -> None:
        with device.mutex:
            if device.driver is None or device.online:
                return
            try:
                device.set_online()
            except OSError as problem:
                device.log(f"Failed to set online: -{problem.errno}")

    def remove(self, device: ccwdriver.CcwDevice) -> None:
        self._take_down(device)

    def set_online(self, device: ccwdriver.CcwDevice) -> None:
        assert isinstance(device, CcwDevice)
        virtio = VirtioDevice(self._bus, device, self._numbers.get())
        device.drvdata = virtio
        virtio.register()

    def set_offline(self, device: ccwdriver.CcwDevice) -> None:
        self._take_down(device)

    def paths_changed(self, device: ccwdriver.CcwDevice, vpm: int) -> bool:
        return False

    def _take_down(self, device: ccwdriver.CcwDevice) -> None:
        virtio = device.drvdata
        if isinstance(virtio, VirtioDevice):
            virtio.unregister()
            self._numbers.put(virtio.number)
        device.drvdata = None


class VirtioPartition:
    def __init__(self, disk: VirtioDisk, number: int, spec: PartitionSpec) -> None:
        self.name = f"{disk.name}{number}"
        self.number = number
        self.minor = disk.first_minor + number
        self.start_sector = spec.start
        self.sectors = spec.sectors


class VirtioDisk:
    """A virtio block device over a file, or over memory that lasts as long as the device is bound."""

    major = BLOCK_MAJOR
    block_size = SECTOR

    def __init__(self, index: int, spec: VirtioSpec) -> None:
        """Raises OSError where the file cannot be opened."""
        self.index = index
        self.name = "vd" + chr(ord("a") + index)
        self.first_minor = index * MINORS
        self.partitions = [VirtioPartition(self, number, each) for number, each in enumerate(spec.partitions, 1)]
        if spec.image:
            self._file = os.open(spec.image, os.O_RDWR | os.O_CLOEXEC)
            self._size = os.fstat(self._file).st_size
        else:
            self._file = os.memfd_create(self.name, os.MFD_CLOEXEC)
            self._size = spec.size
            os.ftruncate(self._file, self._size)
        self.detach = weakref.finalize(self, os.close, self._file)
        """Close the file; done at the latest when nothing refers to the disk any more."""

    def size_bytes(self) -> int:
        return self._size

    def read_only(self) -> bool:
        return False

    def open_device(self, partition: int | None, flags: int) -> OpenDevice:
        if partition is None:
            return _OpenVirtio(os.dup(self._file), 0, self._size)
        chosen = self.partitions[partition]
        return _OpenVirtio(os.dup(self._file), chosen.start_sector * SECTOR, chosen.sectors * SECTOR)


class _OpenVirtio:
    def __init__(self, file: int, start: int, length: int) -> None:
        self._file = file
        self._start = start
        self._length = length

    def read(self, offset: int, count: int) -> bytes:
        return os.pread(self._file, max(0, min(count, self._length - offset)), self._start + offset)

    def write(self, offset: int, data: bytes) -> int:
        return os.pwrite(self._file, data[: max(0, self._length - offset)], self._start + offset)

    def sync(self) -> None:
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)


def virtio_driver(bus: VirtioBus, name: str, module: str | None, blocks: Blocks) -> VirtioDriver:
    """The driver of that name. Raises KeyError."""
    device_id = {driver: number for number, driver in NAMES.items()}[name]
    makers: dict[int, Callable[[], VirtioDriver]] = {
        BLK: lambda: VirtioBlk(bus, module, blocks),
        NET: lambda: VirtioNet(bus, module),
    }
    return makers.get(device_id, lambda: VirtioDriver(bus, device_id, module))()

# SPDX-License-Identifier: GPL-2.0-or-later
"""The mediated devices that a guest holds open: QEMU's side of vfio-ccw.

Opening one asks the host over its socket, as QEMU asks by ioctl; the answer brings the identity of the device and
its disk image, and the core's channel subsystem runs in this process from then on. The connection is the opening:
when it ends, the host has the device back.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import mmap
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from ccwemu import channel
from ccwemu.faults.armed import ArmedDevice
from ccwemu.faults.model import from_message
from ccwemu.guest.devices import CcwId, GuestDevice
from ccwemu.guest.hostcheck import HostDevice
from ccwemu.guest.qemuopts import QemuError
from ccwemu.guest.spec import dasd_of
from ccwemu.guest.vfiochannel import VfioChannel
from ccwemu.hostio import make_device
from ccwemu.machine.ccwdriver import ChannelDevice
from ccwemu.machine.dasd.program import AREA_SIZE
from ccwemu.machine.spec import DasdSpec
from ccwemu.tools._host import Connection, HostError

log = logging.getLogger(__name__)

BUSY_FOR, BUSY_PAUSE = 0.3, 0.02  # seconds


class GuestStorage:
    """The guest's main storage, mapped for its devices from address 0 (VFIO_IOMMU_MAP_DMA).

    Each passed-through device gets a piece for its channel programs; Linux would take one from its allocator.
    """

    FIRST = 1 << 20

    def __init__(self, size: int) -> None:
        """``size`` in bytes. Pages come into being when they are touched."""
        self.size = size
        self._memory = mmap.mmap(-1, size)
        self._next = self.FIRST
        self.storage = channel.Storage()
        self.storage.map(0, self._memory)

    def take(self) -> tuple[memoryview, int]:
        """A piece of AREA_SIZE bytes and its address. Raises QemuError when the storage is full."""
        address = self._next
        if address + AREA_SIZE > min(self.size, 1 << 31):
            raise QemuError(f"guest storage of {self.size >> 20} MiB is too small for its devices; give more with -m")
        self._next += AREA_SIZE
        return memoryview(self._memory)[address : address + AREA_SIZE], address


class PassedThrough:
    """One mediated device, open."""

    def __init__(self, device: GuestDevice, number: CcwId, host: HostDevice) -> None:
        self.device = device
        self.number = number
        self.host = host
        self.description: dict[str, Any] = {}
        self.channel: VfioChannel | None = None
        self._connection: Connection | None = None
        self._image: channel.Image | None = None
        self._regions: channel.VfioCcw | None = None
        self._subchannel: channel.Subchannel | None = None
        self._armed: ArmedDevice | None = None
        self._closing = False
        self._pam = 0

    def open(self, guest: str, storage: GuestStorage) -> None:
        """Open the device and its regions. Raises QemuError."""
        try:
            answer, descriptors = self._ask({"op": "vfio-open", "uuid": self.host.uuid, "guest": guest})
        except HostError as error:
            raise self._refused(error) from None
        except OSError as error:
            message = f"vfio: the emulated host does not answer: {error.strerror}; is this command run on one?"
            raise QemuError(message, self.device.where) from None
        # What the host's sysfs says, then what its subchannel says now.
        self.description = {**vars(self.host), **answer, **answer.get("device", {})}
        try:
            self._start_core(descriptors, storage)
        except (channel.ImageError, OSError) as error:
            raise QemuError(f"vfio: mdev {self.host.uuid}: {error}", self.device.where) from None

    def _ask(self, question: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        """Ask on a new connection, which is kept. Raises HostError, OSError.

        Who looked whether the group is in use closed /dev/vfio/N, but a FUSE file system learns of a close a moment
        after close(2) has returned: EBUSY counts when it stays.
        """
        deadline = time.monotonic() + BUSY_FOR
        while True:
            connection = Connection()
            try:
                answer = connection.ask(question)
            except (HostError, OSError) as error:
                connection.close()
                if getattr(error, "name", "") == "EBUSY" and time.monotonic() < deadline:
                    time.sleep(BUSY_PAUSE)
                    continue
                raise
            self._connection = connection
            return answer

    def _refused(self, error: HostError) -> QemuError:
        group = self.host.group
        if error.name == "EBUSY":
            return QemuError(f"failed to open /dev/vfio/{group}: Device or resource busy", self.device.where)
        if error.name == "ENODEV":
            hint = f"Verify all devices in group {group} are bound to vfio-<bus> or pci-stub and not already in use"
            if str(error) != os.strerror(errno.ENODEV):
                hint += f"\n{error}"
            text = f"vfio: error getting device from group {group}: No such device"
            return QemuError(text, self.device.where, hint)
        return QemuError(f"vfio: mdev {self.host.uuid}: {error}", self.device.where)

    def _start_core(self, descriptors: list[int], storage: GuestStorage) -> None:
        core_device = None
        dasd = dasd_of(self.description)
        if descriptors and isinstance(dasd, DasdSpec):
            self._image = channel.Image.open(descriptors[0], writable=not dasd.read_only)
            core_device = make_device(dasd, self._image)
            self._armed = ArmedDevice(core_device, self._tell_count)
            self._armed.arm(from_message(fault) for fault in self.description.get("faults", ()))
        for descriptor in descriptors[1:] if self._image else descriptors:
            os.close(descriptor)
        devno = str(self.description.get("devno", "0"))
        self._subchannel = channel.Subchannel(
            core_device,
            devno=int(devno.rsplit(".", 1)[-1], 16),
            chpids=self.description["chpids"],
            pim=self.description["pim"],
            pam=self.description["pam"],
            pom=self.description["pom"],
        )
        self._pam = int(self.description["pam"])
        self._regions = channel.VfioCcw(self._subchannel, storage.storage)
        self._regions.open()
        memory, address = storage.take()
        ran = self._armed.report if self._armed is not None else lambda: None
        self.channel = VfioChannel(self._regions, memory, address, self.number.devno, ran)

    def listen(self, gone: Callable[[], None]) -> None:
        """Turn what the host pushes into the device's interrupts, from a thread; ``gone`` when the host has ended."""
        threading.Thread(target=self._listen, args=(gone,), name=f"vfio {self.number}", daemon=True).start()

    def _listen(self, gone: Callable[[], None]) -> None:
        assert self._connection is not None
        while True:
            try:
                message = self._connection.receive()
            except (OSError, ValueError, HostError):
                message = None
            if message is None:
                break
            for descriptor in message[1]:
                os.close(descriptor)
            try:
                self._handle(message[0])
            except Exception:
                log.exception("%s: event %r from the host", self.number, message[0])
        if not self._closing:
            gone()

    def _handle(self, event: dict[str, Any]) -> None:
        assert self._regions is not None
        if event.get("event") == "paths":
            self._paths_changed(int(event["pam"]))
        elif event.get("event") == "request":
            self._regions.request()
        elif event.get("event") == "gone":
            self._device_gone()
        elif event.get("event") == "fault" and self._armed is not None:
            self._armed.arm([from_message(event["fault"])])
        elif event.get("event") == "faults-cleared" and self._armed is not None:
            self._armed.disarm()
        else:
            log.warning("%s: unknown event from the host: %r", self.number, event)

    def _tell_count(self, identity: int, skip: int, left: int) -> None:
        """The host learns what has come of a fault."""
        if self._connection is not None:
            with contextlib.suppress(OSError):  # the host has ended, which ends the guest
                self._connection.send({"op": "fault-counted", "id": identity, "skip": skip, "left": left})

    def _device_gone(self) -> None:
        """As vfio_ccw meets it: programs are refused from now on, and the host will ask for the device."""
        assert self._regions is not None and self._subchannel is not None
        self._regions.not_operational()
        self._subchannel.set_device_valid(False)

    def _paths_changed(self, pam: int) -> None:
        """The host's path-available mask: to the core, with a channel report for each path that went or came."""
        assert self._regions is not None and self._subchannel is not None
        changed, self._pam = self._pam ^ pam, pam
        self._subchannel.set_paths(pam)
        for index, chpid in enumerate(self.description["chpids"][:8]):
            bit = 0x80 >> index
            if changed & bit:
                self._regions.path_event(chpid, bool(pam & bit))

    def close(self) -> None:
        """Give the device back to the host."""
        self._closing = True
        if self.channel is not None:
            self.channel.close()
        if self._regions is not None:
            self._regions.close()
        if self._image is not None:
            self._image.close()
        if self._connection is not None:
            self._connection.close()


class GuestIo:
    """How the guest's machine reaches its subchannels (:class:`~ccwemu.machine.channelio.ChannelIo`)."""

    def __init__(self) -> None:
        self.devices: dict[str, PassedThrough] = {}
        """Subchannel's bus id in the guest → what is passed through there."""

    def subchannel(self, busid: str) -> ChannelDevice | None:
        device = self.devices.get(busid)
        return device.channel if device is not None else None

    def release(self, busid: str) -> None:
        """Nothing to let go: a passed-through device stays open as long as QEMU runs."""

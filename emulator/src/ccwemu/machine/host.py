# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulated machine as a whole."""

from __future__ import annotations

import errno
from collections.abc import Callable

from ccwemu.machine import cpus, firmware, klog, procfiles
from ccwemu.machine.block import Blocks
from ccwemu.machine.ccw import CcwBus, CcwDevice
from ccwemu.machine.channelio import ChannelIo, NoChannels
from ccwemu.machine.cio import IoSubchannelDriver
from ccwemu.machine.css import ChannelSubsystem
from ccwemu.machine.cstring import error
from ccwemu.machine.diskusers import SwapAreas, Volumes
from ccwemu.machine.drivers import DriverSet
from ccwemu.machine.kconfig import KernelConfig
from ccwemu.machine.kernel import Kernel
from ccwemu.machine.mdev import MdevHandle
from ccwemu.machine.modules import Modules
from ccwemu.machine.spec import DasdSpec, MachineSpec, PlaceSpec, SubchannelSpec, check
from ccwemu.machine.tree import Directory

__all__ = ["ChannelIo", "Machine", "MdevHandle", "Mdevs", "NoChannels"]


class Mdevs:
    """Mediated devices as who uses them sees them: what QEMU opens."""

    def __init__(self, kernel: Kernel, drivers: DriverSet) -> None:
        self._kernel = kernel
        self._drivers = drivers

    def open_device(self, uuid: str, holds_group: bool = False) -> MdevHandle:
        """Open a mediated device, and its group with it unless the caller holds that open. Raises OSError.

        ENOENT: no such device; ENODEV: it has no driver, or is going away; EBUSY: someone has it, or the group, open;
        EINVAL: nobody has the group open, though the caller should.
        """
        with self._kernel.lock:
            mdev = self._drivers.mdev.devices.get(uuid.lower()) if self._drivers.mdev is not None else None
            if mdev is None:
                raise error(errno.ENOENT)
            return mdev.open(holds_group)

    def is_open(self, uuid: str) -> bool:
        with self._kernel.lock:
            mdev = self._drivers.mdev.devices.get(uuid.lower()) if self._drivers.mdev is not None else None
            return mdev is not None and mdev.handle is not None

    def set_request_interval(self, seconds: float) -> None:
        """How long a removal that waits does so between two requests to the user (10 s on Linux)."""
        with self._kernel.lock:
            if self._drivers.mdev is not None:
                self._drivers.mdev.request_interval = seconds


class Machine:
    """One machine from boot to halt. All that changes it happens under ``lock``."""

    def __init__(self, spec: MachineSpec, io: ChannelIo | None = None, *, threaded: bool = True) -> None:
        """``io``: how its subchannels are reached. ``threaded=False``: asynchronous work waits for :meth:`settle`.

        Raises SpecError, ValueError (a kernel release that is not known).
        """
        check(spec)
        self.spec = spec
        self.kernel = Kernel(spec.kernel, threaded)
        self.config = KernelConfig(spec.kernel, spec.config)
        self.sysfs = self.kernel.sysfs
        self.proc = self.kernel.proc
        self.dev = self.kernel.dev
        self.lock = self.kernel.lock
        self.uevents = self.kernel.uevents
        self.dmesg = self.log = self.kernel.log
        self.blocks = Blocks(self.kernel)
        self.css = ChannelSubsystem(self.kernel, spec, io if io is not None else NoChannels())
        self.ccw_bus = CcwBus(self.kernel)
        self._drivers = DriverSet(self.kernel, self.config, self.css, self.ccw_bus, self.blocks)
        self.swaps = SwapAreas(self.blocks)
        self.volumes = Volumes(self.blocks)
        self.modules = Modules(self.kernel, self.config, self._drivers.code)
        self._drivers.is_module = lambda name: name in self.modules.available
        self.mdevs = Mdevs(self.kernel, self._drivers)

    def set_open_counter(self, counter: Callable[[str], int]) -> None:
        """``counter(name)``: mounts and swap areas on a disk or partition, which hold no device file open."""
        self.blocks.set_open_counter(counter)

    @property
    def command_line(self) -> str:
        """The kernel's."""
        return procfiles.command_line(self.spec)

    def boot(self) -> None:
        """Register the subchannels, have devices recognised, load the modules, bring online what the spec says."""
        with self.lock:
            self.dmesg.append(procfiles.version(self.spec).rstrip("\n"))
            self.dmesg.append(f"Kernel command line: {procfiles.command_line(self.spec)}")
            for items in procfiles.ignore_lists(self.spec):
                self.css.blacklist.change(items, True)
            procfiles.install(self)
            firmware.install(self.kernel, self.spec.ipl, self.spec.dump)
            cpus.install(self.kernel, self.spec.cpus)
            self._drivers.built_in_ccw_drivers()
            IoSubchannelDriver(self.css, self.ccw_bus).register()
            self.css.boot()
            self.modules.start_builtin()
        self.settle()
        with self.lock:
            self.modules.load_at_boot(self.spec.modules)
        self.settle()
        with self.lock:
            for spec in self.spec.subchannels:
                self._bring_online(spec)
            self._take_disks_into_use()

    def settle(self) -> None:
        """Wait until the kernel has no work left (as /proc/cio_settle)."""
        self.kernel.work.flush()

    def set_paths(self, busid: str, pam: int) -> None:
        """The paths of a subchannel that work have changed: hardware, or the host of a guest, says so."""
        with self.lock:
            self.css.set_paths(busid, pam)

    def appear_late(self, busid: str) -> None:
        """A device that was away when the machine booted is there, and comes online as it would have then.

        Raises KeyError: no such subchannel.
        """
        self.device_back(busid)
        self.settle()
        with self.lock:
            self._bring_online(self.css.described[busid])

    def unplug(self, busid: str) -> None:
        """A subchannel is no more; what was on it goes, in use or not. One that is not there is no error."""
        with self.lock:
            self.css.unplug(busid)

    def device_gone(self, busid: str) -> None:
        """The device behind a subchannel is gone: a channel report for the subchannel says so."""
        with self.lock:
            self.css.device_gone(busid)

    def device_back(self, busid: str) -> None:
        """It is there again."""
        with self.lock:
            self.css.device_back(busid)

    def change_reservation(self, disk: str, order: str) -> None:
        """``order``: "reserve", "release", "steal". Raises OSError: ENODEV where there is no such DASD, EIO."""
        with self.lock:
            if self._drivers.dasd is None:
                raise error(errno.ENODEV)
            self._drivers.dasd.change_reservation(disk, order)

    def shutdown(self) -> None:
        """End the machine: forget its work, let its subchannels go."""
        self.kernel.work.close()
        with self.lock:
            for subchannel in self.css.subchannels.values():
                subchannel.release_channel()

    def ccw_device(self, busid: str) -> CcwDevice | None:
        """The ccw device of that bus id, if it is registered."""
        device = self.ccw_bus.devices.get(busid)
        return device if isinstance(device, CcwDevice) else None

    def _bring_online(self, spec: SubchannelSpec) -> None:
        if not (isinstance(spec.device, DasdSpec) and spec.device.online and spec.devno):
            return
        device = self.ccw_device(spec.devno)
        if device is None:
            return
        try:
            device.set_online()
        except OSError as problem:
            device.log(f"Setting the device online at boot failed: {problem.strerror}")

    def block_name(self, place: PlaceSpec) -> str:
        """What the kernel calls a disk, a partition of it, or a volume: "dasda1". Raises KeyError where it is not."""
        volume = self.volumes.block_name(place.device)
        if volume is not None:
            return volume
        device = self.ccw_device(place.device)
        block = device.directory.get("block") if device is not None else None
        if not isinstance(block, Directory):
            raise KeyError(f"device {place.device} has no disk: it is not online")
        name = f"{next(iter(block)).name}{place.partition or ''}"
        return self.blocks.member(name).name

    def _take_disks_into_use(self) -> None:
        """Swap areas and volumes of the spec; one whose disk is not there is said in the log."""
        try:
            for volume in self.spec.volumes:
                self.volumes.add(volume.kind, volume.name, [self.block_name(place) for place in volume.members])
            for swap in self.spec.swaps:
                self.swaps.on(self.block_name(swap))
        except KeyError as problem:
            self.dmesg.append(f"{self.spec.name}: {problem.args[0]}", klog.ERR)

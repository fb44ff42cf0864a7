# SPDX-License-Identifier: GPL-2.0-or-later
"""The dasd-eckd driver: probe, online, offline, paths (Linux: drivers/s390/block/dasd.c, dasd_eckd.c)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import cast

from ccwemu.machine.ccwdriver import EXPIRES, BlockRegistry, Ccw, CcwDevice
from ccwemu.machine.dasd import attributes, bringup, eckd
from ccwemu.machine.dasd.disk import MAJOR, MINORS, DasdDisk, disk_name
from ccwemu.machine.dasd.eckd import Layout
from ccwemu.machine.dasd.program import SUPPRESS_LENGTH
from ccwemu.machine.dasd.request import OnPaths, execute
from ccwemu.machine.dasd.state import BusDevice, MapEntry, OnlineDasd
from ccwemu.machine.tree import Directory

DISCIPLINE = "ECKD"

IDS = (
    (0x3990, 0, 0x3390, 0),
    (0x2105, 0, 0x3390, 0),
    (0x3880, 0, 0x3380, 0),
    (0x3990, 0, 0x3380, 0),
    (0x2105, 0, 0x3380, 0),
    (0x9343, 0, 0x9345, 0),
    (0x2107, 0, 0x3390, 0),
    (0x2107, 0, 0x3380, 0),
    (0x1750, 0, 0x3390, 0),
    (0x1750, 0, 0x3380, 0),
)

STATISTICS_OFF = "Statistics are off - they might be switched on using 'echo set on > /proc/dasd/statistics'\n"


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class DasdDevice:
    """A DASD that the driver is bound to: the driver's data of a ccw device, and what its attributes see."""

    def __init__(self, driver: DasdEckd, device: BusDevice) -> None:
        self.device = device
        self.online: OnlineDasd | None = None
        self._driver = driver

    @property
    def entry(self) -> MapEntry | None:
        return self._driver.map.get(self.device.busid)

    def make_entry(self) -> MapEntry:
        return self._driver.map_entry(self.device.busid)

    def channel(self) -> OnPaths:
        """The device over the paths that are in use. Raises OSError(ENODEV) where nothing is behind the subchannel."""
        return OnPaths(self.device.channel, self._usable_paths, self._expires)

    def _expires(self) -> float:
        return self.online.expires if self.online is not None else EXPIRES

    def _usable_paths(self) -> int:
        return self.online.masks.operational if self.online is not None else self.device.subchannel.vpm

    def ping(self) -> None:
        """A No-Operation to the device. Raises OSError."""
        execute(self.channel(), [Ccw(eckd.NOP, b"", SUPPRESS_LENGTH)])

    def reset_paths(self, mask: int) -> None:
        """Give paths that were set apart for errors another chance."""
        if self.online is None:
            return
        masks = self.online.masks
        masks.errors &= ~mask
        masks.cuir &= ~mask
        masks.hpf &= ~mask

    def change_reservation(self, order: str) -> None:
        """``order``: a key of eckd.RESERVATION. Raises OSError: ENODEV (offline), EIO (another has it)."""
        online = attributes.running(self)
        execute(self.channel(), [Ccw(eckd.RESERVATION[order], eckd.RESERVATION_SIZE, SUPPRESS_LENGTH)])
        online.reserved = order != "release"

    def safe_offline(self) -> None:
        """Offline by way of the bus, once nothing is under way (nothing is: requests are synchronous)."""
        self.device.set_offline()


class DasdEckd:
    """The driver. ``blocks`` takes the disks; ``printk`` takes lines for the kernel log that no driver prefixes."""

    name = "dasd-eckd"
    module: str | None = "dasd_eckd_mod"
    ids: Sequence[tuple[int, int, int, int]] = IDS

    def __init__(self, blocks: BlockRegistry, printk: Callable[[str], None] | None = None) -> None:
        self.map: dict[str, MapEntry] = {}
        self._blocks = blocks
        self._printk = printk
        self._bound: dict[str, DasdDevice] = {}

    def map_entry(self, busid: str) -> MapEntry:
        """The bus id's entry in the device map, made with the next free index when there is none."""
        if busid not in self.map:
            self.map[busid] = MapEntry(len(self.map))
        return self.map[busid]

    # --- the ccw driver's methods ---

    def probe(self, device: CcwDevice) -> None:
        state = DasdDevice(self, cast(BusDevice, device))
        device.drvdata = state
        self._bound[device.busid] = state
        attributes.install(state)

    def remove(self, device: CcwDevice) -> None:
        """Unbound, online or not, in use or not: later accesses to the disk fail with EIO."""
        state = self._bound.pop(device.busid, None)
        if state is None:
            return
        self._take_down(state)
        attributes.uninstall(state)
        device.drvdata = None

    def set_online(self, device: CcwDevice) -> None:
        """Raises OSError: EIO and others as the requests fail, ENODEV without the discipline that was asked for."""
        state = self._bound[device.busid]
        entry = state.make_entry()
        self._refuse_unknown(device, entry)
        try:
            online = self._check_device(state)
        except OSError as failure:
            rc = -(failure.errno or errno.EIO)
            device.log(f"Setting the DASD online with discipline {DISCIPLINE} failed with rc={rc}")
            raise
        if not online.configuration.is_alias:  # an alias has no disk
            online.geometry = bringup.analyse(state.channel(), online.geometry, device.log)
            online.status = "online" if online.geometry.layout in (Layout.CDL, Layout.LDL) else "unformatted"
        state.online = online
        if not online.configuration.is_alias:
            self._add_disk(state, entry, online)
        self._show_paths(state, online)
        bringup.read_unit_addresses(state.channel(), online.configuration, device.log)

    def set_offline(self, device: CcwDevice) -> None:
        """Raises OSError(EBUSY) while the disk or a partition is open, mounted or swapped on."""
        state = self._bound[device.busid]
        if state.online is None:
            return
        if state.online.disk is not None:
            count = self._blocks.open_count(state.online.disk.name)
            if count > 0:
                device.log(f"The DASD cannot be set offline with open count {count}")
                raise _error(errno.EBUSY)
        self._take_down(state)

    def paths_changed(self, device: CcwDevice, vpm: int) -> bool:
        """A DASD that is online stays without a path, and takes paths that come back."""
        state = self._bound.get(device.busid)
        if state is None or state.online is None:
            return False
        online = state.online
        before = online.masks.operational
        gained = vpm & ~before & ~online.masks.cabling
        online.masks.operational &= vpm
        if gained:
            self._add_paths(state, online, gained)
        if before and not online.masks.operational:
            device.log("No operational channel path is left for the device")
        elif not before and online.masks.operational:
            device.log("A channel path to the device has become operational")
        return True

    # --- ioctls ---

    def change_reservation(self, disk: str, order: str) -> None:
        """Reserve or release the disk of that name ("dasda"). Raises OSError: ENODEV where there is none, EIO."""
        for state in self._bound.values():
            if state.online is not None and state.online.disk is not None and state.online.disk.name == disk:
                state.change_reservation(order)
                return
        raise _error(errno.ENODEV)

    # --- /proc/dasd ---

    def devices_text(self) -> str:
        """/proc/dasd/devices: a line for each DASD that is online, in the order of their names."""
        states = sorted(
            (state for state in self._bound.values() if state.online and state.entry and state.online.disk),
            key=lambda state: state.entry.index if state.entry else 0,
        )
        return "".join(self._devices_line(state) for state in states)

    def statistics_text(self) -> str:
        """/proc/dasd/statistics."""
        return STATISTICS_OFF

    def store_statistics(self, data: bytes) -> None:
        """A write to /proc/dasd/statistics. Raises OSError: EOPNOTSUPP for switching them on, EINVAL."""
        words = data.decode("latin-1").split()
        if words == ["set", "on"]:
            raise OSError(errno.EOPNOTSUPP, "the emulated driver keeps no statistics")
        if words not in (["set", "off"], ["reset"]):
            raise _error(errno.EINVAL)

    def _devices_line(self, state: DasdDevice) -> str:
        entry, online = state.entry, state.online
        assert entry is not None and online is not None
        readonly = "(ro)" if entry.readonly else ""
        line = (
            f"{state.device.busid}({DISCIPLINE}) at ({MAJOR:3d}:{entry.index * MINORS:6d}) is "
            f"{disk_name(entry.index):<8}{readonly:>4}: "
        )
        if online.status != "online":
            return f"{line}{online.status}\n"
        blocks, size = online.geometry.blocks, online.geometry.block_size
        return f"{line}active at blocksize: {size}, {blocks} blocks, {(size >> 9) * blocks >> 11} MB\n"

    # --- steps ---

    def _refuse_unknown(self, device: CcwDevice, entry: MapEntry) -> None:
        if entry.use_diag:
            device.log("Setting the DASD online failed because of missing DIAG discipline")
            raise _error(errno.ENODEV)
        if device.dev_type != 0x3390 or entry.raw_track_access:
            what = "raw-track access" if entry.raw_track_access else f"device type {device.dev_type:04x}"
            device.log(f"Setting the DASD online failed because the emulated driver does not support {what}")
            raise _error(errno.ENODEV)

    def _check_device(self, state: DasdDevice) -> OnlineDasd:
        device = state.device
        if not device.path_group:
            device.log("A channel path group could not be established")
            raise _error(errno.EIO)
        return bringup.bring_up(state.channel(), device.subchannel.vpm, device.cu_type, device.log)

    def _add_disk(self, state: DasdDevice, entry: MapEntry, online: OnlineDasd) -> None:
        device = state.device
        disk = DasdDisk(entry.index, state.channel(), online.geometry, lambda: entry.readonly, device.log)
        online.disk = disk
        try:
            disk.find_partitions()
        except OSError:
            device.log(f"{disk.name}: unable to read partition table")
        self._blocks.add_disk(device.directory, disk)
        if disk.announcement and self._printk is not None:
            self._printk(disk.announcement)

    def _show_paths(self, state: DasdDevice, online: OnlineDasd) -> None:
        online.paths_info = state.device.directory.add(Directory("paths_info"))
        self._add_path_directories(state, online, online.masks.operational)

    def _add_path_directories(self, state: DasdDevice, online: OnlineDasd, mask: int) -> None:
        chpids = state.device.channel.schib()[16:24]
        for number, chpid in enumerate(chpids):
            if mask & 0x80 >> number and online.paths_info is not None:
                attributes.add_path(online.paths_info, chpid)

    def _add_paths(self, state: DasdDevice, online: OnlineDasd, gained: int) -> None:
        """Paths came back, and cio has verified them: see that they lead to this device."""
        channel, log = state.device.channel, state.device.log
        try:
            _configuration, masks = bringup.configure_paths(channel, gained, log, online.configuration)
        except OSError as failure:
            log(f"path {gained:02x}: {failure.strerror}")
            return
        online.masks.operational |= masks.operational
        online.masks.cabling |= masks.cabling
        self._add_path_directories(state, online, masks.operational)

    def _take_down(self, state: DasdDevice) -> None:
        online, state.online = state.online, None
        if online is None:
            return
        if online.disk is not None:
            online.disk.kill()
            self._blocks.remove_disk(online.disk)
        if "paths_info" in state.device.directory:
            state.device.directory.remove("paths_info")

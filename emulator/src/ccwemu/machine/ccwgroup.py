# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices that are made of several ccw devices: the ccwgroup bus, and ctcm, one of the drivers on it.

Source: Linux drivers/s390/cio/ccwgroup.c, drivers/s390/net/ctcm_main.c. A channel-to-channel adapter is grouped and
taken apart; nothing answers at its other end, so it does not come online and there is no network interface.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterable, Sequence

from ccwemu.machine import ccwdriver
from ccwemu.machine.ccw import CcwBus, CcwBusDriver, CcwDevice
from ccwemu.machine.cstring import cstring, error, kstrtoul
from ccwemu.machine.driver_core import Bus, Device, Driver
from ccwemu.machine.kernel import Kernel, text_attribute
from ccwemu.machine.tree import Attribute, Link

_BUSID = re.compile(r"[0-9a-fA-F]{1,2}\.([0-9a-fA-F])\.([0-9a-fA-F]{1,4})")


class CcwGroupBus(Bus):
    name = "ccwgroup"

    def match(self, device: Device, driver: Driver) -> bool:
        assert isinstance(device, CcwGroupDevice)
        return device.maker is driver


class CcwGroupDevice(Device):
    """A group, below /sys/devices/<driver>; it has the name of its first device."""

    def __init__(self, maker: CcwGroupDriver, members: Sequence[CcwDevice]) -> None:
        parent = maker.bus.kernel.directory(f"devices/{maker.name}")
        super().__init__(maker.bus.kernel, members[0].name, parent, bus=maker.bus)
        self.maker = maker
        self.members = tuple(members)

    def attributes(self) -> Iterable[Attribute]:
        yield Attribute("online", 0o644, lambda: "0\n", self._store_online)
        yield Attribute("ungroup", 0o200, store=lambda data: self.ungroup())
        for name, value in (("type", "CTC/A"), ("protocol", "0"), ("buffer", "32768")):
            yield text_attribute(name, value)

    def join(self) -> None:
        """Onto the bus, with a link at either end."""
        for member in self.members:
            member.drvdata = self
        self.register()
        for number, member in enumerate(self.members):
            member.directory.add(Link("group_device", self.directory))
            self.directory.add(Link(f"cdev{number}", member.directory))

    def ungroup(self) -> None:
        """Off the bus. A second time is no error."""
        if not self.registered:
            return
        for number, member in enumerate(self.members):
            member.drvdata = None
            member.remove_nodes(["group_device"])
            self.remove_nodes([f"cdev{number}"])
        self.unregister()

    def _store_online(self, data: bytes) -> None:
        value = kstrtoul(cstring(data), 0)
        if value == 1:
            raise error(errno.ENODEV)  # as ctcm where no channel answers
        if value != 0:
            raise error(errno.EINVAL)


class CcwGroupDriver(Driver):
    """A driver of groups of ``size`` devices that the ccw driver of its own name is bound to."""

    def __init__(self, bus: CcwGroupBus, ccw_bus: CcwBus, name: str, module: str | None, size: int) -> None:
        super().__init__(bus, name, module)
        self._ccw_bus = ccw_bus
        self._size = size

    def _populate(self) -> None:
        super()._populate()
        self.directory.add(Attribute("group", 0o200, store=self._store_group))

    def _store_group(self, data: bytes) -> None:
        """ccwgroup_create_dev. Raises OSError(EINVAL): not so many, or not such devices, or grouped already."""
        members: list[CcwDevice] = []
        for word in cstring(data).removesuffix("\n").split(","):
            members.append(self._member(word))
            if members[-1].cu_model != members[0].cu_model or members[-1] in members[:-1]:
                raise error(errno.EINVAL)
        if len(members) != self._size:
            raise error(errno.EINVAL)
        CcwGroupDevice(self, members).join()

    def _member(self, word: str) -> CcwDevice:
        match = _BUSID.fullmatch(word)
        found = self._ccw_bus.devices.get(f"0.{match[1]}.{int(match[2], 16):04x}".lower()) if match else None
        if not isinstance(found, CcwDevice) or found.driver is None or found.driver.name != self.name:
            raise error(errno.EINVAL)
        if found.drvdata is not None:
            raise error(errno.EINVAL)
        return found


class GroupMember:
    """The ccw driver of devices that are used in groups alone."""

    def __init__(self, name: str, ids: Sequence[tuple[int, int, int, int]]) -> None:
        self.name = name
        self.module: str | None = name
        self.ids = ids

    def probe(self, device: ccwdriver.CcwDevice) -> None: ...

    def remove(self, device: ccwdriver.CcwDevice) -> None:
        """If one of its devices is gone, the whole group is (ccwgroup_remove_ccwdev)."""
        if isinstance(device.drvdata, CcwGroupDevice):
            device.drvdata.ungroup()

    def set_online(self, device: ccwdriver.CcwDevice) -> None: ...

    def set_offline(self, device: ccwdriver.CcwDevice) -> None: ...

    def paths_changed(self, device: ccwdriver.CcwDevice, vpm: int) -> bool:
        return False


class CcwGroupModule:
    """ccwgroup: the bus."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.bus: CcwGroupBus | None = None

    def init(self) -> None:
        self.bus = CcwGroupBus(self._kernel)

    def exit(self) -> None:
        assert self.bus is not None
        self.bus.unregister()
        self.bus = None


CTCM_IDS = ((0x3088, 0x08, 0, 0), (0x3088, 0x1E, 0, 0), (0x3088, 0x1F, 0, 0))


class CtcmModule:
    """ctcm: channel-to-channel adapters, in groups of two. ``bus``: that of groups, once it is there."""

    def __init__(self, kernel: Kernel, ccw_bus: CcwBus, bus: Callable[[], CcwGroupBus]) -> None:
        self._kernel = kernel
        self._ccw_bus = ccw_bus
        self._bus = bus
        self._drivers: tuple[Driver, ...] = ()

    def init(self) -> None:
        self._kernel.directory("devices/ctcm")
        member = CcwBusDriver(self._ccw_bus, GroupMember("ctcm", CTCM_IDS))
        group = CcwGroupDriver(self._bus(), self._ccw_bus, "ctcm", "ctcm", 2)
        self._drivers = (member, group)
        for driver in self._drivers:
            driver.register()

    def exit(self) -> None:
        for group in [one for driver in self._drivers for one in driver.devices if isinstance(one, CcwGroupDevice)]:
            group.ungroup()
        for driver in reversed(self._drivers):
            driver.unregister()
        self._kernel.directory("devices").remove("ctcm")

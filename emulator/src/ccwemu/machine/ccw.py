# SPDX-License-Identifier: GPL-2.0-or-later
"""The ccw bus: devices behind I/O subchannels, their drivers, and ``online``.

Source: Linux drivers/s390/cio/device.c, device_ops.c, device_fsm.c.
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast

from ccwemu.machine import ccwdriver, klog
from ccwemu.machine.ccwdriver import ChannelDevice
from ccwemu.machine.cmf import ChannelMeasurement
from ccwemu.machine.cstring import cstring, error, kstrtoul
from ccwemu.machine.driver_core import Bus, Device, Driver
from ccwemu.machine.kernel import text_attribute
from ccwemu.machine.pathgroup import Identity, Verified, disband, steal_lock, verify
from ccwemu.machine.tree import Attribute
from ccwemu.machine.uevent import Variables

if TYPE_CHECKING:
    from ccwemu.machine.css import Subchannel

FORCE = "force\n"


class State(enum.Enum):
    """The states of the device's state machine that last."""

    OFFLINE = "offline"
    ONLINE = "online"
    BOXED = "boxed"
    DISCONNECTED = "disconnected"


def modalias(identity: Identity) -> str:
    """The alias: "ccw:t3990mE9dt3390dm0C"; without a device type "ccw:t3832m05dtdm"."""
    text = f"ccw:t{identity.cu_type:04X}m{identity.cu_model:02X}"
    if identity.dev_type:
        return f"{text}dt{identity.dev_type:04X}dm{identity.dev_model:02X}"
    return f"{text}dtdm"


class CcwBus(Bus):
    name = "ccw"

    def match(self, device: Device, driver: Driver) -> bool:
        assert isinstance(device, CcwDevice) and isinstance(driver, CcwBusDriver)
        mine = (device.cu_type, device.cu_model, device.dev_type, device.dev_model)
        return any(all(wanted in (0, have) for wanted, have in zip(ids, mine, strict=True)) for ids in driver.table)


class CcwBusDriver(Driver):
    """Gives a driver that was written to :class:`ccwdriver.CcwDriver` its place on the bus.

    ``holds``: the references on its module that an online device is worth.
    ``groups_paths``: its devices' paths are put into a path group.
    """

    def __init__(self, bus: Bus, model: ccwdriver.CcwDriver, *, holds: int = 0, groups_paths: bool = False) -> None:
        super().__init__(bus, model.name, model.module)
        self.model = model
        self.holds = holds
        self.groups_paths = groups_paths

    @property
    def table(self) -> Sequence[tuple[int, int, int, int]]:
        return self.model.ids

    def probe(self, device: Device) -> None:
        assert isinstance(device, CcwDevice)
        self.model.probe(device.seen)

    def remove(self, device: Device) -> None:
        """Takes an online device away without asking who uses it (ccw_device_remove)."""
        assert isinstance(device, CcwDevice)
        was_online = device.online
        self.model.remove(device.seen)
        if was_online:
            device.now_offline()

    def hold(self, sign: int) -> None:
        if self.module is not None:
            self.bus.kernel.module_users[self.module] += sign * self.holds


class CcwDevice(Device):
    """A ccw device. It is what drivers see as :class:`ccwdriver.CcwDevice`."""

    def __init__(self, bus: CcwBus, subchannel: Subchannel, identity: Identity) -> None:
        assert subchannel.spec.devno is not None
        super().__init__(bus.kernel, subchannel.spec.devno, subchannel.directory, bus=bus)
        self.busid = self.name
        self.subchannel = subchannel
        self.identity = identity
        self.state = State.OFFLINE if any(vars(identity).values()) else State.BOXED
        self.online = False
        self.path_group = False
        """The paths form a path group (dasd_eckd needs one)."""
        self._changing = False
        self._measurement = ChannelMeasurement(self.directory)

    # What a driver sees

    @property
    def seen(self) -> ccwdriver.CcwDevice:
        """The device as its driver sees it, which sets nothing but ``drvdata``."""
        return cast(ccwdriver.CcwDevice, self)

    @property
    def cu_type(self) -> int:
        return self.identity.cu_type

    @property
    def cu_model(self) -> int:
        return self.identity.cu_model

    @property
    def dev_type(self) -> int:
        return self.identity.dev_type

    @property
    def dev_model(self) -> int:
        return self.identity.dev_model

    @property
    def channel(self) -> ChannelDevice:
        """Raises OSError(ENODEV) where nothing answers on the subchannel."""
        if self.subchannel.channel is None:
            raise error(errno.ENODEV)
        return self.subchannel.channel

    # Attributes

    def uevent_vars(self) -> Variables:
        mine = self.identity
        return [
            ("CU_TYPE", f"{mine.cu_type:04X}"),
            ("CU_MODEL", f"{mine.cu_model:02X}"),
            ("DEV_TYPE", f"{mine.dev_type:04X}"),
            ("DEV_MODEL", f"{mine.dev_model:02X}"),
            ("MODALIAS", modalias(mine)),
        ]

    def attributes(self) -> Iterable[Attribute]:
        mine = self.identity
        yield text_attribute("devtype", f"{mine.dev_type:04x}/{mine.dev_model:02x}" if mine.dev_type else "n/a")
        yield text_attribute("cutype", f"{mine.cu_type:04x}/{mine.cu_model:02x}")
        yield text_attribute("modalias", modalias(mine))
        yield Attribute("online", 0o644, lambda: f"{int(self.online)}\n", self._store_online)
        yield text_attribute("availability", self._availability)
        yield self._measurement.attribute()

    def _availability(self) -> str:
        if self.state is State.BOXED:
            return "boxed"
        if self.state is State.DISCONNECTED:
            return "no device" if self.subchannel.lpm else "no path"
        return "good"

    # online

    def _store_online(self, data: bytes) -> None:
        """The checks in Linux's order: another change going on, what was written, what can be done."""
        if self._changing:
            raise error(errno.EAGAIN)
        self._changing = True
        try:
            force = _is_force(data)
            value = 1 if force else kstrtoul(cstring(data), 16)
            with self.mutex:
                if value == 0:
                    self.write_offline()
                elif value == 1:
                    self.write_online(force)
                else:
                    raise error(errno.EINVAL)
        finally:
            self._changing = False

    def write_online(self, force: bool = False) -> None:
        """With ``force``, what the driver says is not passed on: whoever wrote reads ``online`` back.

        A device that another system has reserved is taken from it by force.
        """
        try:
            self.set_online()
        except OSError:
            if not force:
                raise
            if self.state is State.BOXED and self.subchannel.channel is not None:
                steal_lock(self.subchannel.channel, self.subchannel.lpm)
                self.state = State.OFFLINE
                self.write_online(force=False)

    def write_offline(self) -> None:
        if self.state is State.DISCONNECTED:
            self.kernel.work.schedule(self._drop_disconnected)
            return
        self.set_offline()

    def set_online(self) -> None:
        """ccw_device_set_online. Raises OSError: EINVAL (online, no driver), ENODEV, EAGAIN, the driver's."""
        driver = self._bound_driver()
        if self.online:
            raise error(errno.EINVAL)
        if self.state is State.BOXED and not any(vars(self.identity).values()):
            raise error(errno.EAGAIN)
        verified = self._verify(driver)
        if verified.boxed or not verified.vpm:
            if verified.boxed:
                self.state = State.BOXED
            self._say_not_online("it is boxed" if verified.boxed else "it is not operational")
            self._disable()
            raise error(errno.ENODEV)
        self.subchannel.vpm = verified.vpm
        self.path_group = verified.grouped
        try:
            driver.model.set_online(self.seen)
        except OSError:
            self._let_paths_go()
            raise
        self.online = True
        self.state = State.ONLINE
        driver.hold(1)

    def set_offline(self) -> None:
        """ccw_device_set_offline. Raises OSError: EINVAL (offline, no driver), EBUSY from the driver."""
        driver = self._bound_driver()
        if not self.online:
            raise error(errno.EINVAL)
        driver.model.set_offline(self.seen)
        self.now_offline()

    def now_offline(self) -> None:
        """The driver has let the device go."""
        if not self.online:
            return
        driver = self._bound_driver()
        self.online = False
        self.state = State.OFFLINE
        driver.hold(-1)
        self._let_paths_go()

    def _bound_driver(self) -> CcwBusDriver:
        if not isinstance(self.driver, CcwBusDriver):
            raise error(errno.EINVAL)
        return self.driver

    def _verify(self, driver: CcwBusDriver) -> Verified:
        """A device that no channel stands behind has the paths that its subchannel says."""
        lpm = self.subchannel.lpm
        if self.subchannel.channel is None:
            return Verified(lpm, driver.groups_paths)
        return verify(self.subchannel.channel, lpm, driver.groups_paths)

    def _let_paths_go(self) -> None:
        if self.path_group and self.subchannel.channel is not None:
            disband(self.subchannel.channel, self.subchannel.vpm & self.subchannel.lpm)
        self.path_group = False
        self._disable()

    def _disable(self) -> None:
        if self.subchannel.channel is not None:
            self.subchannel.channel.disable()

    def _say_not_online(self, why: str) -> None:
        self.kernel.log.append(f"cio: {self.name}: Setting the device online failed because {why}", klog.WARNING)

    # Paths

    def paths_changed(self) -> None:
        """The subchannel's paths were varied: verify again; without any, keep the device or drop it."""
        driver = self.driver if isinstance(self.driver, CcwBusDriver) else None
        if self.subchannel.lpm:
            self._paths_there(driver)
            return
        self.subchannel.vpm = 0
        if driver is not None and self.online and driver.model.paths_changed(self.seen, 0):
            self.state = State.DISCONNECTED
        else:
            self.drop()

    def _paths_there(self, driver: CcwBusDriver | None) -> None:
        if driver is None or not self.online:
            return
        verified = self._verify(driver)
        self.subchannel.vpm = verified.vpm
        self.path_group = verified.grouped
        if self.state is State.DISCONNECTED and verified.vpm:
            self.state = State.ONLINE
        driver.model.paths_changed(self.seen, verified.vpm)

    def device_gone(self) -> bool:
        """The device is not there any more (io_subchannel_sch_event). True: it is kept, for it may come back."""
        driver = self.driver if isinstance(self.driver, CcwBusDriver) else None
        self.subchannel.vpm = 0
        if driver is None or not self.online or not driver.model.paths_changed(self.seen, 0):
            return False
        self.state = State.DISCONNECTED
        return True

    def _drop_disconnected(self) -> None:
        """Who writes 0 to online does not want it any more (ccw_device_todo, CDEV_TODO_UNREG_EVAL)."""
        self.drop()
        self.subchannel.css.evaluate(self.subchannel)

    def drop(self) -> None:
        """Unregister the device; its subchannel stays."""
        with self.mutex:
            self.unregister()
        if self.subchannel.ccw is self:
            self.subchannel.ccw = None


def _is_force(data: bytes) -> bool:
    """Any beginning of "force\\n" counts (strncmp with the length of what was written)."""
    return FORCE.encode()[: len(data)] == data if len(data) <= len(FORCE) else data.startswith(FORCE.encode() + b"\0")

# SPDX-License-Identifier: GPL-2.0-or-later
"""What the modules do when they are loaded and unloaded: which buses, classes and drivers come and go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from ccwemu.machine.block import Blocks, Major
from ccwemu.machine.ccw import CcwBus, CcwBusDriver
from ccwemu.machine.ccwdriver import CcwDriver
from ccwemu.machine.ccwgroup import CcwGroupBus, CcwGroupModule, CtcmModule
from ccwemu.machine.css import ChannelSubsystem, ChscDriver, CssDriver, EadmDriver
from ccwemu.machine.dasd import DasdEckd
from ccwemu.machine.driver_core import Driver
from ccwemu.machine.kconfig import KernelConfig
from ccwemu.machine.kernel import Kernel
from ccwemu.machine.mdev import MdevCore, MdevDriver
from ccwemu.machine.modules import ModuleCode
from ccwemu.machine.procfiles import proc_file
from ccwemu.machine.tree import Directory
from ccwemu.machine.vfio import Vfio
from ccwemu.machine.vfio_ccw import VfioCcwDriver
from ccwemu.machine.virtio import NAMES, VirtioCcw, virtio_driver

DASD_MAJOR, DASD_MINORS = 94, 4
DASD_HOLDS = 2
"""An online DASD holds its discipline's module twice, as base and as current discipline (dasd.c)."""


class OneDriver:
    """The code of a module that registers one driver, made when it is loaded."""

    def __init__(self, make: Callable[[], Driver]) -> None:
        self._make = make
        self._driver: Driver | None = None

    def init(self) -> None:
        self._driver = self._make()
        self._driver.register()

    def exit(self) -> None:
        assert self._driver is not None
        self._driver.unregister()
        self._driver = None


class DriverSet:
    """The drivers of a machine, by the module that has them."""

    def __init__(
        self, kernel: Kernel, config: KernelConfig, css: ChannelSubsystem, ccw_bus: CcwBus, blocks: Blocks
    ) -> None:
        self.kernel = kernel
        self.config = config
        self.css = css
        self.ccw_bus = ccw_bus
        self.blocks = blocks
        self.vfio: Vfio | None = None
        self.mdev: MdevCore | None = None
        self.dasd: DasdEckd | None = None
        """Its device map belongs to dasd_mod: it outlives the discipline's module."""
        self.groups = CcwGroupModule(kernel)
        self.virtio_ccw: VirtioCcw | None = None
        self.is_module: Callable[[str], bool] = lambda name: False
        """Whether a driver is in a module (else it is built in)."""

    def code(self, name: str) -> ModuleCode | None:
        """What a module does; None for one that only has to be there (vfio_iommu_type1)."""
        makers: dict[str, Callable[[], ModuleCode]] = {
            "vfio": lambda: _VfioModule(self),
            "mdev": lambda: _MdevModule(self),
            "vfio_mdev": lambda: OneDriver(self._mdev_driver),
            "vfio_ccw": lambda: _VfioCcwModule(self),
            "chsc_sch": lambda: OneDriver(self._chsc),
            "eadm_sch": lambda: OneDriver(self._eadm),
            "dasd_mod": lambda: _DasdModule(self),
            "dasd_eckd_mod": lambda: OneDriver(self._dasd_eckd),
            "ccwgroup": lambda: self.groups,
            "ctcm": lambda: CtcmModule(self.kernel, self.ccw_bus, self._group_bus),
        }
        if name in NAMES.values():
            return OneDriver(lambda: self._virtio(name)) if self.virtio_ccw is not None else None
        return makers[name]() if name in makers else None

    def _module(self, name: str) -> str | None:
        return name if self.is_module(name) else None

    def _chsc(self) -> Driver:
        return ChscDriver(self.css.bus, "chsc_subchannel", self._module("chsc_sch"))

    def _eadm(self) -> Driver:
        return EadmDriver(self.css.bus, "eadm_subchannel", self._module("eadm_sch"))

    def _mdev_driver(self) -> Driver:
        assert self.mdev is not None and self.vfio is not None
        facts = self.kernel.facts
        return MdevDriver(self.mdev.bus, facts.mdev_driver, facts.mdev_driver_module, self.vfio)

    def brings_mdev_driver(self, module: str) -> bool:
        return self.kernel.facts.mdev_driver_module == module

    def mdev_driver(self) -> OneDriver:
        return OneDriver(self._mdev_driver)

    def _dasd_eckd(self) -> Driver:
        return CcwBusDriver(self.ccw_bus, cast(CcwDriver, self.dasd), holds=DASD_HOLDS, groups_paths=True)

    def _group_bus(self) -> CcwGroupBus:
        assert self.groups.bus is not None
        return self.groups.bus

    def _virtio(self, name: str) -> Driver:
        assert self.virtio_ccw is not None
        return virtio_driver(self.virtio_ccw.bus, name, self._module(name), self.blocks)

    def built_in_ccw_drivers(self) -> None:
        """3270 and virtio_ccw, which no kernel has as modules."""
        if self.config.get("CONFIG_TN3270") == "y":
            CcwBusDriver(self.ccw_bus, Tn3270()).register()
        if self.config.get("CONFIG_S390_GUEST") == "y":
            self.virtio_ccw = VirtioCcw(self.kernel)
            CcwBusDriver(self.ccw_bus, self.virtio_ccw).register()


class Tn3270:
    """The 3270 driver: it takes its devices and shows nothing of them."""

    name = "3270"
    module: str | None = None
    ids: Sequence[tuple[int, int, int, int]] = ((0x3270, 0, 0, 0), (0x3174, 0, 0x3278, 0))

    def probe(self, device: object) -> None: ...

    def remove(self, device: object) -> None: ...

    def set_online(self, device: object) -> None: ...

    def set_offline(self, device: object) -> None: ...

    def paths_changed(self, device: object, vpm: int) -> bool:
        return False


class _VfioModule:
    def __init__(self, drivers: DriverSet) -> None:
        self._drivers = drivers

    def init(self) -> None:
        cdev = self._drivers.config.get("CONFIG_VFIO_DEVICE_CDEV") == "y"
        self._drivers.vfio = Vfio(self._drivers.kernel, cdev)

    def exit(self) -> None:
        assert self._drivers.vfio is not None
        self._drivers.vfio.unload()
        self._drivers.vfio = None


class _MdevModule:
    """mdev, which in one version brings the driver of its devices too."""

    def __init__(self, drivers: DriverSet) -> None:
        self._drivers = drivers
        self._driver: OneDriver | None = None

    def init(self) -> None:
        self._drivers.mdev = MdevCore(self._drivers.kernel)
        if self._drivers.brings_mdev_driver("mdev"):
            self._driver = self._drivers.mdev_driver()
            self._driver.init()

    def exit(self) -> None:
        assert self._drivers.mdev is not None
        if self._driver is not None:
            self._driver.exit()
        self._drivers.mdev.unload()
        self._drivers.mdev = None


class _VfioCcwModule:
    """vfio_ccw: the driver of mediated devices (from 5.16 on), then that of subchannels."""

    def __init__(self, drivers: DriverSet) -> None:
        self._drivers = drivers
        self._registered: list[OneDriver] = []

    def init(self) -> None:
        drivers = self._drivers
        if drivers.brings_mdev_driver("vfio_ccw"):
            self._registered.append(drivers.mdev_driver())
        self._registered.append(OneDriver(self._css_driver))
        for driver in self._registered:
            driver.init()

    def _css_driver(self) -> CssDriver:
        assert self._drivers.mdev is not None
        return VfioCcwDriver(self._drivers.css, self._drivers.mdev)

    def exit(self) -> None:
        for driver in reversed(self._registered):
            driver.exit()
        self._registered.clear()


class _DasdModule:
    """dasd_mod: /proc/dasd."""

    def __init__(self, drivers: DriverSet) -> None:
        self._drivers = drivers

    def init(self) -> None:
        drivers = self._drivers
        drivers.blocks.majors[DASD_MAJOR] = Major(DASD_MINORS, tells_ready=True)
        drivers.dasd = dasd = DasdEckd(drivers.blocks, drivers.kernel.log.append)
        directory = drivers.kernel.proc.add(Directory("dasd", 0o555))
        directory.add(proc_file("devices", dasd.devices_text))
        directory.add(proc_file("statistics", dasd.statistics_text, dasd.store_statistics, 0o644))

    def exit(self) -> None:
        self._drivers.kernel.proc.remove("dasd")
        self._drivers.dasd = None

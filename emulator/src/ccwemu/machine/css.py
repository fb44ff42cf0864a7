# SPDX-License-Identifier: GPL-2.0-or-later
"""The channel subsystem as Linux shows it: /sys/devices/css0 and the css bus.

Source: Linux drivers/s390/cio/css.c, chsc_sch.c, eadm_sch.c.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ccwemu.machine.blacklist import Blacklist
from ccwemu.machine.channelio import ChannelIo
from ccwemu.machine.chp import ChannelPath
from ccwemu.machine.cstring import cstring, error, kstrtoul
from ccwemu.machine.driver_base import DriverOverride
from ccwemu.machine.driver_core import Bus, Device, Driver
from ccwemu.machine.kernel import Kernel, text_attribute
from ccwemu.machine.spec import ADM, CHPID_VIRTIO, CHSC, IO, ChpidSpec, MachineSpec, SubchannelSpec, VirtioSpec
from ccwemu.machine.tree import Attribute, Directory
from ccwemu.machine.uevent import Variables

if TYPE_CHECKING:
    from ccwemu.machine.ccw import CcwDevice
    from ccwemu.machine.ccwdriver import ChannelDevice

PATHS = 8


class CssDriver(Driver):
    """A driver of subchannels of some types."""

    types: tuple[int, ...] = ()

    def paths_changed(self, subchannel: Subchannel) -> None:
        """A channel path of a subchannel of the driver was varied on or off."""

    def device_gone(self, subchannel: Subchannel) -> bool:
        """The device number of the subchannel is not valid any more. True where the driver keeps the subchannel."""
        return False

    def device_back(self, subchannel: Subchannel) -> None:
        """The device of a subchannel that was kept answers again."""


class ChscDriver(CssDriver):
    types = (CHSC,)


class EadmDriver(CssDriver):
    types = (ADM,)


class CssBus(Bus):
    """A driver_override names the only driver, the driver's types decide in any case (css_bus_match)."""

    name = "css"

    def match(self, device: Device, driver: Driver) -> bool:
        assert isinstance(device, Subchannel) and isinstance(driver, CssDriver)
        return device.override.allows(driver.name) and device.spec.type in driver.types


class Subchannel(Device):
    """A subchannel. ``vpm`` are the verified paths, ``channel`` is there while the machine's own driver uses it."""

    def __init__(self, css: ChannelSubsystem, spec: SubchannelSpec) -> None:
        super().__init__(css.kernel, spec.busid, css.directory, bus=css.bus)
        self.css = css
        self.spec = spec
        self.override = DriverOverride()
        self.vpm = 0
        self.working_paths = spec.pam
        """Path bits that the hardware has; :attr:`pam` leaves out CHPIDs on standby."""
        self.channel: ChannelDevice | None = None
        self.ccw: CcwDevice | None = None
        self.mediated_devices = 0

    def path_mask(self, chpid: int) -> int:
        """The path bits (0x80 the first) at which a CHPID is installed."""
        return sum(0x80 >> index for index, other in enumerate(self.spec.chpids) if other == chpid) & self.spec.pim

    @property
    def pam(self) -> int:
        """Path available mask."""
        standby = (self.path_mask(chpid) for chpid, path in self.css.paths.items() if not path.configured)
        return self.working_paths & ~sum(standby)

    @property
    def opm(self) -> int:
        """Operational path mask: paths that are not varied off."""
        offline = (self.path_mask(chpid) for chpid, path in self.css.paths.items() if not path.online)
        return 0xFF & ~sum(offline)

    @property
    def lpm(self) -> int:
        """Logical path mask: paths that the machine may use."""
        return self.pam & self.opm

    def take_channel(self) -> None:
        if self.channel is None:
            self.channel = self.css.io.subchannel(self.name)

    def release_channel(self) -> None:
        if self.channel is not None:
            self.channel = None
            self.css.io.release(self.name)

    def uevent_vars(self) -> Variables:
        kind = f"{self.spec.type:01X}"
        return [("ST", kind), ("MODALIAS", f"css:t{kind}")]

    def attributes(self) -> Iterable[Attribute]:
        spec = self.spec
        yield text_attribute("type", f"{spec.type:01x}")
        yield text_attribute("modalias", f"css:t{spec.type:01X}")
        if self.kernel.facts.driver_override:
            yield self.override.attribute()
        if spec.type == IO:
            yield text_attribute("chpids", self._chpids())
            yield text_attribute("pimpampom", lambda: f"{spec.pim:02x} {self.pam:02x} {spec.pom:02x}")
            if self.kernel.facts.dev_busid:
                yield text_attribute("dev_busid", spec.devno or "none")

    def _chpids(self) -> str:
        """Eight numbers, each with a space behind it; 00 where no path is installed."""
        installed = [chpid if self.spec.pim & (0x80 >> index) else 0 for index, chpid in enumerate(self.spec.chpids)]
        return "".join(f"{chpid:02x} " for chpid in installed + [0] * (PATHS - len(installed)))


class ChannelSubsystem:
    """css0: its subchannels and channel paths, which of them are registered, and why not."""

    def __init__(self, kernel: Kernel, spec: MachineSpec, io: ChannelIo) -> None:
        self.kernel = kernel
        self.spec = spec
        self.io = io
        self.bus = CssBus(kernel)
        self.blacklist = Blacklist(free=self.schedule_reprobe, purge=self.purge)
        self.root = _Css0(kernel, self)
        self.paths: dict[int, ChannelPath] = {}
        self._unplugged: set[str] = set()
        self.described = {subchannel.busid: subchannel for subchannel in spec.subchannels}

    @property
    def directory(self) -> Directory:
        return self.root.directory

    @property
    def subchannels(self) -> dict[str, Subchannel]:
        """The registered ones by bus id."""
        return {name: device for name, device in self.bus.devices.items() if isinstance(device, Subchannel)}

    def _registered(self, busid: str) -> Subchannel | None:
        device = self.bus.devices.get(busid)
        return device if isinstance(device, Subchannel) else None

    def boot(self) -> None:
        """Make css0, its channel paths and its subchannels; drivers that are built in take theirs."""
        self.root.register()
        Device(self.kernel, "defunct", self.directory).register()
        for chpid in _chpids(self.spec):
            self.paths[chpid.chpid] = ChannelPath(self.kernel, self.directory, chpid, self._varied)
            self.paths[chpid.chpid].register()
        self.register_missing()

    # Subchannels

    def register_missing(self) -> None:
        """Register what is there and not ignored (css_probe_device); I/O subchannels without a device are not."""
        for spec in self.spec.subchannels:
            self._register(spec)

    def _register(self, spec: SubchannelSpec) -> None:
        if spec.busid in self.bus.devices or spec.busid in self._unplugged:
            return
        if spec.type == IO and (spec.devno is None or spec.devno in self.blacklist):
            return
        subchannel = Subchannel(self, spec)
        subchannel.suppress_uevents = spec.type == IO and self.kernel.facts.late_css_add
        subchannel.register()

    def schedule_reprobe(self) -> None:
        self.kernel.work.schedule(self.register_missing, self.spec.recognition_delay)

    def purge(self) -> None:
        """Unregister ignored devices that are offline, with their subchannels (ccw_purge_blacklisted)."""
        for subchannel in self.subchannels.values():
            if subchannel.spec.type == IO and self._purgeable(subchannel):
                self.schedule_unregister(subchannel)

    def _purgeable(self, subchannel: Subchannel) -> bool:
        devno = subchannel.spec.devno
        if devno is None or devno not in self.blacklist:
            return False
        if subchannel.ccw is not None:
            return not subchannel.ccw.online
        facts = self.kernel.facts
        if subchannel.driver is not None and subchannel.driver.name == "vfio_ccw":
            return facts.purge_takes_vfio and not subchannel.mediated_devices
        return facts.purge_without_device

    def schedule_unregister(self, subchannel: Subchannel) -> None:
        self.kernel.work.schedule(subchannel.unregister)

    def unplug(self, busid: str) -> None:
        """The subchannel is gone (a channel report says so)."""
        self._unplugged.add(busid)
        subchannel = self._registered(busid)
        if subchannel is not None:
            subchannel.unregister()

    def device_gone(self, busid: str) -> None:
        """A channel report: no device is behind the subchannel any more (css_evaluate_known_subchannel)."""
        self._unplugged.add(busid)
        subchannel = self._registered(busid)
        if subchannel is not None:
            self.evaluate(subchannel)

    def evaluate(self, subchannel: Subchannel) -> None:
        """A subchannel without a device goes, unless its driver keeps it; that may wait for who has it open."""
        driver = subchannel.driver
        kept = isinstance(driver, CssDriver) and driver.device_gone(subchannel)
        if subchannel.name in self._unplugged and not kept:
            self.schedule_unregister(subchannel)

    def device_back(self, busid: str) -> None:
        """A channel report: a device is there again."""
        self._unplugged.discard(busid)
        subchannel = self._registered(busid)
        if subchannel is None:
            spec = self.described[busid]
            self.kernel.work.schedule(lambda: self._register(spec), self.spec.recognition_delay)
        elif isinstance(subchannel.driver, CssDriver):
            subchannel.driver.device_back(subchannel)

    # Channel paths

    def set_paths(self, busid: str, pam: int) -> None:
        """The path-available mask is another now."""
        subchannel = self._registered(busid)
        if subchannel is not None and subchannel.working_paths != pam:
            subchannel.working_paths = pam
            if isinstance(subchannel.driver, CssDriver):
                subchannel.driver.paths_changed(subchannel)

    def _varied(self, chpid: int, _on: bool) -> None:
        for subchannel in self.subchannels.values():
            if subchannel.path_mask(chpid) and isinstance(subchannel.driver, CssDriver):
                subchannel.driver.paths_changed(subchannel)


def _chpids(spec: MachineSpec) -> list[ChpidSpec]:
    """The channel paths of a machine: those that are described, and those that a subchannel names."""
    known = {path.chpid: path for path in spec.chpids}
    for subchannel in spec.subchannels:
        for chpid in subchannel.chpids:
            if chpid not in known:
                virtio = isinstance(subchannel.device, VirtioSpec)
                known[chpid] = ChpidSpec(chpid, CHPID_VIRTIO) if virtio else ChpidSpec(chpid)
    return [known[chpid] for chpid in sorted(known)]


class _Css0(Device):
    """/sys/devices/css0 itself: on no bus, of no class, and so without uevents."""

    def __init__(self, kernel: Kernel, css: ChannelSubsystem) -> None:
        super().__init__(kernel, "css0", kernel.directory("devices"))
        self._css = css
        self._measuring = 0

    def attributes(self) -> Iterable[Attribute]:
        yield Attribute("real_cssid", 0o444, self._show_real_cssid)
        if self.kernel.facts.rescan:
            yield Attribute("rescan", 0o200, store=self._store_rescan)
        yield Attribute("pools", 0o444, lambda: "poolinfo - 0.1\nairq_iv_cache       1   16  256  1\n")
        if self._css.spec.channel_measurement:
            yield Attribute("cm_enable", 0o644, lambda: f"{self._measuring:x}\n", self._store_cm_enable)

    def _show_real_cssid(self) -> str:
        if self._css.spec.real_cssid is None:
            raise error(errno.EINVAL)
        return f"{self._css.spec.real_cssid:x}\n"

    def _store_rescan(self, _data: bytes) -> None:
        self._css.schedule_reprobe()
        self.kernel.work.flush()

    def _store_cm_enable(self, data: bytes) -> None:
        value = kstrtoul(cstring(data), 16)
        if value > 1:
            raise error(errno.EINVAL)
        self._measuring = value

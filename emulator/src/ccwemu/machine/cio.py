# SPDX-License-Identifier: GPL-2.0-or-later
"""io_subchannel: the driver that has a device recognised behind its subchannel.

Source: Linux drivers/s390/cio/device.c (io_subchannel_probe, io_subchannel_remove, io_subchannel_register).
"""

from __future__ import annotations

import errno
from typing import Any

from ccwemu.machine import klog
from ccwemu.machine.ccw import CcwBus, CcwDevice
from ccwemu.machine.css import ChannelSubsystem, CssDriver, Subchannel
from ccwemu.machine.cstring import error
from ccwemu.machine.driver_core import Device
from ccwemu.machine.kernel import text_attribute
from ccwemu.machine.pathgroup import Identity, NotOperational, sense_id
from ccwemu.machine.spec import IO
from ccwemu.machine.tree import Attribute

GROUP = ("logging", "vpm")


class IoSubchannelDriver(CssDriver):
    """Built in. Probe never fails; the ccw device appears later, after Sense ID."""

    types = (IO,)

    def __init__(self, css: ChannelSubsystem, ccw_bus: CcwBus) -> None:
        super().__init__(css.bus, "io_subchannel")
        self._css = css
        self._ccw_bus = ccw_bus

    def probe(self, device: Device) -> None:
        subchannel = _subchannel(device)
        subchannel.add_nodes(
            [
                Attribute("logging", 0o200, store=lambda _: _initiate_logging(subchannel)),
                text_attribute("vpm", lambda: f"{subchannel.vpm:02x}"),
            ]
        )
        self._schedule_recognition(subchannel)

    def remove(self, device: Device) -> None:
        subchannel = _subchannel(device)
        if subchannel.ccw is not None:
            subchannel.ccw.drop()
        subchannel.remove_nodes(GROUP)
        subchannel.release_channel()

    def paths_changed(self, subchannel: Subchannel) -> None:
        def look() -> None:
            if subchannel.driver is not self:
                return
            if subchannel.ccw is not None:
                subchannel.ccw.paths_changed()
            elif subchannel.lpm:
                self._recognise(subchannel)

        self.bus.kernel.work.schedule(look)

    def device_gone(self, subchannel: Subchannel) -> bool:
        return subchannel.ccw is not None and subchannel.ccw.device_gone()

    def device_back(self, subchannel: Subchannel) -> None:
        self.paths_changed(subchannel)

    def _schedule_recognition(self, subchannel: Subchannel) -> None:
        delay = self._css.spec.recognition_delay
        self.bus.kernel.work.schedule(lambda: self._recognise(subchannel), delay)

    def _recognise(self, subchannel: Subchannel) -> None:
        """Sense ID, then the device is registered and a driver is looked for."""
        if subchannel.driver is not self or subchannel.ccw is not None or not subchannel.lpm:
            return
        try:
            identity = self._identify(subchannel)
        except NotOperational:
            self._css.schedule_unregister(subchannel)
            return
        if subchannel.suppress_uevents:
            subchannel.suppress_uevents = False
            subchannel.emit("add")
        subchannel.ccw = CcwDevice(self._ccw_bus, subchannel, identity)
        subchannel.ccw.register()

    def _identify(self, subchannel: Subchannel) -> Identity:
        """What the device says; of one that no channel stands behind, what the machine's description says."""
        subchannel.take_channel()
        if subchannel.channel is not None:
            try:
                return sense_id(subchannel.channel, subchannel.lpm)
            finally:
                subchannel.channel.disable()
        device: Any = subchannel.spec.device
        if device is None:
            raise NotOperational
        return Identity(device.cu_type, device.cu_model, device.dev_type, device.dev_model)


def _subchannel(device: Device) -> Subchannel:
    assert isinstance(device, Subchannel)
    return device


def _initiate_logging(subchannel: Subchannel) -> None:
    """The channel subsystem offers no logging (chsc_siosl), as under QEMU."""
    _cssid, ssid, number = subchannel.name.split(".")
    subchannel.kernel.log.append(
        f"cio: Logging for subchannel 0.{ssid}.{number} failed with errno={errno.EOPNOTSUPP}", klog.WARNING
    )
    raise error(errno.EOPNOTSUPP)

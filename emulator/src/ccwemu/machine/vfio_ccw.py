# SPDX-License-Identifier: GPL-2.0-or-later
"""vfio_ccw: the subchannel driver that makes a subchannel the parent of a mediated device.

Source: Linux drivers/s390/cio/vfio_ccw_drv.c, vfio_ccw_ops.c.
"""

from __future__ import annotations

import errno

from ccwemu.machine import klog
from ccwemu.machine.css import ChannelSubsystem, CssDriver, Subchannel
from ccwemu.machine.cstring import error
from ccwemu.machine.driver_core import Device
from ccwemu.machine.mdev import MdevCore, MdevParent
from ccwemu.machine.spec import IO


class VfioCcwDriver(CssDriver):
    """Takes any I/O subchannel but a QDIO one, whatever device is behind it."""

    types = (IO,)

    def __init__(self, css: ChannelSubsystem, core: MdevCore) -> None:
        super().__init__(css.bus, "vfio_ccw", "vfio_ccw")
        self._core = core

    def probe(self, device: Device) -> None:
        assert isinstance(device, Subchannel)
        if device.spec.qdio:
            self.bus.kernel.log.append(f"vfio: ccw: does not support QDIO: {device.name}", klog.WARNING)
            raise error(errno.ENODEV)
        if self.bus.kernel.facts.parent_directory:
            Device(self.bus.kernel, "parent", device.directory).register()

        def counted(number: int) -> None:
            device.mediated_devices = number

        device.drvdata = MdevParent(self._core, device, counted)

    def remove(self, device: Device) -> None:
        parent = device.drvdata
        assert isinstance(parent, MdevParent)
        parent.unregister()
        device.remove_nodes(["parent"])
        device.drvdata = None

    def paths_changed(self, subchannel: Subchannel) -> None:
        parent = subchannel.drvdata
        assert isinstance(parent, MdevParent)
        for mdev in parent.children:
            if mdev.handle is not None and mdev.handle.paths is not None:
                mdev.handle.paths(subchannel.lpm)

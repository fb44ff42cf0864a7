# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the kernel and the tools keep what is looked at and changed."""

from __future__ import annotations

from ._busid import BadName, BusId

CSS_DEVICES = "/sys/bus/css/devices"
CSS_DRIVERS = "/sys/bus/css/drivers"
CCW_DEVICES = "/sys/bus/ccw/devices"
CCW_DRIVERS = "/sys/bus/ccw/drivers"
MDEV_DEVICES = "/sys/bus/mdev/devices"
MDEV_DRIVERS = "/sys/bus/mdev/drivers"
VFIO_CCW_DRIVER = f"{CSS_DRIVERS}/vfio_ccw"
IO_SUBCHANNEL_DRIVER = f"{CSS_DRIVERS}/io_subchannel"
CHANNEL_SUBSYSTEM = "/sys/devices/css0"
NO_OVERRIDE = "(null)"

DRIVERCTL_DIRECTORY = "/etc/driverctl.d"
MDEVCTL_DIRECTORY = "/etc/mdevctl.d"
TOOLS = ("driverctl", "mdevctl")


def bus_id_or_none(text: str) -> BusId | None:
    try:
        return BusId.parse(text)
    except BadName:
        return None


def parse_uevent(text: str) -> dict[str, str]:
    """The lines NAME=value of a device's attribute uevent."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

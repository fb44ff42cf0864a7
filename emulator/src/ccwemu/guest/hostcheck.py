# SPDX-License-Identifier: GPL-2.0-or-later
"""What QEMU reads on the host to pass a device through, and what it says where that fails.

Source: QEMU 7.2, hw/s390x/s390-ccw.c (s390_ccw_get_dev_info), css.c (css_sch_build_schib), hw/vfio/common.c.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from ccwemu.guest.devices import GuestDevice
from ccwemu.guest.qemuopts import QemuError

NOT_VIABLE = "Please ensure all devices within the iommu_group are bound to their vfio bus driver."


@dataclass(frozen=True)
class HostDevice:
    """A mediated device and the subchannel that it stands for, as the host's sysfs describes them."""

    uuid: str
    subchannel: str
    """The host's bus id of the subchannel: 0.0.16ca."""
    pim: int
    pam: int
    pom: int
    chpids: tuple[int, ...]
    """Eight, 0 where no path is installed."""
    group: int = -1


def find(device: GuestDevice) -> tuple[str, str]:
    """Real path of the mediated device, and its subchannel's name. Raises QemuError."""
    path = device.values.get("sysfsdev")
    if path is None:
        raise QemuError("No host device provided", device.where, "Use -device vfio-ccw,sysfsdev=PATH_TO_DEVICE")
    try:
        real = os.path.realpath(path, strict=True) if path else ""
    except OSError as error:
        raise QemuError(f"Host device '{path}' not found: {error.strerror}", device.where) from None
    if not real:
        raise QemuError("Host device '' not found: No such file or directory", device.where)
    parent = os.path.basename(os.path.dirname(real))
    match = re.match(r"([0-9a-fA-F]{1,2})\.([0-9a-fA-F])\.([0-9a-fA-F]{1,4})", parent)
    if match is None:
        raise QemuError(f"Failed to read {parent}: Invalid argument", device.where)
    cssid, ssid, number = (int(part, 16) for part in match.groups())
    return real, f"{cssid:x}.{ssid:x}.{number:04x}"


def _read(path: str, function: str, where: str) -> list[int]:
    """The hexadecimal numbers of an attribute. Raises QemuError."""
    try:
        with open(path, encoding="ascii") as file:
            return [int(word, 16) for word in file.read().split()]
    except (OSError, ValueError):
        raise QemuError(
            "s390_ccw_realize: Failed to build initial schib: Invalid argument",
            where,
            before=(f"{function}: open {path} failed",),
        ) from None


def describe(device: GuestDevice, real: str, subchannel: str, root: str = "") -> HostDevice:
    """The initial SCHIB: path masks, CHPIDs and their types. Raises QemuError."""
    directory = f"/sys/bus/css/devices/{subchannel}"
    masks = _read(f"{root}{directory}/pimpampom", "css_sch_get_path_masks", device.where)
    chpids = _read(f"{root}{directory}/chpids", "css_sch_get_chpids", device.where)
    for chpid in sorted(set(chpids) - {0}, key=chpids.index):
        _read(f"{root}/sys/devices/css0/chp0.{chpid:02x}/type", "css_sch_get_chpid_type", device.where)
    pim, pam, pom = (masks + [0, 0, 0])[:3]
    return HostDevice(os.path.basename(real), subchannel, pim, pam, pom, tuple(chpids[:8]))


def open_group(device: GuestDevice, host: HostDevice, real: str, root: str = "") -> HostDevice:
    """Find the device's IOMMU group and see that it may be opened. Raises QemuError.

    Whether somebody else has it open is seen when the device is opened.
    """
    try:
        group = int(os.path.basename(os.readlink(real + "/iommu_group")))
    except (OSError, ValueError):
        raise QemuError("vfio: no iommu_group found", device.where) from None
    for path in (f"/dev/vfio/{group}", "/dev/vfio/vfio"):
        if not os.access(root + path, os.R_OK | os.W_OK):
            problem = "Permission denied" if os.path.exists(root + path) else "No such file or directory"
            raise QemuError(f"failed to open {path}: {problem}", device.where)
    return HostDevice(**{**vars(host), "group": group})

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps on CCW devices: offline and online, unbound from their driver and bound again."""

from __future__ import annotations

import errno

from .._busid import BusId
from .._host import Host, HostError
from .._sysfs import CCW_DEVICES, CCW_DRIVERS
from ._step import DMESG, KINDS, Kind, Step, paired, subject, write


def refuse_online(host: Host, step: Step) -> None:
    """The kernel unbinds a disk in use as readily as any other: only an offline one may go. Raises HostError."""
    if step.device is not None and host.get(f"{CCW_DEVICES}/{step.device}/online") == "1":
        text = f"device {step.device} is online (again): somebody may use it"
        raise HostError("write", step.path, errno.EBUSY, step.written, text)


def _driver(host: Host, step: Step) -> str:
    return host.link_name(f"{CCW_DEVICES}/{step.subject}/driver")


def _online(host: Host, step: Step) -> str:
    return host.get(f"{CCW_DEVICES}/{step.subject}/online")


KINDS.update(
    {
        "offline": Kind(
            path=lambda step: f"{CCW_DEVICES}/{step.subject}/online",
            written=lambda step: "0",
            text=lambda step: f"set device {step.subject} offline",
            run=write,
            holds=lambda host, step: _online(host, step) != "1",
            hint=f"Something has the disk open that is not visible from here; {DMESG}",
        ),
        "online": Kind(
            path=lambda step: f"{CCW_DEVICES}/{step.subject}/online",
            written=lambda step: "1",
            text=lambda step: f"set device {step.subject} online",
            run=write,
            holds=lambda host, step: _online(host, step) == "1",
            hint=f"Check its channel paths (lscss), and that a driver is bound to it; {DMESG}",
            shows=frozenset({"bind-subchannel"}),
        ),
        "unbind-ccw": Kind(
            path=lambda step: f"{CCW_DRIVERS}/{step.value}/unbind",
            written=subject,
            text=lambda step: f"unbind device {step.subject} from {step.value}",
            run=write,
            holds=lambda host, step: _driver(host, step) == "",
            hint=DMESG,
            guard=refuse_online,
            shows=frozenset({"offline"}),
        ),
        "bind-ccw": Kind(
            path=lambda step: f"{CCW_DRIVERS}/{step.value}/bind",
            written=subject,
            text=lambda step: f"bind device {step.subject} to {step.value}",
            run=write,
            holds=lambda host, step: _driver(host, step) == step.value,
            hint=DMESG,
        ),
        "probe-ccw": Kind(
            path=lambda step: "/sys/bus/ccw/drivers_probe",
            written=subject,
            text=lambda step: f"let the driver that matches have device {step.subject}",
            run=write,
            holds=lambda host, step: _driver(host, step) != "",
            hint="No driver matches it: load its driver (for a DASD: modprobe dasd_eckd_mod) and run this again",
        ),
    }
)


def offline(device: BusId) -> Step:
    return paired(Step("offline", device, str(device)), Step("online", device, str(device)))


def online(device: BusId) -> Step:
    return paired(Step("online", device, str(device)), Step("offline", device, str(device)))


def unbind_ccw(device: BusId, driver: str) -> Step:
    return paired(Step("unbind-ccw", device, str(device), driver), Step("bind-ccw", device, str(device), driver))


def bind_ccw(device: BusId, driver: str) -> Step:
    """``driver`` "" for the one that matches, which has no inverse."""
    if not driver:
        return Step("probe-ccw", device, str(device))
    return paired(Step("bind-ccw", device, str(device), driver), Step("unbind-ccw", device, str(device), driver))

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps on subchannels: bound to a driver, unbound, and held for one by driver_override."""

from __future__ import annotations

import errno

from .._busid import BusId
from .._host import Host, HostError
from .._sysfs import CCW_DEVICES, CSS_DEVICES, CSS_DRIVERS, NO_OVERRIDE
from ..host._model import IO_SUBCHANNEL, VFIO_CCW
from ._step import DMESG, KINDS, Kind, Step, paired, subject, value, write
from ._steps_ccw import refuse_online

CIO_SETTLE = "/proc/cio_settle"
RECOGNITION_TIMEOUT = 30.0
"""Seconds for the kernel to recognise a device on a subchannel that came back (SENSE ID, path verification)."""


def _unbind(host: Host, step: Step) -> None:
    if step.value == VFIO_CCW:
        host.write_bounded(step.path, step.written)  # waits for whoever still has a mediated device open
    else:
        write(host, step)


def _bind_and_recognise(host: Host, step: Step) -> None:
    write(host, step)
    if step.value != IO_SUBCHANNEL or _driver(host, step) != IO_SUBCHANNEL:
        return
    # the CCW device appears asynchronously; this write returns when the channel subsystem has nothing left to do
    try:
        host.write(CIO_SETTLE, "1")
    except HostError as exc:
        if exc.errno != errno.ENOENT:
            raise
    if not host.wait_for(lambda: host.exists(f"{CCW_DEVICES}/{step.device}/online"), RECOGNITION_TIMEOUT):
        raise HostError(
            "recognise device",
            f"{CCW_DEVICES}/{step.device}",
            errno.ENODEV,
            text=f"the kernel did not find it again within {RECOGNITION_TIMEOUT:g} s",
        )


def _driver(host: Host, step: Step) -> str:
    return host.link_name(f"{CSS_DEVICES}/{step.subject}/driver")


def _bound(host: Host, step: Step) -> bool:
    recognised = step.value != IO_SUBCHANNEL or host.exists(f"{CCW_DEVICES}/{step.device}/online")
    return recognised and _driver(host, step) == step.value


def _override(host: Host, step: Step) -> str:
    text = host.get(f"{CSS_DEVICES}/{step.subject}/driver_override")
    return "" if text == NO_OVERRIDE else text


KINDS.update(
    {
        "unbind-subchannel": Kind(
            path=lambda step: f"{CSS_DRIVERS}/{step.value}/unbind",
            written=subject,
            text=lambda step: f"unbind subchannel {step.subject} from {step.value}",
            run=_unbind,
            holds=lambda host, step: _driver(host, step) != step.value,
            hint=DMESG,
            guard=refuse_online,
            guarded_by=frozenset({"unbind-ccw"}),  # a device without a driver cannot be online
        ),
        "bind-subchannel": Kind(
            path=lambda step: f"{CSS_DRIVERS}/{step.value}/bind",
            written=subject,
            text=lambda step: f"bind subchannel {step.subject} to {step.value}",
            run=_bind_and_recognise,
            holds=_bound,
            hint="The driver refuses QDIO subchannels, and those for which driver_override names another driver; "
            + DMESG,
            shows=frozenset({"unbind-subchannel"}),
        ),
        "override": Kind(
            path=lambda step: f"{CSS_DEVICES}/{step.subject}/driver_override",
            written=value,
            text=lambda step: (
                f"let {step.value} alone bind subchannel {step.subject}"
                if step.value
                else f"clear driver_override of subchannel {step.subject}"
            ),
            run=write,
            holds=lambda host, step: _override(host, step) == step.value,
            hint=DMESG,
        ),
    }
)


def unbind_subchannel(device: BusId, subchannel: BusId, driver: str) -> Step:
    step = Step("unbind-subchannel", device, str(subchannel), driver)
    return paired(step, Step("bind-subchannel", device, str(subchannel), driver))


def bind_subchannel(device: BusId, subchannel: BusId, driver: str) -> Step:
    step = Step("bind-subchannel", device, str(subchannel), driver)
    return paired(step, Step("unbind-subchannel", device, str(subchannel), driver))


def override(device: BusId, subchannel: BusId, driver: str, before: str) -> Step:
    return paired(Step("override", device, str(subchannel), driver), Step("override", device, str(subchannel), before))

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set a CCW device online or offline, on a host or in a guest, and wait until its disk is there."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Any

from ._blocks import Blocks
from ._buses import observe_ccw
from ._busid import BusId
from ._host import Host, HostError
from ._ignore import IGNORE_FILE, is_ignored, parse_ignored
from ._model import BlockDevice, CcwDevice
from ._sysfs import CCW_DEVICES, CSS_DEVICES, bus_id_or_none
from ._users import observe_uses

BLOCK_DEVICES = "/sys/block"
SECTOR = 512
NAMED = 10
"""Devices that a message names; a host can have thousands."""

ONLINE_HINTS = {
    errno.EIO: "The device answered with errors; a DASD needs path grouping and a readable configuration. dmesg says "
    "more",
    errno.ENODEV: "No channel path to the device works; look at lscss and lschp",
    errno.EBUSY: "Another system has it reserved, or another change is under way; dmesg says more",
    errno.EUSERS: "Another system has the device reserved",
    errno.EAGAIN: "Another change of this device is under way; run this again",
    errno.EINVAL: "The kernel has no driver for it, or its state does not allow it; dmesg says more",
    errno.EACCES: "Run the task as root (become: true)",
}


class CcwError(Exception):
    """A device that is not there, is in use, or did not do as told. ``error_id`` says which."""

    def __init__(self, error_id: str, text: str) -> None:
        super().__init__(text)
        self.error_id = error_id


@dataclass(frozen=True)
class CcwRequest:
    """``timeout``: seconds to wait for a device that is not there yet."""

    device: BusId
    online: bool
    force: bool = False
    timeout: float = 0.0


def converge_ccw(host: Host, request: CcwRequest, check_mode: bool) -> dict[str, Any]:
    """The module's result. Raises CcwError, HostError."""
    _wait_for_device(host, request)
    device = observe_ccw(host, request.device, Blocks(host), observe_uses(host))
    if not request.online:
        _refuse_when_used(device)
    change = device.online != request.online
    if change and not device.driver:
        raise CcwError(
            "no-driver",
            f"{device.busid}: no driver is bound to the device (control unit {device.cutype}, device "
            f"{device.devtype}), so it cannot be set online or offline. Load its driver: modprobe dasd_eckd_mod for "
            "an ECKD DASD.",
        )
    if change and not check_mode:
        _switch(host, request)
        device = observe_ccw(host, request.device, Blocks(host), None)
    path, value = f"{CCW_DEVICES}/{request.device}/online", _value(request)
    word = "online" if request.online else "offline"
    action = {
        "device": str(request.device),
        "step": word,
        "description": f"set device {request.device} {word}",
        "path": path,
        "value": value,
    }
    before = device.online if not change else not request.online
    return {
        "changed": change,
        "actions": [action] if change else [],
        "device": str(request.device),
        "online": request.online,
        "type": device.devtype,
        "control_unit": device.cutype,
        "block_devices": [as_dict(host, block) for block in device.block],
        "diff": {
            "before": f"{request.device}: {'online' if before else 'offline'}\n",
            "after": f"{request.device}: {word}\n",
        },
    }


def as_dict(host: Host, block: BlockDevice) -> dict[str, Any]:
    """With its size in bytes."""
    directory = f"{BLOCK_DEVICES}/{block.name}"
    return {
        **_as_dict(host, block, directory),
        "partitions": [_as_dict(host, part, f"{directory}/{part.name}") for part in block.partitions],
    }


def _as_dict(host: Host, block: BlockDevice, directory: str) -> dict[str, Any]:
    return {"name": block.name, "path": block.path, "size": int(host.get(f"{directory}/size") or "0") * SECTOR}


def _value(request: CcwRequest) -> str:
    if not request.online:
        return "0"
    return "force" if request.force else "1"


def _wait_for_device(host: Host, request: CcwRequest) -> None:
    present = f"{CCW_DEVICES}/{request.device}/online"
    if host.wait_for(lambda: host.exists(present), request.timeout):
        return
    name = request.device
    if is_ignored(parse_ignored(host.get(IGNORE_FILE)), name):
        raise CcwError(
            "ignored",
            f"{name}: the kernel ignores this device: it is listed in {IGNORE_FILE}. Free it: cio_ignore -r {name}.",
        )
    for subchannel in host.names(CSS_DEVICES):
        if bus_id_or_none(host.get(f"{CSS_DEVICES}/{subchannel}/dev_busid")) == name:
            driver = host.link_name(f"{CSS_DEVICES}/{subchannel}/driver") or "no driver"
            raise CcwError(
                "passed-through",
                f"{name}: the host has no such device now: its subchannel {subchannel} is bound to {driver}. Give it "
                "back first: module zkvm.vfio_ccw.passthrough, state absent.",
            )
    waited = f" (waited {request.timeout:g} s for it)" if request.timeout else ""
    there = _some(host.names(CCW_DEVICES))
    raise CcwError("not-found", f"{name}: no such CCW device{waited}. There are: {there}. Compare with lscss.")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return (", ".join(names[:NAMED]) or "none") + more


def _refuse_when_used(device: CcwDevice) -> None:
    if device.online and device.users:
        uses = "; ".join(use.detail for use in device.users)
        raise CcwError("in-use", f"{device.busid}: not set offline, the disk is in use: {uses}. End that use first.")


def _switch(host: Host, request: CcwRequest) -> None:
    path, value = f"{CCW_DEVICES}/{request.device}/online", _value(request)
    word = "online" if request.online else "offline"
    try:
        host.write(path, value)
    except HostError as exc:
        hint = ONLINE_HINTS.get(exc.errno, "dmesg says more")
        if not request.online and exc.errno == errno.EBUSY:
            hint = "Something has the disk open that is not visible from here; dmesg says more"
        raise CcwError("switch-failed", f"{request.device}: could not be set {word}: {exc}. {hint}.") from exc
    wanted = "1" if request.online else "0"
    # forcing reports success even when the driver gave up
    if not host.wait_for(lambda: host.get(path) == wanted, 5.0):
        raise CcwError(
            "no-effect",
            f"{request.device}: the kernel accepted {value!r}, but online reads {host.get(path)!r}, expected "
            f"{wanted!r}. dmesg says more.",
        )

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set CCW devices online or offline, on a host or in a guest, and say which disks they have."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Tuple

from .._busid import BusId
from .._host import Host, HostError
from .._sysfs import CCW_DEVICES, CSS_DEVICES, bus_id_or_none
from ..host._blocks import Blocks
from ..host._buses import observe_ccw
from ..host._ignore import IGNORE_FILE, is_ignored, parse_ignored
from ..host._model import BlockDevice, CcwDevice
from ..host._users import observe_uses

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
    """Devices that are not there, are in use, or did not do as told. ``error_id`` says which of these the first one is.

    ``done``: actions that were done all the same.
    """

    def __init__(self, error_id: str, text: str, done: Sequence[dict[str, str]] = ()) -> None:
        super().__init__(text)
        self.error_id = error_id
        self.done = list(done)


Problem = Tuple[str, str]
"""Identifier and text."""


def _all(problems: Sequence[Problem], more: str = "", done: Sequence[dict[str, str]] = ()) -> CcwError:
    return CcwError(problems[0][0], " ".join(text for _name, text in problems) + more, done)


@dataclass(frozen=True)
class CcwRequest:
    """What is wanted of devices. ``timeout``: seconds to wait for those that are not there yet, all in all."""

    devices: tuple[BusId, ...]
    online: bool
    force: bool = False
    timeout: float = 0.0

    @property
    def word(self) -> str:
        return "online" if self.online else "offline"

    @property
    def value(self) -> str:
        """What is written to the attribute."""
        if not self.online:
            return "0"
        return "force" if self.force else "1"


def converge_ccw(host: Host, request: CcwRequest, check_mode: bool) -> dict[str, Any]:
    """The module's result. Nothing is switched unless all can be, as far as one sees. Raises CcwError, HostError."""
    _wait_for_devices(host, request)
    blocks, uses = Blocks(host), observe_uses(host)
    devices = [observe_ccw(host, busid, blocks, uses) for busid in request.devices]
    wrong = [problem for device in devices for problem in _problems(device, request)]
    if wrong:
        raise _all(wrong)
    change = [device.busid for device in devices if device.online != request.online]
    actions = [_action(busid, request) for busid in change]
    if change and not check_mode:
        _switch_all(host, change, request)
        blocks = Blocks(host)
        devices = [observe_ccw(host, device.busid, blocks, None) for device in devices]
    return {
        "changed": bool(change),
        "actions": actions,
        "devices": [_device(host, device, request.online) for device in devices],
        "diff": {
            "before": "".join(_line(busid, (busid in change) != request.online) for busid in request.devices),
            "after": "".join(_line(busid, request.online) for busid in request.devices),
        },
    }


def _line(busid: BusId, online: bool) -> str:
    return f"{busid}: {'online' if online else 'offline'}\n"


def _device(host: Host, device: CcwDevice, online: bool) -> dict[str, Any]:
    return {
        "device": str(device.busid),
        "online": online,
        "type": device.devtype,
        "control_unit": device.cutype,
        "uid": host.get(f"{CCW_DEVICES}/{device.busid}/uid"),
        "block_devices": [as_dict(host, block) for block in device.block],
    }


def _action(busid: BusId, request: CcwRequest) -> dict[str, str]:
    return {
        "device": str(busid),
        "step": request.word,
        "description": f"set device {busid} {request.word}",
        "path": _attribute(busid),
        "value": request.value,
    }


def _attribute(busid: BusId) -> str:
    return f"{CCW_DEVICES}/{busid}/online"


def as_dict(host: Host, block: BlockDevice) -> dict[str, Any]:
    """With its size in bytes."""
    directory = f"{BLOCK_DEVICES}/{block.name}"
    return {
        **_as_dict(host, block, directory),
        "partitions": [_as_dict(host, part, f"{directory}/{part.name}") for part in block.partitions],
    }


def _as_dict(host: Host, block: BlockDevice, directory: str) -> dict[str, Any]:
    return {"name": block.name, "path": block.path, "size": int(host.get(f"{directory}/size") or "0") * SECTOR}


def _wait_for_devices(host: Host, request: CcwRequest) -> None:
    """Raises CcwError that says of each what is known of it."""
    absent: list[BusId] = []

    def all_there() -> bool:
        absent[:] = [busid for busid in request.devices if not host.exists(_attribute(busid))]
        return not absent

    if not host.wait_for(all_there, request.timeout):
        raise _all([_why_absent(host, busid, request.timeout) for busid in absent])


def _why_absent(host: Host, name: BusId, waited: float) -> Problem:
    if is_ignored(parse_ignored(host.get(IGNORE_FILE)), name):
        text = f"{name}: the kernel ignores this device: it is listed in {IGNORE_FILE}. Free it: cio_ignore -r {name}."
        return "ignored", text
    for subchannel in host.names(CSS_DEVICES):
        if bus_id_or_none(host.get(f"{CSS_DEVICES}/{subchannel}/dev_busid")) == name:
            driver = host.link_name(f"{CSS_DEVICES}/{subchannel}/driver") or "no driver"
            return "passed-through", (
                f"{name}: the host has no such device now: its subchannel {subchannel} is bound to {driver}. Give it "
                "back first: module zkvm.vfio_ccw.passthrough, state absent."
            )
    there = _some(host.names(CCW_DEVICES))
    after = f" (waited {waited:g} s for it)" if waited else ""
    return "not-found", f"{name}: no such CCW device{after}. There are: {there}. Compare with lscss."


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return (", ".join(names[:NAMED]) or "none") + more


def _problems(device: CcwDevice, request: CcwRequest) -> list[Problem]:
    """What speaks against switching it."""
    if device.online == request.online:
        return []
    if not request.online and device.users:
        uses = "; ".join(use.detail for use in device.users)
        return [("in-use", f"{device.busid}: not set offline, the disk is in use: {uses}. End that use first.")]
    if not device.driver:
        text = (
            f"{device.busid}: no driver is bound to the device (control unit {device.cutype}, device "
            f"{device.devtype}), so it cannot be set online or offline. Load its driver: modprobe dasd_eckd_mod for "
            "an ECKD DASD."
        )
        return [("no-driver", text)]
    return []


def _switch_all(host: Host, devices: Sequence[BusId], request: CcwRequest) -> None:
    """Each is tried, whatever becomes of the others: what failed can be tried again. Raises CcwError."""
    wrong: list[Problem] = []
    done: list[dict[str, str]] = []
    for busid in devices:
        try:
            _switch(host, busid, request)
        except CcwError as exc:
            wrong.append((exc.error_id, str(exc)))
        else:
            done.append(_action(busid, request))
    if wrong:
        told = f" Now {request.word}: {', '.join(action['device'] for action in done)}." if done else ""
        raise _all(wrong, told, done)


def _switch(host: Host, busid: BusId, request: CcwRequest) -> None:
    path = _attribute(busid)
    try:
        host.write(path, request.value)
    except HostError as exc:
        hint = ONLINE_HINTS.get(exc.errno, "dmesg says more")
        if not request.online and exc.errno == errno.EBUSY:
            hint = "Something has the disk open that is not visible from here; dmesg says more"
        raise CcwError("switch-failed", f"{busid}: could not be set {request.word}: {exc}. {hint}.") from exc
    wanted = "1" if request.online else "0"
    # forcing reports success even when the driver gave up
    if not host.wait_for(lambda: host.get(path) == wanted, 5.0):
        raise CcwError(
            "no-effect",
            f"{busid}: the kernel accepted {request.value!r}, but online reads {host.get(path)!r}, expected "
            f"{wanted!r}. dmesg says more.",
        )

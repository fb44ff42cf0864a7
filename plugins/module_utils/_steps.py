# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps by which a device changes hands: what each writes, how to see that it holds, and its inverse.

A step is a value; _plan makes lists of them without touching a host, _apply runs them.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace
from typing import Callable

from ._busid import BusId
from ._host import Host, HostError
from ._journal import get_entry, put_entry
from ._kernel import load_module, read_loaded
from ._model import IO_SUBCHANNEL, MDEV_TYPE, VFIO_CCW, JournalEntry
from ._observe import (
    CCW_DEVICES,
    CSS_DEVICES,
    DRIVERCTL_DIRECTORY,
    MDEV_DEVICES,
    MDEVCTL_DIRECTORY,
    NO_OVERRIDE,
    kept_mdevs,
)

CIO_SETTLE = "/proc/cio_settle"
RECOGNITION_TIMEOUT = 30.0
"""Seconds for the kernel to recognise a device on a subchannel that came back (SENSE ID, path verification)."""


@dataclass(frozen=True)
class Step:
    """One change. ``kind`` names the row of KINDS, ``subject`` what it is done to, ``value`` the driver or UUID."""

    kind: str
    device: BusId | None
    subject: str
    value: str = ""
    entry: JournalEntry | None = None
    inverse: Step | None = None

    @property
    def path(self) -> str:
        return KINDS[self.kind].path(self)

    @property
    def written(self) -> str:
        """What goes to the path."""
        return KINDS[self.kind].written(self)

    @property
    def text(self) -> str:
        return KINDS[self.kind].text(self)

    def as_action(self) -> dict[str, str]:
        """For the module's return value."""
        return {
            "device": str(self.device) if self.device else "",
            "step": self.kind,
            "description": self.text,
            "path": self.path,
            "value": self.written,
        }


@dataclass(frozen=True)
class Kind:
    """What all steps of one kind have in common. ``holds`` says whether the step's effect is there."""

    path: Callable[[Step], str]
    written: Callable[[Step], str]
    text: Callable[[Step], str]
    run: Callable[[Host, Step], None]
    holds: Callable[[Host, Step], bool]
    hint: str
    """What to do when it fails."""


def write(host: Host, step: Step) -> None:
    host.write(step.path, step.written)


def _unbind(host: Host, step: Step) -> None:
    """The kernel unbinds a disk that is in use as readily as any other: only an offline one may go."""
    if step.device is not None and host.get(f"{CCW_DEVICES}/{step.device}/online") == "1":
        text = f"device {step.device} is online (again): somebody may use it"
        raise HostError("write", step.path, errno.EBUSY, step.written, text)
    if step.value == VFIO_CCW:
        host.write_bounded(step.path, step.written)  # waits for whoever still has a mediated device open
    else:
        write(host, step)


def _bind_and_recognise(host: Host, step: Step) -> None:
    write(host, step)
    if step.value != IO_SUBCHANNEL or _css_driver(host, step) != IO_SUBCHANNEL:
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


def _driver_of(directory: str) -> Callable[[Host, Step], str]:
    return lambda host, step: host.link_name(f"{directory}/{step.subject}/driver")


_ccw_driver = _driver_of(CCW_DEVICES)
_css_driver = _driver_of(CSS_DEVICES)


def _bound(host: Host, step: Step) -> bool:
    recognised = step.value != IO_SUBCHANNEL or host.exists(f"{CCW_DEVICES}/{step.device}/online")
    return recognised and _css_driver(host, step) == step.value


def _override(host: Host, step: Step) -> str:
    text = host.get(f"{CSS_DEVICES}/{step.subject}/driver_override")
    return "" if text == NO_OVERRIDE else text


def _mdev_ready(host: Host, step: Step) -> bool:
    path = f"{MDEV_DEVICES}/{step.value}"
    return (
        host.resolve(path).split("/")[-2] == step.subject
        and host.is_link(f"{path}/driver")
        and host.is_link(f"{path}/iommu_group")
    )


def _remove_mdev(host: Host, step: Step) -> None:
    host.write_bounded(step.path, step.written)


def _mdev_gone(host: Host, step: Step) -> bool:
    if host.exists(f"{MDEV_DEVICES}/{step.value}"):
        return False
    # the directory goes first, while a user still holds the device: the free instance is what tells, unless another
    # mediated device has it
    path = f"{CSS_DEVICES}/{step.subject}"
    free = host.get(f"{path}/mdev_supported_types/{MDEV_TYPE}/available_instances", "1") != "0"
    return free or any(host.exists(f"{MDEV_DEVICES}/{name}") for name in host.names(path))


def _put(host: Host, step: Step) -> None:
    if step.device is not None:
        put_entry(host, step.device, step.entry)


def _recorded(host: Host, step: Step) -> bool:
    return step.device is not None and get_entry(host, step.device) == step.entry


def _online(host: Host, step: Step) -> str:
    return host.get(f"{CCW_DEVICES}/{step.subject}/online")


def _subject(step: Step) -> str:
    return step.subject


def _value(step: Step) -> str:
    return step.value


def _keep_driver(host: Host, step: Step) -> None:
    # driverctl cannot note a driver without binding anew: this file is what it writes, and what its udev rule reads
    if step.value:
        host.save(step.path, step.value + "\n")
    else:
        host.unlink(step.path)


def _mdevctl(host: Host, *arguments: str) -> None:
    code, out, err = host.run(["mdevctl", *arguments])
    if code != 0:
        raise HostError("run", " ".join(["mdevctl", *arguments]), 0, text=(err or out).strip() or f"ended with {code}")


def _define(host: Host, step: Step) -> None:
    if host.exists(step.path):
        _mdevctl(host, "modify", "-u", step.value, "-p", step.subject, "--auto")
    else:
        _mdevctl(host, "define", "-u", step.value, "-p", step.subject, "-t", MDEV_TYPE, "--auto")


def _is_manual(host: Host, step: Step) -> bool:
    return host.exists(step.path) and not _is_kept(host, step)


def _is_kept(host: Host, step: Step) -> bool:
    return step.value in kept_mdevs(host, BusId.parse(step.subject))


_NOTED = {True: "online", False: "offline", None: "unknown"}
DMESG = "dmesg says more"

KINDS: dict[str, Kind] = {
    "load-module": Kind(
        path=lambda step: f"/sys/module/{step.value}",
        written=_value,
        text=lambda step: f"load kernel module {step.value}",
        run=lambda host, step: load_module(host, step.value),
        holds=lambda host, step: step.value in read_loaded(host),
        hint="Module zkvm.vfio_ccw.kernel_support lists what the kernel has",
    ),
    "record": Kind(
        path=lambda step: "/var/lib/vfio_ccw/journal.json",
        written=lambda step: _NOTED[step.entry.was_online] if step.entry else "",
        text=lambda step: (
            "note in the journal how the host had the device" if step.entry else "take the device out of the journal"
        ),
        run=_put,
        holds=_recorded,
        hint="Check that /var/lib/vfio_ccw can be written",
    ),
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
    ),
    "unbind-ccw": Kind(
        path=lambda step: f"/sys/bus/ccw/drivers/{step.value}/unbind",
        written=_subject,
        text=lambda step: f"unbind device {step.subject} from {step.value}",
        run=_unbind,
        holds=lambda host, step: _ccw_driver(host, step) == "",
        hint=DMESG,
    ),
    "bind-ccw": Kind(
        path=lambda step: f"/sys/bus/ccw/drivers/{step.value}/bind",
        written=_subject,
        text=lambda step: f"bind device {step.subject} to {step.value}",
        run=write,
        holds=lambda host, step: _ccw_driver(host, step) == step.value,
        hint=DMESG,
    ),
    "probe-ccw": Kind(
        path=lambda step: "/sys/bus/ccw/drivers_probe",
        written=_subject,
        text=lambda step: f"let the driver that matches have device {step.subject}",
        run=write,
        holds=lambda host, step: _ccw_driver(host, step) != "",
        hint="No driver matches it: load its driver (for a DASD: modprobe dasd_eckd_mod) and run this again",
    ),
    "unbind-subchannel": Kind(
        path=lambda step: f"/sys/bus/css/drivers/{step.value}/unbind",
        written=_subject,
        text=lambda step: f"unbind subchannel {step.subject} from {step.value}",
        run=_unbind,
        holds=lambda host, step: _css_driver(host, step) == "",
        hint=DMESG,
    ),
    "bind-subchannel": Kind(
        path=lambda step: f"/sys/bus/css/drivers/{step.value}/bind",
        written=_subject,
        text=lambda step: f"bind subchannel {step.subject} to {step.value}",
        run=_bind_and_recognise,
        holds=_bound,
        hint=f"The driver refuses QDIO subchannels, and those for which driver_override names another driver; {DMESG}",
    ),
    "override": Kind(
        path=lambda step: f"{CSS_DEVICES}/{step.subject}/driver_override",
        written=_value,
        text=lambda step: (
            f"let {step.value} alone bind subchannel {step.subject}"
            if step.value
            else f"clear driver_override of subchannel {step.subject}"
        ),
        run=write,
        holds=lambda host, step: _override(host, step) == step.value,
        hint=DMESG,
    ),
    "create-mdev": Kind(
        path=lambda step: f"{CSS_DEVICES}/{step.subject}/mdev_supported_types/{MDEV_TYPE}/create",
        written=_value,
        text=lambda step: f"create mediated device {step.value} on subchannel {step.subject}",
        run=write,
        holds=_mdev_ready,
        hint="The mediated device needs a driver: on kernels up to 5.14 module vfio_mdev must be loaded before; "
        + DMESG,
    ),
    "remove-mdev": Kind(
        path=lambda step: f"{MDEV_DEVICES}/{step.value}/remove",
        written=lambda step: "1",
        text=lambda step: f"remove mediated device {step.value}",
        run=_remove_mdev,
        holds=_mdev_gone,
        hint="A guest holds the device. It was asked to let go; stop the guest, the removal is then finished by the "
        "kernel",
    ),
}


KINDS.update(
    {
        "keep-driver": Kind(
            path=lambda step: f"{DRIVERCTL_DIRECTORY}/css-{step.subject}",
            written=_value,
            text=lambda step: (
                f"let driverctl bind subchannel {step.subject} to {step.value} at boot"
                if step.value
                else f"let driverctl leave subchannel {step.subject} alone at boot"
            ),
            run=_keep_driver,
            holds=lambda host, step: host.get(step.path) == step.value,
            hint="Check that /etc can be written",
        ),
        "define-mdev": Kind(
            path=lambda step: f"{MDEVCTL_DIRECTORY}/{step.subject}/{step.value}",
            written=_value,
            text=lambda step: f"let mdevctl create mediated device {step.value} at boot",
            run=_define,
            holds=_is_kept,
            hint="Look at 'mdevctl list --defined'",
        ),
        "start-by-hand": Kind(
            path=lambda step: f"{MDEVCTL_DIRECTORY}/{step.subject}/{step.value}",
            written=_value,
            text=lambda step: f"let mdevctl create mediated device {step.value} by hand only",
            run=lambda host, step: _mdevctl(host, "modify", "-u", step.value, "-p", step.subject, "--manual"),
            holds=_is_manual,
            hint="Look at 'mdevctl list --defined'",
        ),
        "undefine-mdev": Kind(
            path=lambda step: f"{MDEVCTL_DIRECTORY}/{step.subject}/{step.value}",
            written=_value,
            text=lambda step: f"let mdevctl no longer create mediated device {step.value} at boot",
            run=lambda host, step: _mdevctl(host, "undefine", "-u", step.value, "-p", step.subject),
            holds=lambda host, step: not _is_kept(host, step),
            hint="Look at 'mdevctl list --defined'",
        ),
    }
)


def paired(step: Step, inverse: Step) -> Step:
    return replace(step, inverse=inverse)


def offline(device: BusId) -> Step:
    return paired(Step("offline", device, str(device)), Step("online", device, str(device)))


def online(device: BusId) -> Step:
    return paired(Step("online", device, str(device)), Step("offline", device, str(device)))


def unbind_ccw(device: BusId, driver: str) -> Step:
    return paired(Step("unbind-ccw", device, str(device), driver), Step("bind-ccw", device, str(device), driver))


def bind_ccw(device: BusId, driver: str) -> Step:
    """``driver`` "" for the one that matches. Without an inverse: the host has the device, and keeps it."""
    return Step("bind-ccw" if driver else "probe-ccw", device, str(device), driver)


def unbind_subchannel(device: BusId, subchannel: BusId, driver: str) -> Step:
    step = Step("unbind-subchannel", device, str(subchannel), driver)
    return paired(step, Step("bind-subchannel", device, str(subchannel), driver))


def bind_subchannel(device: BusId, subchannel: BusId, driver: str) -> Step:
    step = Step("bind-subchannel", device, str(subchannel), driver)
    return paired(step, Step("unbind-subchannel", device, str(subchannel), driver))


def override(device: BusId, subchannel: BusId, driver: str, before: str) -> Step:
    return paired(Step("override", device, str(subchannel), driver), Step("override", device, str(subchannel), before))


def create_mdev(device: BusId, subchannel: BusId, uuid: str) -> Step:
    step = Step("create-mdev", device, str(subchannel), uuid)
    return paired(step, Step("remove-mdev", device, str(subchannel), uuid))


def remove_mdev(device: BusId, subchannel: BusId, uuid: str) -> Step:
    step = Step("remove-mdev", device, str(subchannel), uuid)
    return paired(step, Step("create-mdev", device, str(subchannel), uuid))


def keep_driver(device: BusId, subchannel: BusId, driver: str, before: str) -> Step:
    step = Step("keep-driver", device, str(subchannel), driver)
    return paired(step, Step("keep-driver", device, str(subchannel), before))


def define_mdev(device: BusId, subchannel: BusId, uuid: str, defined: bool) -> Step:
    """``defined``: there is a definition already, which is not started at boot."""
    step = Step("define-mdev", device, str(subchannel), uuid)
    return paired(step, Step("start-by-hand" if defined else "undefine-mdev", device, str(subchannel), uuid))


def undefine_mdev(device: BusId, subchannel: BusId, uuid: str) -> Step:
    step = Step("undefine-mdev", device, str(subchannel), uuid)
    return paired(step, Step("define-mdev", device, str(subchannel), uuid))


def record(device: BusId, entry: JournalEntry | None, before: JournalEntry | None) -> Step:
    return paired(Step("record", device, str(device), entry=entry), Step("record", device, str(device), entry=before))


def load(name: str) -> Step:
    """Loading has no inverse: a loaded module disturbs nobody, and others may have begun to use it."""
    return Step("load-module", None, name, name)

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps on what happens at boot: driverctl's file, mdevctl's definition, udev rules that set a device online."""

from __future__ import annotations

from .._busid import BusId
from .._host import Host, HostError
from .._sysfs import DRIVERCTL_DIRECTORY, MDEVCTL_DIRECTORY
from ..host._kept import kept_mdevs
from ..host._model import MDEV_TYPE
from ._step import KINDS, Finish, Kind, Step, paired, subject, value

LIST_DEFINED = "Look at 'mdevctl list --defined'"
CANNOT_WRITE = "Check that /etc can be written"


def _keep_driver(host: Host, step: Step) -> None:
    # driverctl cannot note a driver without binding anew: this file is what it writes, and what its udev rule reads
    if step.value:
        host.save(step.path, step.value + "\n")
    else:
        host.unlink(step.path)


def _start_mdevctl(host: Host, *arguments: str) -> Finish:
    ended = host.start(["mdevctl", *arguments])

    def finish() -> None:
        code, out, err = ended()
        if code != 0:
            command = " ".join(["mdevctl", *arguments])
            raise HostError("run", command, 0, text=(err or out).strip() or f"ended with {code}")

    return finish


def _mdevctl(host: Host, *arguments: str) -> None:
    _start_mdevctl(host, *arguments)()


def _start_defining(host: Host, step: Step) -> Finish:
    if host.exists(step.path):
        return _start_mdevctl(host, "modify", "-u", step.value, "-p", step.subject, "--auto")
    return _start_mdevctl(host, "define", "-u", step.value, "-p", step.subject, "-t", MDEV_TYPE, "--auto")


def _is_manual(host: Host, step: Step) -> bool:
    return host.exists(step.path) and not _is_kept(host, step)


def _is_kept(host: Host, step: Step) -> bool:
    return step.value in kept_mdevs(host, BusId.parse(step.subject))


def _definition(step: Step) -> str:
    return f"{MDEVCTL_DIRECTORY}/{step.subject}/{step.value}"


KINDS.update(
    {
        "keep-driver": Kind(
            path=lambda step: f"{DRIVERCTL_DIRECTORY}/css-{step.subject}",
            written=value,
            text=lambda step: (
                f"let driverctl bind subchannel {step.subject} to {step.value} at boot"
                if step.value
                else f"let driverctl leave subchannel {step.subject} alone at boot"
            ),
            run=_keep_driver,
            holds=lambda host, step: host.get(step.path) == step.value,
            hint=CANNOT_WRITE,
        ),
        "define-mdev": Kind(
            path=_definition,
            written=value,
            text=lambda step: f"let mdevctl create mediated device {step.value} at boot",
            run=lambda host, step: _start_defining(host, step)(),
            start=_start_defining,
            holds=_is_kept,
            hint=LIST_DEFINED,
        ),
        "start-by-hand": Kind(
            path=_definition,
            written=value,
            text=lambda step: f"let mdevctl create mediated device {step.value} by hand only",
            run=lambda host, step: _mdevctl(host, "modify", "-u", step.value, "-p", step.subject, "--manual"),
            holds=_is_manual,
            hint=LIST_DEFINED,
        ),
        "undefine-mdev": Kind(
            path=_definition,
            written=value,
            text=lambda step: f"let mdevctl no longer create mediated device {step.value} at boot",
            run=lambda host, step: _mdevctl(host, "undefine", "-u", step.value, "-p", step.subject),
            holds=lambda host, step: not _is_kept(host, step),
            hint=LIST_DEFINED,
        ),
        "remove-rule": Kind(
            path=subject,
            written=lambda step: "",
            text=lambda step: f"remove {step.subject}, which sets device {step.device} online at boot",
            run=lambda host, step: host.unlink(step.path),
            holds=lambda host, step: not host.exists(step.path),
            hint=CANNOT_WRITE,
        ),
        "restore-rule": Kind(
            path=subject,
            written=value,
            text=lambda step: f"restore {step.subject}, which sets device {step.device} online at boot",
            run=lambda host, step: host.save(step.path, step.value),
            holds=lambda host, step: host.exists(step.path) and host.read(step.path) == step.value,
            hint=CANNOT_WRITE,
        ),
    }
)


def keep_driver(device: BusId, subchannel: BusId, driver: str, before: str) -> Step:
    step = Step("keep-driver", device, str(subchannel), driver)
    return paired(step, Step("keep-driver", device, str(subchannel), before))


def define_mdev(device: BusId, subchannel: BusId, uuid: str, defined: bool) -> Step:
    """``defined``: there is a definition already, which is not started at boot."""
    step = Step("define-mdev", device, str(subchannel), uuid)
    return paired(step, Step("start-by-hand" if defined else "undefine-mdev", device, str(subchannel), uuid))


def undefine_mdev(device: BusId, subchannel: BusId, uuid: str, defined: bool = False) -> Step:
    """``defined``: the definition stays, and is not started at boot."""
    step = Step("start-by-hand" if defined else "undefine-mdev", device, str(subchannel), uuid)
    return paired(step, Step("define-mdev", device, str(subchannel), uuid))


def remove_rule(device: BusId, path: str, text: str) -> Step:
    return paired(Step("remove-rule", device, path, text), Step("restore-rule", device, path, text))


def restore_rule(device: BusId, path: str, text: str) -> Step:
    return paired(Step("restore-rule", device, path, text), Step("remove-rule", device, path, text))

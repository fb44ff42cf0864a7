# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps on the files that decide about devices at boot: kernel parameters, dasd.conf, mdevctl's udev rule.

The files are shared by devices, so a step takes out, or puts back, what is of its device in the text as it is then.
"""

from __future__ import annotations

from .._busid import BusId
from .._host import Host
from ..host._at_boot import boot_format
from ._step import KINDS, Kind, Step, paired, subject

CANNOT_WRITE = "Check that the file can be written"


def _names_it(host: Host, step: Step) -> bool:
    return step.device is not None and boot_format(step.subject).names(host.get(step.subject), step.device)


def _save(host: Host, step: Step, text: str) -> None:
    path = host.resolve(step.subject)  # a link stays one
    host.save(path, text, host.mode(path) or 0o644)


def _take_out(host: Host, step: Step) -> None:
    if step.device is not None and host.exists(step.subject):
        _save(host, step, boot_format(step.subject).without(host.read(step.subject), {step.device}))


def _put_back(host: Host, step: Step) -> None:
    if step.device is not None and host.exists(step.subject):
        text = boot_format(step.subject).restored(step.value, host.read(step.subject), step.device)
        _save(host, step, text)


KINDS.update(
    {
        "remove-parameter": Kind(
            path=subject,
            written=lambda step: "",
            text=lambda step: f"take device {step.device} out of {step.subject}, which sets it online at boot",
            run=_take_out,
            holds=lambda host, step: not _names_it(host, step),
            hint=CANNOT_WRITE,
        ),
        "restore-parameter": Kind(
            path=subject,
            written=lambda step: "",
            text=lambda step: f"put device {step.device} back into {step.subject}, which sets it online at boot",
            run=_put_back,
            holds=lambda host, step: not host.exists(step.subject) or _names_it(host, step),
            hint=CANNOT_WRITE,
        ),
        "correct-rule": Kind(
            path=subject,
            written=lambda step: "",
            text=lambda step: f"write mdevctl's udev rule to {step.subject}, with the program that is there",
            run=lambda host, step: host.save(step.subject, step.value),
            holds=lambda host, step: host.get(step.subject) == step.value.strip(),
            hint=CANNOT_WRITE,
        ),
    }
)


def remove_parameter(device: BusId, path: str, original: str) -> Step:
    """``original``: the text of the file before any device was taken out."""
    step = Step("remove-parameter", device, path, original)
    return paired(step, Step("restore-parameter", device, path, original))


def restore_parameter(device: BusId, path: str, original: str) -> Step:
    step = Step("restore-parameter", device, path, original)
    return paired(step, Step("remove-parameter", device, path, original))


def correct_rule(path: str, text: str) -> Step:
    """For the whole host, as modules are loaded for: it stays when the devices go back."""
    return Step("correct-rule", None, path, text)

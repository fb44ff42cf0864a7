# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A device before and after its steps, for a diff: sysfs attributes, files and definitions."""

from __future__ import annotations

from ..host._at_boot import boot_format
from ..host._model import IO_SUBCHANNEL, HostState
from ..refusals._case import Case
from ._plan import DevicePlan, Plan
from ._step import Step


def diff_texts(state: HostState, plan: Plan) -> tuple[str, str]:
    """Before and after, a line for each property, so that a diff shows what changes and nothing else."""
    modules = [step.value for step in plan.host if step.kind == "load-module"]
    before = [f"module {name}: not loaded" for name in modules]
    after = [f"module {name}: loaded" for name in modules]
    for device in plan.devices:
        case = Case(device.request, state)
        found = describe(case)
        before += _lines(case, found)
        after += _lines(case, predict(case, device, found))
    for path, (old, new) in _files(state, plan).items():
        before += [f"{path}:", *(f"  {line}" for line in old.splitlines())]
        after += [f"{path}:", *(f"  {line}" for line in new.splitlines())]
    return _text(before), _text(after)


def _files(state: HostState, plan: Plan) -> dict[str, tuple[str, str]]:
    """Path to text before and after, of the files that devices share."""
    found = {path: (text, text) for path, text in state.boot_files.items()}
    for step in plan.steps:
        old, new = found.get(step.subject, ("", ""))
        if step.kind == "correct-rule":
            found[step.subject] = (old, step.value)
        elif step.kind == "remove-parameter" and step.device is not None:
            found[step.subject] = (old, boot_format(step.subject).without(new, {step.device}))
        elif step.kind == "restore-parameter" and step.device is not None and step.subject in found:
            found[step.subject] = (old, boot_format(step.subject).restored(step.value, new, step.device))
    return {path: texts for path, texts in found.items() if texts[0] != texts[1]}


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n" if lines else ""


def _lines(case: Case, values: dict[str, object]) -> list[str]:
    return [f"{case.request.device}:"] + [f"  {name}: {_value(value)}" for name, value in values.items()]


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if value else "none"


def describe(case: Case) -> dict[str, object]:
    """What the host has of a device."""
    sub, ccw, entry = case.subchannel, case.ccw, case.entry
    definitions = _definitions(case)
    return {
        "subchannel": str(sub.busid) if sub else "",
        "driver": sub.driver if sub else "",
        "driver_override": sub.driver_override if sub else "",
        "ccw_driver": ccw.driver if ccw else "",
        "online": bool(ccw and ccw.online),
        "mdev": case.mdev.uuid if case.mdev else "",
        "guest": entry.guest if entry else "",
        "driverctl": sub.kept_driver if sub else "",
        "mdevctl": ", ".join(definitions),
        "udev_rules": ", ".join(one.source for one in case.at_boot if one.kind == "rule"),
    }


def _definitions(case: Case) -> list[str]:
    sub = case.subchannel
    if sub is None:
        return []
    return [f"{uuid} auto" for uuid in sub.kept_mdevs] + [f"{uuid} manual" for uuid in sub.manual_mdevs]


def predict(case: Case, plan: DevicePlan, found: dict[str, object]) -> dict[str, object]:
    """The description after the steps."""
    after = dict(found)
    for step in plan.all:
        if case.subchannel is None or step.subject in (str(case.request.device), str(case.subchannel.busid)):
            _predict_step(case, step, after)
        elif step.kind == "remove-rule":
            after["udev_rules"] = ", ".join(name for name in _names(after["udev_rules"]) if name != step.subject)
        elif step.kind == "restore-rule":
            after["udev_rules"] = ", ".join([*_names(after["udev_rules"]), step.subject])
    return after


def _names(value: object) -> list[str]:
    return [name for name in str(value).split(", ") if name]


def _predict_step(case: Case, step: Step, after: dict[str, object]) -> None:
    if step.kind in ("online", "offline"):
        after["online"] = step.kind == "online"
    elif step.kind == "unbind-ccw":
        after["ccw_driver"] = ""
    elif step.kind in ("bind-ccw", "probe-ccw"):
        after["ccw_driver"] = step.value or "(the one that matches)"
    elif step.kind == "unbind-subchannel":
        after["driver"] = after["ccw_driver"] = ""
    elif step.kind == "bind-subchannel":
        after["driver"] = step.value
        if step.value == IO_SUBCHANNEL:
            after["ccw_driver"] = (case.entry.driver if case.entry else "") or "(the one that matches)"
    elif step.kind == "override":
        after["driver_override"] = step.value
    elif step.kind in ("create-mdev", "remove-mdev"):
        after["mdev"] = step.value if step.kind == "create-mdev" else ""
    elif step.kind == "keep-driver":
        after["driverctl"] = step.value
    elif step.kind in ("define-mdev", "start-by-hand", "undefine-mdev"):
        others = [one for one in _names(after["mdevctl"]) if not one.startswith(step.value)]
        own = {"define-mdev": ["auto"], "start-by-hand": ["manual"], "undefine-mdev": []}[step.kind]
        after["mdevctl"] = ", ".join([f"{step.value} {how}" for how in own] + others)
    elif step.kind == "record":
        after["guest"] = step.entry.guest if step.entry else ""

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a run, as a return value that stays small however long the list of devices is."""

from __future__ import annotations

from typing import Any, Sequence

from .._busid import BusId, spans
from ._engine import Outcome
from ._step import Step

FULL_UP_TO = 100
"""Devices up to which each step and each device is listed for itself."""
AUTO, FULL, DEVICES, SUMMARY = DETAILS = ("auto", "full", "devices", "summary")


def outline(outcome: Outcome, with_diff: bool) -> dict[str, Any]:
    """What the fine-grained modules return of a run beside what they are about."""
    result: dict[str, Any] = {
        "changed": outcome.changed,
        "actions": steps_as_actions(outcome.done),
        "warnings_": outcome.warnings,
    }
    if with_diff:
        before, after = outcome.texts()
        result["diff"] = diff(before, after, "channel devices", outcome.actions)
    return result


def report(outcome: Outcome, details: str, with_diff: bool) -> dict[str, Any]:
    """The result of the module passthrough. ``details`` is one of DETAILS."""
    few = len(outcome.requests) <= FULL_UP_TO
    return {
        **outline(outcome, with_diff),
        "summary": _summary(outcome),
        "actions": as_actions(outcome.done, details == FULL or (details == AUTO and few)),
        "devices": outcome.devices if details in (FULL, DEVICES) or (details == AUTO and few) else [],
    }


def _summary(outcome: Outcome) -> dict[str, Any]:
    changed = [plan.request for plan in outcome.plan.devices if plan.all]
    steps: dict[str, int] = {}
    for step in outcome.done:
        steps[step.kind] = steps.get(step.kind, 0) + 1
    return {
        "devices": len(outcome.requests),
        "to_guests": spans(request.device for request in changed if request.present),
        "to_host": spans(request.device for request in changed if not request.present),
        "unchanged": len(outcome.requests) - len(changed),
        "steps": steps,
    }


def as_actions(steps: Sequence[Step], full: bool) -> list[dict[str, Any]]:
    """Each step for itself, or all of a kind as one: the first, with the devices and their count."""
    if full:
        return [step.as_action() for step in steps]
    kinds: dict[str, list[Step]] = {}
    for step in steps:
        kinds.setdefault(step.kind, []).append(step)
    return [_together(alike) for alike in kinds.values()]


def steps_as_actions(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Each for itself unless they are of many devices."""
    return as_actions(steps, len({step.device for step in steps}) <= FULL_UP_TO)


def _together(steps: Sequence[Step]) -> dict[str, Any]:
    action: dict[str, Any] = dict(steps[0].as_action())
    devices: list[BusId] = [step.device for step in steps if step.device is not None]
    if len(steps) > 1:
        action["description"] += f" (the first of {len(steps)})"
        action["device"] = ", ".join(spans(devices))
    action["count"] = len(steps)
    return action


def _write(action: dict[str, str]) -> str:
    """The write behind a step, where it is one to the kernel."""
    kernel = action["path"].startswith(("/sys/bus/", "/sys/devices/", "/proc/"))
    return f": {action['value']!r} > {action['path']}" if kernel else ""


def diff(before: str, after: str, header: str, actions: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """What changes and, before it, the steps: what is written where."""
    states = {"before": before, "after": after, "before_header": header, "after_header": header}
    lines = [f"  {one['description']}{_write(one)}\n" for one in actions]
    return [{"prepared": "steps:\n" + "".join(lines)}, states] if lines else [states]

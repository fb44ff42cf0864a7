# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would be done next to a host's devices, as far as a plan says: passthrough in check mode. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element

from ._report_boxes import plural
from ._report_markup import element
from ._report_model import Finding, Plan, Step, ranges

NO_PLAN = "No wanted state was given, so nothing is planned. What stands behind an arrow is what the checks suggest."
SHOWN = 12


def next_steps(plan: Plan | None) -> list[Element]:
    return [] if plan is None else [element("h3", {}, "What would be done next"), *_plan(plan)]


def _plan(plan: Plan) -> list[Element]:
    if plan.refusals:
        text = "Nothing: the passthrough refuses the list as it is."
        items = [_refusal(finding, devices) for finding, devices in _alike(plan)]
        return [element("p", {"class": "sum"}, text), element("ol", {"class": "plan"}, *items)]
    if plan.error:
        return [element("p", {"class": "sum"}, f"Not known: {plan.error}")]
    if not plan.steps:
        return [element("p", {"class": "sum"}, "Nothing: all devices are as wanted.")]
    runs = _runs(plan)
    text = (
        f"{plural(sum(step.count for step in plan.steps), 'step')}, as zkvm.vfio_ccw.passthrough plans in check mode:"
    )
    return [element("p", {"class": "sum"}, text), element("ol", {"class": "plan"}, *(_run(*run) for run in runs))]


def _alike(plan: Plan) -> list[tuple[Finding, list[str]]]:
    found: dict[Finding, list[str]] = {}
    for device, finding in plan.refusals:
        found.setdefault(finding, []).append(device)
    return list(found.items())


def _refusal(finding: Finding, devices: Iterable[str]) -> Element:
    names = _some(ranges(devices))
    then = element("div", {"class": "then"}, f"{finding.next_step}.") if finding.next_step else None
    return element("li", {}, element("code", {}, names), f": {finding.found} [{finding.id}]", then)


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more ranges" if len(names) > SHOWN else "")


def _runs(plan: Plan) -> list[tuple[list[str], list[Step]]]:
    """Devices to which the same kinds of steps are done, with the steps of the first."""
    alike: dict[tuple[str, ...], list[str]] = {}
    by_device = plan.by_device
    for device, steps in by_device.items():
        alike.setdefault(tuple(step.kind for step in steps), []).append(device)
    return [(devices, by_device[devices[0]]) for devices in alike.values()]


def _run(devices: list[str], steps: list[Step]) -> Element:
    texts = "; ".join(step.description for step in steps)
    if not devices[0]:
        return element("li", {}, texts)
    names = _some(ranges(devices))
    of = f" ({len(devices)} devices, here the first)" if len(devices) > 1 else ""
    return element("li", {}, element("code", {}, names), f"{of}: {texts}")

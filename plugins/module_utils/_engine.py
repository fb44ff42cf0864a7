# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way through a change of hands: observe, plan, apply, verify. What the module passthrough calls."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Any, Sequence

from ._apply import apply
from ._case import Case
from ._host import Host
from ._journal import only_one
from ._model import HostState, Request
from ._observe import MDEV_DEVICES, observe
from ._plan import Plan, describe, make_plan, predict
from ._requests import parse_requests
from ._steps import Step


class NotAsWanted(Exception):
    """All steps (``done``) succeeded, and still the host is not as it should be."""

    done: Sequence[Step] = ()


@dataclass(frozen=True)
class Outcome:
    """``before`` and ``after`` are texts for a diff; ``actions`` what was done, or would be in check mode."""

    changed: bool
    actions: list[dict[str, str]]
    devices: list[dict[str, Any]]
    before: str
    after: str


def converge(
    host: Host, items: Sequence[dict[str, Any]], check_mode: bool, stopped_guests: Sequence[str] = ()
) -> Outcome:
    """Bring the host to what is wanted. Raises Refused, StepFailed, NotAsWanted, HostError, JournalError.

    ``stopped_guests``: guests that an earlier task would have stopped, had this not been check mode.
    """
    with contextlib.nullcontext() if check_mode else only_one(host):
        return _converge(host, items, check_mode, stopped_guests)


def _converge(host: Host, items: Sequence[dict[str, Any]], check_mode: bool, stopped_guests: Sequence[str]) -> Outcome:
    requests, refusals = parse_requests(items)
    state = observe(host, [request.device for request in requests])
    if check_mode:
        state = _without_guests(state, stopped_guests)
    plan = make_plan(requests, state, refusals)
    done = plan.steps
    if plan.changed and not check_mode:
        done = apply(host, plan)
        try:
            _verify(host, requests)
        except NotAsWanted as exc:
            exc.done = done
            raise
    return Outcome(
        changed=plan.changed,
        actions=[step.as_action() for step in done],
        devices=[_report(Case(request, state)) for request in requests],
        before=_text(state, plan, after=False),
        after=_text(state, plan, after=True),
    )


def _without_guests(state: HostState, guests: Sequence[str]) -> HostState:
    """The host as it would be once these guests are stopped: nobody holds their mediated devices."""
    free = {entry.uuid for entry in state.journal.values() if entry.guest in guests}
    mdevs = {uuid: replace(mdev, in_use=mdev.in_use and uuid not in free) for uuid, mdev in state.mdevs.items()}
    devices = {
        device: replace(
            sub,
            mdevs=tuple(mdevs[mdev.uuid] for mdev in sub.mdevs),
            removing=sub.removing and not (device in state.journal and state.journal[device].guest in guests),
        )
        for device, sub in state.by_device.items()
    }
    return replace(state, mdevs=mdevs, by_device=devices)


def _verify(host: Host, requests: list[Request]) -> None:
    state = observe(host, [request.device for request in requests])
    for request in requests:
        case = Case(request, state)
        if case.subchannel is None:
            raise NotAsWanted(
                f"{request.device}: every step succeeded, but no subchannel of this host has the device any more. Look "
                "for it with lscss and in dmesg: it went away, or its paths did."
            )
        if not case.done:
            raise NotAsWanted(
                f"{request.device}: every step succeeded, but the host changed meanwhile: {describe(case)}. Somebody "
                "else works on this "
                "device (a udev rule, driverctl, libvirt); find out who before you run this again."
            )


def _report(case: Case) -> dict[str, Any]:
    request, sub = case.request, case.subchannel
    return {
        "device": str(request.device),
        "subchannel": str(sub.busid) if sub else "",
        "state": "present" if request.present else "absent",
        "uuid": request.uuid,
        "sysfsdev": f"{MDEV_DEVICES}/{request.uuid}",
        "guest": request.guest or (case.entry.guest if case.entry else ""),
        "devno": str(request.devno),
        "guest_device": str(request.devno.guest_busid),
    }


def _text(state: HostState, plan: Plan, after: bool) -> str:
    """A line for each property, so that a diff shows what changes and nothing else."""
    lines: list[str] = []
    for step in plan.modules:
        lines.append(f"module {step.value}: {'loaded' if after else 'not loaded'}")
    for request, planned in plan.devices:
        case = Case(request, state)
        values = predict(case, planned) if after else describe(case)
        lines.append(f"{request.device}:")
        lines += [f"  {name}: {_value(value)}" for name, value in values.items()]
    return "\n".join(lines) + "\n" if lines else ""


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if value else "none"

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is and what is wanted to the steps in between. No input or output: every rule can be tested as a table.

The order of taking a device is that of QEMU's page "Features/Channel I/O Passthrough", with the device set offline
first: offline is the only step that the kernel refuses for a disk in use.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from . import _steps as steps
from ._case import Case
from ._model import IO_SUBCHANNEL, VFIO_CCW, HostState, JournalEntry, Request
from ._refusals import Refusal, Refused, check


@dataclass(frozen=True)
class Plan:
    """``modules`` come first, then each device's steps; a device without steps is as wanted."""

    modules: tuple[steps.Step, ...] = ()
    devices: tuple[tuple[Request, tuple[steps.Step, ...]], ...] = ()
    refusals: tuple[Refusal, ...] = field(default=())

    @property
    def steps(self) -> list[steps.Step]:
        return list(self.modules) + [step for _request, device in self.devices for step in device]

    @property
    def changed(self) -> bool:
        return bool(self.steps)


def make_plan(requests: list[Request], state: HostState, refusals: list[Refusal]) -> Plan:
    """The plan for a whole list. Raises Refused with every refusal of every device when there is any."""
    refusals = list(refusals)
    for request in requests:
        refusals += check(request, state)
    if refusals:
        raise Refused(refusals)
    planned = tuple((request, tuple(plan_device(Case(request, state)))) for request in requests)
    taken = any(request.present and device for request, device in planned)
    modules = tuple(steps.load(name) for name in state.modules_to_load) if taken else ()
    return Plan(modules, planned)


def plan_device(case: Case) -> list[steps.Step]:
    return _take(case) if case.request.present else _give_back(case)


def _journal_entry(case: Case) -> JournalEntry:
    """What to remember. After a reboot of the host the state that was noted first counts."""
    sub, ccw, old = case.place, case.ccw, case.entry
    return JournalEntry(
        device=case.request.device,
        subchannel=sub.busid,
        uuid=case.request.uuid,
        guest=case.request.guest or (old.guest if old else ""),
        devno=str(case.request.devno),
        was_online=_was_online(case),
        driver=ccw.driver if ccw and ccw.driver else (old.driver if old else ""),
    )


def _was_online(case: Case) -> bool | None:
    if case.ccw is not None and case.ccw.online:
        return True
    if case.entry is not None:
        return case.entry.was_online
    return None if case.passed else False


def _take(case: Case) -> list[steps.Step]:
    sub, ccw, device = case.place, case.ccw, case.request.device
    entry, stale = _journal_entry(case), _left_behind(case)
    if case.done:
        # made by other means, or noted already: only what the journal says of the guest may be new
        changed = case.entry != entry if case.entry is not None else bool(case.request.guest)
        return stale + ([steps.record(device, entry, case.entry)] if changed else []) + _keep(case)
    plan = stale + ([steps.record(device, entry, case.entry)] if entry != case.entry else [])
    if ccw is not None and ccw.online:
        plan.append(steps.offline(device))
    if ccw is not None and ccw.driver:
        plan.append(steps.unbind_ccw(device, ccw.driver))
    if sub.driver == IO_SUBCHANNEL:
        plan.append(steps.unbind_subchannel(device, sub.busid, IO_SUBCHANNEL))
    if sub.driver_override == IO_SUBCHANNEL:
        plan.append(steps.override(device, sub.busid, "", IO_SUBCHANNEL))
    if sub.driver != VFIO_CCW:
        plan.append(steps.bind_subchannel(device, sub.busid, VFIO_CCW))
    elif case.mdev is not None:
        plan.append(steps.remove_mdev(device, sub.busid, case.mdev.uuid))  # it has no driver: nobody can use it
    plan.append(steps.create_mdev(device, sub.busid, case.request.uuid))
    return plan + _keep(case)


def _keep(case: Case) -> list[steps.Step]:
    """What makes it last over a restart of the host."""
    sub, device, uuid = case.place, case.request.device, case.request.uuid
    plan: list[steps.Step] = []
    if not case.request.persistent:
        return plan
    if sub.driver_override != VFIO_CCW:
        plan.append(steps.override(device, sub.busid, VFIO_CCW, ""))
    if sub.kept_driver != VFIO_CCW:
        plan.append(steps.keep_driver(device, sub.busid, VFIO_CCW, sub.kept_driver))
    if uuid not in sub.kept_mdevs:
        plan.append(steps.define_mdev(device, sub.busid, uuid, uuid in sub.manual_mdevs))
    return plan


def _left_behind(case: Case) -> list[steps.Step]:
    """End what was to last on the subchannel that the device had before: another device may have it now."""
    old, device, entry = case.state.left_behind.get(case.request.device), case.request.device, case.entry
    if old is None or entry is None:
        return []
    plan = [steps.undefine_mdev(device, old.busid, entry.uuid)] if entry.uuid in old.kept_mdevs else []
    others = any(one.subchannel == old.busid for one in case.state.journal.values() if one.device != device)
    if old.kept_driver == VFIO_CCW and not others:
        plan.append(steps.keep_driver(device, old.busid, "", VFIO_CCW))
    return plan


def _keep_no_longer(case: Case) -> list[steps.Step]:
    sub, device, entry = case.place, case.request.device, case.entry
    own = {case.request.uuid} | ({entry.uuid} if entry else set())
    plan = _left_behind(case)
    plan += [steps.undefine_mdev(device, sub.busid, uuid) for uuid in sub.kept_mdevs if uuid in own]
    if sub.kept_driver == VFIO_CCW:
        plan.append(steps.keep_driver(device, sub.busid, "", VFIO_CCW))
    return plan


def _give_back(case: Case) -> list[steps.Step]:
    sub, ccw, device, entry = case.place, case.ccw, case.request.device, case.entry
    plan = _keep_no_longer(case)
    if not case.done:
        if case.mdev is not None:
            plan.append(steps.remove_mdev(device, sub.busid, case.mdev.uuid))
        if sub.driver == VFIO_CCW:
            plan.append(steps.unbind_subchannel(device, sub.busid, VFIO_CCW))
        if sub.driver_override == VFIO_CCW:
            plan.append(steps.override(device, sub.busid, "", VFIO_CCW))
        if sub.driver != IO_SUBCHANNEL:
            plan.append(steps.bind_subchannel(device, sub.busid, IO_SUBCHANNEL))
    if case.driverless:
        plan.append(steps.bind_ccw(device, entry.driver if entry else ""))
    if entry is not None:
        if entry.was_online and not (ccw and ccw.online):
            plan.append(steps.online(device))
        plan.append(steps.record(device, None, entry))
    return plan


def describe(case: Case) -> dict[str, object]:
    """What the host has of a device, for a diff."""
    sub, ccw = case.subchannel, case.ccw
    return {
        "subchannel": str(sub.busid) if sub else "",
        "driver": sub.driver if sub else "",
        "ccw_driver": ccw.driver if ccw else "",
        "online": bool(ccw and ccw.online),
        "mdev": case.mdev.uuid if case.mdev else "",
        "guest": case.entry.guest if case.entry else "",
        "at_boot": sub.kept_driver if sub else "",
    }


def predict(case: Case, plan: tuple[steps.Step, ...]) -> dict[str, object]:
    """The description after the steps."""
    after = dict(describe(case))
    for step in plan:
        if step.kind in ("online", "offline"):
            after["online"] = step.kind == "online"
        elif step.kind == "unbind-ccw":
            after["ccw_driver"] = ""
        elif step.kind in ("bind-ccw", "probe-ccw"):
            after["ccw_driver"] = step.value or "(the one that matches)"
        elif step.kind == "unbind-subchannel":
            after["driver"] = ""
            after["ccw_driver"] = ""
        elif step.kind == "bind-subchannel":
            after["driver"] = step.value
            if step.value == IO_SUBCHANNEL:
                after["ccw_driver"] = (case.entry.driver if case.entry else "") or "(the one that matches)"
        elif step.kind in ("create-mdev", "remove-mdev"):
            after["mdev"] = step.value if step.kind == "create-mdev" else ""
        elif step.kind == "keep-driver":
            after["at_boot"] = step.value
        elif step.kind == "record":
            after["guest"] = step.entry.guest if step.entry else ""
    return after

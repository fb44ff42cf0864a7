# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is and what is wanted to the steps in between. No input or output: every rule can be tested as a table.

The order of taking a device is that of QEMU's page "Features/Channel I/O Passthrough", with the device set offline
first: offline is the only step that the kernel refuses for a disk in use.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..host._at_boot import boot_format
from ..host._mdev_rule import OWN
from ..host._model import IO_SUBCHANNEL, MDEV_ONLY, SUBCHANNEL_ONLY, VFIO_CCW, HostState, JournalEntry, Request
from ..refusals._case import Case
from ..refusals._table import Refusal, Refused, check
from . import _steps as steps
from ._step import Step


@dataclass(frozen=True)
class DevicePlan:
    """The steps for one device.

    ``note`` goes into the journal before any device's first step, ``forget`` after the last: the journal is written
    once for a whole list.
    """

    request: Request
    note: Step | None = None
    steps: tuple[Step, ...] = ()
    forget: Step | None = None

    @property
    def all(self) -> list[Step]:
        return [step for step in (self.note, *self.steps, self.forget) if step is not None]


@dataclass(frozen=True)
class Plan:
    """``host``: the steps for the whole host, which come first and stay. A device without steps is as wanted."""

    host: tuple[steps.Step, ...] = ()
    devices: tuple[DevicePlan, ...] = ()

    @property
    def steps(self) -> list[steps.Step]:
        return list(self.host) + [step for device in self.devices for step in device.all]

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
    planned = tuple(plan_device(Case(request, state)) for request in requests)
    return Plan(_for_the_host(requests, planned, state), planned)


def _for_the_host(requests: list[Request], planned: tuple[DevicePlan, ...], state: HostState) -> tuple[steps.Step, ...]:
    taken = any(one.request.present and one.steps for one in planned)
    plan = [steps.load(name) for name in state.modules_to_load] if taken else []
    rule, lasting = state.stale_rule, any(one.present and one.persistent and one.correct_rule for one in requests)
    if rule is not None and rule.corrected and lasting:
        plan.append(steps.correct_rule(f"{OWN}/{rule.path.rsplit('/', 1)[-1]}", rule.corrected))
    return tuple(plan)


def plan_device(case: Case) -> DevicePlan:
    if case.request.present:
        return _take(case)
    return _end_mdev(case) if case.request.scope == MDEV_ONLY else _give_back(case)


# --- for a guest


def _take(case: Case) -> DevicePlan:
    device, entry = case.request.device, _journal_entry(case)
    note = steps.record(device, entry, case.entry or case.left) if entry != case.entry else None
    passing = [] if case.done else _pass(case)
    return DevicePlan(case.request, note, tuple(_left_behind(case) + passing + _keep(case)))


def _journal_entry(case: Case) -> JournalEntry:
    """What to remember. What was noted first counts: it is what the host was like before anything was done to it."""
    sub, request, old = case.place, case.request, case.entry
    own = JournalEntry(request.device, sub.busid, request.uuid, request.guest, str(request.devno), _was_online(case))
    if case.ccw is not None and case.ccw.driver:
        own = replace(own, driver=case.ccw.driver)
    own = _with_removed(own, case)
    if old is None:
        return _with_found(own, case)
    return replace(
        own,
        guest=own.guest or old.guest,
        driver=own.driver or old.driver,
        override=old.override,
        kept_driver=old.kept_driver,
        defined=old.defined if old.uuid == request.uuid else _definition(case),
    )


def _with_removed(entry: JournalEntry, case: Case) -> JournalEntry:
    """With what set the device online at boot: removed now, or before and not restored yet."""
    old = case.entry or case.left
    rules, parameters = (old.rules, old.parameters) if old else ((), ())
    return replace(
        entry,
        rules=rules + tuple(one for one in _rules(case) if one not in rules),
        parameters=parameters + tuple(one for one in _parameters(case) if one[0] not in dict(parameters)),
    )


def _with_found(entry: JournalEntry, case: Case) -> JournalEntry:
    """With what others had set up, to be restored. What is taken over from them is not theirs any more."""
    sub = case.place
    if case.request.adopt:
        return entry
    return replace(entry, override=sub.driver_override, kept_driver=sub.kept_driver, defined=_definition(case))


def _definition(case: Case) -> str:
    """How mdevctl has the mediated device defined."""
    sub, uuid = case.place, case.request.uuid
    return "auto" if uuid in sub.kept_mdevs else ("manual" if uuid in sub.manual_mdevs else "")


def _rules(case: Case) -> tuple[tuple[str, str], ...]:
    return tuple((one.source, one.text) for one in case.removable)


def _parameters(case: Case) -> tuple[tuple[str, str], ...]:
    paths = dict.fromkeys(one.source for one in case.editable)
    return tuple((path, original_text(case.state, path)) for path in paths)


def original_text(state: HostState, path: str) -> str:
    """The text of a boot file before any device was taken out: what was noted for another device, if that is how the
    present one came about.
    """
    text, form = state.boot_files[path], boot_format(path)
    for entry in (*state.journal.values(), *state.left_offline.values()):
        noted = dict(entry.parameters).get(path, text)
        if noted != text and form.only_taken_out(noted, text):
            return noted
    return text


def _was_online(case: Case) -> bool | None:
    if case.ccw is not None and case.ccw.online:
        return True
    if case.entry is not None:
        return case.entry.was_online
    if case.left is not None:
        return case.left.was_online
    return None if case.passed else False


def _pass(case: Case) -> list[steps.Step]:
    sub, ccw, device = case.place, case.ccw, case.request.device
    plan = []
    if ccw is not None and ccw.online:
        plan.append(steps.offline(device))
    if ccw is not None and ccw.driver:
        plan.append(steps.unbind_ccw(device, ccw.driver))
    if sub.driver == IO_SUBCHANNEL:
        plan.append(steps.unbind_subchannel(device, sub.busid, IO_SUBCHANNEL))
    if sub.driver_override not in ("", VFIO_CCW):
        plan.append(steps.override(device, sub.busid, "", sub.driver_override))
    if sub.driver != VFIO_CCW:
        plan.append(steps.bind_subchannel(device, sub.busid, VFIO_CCW))
    if case.request.scope == SUBCHANNEL_ONLY:
        return plan
    if sub.driver == VFIO_CCW and case.mdev is not None:
        plan.append(steps.remove_mdev(device, sub.busid, case.mdev.uuid))  # it has no driver: nobody can use it
    plan.append(steps.create_mdev(device, sub.busid, case.request.uuid))
    return plan


def _keep(case: Case) -> list[steps.Step]:
    """What makes it last over a restart of the host."""
    sub, device, uuid = case.place, case.request.device, case.request.uuid
    plan = [steps.remove_rule(device, one.source, one.text) for one in case.removable]
    plan += [steps.remove_parameter(device, path, text) for path, text in _parameters(case)]
    if not case.request.persistent:
        return plan
    scope = case.request.scope
    if scope != MDEV_ONLY and sub.driver_override != VFIO_CCW:
        plan.append(steps.override(device, sub.busid, VFIO_CCW, ""))
    if scope != MDEV_ONLY and sub.kept_driver != VFIO_CCW:
        plan.append(steps.keep_driver(device, sub.busid, VFIO_CCW, sub.kept_driver))
    if scope != SUBCHANNEL_ONLY and uuid not in sub.kept_mdevs:
        plan.append(steps.define_mdev(device, sub.busid, uuid, uuid in sub.manual_mdevs))
    return plan


# --- back to the host


def _give_back(case: Case) -> DevicePlan:
    sub, ccw, device, entry = case.place, case.ccw, case.request.device, case.entry
    plan = _keep_no_longer(case)
    if not case.done:
        if case.mdev is not None:
            plan.append(steps.remove_mdev(device, sub.busid, case.mdev.uuid))
        if sub.driver == VFIO_CCW:
            plan.append(steps.unbind_subchannel(device, sub.busid, VFIO_CCW))
    if case.ours or not case.done:
        plan += _override_as_before(case)
    if not case.done and sub.driver != IO_SUBCHANNEL:
        plan.append(steps.bind_subchannel(device, sub.busid, IO_SUBCHANNEL))
    if case.driverless:
        plan.append(steps.bind_ccw(device, entry.driver if entry else ""))
    if entry is None:
        return _left_no_longer(case, plan)
    left = _leave_offline(case, entry)
    if left is None:
        if entry.was_online and not (ccw and ccw.online):
            plan.append(steps.online(device))
        plan += _restored(entry)
    return DevicePlan(case.request, None, tuple(plan), steps.record(device, left, entry))


def _restored(entry: JournalEntry) -> list[steps.Step]:
    """What sets the device online at boot."""
    plan = [steps.restore_rule(entry.device, path, text) for path, text in entry.rules]
    return plan + [steps.restore_parameter(entry.device, path, text) for path, text in entry.parameters]


def _leave_offline(case: Case, entry: JournalEntry) -> JournalEntry | None:
    """What stays noted of a device that is left offline though the host had it online, now or at boot.

    The next guest's is not what the host had; and a boot must not set it online while another system uses it.
    """
    if not case.request.leave_offline or (case.ccw is not None and case.ccw.online):
        return None
    left = JournalEntry(
        entry.device,
        case.place.busid,
        entry.uuid,
        entry.guest,
        was_online=entry.was_online,
        rules=entry.rules,
        parameters=entry.parameters,
        left_offline=True,
    )
    return left if left.was_online or left.rules or left.parameters else None


def _left_no_longer(case: Case, plan: list[steps.Step]) -> DevicePlan:
    """A device that somebody has set online again is no longer left offline.

    One that is offline stays so, and noted: another system may use it, and the host cannot see that.
    """
    left = case.left
    if left is None or case.ccw is None or not case.ccw.online:
        return DevicePlan(case.request, None, tuple(plan))
    return DevicePlan(case.request, None, (*plan, *_restored(left)), steps.record(left.device, None, left))


def _override_as_before(case: Case) -> list[steps.Step]:
    before = case.entry.override if case.entry else ""
    sub = case.place
    if sub.driver_override == before or sub.driver_override not in ("", VFIO_CCW):
        return []
    return [steps.override(case.request.device, sub.busid, before, sub.driver_override)]


def _keep_no_longer(case: Case) -> list[steps.Step]:
    sub, device, entry = case.place, case.request.device, case.entry
    plan = _left_behind(case)
    if not case.ours:
        return plan
    plan += _undefine(case)
    before = entry.kept_driver if entry else ""
    if sub.kept_driver == VFIO_CCW and before != VFIO_CCW:
        plan.append(steps.keep_driver(device, sub.busid, before, VFIO_CCW))
    return plan


def _end_mdev(case: Case) -> DevicePlan:
    """The mediated device alone goes; the subchannel stays as it is."""
    plan = _undefine(case) if case.ours else []
    if case.mdev is not None:
        plan.append(steps.remove_mdev(case.request.device, case.place.busid, case.mdev.uuid))
    return DevicePlan(case.request, None, tuple(plan))


def _undefine(case: Case) -> list[steps.Step]:
    """End that mdevctl starts at boot what was defined here, or is to be taken over."""
    sub, device, entry = case.place, case.request.device, case.entry
    own = {case.request.uuid} | ({entry.uuid} if entry else set()) | {mdev.uuid for mdev in sub.mdevs}
    defined = entry.defined if entry else ""
    if defined == "auto":
        return []
    kept = [uuid for uuid in sub.kept_mdevs if uuid in own]
    return [steps.undefine_mdev(device, sub.busid, uuid, defined == "manual") for uuid in kept]


def _left_behind(case: Case) -> list[steps.Step]:
    """End what was to last on the subchannel that the device had before: another device may have it now."""
    old, device, entry = case.state.left_behind.get(case.request.device), case.request.device, case.entry
    if old is None or entry is None:
        return []
    plan = [steps.undefine_mdev(device, old.busid, entry.uuid)] if entry.uuid in old.kept_mdevs else []
    others = [one for one in case.state.by_subchannel.get(old.busid, ()) if one != device]
    if old.kept_driver == VFIO_CCW and not others:
        plan.append(steps.keep_driver(device, old.busid, "", VFIO_CCW))
    return plan

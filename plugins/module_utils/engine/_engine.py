# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way through a change of hands: observe, plan, apply, verify. What the module passthrough calls."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Sequence

from .._busid import BusId, spans
from .._host import Host, Lock
from .._sysfs import DRIVERCTL_DIRECTORY, MDEV_DEVICES, bus_id_or_none
from ..host._at_boot import BOOT_ENTRIES, DASD_CONF, RULE_DIRECTORIES
from ..host._journal import LOCK_TIMEOUT, STATE_DIRECTORY, only_one, passed_and_left, read_notes
from ..host._model import HostState, JournalEntry, Request
from ..host._observe import device_behind, host_id, known_devices, look_again, observe
from ..refusals._case import Case
from ..refusals._table import LIST_REFUSALS, Refusal
from ._apply import Progress, apply
from ._describe import describe, diff_texts
from ._plan import Plan, make_plan
from ._requests import Defaults, parse_requests
from ._steps import Step

SAVED_IN = (STATE_DIRECTORY, DRIVERCTL_DIRECTORY, RULE_DIRECTORIES[0], BOOT_ENTRIES, "/etc", "/etc/kernel")
"""Where files are replaced, under the lock."""

BATCH = 100
"""Devices after which it is told how far the work is."""


class NotAsWanted(Exception):
    """All steps (``done``) succeeded, and still the host is not as it should be."""

    done: Sequence[Step] = ()


@dataclass(frozen=True)
class Options:
    """``stopped_guests``: guests that an earlier task would have stopped, had this not been check mode.

    ``keep``: when a device fails, those before it stay done. ``lock_timeout``: seconds to wait for another run.
    """

    check_mode: bool = False
    stopped_guests: tuple[str, ...] = ()
    keep: bool = False
    lock_timeout: float = LOCK_TIMEOUT
    module: str = "passthrough"
    """What others are told that this run is."""
    correct_rule: bool = False
    """Whether a udev rule of mdevctl's that starts nothing is corrected."""


@dataclass(frozen=True)
class Outcome:
    """``done``: the steps that were done, or would be in check mode. ``waited_for``: who held the lock before."""

    requests: list[Request]
    state: HostState
    plan: Plan
    done: list[Step] = field(default_factory=list)
    waited_for: str = ""

    @property
    def changed(self) -> bool:
        return self.plan.changed

    @property
    def actions(self) -> list[dict[str, str]]:
        return [step.as_action() for step in self.done]

    @property
    def devices(self) -> list[dict[str, Any]]:
        return [_report(Case(request, self.state)) for request in self.requests]

    @property
    def warnings(self) -> list[str]:
        """What a user has to know of a run that went well."""
        waited = [f"Waited for {self.waited_for} before anything was done"] if self.waited_for else []
        unread = _unread(self.state, [one.request.device for one in self.plan.devices if one.steps])
        return waited + unread + _to_update(self.plan)

    def texts(self) -> tuple[str, str]:
        """Before and after, for a diff."""
        return diff_texts(self.state, self.plan)


def _unread(state: HostState, changed: Sequence[BusId]) -> list[str]:
    """Of the disks that were taken from the host those which nobody looked at, with the same reason together."""
    reasons: dict[str, list[BusId]] = {}
    for device in changed:
        if device in state.unread:
            reasons.setdefault(state.unread[device], []).append(device)
    return [
        f"{', '.join(spans(devices))}: nobody looked whether a volume (LVM, RAID, btrfs) or /etc/fstab needs what is "
        f"on it, whether another system uses it, and whether it is a PAV alias, for {why}"
        for why, devices in reasons.items()
    ]


def _to_update(plan: Plan) -> list[str]:
    """Of files of the boot loader that were changed: they count when it has read them again."""
    paths = sorted({one.subject for one in plan.steps if one.kind in ("remove-parameter", "restore-parameter")})
    if not paths:
        return []
    loader = [path for path in paths if path != DASD_CONF]
    then = "update the initial RAM disk (dracut -f, update-initramfs -u)" + (" and run zipl" if loader else "")
    return [f"{', '.join(paths)} changed: {then}, for the next start of the host still has the old parameters"]


def converge(host: Host, items: Sequence[dict[str, Any]], options: Options) -> Outcome:
    """Bring the host to what is wanted. Raises Refused, StepFailed, NotAsWanted, HostError, JournalError."""
    if options.check_mode:
        return _converge(host, items, options, Lock("check"))
    with only_one(host, f"{options.module} of {_count(items)}", options.lock_timeout) as lock:
        for directory in SAVED_IN if lock.held else ():
            host.sweep(directory)
        return _converge(host, items, options, lock)


def _count(items: Sequence[dict[str, Any]]) -> str:
    names = [str(item.get("device") or item.get("subchannel")) for item in items]
    if len(names) < 2:
        return "".join(names) or "nothing"
    return f"{names[0]} and {len(names) - 1} more"


def _converge(host: Host, items: Sequence[dict[str, Any]], options: Options, lock: Lock) -> Outcome:
    journal, left = passed_and_left(read_notes(host))
    uuids = {device: entry.uuid for device, entry in journal.items()}
    defaults = Defaults(host_id(host), uuids, options.correct_rule)
    named, unknown = _by_device(host, items, journal)
    requests, refusals = parse_requests(named, defaults, lambda: known_devices(host, journal))
    refusals += unknown
    state = replace(observe(host, requests, journal), left_offline=left)
    requests = [_with_adopted_uuid(request, state) for request in requests]
    if options.check_mode:
        state = _without_guests(state, options.stopped_guests)
    plan = make_plan(requests, state, refusals)
    outcome = Outcome(requests, state, plan, plan.steps, lock.waited_for)
    if plan.changed and not options.check_mode:
        apply(host, plan, options.keep, _teller(lock))
        try:
            _verify(host, [device.request for device in plan.devices if device.all])
        except NotAsWanted as exc:
            exc.done = outcome.done
            raise
    return outcome


def _by_device(
    host: Host, items: Sequence[dict[str, Any]], journal: dict[BusId, JournalEntry]
) -> tuple[list[dict[str, Any]], list[Refusal]]:
    """The items, with devices in the place of subchannels. Numbers of subchannels may change at the next start."""
    found: list[dict[str, Any]] = []
    refusals: list[Refusal] = []
    for item in items:
        name = str(item.get("subchannel") or "")
        subchannel = bus_id_or_none(name)
        device = device_behind(host, subchannel, journal) if subchannel is not None else None
        if name and device is None:
            text = "the host has no such subchannel, or it has no device"
            refusals.append(Refusal("no-such-subchannel", name, text, LIST_REFUSALS["no-such-subchannel"]))
        else:
            found.append({**item, "device": str(device), "listed": name} if name else item)
    return found, refusals


def _teller(lock: Lock) -> Progress:
    def tell(done: int, of: int) -> None:
        if done % BATCH == 0 or done == of:
            lock.say(f"{done} of {of} devices done")

    return tell


def _with_adopted_uuid(request: Request, state: HostState) -> Request:
    """What is taken over keeps its UUID, unless another is asked for."""
    sub = state.by_device.get(request.device)
    if not request.adopt or request.uuid_given or sub is None or not sub.mdevs:
        return request
    return replace(request, uuid=sub.mdevs[0].uuid)


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
    state = look_again(host, requests)
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
                "else works on this device (a udev rule, driverctl, libvirt); find out who before you run this again."
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

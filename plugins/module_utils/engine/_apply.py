# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run planned steps. No write is believed: its effect is read back, or shown by that of the next. When one fails, what
was done is undone.

The journal is written before the first step and after the last, for the whole list at once: between the two the process
may be killed at any moment, and the next run finds what it needs.
"""

from __future__ import annotations

import contextlib
import errno
from collections import deque
from typing import Callable, Sequence

from .._busid import BusId, spans
from .._host import Host, HostError
from .._sysfs import CCW_DEVICES, CSS_DEVICES
from ..host._journal import put_entries, read_notes
from ..host._model import IO_SUBCHANNEL
from ._plan import DevicePlan, Plan
from ._step import Finish
from ._steps import KINDS, Step

Progress = Callable[[int, int], None]
"""Told how many devices of how many are done."""

AT_ONCE = 8
"""Programs that may run at the same time: mdevctl does a definition in each, and nearly all of it is starting."""
READ_BACK_TIMEOUT = 5.0
AGAIN_TIMEOUT = 30.0
"""Seconds in which a write is tried again for which the kernel is not free (EAGAIN)."""


class StepFailed(Exception):
    """A step did not do what it should.

    ``done`` are the steps that stay done, ``undone`` those that were undone, ``stuck`` says what could not be undone.
    ``missing``: a device that the host has again is left to it; these are the steps that are still to be done for it.
    """

    def __init__(
        self,
        step: Step,
        cause: Exception,
        done: list[Step],
        undone: list[Step],
        stuck: list[str],
        missing: Sequence[Step] = (),
    ) -> None:
        self.step = step
        self.cause = cause
        self.done = done
        self.undone = undone
        self.stuck = stuck
        self.missing = list(missing)
        number = cause.errno if isinstance(cause, HostError) else 0
        hint = "Run the task as root (become: true)" if number in (errno.EACCES, errno.EROFS) else KINDS[step.kind].hint
        name = f"{step.device}: " if step.device else ""
        parts = [f"{name}could not {step.text}: {cause or repr(cause)}. {hint}."]
        if undone:
            parts.append(f"Undone again: {_sentences(undone, step.device)}.")
        if stuck:
            parts.append(
                "Could not be undone: " + "; ".join(stuck) + ". Look at the device with lscss before you go on."
            )
        if missing:
            parts.append(
                "The host has the device again and keeps it. Still to be done: "
                + "; ".join(one.text for one in missing)
                + ". Run this again for that."
            )
        others = sorted({one.device for one in done if one.device and one.device != step.device})
        if others:
            parts.append(f"Completed before and kept: {', '.join(spans(others))}.")
        super().__init__(" ".join(parts))


def _sentences(steps: Sequence[Step], device: BusId | None) -> str:
    """The steps of one device in words, those of the others by their devices' numbers."""
    own = [one.text for one in steps if one.device == device]
    others = sorted({one.device for one in steps if one.device and one.device != device})
    rest = [f"everything done to {', '.join(spans(others))}"] if others else []
    return "; ".join(own + rest)


def run_step(host: Host, step: Step) -> None:
    """Run one step and read it back. Raises HostError, JournalError."""
    KINDS[step.kind].guard(host, step)
    _read_back(host, step, _attempt(host, step))


def _attempt(host: Host, step: Step) -> HostError | None:
    """Run a step; the error that the kernel answered with. Raises JournalError.

    Others work on a device too: where udev was first (a rule of chzdev sets a disk online, one of mdevctl creates a
    mediated device), the kernel answers with an error, and what is wanted is there or about to be.
    """
    kind = KINDS[step.kind]
    errors: list[HostError] = []

    def run() -> bool:
        errors.clear()
        try:
            kind.run(host, step)
        except HostError as exc:
            errors.append(exc)
            return exc.errno != errno.EAGAIN or kind.holds(host, step)
        return True

    host.wait_for(run, AGAIN_TIMEOUT)
    return errors[0] if errors else None


def _read_back(host: Host, step: Step, error: HostError | None) -> None:
    """Wait until a step has its effect. Raises ``error``, or a HostError that says that there is none."""
    if not host.wait_for(lambda: KINDS[step.kind].holds(host, step), READ_BACK_TIMEOUT):
        raise error or _without_effect(step)


def _without_effect(step: Step) -> HostError:
    text = f"the write of {step.written!r} was accepted but had no effect"
    return HostError("read back", step.path, 0, text=text)


def apply(host: Host, plan: Plan, keep: bool = False, progress: Progress | None = None) -> list[Step]:
    """Run a plan; what was done is returned. ``keep``: devices done before one fails stay done. Raises StepFailed."""
    done: list[Step] = []
    for step in plan.host:
        try:
            run_step(host, step)
        except HostError as exc:
            raise StepFailed(step, exc, done, [], []) from exc
        done.append(step)
    notes = [device.note for device in plan.devices if device.note is not None]
    write_notes(host, notes, done)
    run = _Run(host, 0 if keep else AT_ONCE, progress or (lambda number, of: None))
    try:
        run.all(plan.devices)
    except _Failed as failure:
        run.wait_for_the_rest()
        raise _clean_up(host, plan, run.finished, failure, keep, done) from failure.cause
    write_notes(host, [device.forget for device in plan.devices if device.forget is not None], plan.steps)
    return plan.steps


class _Failed(Exception):
    """A device's step failed. ``tried``: its steps so far, the failed one (the last, mostly) among them."""

    def __init__(self, device: DevicePlan, tried: Sequence[Step], step: Step, cause: Exception) -> None:
        super().__init__(str(cause))
        self.device = device
        self.tried = list(tried)
        self.step = step
        self.cause = cause


class _Run:
    """Devices in their order, one at a time, except that the programs at their ends run beside what follows."""

    def __init__(self, host: Host, at_once: int, progress: Progress) -> None:
        self._host = host
        self._at_once = at_once
        self._progress = progress
        self._ending: deque[tuple[DevicePlan, Finish]] = deque()
        self.finished: list[DevicePlan] = []

    def all(self, devices: Sequence[DevicePlan]) -> None:
        """Raises _Failed."""
        for device in devices:
            finish = _run_device(self._host, device)
            if finish is None:
                self._has_finished(device, len(devices))
            else:
                self._ending.append((device, finish))
            while len(self._ending) > self._at_once:
                self._end_one(len(devices))
        while self._ending:
            self._end_one(len(devices))

    def _end_one(self, of: int) -> None:
        device, finish = self._ending.popleft()
        finish()
        self._has_finished(device, of)

    def _has_finished(self, device: DevicePlan, of: int) -> None:
        self.finished.append(device)
        self._progress(len(self.finished), of)

    def wait_for_the_rest(self) -> None:
        """After a failure all is undone, whether it ended well or not."""
        for device, finish in self._ending:
            with contextlib.suppress(_Failed):
                finish()
            self.finished.append(device)


def _run_device(host: Host, device: DevicePlan) -> Finish | None:
    """Run its steps. A program at the end may still run: what is returned waits for it. Both raise _Failed."""
    unread: list[Step] = []
    read_back = ""
    for number, step in enumerate(device.steps):
        kind, following = KINDS[step.kind], device.steps[number + 1 : number + 2]
        try:
            if read_back not in kind.guarded_by:
                kind.guard(host, step)
            if kind.start is not None and not following:
                return _ending(host, device, kind.start(host, step))
            error = _attempt(host, step)
            if error is None and any(step.kind in KINDS[one.kind].shows for one in following):
                unread.append(step)
                read_back = ""
                continue
            _read_back(host, step, error)
        except Exception as exc:  # whatever it is: nothing stays half done
            raise _Failed(device, device.steps[: number + 1], *_culprit(host, unread, step, exc)) from exc
        unread.clear()
        read_back = step.kind
    return None


def _ending(host: Host, device: DevicePlan, finish: Finish) -> Finish:
    last = device.steps[-1]

    def end() -> None:
        error: HostError | None = None
        try:
            try:
                finish()
            except HostError as exc:
                error = exc
            _read_back(host, last, error)
        except Exception as exc:
            raise _Failed(device, device.steps, last, exc) from exc

    return end


def _culprit(host: Host, unread: Sequence[Step], step: Step, cause: Exception) -> tuple[Step, Exception]:
    """The step that failed, or the first of those before it, not read back until now, that has had no effect."""
    for earlier in unread:
        before = earlier.inverse
        if before is not None and KINDS[before.kind].holds(host, before):
            return earlier, _without_effect(earlier)
    return step, cause


def write_notes(host: Host, notes: Sequence[Step], done: Sequence[Step]) -> None:
    """Change the journal, for many devices at once, and read it back. Raises StepFailed."""
    if not notes:
        return
    entries = {step.device: step.entry for step in notes if step.device is not None}
    try:
        put_entries(host, entries)
        written = read_notes(host)
        if any(written.get(device) != entry for device, entry in entries.items()):
            raise HostError("read back", notes[0].path, 0, text="it does not hold what was written to it")
    except Exception as exc:
        kept = [step for step in done if step not in notes]
        raise StepFailed(notes[0], exc, kept, [], []) from exc


def _clean_up(
    host: Host,
    plan: Plan,
    finished: Sequence[DevicePlan],
    failure: _Failed,
    keep: bool,
    done: Sequence[Step],
) -> StepFailed:
    """After a failure: undo what was done, and leave in the journal what is still passed on or stuck."""
    device, tried = failure.device, failure.tried
    back = not device.request.present and _is_back(host, device, tried)
    undone, stuck = ([], []) if back else undo(host, tried)
    unnote = [] if back or stuck else [device]
    stays = [*done, *(step for one in finished for step in one.all)] if keep else list(done)
    for one in [] if keep else reversed(finished):
        own, wrong = undo(host, one.steps)
        undone += own
        stuck += wrong
        stays += [step for step in one.all if step not in own] if wrong else []
        unnote += [] if wrong else [one]
    unnote += plan.devices[len(finished) + 1 :]
    undone += _unnote(host, unnote, stuck)
    if keep:
        _forget(host, finished, stuck)
    at = tried.index(failure.step)
    missing = list(device.steps[at:]) + ([device.forget] if device.forget else []) if back else []
    stays += tried[:at] if back else []
    return StepFailed(failure.step, failure.cause, stays, undone, stuck, missing)


def _unnote(host: Host, devices: Sequence[DevicePlan], stuck: list[str]) -> list[Step]:
    notes = [one.note for one in devices if one.note is not None]
    try:
        write_notes(host, [note.inverse for note in notes if note.inverse is not None], [])
    except StepFailed as exc:
        stuck.append(str(exc))
        return []
    return notes


def _forget(host: Host, finished: Sequence[DevicePlan], stuck: list[str]) -> None:
    try:
        write_notes(host, [one.forget for one in finished if one.forget is not None], [])
    except StepFailed as exc:
        stuck.append(str(exc))


def _is_back(host: Host, device: DevicePlan, tried: Sequence[Step]) -> bool:
    """Whether the host has the device again: from then on anybody (LVM, fstab, udev) may use it."""
    return host.exists(f"{CCW_DEVICES}/{device.request.device}") or any(
        step.kind == "bind-subchannel"
        and step.value == IO_SUBCHANNEL
        and host.link_name(f"{CSS_DEVICES}/{step.subject}/driver") == IO_SUBCHANNEL
        for step in tried
    )


def undo(host: Host, tried: Sequence[Step]) -> tuple[list[Step], list[str]]:
    """Run the inverses, last first, each only where it does not hold already.

    The step that failed is among them: it may have had its effect. An inverse that fails ends it: each relies on the
    one before (unbinding on being offline), and the journal has to outlast a device that is stuck.
    """
    undone: list[Step] = []
    for step in reversed(tried):
        inverse = step.inverse
        if inverse is None:
            continue
        try:
            if KINDS[inverse.kind].holds(host, inverse):
                continue
            run_step(host, inverse)
            undone.append(step)
        except Exception as exc:
            return undone, [f"{step.text} ({exc})"]
    return undone, []

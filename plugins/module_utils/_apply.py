# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run planned steps. No write is believed: each is read back. When one fails, the device's earlier ones are undone."""

from __future__ import annotations

import errno
from typing import Sequence

from ._host import Host, HostError
from ._model import IO_SUBCHANNEL, Request
from ._observe import CCW_DEVICES, CSS_DEVICES
from ._plan import Plan
from ._steps import KINDS, Step

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
            parts.append("Undone again: " + "; ".join(one.text for one in undone) + ".")
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
        others = sorted({str(one.device) for one in done if one.device and one.device != step.device})
        if others:
            parts.append(f"Completed before and kept: {', '.join(others)}.")
        super().__init__(" ".join(parts))


def run_step(host: Host, step: Step) -> None:
    """Run one step unless it holds already, and read it back. Raises HostError, JournalError.

    Others work on a device too: where udev was first (a rule of chzdev sets a disk online, one of mdevctl creates a
    mediated device), the kernel answers with an error, and what is wanted is there or about to be.
    """
    kind = KINDS[step.kind]
    if kind.holds(host, step):
        return
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
    if host.wait_for(lambda: kind.holds(host, step), READ_BACK_TIMEOUT):
        return
    if errors:
        raise errors[0]
    raise HostError("read back", step.path, 0, text=f"the write of {step.written!r} was accepted but had no effect")


def apply(host: Host, plan: Plan) -> list[Step]:
    """Run a plan device by device; what was done is returned. Raises StepFailed."""
    done: list[Step] = []
    for step in plan.modules:
        try:
            run_step(host, step)
        except HostError as exc:
            raise StepFailed(step, exc, done, [], []) from exc
        done.append(step)
    for request, planned in plan.devices:
        done += _apply_device(host, request, list(planned), done)
    return done


def _apply_device(host: Host, request: Request, planned: list[Step], earlier: list[Step]) -> list[Step]:
    tried: list[Step] = []
    for step in planned:
        tried.append(step)
        try:
            run_step(host, step)
        except Exception as exc:  # whatever it is: nothing stays half done
            if not request.present and _is_back(host, request, tried):
                raise StepFailed(step, exc, earlier + tried[:-1], [], [], planned[len(tried) - 1 :]) from exc
            undone, stuck = undo(host, tried)
            raise StepFailed(step, exc, earlier, undone, stuck) from exc
    return tried


def _is_back(host: Host, request: Request, tried: list[Step]) -> bool:
    """Whether the host has the device again: from then on anybody (LVM, fstab, udev) may use it."""
    return host.exists(f"{CCW_DEVICES}/{request.device}") or any(
        step.kind == "bind-subchannel"
        and step.value == IO_SUBCHANNEL
        and host.link_name(f"{CSS_DEVICES}/{step.subject}/driver") == IO_SUBCHANNEL
        for step in tried
    )


def undo(host: Host, tried: list[Step]) -> tuple[list[Step], list[str]]:
    """Run the inverses, last first, each only where it does not hold already.

    The step that failed is among them: it may have had its effect. An inverse that fails ends it: each relies on the
    one before (unbinding on being offline), and the journal, which is written first, has to outlast a device that is
    stuck.
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

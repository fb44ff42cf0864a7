# SPDX-License-Identifier: GPL-2.0-or-later
"""Uevents: what the kernel tells udev, and the synthetic ones that a write to ``uevent`` asks for.

Source: Linux lib/kobject_uevent.c (kobject_uevent_env, kobject_action_type, kobject_action_args).
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ccwemu.machine.cstring import cstring, error

ACTIONS = ("add", "remove", "change", "move", "online", "offline", "bind", "unbind")

_UUID = re.compile(r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_ARGUMENT = re.compile(r"^([A-Za-z0-9]+)=([A-Za-z0-9]*)$")

LIMIT = 100_000
"""Events that are kept; the older half goes when there are more."""

Variables = list[tuple[str, str]]


@dataclass(frozen=True)
class Uevent:
    """One event. ``env`` has everything, in the kernel's order: ACTION, DEVPATH, SUBSYSTEM, …, SEQNUM."""

    action: str
    devpath: str
    env: dict[str, str]

    def __str__(self) -> str:
        return f"{self.action}@{self.devpath}"


class UeventLog:
    """The latest events, and who wants to hear of new ones (called under the machine's lock)."""

    def __init__(self) -> None:
        self.events: list[Uevent] = []
        self.seqnum = 0
        self._subscribers: list[Callable[[Uevent], None]] = []

    def subscribe(self, callback: Callable[[Uevent], None]) -> Callable[[], None]:
        """Call back for each new event; returns what ends it."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def emit(self, action: str, devpath: str, subsystem: str, variables: Iterable[tuple[str, str]] = ()) -> None:
        self.seqnum += 1
        env = {"ACTION": action, "DEVPATH": devpath, "SUBSYSTEM": subsystem}
        env.update(variables)
        env["SEQNUM"] = str(self.seqnum)
        event = Uevent(action, devpath, env)
        if len(self.events) >= LIMIT:
            del self.events[: LIMIT // 2]
        self.events.append(event)
        for callback in list(self._subscribers):
            callback(event)


def parse_synthetic(data: bytes) -> tuple[str, Variables]:
    """What was written to a ``uevent`` attribute: "ACTION[ UUID[ KEY=VALUE]…]".

    Returns the action and the variables to add. Raises OSError(EINVAL), its ``strerror`` the kernel's message.
    """
    text = cstring(data).removesuffix("\n")
    action, _blank, rest = text.partition(" ")
    if action not in ACTIONS:
        raise OSError(errno.EINVAL, "unknown uevent action string")
    if not rest:
        return action, [("SYNTH_UUID", "0")]
    uuid, *arguments = rest.split(" ")
    if not _UUID.match(uuid):
        raise OSError(errno.EINVAL, "incorrect uevent action arguments")
    variables: Variables = [("SYNTH_UUID", uuid)]
    for argument in arguments:
        match = _ARGUMENT.match(argument)
        if match is None:
            raise OSError(errno.EINVAL, "incorrect uevent action arguments")
        variables.append((f"SYNTH_ARG_{match[1]}", match[2]))
    return action, variables


def store_synthetic(
    data: bytes, devpath: str, emit: Callable[[str, Variables | None], None], warn: Callable[[str], None]
) -> None:
    """The store function of any ``uevent`` attribute."""
    try:
        action, variables = parse_synthetic(data)
    except OSError as problem:
        warn(f"synth uevent: {devpath}: {problem.strerror}")
        raise error(errno.EINVAL) from None
    emit(action, variables)

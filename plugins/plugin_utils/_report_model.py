# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the report shows of hosts, as plain values: made from what css_info returned on each of them.

_report_answer takes apart what a host said, _report_findings says what state a device is in and what is found of it.
Pure functions.
"""

from __future__ import annotations

import typing as t
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BadName, BusId, spans
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.host._model import VFIO_CCW

ERROR, WARNING, NOTE = LEVELS = ("error", "warning", "note")

GUEST, IDLE, UNKNOWN, BARE, FREE, HOST, HELD, NEVER, EMPTY = STATES = (
    "guest",
    "idle",
    "unknown",
    "bare",
    "free",
    "host",
    "held",
    "never",
    "empty",
)
STATE_NAMES = {
    GUEST: "in a guest",
    IDLE: "passed, not in use",
    UNKNOWN: "passed, use not known",
    BARE: "vfio_ccw, no mediated device",
    FREE: "free",
    HOST: "used by the host",
    HELD: "held back",
    NEVER: "not for vfio_ccw",
    EMPTY: "no device",
}
PASSED = (GUEST, IDLE, UNKNOWN, BARE)


class NotUnderstood(Exception):
    """A host's answer that is not what css_info returns."""


@dataclass(frozen=True)
class Finding:
    """Something about a device or a host. ``level`` is one of LEVELS, ``refusal`` whether the id is a refusal's."""

    id: str
    level: str
    found: str
    next_step: str = ""
    refusal: bool = False


@dataclass(frozen=True)
class Path:
    """A channel path of a device. ``down`` says why it cannot be used, "" when it can."""

    chpid: str
    down: str = ""


@dataclass(frozen=True)
class ChannelPath:
    """A channel path of the host. ``configured`` and ``type`` are empty where the machine does not say."""

    chpid: str
    online: bool
    configured: str = ""
    type: str = ""

    @property
    def usable(self) -> bool:
        return self.online and self.configured in ("", "configured")


@dataclass(frozen=True)
class Guest:
    """``running``: None when it is not known; ``hypervisor`` empty for one that only the journal names."""

    name: str
    hypervisor: str = ""
    running: bool | None = None
    uuids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """Of a plan. ``device`` can be a list of ranges where ``count`` steps are told as one."""

    device: str
    kind: str
    description: str
    count: int = 1


@dataclass(frozen=True)
class Plan:
    """What the module passthrough would do (check mode). ``refusals``: device to why nothing is done."""

    steps: tuple[Step, ...] = ()
    refusals: tuple[tuple[str, Finding], ...] = ()
    error: str = ""

    @property
    def by_device(self) -> dict[str, list[Step]]:
        found: dict[str, list[Step]] = {}
        for step in self.steps:
            found.setdefault(step.device, []).append(step)
        return found


@dataclass(frozen=True)
class Device:
    """A subchannel with the device behind it. Texts are empty for what is not known or not there."""

    number: str
    subchannel: str
    state: str = EMPTY
    driver: str = ""
    ccw_driver: str = ""
    online: bool = False
    control_unit: str = ""
    type: str = ""
    disks: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()
    uuid: str = ""
    in_use: bool | None = False
    guest: str = ""
    devno: str = ""
    """By which bus id the guest sees it."""
    kept_driver: str = ""
    kept_mdevs: tuple[str, ...] = ()
    passable: bool = False
    refusals: tuple[Finding, ...] = ()
    boot_refusals: tuple[Finding, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def name(self) -> str:
        return self.number or self.subchannel

    @property
    def level(self) -> str:
        """The worst of its findings, "" without any."""
        levels = {finding.level for finding in self.findings}
        return next((level for level in LEVELS if level in levels), "")

    @property
    def chpids(self) -> tuple[str, ...]:
        return tuple(path.chpid for path in self.paths)


@dataclass(frozen=True)
class Host:
    """``error``: why nothing is known of it. ``plan``: None when none was given. ``others``: type to count."""

    name: str
    error: str = ""
    devices: tuple[Device, ...] = ()
    paths: tuple[ChannelPath, ...] = ()
    guests: tuple[Guest, ...] = ()
    findings: tuple[Finding, ...] = ()
    plan: Plan | None = None
    others: tuple[tuple[str, int], ...] = ()
    ignored: tuple[str, ...] = ()

    def count(self, *states: str) -> int:
        return sum(device.state in states for device in self.devices)


@dataclass(frozen=True)
class Definition:
    """What driverctl and mdevctl have for a subchannel without device."""

    subchannel: str
    driver: str = ""
    mdevs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Raw:
    """A host's answer, taken apart and not thought about yet."""

    host: Host
    not_as_noted: tuple[Mapping[str, str], ...] = ()
    definitions: tuple[Definition, ...] = ()


@dataclass(frozen=True)
class Group:
    """Devices that are alike in all that is shown of them but their numbers, in order."""

    devices: tuple[Device, ...]
    steps: tuple[str, ...] = field(default=())

    @property
    def first(self) -> Device:
        return self.devices[0]

    @property
    def ranges(self) -> list[str]:
        return ranges([device.name for device in self.devices])


# --- what is alike


def ranges(names: Iterable[str]) -> list[str]:
    """Device numbers as people write many of them; what is no device number stays as it is, behind."""
    numbers, rest = [], []
    for name in names:
        try:
            numbers.append(BusId.parse(name))
        except BadName:
            rest.append(name)
    return spans(numbers) + rest


def order(name: str) -> tuple[int, int, int, str]:
    """To sort names by: device numbers first."""
    try:
        busid = BusId.parse(name)
    except BadName:
        return (1, 0, 0, name)
    return (0, busid.ssid, busid.number, name)


def groups(host: Host) -> list[Group]:
    """The devices of a host, those together that are alike, in order of the first of each."""
    planned = host.plan.by_device if host.plan else {}
    alike: dict[tuple[t.Any, ...], list[Device]] = {}
    for device in host.devices:
        steps = tuple(step.kind for step in planned.get(device.number, ()))
        alike.setdefault((_look(device), steps), []).append(device)
    found = [
        Group(tuple(sorted(devices, key=lambda one: order(one.name))), steps)
        for (_key, steps), devices in alike.items()
    ]
    return sorted(found, key=lambda one: order(one.first.name))


def _look(device: Device) -> tuple[t.Any, ...]:
    return (
        device.state,
        device.driver,
        device.ccw_driver,
        device.online,
        device.control_unit,
        device.type,
        device.paths,
        device.guest,
        bool(device.number),
        tuple(finding.id for finding in device.findings),
    )


def is_passed(device: Device) -> bool:
    return device.driver == VFIO_CCW

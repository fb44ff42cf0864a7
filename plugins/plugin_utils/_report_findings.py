# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the report finds about devices and hosts: one table, from which the docs are made, and the rules. Pure.

Why a device is not passed through is not thought about here: css_info asked the table of refusals. Here is what is
seen only from the outside: paths, guests, and what the next restart of the host would make of it.
"""

from __future__ import annotations

import typing as t
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.host._leftover import BACK, GONE, LEFT, MOVED
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.host._model import VFIO_CCW

from ._report_answer import parse
from ._report_model import (
    BARE,
    EMPTY,
    ERROR,
    FREE,
    GUEST,
    HELD,
    HOST,
    IDLE,
    LEVELS,
    NEVER,
    NOTE,
    UNKNOWN,
    WARNING,
    Device,
    Finding,
    Guest,
    Host,
    NotUnderstood,
    Raw,
    is_passed,
    ranges,
)

TABLE: dict[str, tuple[str, str]] = {
    "no-path": (ERROR, "None of the device's channel paths can be used"),
    "path-down": (WARNING, "Some of the device's channel paths cannot be used: varied off, on standby, PAM, POM"),
    "chpid-down": (WARNING, "A channel path of the host is varied off or not configured"),
    "noted-not-there": (ERROR, "The journal notes a device that the host does not have"),
    "noted-not-passed": (WARNING, "The journal notes a device as passed through that the host has as its own again"),
    "noted-elsewhere": (WARNING, "The journal notes a device on another subchannel than the one that it is on"),
    "left-offline": (NOTE, "The host had the device online, and left it offline for another system"),
    "no-device": (WARNING, "driverctl or mdevctl has something for a subchannel without device"),
    "without-mdev": (WARNING, "vfio_ccw has the subchannel and there is no mediated device"),
    "no-guest": (WARNING, "No guest is noted for the mediated device, and none has it in its configuration"),
    "other-config": (WARNING, "Another guest has the mediated device in its configuration than the journal notes"),
    "no-such-mdev": (WARNING, "The configuration of a guest names a mediated device that the host does not have"),
    "not-opened": (WARNING, "The guest runs and does not have the device open"),
    "not-in-use": (NOTE, "Nobody has the device open, and whether its guest runs is not known"),
    "guest-off": (NOTE, "The guest of the device does not run"),
    "half-kept": (WARNING, "Of driverctl and mdevctl one sets it up at boot and the other does not"),
    "not-kept": (NOTE, "A restart of the host ends it"),
    "not-bound": (WARNING, "No driver has the subchannel, so that the host does not have the device"),
    "not-root": (WARNING, "The host was not looked at as root: not everything is known"),
}
"""Finding to level and when."""

REFUSAL_LEVELS = {
    "wrong-device": ERROR,
    "unavailable": ERROR,
    "driver-override": WARNING,
    "foreign-driver": WARNING,
    "foreign-override": WARNING,
    "hidden-at-boot": WARNING,
    "in-use": WARNING,
    "no-tools": WARNING,
    "no-vfio-ccw": WARNING,
    "not-ours": WARNING,
    "online-at-boot": WARNING,
    "other-uuid-at-boot": WARNING,
    "reserved": WARNING,
    "stale-rule": WARNING,
    "uuid-taken": WARNING,
}
"""The others say why a device stays where it is, and nothing is wrong."""

USED_BY_HOST = frozenset(
    (
        "grouped",
        "holder",
        "in-crypttab",
        "in-fstab",
        "mounted",
        "online-no-disk",
        "opened",
        "root-device",
        "serves",
        "swap",
        "swap-in-fstab",
        "volume-member",
    )
)
NOT_POSSIBLE = frozenset(("virtio", "qdio", "not-io-subchannel"))
FEW = 3
"""Findings of one kind up to which each is told for itself."""


@dataclass(frozen=True)
class Told:
    """A finding with all the devices that it is true of (empty: the host itself)."""

    finding: Finding
    devices: tuple[str, ...] = ()


def examine(name: str, answer: t.Any, plan: t.Any = None) -> Host:
    """A host as the report shows it, from css_info's result and, if there is one, passthrough's in check mode."""
    try:
        raw = parse(name, answer, plan)
    except NotUnderstood as exc:
        return Host(name, error=f"Its answer is not understood: {exc}")
    host = raw.host
    guests = _all_guests(host)
    by_uuid = {uuid: guest.name for guest in guests.values() for uuid in guest.uuids}
    noted = {one.get("device", ""): one for one in raw.not_as_noted}
    devices = [_looked_at(device, guests, by_uuid, noted.get(device.number)) for device in host.devices]
    return replace(
        host,
        devices=tuple(devices),
        guests=tuple(sorted(guests.values(), key=lambda one: one.name)),
        findings=tuple(_of_host(raw, devices)),
    )


def told(devices: Sequence[Device], of_host: Sequence[Finding] = ()) -> list[Told]:
    """For a list to read, worst first: devices of which the same is true together, and of many of a kind the first."""
    same: dict[Finding, list[str]] = {}
    for device in devices:
        for finding in device.findings:
            same.setdefault(finding, []).append(device.name)
    kinds: dict[str, list[tuple[Finding, list[str]]]] = {}
    for finding, names in same.items():
        kinds.setdefault(finding.id, []).append((finding, names))
    found = [Told(finding) for finding in of_host]
    for alike in kinds.values():
        found += [Told(finding, tuple(names)) for finding, names in alike] if len(alike) <= FEW else [_together(alike)]
    return sorted(found, key=lambda one: LEVELS.index(one.finding.level))


def _together(alike: list[tuple[Finding, list[str]]]) -> Told:
    first, names = alike[0]
    every = [name for _finding, some in alike for name in some]
    text = f"{', '.join(ranges(names))}: {first.found}; the like for {len(every) - len(names)} more"
    return Told(replace(first, found=text), tuple(every))


# --- a device


def _looked_at(
    device: Device, guests: Mapping[str, Guest], by_uuid: Mapping[str, str], noted: Mapping[str, str] | None
) -> Device:
    device = replace(device, guest=device.guest or by_uuid.get(device.uuid, ""))
    state = _state(device)
    refusals = [_levelled(one) for one in device.refusals]
    found = refusals + list(_of_paths(device))
    if noted is not None:
        found.append(_of_journal(noted))
    if state == EMPTY:
        found = list(_of_paths(device)) if device.kept_driver else []
    elif is_passed(device):
        found += [*_of_guest(device, guests, by_uuid), *_of_boot(device)]
    elif not device.driver:
        found.append(_finding("not-bound", f"subchannel {device.subchannel} has no driver", "Bind it to io_subchannel"))
    found.sort(key=lambda one: LEVELS.index(one.level))
    return replace(device, state=state, findings=tuple(found))


def _finding(id_: str, found: str, next_step: str) -> Finding:
    return Finding(id_, TABLE[id_][0], found, next_step)


def _levelled(refusal: Finding) -> Finding:
    return replace(refusal, level=REFUSAL_LEVELS.get(refusal.id, NOTE))


def _state(device: Device) -> str:
    if not device.number:
        return EMPTY
    if is_passed(device):
        if not device.uuid:
            return BARE
        return UNKNOWN if device.in_use is None else GUEST if device.in_use else IDLE
    if device.passable:
        return FREE
    ids = {refusal.id for refusal in device.refusals}
    return NEVER if ids & NOT_POSSIBLE else HOST if ids & USED_BY_HOST else HELD


def _of_paths(device: Device) -> Iterator[Finding]:
    down = [path for path in device.paths if path.down]
    if not down:
        return
    text = ", ".join(f"{path.chpid} {path.down}" for path in down)
    if len(down) == len(device.paths):
        yield _finding("no-path", f"no channel path can be used: {text}", "Vary one on (chchp -v 1), see lschp")
    else:
        found = f"{len(device.paths) - len(down)} of {len(device.paths)} channel paths can be used: {text}"
        yield _finding("path-down", found, "See lschp; chchp -v 1 varies a path on, -c 1 configures it")


def _of_journal(noted: Mapping[str, str]) -> Finding:
    guest, where = noted.get("guest", ""), noted.get("noted", "")
    whose = f"guest {guest}" if guest else "a guest"
    if noted.get("state") == MOVED:
        found = f"the journal notes it on subchannel {where}, it is on {noted.get('subchannel', '')}"
        return _finding("noted-elsewhere", found, "Run the passthrough again: it brings the journal up to date")
    if noted.get("state") == BACK:
        found = f"it was passed to {whose}, from subchannel {where}, and the host has it again"
        return _finding("noted-not-passed", found, "Run the passthrough again, or give it back (state: absent)")
    if noted.get("state") == LEFT:
        found = f"the host had it online; it came back from {whose} (subchannel {where}) offline, for another system"
        return _finding("left-offline", found, "Set it online (chccwdev -e) once no other system uses it")
    found = f"{noted.get('device', '')} was passed to {whose}, from subchannel {where}, and the host does not have it"
    return _finding(
        "noted-not-there", found, "Look for it with lscss -a and in dmesg, and at the channel paths (lschp)"
    )


def _of_guest(device: Device, guests: Mapping[str, Guest], by_uuid: Mapping[str, str]) -> Iterator[Finding]:
    if not device.uuid:
        found = f"subchannel {device.subchannel} is bound to vfio_ccw and has no mediated device"
        yield _finding("without-mdev", found, "Run the passthrough: it makes it")
        return
    configured = by_uuid.get(device.uuid, "")
    if configured and configured != device.guest:
        found = f"the journal notes guest {device.guest}, the configuration of {configured} has it"
        yield _finding("other-config", found, "Take it out of the configuration of one of them")
    guest = guests.get(device.guest)
    if guest is None and device.in_use is False:
        found = "no guest is noted for it, and no configuration of a guest on this host has it"
        yield _finding("no-guest", found, "Name its guest in the passthrough, or give it back (state: absent)")
    elif guest is not None and guest.running is None and device.in_use is False:
        found = f"nobody has it open, and whether guest {guest.name} runs is not known"
        yield _finding("not-in-use", found, "Start the guest")
    elif guest is not None and guest.running is False and not device.in_use:
        yield _finding("guest-off", f"guest {guest.name} does not run", "Start the guest")
    elif guest is not None and guest.running and device.in_use is False:
        found = f"guest {guest.name} runs and does not have it open"
        yield _finding("not-opened", found, "Restart the guest, or plug the device in")


def _of_boot(device: Device) -> Iterator[Finding]:
    driver, mdev = device.kept_driver == VFIO_CCW, bool(device.uuid) and device.uuid in device.kept_mdevs
    if driver and mdev:
        yield from (_levelled(one) for one in device.boot_refusals)
    elif driver or mdev:
        has, lacks = ("driverctl", "mdevctl") if driver else ("mdevctl", "driverctl")
        found = f"{has} sets it up at boot and {lacks} does not"
        yield _finding("half-kept", found, "Run the passthrough with persistent: true")
    elif device.uuid:
        yield _finding("not-kept", "a restart of the host ends it", "persistent: true makes it last")


# --- the host


def _all_guests(host: Host) -> dict[str, Guest]:
    """Those that the host has a configuration for, and those that the journal alone names."""
    noted = {device.guest: Guest(device.guest) for device in host.devices if device.guest}
    return {**noted, **{guest.name: guest for guest in host.guests}}


def _of_host(raw: Raw, devices: Sequence[Device]) -> Iterator[Finding]:
    if any(device.state == UNKNOWN for device in devices):
        found = "which guest has a device, and whether it is in use, is not known"
        yield _finding("not-root", found, "Run css_info as root (become: true)")
    there = {device.number for device in devices}
    yield from (_of_journal({**one, "state": GONE}) for one in raw.not_as_noted if one.get("device") not in there)
    for path in raw.host.paths:
        if not path.usable:
            off = not path.online
            found = f"channel path {path.chpid} is {'varied off' if off else path.configured}"
            yield _finding("chpid-down", found, f"chchp {'-v' if off else '-c'} 1 0.{path.chpid}")
    made = {device.uuid for device in devices}
    for guest in raw.host.guests:
        lacking = [uuid for uuid in guest.uuids if uuid not in made]
        if lacking:
            found = (
                f"the configuration of guest {guest.name} names mediated devices that are not there: {_few(lacking)}"
            )
            yield _finding("no-such-mdev", found, "Run the passthrough before the guest is started")
    yield from _of_definitions(raw)


def _few(uuids: Sequence[str]) -> str:
    return ", ".join(uuids[:FEW]) + (f" and {len(uuids) - FEW} more" if len(uuids) > FEW else "")


def _of_definitions(raw: Raw) -> Iterator[Finding]:
    noted = {one.get("noted"): one.get("device", "") for one in raw.not_as_noted}
    for one in raw.definitions:
        parts = [f"driverctl has {one.driver} for it"] if one.driver else []
        parts += [f"mdevctl has {', '.join(one.mdevs)}"] if one.mdevs else []
        ends = [f"driverctl -b css unset-override {one.subchannel}"] if one.driver else []
        ends += [f"mdevctl undefine -u {uuid} -p {one.subchannel}" for uuid in one.mdevs]
        if one.subchannel in noted:
            ends = [f"The journal notes {noted[one.subchannel]} there: the next passthrough of that takes it along"]
        yield _finding("no-device", f"subchannel {one.subchannel} has no device: {', '.join(parts)}", "; ".join(ends))

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where what stands in the drawing of a host: boxes in five columns, and the lines between them. Pure.

Devices are drawn together as far as is needed for the drawing to stay one that can be read, however many there are.
"""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ._report_boxes import (
    BETWEEN,
    BETWEEN_UNITS,
    DEVICES,
    GUESTS,
    HEAD,
    HEIGHT,
    LEFT,
    MDEVS,
    UNITS,
    WIDE,
    WIDTHS,
    Box,
    Line,
    Part,
    mean,
    plural,
    several,
    short,
    span,
    spread,
)
from ._report_model import (
    EMPTY,
    GUEST,
    LEVELS,
    STATE_NAMES,
    STATES,
    Device,
    Guest,
    Host,
    is_passed,
    order,
)
from ._report_paths import path_boxes, path_lines

MOST = 28
"""Boxes of devices up to which a drawing is taken as one that can be read."""
MOST_GUESTS = 20


@dataclass(frozen=True)
class Layout:
    boxes: tuple[Box, ...] = ()
    lines: tuple[Line, ...] = ()
    height: float = HEAD
    merged: bool = False
    """Whether devices are together that differ in more than their numbers."""


def layout(host: Host) -> Layout:
    devices = sorted((one for one in host.devices if one.state != EMPTY), key=lambda one: order(one.name))
    if not devices:
        return Layout()
    level, parts = _parts(devices)
    boxes, lines = _place(host, parts)
    bottom = max(box.y + box.height for box in boxes)
    return Layout(tuple(boxes), tuple(lines), bottom + LEFT, merged=level > 0)


# --- what is drawn as one

Key = Callable[[Device, str], t.Tuple[t.Any, ...]]
KEYS: tuple[Key, ...] = (
    lambda one, unit: ((unit, one.chpids), one.state, one.guest, one.level, one.refusals[:1] and one.refusals[0].id),
    lambda one, unit: ((unit, one.chpids), one.state, one.guest),
    lambda one, unit: ((unit, one.chpids), one.state),
    lambda one, unit: ((unit,), one.state),
)
"""From everything apart to few boxes: the first is the control unit."""


def _parts(devices: Sequence[Device]) -> tuple[int, list[Part]]:
    units = _units(devices)
    found: list[Part] = []
    for level, key in enumerate(KEYS):
        alike: dict[tuple[t.Any, ...], Part] = {}
        for device, unit in zip(devices, units):
            made = key(device, unit)
            alike.setdefault(made, Part(made[0])).devices.append(device)
        found = list(alike.values())
        if len(found) <= MOST:
            return level, _by_unit(found)
    return len(KEYS) - 1, _by_unit(found)


def _units(devices: Sequence[Device]) -> list[str]:
    """The type of the control unit of each. vfio_ccw does not show it: then it is that of the device before, or behind,
    which has the same channel paths.
    """
    found: list[str] = []
    for step in (devices, devices[::-1]):
        last: dict[tuple[str, ...], str] = {}
        types = []
        for device in step:
            if device.control_unit not in ("", "n/a"):
                last[device.chpids] = device.control_unit
            types.append(last.get(device.chpids, "") if is_passed(device) else device.control_unit)
        found = [first or then for first, then in zip(found, types[::-1])] if found else types
    return found


def _by_unit(parts: list[Part]) -> list[Part]:
    """In the order of their devices, those of a control unit together."""
    place: dict[tuple[t.Any, ...], int] = {}
    for number, part in enumerate(parts):
        place.setdefault(part.unit, number)
    return sorted(parts, key=lambda part: place[part.unit])


# --- where it stands


def _place(host: Host, parts: list[Part]) -> tuple[list[Box], list[Line]]:
    rows, y, last = [], float(HEAD), None
    for part in parts:
        y += BETWEEN_UNITS if last not in (None, part.unit) else 0
        rows.append((part, _device_box(part).at(y)))
        y, last = y + HEIGHT + BETWEEN, part.unit
    units = _unit_boxes(rows)
    lines = [Line(units[part.unit], box, box.state) for part, box in rows]
    paths = path_boxes(host, parts, units)
    lines += path_lines(parts, paths, units)
    mdevs = [(part, _mdev_box(part, box)) for part, box in rows if part.passed]
    by_key = {box.key: box for _part, box in rows}
    lines += [Line(by_key[mdev.key], mdev, mdev.state) for _part, mdev in mdevs]
    guests, guest_lines = _guest_boxes(host, mdevs)
    boxes = [
        *dict.fromkeys(paths.values()),
        *units.values(),
        *(box for _part, box in rows),
        *(box for _part, box in mdevs),
        *guests,
    ]
    return boxes, lines + guest_lines


def _worst(devices: Iterable[Device]) -> str:
    levels = {device.level for device in devices}
    return next((level for level in LEVELS if level in levels), "")


def _states(devices: Sequence[Device]) -> str:
    counts = [(state, sum(one.state == state for one in devices)) for state in STATES]
    return ", ".join(f"{count} {STATE_NAMES[state]}" for state, count in counts if count)


def _device_box(part: Part) -> Box:
    first, names = part.devices[0], [device.name for device in part.devices]
    guests = part.guests
    said = _why(first) if len(names) == 1 else f"{len(names)} {STATE_NAMES[first.state]}"
    if len(names) == 1 and first.state == GUEST and guests:
        said = f"in guest {guests[0]}"
    lines = (span(names, WIDTHS[DEVICES] - 56), short(said, WIDTHS[DEVICES] - 38))
    key = ("devices", part.unit, first.state, first.name)
    title = f"{several(names)}: {_states(part.devices)}"
    return Box(DEVICES, key, lines, first.state, _worst(part.devices), title, tuple(part.devices))


def _why(device: Device) -> str:
    """The state, with the reason where there is one."""
    text = STATE_NAMES[device.state]
    refusal = device.refusals[0].id if device.refusals and not is_passed(device) else ""
    return f"{text}: {refusal}" if refusal else text


def _unit_boxes(rows: Sequence[tuple[Part, Box]]) -> dict[tuple[t.Any, ...], Box]:
    below: dict[tuple[t.Any, ...], list[tuple[Part, Box]]] = {}
    for part, box in rows:
        below.setdefault(part.unit, []).append((part, box))
    found = {}
    for unit, mine in below.items():
        devices = [device for part, _box in mine for device in part.devices]
        types = sorted({device.type for device in devices if device.type not in ("", "n/a")})
        name = unit[0] if unit[0] not in ("", "n/a") else "type not known"
        subchannels = [device.subchannel for device in devices]
        said = plural(len(subchannels), "subchannel")
        title = f"Control unit {name}, devices {', '.join(types) or 'of no known type'}, {said}: " + several(
            subchannels
        )
        middle = (mine[0][1].middle + mine[-1][1].middle) / 2
        box = Box(UNITS, ("unit", unit), (short(name, 150, WIDE), short(said, 150)), "unit", "", title, tuple(devices))
        found[unit] = box.at(middle - HEIGHT / 2)
    return found


def _mdev_box(part: Part, beside: Box) -> Box:
    devices = [device for device in part.devices if device.uuid]
    first, seen = devices[0], [device.devno for device in devices if device.devno]
    name = f"{first.uuid[:8]}\u2026" if len(devices) == 1 else plural(len(devices), "mediated device")
    where = f"as {span(seen, WIDTHS[MDEVS] - 50)}" if seen else "place in the guest not noted"
    title = f"Mediated device {first.uuid}" if len(devices) == 1 else f"{len(devices)} mediated devices"
    title += f", in the guest {several(seen)}" if seen else ""
    box = Box(MDEVS, beside.key, (name, short(where, WIDTHS[MDEVS] - 16)), first.state, "", title, tuple(devices))
    return box.at(beside.y)


def _guest_boxes(host: Host, mdevs: Sequence[tuple[Part, Box]]) -> tuple[list[Box], list[Line]]:
    """Each guest that has a device, or all that run and all that do not as one, when they are many."""
    known = {guest.name: guest for guest in host.guests}
    names = sorted({name for part, _box in mdevs for name in part.guests})
    apart = len(names) <= MOST_GUESTS
    of = {name: name if apart else f"guests, {_running(known.get(name))}" for name in names}
    wanted: dict[str, list[float]] = {}
    for part, mdev in mdevs:
        for node in sorted({of[name] for name in part.guests}):
            wanted.setdefault(node, []).append(mdev.middle)
    boxes = []
    for node in sorted(wanted):
        mine = [name for name in names if of[name] == node]
        boxes.append((_guest_box(node, mine, known), mean(wanted[node])))
    placed = {box.key: box for box in spread(boxes)}
    lines = [
        Line(mdev, placed["guest", node], mdev.state, mdev.state != GUEST)
        for part, mdev in mdevs
        for node in sorted({of[name] for name in part.guests})
    ]
    return list(placed.values()), lines


def _running(guest: Guest | None) -> str:
    if guest is None or guest.running is None:
        return "state not known"
    return "running" if guest.running else "not running"


def _guest_box(node: str, names: Sequence[str], known: Mapping[str, Guest]) -> Box:
    guest = known.get(names[0])
    running = _running(guest)
    state = {"running": "on", "not running": "off"}.get(running, "none")
    width = WIDTHS[GUESTS] - 16
    if len(names) > 1:
        title = f"{', '.join(names)}: {running}"
        return Box(GUESTS, ("guest", node), (f"{len(names)} guests", running), state, "", title)
    said = running + (f", {guest.hypervisor}" if guest is not None and guest.hypervisor else "")
    lines = (short(names[0], width, WIDE), short(said, width))
    return Box(GUESTS, ("guest", node), lines, state, "", f"{names[0]}: {said}")

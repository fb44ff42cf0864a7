# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices chosen by a JMESPath expression over what css_info found, on the controller, before the module runs."""

from __future__ import annotations

import typing as t

from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BadName, BusId, GuestDevno
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.host._ranges import counted

try:
    import jmespath

    JMESPATH_ERROR: ImportError | None = None
except ImportError as exc:
    JMESPATH_ERROR = exc


class SelectError(Exception):
    """An expression that cannot be evaluated, or that does not result in devices."""


def select(expression: str, subchannels: list[dict[str, t.Any]]) -> list[BusId]:
    """The devices that an expression results in, in order. ``subchannels``: css_info's. Raises SelectError."""
    if JMESPATH_ERROR is not None:
        raise SelectError(
            "select needs the Python package jmespath on the controller, which is not there "
            f"({JMESPATH_ERROR}). Install it for the Python that runs ansible: pip install jmespath"
        )
    try:
        found = jmespath.search(expression, [one for one in subchannels if one["device"]])
    except jmespath.exceptions.JMESPathError as exc:
        raise SelectError(f"select {expression!r} is no JMESPath expression for these devices: {exc}") from exc
    entries = found if isinstance(found, list) else [found]
    return sorted({_device(expression, entry) for entry in entries if entry is not None})


def _device(expression: str, entry: t.Any) -> BusId:
    name = entry.get("device") if isinstance(entry, dict) else entry
    try:
        return BusId.parse(str(name))
    except BadName as exc:
        raise SelectError(
            f"select {expression!r} results in {str(entry)[:80]!r}, expected device numbers, or entries that have them"
        ) from exc


def expand(item: dict[str, t.Any], css: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """One item for each device that an item's ``select`` matches. Raises SelectError.

    That none matches is an error unless they are to be the host's: a second run finds them there.
    """
    devices = select(item["select"], css["subchannels"])
    if not devices and item.get("state") != "absent":
        raise SelectError(f"select {item['select']!r} matches none of the host's devices. Look at them with css_info")
    if item.get("uuid"):
        raise SelectError(f"select {item['select']!r}: uuid {item['uuid']} is given to a whole selection; leave it out")
    rest = {name: value for name, value in item.items() if name != "select"}
    places = _places(devices, item, css) if item.get("devno") else {}
    return [
        {**rest, "device": str(device), **({"devno": str(places[device])} if device in places else {})}
        for device in devices
    ]


def _places(devices: list[BusId], item: dict[str, t.Any], css: dict[str, t.Any]) -> dict[BusId, GuestDevno]:
    """Where the guest sees each: counted up from ``devno``, and those that it has already stay where they are."""
    has = {
        BusId.parse(one["device"]): GuestDevno.parse(one["devno"])
        for one in css["passed_through"]
        if one["guest"] and one["guest"] == item.get("guest") and one["devno"]
    }
    places = {device: has[device] for device in devices if device in has}
    taken, steps = set(has.values()), 0
    try:
        start = GuestDevno.parse(item["devno"])
        for device in devices:
            if device in places:
                continue
            while counted(start, steps) in taken:
                steps += 1
            places[device] = counted(start, steps)
            steps += 1
    except BadName as exc:
        raise SelectError(f"select {item['select']!r}: devno {exc.found}: expected {exc.expected}") from exc
    return places

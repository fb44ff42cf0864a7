# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of a host's devices: a row for all that are alike, and their numbers as one text in it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from ._report_boxes import plural
from ._report_markup import Child, element
from ._report_model import PASSED, Device, Group, Host, ranges
from ._report_parts import Options, code, icon, id_link, some, state_name

FEW_RANGES = 3
HEADS = ("State", "Devices", "Control unit and driver", "Channel paths", "Guest", "Found")


def table(host: Host, ids: str, mine: Sequence[Group], options: Options) -> Element:
    head = element("tr", {}, *(element("th", {"scope": "col"}, name) for name in HEADS))
    rows = [_row(f"{ids}-{place}", group, options) for place, group in enumerate(mine)]
    caption = element("caption", {"class": "hidden"}, f"Devices of {host.name}")
    body = element("tbody", {}, *rows)
    return element("table", {"class": "devices"}, caption, element("thead", {}, head), body)


def _row(id_: str, group: Group, options: Options) -> Element:
    one = group.first
    levels = sorted({finding.level for device in group.devices for finding in device.findings})
    attributes = {
        "id": id_,
        "class": one.state,
        "data-state": one.state,
        "data-level": " ".join(levels),
        "data-guest": one.guest,
        "data-unit": one.control_unit or "not known",
        "data-paths": " ".join(one.chpids) or "none",
        "data-count": str(len(group.devices)),
    }
    cells: list[list[Child]] = [
        [state_name(one.state), _planned(group)],
        _names(group),
        _kind(one),
        _path_cell(one),
        _guest_cell(group),
        [_found(group, options)],
    ]
    return element("tr", attributes, *(element("td", {"data-head": head}, *cell) for head, cell in zip(HEADS, cells)))


def _planned(group: Group) -> Element | None:
    """That something would be done to them; what, is said above."""
    return element("small", {}, f"{plural(len(group.steps), 'step')} planned") if group.steps else None


def _names(group: Group) -> list[Child]:
    one, found = group.first, group.ranges
    if len(group.devices) == 1:
        what = f"subchannel {one.subchannel}" if one.number else "subchannel without device"
        disks = ", ".join(one.disks)
        return [code(one.name), element("small", {}, what + (f", {disks}" if disks else ""))]
    few = len(found) <= FEW_RANGES
    names = ", ".join(found) if few else f"{one.name} \u2026 {group.devices[-1].name}"
    summary = element("summary", {}, f"{len(group.devices)} devices")
    lines = "\n".join(_line(device) for device in group.devices)
    return [
        code(names),
        None if few else element("small", {}, f"not all of these: {len(found)} ranges"),
        element("details", {}, summary, element("pre", {}, lines)),
    ]


def _line(device: Device) -> str:
    """A device of many, as a line."""
    parts = [device.name, device.subchannel if device.number else "", device.uuid]
    parts += [f"as {device.devno}"] if device.devno else []
    parts += [*device.disks, *(finding.found for finding in device.findings if finding.refusal)]
    return "  ".join(part for part in parts if part)


def _kind(one: Device) -> list[Child]:
    if one.state in PASSED:
        return [code(one.driver), element("small", {}, "control unit not visible")]
    types = [kind for kind in (one.control_unit, one.type) if kind not in ("", "n/a")]
    driver = f"{one.ccw_driver}, {'online' if one.online else 'offline'}" if one.ccw_driver else ""
    below = driver or (f"subchannel: {one.driver}" if one.driver else "no driver")
    return [" / ".join(types), element("small", {}, below)]


def _path_cell(one: Device) -> list[Child]:
    if not one.paths:
        return []
    cells: list[Child] = []
    for path in one.paths:
        name = element("s", {}, path.chpid) if path.down else path.chpid
        cells += [element("code", {"title": path.down or None}, name), " "]
    down = sorted({path.down for path in one.paths if path.down})
    return [*cells, element("small", {}, ", ".join(down))] if down else cells


def _guest_cell(group: Group) -> list[Child]:
    one = group.first
    if not one.uuid:
        return []
    name = one.guest or "no guest noted"
    if len(group.devices) == 1:
        where = f"as {one.devno}" if one.devno else ""
        return [element("b", {}, name), element("small", {}, where), element("code", {"class": "uuid"}, one.uuid)]
    seen = [device.devno for device in group.devices if device.devno]
    return [element("b", {}, name), element("small", {}, f"as {some(ranges(seen))}" if seen else "")]


def _found(group: Group, options: Options) -> Element | None:
    """What was found of the devices, once for all where it is the same."""
    made = []
    for place, finding in enumerate(group.first.findings):
        same = all(device.findings[place] == finding for device in group.devices)
        text = finding.found if same else f"{group.first.name}: {finding.found}; the others: see the list"
        then = element("div", {"class": "then"}, f"{finding.next_step}.") if finding.next_step and same else None
        words = element("div", {}, text, " ", id_link(finding, options), then)
        made.append(element("li", {"class": finding.level}, icon(f"l-{finding.level}"), words))
    return element("ul", {"class": "findings"}, *made) if made else None

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The channel paths of the drawing: a box for each, or for those that follow each other, where they are many. Pure."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence

from ._report_boxes import PATHS, Box, Line, Part, mean, plural, spread
from ._report_model import ChannelPath, Host

MOST_PATHS = 20
"""Up to which each has a box of its own."""


def path_boxes(host: Host, parts: Sequence[Part], units: Mapping[t.Any, Box]) -> dict[str, Box]:
    """CHPID to its box, which others may share that are in the same state and lead to the same control units."""
    known = {path.chpid: path for path in host.paths}
    wanted: dict[str, list[t.Any]] = {}
    for part in parts:
        for chpid in sorted({chpid for device in part.devices for chpid in device.chpids}):
            if part.unit not in wanted.setdefault(chpid, []):
                wanted[chpid].append(part.unit)
    runs = _runs(wanted, known) if len(wanted) > MOST_PATHS else [[chpid] for chpid in sorted(wanted)]
    # ties in the order of the numbers, whatever the order of the devices
    boxes = [(_box(run, known.get(run[0])), mean(units[unit].middle for unit in wanted[run[0]])) for run in runs]
    placed = {box.key: box for box in spread(boxes)}
    return {chpid: placed["path", run[0]] for run in runs for chpid in run}


def _runs(wanted: Mapping[str, list[t.Any]], known: Mapping[str, ChannelPath]) -> list[list[str]]:
    found: list[list[str]] = []
    for chpid in sorted(wanted):
        last = found[-1][-1] if found else ""
        alike = bool(last) and wanted[last] == wanted[chpid] and _state(known.get(last)) == _state(known.get(chpid))
        if alike and _follows(last, chpid):
            found[-1].append(chpid)
        else:
            found.append([chpid])
    return found


def _follows(one: str, other: str) -> bool:
    try:
        return int(other, 16) == int(one, 16) + 1
    except ValueError:
        return False


def _state(path: ChannelPath | None) -> str:
    if path is None:
        return ""
    return "online" if path.usable else "varied off" if not path.online else path.configured


def _box(run: Sequence[str], path: ChannelPath | None) -> Box:
    said, many = _state(path), len(run) > 1
    name = f"{run[0]}-{run[-1]}" if many else run[0]
    kind = f", type {path.type}" if path is not None and path.type and not many else ""
    title = f"Channel path{'s' if many else ''} {name}: {said or 'state not known'}{kind}"
    on = path is None or path.usable
    shown = ("" if path is None else "online" if on else "off") if many else said
    return Box(PATHS, ("path", run[0]), (name, shown), "on" if on else "off", "", title)


def path_lines(parts: Sequence[Part], paths: Mapping[str, Box], units: Mapping[t.Any, Box]) -> list[Line]:
    """From paths to control units; ``broken`` where none of the subchannels there can be reached."""
    uses: dict[tuple[t.Any, t.Any], list[tuple[str, str]]] = {}
    for part in parts:
        for device in part.devices:
            for path in device.paths:
                uses.setdefault((paths[path.chpid].key, part.unit), []).append((path.chpid, path.down))
    boxes = {box.key: box for box in paths.values()}
    lines = []
    for (key, unit), seen in sorted(uses.items(), key=lambda one: one[1][0]):
        bad = [(chpid, why) for chpid, why in seen if why]
        title = f"{bad[0][0]}: {bad[0][1]}; {len(bad)} of {plural(len(seen), 'use')} like this" if bad else ""
        lines.append(Line(boxes[key], units[unit], "path", len(bad) == len(seen), title))
    return lines

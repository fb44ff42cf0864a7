# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drawing of a host, as SVG: a state is a shape and a word, and a colour besides. Pure."""

from __future__ import annotations

import typing as t
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from ._report_boxes import COLUMNS, DEVICES, GUESTS, HEAD, LEFT, LEFTS, PATHS, WIDE, WIDTH, Box, Line, plural
from ._report_layout import Layout, layout
from ._report_markup import constant, element
from ._report_model import (
    BARE,
    EMPTY,
    FREE,
    GUEST,
    HELD,
    HOST,
    IDLE,
    NEVER,
    STATE_NAMES,
    STATES,
    UNKNOWN,
    Device,
    Host,
)

STYLE = Path(__file__).with_name("report_drawing.css").read_text(encoding="utf-8")

Link = Callable[[Sequence[Device]], t.Optional[str]]

TITLE, BETWEEN_HOSTS = 44, 28
LEGEND = 26


def number(value: float) -> str:
    """A coordinate: as short as it can be said, the same on every machine."""
    return f"{value:.1f}".rstrip("0").rstrip(".")


# --- signs


def sign(state: str, x: float = 7, y: float = 7) -> Element:
    """The shape of a device's state, 12 units wide, around a middle."""
    at = {"cx": number(x), "cy": number(y), "r": "5"}
    ring = element("circle", {**at, "class": "hollow"})
    square = {"x": number(x - 5), "y": number(y - 5), "width": "10", "height": "10"}
    shapes: dict[str, list[Element]] = {
        GUEST: [element("circle", {**at, "r": "6", "class": "solid"})],
        IDLE: [ring, element("path", {"d": f"M{number(x)} {number(y - 5)}a5 5 0 0 1 0 10z", "class": "solid"})],
        UNKNOWN: [ring, element("circle", {**at, "r": "2", "class": "solid"})],
        BARE: [element("circle", {**at, "class": "hollow dotted"})],
        FREE: [ring],
        HOST: [element("rect", {**square, "class": "solid"})],
        HELD: [element("path", {"d": f"M{number(x)} {number(y - 6)}l6 6l-6 6l-6 -6z", "class": "solid"})],
        NEVER: [
            element("rect", {**square, "class": "hollow"}),
            element("path", {"d": f"M{number(x - 5)} {number(y + 5)}l10 -10", "class": "stroke"}),
        ],
        EMPTY: [element("path", {"d": f"M{number(x - 5)} {number(y)}h10", "class": "stroke"})],
    }
    return element("g", {"class": f"sign {state}"}, *shapes[state])


def badge(level: str, x: float = 7, y: float = 7) -> Element:
    """The sign of a finding: a triangle for what wants attention, filled for an error; a small i for a note."""
    if level in ("error", "warning"):
        shape = element("path", {"d": f"M{number(x)} {number(y - 6.5)}l7 12.5h-14z", "class": "body"})
        mark = element("path", {"d": f"M{number(x)} {number(y - 2)}v4.2m0 1.6v.9", "class": "mark"})
        return element("g", {"class": f"badge {level}"}, shape, mark)
    ring = element("circle", {"cx": number(x), "cy": number(y), "r": "6", "class": "body"})
    mark = element("path", {"d": f"M{number(x)} {number(y - 3)}v.9m0 1.8v3.6", "class": "mark"})
    return element("g", {"class": "badge note"}, ring, mark)


# --- one host


def drawing(host: Host, ids: str, link: Link | None = None) -> Element | None:
    """The drawing for a page, None of a host without devices. ``ids`` is what its ids begin with; ``link``: devices to
    where more is said of them.
    """
    made = layout(host)
    if not made.boxes:
        return None
    size = {"viewBox": f"0 0 {number(WIDTH)} {number(made.height)}"}
    return element(
        "svg",
        {"class": "drawing", "role": "group", "aria-labelledby": f"{ids}-t {ids}-d", **size},
        element("title", {"id": f"{ids}-t"}, f"Channel devices of {host.name}"),
        element("desc", {"id": f"{ids}-d"}, described(host)),
        *_content(made, link),
    )


def described(host: Host) -> str:
    """The drawing in words."""
    if host.error:
        return host.error
    counts = [f"{host.count(state)} {STATE_NAMES[state]}" for state in STATES if host.count(state)]
    down = [path.chpid for path in host.paths if not path.usable]
    parts = [
        plural(len(host.paths), "channel path") + (f" (not usable: {', '.join(down)})" if down else ""),
        plural(len(host.devices) - host.count(EMPTY), "device"),
    ]
    return f"{host.name}: {', '.join(parts)}: {', '.join(counts) or 'none'}"


def _content(made: Layout, link: Link | None) -> list[Element]:
    heads = [
        element("text", {"class": "head", "x": number(LEFTS[column]), "y": number(HEAD - 14)}, name)
        for column, name in enumerate(COLUMNS)
        if any(box.column == column for box in made.boxes)
    ]
    lines = element("g", {"class": "lines"}, *(_line(line) for line in made.lines))
    return [*heads, lines, *(_box(box, link) for box in made.boxes)]


def _line(line: Line) -> Element:
    start, end = line.start.x + line.start.width, line.end.x
    y1, y2, bend = line.start.middle, line.end.middle, (end - start) / 2
    along = f"M{number(start)} {number(y1)}C{number(start + bend)} {number(y1)} {number(end - bend)} {number(y2)}"
    return element(
        "path",
        {
            "d": f"{along} {number(end)} {number(y2)}",
            "class": f"line {line.state}" + (" broken" if line.broken else ""),
        },
        element("title", {}, line.title) if line.title else None,
    )


def _box(box: Box, link: Link | None) -> Element:
    radius = box.height / 2 if box.column == PATHS else 3 if box.column != GUESTS else 12
    frame = element(
        "rect",
        {
            "x": number(box.x),
            "y": number(box.y),
            "width": number(box.width),
            "height": number(box.height),
            "rx": number(radius),
            "class": "frame",
        },
    )
    inside = [element("title", {}, box.title), frame, *_words(box)]
    made = element("g", {"class": f"box column{box.column} {box.state}"}, *inside)
    target = link(box.devices) if link is not None and box.column == DEVICES else None
    return made if target is None else element("a", {"href": target}, made)


def _words(box: Box) -> list[Element]:
    name, said = box.lines
    if box.column == PATHS:
        chpid = element("text", {"class": "name", "x": number(box.x + 14), "y": number(box.middle + 4.5)}, name)
        state = element(
            "text", {"class": "said", "x": number(box.x + 27 + WIDE * len(name)), "y": number(box.middle + 4)}, said
        )
        return [chpid, state] if said else [chpid]
    left = box.x + (32 if box.column == DEVICES else 12)
    words = [
        element("text", {"class": "name", "x": number(left), "y": number(box.y + 18)}, name),
        element("text", {"class": "said", "x": number(left), "y": number(box.y + 33.5)}, said),
    ]
    if box.column != DEVICES:
        return words
    words.append(sign(box.state, box.x + 16, box.middle))
    if box.level in ("error", "warning"):
        words.append(badge(box.level, box.x + box.width - 15, box.y + 14))
    return words


# --- a picture by itself


def picture(hosts: Sequence[Host], title: str) -> Element:
    """All hosts below each other, for a file of its own."""
    content, y = [], float(LEFT)
    for host in hosts:
        made = layout(host)
        name = element("text", {"class": "host", "x": number(LEFT), "y": number(y + 18)}, host.name)
        text = host.error or described(host).partition(": ")[2]
        said = element("text", {"class": "said", "x": number(LEFT), "y": number(y + 36)}, text)
        moved = {"transform": f"translate(0 {number(y + TITLE)})"}
        content += [name, said] + ([element("g", moved, *_content(made, None))] if made.boxes else [])
        y += TITLE + (made.height if made.boxes else 0) + BETWEEN_HOSTS
    content.append(_legend(hosts, y))
    y += LEGEND
    size = {"viewBox": f"0 0 {number(WIDTH)} {number(y)}", "width": number(WIDTH), "height": number(y)}
    return element(
        "svg",
        {"xmlns": "http://www.w3.org/2000/svg", "class": "drawing picture", "role": "img", **size},
        element("title", {}, title),
        element("desc", {}, ". ".join(described(host) for host in hosts)),
        constant("style", STYLE),
        element("rect", {"class": "paper", "width": "100%", "height": "100%"}),
        *content,
    )


def _legend(hosts: Sequence[Host], y: float) -> Element:
    """The signs that are there, with their words."""
    x, parts = float(LEFT), []
    for state in STATES:
        if any(host.count(state) for host in hosts) and state != EMPTY:
            parts += [
                sign(state, x + 6, y),
                element("text", {"class": "said", "x": number(x + 18), "y": number(y + 4)}, STATE_NAMES[state]),
            ]
            x += 18 + 6.6 * len(STATE_NAMES[state]) + 26
    return element("g", {"class": "legend"}, *parts)

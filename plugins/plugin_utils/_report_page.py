# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as one page of HTML that needs nothing else: it names no file and no server. Pure.

A row stands for all devices that are alike; their numbers are one text in it. So the page stays small, and what a
browser has to hold does not grow with the devices.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from ._report_boxes import plural
from ._report_drawing import STYLE as DRAWING_STYLE
from ._report_drawing import badge, described, drawing, sign
from ._report_findings import Told, told
from ._report_markup import Child, constant, element
from ._report_model import (
    EMPTY,
    LEVELS,
    NOTE,
    PASSED,
    STATE_NAMES,
    STATES,
    Device,
    Host,
    groups,
    ranges,
)
from ._report_parts import LEVEL_NAMES, Options, code, icon, id_link, levelled, some, state_name
from ._report_plan import NO_PLAN, next_steps
from ._report_rows import table

STYLE = DRAWING_STYLE + Path(__file__).with_name("report_page.css").read_text(encoding="utf-8")
SCRIPT = Path(__file__).with_name("report_page.js").read_text(encoding="utf-8")

GROUPINGS = {"": "device number", "unit": "control unit", "paths": "channel paths", "guest": "guest", "state": "state"}
NOTES_OPEN = 4


def page(hosts: Sequence[Host], options: Options) -> Element:
    """The whole page, the same for the same hosts and options."""
    title = options.title or _title(hosts)
    return element(
        "html",
        {"lang": "en"},
        _head(title),
        element(
            "body",
            {"class": "alone" if len(hosts) == 1 else None},
            _signs(),
            element(
                "header",
                {"class": "top"},
                element("h1", {}, title),
                element("p", {"class": "when"}, f"As of {options.at}") if options.at else None,
            ),
            element("main", {}, _overview(hosts), *_controls(hosts), *_sections(hosts, options)),
            _foot(),
            constant("script", SCRIPT),
        ),
    )


def _title(hosts: Sequence[Host]) -> str:
    return f"Channel devices of {hosts[0].name if len(hosts) == 1 else plural(len(hosts), 'host')}"


def _head(title: str) -> Element:
    """The policy lets the page run its own style and script, known by their checksums, and load nothing."""
    policy = "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_checksum(STYLE)}'",
            f"script-src '{_checksum(SCRIPT)}'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    return element(
        "head",
        {},
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "color-scheme", "content": "light dark"}),
        element("meta", {"name": "referrer", "content": "no-referrer"}),
        element("title", {}, title),
        constant("style", STYLE),
    )


def _checksum(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _signs() -> Element:
    """The signs, once, for all rows to use."""
    made = [element("symbol", {"id": f"s-{state}", "viewBox": "0 0 14 14"}, sign(state)) for state in STATES]
    made += [element("symbol", {"id": f"l-{level}", "viewBox": "0 0 14 14"}, badge(level)) for level in LEVELS]
    return element("svg", {"class": "store", "aria-hidden": "true", "width": "0", "height": "0"}, *made)


# --- all hosts


def _overview(hosts: Sequence[Host]) -> Element:
    every = [device for host in hosts for device in host.devices]
    counts = [(state, sum(device.state == state for device in every)) for state in STATES if state != EMPTY]
    passed = sum(device.state in PASSED for device in every)
    running = {(host.name, guest.name) for host in hosts for guest in host.guests if guest.running}
    wanting = sum(host_level(host) in ("error", "warning") for host in hosts)
    facts = [
        (str(len(hosts)), "host" if len(hosts) == 1 else "hosts"),
        (_thousands(sum(count for _state, count in counts)), "devices"),
        (_thousands(passed), "passed to guests"),
        (str(len(running)), "guests running" if len(running) != 1 else "guest running"),
        (str(wanting), "host that wants attention" if wanting == 1 else "hosts that want attention"),
    ]
    if len(hosts) == 1:
        wants = sum(one.finding.level != NOTE for one in _told(hosts[0]))
        facts[-1] = (str(wants), "things that want attention" if wants != 1 else "thing that wants attention")
    tiles = [
        element("div", {"class": "fact"}, element("b", {}, value), element("span", {}, text)) for value, text in facts
    ]
    keys = [
        element("li", {}, state_name(state), " ", element("b", {}, _thousands(count)))
        for state, count in counts
        if count
    ]
    return element(
        "section",
        {"class": "overview", "aria-label": "Overview"},
        element("div", {"class": "facts"}, *tiles),
        _bar(counts),
        element("ul", {"class": "legend"}, *keys),
        _fleet(hosts) if len(hosts) > 1 else None,
        None if any(host.plan for host in hosts) else element("p", {"class": "sum plans"}, NO_PLAN),
    )


def _thousands(count: int) -> str:
    return f"{count:,}".replace(",", "\u202f") if count >= 10000 else str(count)


def _bar(counts: Sequence[tuple[str, int]]) -> Element:
    """Shares of the states, as a bar."""
    total, x, parts = sum(count for _state, count in counts) or 1, 0.0, []
    for state, count in counts:
        width = 100 * count / total
        if count:
            place = {"x": f"{x:.2f}%", "width": f"{width:.2f}%", "height": "100%", "class": state}
            parts.append(element("rect", place, element("title", {}, f"{STATE_NAMES[state]}: {count}")))
        x += width
    words = ", ".join(f"{count} {STATE_NAMES[state]}" for state, count in counts if count)
    return element("svg", {"class": "bar", "role": "img", "aria-label": words or "no devices"}, *parts)


def host_level(host: Host) -> str:
    """The worst that is known of a host, "" for nothing."""
    if host.error:
        return "error"
    levels = {finding.level for finding in host.findings} | {device.level for device in host.devices}
    return next((level for level in LEVELS if level in levels), "")


def _fleet(hosts: Sequence[Host]) -> Element:
    head = element(
        "tr",
        {},
        *(element("th", {"scope": "col"}, name) for name in ("Host", "Devices", "In guests", "Free", "Guests", "")),
    )
    rows = [_fleet_row(number, host) for number, host in enumerate(hosts)]
    return element(
        "div",
        {"class": "scroll", "role": "region", "aria-label": "Hosts", "tabindex": "0"},
        element("table", {"class": "fleet"}, element("thead", {}, head), element("tbody", {}, *rows)),
    )


def _fleet_row(number: int, host: Host) -> Element:
    level = host_level(host)
    name = element("th", {"scope": "row"}, element("a", {"href": f"#h{number}"}, host.name))
    if host.error:
        return element("tr", {}, name, element("td", {"colspan": "5"}, levelled("error", host.error)))
    counts = [(state, host.count(state)) for state in STATES if state != EMPTY]
    wants = sum(one.finding.level != NOTE for one in _told(host))
    return element(
        "tr",
        {},
        name,
        element("td", {}, _bar(counts), str(len(host.devices) - host.count(EMPTY))),
        element("td", {}, str(host.count(*PASSED))),
        element("td", {}, str(host.count("free"))),
        element("td", {}, _guests_in_words(host)),
        element("td", {}, levelled(level, f"{wants} to look at") if wants else "all well"),
    )


def _guests_in_words(host: Host) -> str:
    running = sum(guest.running is True for guest in host.guests)
    return f"{running} of {len(host.guests)} running" if host.guests else "none"


# --- what the script needs; hidden without it


def _controls(hosts: Sequence[Host]) -> list[Element]:
    every = [device for host in hosts for device in host.devices]
    chips = [
        _chip("state", state, icon(f"s-{state}"), STATE_NAMES[state], sum(one.state == state for one in every))
        for state in STATES
        if any(one.state == state for one in every)
    ]
    chips += [
        _chip("level", level, icon(f"l-{level}"), LEVEL_NAMES[level], sum(_has(one, level) for one in every))
        for level in ("error", "warning")
        if any(_has(one, level) for one in every)
    ]
    guests = sorted({device.guest for device in every if device.guest})
    words = {"type": "search", "id": "words", "autocomplete": "off", "spellcheck": "false"}
    words["placeholder"] = "0.0.8042, UUID, guest, CHPID, mounted \u2026"
    options = [element("option", {"value": key}, text) for key, text in GROUPINGS.items()]
    controls = element(
        "div",
        {"class": "controls", "id": "controls", "hidden": "hidden", "role": "search"},
        element("label", {"class": "find"}, element("span", {}, "Find"), element("input", words)),
        element("div", {"class": "chips", "role": "group", "aria-label": "Show only"}, *chips),
        _select("guest", "Guest", [element("option", {"value": ""}, "all"), *map(_option, guests)]) if guests else None,
        _select("order", "Group by", options),
        element("output", {"id": "shown", "aria-live": "polite"}),
        element("button", {"type": "button", "id": "reset", "class": "plain"}, "Show all"),
    )
    return [controls]


def _has(device: Device, level: str) -> bool:
    return any(finding.level == level for finding in device.findings)


def _option(text: str) -> Element:
    return element("option", {"value": text}, text)


def _select(id_: str, label: str, options: Iterable[Element]) -> Element:
    return element("label", {}, element("span", {}, label), element("select", {"id": id_}, *options))


def _chip(kind: str, value: str, icon: Element, text: str, count: int) -> Element:
    attributes = {"type": "button", "class": f"chip {value}", "aria-pressed": "false", f"data-{kind}": value}
    return element("button", attributes, icon, text, element("b", {}, str(count)))


# --- a host


def _sections(hosts: Sequence[Host], options: Options) -> list[Element]:
    return [_host(number, host, options, len(hosts) == 1) for number, host in enumerate(hosts)]


def _host(number: int, host: Host, options: Options, alone: bool) -> Element:
    ids = f"h{number}"
    head = element("h2", {"class": "hidden" if alone else None}, host.name)
    if host.error:
        return element(
            "section", {"class": "of-host", "id": ids}, head, element("p", {}, levelled("error", host.error))
        )
    mine = groups(host)
    row_of = {device: f"{ids}-{place}" for place, group in enumerate(mine) for device in group.devices}
    picture = drawing(host, ids, lambda devices: f"#{row_of[devices[0]]}" if devices else None)
    region = {"class": "scroll", "role": "region", "aria-label": f"Drawing of {host.name}", "tabindex": "0"}
    return element(
        "section",
        {"class": "of-host", "id": ids},
        head,
        element(
            "div",
            {"class": "whole"},
            element("p", {"class": "sum"}, _said_of(host)),
            element("figure", {}, element("div", region, picture)) if picture is not None else None,
            *_attention(_told(host), options),
            *next_steps(host.plan),
            element("h3", {}, "Devices"),
        ),
        table(host, ids, mine, options),
    )


def _said_of(host: Host) -> str:
    parts = [described(host).partition(": ")[2]]
    parts += [f"{plural(count, 'subchannel')} of type {kind}" for kind, count in host.others]
    if host.count(EMPTY):
        parts.append(f"{plural(host.count(EMPTY), 'subchannel')} without device")
    if host.ignored:
        parts.append(f"ignored by the kernel (cio_ignore): {some(host.ignored)}")
    return "; ".join(parts) + "."


def _told(host: Host) -> list[Told]:
    return told(host.devices, host.findings)


def _attention(every: Sequence[Told], options: Options) -> list[Element]:
    loud = [one for one in every if one.finding.level != NOTE]
    quiet = [one for one in every if one.finding.level == NOTE]
    made = []
    if loud:
        made += [element("h3", {}, "What wants attention"), _list(loud, options)]
    if quiet:
        summary = element("summary", {}, f"Notes: why the others are as they are ({len(quiet)})")
        attributes = {"class": "quiet", "open": "open" if len(quiet) <= NOTES_OPEN else None}
        made.append(element("details", attributes, summary, _list(quiet, options)))
    return made


def _list(every: Sequence[Told], options: Options) -> Element:
    return element("ul", {"class": "findings"}, *(_item(one, options) for one in every))


def _item(one: Told, options: Options) -> Element:
    finding = one.finding
    count = f" ({len(one.devices)} devices): " if len(one.devices) > 1 else ": "
    where: list[Child] = [code(some(ranges(one.devices))), count]
    return element(
        "li",
        {"class": finding.level},
        icon(f"l-{finding.level}"),
        element(
            "div",
            {},
            element("span", {"class": "hidden"}, f"{LEVEL_NAMES[finding.level]}: "),
            *(where if one.devices else []),
            finding.found,
            " ",
            id_link(finding, options),
            element("div", {"class": "then"}, f"{finding.next_step}.") if finding.next_step else None,
        ),
    )


def _foot() -> Element:
    return element(
        "footer",
        {},
        element(
            "p",
            {},
            "Made by the collection zkvm.vfio_ccw from what its module css_info returned on each host. "
            "Nothing was changed. The page is one file and loads nothing.",
        ),
    )

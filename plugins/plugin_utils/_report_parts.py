# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small pieces of the page that are in more than one place of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from ._report_markup import element
from ._report_model import STATE_NAMES, Finding

DOCS = "https://github.com/zkvm/vfio_ccw/blob/main/docs"
LEVEL_NAMES = {"error": "Error", "warning": "Attention", "note": "Note"}
SHOWN_RANGES = 6


@dataclass(frozen=True)
class Options:
    """``at``: when the hosts were looked at, as it is to be written, or "". ``docs``: below which ids lead to."""

    title: str = ""
    at: str = ""
    docs: str = DOCS


def icon(id_: str) -> Element:
    return element("svg", {"class": "icon", "aria-hidden": "true"}, element("use", {"href": f"#{id_}"}))


def state_name(state: str, text: str = "") -> Element:
    return element("span", {"class": f"state {state}"}, icon(f"s-{state}"), text or STATE_NAMES[state])


def code(text: str) -> Element:
    return element("code", {}, text)


def levelled(level: str, text: str) -> Element:
    word = element("span", {"class": "hidden"}, f"{LEVEL_NAMES[level]}: ")
    return element("span", {"class": f"level {level}"}, icon(f"l-{level}"), word, text)


def id_link(finding: Finding, options: Options) -> Element:
    """The id, which leads to the docs."""
    where = "refusals.md" if finding.refusal else "report.md"
    return element(
        "a", {"class": "id", "href": f"{options.docs}/{where}#{finding.id}", "rel": "noreferrer"}, finding.id
    )


def some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN_RANGES} more ranges" if len(names) > SHOWN_RANGES else ""
    return ", ".join(names[:SHOWN_RANGES]) + more

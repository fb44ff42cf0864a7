# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's texts from what tasks returned: what its filters share. Pure."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ._report_drawing import picture
from ._report_findings import examine, told
from ._report_markup import as_html, as_svg
from ._report_model import EMPTY, ERROR, PASSED, WARNING, Host
from ._report_page import page
from ._report_parts import DOCS, Options


class ReportError(Exception):
    """What was given is no hosts with their answers."""


def report_html(hosts: t.Any, plans: t.Any = None, title: str = "", at: str = "", docs: str = "") -> str:
    """The page. ``hosts``: name to css_info's result; ``plans``: name to passthrough's in check mode.

    Raises ReportError.
    """
    options = Options(str(title or ""), str(at or ""), str(docs or DOCS).rstrip("/"))
    if not options.docs.startswith("https://"):
        raise ReportError(f"docs is {options.docs!r}, expected an address that begins with https://")
    return as_html(page(_hosts(hosts, plans), options))


def report_svg(hosts: t.Any, title: str = "") -> str:
    """The picture of all hosts. Raises ReportError."""
    return as_svg(picture(_hosts(hosts, None), str(title or "Channel devices")))


def report_counts(hosts: t.Any) -> dict[str, t.Any]:
    """How much there is, and how much of it wants attention. Raises ReportError.

    What is found of several devices alike counts once, as on the page.
    """
    every = _hosts(hosts, None)
    levels = [one.finding.level for host in every for one in told(host.devices, host.findings)]
    return {
        "hosts": len(every),
        "not_seen": [host.name for host in every if host.error],
        "devices": sum(len(host.devices) - host.count(EMPTY) for host in every),
        "passed": sum(host.count(*PASSED) for host in every),
        "errors": levels.count(ERROR),
        "warnings": levels.count(WARNING),
    }


def _hosts(hosts: t.Any, plans: t.Any) -> list[Host]:
    """In the order of their names, so that the same hosts make the same text."""
    for name, given in (("hosts", hosts), ("plans", plans or {})):
        if not isinstance(given, Mapping):
            raise ReportError(f"{name} is {type(given).__name__}, expected a mapping of a host's name to a result")
    if not hosts:
        raise ReportError("hosts is empty, expected a mapping of a host's name to the result of css_info on it")
    planned = {str(name): plan for name, plan in (plans or {}).items()}
    answers = sorted((str(name), answer) for name, answer in hosts.items())
    return [examine(name, answer, planned.get(name)) for name, answer in answers]

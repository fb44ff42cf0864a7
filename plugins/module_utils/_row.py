# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a row of the table of refusals is, and what many rows say in the same words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

from ._case import Case

Condition = Callable[[Case], bool]
Text = Callable[[Case], str]


@dataclass(frozen=True)
class Row:
    id: str
    when: str
    """The condition in words, for the documentation."""
    condition: Condition
    found: Text
    next_step: Text
    present: bool = True
    """Whether it guards passing a device through."""
    absent: bool = False
    """Whether it guards giving it back."""
    forcible: bool = False
    final: bool = False
    """Whether later rows say nothing once this one holds."""


def say(text: str) -> Text:
    return lambda case: text


def leaving(case: Case) -> bool:
    """The device is still the host's and is to be taken from it."""
    return case.ccw is not None and not case.passed


def control_unit(case: Case) -> str:
    return case.ccw.cutype if case.ccw else ""

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a row of the table of refusals is, and what many rows say in the same words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Generic, TypeVar

from ._case import Case

C_contra = TypeVar("C_contra", contravariant=True)
"""What a row judges."""

Condition = Callable[[Case], bool]
Text = Callable[[Case], str]


@dataclass(frozen=True)
class RowOf(Generic[C_contra]):
    id: str
    when: str
    """The condition in words, for the documentation."""
    condition: Callable[[C_contra], bool]
    found: Callable[[C_contra], str]
    next_step: Callable[[C_contra], str]
    present: bool = True
    """Whether it guards passing a device through."""
    absent: bool = False
    """Whether it guards giving it back."""
    forcible: bool = False
    final: bool = False
    """Whether later rows say nothing once this one holds."""


class Row(RowOf[Case]):
    """A reason not to take a device from the host, or not to give it back."""


def say(text: str) -> Callable[[Any], str]:
    return lambda case: text


def leaving(case: Case) -> bool:
    """The device is still the host's and is to be taken from it."""
    return case.ccw is not None and not case.passed


def control_unit(case: Case) -> str:
    return case.ccw.cutype if case.ccw else ""

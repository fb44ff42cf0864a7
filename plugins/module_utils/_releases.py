# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of a program and what each of them can do: what the tables of QEMU and of libvirt have in common."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

_PLAIN = re.compile(r"(\d+)\.(\d+)(?:\.\d+)*")
_Release = TypeVar("_Release", bound="Release")


class NotPossible(Exception):
    """A program that cannot do what is asked, or a guest that none could run; the text says the rule and a way out."""


@dataclass(frozen=True, order=True)
class Release:
    """A release of the subclass's ``program``. The third number is left out: no rule depends on it."""

    major: int
    minor: int
    program: ClassVar[str] = ""
    says: ClassVar[str] = ""
    """A regular expression for what the program prints: the two numbers are its groups."""

    @classmethod
    def parse(cls: type[_Release], text: str) -> _Release:
        """From ``2.10``, ``2.10.1`` or what the program prints of itself. Raises NotPossible."""
        match = _PLAIN.fullmatch(str(text).strip()) or re.search(cls.says, str(text))
        if match is None:
            raise NotPossible(
                f"{cls.program} version {text!r}: expected two numbers as in 2.12, or what {cls.program} prints of "
                "itself; quote it in YAML, where 2.10 is a number and loses its last digit"
            )
        return cls(int(match.group(1)), int(match.group(2)))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    @property
    def found(self) -> str:
        """For a message. Who writes 2.10 without quotes in YAML has given 2.1."""
        hint = " (quote 2.10 in YAML, or it becomes 2.1)" if (self.major, self.minor) == (2, 1) else ""
        return f"this one is {self}{hint}"


@dataclass(frozen=True)
class Feature:
    """``since`` is the first release that has it, ``gone`` the first that has it no more."""

    id: str
    what: str
    since: Release
    gone: Release | None = None
    instead: str = ""
    """What to use where it is gone."""

    def there(self, release: Release) -> bool:
        return self.since <= release and (self.gone is None or release < self.gone)


def lacking(release: Release, features: Sequence[Feature], wanted: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(who asks, why the release will not do). ``wanted``: feature → who asks for it."""
    known = {feature.id: feature for feature in features}
    for name, who in wanted.items():
        feature = known[name]
        if release < feature.since:
            needs = f"needs {release.program} {feature.since} or newer"
            yield who, f"{feature.what} {needs}, {release.found} [{name}]"
        elif feature.gone is not None and release >= feature.gone:
            gone = f"is gone from {release.program} {feature.gone} on"
            yield who, f"{feature.what} {gone}, this one is {release}; {feature.instead}"

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables that look like misspelt ones of the roles. Ansible takes any name, and the role would go on without it.

A name is taken apart into the role's and the rest. Both may be misspelt, not at once. What is only like a known one in
that it begins with guest_ is somebody else's and left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.common.yaml import yaml_load

Known = Mapping[str, frozenset[str]]
"""The variables of each role, in full."""
FURTHER_FACTS: Known = {"passthrough": frozenset({"passthrough_wanted"})}
"""What a role sets beside its result."""

SHORT = 4
"""Letters up to which a word with another letter is another word: root is not boot."""
ONE_SLIP = 8
"""Letters below which one slip is believed; from here on, two."""
LONG_SLIP = 3
"""Letters that may be wrong in a role's name, at most: passthru."""


@dataclass(frozen=True)
class Doubt:
    """A variable that is probably another one."""

    role: str
    found: str
    meant: str
    sure: bool
    """False where the known one is another role's."""

    def __str__(self) -> str:
        return (
            f"The variable {self.found} is unknown; did you mean {self.meant}? Correct the name, or choose another one "
            "if it is for something else."
        )


def known_variables(roles: Path) -> Known:
    """What the roles in a folder take, by their argument specs, and the facts that each sets. Raises OSError."""
    known = {}
    for path in sorted(roles.glob("*/meta/argument_specs.yml")):
        role = path.parents[1].name
        specs = yaml_load(path.read_text(encoding="utf-8"))["argument_specs"]
        options = {option for entry in specs.values() for option in entry.get("options", {})}
        known[role] = frozenset(options | {f"{role}_result"}) | FURTHER_FACTS.get(role, frozenset())
    return known


def doubts(names: Iterable[str], known: Known) -> list[Doubt]:
    """Those of the names that are probably misspelt variables of the roles, in their order."""
    every = frozenset().union(*known.values())
    roles = sorted(known, key=len, reverse=True)  # guest_device_ before guest_
    found = (_doubt(name, known, roles) for name in names if name not in every)
    return [doubt for doubt in found if doubt]


def _doubt(name: str, known: Known, roles: list[str]) -> Doubt | None:
    head = _misspelt_role(name, known, roles)
    if head:
        return head
    own = [role for role in roles if name.startswith(f"{role}_")]
    for role in own:
        meant = _nearest(name[len(role) + 1 :], role, known)
        if meant:
            return Doubt(role, name, meant, True)
    for role in own:
        for other in roles:
            meant = _nearest(name[len(role) + 1 :], other, known)
            if meant:
                return Doubt(role, name, meant, False)
    return None


def _misspelt_role(name: str, known: Known, roles: list[str]) -> Doubt | None:
    """passtrough_devices. First letter and rest have to be right, or my_passthrough_devices would be one, too."""
    words = name.split("_")
    for count in range(1, len(words)):
        head, rest = "_".join(words[:count]), "_".join(words[count:])
        for role in roles:
            if head[:1] != role[:1] or f"{role}_{rest}" not in known[role]:
                continue
            if distance(head, role) <= min(len(role) // 3, LONG_SLIP):
                return Doubt(role, name, f"{role}_{rest}", True)
    return None


def _nearest(rest: str, role: str, known: Known) -> str:
    """The variable of the role whose rest is near enough, or ""."""
    near = [(distance(rest, name[len(role) + 1 :]), name) for name in sorted(known[role])]
    best = min((pair for pair in near if pair[0] <= _believed(pair[1][len(role) + 1 :])), default=(0, ""))
    return best[1]


def _believed(rest: str) -> int:
    return 1 if len(rest) < ONE_SLIP else 2


def distance(one: str, other: str) -> int:
    """Letters left out, added, exchanged or swapped with their neighbour (optimal string alignment)."""
    exchanged = 2 if min(len(one), len(other)) <= SHORT else 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, above, row = row, before, [i] + [0] * len(other)
        for j, wanted in enumerate(other, 1):
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (0 if letter == wanted else exchanged))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                row[j] = min(row[j], above[j - 2] + 1)
    return row[-1]

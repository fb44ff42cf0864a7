# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded traces: parsed into steps, normalised, compared.

A trace is what a real kernel (or a real tool) answered, command by command: lines ``$ COMMAND`` with what it printed
behind them and ``[rc=N]`` where it failed, listings of directories (``  F``, ``  L``, ``  D`` lines) and headings
(``== TEXT``). The replay prints the same notation, so one parser serves both sides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Step:
    """A command, a listing or a heading, with what followed it."""

    section: str
    title: str
    output: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([f"== {self.section}", self.title, *self.output])


def parse(text: str) -> list[Step]:
    """The steps of a trace. Comment lines at its head (``# …``) are left out."""
    steps: list[Step] = []
    section = ""
    # what `cat` printed of a file without a last newline stands before the next command
    for line in re.sub(r"^}\$ ", "}\n$ ", text, flags=re.MULTILINE).splitlines():
        if not steps and not section and line.startswith("# "):
            continue
        if line.startswith("== "):
            section = line[3:]
            steps.append(Step(section, line, ()))
        elif line.startswith("$ "):
            steps.append(Step(section, line, ()))
        elif re.match(r"  [FLD] ?\d* /", line) and not _is_listing(steps, line):
            steps.append(Step(section, "listing", (line,)))
        elif steps:
            steps[-1] = replace(steps[-1], output=(*steps[-1].output, line))
    return steps


def _is_listing(steps: list[Step], line: str) -> bool:
    """Whether the line goes on with the listing before it: a listing starts with the directory that it lists."""
    if not steps or steps[-1].title != "listing":
        return False
    first = steps[-1].output[0]
    return not (line.startswith("  D ") and not line.startswith(first + "/"))


def commands(text: str) -> list[tuple[str, str]]:
    """(section, command) of each ``$`` line."""
    return [(step.section, step.title[2:]) for step in parse(text) if step.title.startswith("$ ")]


Rule = tuple[str, Callable[[Step], Step]]


def substitute(pattern: str, replacement: str) -> Callable[[Step], Step]:
    """A rule that replaces a pattern in each line of the output."""
    compiled = re.compile(pattern)

    def apply(step: Step) -> Step:
        return replace(step, output=tuple(compiled.sub(replacement, line) for line in step.output))

    return apply


def drop(pattern: str, where: str = "") -> Callable[[Step], Step]:
    """A rule that leaves out the lines that match, in the sections (or commands) that ``where`` matches."""
    compiled, scope = re.compile(pattern), re.compile(where)

    def apply(step: Step) -> Step:
        if not scope.search(f"{step.section}\n{step.title}"):
            return step
        return replace(step, output=tuple(line for line in step.output if not compiled.search(line)))

    return apply


def normalise(steps: Iterable[Step], rules: Iterable[Rule]) -> list[Step]:
    """The steps after all rules, in order."""
    result = list(steps)
    for _reason, rule in rules:
        result = [rule(step) for step in result]
    return result

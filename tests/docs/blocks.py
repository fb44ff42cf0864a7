# SPDX-License-Identifier: GPL-3.0-or-later
"""The code blocks of a page, and what is done with each.

``console``: lines that begin with ``$`` are run, the lines below are what they print; a line ``...`` stands for any
lines, ``...`` in a line for any text, ``(exit status N)`` at the end for a command that fails.
``yaml``, ``python``, ``ini``: a block whose first line is a comment with a file's name becomes that file; yaml has to
be yaml in any case. ``text``: is read, not run. A block that cannot be run here says why in the comment before it:
``<!-- not run: REASON -->``; a page that runs on an emulated host names it: ``<!-- lab: FILE -->``. A page that needs a
real guest in places names a lab with one as well, ``<!-- real lab: FILE -->``, on which all of it is run by ``make
test-real``; what is only run there says why in the comment before it: ``<!-- real guest: REASON -->``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

FILE_NAME = re.compile(r"#\s*([\w./-]+\.(?:yml|yaml|py|ini|cfg))$", re.MULTILINE)
NOT_RUN = re.compile(r"<!--\s*not run:\s*(.+?)\s*-->")
REAL_ONLY = re.compile(r"<!--\s*real guest:\s*(.+?)\s*-->")
REAL_LAB = re.compile(r"<!--\s*real lab:\s*(\S+)\s*-->")
LAB = re.compile(r"<!--\s*lab:\s*(\S+)\s*-->")
EXIT_STATUS = re.compile(r"\(exit status (\d+)\)$")
ANYTHING = "..."


@dataclass(frozen=True)
class Command:
    """A command of a console block, what it is to print (None: that is not shown), and how it is to end."""

    line: str
    prints: tuple[str, ...] | None
    status: int

    def matches(self, output: str) -> bool:
        """Whether this is what the page shows."""
        if self.prints is None:
            return True
        lines = [r"(?:.*\n)*" if line == ANYTHING else f"{_pattern(line)}\n" for line in self.prints]
        return re.fullmatch("".join(lines), "".join(f"{line.rstrip()}\n" for line in output.splitlines())) is not None


@dataclass(frozen=True)
class Block:
    """A fenced block. ``line``: where it begins, from 1. ``reason``: why it is not run, or "". ``real_only``: why it
    needs a real guest, or "".
    """

    line: int
    language: str
    text: str
    reason: str
    real_only: str = ""

    @property
    def file_name(self) -> str:
        """The file that the block is, or ""."""
        found = FILE_NAME.match(self.text)
        return found[1] if found else ""

    def commands(self) -> list[Command]:
        """Of a console block. Raises ValueError when it does not begin with a command."""
        shown: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                shown.append((line[2:], []))
            elif shown and shown[-1][0].endswith("\\"):
                shown[-1] = (f"{shown[-1][0]}\n{line.removeprefix('> ')}", [])
            elif shown:
                shown[-1][1].append(line.rstrip())
            else:
                raise ValueError(f"line {self.line}: a console block begins with '$ COMMAND', not {line!r}")
        return [_command(line, prints) for line, prints in shown]


def _command(line: str, prints: list[str]) -> Command:
    status = EXIT_STATUS.match(prints[-1]) if prints else None
    if status:
        prints = prints[:-1]
    return Command(line, tuple(prints) or None, int(status[1]) if status else 0)


def _pattern(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.split(ANYTHING))


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page in their order."""
    reason = real_only = ""
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "html_block":
            reason, real_only = (_first(pattern, token.content) for pattern in (NOT_RUN, REAL_ONLY))
        elif token.type == "fence":
            yield Block((token.map or [0])[0] + 1, token.info.strip(), token.content, reason, real_only)
            reason = real_only = ""
        elif token.nesting == 1:
            reason = real_only = ""


def lab(page: Path, real: bool = False) -> str:
    """The definition of the lab that the page runs on, or "". ``real``: the one with a real guest."""
    return _first(REAL_LAB if real else LAB, page.read_text(encoding="utf-8"))


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""

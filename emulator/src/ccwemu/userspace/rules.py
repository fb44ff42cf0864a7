# SPDX-License-Identifier: GPL-2.0-or-later
"""The syntax of udev rules: files into rules, rules into tokens.

Source: udev(7); systemd src/udev/udev-rules.c (parse_line, rule_add_line).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

_TOKEN = re.compile(r'\s*([A-Z_]+)(?:\{([^}]*)\})?\s*(==|!=|\+=|-=|:=|=)\s*([ei]?)"((?:[^"\\]|\\.)*)"\s*,?')

_PATTERN = re.compile(r"[*?\[]")

Warn = Callable[[str], None]
"""Told of what is not understood; the text begins with file and line."""

MATCHES = frozenset({"ACTION", "DEVPATH", "KERNEL", "SUBSYSTEM", "DRIVER", "ENV", "ATTR", "TAG", "TEST"})
PARENT_MATCHES = frozenset({"KERNELS", "SUBSYSTEMS", "DRIVERS", "ATTRS"})
"""Have to hold for one and the same device, this one or one above it."""

_NAMED = frozenset({"ENV", "ATTR", "ATTRS"})
_ASSIGNMENTS = {
    "ENV": ("=", "+="),
    "ATTR": ("=",),
    "TAG": ("=", "+=", "-="),
    "RUN": ("=", "+=", ":="),
    "GOTO": ("=",),
    "LABEL": ("=",),
}


@dataclass(frozen=True)
class Token:
    """``KEY{name}op"value"``."""

    key: str
    name: str
    op: str
    value: str

    @property
    def is_match(self) -> bool:
        return self.op in ("==", "!=")

    def __str__(self) -> str:
        return f'{self.key}{f"{{{self.name}}}" if self.name else ""}{self.op}"{self.value}"'


@dataclass(frozen=True)
class Rule:
    """One rule with only what is understood; ``label`` is the place that a GOTO of its file may name."""

    file: str
    line: int
    matches: tuple[Token, ...]
    parent_matches: tuple[Token, ...]
    assignments: tuple[Token, ...]
    label: str | None = None

    def concerns(self, action: str) -> bool:
        """False where the rule is for other actions, said in so many words. Most events are no rule's."""
        return self._actions is None or action in self._actions

    @cached_property
    def _actions(self) -> frozenset[str] | None:
        named = [token.value for token in self.matches if token.key == "ACTION" and token.op == "=="]
        plain = [frozenset(value.split("|")) for value in named if not _PATTERN.search(value)]
        return frozenset.intersection(*plain) if plain else None

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"


def parse(file: str, text: str, warn: Warn) -> list[Rule]:
    """The rules of a file. One with a match that is not understood is left out, since nobody can say whether it holds;
    of the other tokens only those that are not understood. ``warn`` is told of each.
    """
    rules = []
    for number, line in _lines(text):
        tokens = _tokens(line)
        if tokens is None:
            warn(f"{file}:{number}: is no udev rule: {line!r}; it is not followed")
            continue
        rule = _rule(file, number, tokens, warn)
        if rule is not None:
            rules.append(rule)
    return rules


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """(number of its first line, rule); a backslash at the end continues, comments are left out on the way."""
    joined, first = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped.startswith("#") or (not stripped and not joined):
            continue
        first = first or number
        joined += stripped.removesuffix("\\")
        if not stripped.endswith("\\"):
            yield first, joined
            joined, first = "", 0
    if joined:
        yield first, joined


def _tokens(line: str) -> list[Token] | None:
    """None where the line is not made of tokens."""
    tokens, place = [], 0
    while place < len(line.rstrip()):
        found = _TOKEN.match(line, place)
        if found is None or found[4] == "i":
            return None
        value = found[5].encode().decode("unicode_escape") if found[4] == "e" else found[5].replace('\\"', '"')
        tokens.append(Token(found[1], found[2] or "", found[3], value))
        place = found.end()
    return tokens or None


def _rule(file: str, line: int, tokens: list[Token], warn: Warn) -> Rule | None:
    matches: list[Token] = []
    parents: list[Token] = []
    assignments: list[Token] = []
    label = None
    for token in tokens:
        if not _understood(token):
            what = "the rule" if token.is_match or token.key in ("PROGRAM", "IMPORT") else "this part"
            warn(f"{file}:{line}: {token} is not understood by the emulator; {what} is not followed")
            if what == "the rule":
                return None
        elif token.is_match:
            (parents if token.key in PARENT_MATCHES else matches).append(token)
        elif token.key == "LABEL":
            label = token.value
        else:
            assignments.append(token)
    return Rule(file, line, tuple(matches), tuple(parents), tuple(assignments), label)


def _understood(token: Token) -> bool:
    if token.key in _NAMED:
        if not token.name:
            return False
    elif token.name and not (token.key == "RUN" and token.name == "program"):
        return False
    if token.is_match:
        return token.key in MATCHES or token.key in PARENT_MATCHES
    return token.op in _ASSIGNMENTS.get(token.key, ())


def split_command(command: str) -> list[str]:
    """A RUN's words: split at blanks, quotes taken off, backslashes left as they are."""
    words: list[str] = []
    word: str | None = None
    quote = ""
    for character in command:
        if quote:
            if character == quote:
                quote = ""
            else:
                word = (word or "") + character
        elif character in "'\"":
            quote, word = character, word or ""
        elif character.isspace():
            if word is not None:
                words.append(word)
            word = None
        else:
            word = (word or "") + character
    return words if word is None else [*words, word]

# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's option strings: ``driver,key=value,...`` and JSON (QEMU 7.2: util/keyval.c, util/qemu-option.c).

Messages are those of qemu-system-s390x 7.2, compared with the real program.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

PROGRAM = "qemu-system-s390x"
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")


def words(text: str) -> frozenset[str]:
    """The words of a text, for tables."""
    return frozenset(text.split())


class QemuError(Exception):
    """QEMU gives up: exit status 1. ``where`` is the option as it was written ("-device vfio-ccw"), or empty.

    ``before`` are messages with the same place that come first, ``hint`` lines go without program name.
    """

    def __init__(self, message: str, where: str = "", hint: str = "", before: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.where = where
        self.hint = hint
        self.before = before

    def at(self, where: str) -> QemuError:
        """The same at a place, where it has none yet."""
        return QemuError(str(self), self.where or where, self.hint, self.before)

    def text(self) -> str:
        """What is printed on the error stream."""
        place = f"{self.where}: " if self.where else ""
        lines = [f"{PROGRAM}: {place}{message}" for message in (*self.before, str(self))]
        return "\n".join(lines + ([self.hint] if self.hint else [])) + "\n"


@dataclass
class Options:
    """One option's argument, parsed. Values are texts as written; JSON's booleans become on and off."""

    where: str
    """``-device ARGUMENT``, the place that messages name."""
    values: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def get(self, key: str, default: str = "") -> str:
        return self.values.get(key, default)

    @property
    def id(self) -> str | None:
        return self.values.get("id")


def split(text: str) -> list[str]:
    """Cut at commas; a doubled comma is one in the text."""
    parts = [""]
    position = 0
    while position < len(text):
        if text[position] != ",":
            parts[-1] += text[position]
        elif text[position + 1 : position + 2] == ",":
            parts[-1] += ","
            position += 1
        else:
            parts.append("")
        position += 1
    return parts if text else []


def parse(flag: str, text: str, implied: str = "") -> Options:
    """The argument of ``flag``. ``implied`` is the key of a first part without one. Raises QemuError."""
    options = Options(f"{flag} {text}")
    if text.startswith("{"):
        options.values = _parse_json(options.where, text)
    else:
        # The first part has a key only where the = comes before any comma, a doubled one included.
        first = text.partition(",")[0]
        for position, part in enumerate(split(text)):
            key, equals, value = part.partition("=")
            if position == 0 and implied and "=" not in first:
                key, value = implied, part
            elif not equals:
                key, value = _short_form(options, part)
            options.values[key] = value
    identity = options.id
    if identity is not None and not IDENTIFIER.fullmatch(identity):
        raise QemuError(
            "Parameter 'id' expects an identifier",
            options.where,
            "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.",
        )
    return options


def _short_form(options: Options, word: str) -> tuple[str, str]:
    """``server`` is server=on, ``nowait`` wait=off. QEMU 7.2 takes it with a warning."""
    # For a device it cannot know that "no" is a prefix, so a property that begins so is switched off.
    key, value = (word[2:], "off") if word.startswith("no") and len(word) > 2 else (word, "on")
    if word in ("help", "?"):
        return "help", "on"
    options.warnings.append(
        f"{PROGRAM}: {options.where}: warning: short-form boolean option '{word}' deprecated\n"
        f"Please use {key}={value} instead\n"
    )
    return key, value


def _parse_json(where: str, text: str) -> dict[str, str]:
    try:
        value = json.loads(text)
    except ValueError:
        ending = "premature EOI" if text.count("{") > text.count("}") else "invalid JSON"
        raise QemuError(f"JSON parse error, {ending}", where) from None
    values = {}
    for key, item in value.items():
        values[key] = ("off", "on")[item] if isinstance(item, bool) else str(item)
    return values


def boolean(key: str, text: str) -> bool:
    """A property of type bool. Raises QemuError."""
    if text in ("on", "yes", "true", "y"):
        return True
    if text in ("off", "no", "false", "n"):
        return False
    raise QemuError(f"Parameter '{key}' expects 'on' or 'off'")


def integer(key: str, text: str) -> int:
    """A property of an integer type. Raises QemuError."""
    try:
        return int(text, 0)
    except ValueError:
        raise QemuError(f"Parameter '{key}' expects integer") from None


_UNITS = {"": 20, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50, "e": 60}


def memory_size(text: str) -> int | None:
    """Bytes of ``-m 512`` (megabytes), ``1G``, ``1.5G``; None where it is no size."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([bkmgtpeBKMGTPE]?)", text)
    return int(float(match[1]) * (1 << _UNITS[match[2].lower()])) if match else None

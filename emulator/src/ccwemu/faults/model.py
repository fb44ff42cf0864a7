# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults of a device: what they are, what of them a user writes, and how they travel in a message.

Sense bytes: IBM 3990 storage control reference; which of them Linux acts on, drivers/s390/block/dasd_3990_erp.c.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, TypeGuard

SENSE_SIZE = 32
SHORT_SENSE_SIZE = 24
SHORT_FORMAT = 0x80
"""In byte 27: the sense bytes have the 24-byte format."""

ANY_COMMAND = 0x100
"""A fault's command: the first of a start, whatever it is; Basic Sense is left alone."""

MAX_STARTS = 0xFFFFFFFF
SLOTS = 16
"""Faults that a device can have armed at once (core/fault.h)."""


class Kind(IntEnum):
    """What an armed fault does to a start (core/fault.h)."""

    UNIT_CHECK = 0
    LOST_INTERRUPT = 1

    @property
    def word(self) -> str:
        return self.name.lower().replace("_", "-")


SENSES = {
    "command-reject": "80",
    "intervention-required": "40",
    "bus-out-check": "20",
    "equipment-check": "10",
    "data-check": "08",
    "overrun": "04",
    "environmental": "000010",
    "write-inhibited": "8002",
    "no-record-found": "0008",
    "file-protected": "0004",
    "end-of-cylinder": "0020",
    "invalid-track-format": "0040",
}
"""Names of sense bytes that Linux's error recovery tells apart; the rest of the 24 bytes are zeros."""


_SHORT_END = bytes([0, 0, 0, SHORT_FORMAT, 0, 0, 0, 0])
"""Bytes 24 to 31 of sense bytes of the 24-byte format."""


class FaultError(ValueError):
    """Something of a fault that cannot be; the text says what was found and what is expected."""


@dataclass(frozen=True)
class Fault:
    """A fault that is armed: after ``skip`` starts of its command it meets ``left`` more."""

    kind: Kind
    command: int = ANY_COMMAND
    skip: int = 0
    left: int = 1
    sense: bytes = bytes(SENSE_SIZE)
    identity: int = 0

    def counted(self, skip: int, left: int) -> Fault:
        return replace(self, skip=skip, left=left)

    def to_message(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "id": self.identity,
            "kind": int(self.kind),
            "command": self.command,
            "skip": self.skip,
            "left": self.left,
            "sense": list(self.sense),
        }

    def __str__(self) -> str:
        parts = [f"{self.identity}: {self.kind.word}"]
        if self.kind is Kind.UNIT_CHECK:
            parts.append(f"sense {describe_sense(self.sense)}")
        if self.command != ANY_COMMAND:
            parts.append(f"command {self.command:02x}")
        if self.skip:
            parts.append(f"after {_starts(self.skip)}")
        return f"{', '.join(parts)}, {_starts(self.left)} left"


def _starts(count: int) -> str:
    return f"{count} start" if count == 1 else f"{count} starts"


def is_number(value: object) -> TypeGuard[int]:
    """Whether a message has a number of at least 0 here; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def from_message(message: dict[str, Any]) -> Fault:
    """The reverse of :meth:`Fault.to_message`. Raises FaultError."""
    try:
        numbers = {name: message[name] for name in ("id", "kind", "command", "skip", "left")}
        if not all(is_number(number) and number <= MAX_STARTS for number in numbers.values()):
            raise ValueError
        sense = bytes(message["sense"])
        kind = Kind(numbers["kind"])
        if numbers["command"] > ANY_COMMAND or not numbers["left"] or len(sense) != SENSE_SIZE:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise FaultError(f"found {message!r}, expected id, kind, command, skip, left, sense of a fault") from None
    return Fault(kind, numbers["command"], numbers["skip"], numbers["left"], sense, numbers["id"])


def parse_sense(text: str) -> bytes:
    """Sense bytes as a user writes them: a name of :data:`SENSES`, or hexadecimal. Raises FaultError.

    Up to 24 bytes are of the 24-byte format and marked so; more are taken as they are. Zeros fill them up to 32.
    """
    if text in SENSES:
        text = SENSES[text]
    try:
        found = bytes.fromhex(text)
    except ValueError:
        raise FaultError(
            f"found {text!r}, expected up to {SENSE_SIZE} bytes as hexadecimal digits, or one of {', '.join(SENSES)}"
        ) from None
    if not 0 < len(found) <= SENSE_SIZE:
        raise FaultError(f"found {len(found)} bytes, expected 1 to {SENSE_SIZE}")
    sense = bytearray(found.ljust(SENSE_SIZE, b"\0"))
    if len(found) <= SHORT_SENSE_SIZE:
        sense[27] |= SHORT_FORMAT
    return bytes(sense)


def describe_sense(sense: bytes) -> str:
    """The name of sense bytes and their digits, or the names of all that is said in them: ``equipment-check (10)``.

    Left out are zeros at the end, and the mark of the 24-byte format.
    """
    short = sense[SHORT_SENSE_SIZE:] == _SHORT_END
    digits = (sense[:SHORT_SENSE_SIZE] if short else sense).rstrip(b"\0").hex() or "00"
    number = int.from_bytes(sense, "big")
    exact = [name for name, text in SENSES.items() if text == digits]
    names = exact or [name for name, text in SENSES.items() if not _bits(text) & ~number]
    return f"{', '.join(names)} ({digits})" if names else digits


def _bits(text: str) -> int:
    return int.from_bytes(bytes.fromhex(text).ljust(SENSE_SIZE, b"\0"), "big")


def parse_command(text: str) -> int:
    """A command code as a user writes it: two hexadecimal digits. Raises FaultError."""
    try:
        if not 1 <= len(text) <= 2:
            raise ValueError
        return int(text, 16)
    except ValueError:
        raise FaultError(f"found {text!r}, expected a command code of two hexadecimal digits, as 86") from None


def parse_count(text: str, lowest: int) -> int:
    """A number of starts. Raises FaultError."""
    if not (text.isascii() and text.isdigit() and lowest <= int(text) <= MAX_STARTS):
        raise FaultError(f"found {text!r}, expected a number from {lowest} to {MAX_STARTS}")
    return int(text)

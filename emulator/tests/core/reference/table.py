# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads the rows of architecture/*.txt. The notation is explained in architecture/README.md."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from ccwemu.channel import build_ccw, build_ccw0, track_address

from .twins import ABOVE_4G, ABOVE_16M, DAMAGED, DATA, END_OF_MAIN, OPEN, PROGRAM, PROTECTED, READABLE, text

FLAGS = {"CD": 0x80, "CC": 0x40, "SLI": 0x20, "SKIP": 0x10, "PCI": 0x08, "IDA": 0x04, "S": 0x02, "MIDA": 0x01}
ORB = {"pfch": 0x00400000, "ida64": 0x00020000, "2k": 0x00010000, "ils": 0x80, "midaw": 0x40, "susp": 0x08000000,
       "nosi": 0x00080000}  # fmt: skip
FORMAT_1 = 0x00800000
PLACES = {"HOLE": END_OF_MAIN, "FETCHPROT": PROTECTED, "STOREPROT": READABLE, "OPEN": OPEN, "DAMAGED": DAMAGED,
          "16M": ABOVE_16M, "4G": ABOVE_4G, "PROGRAM": PROGRAM}  # fmt: skip
UNTOUCHED = b"\xee"


class TableError(Exception):
    """A row that cannot be read: file, line, what."""


def address(token: str) -> int:
    """Hexadecimal, or a place with an offset: ``HOLE-3``."""
    match = re.fullmatch(r"([A-Z0-9]+?)(?:([+-])([0-9a-f]+))?", token)
    if match and match[1] in PLACES:
        offset = int(match[3] or "0", 16)
        return PLACES[match[1]] + (-offset if match[2] == "-" else offset)
    return int(token, 16)


def track(token: str) -> bytes:
    cylinder, head = token.split("/")
    return track_address(int(cylinder), int(head))


def _extent(mask: str, span: str = "0/0-1/14", attributes: str = "c0") -> bytes:
    first, last = span.split("-")
    return bytes([int(mask, 16), int(attributes, 16)]) + bytes(6) + track(first) + track(last)


def _locate(operation: str, at: str, count: str, orientation: str = "0", seek: str = "") -> bytes:
    place, number = at.rsplit("/", 1)
    head = bytes([int(operation, 16) | int(orientation, 16), 0, 0, int(count)])
    return head + track(seek or place) + track(place) + bytes([int(number), 0, 0, 0])


def _identifier(at: str) -> bytes:
    place, number = at.rsplit("/", 1)
    return track(place) + bytes([int(number)])


def _count(at: str, key: str, data: str) -> bytes:
    return _identifier(at) + bytes([int(key)]) + int(data).to_bytes(2, "big")


def _record(at: str, size: str) -> bytes:
    return text(*map(int, at.split("/")), int(size))


def _extended(operation: str, at: str, count: str, length: str = "0", extended: str = "0", tracks: str = "") -> bytes:
    location = bytearray(_locate(operation, at, count))
    location[1], location[14:16] = 0x80, int(length).to_bytes(2, "big")
    parameters = bytes.fromhex(tracks)
    return bytes(location) + bytes([0, int(extended, 16)]) + len(parameters).to_bytes(2, "big") + parameters


def _prefix(form: str, validity: str = "80", unit: str = "00") -> bytes:
    """What stands before the extent; 16 bytes 00 follow on that, and the location."""
    return bytes([int(form, 16), int(validity, 16), int(unit, 16)]) + bytes(9)


def _midaw(flags: str, count: str, at: str) -> bytes:
    return bytes(5) + bytes([int(flags, 16)]) + int(count).to_bytes(2, "big") + address(at).to_bytes(8, "big")


MACROS = {
    "midaw": _midaw,
    "ext": _extent,
    "loc": _locate,
    "lre": _extended,
    "pfx": _prefix,
    "id": _identifier,
    "seek": lambda at: bytes(2) + track(at),
    "cnt": _count,
    "rec": _record,
    "pgid": lambda function, of="A": bytes([int(function, 16)]) + of.encode() * 11,
    "prssd": lambda suborder: bytes([0x18, 0, 0, 0, 0, 0, int(suborder, 16), 0, 0, 0, 0, 0]),
}


def value(expression: str) -> bytes:
    """Bytes: hex, "text", hex*times, w (word) and d (doubleword), macros; joined by +."""
    result = b""
    for part in re.findall(r'"[^"]*"|[^+]+', expression):
        name = part.split(":")[0]
        if part.startswith('"'):
            result += part[1:-1].encode()
        elif name in MACROS:
            result += MACROS[name](*part.split(":")[1:])
        elif part[0] in "wd" and len(part) > 1:
            result += address(part[1:]).to_bytes(4 if part[0] == "w" else 8, "big")
        else:
            digits, _, times = part.partition("*")
            result += bytes.fromhex(digits) * int(times or 1)
    return result


@dataclass
class TableCcw:
    """A CCW of a row. ``area`` is what it designates: bytes to be fetched, or untouched bytes."""

    command: int
    area: bytes = b""
    stores: bool = False
    at: int | None = None
    count: int | None = None
    target: int | None = None
    flags: int = 0


@dataclass
class TableProgram:
    """One channel program of a row."""

    ccws: list[TableCcw]
    word: int = FORMAT_1 | 0xFF00
    start: int = PROGRAM
    host: int = 0
    both: bool = False
    before: list[tuple[int, bytes]] = field(default_factory=list)

    def place(self, format_1: bool) -> tuple[list[tuple[int, bytes]], list[int]]:
        """Storage before (address, bytes), and the address of each CCW's area."""
        placed, addresses, free = [], [], DATA
        for index, ccw in enumerate(self.ccws):
            at = free if ccw.at is None else ccw.at
            if ccw.target is not None:
                at = ccw.target
            elif ccw.at is None:
                free += len(ccw.area) + 15 & ~7
            if ccw.area:
                placed.append((at, ccw.area))
            count = len(ccw.area) if ccw.count is None else ccw.count
            build = build_ccw if format_1 else build_ccw0
            placed.append((PROGRAM + 8 * index, build(ccw.command, at, count, ccw.flags)))
            addresses.append(at)
        return [*placed, *self.before], addresses


@dataclass
class Row:
    """Programs (the last one's ending counts), the ending, storage and disk after."""

    where: str
    rule: str
    programs: list[TableProgram]
    ending: str
    after: list[str]
    read_only: bool = False
    concurrent_sense: bool = True


def _ccw(statement: str) -> TableCcw:
    code, *tokens = statement.split()
    ccw = TableCcw(int(code, 16))
    for token in tokens:
        if token in FLAGS:
            ccw.flags |= FLAGS[token]
        elif token.startswith("->"):
            ccw.target = address(token[3:]) if token[2] == "@" else PROGRAM + 8 * int(token[2:])
        elif token[0] == ">":
            ccw.area, ccw.stores = UNTOUCHED * int(token[1:]), True
        elif token[0] == "<":
            ccw.area = value(token[1:])
        elif token[0] == "@":
            ccw.at = address(token[1:])
        elif token[0] == "#":
            ccw.count = int(token[1:])
        else:
            raise ValueError(f"'{token}' is no part of a CCW")
    return ccw


def _program(source: str, row: Row) -> TableProgram:
    program = TableProgram([])
    options = re.match(r"\s*\{([^}]*)\}", source)
    for option in options[1].split() if options else ():
        name, _, argument = option.partition("=")
        match name:
            case "f0":
                program.word &= ~FORMAT_1
            case "both":
                program.both = True
            case "key":
                program.word |= int(argument, 16) << 28
            case "lpm":
                program.word = program.word & ~0xFF00 | int(argument, 16) << 8
            case "start":
                program.start = address(argument)
            case "host":
                program.host = int(argument)
            case "ro":
                row.read_only = True
            case "nosense":
                row.concurrent_sense = False
            case _:
                program.word |= ORB[name]
    for statement in source[options.end() if options else 0 :].split(";"):
        if "=" in statement:
            at, _, content = statement.strip().partition("=")
            program.before.append((address(at), value(content)))
        else:
            program.ccws.append(_ccw(statement))
    return program


def read_row(where: str, rule: str, line: str) -> Row:
    source, ending, *after = (part.strip() for part in line.split("|"))
    row = Row(where, rule, [], " ".join(ending.split()), after[0].split() if after else [])
    row.programs = [_program(part, row) for part in source.split("//")]
    return row


def read_table(path: Path) -> list[Row]:
    """All rows of a file. Raises TableError."""
    rows, rule = [], ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        where = f"{path.stem}:{number}"
        if line.startswith("== "):
            rule = line[3:]
        elif line.strip() and not line.startswith("#"):
            try:
                rows.append(read_row(where, rule, line.partition(" #: ")[0]))
            except (ValueError, KeyError, TypeError) as error:
                raise TableError(f"{where}: {error!r} in {line!r}") from error
    return rows

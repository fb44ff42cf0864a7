# SPDX-License-Identifier: GPL-2.0-or-later
"""What has to stand before a command, and in which domain it may occur: "chaining and restrictions" of the 3990."""

from __future__ import annotations

SEEKS = {0x07, 0x0B, 0x13}
READS = {0x06, 0x86, 0x0E, 0x8E, 0x1E, 0x9E, 0x12, 0x92, 0x16, 0x96, 0x1A, 0x9A, 0xA6, 0xDE}
WRITES = {0x05, 0x85, 0x0D, 0x8D, 0x11, 0x15, 0x19, 0x1D, 0x9D, 0x95, 0xA5}
SEARCHES = {code | multitrack for code in (0x29, 0x31, 0x39, 0x49, 0x51, 0x69, 0x71) for multitrack in (0, 0x80)}
READ_MULTIPLE, SEEK_HEAD, SET_SECTOR, READ_SUBSYSTEM_DATA = 0x5E, 0x1B, 0x23, 0x3E
NEED_A_POSITION = READS | SEARCHES | {READ_MULTIPLE, SEEK_HEAD, SET_SECTOR}
FIRST_ONLY = {0x14, 0xAF, 0xB4}

READ_BETWEEN: dict[str, set[int]] = {
    "id": {0x06, 0x0E, 0x05, 0x0D},
    "key": {0x06, 0x05},
    "record": set(),
}
"""Commands that may stand between a search and the formatting write that it permits (their multitrack forms, too)."""


class Predecessors:
    """The commands of a program so far, and what its last search found equal."""

    def __init__(self) -> None:
        self.commands: list[int] = []
        self.located = False
        """A seek, a Locate Record or a Read IPL was carried out."""
        self.equal = ""
        """The field that the last search compared equal in all its bytes (id, key, home address), or what was
        formatted last (record, home address written). Whatever does not belong to it, forgets it."""
        self.between: list[int] = []
        """Commands since then."""

    def permit(self, command: int, in_domain: bool, page_ready: bool) -> bool:
        """May the command stand here?"""
        if in_domain and command not in READS | WRITES:
            return False
        if command in NEED_A_POSITION and not self.located:
            return False
        if command in FIRST_ONLY and self.commands:
            return False
        return not page_ready or command == READ_SUBSYSTEM_DATA

    def note(self, command: int) -> None:
        """The command was carried out, or is about to be."""
        self.commands.append(command)
        if command not in WRITES | {0x06, 0x86, 0x0E, 0x8E}:
            self.equal = ""

    def found_equal(self, field: str) -> None:
        self.equal, self.between = field, []

    def passed(self, command: int) -> None:
        """A command that may stand between a search and a formatting write has ended."""
        self.between.append(command & 0x7F)

    def permit_write(self, command: int) -> bool:
        """Outside of a domain."""
        if command in (0x05, 0x0D):
            return not self.between and self.equal in (("id", "key") if command == 0x05 else ("id",))
        if command in (0x1D, 0x11):
            return self.equal in READ_BETWEEN and set(self.between) <= READ_BETWEEN[self.equal]
        if command == 0x15:
            return self.equal in ("home address", "home address written")
        return command == 0x19 and self.equal == "home address"

# SPDX-License-Identifier: GPL-2.0-or-later
"""Main storage with keys. Principles of Operation, chapter 3: "Key-Controlled Protection"; chapter 17 for channels."""

from __future__ import annotations

from dataclasses import dataclass


class Check(Exception):
    """The channel subsystem met a check; ``bit`` is its bit in the subchannel status."""

    def __init__(self, bit: int) -> None:
        super().__init__(f"subchannel status {bit:02x}")
        self.bit = bit


PROGRAM_CHECK = 0x20
PROTECTION_CHECK = 0x10
DATA_CHECK, CONTROL_CHECK = 0x08, 0x04


@dataclass
class Area:
    """Bytes at consecutive absolute addresses that have one storage key."""

    start: int
    content: bytearray
    key: int = 0
    fetch_protected: bool = False
    damaged: bool = False
    """Its bytes have an error that cannot be corrected."""


class Storage:
    """A list of areas. Whatever lies in none of them is not installed: a program check."""

    def __init__(self, areas: list[Area]) -> None:
        self.areas = areas

    def _find(self, address: int) -> Area:
        for area in self.areas:
            if area.start <= address < area.start + len(area.content):
                return area
        raise Check(PROGRAM_CHECK)

    def fetch(self, address: int, access_key: int, damage: int = DATA_CHECK) -> int:
        """One byte; ``damage`` is the check that it is when the byte has an error."""
        area = self._find(address)
        if area.fetch_protected and access_key not in (0, area.key):
            raise Check(PROTECTION_CHECK)
        if area.damaged:
            raise Check(damage)
        return area.content[address - area.start]

    def store(self, address: int, access_key: int, byte: int) -> None:
        area = self._find(address)
        if access_key not in (0, area.key):
            raise Check(PROTECTION_CHECK)
        if area.damaged:
            raise Check(DATA_CHECK)
        area.content[address - area.start] = byte

    def fetch_bytes(self, address: int, size: int, access_key: int) -> bytes:
        """CCWs and lists of addresses."""
        return bytes(self.fetch(address + i, access_key, CONTROL_CHECK) for i in range(size))

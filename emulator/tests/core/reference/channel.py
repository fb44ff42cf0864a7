# SPDX-License-Identifier: GPL-2.0-or-later
"""Channel programs of format-0 and format-1 CCWs. Principles of Operation, chapter 15; for the status, chapter 16."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .storage import PROGRAM_CHECK, Check, Storage

CHAIN_DATA, CHAIN_COMMAND, SLI, SKIP, PCI, IDA, SUSPEND, MIDA = 0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01
TIC = 0x08

CHANNEL_END_DEVICE_END = 0x0C
STATUS_MODIFIER, BUSY, UNIT_CHECK = 0x40, 0x10, 0x02

PCI_STATUS, INCORRECT_LENGTH = 0x80, 0x40
HIGHEST_31_BIT = 0x7FFFFFFF
HIGHEST_24_BIT = 0x00FFFFFF


class OperandException(Exception):
    """The ORB is none: START SUBCHANNEL ends with a program interruption."""


class TooLong(Exception):
    """The program executes more CCWs than this slow interpreter has patience for."""


@dataclass(frozen=True)
class Orb:
    """What an operation-request block says, 12 bytes."""

    parameter: int
    word: int
    program: int

    @classmethod
    def parse(cls, raw: bytes) -> Orb:
        return cls(*(int.from_bytes(raw[i : i + 4], "big") for i in (0, 4, 8)))

    @property
    def valid(self) -> bool:
        return not self.word & 0x3E and not self.program & 0x80000000

    @property
    def midaws(self) -> bool:
        """Modified IDAWs are permitted."""
        return bool(self.word & 0x00000040)

    @property
    def key(self) -> int:
        return self.word >> 28

    @property
    def suspend(self) -> bool:
        return bool(self.word & 0x08000000)

    @property
    def format_1(self) -> bool:
        return bool(self.word & 0x00800000)

    @property
    def wide_idaws(self) -> bool:
        """Format-2 IDAWs: 64 bits."""
        return bool(self.word & 0x00020000)

    @property
    def idaw_block(self) -> int:
        """Bytes of storage that one IDAW can designate."""
        return 4096 if self.wide_idaws and not self.word & 0x00010000 else 2048

    @property
    def suppress_immediate_length(self) -> bool:
        return bool(self.word & 0x00000080)

    @property
    def lpm(self) -> int:
        return self.word >> 8 & 0xFF

    @property
    def highest_address(self) -> int:
        return HIGHEST_31_BIT if self.format_1 else HIGHEST_24_BIT


@dataclass(frozen=True)
class Ccw:
    """A channel-command word, whatever its format."""

    command: int
    flags: int
    count: int
    address: int

    @classmethod
    def parse(cls, raw: bytes, format_1: bool) -> Ccw:
        if format_1:
            return cls(raw[0], raw[1], int.from_bytes(raw[2:4], "big"), int.from_bytes(raw[4:8], "big"))
        return cls(raw[0], raw[4], int.from_bytes(raw[6:8], "big"), int.from_bytes(raw[1:4], "big"))


class UnitStatus(Exception):
    """The device ended the command with this status instead of channel end and device end."""

    def __init__(self, status: int) -> None:
        super().__init__(f"device status {status:02x}")
        self.status = status


class Unit(Protocol):
    """A device: carries out a command, moves data by the channel's give and take. Raises UnitStatus."""

    def execute(self, channel: Channel, command: int) -> None: ...


class Channel:
    """One channel program, from START SUBCHANNEL to its end or its suspension."""

    def __init__(self, orb: Orb, storage: Storage, unit: Unit, limit: int = 2000) -> None:
        self.orb = orb
        self.storage = storage
        self.unit = unit
        self.limit = limit
        self.next = orb.program
        self.ccw_address = 0
        self.device_status = 0
        self.status = 0
        self.count = 0
        self.suspended = False

    # --- CCWs

    def _fetch_ccw(self) -> Ccw:
        """The CCW at self.next; the address of the one behind it goes into the SCSW."""
        at = self.next
        self.limit -= 1
        if self.limit < 0:
            raise TooLong
        self.ccw_address = at + 8 & HIGHEST_31_BIT
        if at % 8 or at > self.orb.highest_address:
            raise Check(PROGRAM_CHECK)
        ccw = Ccw.parse(self.storage.fetch_bytes(at, 8, self.orb.key), self.orb.format_1)
        self.next = at + 8
        return ccw

    def _is_tic(self, ccw: Ccw) -> bool:
        """Format 1 demands zeros in bits 0-3, which is checked with the rest of the word."""
        return ccw.command & 0x0F == TIC

    def _tic_target(self, ccw: Ccw) -> int:
        if self.orb.format_1 and (ccw.command != TIC or ccw.flags or ccw.count):
            raise Check(PROGRAM_CHECK)
        if ccw.address % 8 or ccw.address > self.orb.highest_address:
            raise Check(PROGRAM_CHECK)
        return ccw.address

    def _fetch_through_tic(self, first: bool) -> Ccw:
        """A transfer in channel cannot be the first CCW, nor follow another."""
        self.count = 0
        ccw = self._fetch_ccw()
        if not self._is_tic(ccw):
            return ccw
        if first:
            raise Check(PROGRAM_CHECK)
        self.next = self._tic_target(ccw)
        tic = self.ccw_address
        try:
            ccw = self._fetch_ccw()
        except Check as check:
            if check.bit == PROGRAM_CHECK:  # no storage there: the address stays that of the transfer in channel
                self.ccw_address = tic
            raise
        if self._is_tic(ccw):
            raise Check(PROGRAM_CHECK)
        return ccw

    def _load(self, *, first: bool = False, data_chained: bool = False) -> None:
        """Make the next CCW the current one. Raises Check when it is no valid CCW here."""
        ccw = self._fetch_through_tic(first)
        self.current = ccw
        self.count = ccw.count
        if not data_chained:
            self.command = ccw.command
        rules = [
            data_chained or ccw.command & 0x0F != 0,
            ccw.address <= self.orb.highest_address,
            not ccw.flags & MIDA or (self.orb.midaws and not ccw.flags & (IDA | SKIP) and ccw.address % 16 == 0),
            not ccw.flags & IDA or ccw.address % (8 if self.orb.wide_idaws else 4) == 0,
            not ccw.flags & SUSPEND or (self.orb.suspend and not data_chained),
            ccw.count or (self.orb.format_1 and not data_chained and not ccw.flags & CHAIN_DATA),
        ]
        if not all(rules):
            raise Check(PROGRAM_CHECK)
        self.data_address = ccw.address
        self.idaw_address = ccw.address
        self.idaws = 0
        self.left_in_block = 0
        self.last_midaw = False
        self.skip_block = False
        if ccw.flags & PCI:
            self.status |= PCI_STATUS
        if ccw.flags & SUSPEND:
            self.suspended = True

    # --- data, one byte at a time

    def _fetch_word(self, width: int) -> bytes:
        """The next word of a list of indirect addresses."""
        if self.idaw_address > self.orb.highest_address:
            raise Check(PROGRAM_CHECK)
        return self.storage.fetch_bytes(self.idaw_address, width, self.orb.key)

    def _next_idaw(self) -> None:
        width = 8 if self.orb.wide_idaws else 4
        word = int.from_bytes(self._fetch_word(width), "big")
        if not self.orb.wide_idaws and word > HIGHEST_31_BIT:
            raise Check(PROGRAM_CHECK)
        if self.idaws and word % self.orb.idaw_block:
            raise Check(PROGRAM_CHECK)
        self.idaw_address += width
        self.idaws += 1
        self.data_address = word
        self.left_in_block = self.orb.idaw_block - word % self.orb.idaw_block

    def _next_midaw(self) -> None:
        """Up to 4096 bytes inside a page, or any number that are skipped; the list lies in one page."""
        if self.last_midaw or (self.idaws and self.idaw_address % 4096 == 0):
            raise Check(PROGRAM_CHECK)
        word = self._fetch_word(16)
        flags, count, address = word[5], int.from_bytes(word[6:8], "big"), int.from_bytes(word[8:], "big")
        skip = bool(flags & 0x40) and self.storing
        if any(word[:5]) or flags & 0x3F or not 1 <= count <= self.count:
            raise Check(PROGRAM_CHECK)
        if not skip and address % 4096 + count > 4096:
            raise Check(PROGRAM_CHECK)
        self.idaw_address += 16
        self.idaws += 1
        self.last_midaw = bool(flags & 0x80)
        self.data_address, self.left_in_block, self.skip_block = address, count, skip

    def _byte_address(self) -> int:
        if self.current.flags & (IDA | MIDA):
            if not self.left_in_block:
                self._next_midaw() if self.current.flags & MIDA else self._next_idaw()
            self.left_in_block -= 1
        elif self.data_address > self.orb.highest_address:
            raise Check(PROGRAM_CHECK)
        self.data_address += 1
        return self.data_address - 1

    def _byte_is_through(self) -> None:
        self.count -= 1
        if not self.count and self.current.flags & CHAIN_DATA:
            self._load(data_chained=True)

    def give(self, data: bytes) -> None:
        """The device sends data. More than the CCWs provide for are an incorrect length."""
        self.asked = self.storing = True
        for byte in data:
            if not self.count:
                self.wants_more = True
                return
            if not self.current.flags & SKIP:
                at = self._byte_address()
                if not self.skip_block:
                    self.storage.store(at, self.orb.key, byte)
            self._byte_is_through()

    def take_into(self, data: bytearray, size: int) -> None:
        """The device asks for data; what arrived before a check is in ``data``."""
        self.asked, self.storing = True, False
        for _ in range(size):
            if not self.count:
                self.wants_more = True
                return
            data.append(self.storage.fetch(self._byte_address(), self.orb.key))
            self._byte_is_through()

    def take(self, size: int) -> bytes:
        data = bytearray()
        self.take_into(data, size)
        return bytes(data)

    def take_up_to(self, size: int) -> bytes:
        """As take, by a device that is content with less."""
        data = self.take(size)
        self.wants_more = False
        return data

    # --- the program

    def _length_is_incorrect(self) -> bool:
        """Chapter 16, "Incorrect Length"; chapter 15, "Suppress Length Indication"."""
        chain_data = bool(self.current.flags & CHAIN_DATA)
        if not self.asked:  # an immediate operation, or one that was rejected
            if self.device_status & (UNIT_CHECK | BUSY):
                return False
            if not self.orb.format_1 or self.orb.suppress_immediate_length:
                return False
        if chain_data:
            return True
        return (self.count > 0 or self.wants_more) and not self.current.flags & SLI

    def _carry_out(self) -> bool:
        """Have the device carry out the command. True: the program goes on."""
        self.asked = False
        self.wants_more = False
        self.device_status = CHANNEL_END_DEVICE_END
        try:
            self.unit.execute(self, self.command)
        except UnitStatus as ending:
            self.device_status = ending.status
        if self._length_is_incorrect():
            self.status |= INCORRECT_LENGTH
            return False
        if self.device_status & ~STATUS_MODIFIER != CHANNEL_END_DEVICE_END:
            return False
        if self.current.flags & CHAIN_DATA or not self.current.flags & CHAIN_COMMAND:
            return False
        if self.device_status & STATUS_MODIFIER:
            self.next += 8
        self.device_status = 0
        return True

    def _run(self, first: bool) -> None:
        try:
            self._load(first=first)
            while not self.suspended and self._carry_out():
                self._load()
        except Check as check:
            self.status |= check.bit

    def start(self) -> None:
        self._run(first=True)

    def resume(self) -> None:
        """Fetch the CCW that suspended the program once more, and go on with it."""
        self.suspended = False
        self.next = self.ccw_address - 8
        self.status = 0
        self.device_status = 0
        self._run(first=False)

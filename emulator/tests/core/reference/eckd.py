# SPDX-License-Identifier: GPL-2.0-or-later
"""The 3390 behind its 3990, after the IBM 3990 Storage Control Reference: state, checks, and the table of commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from .channel import BUSY, CHANNEL_END_DEVICE_END, UNIT_CHECK, Channel, UnitStatus
from .sequence import Predecessors
from .track import Block, Track

HEADS = 15
REJECT, EQUIPMENT = 0x80, 0x10
PERMANENT, INVALID_FORMAT, END_OF_CYLINDER, NO_RECORD, FILE_PROTECTED, INHIBITED = 0x80, 0x40, 0x20, 0x08, 0x04, 0x02
INVALID_COMMAND, INVALID_SEQUENCE, TOO_SHORT, INVALID_PARAMETER = 1, 2, 3, 4


class Passed(IntEnum):
    """What went by under the heads last."""

    INDEX = 0
    HOME = 1
    COUNT = 2
    KEY = 3
    DATA = 4


@dataclass
class Chain:
    """What a channel program sets up on its way, and what is forgotten at its end."""

    last: int
    first: int = 0
    mask: int = 0
    extent_defined: bool = False
    mask_set: bool = False
    before: Predecessors = field(default_factory=Predecessors)
    """The commands before, as far as they matter."""
    ipl_read: bool = False
    operation: int = 0
    conversion: bool = False
    """CKD conversion mode: the transfer-length factor does not bind."""
    announced: bytes = bytes(16)
    """Parameters of the Locate Record."""
    updates: set[int] = field(default_factory=set)
    """Update commands of this domain."""
    operations: int = 0
    """How many operations of the Locate Record are left; none: not in its domain."""
    extended: int = 0
    """Extended operation, transfer-length factor and track set of a Locate Record Extended."""
    length: int = 0
    track_set: int = 0
    track_passed: bool = False
    """A command for a whole track was carried out in this domain: the next one is for the next track."""
    page: bytes = b""
    """What Perform Subsystem Function prepared to be read."""
    track: int = 0
    passed: Passed = Passed.INDEX
    record: int = 0
    """Index, on its track, of the record of which something went by."""
    index_passes: int = 0


@dataclass(frozen=True)
class Identity:
    """What the identifying commands answer, as bytes: contents are a matter of their own, here they are only moved."""

    sense_id: bytes
    characteristics: bytes
    configuration: bytes
    pages: dict[int, bytes]
    """Data that can be prepared to be read, by suborder."""


@dataclass
class Path:
    """Of one host's logical path: what Set Path Group ID made of it."""

    state: int = 0x00
    multipath: bool = False
    pgid: bytes = bytes(11)


@dataclass
class Disk:
    """Tracks by (cylinder, head), and what the control unit remembers."""

    tracks: dict[tuple[int, int], Track]
    identity: Identity
    unit_address: int
    read_only: bool = False
    reserved_by: int | None = None
    sense: dict[int, bytes] = field(default_factory=dict)
    """By host."""
    paths: dict[tuple[int, int], Path] = field(default_factory=dict)
    chains: dict[int, Chain] = field(default_factory=dict)

    @property
    def cylinders(self) -> int:
        return len(self.tracks) // HEADS

    def begin(self, host: int, path: int) -> None:
        """A channel program begins."""
        self.host = host
        self.sense.setdefault(host, bytes(32))
        self.path = self.paths.setdefault((host, path), Path())
        self.chain = self.chains[host] = Chain(last=self.cylinders * HEADS - 1)

    def give_up_sense(self) -> bytes:
        sense, self.sense[self.host] = self.sense[self.host], bytes(32)
        return sense

    @property
    def only_a_count_is_left(self) -> bool:
        """Of the domain, the Read Count that its auxiliary byte announced."""
        return self.chain.operations == 1 and bool(self.chain.announced[1] & 0x01)

    # --- checks

    def unit_check(self, byte0: int, byte1: int, message: int = 0) -> UnitStatus:
        """Make sense data of the 24-byte format; raise what this returns."""
        cylinder, head = divmod(self.chain.track, HEADS)
        sense = bytearray(32)
        sense[0], sense[1], sense[4], sense[7], sense[27] = byte0, byte1, self.unit_address, message, 0x80
        sense[5], sense[6] = cylinder & 0xFF, cylinder >> 4 & 0xF0 | head
        self.sense[self.host] = bytes(sense)
        return UnitStatus(CHANNEL_END_DEVICE_END | UNIT_CHECK)

    def reject(self, message: int) -> UnitStatus:
        return self.unit_check(REJECT, 0, message)

    def parameters(self, channel: Channel, size: int) -> bytes:
        """The parameters of a command, all of them."""
        data = channel.take(size)
        if len(data) < size:
            raise self.reject(TOO_SHORT)
        return data

    def here(self) -> Track:
        """The records of the track under the heads."""
        return self.tracks[divmod(self.chain.track, HEADS)]

    def block(self) -> Block:
        return self.here()[self.chain.record]

    def track_at(self, address: bytes) -> int:
        """Number of the track that 4 bytes address: 16 low bits of the cylinder, 12 high ones, 4 of the head."""
        cylinder = int.from_bytes(address[:2], "big") | int.from_bytes(address[2:], "big") >> 4 << 16
        head = address[3] & 0x0F
        if (cylinder, head) not in self.tracks:
            raise self.reject(INVALID_PARAMETER)
        return cylinder * HEADS + head

    def move_to(self, track: int) -> None:
        chain = self.chain
        chain.track, chain.passed, chain.record = track, Passed.INDEX, 0
        if not chain.first <= track <= chain.last:
            raise self.unit_check(0, FILE_PROTECTED)

    def next_track(self) -> None:
        """For multitrack commands. Only a Locate Record's domain reaches over cylinders."""
        chain = self.chain
        if not chain.operations:
            if chain.mask & 0x18 == 0x18:
                raise self.unit_check(0, FILE_PROTECTED)
            if chain.track % HEADS == HEADS - 1:
                raise self.unit_check(0, END_OF_CYLINDER)
        if chain.track >= chain.last:
            raise self.unit_check(0, FILE_PROTECTED)
        self.move_to(chain.track + 1)

    def next_count(self, multitrack: bool, searching: bool = False) -> None:
        """To the next count field, record 0's included; past the index twice without data: no record found."""
        chain = self.chain
        while True:
            record = 0 if chain.passed < Passed.COUNT else chain.record + 1
            if record < len(self.here()):
                chain.record, chain.passed = record, Passed.COUNT
                return
            if not (multitrack and searching):
                chain.index_passes += 1
                if chain.index_passes > 1:
                    raise self.unit_check(0, NO_RECORD)
            if multitrack:
                self.next_track()
            chain.passed = Passed.INDEX

    def next_user_count(self, multitrack: bool) -> None:
        """As next_count, over record 0."""
        self.next_count(multitrack)
        while self.chain.record == 0:
            self.next_count(multitrack)

    # --- commands

    def execute(self, channel: Channel, command: int) -> None:
        if command != 0x04:
            self.give_up_sense()
        if self.reserved_by not in (None, self.host) and command not in (0x04, 0x14, 0x34, 0xAF, 0xE4):
            raise UnitStatus(BUSY)
        handler = COMMANDS.get(command)
        if not handler:
            raise self.reject(INVALID_COMMAND)
        chain = self.chain
        if not chain.before.permit(command, chain.operations > 0, bool(chain.page)):
            raise self.reject(INVALID_SEQUENCE)
        chain.before.note(command)
        handler(self, channel, command)


Handler = Callable[[Disk, Channel, int], None]
COMMANDS: dict[int, Handler] = {}


def command(*codes: int) -> Callable[[Handler], Handler]:
    """Enter a function into the table of commands."""

    def enter(handler: Handler) -> Handler:
        COMMANDS.update(dict.fromkeys(codes, handler))
        return handler

    return enter


from . import locate, miscellaneous, read, tracks, write  # noqa: E402, F401  (they fill the table)

# SPDX-License-Identifier: GPL-2.0-or-later
"""Writing: updates keep a record's lengths; formatting a record ends the track behind it."""

from __future__ import annotations

from .channel import Channel
from .eckd import (
    FILE_PROTECTED,
    INHIBITED,
    INVALID_FORMAT,
    INVALID_PARAMETER,
    INVALID_SEQUENCE,
    REJECT,
    TOO_SHORT,
    Disk,
    Passed,
    command,
)
from .locate import FORMAT_WRITE, WRITE_DATA, WRITE_TRACK, home_address
from .read import end_of_file, one_operation_less
from .storage import Check
from .track import TRACK_BYTES, Block, Track, fits

NO_WRITES, UPDATES_ONLY, ALL_WRITES = 0x40, 0x80, 0xC0


def may_write(disk: Disk, operation: int) -> None:
    """The unit, the file mask (bits 0-1), the search before, the Locate Record: all have to permit it."""
    chain = disk.chain
    permission = chain.mask & 0xC0
    if disk.read_only:
        raise disk.unit_check(REJECT, INHIBITED)
    if permission == NO_WRITES or (operation == FORMAT_WRITE and permission == UPDATES_ONLY):
        raise disk.unit_check(0, FILE_PROTECTED)
    announced = (FORMAT_WRITE, WRITE_TRACK) if operation == FORMAT_WRITE else (operation,)
    if not chain.oriented or (chain.operations and chain.operation not in announced):
        raise disk.reject(INVALID_SEQUENCE)


def written(disk: Disk, formatted: bool) -> None:
    """Outside of a domain a formatting write may follow on one, everything else needs a search of its own."""
    chain = disk.chain
    chain.passed = Passed.DATA
    in_domain = chain.operations > 0
    one_operation_less(disk)
    chain.oriented = chain.operations > 0 if in_domain else formatted


@command(0x05, 0x85, 0x0D, 0x8D)
def update(disk: Disk, channel: Channel, code: int) -> None:
    """Write Data, Write Key and Data. Bytes that do not come are zeros; if none could be fetched, nothing changes."""
    may_write(disk, WRITE_DATA)
    with_key = bool(code & 0x08)
    if disk.chain.passed not in ((Passed.COUNT,) if with_key else (Passed.COUNT, Passed.KEY)):
        disk.next_user_count(bool(code & 0x80))
    block = disk.block()
    kept = b"" if with_key else block.key
    content = bytearray()
    end_of_file(channel, block.data)
    try:
        channel.take_into(content, (len(block.key) if with_key else 0) + len(block.data))
    except Check:
        if content:
            disk.here()[disk.chain.record] = Block.formatted(block.count, kept + content)
        raise
    disk.here()[disk.chain.record] = Block.formatted(block.count, kept + content)
    written(disk, formatted=False)


def format_behind(disk: Disk, channel: Channel, before: Track) -> None:
    """Format a record as the one behind these, and as the last of the track."""
    count = channel.take(8)
    if len(count) < 8:
        raise disk.reject(TOO_SHORT)
    is_record_0 = not before
    if count == b"\xff" * 8 or (is_record_0 and count[4]):
        raise disk.unit_check(0, INVALID_FORMAT)
    content = bytearray()
    if not fits(before, Block.formatted(count, b"")):
        raise disk.unit_check(0, INVALID_FORMAT)
    disk.chain.record = len(before)
    try:
        channel.take_into(content, count[5] + int.from_bytes(count[6:8], "big"))
    finally:  # also after a check: what has not come is zeros
        disk.here()[:] = [*before, Block.formatted(count, bytes(content))]
    written(disk, formatted=True)


@command(0x1D, 0x9D)
def write_count_key_data(disk: Disk, channel: Channel, code: int) -> None:
    """Behind the record that went by; multitrack: as the first one behind record 0 of the next track."""
    may_write(disk, FORMAT_WRITE)
    if code & 0x80:
        disk.next_track()
        disk.next_count(False)
    if disk.chain.passed < Passed.COUNT:
        raise disk.reject(INVALID_SEQUENCE)
    format_behind(disk, channel, disk.here()[: disk.chain.record + 1])


@command(0x15)
def write_record_0(disk: Disk, channel: Channel, code: int) -> None:
    may_write(disk, FORMAT_WRITE)
    if disk.chain.mask & 0xC0 != ALL_WRITES:
        raise disk.unit_check(0, FILE_PROTECTED)
    if disk.chain.passed > Passed.HOME:
        raise disk.reject(INVALID_SEQUENCE)
    format_behind(disk, channel, [])


@command(0x11)
def erase(disk: Disk, channel: Channel, code: int) -> None:
    """What lies behind the record that went by. The record that the channel sends is not looked at."""
    may_write(disk, FORMAT_WRITE)
    if disk.chain.passed < Passed.COUNT:
        raise disk.reject(INVALID_SEQUENCE)
    channel.take_up_to(TRACK_BYTES)
    del disk.here()[disk.chain.record + 1 :]
    written(disk, formatted=True)


@command(0x19)
def write_home_address(disk: Disk, channel: Channel, code: int) -> None:
    """It cannot be another than it was. Behind it there is nothing but an empty record 0 then."""
    may_write(disk, FORMAT_WRITE)
    if disk.chain.mask & 0xC0 != ALL_WRITES:
        raise disk.unit_check(0, FILE_PROTECTED)
    if disk.chain.passed > Passed.HOME:
        raise disk.reject(INVALID_SEQUENCE)
    address = home_address(disk)
    if disk.parameters(channel, 5) != address:
        raise disk.reject(INVALID_PARAMETER)
    disk.here()[:] = [Block.formatted(address[1:] + b"\0\0\0\x08", b"")]
    written(disk, formatted=True)
    disk.chain.passed = Passed.HOME

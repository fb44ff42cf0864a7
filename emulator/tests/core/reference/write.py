# SPDX-License-Identifier: GPL-2.0-or-later
"""Writing: updates keep a record's lengths; formatting a record ends the track behind it."""

from __future__ import annotations

from .channel import Channel
from .eckd import (
    INHIBITED,
    INVALID_FORMAT,
    INVALID_PARAMETER,
    INVALID_SEQUENCE,
    REJECT,
    Disk,
    Passed,
    command,
)
from .locate import FORMAT_WRITE, WRITE_DATA, WRITE_TRACK, home_address
from .read import end_of_file, one_operation_less
from .storage import Check
from .track import TRACK_BYTES, Block, Track, fits

NO_WRITES, UPDATES_ONLY, ALL_WRITES = 0x40, 0x80, 0xC0


UPDATES, FORMATS, ERASES, STARTS = (0x05, 0x85, 0x0D, 0x8D), (0x1D, 0x9D), (0x11,), (0x15, 0x19)


def may_write(disk: Disk, code: int) -> None:
    """The unit, the file mask (bits 0-1), the Locate Record, or else the search before: all have to permit it."""
    chain = disk.chain
    if disk.read_only:
        raise disk.unit_check(REJECT, INHIBITED)
    permitted = {NO_WRITES: (), UPDATES_ONLY: UPDATES, ALL_WRITES: (*UPDATES, *FORMATS, *ERASES, *STARTS)}
    if code not in permitted.get(chain.mask & 0xC0, (*UPDATES, *FORMATS, *ERASES)):
        raise disk.reject(INVALID_SEQUENCE)
    announced = {WRITE_DATA: UPDATES, FORMAT_WRITE: (*FORMATS, *STARTS), WRITE_TRACK: (*FORMATS, *ERASES, *STARTS)}
    in_place = code in announced.get(chain.operation, ()) if chain.operations else chain.before.permit_write(code)
    if not in_place or disk.only_a_count_is_left:
        raise disk.reject(INVALID_SEQUENCE)


def written(disk: Disk, formatted: str = "") -> None:
    """Outside of a domain a formatting write may follow on one, everything else needs a search of its own."""
    chain = disk.chain
    chain.passed = Passed.DATA
    if formatted:
        chain.before.found_equal("" if chain.operations else formatted)
    one_operation_less(disk)


def fits_domain(disk: Disk, code: int) -> None:
    """Several records, or one behind the data oriented to, take update commands, all of them the same."""
    chain = disk.chain
    chain.updates.add(code)
    one_by_count = chain.announced[3] == 1 + (chain.announced[1] & 0x01) and chain.announced[0] & 0xC0 == 0x00
    if not (one_by_count or code & 0x80) or len(chain.updates) > 1:
        raise disk.reject(INVALID_SEQUENCE)


@command(0x05, 0x85, 0x0D, 0x8D)
def update(disk: Disk, channel: Channel, code: int) -> None:
    """Write Data, Write Key and Data. Bytes that do not come are zeros; if none could be fetched, nothing changes."""
    may_write(disk, code)
    if disk.chain.operations:
        fits_domain(disk, code)
    with_key = bool(code & 0x08)
    if disk.chain.passed not in ((Passed.COUNT,) if with_key else (Passed.COUNT, Passed.KEY)):
        disk.next_user_count(bool(code & 0x80))
    block = disk.block()
    length = (len(block.key) if with_key else 0) + len(block.data)
    bound = disk.chain.operations and not disk.chain.conversion
    if bound and int.from_bytes(disk.chain.announced[14:16], "big") not in (0, length):
        raise disk.unit_check(0, INVALID_FORMAT)
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
    disk.chain.before.passed(code)
    written(disk)


def format_behind(disk: Disk, channel: Channel, before: Track) -> None:
    """Format a record as the one behind these, and as the last of the track."""
    is_record_0 = not before
    count = disk.parameters(channel, 8) if is_record_0 else channel.take(8).ljust(8, b"\0")
    if count == b"\xff" * 8 or (is_record_0 and count[4]):
        raise disk.reject(INVALID_PARAMETER)
    content = bytearray()
    if not fits(before, Block.formatted(count, b"")):
        raise disk.unit_check(0, INVALID_FORMAT)
    disk.chain.record = len(before)
    try:
        channel.take_into(content, count[5] + int.from_bytes(count[6:8], "big"))
    finally:  # also after a check: what has not come is zeros
        disk.here()[:] = [*before, Block.formatted(count, bytes(content))]
    written(disk, "record")


@command(0x1D, 0x9D)
def write_count_key_data(disk: Disk, channel: Channel, code: int) -> None:
    """Behind the record that went by; multitrack: as the first one behind record 0 of the next track."""
    may_write(disk, code)
    if code & 0x80:
        disk.next_track()
        disk.next_count(False)
    if disk.chain.passed < Passed.COUNT:
        raise disk.reject(INVALID_SEQUENCE)
    format_behind(disk, channel, disk.here()[: disk.chain.record + 1])


@command(0x15)
def write_record_0(disk: Disk, channel: Channel, code: int) -> None:
    may_write(disk, code)
    if disk.chain.passed > Passed.HOME:
        raise disk.reject(INVALID_SEQUENCE)
    format_behind(disk, channel, [])


@command(0x11)
def erase(disk: Disk, channel: Channel, code: int) -> None:
    """What lies behind the record that went by. The record that the channel sends is not looked at."""
    may_write(disk, code)
    if disk.chain.passed < Passed.COUNT:
        raise disk.reject(INVALID_SEQUENCE)
    channel.take_up_to(TRACK_BYTES)
    del disk.here()[disk.chain.record + 1 :]
    written(disk, "record")


@command(0x19)
def write_home_address(disk: Disk, channel: Channel, code: int) -> None:
    """It cannot be another than it was. Behind it there is nothing but an empty record 0 then."""
    may_write(disk, code)
    if disk.chain.passed > Passed.HOME:
        raise disk.reject(INVALID_SEQUENCE)
    address = home_address(disk)
    if disk.parameters(channel, 5) != address:
        raise disk.reject(INVALID_PARAMETER)
    disk.here()[:] = [Block.formatted(address[1:] + b"\0\0\0\x08", b"")]
    written(disk, "home address written")
    disk.chain.passed = Passed.HOME

# SPDX-License-Identifier: GPL-2.0-or-later
"""Locate Record Extended, Prefix, and the commands for whole tracks, as Linux' dasd_eckd uses them."""

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
from .locate import (
    EXTENDED,
    FORMAT_WRITE,
    ORIENT,
    READ,
    READ_DATA,
    READ_TRACKS,
    WRITE_DATA,
    WRITE_TRACK,
    may_locate,
    set_extent,
    set_location,
)
from .read import one_operation_less
from .storage import Check
from .track import TRACK_BYTES, Block, Track, fits
from .write import ALL_WRITES, NO_WRITES

WRITE_FULL_TRACK, WRITE_TRACK_DATA = 0x11, 0x23
END_OF_TRACK = b"\xff" * 8


@command(0x4B)
def locate_record_extended(disk: Disk, channel: Channel, code: int) -> None:
    data = disk.parameters(channel, 20)
    may_locate(disk)
    locate(disk, channel, data)


@command(0xE7)
def prefix(disk: Disk, channel: Channel, code: int) -> None:
    """Define Extent and, in format 1, Locate Record Extended behind it."""
    data = disk.parameters(channel, 64)
    if data[0] > 1 or not data[1] & 0x80:
        raise disk.reject(INVALID_PARAMETER)
    if data[1] & 0x20 and data[2] != disk.unit_address:
        raise disk.reject(INVALID_PARAMETER)
    set_extent(disk, data[12:28])
    if data[0] == 1:
        locate(disk, channel, data[44:])


def locate(disk: Disk, channel: Channel, data: bytes) -> None:
    """Parameters of a Locate Record Extended; its extended parameters follow in the channel's data."""
    operation, extended, size = data[0] & 0x3F, data[17], int.from_bytes(data[18:20], "big")
    length = int.from_bytes(data[14:16], "big")
    ordinary = operation in (ORIENT, WRITE_DATA, FORMAT_WRITE, READ_DATA, WRITE_TRACK, READ_TRACKS, READ)
    if not ordinary and (operation != EXTENDED or extended not in (WRITE_FULL_TRACK, WRITE_TRACK_DATA)):
        raise disk.reject(INVALID_PARAMETER)
    if size > 2:
        raise disk.reject(INVALID_PARAMETER)
    parameters = disk.parameters(channel, size) if size else b""
    tracks = f"{int.from_bytes(parameters.ljust(2, bytes(1)), 'big'):016b}"
    if operation == EXTENDED and extended == WRITE_FULL_TRACK and (tracks[0] != "1" or tracks.count("1") != data[3]):
        raise disk.reject(INVALID_PARAMETER)
    set_location(disk, data[:16])
    disk.chain.extended, disk.chain.length, disk.chain.track_set = extended, length, int(tracks, 2)


def announced(disk: Disk, operation: int, extended: int | None = None) -> None:
    chain = disk.chain
    if not chain.operations or chain.operation != operation or (extended and chain.extended != extended):
        raise disk.reject(INVALID_SEQUENCE)


def may_write_tracks(disk: Disk, permitted: bool, extended: int) -> None:
    if disk.read_only:
        raise disk.unit_check(REJECT, INHIBITED)
    if not permitted:
        raise disk.reject(INVALID_SEQUENCE)
    announced(disk, EXTENDED, extended)


def next_track(disk: Disk) -> None:
    """The first command of a domain is for the track that was located, each other one for the next."""
    if disk.chain.track_passed:
        disk.next_track()
    disk.chain.track_passed = True


def first_data(disk: Disk) -> None:
    next_track(disk)
    if disk.chain.passed != Passed.COUNT:
        disk.next_user_count(False)


def operation_ends(disk: Disk, passed: Passed) -> None:
    disk.chain.passed = passed
    one_operation_less(disk)


@command(0xDE)
def read_track(disk: Disk, channel: Channel, code: int) -> None:
    """Everything behind the home address, the end mark included."""
    announced(disk, READ_TRACKS)
    next_track(disk)
    channel.give(b"".join(block.count + block.key + block.data for block in disk.here()) + END_OF_TRACK)
    operation_ends(disk, Passed.INDEX)


@command(0xA6)
def read_track_data(disk: Disk, channel: Channel, code: int) -> None:
    """The data of all records from here on; of the last track as much as the transfer-length factor says."""
    announced(disk, READ_TRACKS)
    first_data(disk)
    chain = disk.chain
    data = b"".join(block.data for block in disk.here()[chain.record :])
    channel.give(data[: chain.length] if chain.operations == 1 and chain.length else data)
    chain.record = len(disk.here()) - 1
    operation_ends(disk, Passed.DATA)


@command(0x5E)
def read_multiple_count_key_data(disk: Disk, channel: Channel, code: int) -> None:
    disk.next_user_count(False)
    channel.give(b"".join(block.count + block.key + block.data for block in disk.here()[disk.chain.record :]))
    disk.chain.record = len(disk.here()) - 1
    disk.chain.passed = Passed.DATA
    disk.chain.index_passes = 0


@command(0x95)
def write_full_track(disk: Disk, channel: Channel, code: int) -> None:
    """All records of a track at once, or nothing."""
    chain = disk.chain
    may_write_tracks(disk, chain.mask & 0xC0 == ALL_WRITES, WRITE_FULL_TRACK)
    while chain.track_passed:
        disk.next_track()
        chain.track_set = chain.track_set << 1 & 0xFFFF
        if chain.track_set & 0x8000 or not chain.track_set:
            break
    chain.track_passed = True
    disk.here()[:] = take_records(disk, channel)
    operation_ends(disk, Passed.INDEX)


def take_records(disk: Disk, channel: Channel) -> Track:
    """Record 0 and others behind it, and a count field of ones."""
    records: Track = []
    while True:
        count = channel.take(8)
        if count == END_OF_TRACK and records:
            return records
        if len(count) < 8 or count == END_OF_TRACK or bool(records) != bool(count[4]):
            raise disk.unit_check(0, INVALID_FORMAT)
        block = Block.formatted(count, b"")
        if records and not fits(records, block):
            raise disk.unit_check(0, INVALID_FORMAT)
        if 5 + block.size + 8 > TRACK_BYTES:
            raise disk.unit_check(0, INVALID_FORMAT)
        content = channel.take(block.size - 8)
        if len(content) < block.size - 8:
            raise disk.unit_check(0, INVALID_FORMAT)
        records.append(Block.formatted(count, content))


@command(0xA5)
def write_track_data(disk: Disk, channel: Channel, code: int) -> None:
    """The data of records of one length, as long as data come."""
    chain = disk.chain
    may_write_tracks(disk, chain.mask & 0xC0 != NO_WRITES, WRITE_TRACK_DATA)
    first_data(disk)
    last = len(disk.here()) - 1
    while True:
        block = disk.block()
        if len(block.data) != chain.length:
            raise disk.unit_check(0, INVALID_FORMAT)
        data = bytearray()
        try:
            channel.take_into(data, len(block.data))
        except Check:
            if data:
                disk.here()[chain.record] = Block.formatted(block.count, block.key + data)
            raise
        disk.here()[chain.record] = Block.formatted(block.count, block.key + data)
        if chain.record == last or not channel.count:
            break
        chain.record += 1
    operation_ends(disk, Passed.DATA)

# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading. A record without data is an end of file: unit exception."""

from __future__ import annotations

from .channel import Channel
from .eckd import INVALID_SEQUENCE, Disk, Passed, command
from .locate import READ, READ_DATA, home_address

UNIT_EXCEPTION = 0x01


def may_read(disk: Disk) -> None:
    """Within the domain of a Locate Record, only what it announced."""
    if disk.chain.operations and (disk.only_a_count_is_left or disk.chain.operation not in (READ_DATA, READ)):
        raise disk.reject(INVALID_SEQUENCE)


def one_operation_less(disk: Disk) -> None:
    disk.chain.index_passes = 0
    disk.chain.operations = max(0, disk.chain.operations - 1)


def end_of_file(channel: Channel, data: bytes) -> None:
    """Said with the ending, whatever the channel meets in between."""
    if not data:
        channel.device_status |= UNIT_EXCEPTION


@command(0x06, 0x86, 0x0E, 0x8E, 0x1E, 0x9E)
def read_record(disk: Disk, channel: Channel, code: int) -> None:
    """Read Data, Read Key and Data, Read Count Key and Data."""
    may_read(disk)
    kind, chain = code & 0x7F, disk.chain
    still_to_come = {0x06: (Passed.COUNT, Passed.KEY), 0x0E: (Passed.COUNT,), 0x1E: ()}[kind]
    if chain.passed not in still_to_come:
        disk.next_user_count(bool(code & 0x80))
    block = disk.block()
    end_of_file(channel, block.data)
    channel.give({0x06: b"", 0x0E: block.key, 0x1E: block.count + block.key}[kind] + block.data)
    chain.passed = Passed.DATA
    chain.before.passed(code)
    one_operation_less(disk)


@command(0x12, 0x92)
def read_count(disk: Disk, channel: Channel, code: int) -> None:
    if not disk.only_a_count_is_left or code != 0x92:
        may_read(disk)
    disk.next_user_count(bool(code & 0x80))
    channel.give(disk.block().count)
    one_operation_less(disk)


@command(0x16, 0x96)
def read_record_0(disk: Disk, channel: Channel, code: int) -> None:
    may_read(disk)
    if code & 0x80 and disk.chain.passed >= Passed.COUNT:
        disk.next_track()
    block = disk.here()[0]
    disk.chain.record, disk.chain.passed = 0, Passed.DATA
    channel.give(block.count + block.key + block.data)
    one_operation_less(disk)


@command(0x1A, 0x9A)
def read_home_address(disk: Disk, channel: Channel, code: int) -> None:
    may_read(disk)
    if code & 0x80 and disk.chain.passed != Passed.INDEX:
        disk.next_track()
    disk.chain.passed = Passed.HOME
    channel.give(home_address(disk))
    one_operation_less(disk)


@command(0x02)
def read_ipl(disk: Disk, channel: Channel, code: int) -> None:
    """Record 1 of cylinder 0, head 0."""
    chain = disk.chain
    if chain.extent_defined or chain.mask_set or chain.ipl_read:
        raise disk.reject(INVALID_SEQUENCE)
    chain.index_passes = 0
    chain.ipl_read = chain.before.located = True
    disk.move_to(0)
    disk.next_user_count(False)
    chain.index_passes = 0
    data = disk.block().data
    end_of_file(channel, data)
    channel.give(data)
    chain.passed = Passed.DATA

# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands that say where and what: Define Extent, Locate Record, seeks, file mask, searches."""

from __future__ import annotations

from .channel import CHANNEL_END_DEVICE_END, STATUS_MODIFIER, Channel, UnitStatus
from .eckd import FILE_PROTECTED, INVALID_PARAMETER, INVALID_SEQUENCE, TOO_SHORT, Disk, Passed, command

ORIENT, WRITE_DATA, FORMAT_WRITE, READ_DATA, WRITE_TRACK, READ = 0x00, 0x01, 0x03, 0x06, 0x0B, 0x16
READ_TRACKS, EXTENDED = 0x0C, 0x3F
READ_COUNT_SUFFIX = 0x01
"""In the auxiliary byte: the last command of the domain is a multitrack Read Count."""
WRITES = (WRITE_DATA, FORMAT_WRITE, WRITE_TRACK, EXTENDED)
ORIENTATIONS = {
    ORIENT: (0x00, 0x40, 0x80),
    WRITE_DATA: (0x00, 0x80),
    FORMAT_WRITE: (0x00, 0x40, 0xC0),
    READ_DATA: (0x00, 0x40, 0x80),
    READ_TRACKS: (0x00, 0x40),
    READ: (0x00, 0x40, 0x80, 0xC0),
}
"""To the count, home address, data or index: which can go with an operation; else to the count only."""


@command(0x63)
def define_extent(disk: Disk, channel: Channel, code: int) -> None:
    set_extent(disk, disk.parameters(channel, 16))


def set_extent(disk: Disk, data: bytes) -> None:
    chain = disk.chain
    if chain.extent_defined or chain.mask_set or chain.ipl_read:
        raise disk.reject(INVALID_SEQUENCE)
    if data[1] & 0xC0 != 0xC0:
        raise disk.reject(INVALID_PARAMETER)
    first, last = disk.track_at(data[8:12]), disk.track_at(data[12:16])
    if first > last:
        raise disk.reject(INVALID_PARAMETER)
    chain.extent_defined = True
    chain.mask, chain.first, chain.last = data[0], first, last
    chain.conversion = bool(data[1] & 0x20)
    disk.move_to(first)


@command(0x47)
def locate_record(disk: Disk, channel: Channel, code: int) -> None:
    data = disk.parameters(channel, 16)
    may_locate(disk)
    if data[0] & 0x3F not in (ORIENT, WRITE_DATA, FORMAT_WRITE, READ_DATA, WRITE_TRACK, READ):
        raise disk.reject(INVALID_PARAMETER)
    set_location(disk, data)


def may_locate(disk: Disk) -> None:
    if not disk.chain.extent_defined:
        raise disk.reject(INVALID_SEQUENCE)


def set_location(disk: Disk, data: bytes) -> None:
    """What Locate Record and Locate Record Extended have in common: the first 16 bytes."""
    chain = disk.chain
    orientation, operation, count = data[0] & 0xC0, data[0] & 0x3F, data[3]
    length = int.from_bytes(data[14:16], "big")
    if (operation == ORIENT) != (count == 0) or orientation not in ORIENTATIONS.get(operation, (0x00,)):
        raise disk.reject(INVALID_PARAMETER)
    suffix = data[1] & READ_COUNT_SUFFIX
    if data[1] & 0x7E or (suffix and (count < 2 or operation not in (WRITE_DATA, READ))):
        raise disk.reject(INVALID_PARAMETER)
    if data[2] or 224 <= data[13] < 0xFF or (length and not data[1] & 0x80):
        raise disk.reject(INVALID_PARAMETER)
    track = disk.track_at(data[4:8])
    if operation in WRITES and chain.mask & 0xC0 == 0x40:
        raise disk.reject(INVALID_SEQUENCE)
    chain.before.located = True
    disk.move_to(track)
    orient(disk, orientation, data[8:13])
    chain.index_passes = 0
    chain.track_passed = False
    chain.operation, chain.operations = operation, count
    chain.announced, chain.updates = data, set()


def orient(disk: Disk, orientation: int, argument: bytes) -> None:
    """To the count (00) or data (80) of the record searched for, to the home address (40) or to the index (C0)."""
    chain = disk.chain
    if orientation == 0x40:
        chain.passed = Passed.HOME
        return
    if orientation == 0xC0:
        chain.passed = Passed.INDEX
        return
    for chain.record, block in enumerate(disk.here()):
        if block.count[:5] == argument:
            chain.passed = Passed.DATA if orientation else Passed.COUNT
            return
    raise disk.unit_check(0, 0x08)


@command(0x07, 0x0B, 0x1B)
def seek(disk: Disk, channel: Channel, code: int) -> None:
    """Seek, Seek Cylinder, Seek Head: what the file mask's bits 3-4 still permit differs."""
    data = disk.parameters(channel, 6)
    if disk.chain.mask & 0x18 > {0x07: 0x00, 0x0B: 0x08, 0x1B: 0x10}[code]:
        raise disk.unit_check(0, FILE_PROTECTED)
    if data[:2] != b"\0\0":
        raise disk.reject(INVALID_PARAMETER)
    track = disk.track_at(data[2:])
    if code == 0x1B:
        track = disk.chain.track - disk.chain.track % 15 + track % 15
    start_anew(disk, track)


@command(0x13)
def recalibrate(disk: Disk, channel: Channel, code: int) -> None:
    if disk.chain.mask & 0x18:
        raise disk.unit_check(0, FILE_PROTECTED)
    start_anew(disk, 0)


def start_anew(disk: Disk, track: int) -> None:
    disk.chain.index_passes = 0
    disk.chain.before.located = True
    disk.move_to(track)


@command(0x1F)
def set_file_mask(disk: Disk, channel: Channel, code: int) -> None:
    data = disk.parameters(channel, 1)
    if disk.chain.extent_defined or disk.chain.mask_set:
        raise disk.reject(INVALID_SEQUENCE)
    disk.chain.mask = data[0]
    disk.chain.mask_set = True


@command(0x23)
def set_sector(disk: Disk, channel: Channel, code: int) -> None:
    sector = disk.parameters(channel, 1)[0]
    if sector >= 224 and sector != 0xFF:
        raise disk.reject(INVALID_PARAMETER)


# --- searches: a satisfied one makes the channel skip a CCW


def ends(disk: Disk, code: int, field: str, found: bytes, argument: bytes) -> None:
    """Compare as many bytes as the program sent. A write may follow when all of the field are equal."""
    if argument == found:
        disk.chain.before.found_equal(field)
    found = found[: len(argument)]
    satisfied = bool(argument) and ((code & 0x20 and found == argument) or (code & 0x40 and found > argument))
    if satisfied:
        raise UnitStatus(CHANNEL_END_DEVICE_END | STATUS_MODIFIER)


@command(0x31, 0x51, 0x71, 0xB1, 0xD1, 0xF1)
def search_id(disk: Disk, channel: Channel, code: int) -> None:
    disk.next_count(bool(code & 0x80), searching=True)
    argument = channel.take(5)
    if not argument:
        raise disk.reject(TOO_SHORT)
    ends(disk, code, "id", disk.block().count[:5], argument)


@command(0x29, 0x49, 0x69, 0xA9, 0xC9, 0xE9)
def search_key(disk: Disk, channel: Channel, code: int) -> None:
    """The key of the record whose count field has just gone by, else of the next that has one."""
    if disk.chain.passed != Passed.COUNT:
        disk.next_count(bool(code & 0x80), searching=True)
    while not disk.block().key or disk.chain.record == 0:
        disk.next_count(bool(code & 0x80), searching=True)
    key = disk.block().key
    disk.chain.passed = Passed.KEY
    ends(disk, code, "key", key, channel.take(len(key)))


@command(0x39, 0xB9)
def search_home_address(disk: Disk, channel: Channel, code: int) -> None:
    if code & 0x80 and disk.chain.passed != Passed.INDEX:
        disk.next_track()
    argument = channel.take(4)
    disk.chain.passed = Passed.HOME
    ends(disk, 0x20, "home address", home_address(disk)[1:], argument)


def home_address(disk: Disk) -> bytes:
    cylinder, head = divmod(disk.chain.track, 15)
    return b"\0" + (cylinder & 0xFFFF).to_bytes(2, "big") + (cylinder >> 16 << 4 | head).to_bytes(2, "big")

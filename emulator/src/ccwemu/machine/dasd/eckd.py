# SPDX-License-Identifier: GPL-2.0-or-later
"""The channel programs of an ECKD disk, as Linux's dasd_eckd builds them (no Prefix, no track mode, no zHPF).

Pure of I/O. Tracks are counted from 0 over the whole disk, records on a track from 1, blocks from 0 over the disk.
Source: 3990 Storage Control Reference; Linux drivers/s390/block/dasd_eckd.{c,h}.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum

from ccwemu.machine.ccwdriver import Ccw
from ccwemu.machine.dasd.program import SUPPRESS_LENGTH

NOP = 0x03
BASIC_SENSE = 0x04
READ_COUNT = 0x12
PERFORM_SUBSYSTEM_FUNCTION = 0x27
READ_SUBSYSTEM_DATA = 0x3E
LOCATE_RECORD = 0x47
DEFINE_EXTENT = 0x63
READ_DEVICE_CHARACTERISTICS = 0x64
WRITE_MT = 0x85
READ_MT = 0x86
WRITE_KD_MT = 0x8D
READ_KD_MT = 0x8E
READ_CONFIGURATION_DATA = 0xFA

MAX_BLOCKS = 190
"""Blocks of one request (DASD_ECKD_MAX_BLOCKS)."""

BLOCK_SIZES = (512, 1024, 2048, 4096)

CDL_TRACK0 = (28, 148, 84)
"""Key and data bytes of the three records that begin a disk of compatible layout: IPL1, IPL2, VOL1."""
CDL_LABEL = 140
"""Key and data bytes of each record of its second track, the VTOC."""

# Define Extent: mask (permission in bits 0-1), attributes (mode 3 in bits 0-1, cache use in bits 3-5).
_PERMIT_READ = 0x40
_PERMIT_WRITE = 0x80
_ECKD_MODE = 0xC0
_BYPASS_CACHE = 0x04
_REGULAR_DATA_FORMAT = 0x40
_REGULAR_CONTROL_UNITS = (0x2105, 0x2107, 0x1750)

# Locate Record: operation, and auxiliary bit 0: the length field is used.
_WRITE_DATA = 0x01
_READ_DATA = 0x06
_LENGTH_USED = 0x80

PRSSD = 0x18
SET_CHARACTERISTICS = 0x1D
SUBORDER_FEATURES = 0x41
SUBORDER_UNIT_ADDRESSES = 0x0E
SUBORDER_HOST_ACCESS = 0x1C
SUBORDER_VOLUME_STORAGE = 0x52
SUBORDER_LOGICAL_CONFIGURATION = 0x53
SUBSYSTEM_DATA = {
    SUBORDER_FEATURES: (256, 0),
    SUBORDER_UNIT_ADDRESSES: (512, SUPPRESS_LENGTH),
    SUBORDER_HOST_ACCESS: (16410, SUPPRESS_LENGTH),
    SUBORDER_VOLUME_STORAGE: (28, SUPPRESS_LENGTH),
    SUBORDER_LOGICAL_CONFIGURATION: (3616, SUPPRESS_LENGTH),
}
"""Suborder → bytes that Read Subsystem Data asks for, CCW flags."""


RESERVATION = {"reserve": 0xB4, "release": 0x94, "steal": 0x14}
"""What the ioctls BIODASDRSRV, BIODASDRLSE and BIODASDSLCK send."""
RESERVATION_SIZE = 32
"""Bytes that each of them reads: sense data (dasd_eckd_reserve, dasd_eckd_release, dasd_eckd_steal_lock)."""


class Layout(Enum):
    """What the analysis of tracks 0 and 1 found."""

    CDL = "compatible disk layout"
    LDL = "linux disk layout"
    UNFORMATTED = "unformatted"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True)
class Geometry:
    """Where blocks are: cylinders, heads (tracks per cylinder); layout and block size (bytes) once analysed."""

    cylinders: int
    heads: int
    cu_type: int = 0x3990
    layout: Layout = Layout.UNFORMATTED
    block_size: int = 0

    @property
    def blocks_per_track(self) -> int:
        return records_per_track(0, self.block_size) if self.block_size else 0

    @property
    def blocks(self) -> int:
        return self.cylinders * self.heads * self.blocks_per_track


def _ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)


def records_per_track(key_length: int, data_length: int) -> int:
    """Equal records on a track of a 3390 (its calculation formula: 1729 cells of 34 bytes)."""
    cells = 10 + 9 + _ceil(data_length + 6 * (_ceil(data_length + 6, 232) + 1), 34)
    if key_length:
        cells += 9 + _ceil(key_length + 6 * (_ceil(key_length + 6, 232) + 1), 34)
    return 1729 // cells


def sector_of(record: int, length: int) -> int:
    """The angular position at which a 3390 finds a record among equal ones; 0 where none is named."""
    if not record:
        return 0
    data_cells = 9 + _ceil(length + 6 * (_ceil(length + 6, 232) + 1), 34)
    return (49 + (record - 1) * (10 + data_cells)) // 8


def track_address(track: int, heads: int) -> bytes:
    """CCHH: the cylinder's bits above 16 lie in the upper 12 bits of the head."""
    cylinder, head = divmod(track, heads)
    return struct.pack(">HH", cylinder & 0xFFFF, cylinder >> 16 << 4 | head)


def define_extent(geometry: Geometry, first: int, last: int, command: int) -> Ccw:
    """Define Extent over the tracks ``first``..``last`` for the command that follows."""
    mask = _PERMIT_WRITE if command in (WRITE_MT, WRITE_KD_MT) else _PERMIT_READ
    attributes = _ECKD_MODE | (_BYPASS_CACHE if command == READ_COUNT else 0)
    # Tracks 0 and 1 of a disk of compatible layout have records of other sizes: no regular data format there.
    irregular = geometry.layout is Layout.CDL and first < 2
    extended = _REGULAR_DATA_FORMAT if geometry.cu_type in _REGULAR_CONTROL_UNITS and not irregular else 0
    head = struct.pack(">BBHHBB", mask, attributes, 0, 0, 0, extended)
    return Ccw(DEFINE_EXTENT, head + track_address(first, geometry.heads) + track_address(last, geometry.heads))


def locate_record(geometry: Geometry, track: int, record: int, count: int, command: int, length: int) -> Ccw:
    """Locate Record for ``count`` records from ``record`` (0: the beginning of the track) of ``length`` bytes each."""
    operation = _WRITE_DATA if command in (WRITE_MT, WRITE_KD_MT) else _READ_DATA
    auxiliary = 0 if command == READ_COUNT else _LENGTH_USED
    used_length = 0 if command == READ_COUNT else length
    address = track_address(track, geometry.heads)
    return Ccw(
        LOCATE_RECORD,
        struct.pack(">BBBB", operation, auxiliary, 0, count)
        + address
        + address
        + struct.pack(">BBH", record, sector_of(record, length), used_length),
    )


def analysis_program(geometry: Geometry) -> list[Ccw]:
    """Read the count fields that tell the layout: records 1-4 of track 0, record 1 of track 1."""
    count = Ccw(READ_COUNT, 8)
    return [
        define_extent(geometry, 0, 1, READ_COUNT),
        locate_record(geometry, 0, 0, 4, READ_COUNT, 0),
        count,
        count,
        count,
        count,
        locate_record(geometry, 1, 0, 1, READ_COUNT, 0),
        count,
    ]


ANALYSIS_COUNTS = (2, 3, 4, 5, 7)
"""The CCWs of :func:`analysis_program` that bring a count field."""


def analyse(counts: list[bytes]) -> tuple[Layout, int]:
    """Layout and block size from the five count fields of 8 bytes (cylinder, head, record, key and data length)."""
    fields = [struct.unpack(">HHBBH", count) for count in counts]
    expected = [(0, 0, 1), (0, 0, 2), (0, 0, 3), (0, 0, 4), (0, 1, 1)]
    in_place = [field[:3] == place for field, place in zip(fields, expected, strict=True)]
    if all(
        placed and key == 4 and data == length - 4
        for placed, (*_address, key, data), length in zip(in_place[:3], fields[:3], CDL_TRACK0, strict=True)
    ):
        layout, block = Layout.CDL, fields[3]
    elif all(in_place) and all(field[3] == 0 and field[4] == fields[0][4] for field in fields):
        layout, block = Layout.LDL, fields[0]
    else:
        return Layout.UNSUPPORTED, 0
    if block[3] != 0 or block[4] not in BLOCK_SIZES:
        return Layout.UNSUPPORTED, 0
    return layout, block[4]


def special_length(geometry: Geometry, block: int) -> int:
    """Bytes of key and data of a block that is no ordinary one (tracks 0 and 1 of compatible layout), else 0."""
    if geometry.layout is not Layout.CDL:
        return 0
    if block < len(CDL_TRACK0):
        return CDL_TRACK0[block]
    per_track = geometry.blocks_per_track
    return CDL_LABEL if per_track <= block < 2 * per_track else 0


def read_program(geometry: Geometry, block: int, count: int) -> list[Ccw]:
    """Read ``count`` blocks from ``block`` on; a special block brings its key and data only."""
    return _block_program(geometry, block, count, None)


def write_program(geometry: Geometry, block: int, data: bytes | memoryview) -> list[Ccw]:
    """Write whole blocks from ``block`` on; of a special block's data only its first bytes are taken."""
    return _block_program(geometry, block, len(data) // geometry.block_size, memoryview(data))


def _block_program(geometry: Geometry, block: int, count: int, data: memoryview | None) -> list[Ccw]:
    size, per_track = geometry.block_size, geometry.blocks_per_track
    command, key_command = (READ_MT, READ_KD_MT) if data is None else (WRITE_MT, WRITE_KD_MT)
    end = block + count
    # Ordinary blocks need one Locate Record in all; each block of the first two tracks of compatible layout its own.
    ordinary = 2 * per_track if geometry.layout is Layout.CDL else 0
    program = [define_extent(geometry, block // per_track, (end - 1) // per_track, command)]
    for number in range(block, end):
        track, before = divmod(number, per_track)
        length = special_length(geometry, number) or size
        used = command if length == size else key_command
        if number < ordinary:
            program.append(locate_record(geometry, track, before + 1, 1, used, length))
        elif number == max(block, ordinary):
            program.append(locate_record(geometry, track, before + 1, end - number, command, size))
        at = (number - block) * size
        program.append(Ccw(used, length if data is None else bytes(data[at : at + length])))
    return program


def blocks_from(geometry: Geometry, count: int, data: tuple[bytes | None, ...]) -> bytes:
    """The blocks that :func:`read_program` brought; what a special record lacks to a block is filled with 0xE5."""
    size = geometry.block_size
    blocks = [piece if len(piece) == size else piece.ljust(size, b"\xe5") for piece in data if piece is not None]
    if len(blocks) != count:
        raise ValueError(f"{len(blocks)} blocks came for {count}")
    return b"".join(blocks)


def host_access_count(data: bytes) -> int:
    """How many systems have a path group, by the data of the suborder host access (dasd_eckd_host_access_count)."""
    size, count = data[17], int.from_bytes(data[18:20], "big")
    return sum(bool(data[20 + index * size] & 0x10) for index in range(count))


def extent_size(data: bytes | None, pool: int) -> int:
    """Cylinders of an extent of a pool, by the logical configuration query; 0: it tells nothing of the pool.

    Linux: dasd_eckd_cpy_ext_pool_data and dasd_eckd_ext_size.
    """
    data = data or b""
    for at in range(32, 32 + 8 * int.from_bytes(data[2:4], "big"), 8):
        if int.from_bytes(data[at : at + 2], "big") == pool and data[at + 4] & 0x08:
            return 1113 if data[at + 6] & 0x40 else 21 if data[at + 6] & 0x01 else 0
    return 0


def subsystem_data_program(suborder: int, lss: int, volume: int) -> list[Ccw]:
    """Perform Subsystem Function (prepare for read subsystem data) and Read Subsystem Data."""
    length, flags = SUBSYSTEM_DATA[suborder]
    order = bytes((PRSSD, 0, 0, 0, lss, volume, suborder)).ljust(12, b"\0")
    return [Ccw(PERFORM_SUBSYSTEM_FUNCTION, order), Ccw(READ_SUBSYSTEM_DATA, length, flags)]


def subsystem_characteristics_program(parallel_access: bool) -> list[Ccw]:
    """Set Subsystem Characteristics: this system knows 3390 model A and, where wanted, parallel access volumes."""
    suborder = 0xC0 | (0x08 if parallel_access else 0)
    order = bytes((SET_CHARACTERISTICS, 0, 0, 0, 0, 0, suborder)).ljust(66, b"\0")
    return [Ccw(PERFORM_SUBSYSTEM_FUNCTION, order)]

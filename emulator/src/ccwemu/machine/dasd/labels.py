# SPDX-License-Identifier: GPL-2.0-or-later
"""Volume label and VTOC of a Linux disk: found as Linux's ibm partition parser does, made as dasdfmt and fdasd do.

Pure of I/O: parsing gets a function that reads a block. Texts on the disk are EBCDIC (code page 037).
Sectors are 512 bytes. Blocks and tracks are counted from 0 over the disk.
Source: Linux block/partitions/ibm.c, asm/vtoc.h; z/OS DFSMSdfp Advanced Services (DSCB formats 1, 4, 5).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from ccwemu.machine.dasd.eckd import Geometry, Layout

SECTOR = 512
LABEL_BLOCK = 2
"""The volume label is the third record of the disk, whatever the layout."""
MAX_PARTITIONS = 3

ReadBlock = Callable[[int], bytes]

VTOC_TRACK = 1
FIRST_DATA_TRACK = 2
MAX_CYLINDERS = 65520
"""Above it a data set needs format-8 and format-9 DSCBs."""
_DATA_DSCB = ("1", "8")
_OTHER_DSCB = ("4", "5", "7", "9")

VOLSER = re.compile(r"^[A-Z0-9@#$]{1,6}$")


@dataclass(frozen=True)
class Partition:
    """A partition: number from 1, start and length in sectors, and its data set's name if it has one."""

    number: int
    start_sector: int
    sectors: int
    data_set: str = ""


@dataclass(frozen=True)
class Labels:
    """What was found: kind (VOL1, LNX1, CMS1, nonl or ""), volume serial, partitions."""

    kind: str = ""
    volser: str = ""
    partitions: tuple[Partition, ...] = ()

    def announcement(self, disk: str) -> str:
        """The line of the kernel log: `` dasda:VOL1/  0X7E52: dasda1``."""
        kind = f"{self.kind}/{self.volser:>8}:" if self.kind in ("VOL1", "LNX1", "CMS1") else ""
        if self.kind == "nonl":
            kind = "(nonl)"
        return f" {disk}:{kind}" + "".join(f" {disk}{partition.number}" for partition in self.partitions)


def ebcdic(text: str, length: int) -> bytes:
    """A text in EBCDIC, padded with blanks."""
    return text.encode("cp037").ljust(length, b"\x40")


def _text(data: bytes) -> str:
    return data.decode("cp037")


# --- finding ----------------------------------------------------------------------------------------------------


def find(geometry: Geometry, read_block: ReadBlock) -> Labels:
    """The label and partitions of an analysed disk. ``read_block`` raises OSError, which passes through."""
    label = read_block(LABEL_BLOCK)
    kind = _text(label[:4])
    if kind == "VOL1":
        return _find_in_vtoc(geometry, label, read_block)
    if kind in ("LNX1", "CMS1"):
        return Labels(kind, _text(label[4:10]).rstrip(), (_rest(geometry, label if kind == "LNX1" else b""),))
    if geometry.layout is Layout.LDL:
        return Labels("nonl", "", (_rest(geometry, b""),))
    return Labels()


def _rest(geometry: Geometry, label: bytes) -> Partition:
    """The one partition of a disk of linux layout: everything behind the label."""
    per_block = geometry.block_size // SECTOR
    blocks = geometry.blocks
    # Version "2" of the label says how many blocks were formatted, of a volume that may have grown since.
    if len(label) >= 88 and label[79] == 0xF2:
        blocks = int.from_bytes(label[80:88], "big")
    start = (LABEL_BLOCK + 1) * per_block
    return Partition(1, start, blocks * per_block - start)


def _track_of(address: bytes, heads: int) -> int:
    """The track that a CCHH names; the head's upper 12 bits are the cylinder's bits above 16."""
    low, head = int.from_bytes(address[:2], "big"), int.from_bytes(address[2:4], "big")
    return ((head & 0xFFF0) << 12 | low) * heads + (head & 0x000F)


def _find_in_vtoc(geometry: Geometry, label: bytes, read_block: ReadBlock) -> Labels:
    """Data sets in the VTOC that a VOL1 label points to (its key and 4 bytes "VOL1" come first)."""
    volser, pointer = _text(label[8:14]).rstrip(" \0"), label[15:20]
    per_track, per_block = geometry.blocks_per_track, geometry.block_size // SECTOR
    # The pointer counts records from 1; the first is always the format-4 DSCB, so the search begins behind it.
    block = _track_of(pointer, geometry.heads) * per_track + pointer[4] + 1
    found: list[Partition] = []
    while len(found) < MAX_PARTITIONS and block < geometry.blocks:
        dscb = read_block(block)
        block += 1
        kind = _text(dscb[44:45])
        if kind in _OTHER_DSCB:
            continue
        if kind not in _DATA_DSCB:
            break
        first = _track_of(dscb[107:111], geometry.heads)
        last = _track_of(dscb[111:115], geometry.heads)
        found.append(
            Partition(
                len(found) + 1,
                first * per_track * per_block,
                (last - first + 1) * per_track * per_block,
                _text(dscb[:44]).rstrip(),
            )
        )
    return Labels("VOL1", volser, tuple(found))


# --- making -----------------------------------------------------------------------------------------------------


def check_volser(volser: str) -> str:
    """The volume serial in capitals. Raises ValueError."""
    capitals = volser.upper()
    if not VOLSER.match(capitals):
        raise ValueError(f"volume serial {volser!r}: 1 to 6 characters of A-Z, 0-9, @, #, $ are expected")
    return capitals


def data_set_name(volser: str) -> str:
    """The name that fdasd gives a disk's first partition."""
    return f"LINUX.V{volser}.PART0001.NATIVE"


def ipl_records() -> tuple[bytes, bytes]:
    """Key and data of the two IPL records of a disk that nothing boots from: a disabled wait, a read of no record."""
    wait_psw = bytes.fromhex("000a00000000000f")
    no_operation = bytes.fromhex("0300000020000001")
    first = ebcdic("IPL1", 4) + (wait_psw + no_operation).ljust(24, b"\0")
    return first, ebcdic("IPL2", 4) + bytes(144)


def volume_label(volser: str) -> bytes:
    """Key and data (84 bytes) of the VOL1 label; the VTOC begins at cylinder 0, head 1, record 1."""
    vtoc = struct.pack(">HHB", 0, VTOC_TRACK, 1)
    data = ebcdic("VOL1", 4) + ebcdic(volser, 6) + b"\x40" + vtoc
    return ebcdic("VOL1", 4) + data.ljust(80, b"\x40")


def _extent(kind: int, first: int, last: int, heads: int) -> bytes:
    def address(track: int) -> bytes:
        return struct.pack(">HH", *divmod(track, heads))

    return bytes((kind, 0)) + address(first) + address(last)


def vtoc_dscb(cylinders: int, heads: int, per_track: int, data_sets: int) -> bytes:
    """The format-4 DSCB (140 bytes): the device, and the VTOC of one track with what is left in it."""
    last = struct.pack(">HHB", 0, VTOC_TRACK, 2 + data_sets) if data_sets else bytes(5)
    device = struct.pack(">HHHBBBBHBB", cylinders, heads, 58786, 0, 0, 0, 0x30, 0, per_track, 0)
    dscb = b"\x04" * 44 + b"\xf4" + last + struct.pack(">H", per_track - 2 - data_sets)
    dscb += bytes(4) + bytes(2) + b"\x00\x01" + bytes(2) + device
    dscb += bytes(8 + 3 + 8 + 5 + 5) + _extent(0x01, VTOC_TRACK, VTOC_TRACK, heads)
    return dscb.ljust(140, b"\0")


def free_space_dscb(cylinders: int, heads: int, first_free: int) -> bytes:
    """The format-5 DSCB (140 bytes): the free tracks, in one extent from ``first_free`` to the end of the disk."""
    free = cylinders * heads - first_free
    whole = struct.pack(">HHB", first_free, *divmod(free, heads)) if free and first_free <= 0xFFFF else bytes(5)
    return (b"\x05" * 4 + whole).ljust(44, b"\0") + b"\xf5" + bytes(95)


def data_set_dscb(name: str, volser: str, first: int, last: int, heads: int, block_size: int) -> bytes:
    """A format-1 DSCB (140 bytes): one data set in one extent of the tracks ``first``..``last``."""
    dscb = bytearray(140)
    dscb[:44] = ebcdic(name, 44)
    dscb[44] = 0xF1
    dscb[45:51] = ebcdic(volser, 6)
    dscb[51:53] = b"\x00\x01"
    dscb[59] = 1
    dscb[62:75] = ebcdic("IBM LINUX", 13)
    dscb[82] = 0x40  # physical sequential
    dscb[84] = 0x88  # fixed length, standard blocks
    dscb[86:90] = struct.pack(">HH", block_size, block_size)
    dscb[93] = 0x80  # the data set's last volume
    dscb[105:115] = _extent(0x01, first, last, heads)
    return bytes(dscb)


def vtoc_records(
    cylinders: int, heads: int, per_track: int, block_size: int, volser: str, partition: bool
) -> list[bytes]:
    """Key and data (140 bytes each) of all records of the VTOC track, with one partition over the disk or none."""
    tracks = cylinders * heads
    first_free = tracks if partition else FIRST_DATA_TRACK
    records = [
        vtoc_dscb(cylinders, heads, per_track, int(partition)),
        free_space_dscb(cylinders, heads, first_free),
    ]
    if partition:
        name = data_set_name(volser)
        records.append(data_set_dscb(name, volser, FIRST_DATA_TRACK, tracks - 1, heads, block_size))
    return records + [bytes(140)] * (per_track - len(records))

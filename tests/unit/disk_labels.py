# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels on disks: offset to bytes.

LVM, btrfs and ext4 are what pvcreate and vgcreate (LVM 2.03.16), mkfs.btrfs (6.2, two disks) and mke2fs (1.47) wrote;
the others follow the layouts that _contents names.
"""

from __future__ import annotations

import os
import struct
import uuid
from pathlib import Path
from typing import Mapping

MIB = 1 << 20
Label = Mapping[int, bytes]

FILE_SYSTEM = "0b9e0f6e-7a5e-4f0e-8f62-9d2c1c1a7e02"
SWAP_AREA = "5e0b6f6c-0d3e-4c0a-8a53-2e6a8b1d7c01"
ARRAY = "77e61baf-c0b5-d7d0-39cf-575b64d4878c"
BTRFS = "bf381b9b-2dbe-4406-93f4-ded8efb68953"

_LVM_LABEL = (
    "4c4142454c4f4e45010000000000000068bbd459200000004c564d32203030316f7176446a636c79596671305765315055587256623553374e71"
    "7a54444b765400008000000000000000100000000000000000000000000000000000000000000000000000000000001000000000000000f00f00"
    "00000000000000000000000000000000000000000200000001"
)
_LVM_METADATA = (
    "b004a112204c564d3220785b35412572304e2a3e01000000001000000000000000f00f0000000000"
    "0002000000000000df030000000000002455823d0000000000000000"
)
_BTRFS = (
    "896a88ec00000000000000000000000000000000000000000000000000000000bf381b9b2dbe440693f4ded8efb68953000001000000000001"
    "000000000000005f42485266535f4d060000000000000000c0d20100000000004050010000000000000000000000000000000000000000000000"
    "0f0000000000400200000000000600000000000000"
)


def lvm(group: str = "vg0") -> Label:
    """A physical volume; ``group`` "" for one that is in none yet: its metadata area holds no text."""
    data = bytearray.fromhex(_LVM_METADATA)
    if not group:
        data[40:64] = bytes(24)
    text = f'{group} {{\nid = "RoRDhD-YLip-rMmV-BVtu-Ed00-SmB2-XqmEAz"\n' if group else ""
    return {512: bytes.fromhex(_LVM_LABEL), 4096: bytes(data), 4096 + 512: text.encode()}


def array(version: str, size: int = MIB, name: str = "lpar1:data") -> Label:
    """A member of a RAID array, by the version of its superblock."""
    head = struct.pack("<II8x", 0xA92B4EFC, 1) + uuid.UUID(ARRAY).bytes + name.encode().ljust(32, b"\0") + bytes(192)
    old = struct.pack(">4I", 0xA92B4EFC, 0, 90, 0) + bytes(4) + b"\1\1\1\1" + bytes(28) + bytes(range(12)) + bytes(192)
    end = (size // 512 - 16) // 8 * 8 * 512
    return {
        "0.90": {size // 65536 * 65536 - 65536: old},
        "1.0": {end: head},
        "1.1": {0: head},
        "1.2": {4096: head},
    }[version]


def btrfs(disks: int = 2) -> Label:
    block = bytes.fromhex(_BTRFS).ljust(136, b"\0") + struct.pack("<Q", disks)
    return {65536: block.ljust(299, b"\0") + b"pool".ljust(1024 - 299, b"\0")}


def swap() -> Label:
    return {1024: struct.pack("<I", 1) + bytes(8) + uuid.UUID(SWAP_AREA).bytes + b"swap1", 4086: b"SWAPSPACE2"}


def ext4() -> Label:
    return {1080: b"\x53\xef", 1128: uuid.UUID(FILE_SYSTEM).bytes + b"data"}


def xfs() -> Label:
    return {0: b"XFSB", 32: uuid.UUID(FILE_SYSTEM).bytes, 108: b"data"}


def luks(version: int = 2) -> Label:
    label = {24: b"secret"} if version == 2 else {}
    return {0: b"LUKS\xba\xbe" + struct.pack(">H", version), **label, 168: FILE_SYSTEM.encode()}


def write(path: Path, label: Label, size: int = MIB) -> None:
    """A disk, or a partition, of so many bytes with that label."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as target:
        os.truncate(path, size)
        for offset, data in label.items():
            target.seek(offset)
            target.write(data)

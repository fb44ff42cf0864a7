# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on a disk or partition, by the labels that are written on it: nobody else knows while it is not in use.

Looked for is what the host may want the disk for: physical volumes of LVM, members of RAID arrays and of btrfs file
systems, and the UUIDs and labels by which /etc/fstab names file systems and swap areas. Sources of the formats: LVM2
lib/format_text/layout.h, Linux include/uapi/linux/raid/md_p.h, fs/btrfs (struct btrfs_super_block), fs/ext4 (struct
ext4_super_block), fs/xfs/libxfs/xfs_format.h, include/linux/swap.h, cryptsetup docs/on-disk-format*.
"""

from __future__ import annotations

import json
import os
import struct
import uuid as uuidlib
from dataclasses import asdict, dataclass
from typing import Callable

Read = Callable[[int, int], bytes]
"""Offset and length to the bytes there; fewer at the end."""

LVM_MAGIC = b" LVM2 x[5A%r0N*>"
ARRAY_MAGIC = 0xA92B4EFC
KIB_64 = 65536
BTRFS_AT = KIB_64
HEAD = BTRFS_AT + 1024
"""What is read of the beginning at once: a request takes longer than its bytes."""


@dataclass(frozen=True)
class Contents:
    """What a label says. ``type`` is blkid's name of it.

    ``volume``: for people, the volume of which this is a member; "" for what is complete in itself.
    """

    type: str
    uuid: str = ""
    label: str = ""
    volume: str = ""


def identify(read: Read, size: int) -> Contents | None:
    """The first label that is known. ``size`` in bytes."""
    head = read(0, HEAD).ljust(HEAD, b"\0")
    probes = (_lvm, _array, _btrfs, _luks, _swap, _ext, _xfs)
    return next((found for probe in probes for found in [probe(head, read, size)] if found is not None), None)


def identify_file(path: str) -> str:
    """The same of a device node, as JSON ("null" for nothing known). Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        found = identify(lambda offset, length: os.pread(descriptor, length, offset), size)
    finally:
        os.close(descriptor)
    return json.dumps(asdict(found) if found is not None else None)


def _text(data: bytes) -> str:
    return data.split(b"\0")[0].decode("utf-8", "replace").strip()


def _uuid(data: bytes) -> str:
    return str(uuidlib.UUID(bytes=data[:16]))


# --- members of volumes


def _lvm(head: bytes, read: Read, size: int) -> Contents | None:
    for label in range(0, 2048, 512):
        if head[label : label + 8] == b"LABELONE" and head[label + 24 : label + 32] == b"LVM2 001":
            (offset,) = struct.unpack_from("<I", head, label + 20)
            header = head[label + offset :]
            return Contents("LVM2_member", _lvm_uuid(header[:32]), volume=_volume_group(header, read))
    return None


def _lvm_uuid(data: bytes) -> str:
    text, parts = _text(data), []
    for length in (6, 4, 4, 4, 4, 4, 6):
        parts.append(text[:length])
        text = text[length:]
    return "-".join(parts)


def _volume_group(header: bytes, read: Read) -> str:
    """By the text of the metadata, whose first word is the group's name. A volume that is in no group has none."""
    areas = list(struct.iter_unpack("<QQ", header[40 : 40 + 16 * 16]))
    ends = [number for number, area in enumerate(areas) if area == (0, 0)]
    if len(ends) > 1 and ends[1] > ends[0] + 1:
        start = areas[ends[0] + 1][0]
        metadata = read(start, 512)
        if metadata[4:20] == LVM_MAGIC:
            offset, length = struct.unpack_from("<QQ", metadata, 40)
            name, brace, _rest = _text(read(start + offset, 256) if length else b"").partition("{")
            return f"volume group {name.strip()}" if brace else "no volume group yet"
    return "a volume group (this disk does not say which)"


def _array(head: bytes, read: Read, size: int) -> Contents | None:
    """Superblocks 1.1 and 1.2 at the beginning, 1.0 and 0.90 at the end."""
    start = max(0, (size & ~(KIB_64 - 1)) - KIB_64)
    tail = read(start, size - start)
    end = max(0, (size // 512 - 16) & ~7) * 512 - start
    for block in (head[:256], head[4096:4352], tail[end : end + 256]):
        if len(block) == 256 and struct.unpack_from("<II", block) == (ARRAY_MAGIC, 1):
            uuid, name = _uuid(block[16:32]), _text(block[32:64])
            return Contents("linux_raid_member", uuid, name, f"RAID array {name or uuid}")
    old = tail[:256] if size >= 2 * KIB_64 else b""
    for order in (">", "<"):  # 0.90 is in the byte order of the machine that made it
        if len(old) == 256 and struct.unpack_from(f"{order}I", old)[0] == ARRAY_MAGIC:
            words = struct.unpack_from(f"{order}64I", old)
            uuid = ":".join(f"{words[number]:08x}" for number in (5, 13, 14, 15))
            return Contents("linux_raid_member", uuid, volume=f"RAID array {uuid}")
    return None


def _btrfs(head: bytes, read: Read, size: int) -> Contents | None:
    block = head[BTRFS_AT:]
    if block[64:72] != b"_BHRfS_M":
        return None
    uuid, (members,) = _uuid(block[32:48]), struct.unpack_from("<Q", block, 136)
    volume = f"btrfs file system {uuid} of {members} disks" if members > 1 else ""
    return Contents("btrfs", uuid, _text(block[299:555]), volume)


# --- what is complete in itself


def _luks(head: bytes, read: Read, size: int) -> Contents | None:
    if head[:6] != b"LUKS\xba\xbe":
        return None
    return Contents("crypto_LUKS", _text(head[168:208]), _text(head[24:72]) if head[7] == 2 else "")


def _swap(head: bytes, read: Read, size: int) -> Contents | None:
    return Contents("swap", _uuid(head[1036:]), _text(head[1052:1068])) if head[4086:4096] == b"SWAPSPACE2" else None


def _ext(head: bytes, read: Read, size: int) -> Contents | None:
    return Contents("ext4", _uuid(head[1128:]), _text(head[1144:1160])) if head[1080:1082] == b"\x53\xef" else None


def _xfs(head: bytes, read: Read, size: int) -> Contents | None:
    return Contents("xfs", _uuid(head[32:]), _text(head[108:120])) if head[:4] == b"XFSB" else None

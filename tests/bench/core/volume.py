# SPDX-License-Identifier: GPL-2.0-or-later
"""The disk volume that all engines are measured on: 221 cylinders of a 3390, each track of 1..220 12 blocks of 4096.

Every record of the volume is different: a stamp (CCHHR), pseudo-random bytes, the stamp again.
"""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from functools import lru_cache
from pathlib import Path

CYLINDERS, HEADS, BLOCKS, BLOCK = 221, 15, 12, 4096
TRACK_BYTES = BLOCKS * BLOCK
TRACK_SLOT = 56832  # a 3390 track in an uncompressed CKD file
HEADER = 512


@lru_cache(maxsize=1)
def noise() -> bytes:
    return random.Random(390).randbytes(BLOCK * 67)


def record(cylinder: int, head: int, number: int) -> bytes:
    """The 4096 bytes of a record."""
    stamp = struct.pack(">HHBxH", cylinder, head, number, 0xC0DE)
    at = (cylinder * 7919 + head * 541 + number * 97) % (len(noise()) - BLOCK)
    return stamp + noise()[at : at + BLOCK - 16] + stamp


def _track(cylinder: int, head: int, blocks: int = BLOCKS) -> bytes:
    parts = [struct.pack(">BHH", 0, cylinder, head), struct.pack(">HHBBH", cylinder, head, 0, 0, 8), bytes(8)]
    for number in range(1, blocks + 1):
        parts += [struct.pack(">HHBBH", cylinder, head, number, 0, BLOCK), record(cylinder, head, number)]
    track = b"".join(parts) + b"\xff" * 8
    return track + bytes(TRACK_SLOT - len(track))


def _blank(path: Path) -> None:
    """A volume with nothing on it: as Hercules' tool makes it, or ours where that is missing. Raises RuntimeError."""
    if shutil.which("dasdinit") is None:
        with path.open("wb") as file:
            file.write(struct.pack("<8sIIB", b"CKD_P370", HEADS, TRACK_SLOT, 0x90).ljust(HEADER, b"\0"))
            for head in range(HEADS):
                file.write(_track(0, head, 0))
            file.truncate(HEADER + CYLINDERS * HEADS * TRACK_SLOT)
        return
    made = subprocess.run(
        ["dasdinit", str(path), "3390", "BENCH0", str(CYLINDERS)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise RuntimeError(f"dasdinit could not make {path}: {made.stdout}{made.stderr}")


def make(path: Path) -> None:
    """Make a blank volume, and lay every track out. Raises RuntimeError."""
    path.unlink(missing_ok=True)
    _blank(path)
    path.chmod(0o644)
    with path.open("r+b") as file:
        magic, heads, slot = struct.unpack("<8sII", file.read(16))
        if (magic, heads, slot) != (b"CKD_P370", HEADS, TRACK_SLOT):
            raise RuntimeError(f"{path}: the header has {magic!r} with {heads} heads and tracks of {slot} bytes")
        file.seek(HEADER + HEADS * TRACK_SLOT)
        for cylinder in range(1, CYLINDERS):
            file.write(b"".join(_track(cylinder, head) for head in range(HEADS)))


def track_data(path: Path, cylinder: int, head: int) -> bytes:
    """The data of a track's 12 blocks, from the image file. Raises RuntimeError where the layout is another."""
    with path.open("rb") as file:
        file.seek(HEADER + (cylinder * HEADS + head) * TRACK_SLOT)
        track = file.read(TRACK_SLOT)
    data, at = b"", 5 + 16
    for number in range(1, BLOCKS + 1):
        if struct.unpack(">HHBBH", track[at : at + 8]) != (cylinder, head, number, 0, BLOCK):
            raise RuntimeError(f"{path}: cylinder {cylinder} head {head}: record {number} has another count field")
        data += track[at + 8 : at + 8 + BLOCK]
        at += 8 + BLOCK
    if track[at : at + 8] != b"\xff" * 8:
        raise RuntimeError(f"{path}: cylinder {cylinder} head {head}: the track does not end after record {BLOCKS}")
    return data

# SPDX-License-Identifier: GPL-2.0-or-later
"""Inputs to begin with, in each fuzz target's notation: programs as Linux issues them, requests as it makes them."""

from __future__ import annotations

import struct

PROGRAM_AT = 0x1000
CC, CD, SLI, SKIP, PCI, IDA, SUSPEND, MIDA = 0x40, 0x80, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01
FORMAT1, PREFETCH, SUSPENDABLE, IDA64, MODIFIED = 0x00800000, 0x00400000, 0x08000000, 0x00020000, 0x40
LPM = 0xFF00

Ccw = tuple[int, int, int, bytes]  # command, flags, count, data


def extent(mask: int) -> bytes:
    return bytes([mask, 0xC0]) + bytes(6) + struct.pack(">HHHH", 0, 0, 1, 14)


def locate(operation: int, cylinder: int, head: int, record: int, count: int) -> bytes:
    where = struct.pack(">HH", cylinder, head)
    return bytes([operation, 0x80, 0, count]) + where + where + bytes([record, 0xFF]) + struct.pack(">H", 4096)


def located(mask: int, operation: int, head: int, record: int, commands: list[int], data: bytes = b"") -> list[Ccw]:
    ccws = [(0x63, CC, 16, extent(mask)), (0x47, CC, 16, locate(operation, 0, head, record, len(commands)))]
    for i, command in enumerate(commands):
        ccws.append((command, SLI | (CC if i < len(commands) - 1 else 0), 4096, data))
    return ccws


COUNT = struct.pack(">HHBBH", 0, 3, 1, 4, 64) + b"KEY " + bytes(64)
SEARCH = [
    (0x07, CC, 6, bytes(6)),
    (0x31, CC, 5, bytes([0, 0, 0, 0, 3])),
    (0x08, 0, 0, b""),
    (0x06, SLI, 4096, b""),
]

PROGRAMS: dict[str, list[Ccw]] = {
    "nop": [(0x03, SLI, 1, b"")],
    "identify": [(0xE4, SLI | CC, 24, b""), (0x64, SLI | CC, 64, b""), (0xFA, SLI, 256, b"")],
    "function": [(0x27, CC, 12, bytes([0x18, 0, 0, 0, 0, 0, 0x0E]) + bytes(5)), (0x3E, SLI, 256, b"")],
    "path-group": [(0x34, CC, 12, b""), (0xAF, CC, 12, bytes([0x80]) + b"0123456789A"), (0x34, SLI, 12, b"")],
    "reserve": [(0xB4, CC, 32, b""), (0x94, CC, 32, b""), (0x14, SLI, 32, b"")],
    "read": located(0x40, 0x06, 0, 1, [0x86] * 3),
    "read-keys": located(0x40, 0x16, 1, 1, [0x8E, 0x92, 0x9E]),
    "write": located(0x80, 0x01, 0, 1, [0x85] * 3, b"data"),
    "write-key": located(0x80, 0x01, 1, 1, [0x8D], b"NEW data"),
    "format": [*located(0xC0, 0x03, 3, 0, [0x1D] * 2, COUNT)],
    "format-tracks": [*located(0xC0, 0x03, 3, 0, [0x15, 0x9D], COUNT)],
    "erase": [*located(0xC0, 0x03, 0, 3, [0x11], bytes(16))],
    "search": SEARCH,
    "search-key": [(0x07, CC, 6, bytes(5) + b"\1"), (0x29, CC, 4, b"CCCC"), (0x08, 0, 0, b""), (0x0E, SLI, 90, b"")],
    "home": [(0x07, CC, 6, bytes(6)), (0x1A, CC, 5, b""), (0x16, CC | SLI, 16, b""), (0x39, SLI, 4, bytes(4))],
    "ipl": [(0x02, SLI, 24, b"")],
    "mask": [(0x1F, CC, 1, b"\xc0"), (0x0B, CC, 6, bytes(6)), (0x1B, CC, 6, bytes(6)), (0x13, SLI, 1, b"")],
    "sector": [(0x23, CC, 1, b"\0"), (0x12, CC | SLI, 8, b""), (0xB1, SLI, 5, bytes(5))],
    "sense": [(0xFF, CC, 1, b""), (0x04, SLI, 32, b"")],
    "data-chain": [
        (0x63, CD, 8, extent(0x40)[:8]),
        (0, CC, 8, extent(0x40)[8:]),
        (0xE4, SKIP | CD, 4, b""),
        (0, SLI, 4, b""),
    ],
    "suspend": [(0x03, CC | SLI | PCI, 1, b""), (0xE4, SUSPEND | SLI, 24, b"")],
    "prefix": [
        (0xE7, CC, 64, bytes([1, 0, 0, 0]) + bytes(8) + extent(0x40) + locate(0x06, 0, 0, 1, 1)),
        (0x86, SLI, 4096, b""),
    ],
    "locate-extended": [
        (0x63, CC, 16, extent(0x40)),
        (0x4B, CC, 20, locate(0x06, 0, 0, 1, 1) + bytes(4)),
        (0x86, SLI, 4096, b""),
    ],
    "read-track": [
        (0x63, CC, 16, extent(0x40)),
        (0x4B, CC, 20, locate(0x0C, 0, 0, 0, 1) + bytes(4)),
        (0xDE, SLI, 65535, b""),
    ],
}


def built(ccws: list[Ccw]) -> bytes:
    """The program as it lies in main storage from PROGRAM_AT on, data behind it."""
    chain, data, free = b"", b"", PROGRAM_AT + 0x200
    for command, flags, count, content in ccws:
        if command == 0x08:
            chain += struct.pack(">BBHI", command, 0, 0, PROGRAM_AT + 8)
            continue
        chain += struct.pack(">BBHI", command, flags, count, free)
        size = (min(max(count, len(content)), 96) + 7) & ~7
        data += content[:size].ljust(size, b"\0")
        free += size
    return chain.ljust(0x200, b"\0") + data


def noted(ccws: list[Ccw]) -> bytes:
    """The program in the notation of fuzz_program.c."""
    out = b""
    for command, flags, count, content in ccws:
        if command == 0x08:
            out += struct.pack(">BBHBBI", command, 0, 0, 0, 1, PROGRAM_AT + 8)
        else:
            out += struct.pack(">BBHBB", command, flags, count, len(content), 0) + content
    return out


def orb(flags: int) -> bytes:
    return struct.pack(">III", 0x12345678, flags, PROGRAM_AT)


def inputs() -> dict[str, dict[str, bytes]]:
    """By target and name."""
    grouped: dict[str, dict[str, bytes]] = {}
    for path, content in _inputs().items():
        target, name = path.split("/")
        grouped.setdefault(target, {})[name] = content
    return grouped


def _inputs() -> dict[str, bytes]:
    files = {}
    flags = FORMAT1 | PREFETCH | SUSPENDABLE | LPM
    for name, ccws in PROGRAMS.items():
        files[f"program/{name}"] = b"\0" + struct.pack(">I", flags) + noted(ccws) + bytes(8)
        start = b"\x10" + orb(flags)
        operations = start + b"\x02" + b"\x08" + b"\x02" + b"\x11" + orb(flags) + b"\x03"
        files[f"orb/{name}"] = struct.pack(">BBH", 0, 8, len(operations)) + operations + built(ccws)
        accesses = b"\x0b" + orb(flags) + b"\x01" + struct.pack(">HH", 0, 124) + b"\x03\1" + b"\x03\2" + b"\x05\x41"
        accesses += (
            b"\x01" + struct.pack(">HH", 0xC00, 8) + b"\x01" + struct.pack(">HH", 0x800, 52) + b"\x0b" + orb(flags)
        )
        files[f"regions/{name}"] = struct.pack(">BBH", 2, 8, len(accesses)) + accesses + built(ccws)
    files["program/format-0"] = b"\0" + struct.pack(">I", LPM) + noted(PROGRAMS["read"])
    files["program/no-path"] = b"\0" + struct.pack(">I", FORMAT1) + noted(PROGRAMS["nop"])
    for name, wide in (("idaw", 0), ("idaw-64", IDA64)):
        words = struct.pack(">Q", 0x3800) + struct.pack(">Q", 0x4000) if wide else struct.pack(">II", 0x3800, 0x4000)
        ccws = [*located(0x40, 0x06, 0, 1, []), (0x86, IDA, 4096, words)]
        ccws[1] = (0x47, CC, 16, locate(0x06, 0, 0, 1, 1))
        files[f"program/{name}"] = b"\0" + struct.pack(">I", FORMAT1 | LPM | wide) + noted(ccws)
    words = struct.pack(">QQ", 2048, 0x3000) + struct.pack(">QQ", 0x80 << 16 | 2048, 0x4000)
    ccws = [(0x63, CC, 16, extent(0x40)), (0x47, CC, 16, locate(6, 0, 0, 1, 1)), (0x86, MIDA, 4096, words)]
    files["program/midaw"] = b"\0" + struct.pack(">I", FORMAT1 | LPM | MODIFIED) + noted(ccws)
    files["image/sound"] = b"\0"
    files["image/short"] = b"\2" + struct.pack(">I", 40000)
    files["image/empty"] = b"\2" + struct.pack(">I", 0)
    for name, (track, first, last) in {"journal": (3, 29, 60), "journal-bad": (99, 29, 60000)}.items():
        head = b"CCWEMUJ1" + struct.pack("<IIII", 1, track, first, last)
        files[f"image/{name}"] = b"\1" + struct.pack(">HBB", 0, 0x40, len(head)) + head
    header = {"magic": (0, b"CKD_C370"), "heads": (8, b"\7"), "track": (12, b"\0\1"), "type": (16, b"\x80")}
    for name, (place, content) in header.items():
        files[f"image/{name}"] = b"\0" + struct.pack(">HBB", place, 0, len(content)) + content
    track = {"home": (3, b"\1"), "count": (27, b"\xff\xff\xff"), "end": (21, b"\xff" * 8), "length": (21, COUNT)}
    for name, (place, content) in track.items():
        files[f"image/{name}"] = b"\0" + struct.pack(">HBB", place, 0x80, len(content)) + content
    sparse = [(0, 0, b"CKD_N370"), (24, 0, b"\x0c\0\0\x10"), *((0, 0x80 | track, bytes(5)) for track in range(1, 15))]
    for name, tracks in {"sparse": sparse, "sparse-bad": [*sparse[:1], (24, 0, b"\xff\0\0\x10"), *sparse[2:]]}.items():
        changes = [struct.pack(">HBB", place, kind, len(content)) + content for place, kind, content in tracks]
        files[f"image/{name}"] = b"\0" + b"".join(changes)
    directory, regular, link = b"\0\1\2\0\x40\0", b"\0\2\3\1\x41\0", b"\0\2\4\2\x42\3"
    requests = {  # opcode, node, length of the body, settings (0x80: of the first open file), body
        "look-up": b"\7\1\1\2\0c\0",
        "read": b"\7\x0e\3\x08\0"
        + bytes(8)
        + b"\4\0\3\5hello"
        + b"\7\x0f\3\x28\x80"
        + bytes(16)
        + b"\x10".ljust(24, b"\0"),
        "link": b"\7\5\4\0\0",
        "list": b"\7\x1c\2\x28\0" + bytes(16) + b"\0\x10".ljust(24, b"\0"),
        "list-plus": b"\7\x2c\1\x28\0" + bytes(16) + b"\0\x10".ljust(24, b"\0") + b"\2\2\5",
        "forget": b"\7\2\2\x08\0" + b"\1".ljust(8, b"\0"),
    }
    for name, asked in requests.items():
        files[f"mirror/{name}"] = directory + regular + link + asked
    return files

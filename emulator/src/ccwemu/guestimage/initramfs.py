# SPDX-License-Identifier: GPL-2.0-or-later
"""An initramfs without cpio: the newc format (Linux Documentation/driver-api/early-userspace/buffer-format.rst).

It is not compressed: the guest's emulated CPU would pay for that at each boot.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

_DIRECTORY, _EXECUTABLE = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o755


def build(files: Mapping[str, bytes]) -> bytes:
    """An archive: path without leading slash → content. Directories come into being with their files."""
    entries: dict[str, tuple[int, bytes]] = {}
    for path, content in files.items():
        for parent in reversed(Path(path).parents[:-1]):
            entries.setdefault(str(parent), (_DIRECTORY, b""))
        entries[path] = (_EXECUTABLE, content)
    parts = [_entry(number, path, *entry) for number, (path, entry) in enumerate(entries.items(), 1)]
    return b"".join([*parts, _entry(0, "TRAILER!!!", 0, b"")])


def _entry(inode: int, path: str, mode: int, content: bytes) -> bytes:
    name = path.encode() + b"\0"
    # inode, mode, uid, gid, nlink, mtime, size, device (2), rdev (2), size of the name, checksum
    fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)

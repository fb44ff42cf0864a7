# SPDX-License-Identifier: GPL-2.0-or-later
"""mount: the real mount, but for a block device of the emulated machine.

A user namespace can mount no block device, and the emulated one is a regular file. An ext2, ext3 or ext4 is mounted
by fuse2fs (Debian package fuse2fs), if that is installed: its files are those on the disk, and every block of them
is a channel program. Anything else is mounted as a tmpfs whose source is the disk: it shows who uses the disk, which
is what a play looks at, but not its files, and mount says so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ccwemu.tools import real_program

WITH_VALUE = ("-t", "--types", "-o", "--options", "-L", "-U", "-N", "-O", "--source", "--target")

EXT_MAGIC_OFFSET = 1080  # bytes: the superblock is at 1024, s_magic 56 into it
FUSE2FS = "/usr/bin/fuse2fs"
EXT_TYPES = (None, "auto", "ext2", "ext3", "ext4")
SIGNATURES = ((EXT_MAGIC_OFFSET, b"\x53\xef"), (0, b"XFSB"), (0x10040, b"_BHRfS_M"), (0, b"hsqs"))


def words_of(argv: Sequence[str]) -> tuple[list[str], list[str], str | None]:
    """Sources and targets, the options of all -o in order, and the type."""
    words: list[str] = []
    options: list[str] = []
    kind: str | None = None
    rest = iter(argv)
    for word in rest:
        flag, _equals, value = word.partition("=")
        if word in WITH_VALUE:
            flag, value = word, next(rest, "")
        elif word[:2] in ("-o", "-t") and len(word) > 2 and not word.startswith("--"):
            flag, value = word[:2], word[2:]
        if flag in ("-o", "--options"):
            options += value.split(",")
        elif flag in ("-t", "--types"):
            kind = value
        elif flag in ("--source", "--target"):
            words.append(value)
        elif word in ("-r", "--read-only"):
            options.append("ro")
        elif not word.startswith("-"):
            words.append(word)
    return words, options, kind


def emulated_disk(source: str, root: str = "") -> str | None:
    """The name in /sys/class/block of the emulated block device that a source is; None for anything else."""
    if not source.startswith("/"):
        return None
    path = os.path.realpath(root + source)
    name = os.path.basename(path)
    if not path.startswith(root + "/dev/") or not os.path.isfile(path):
        return None
    return name if os.path.isdir(f"{root}/sys/class/block/{name}") else None


def has_file_system(path: str) -> bool:
    """Is there one that Linux knows? Reads the places of their signatures. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return any(os.pread(descriptor, len(magic), offset) == magic for offset, magic in SIGNATURES)
    finally:
        os.close(descriptor)


def is_ext(path: str) -> bool:
    """Is there an ext2, ext3 or ext4? Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.pread(descriptor, 2, EXT_MAGIC_OFFSET) == b"\x53\xef"
    finally:
        os.close(descriptor)


def command(source: str, target: str, options: list[str], ext: bool, real: str) -> list[str]:
    """The program that mounts an emulated disk, with its arguments. ``ext``: by fuse2fs."""
    kept = [option for option in options if option not in ("defaults", "loop", "auto", "noauto", "user", "users")]
    if ext:
        return [FUSE2FS, source, target, "-o", ",".join(["fakeroot", *kept])]
    return [real, "-i", "-t", "tmpfs", *(["-o", ",".join(kept)] if kept else []), source, target]


def refusal(source: str, target: str, kind: str | None) -> tuple[str, int] | None:
    """What mount(8) says where the mount cannot be done, and its exit status; None where it can."""
    if not os.path.isdir(target):
        return f"mount: {target}: mount point does not exist.", 32
    if kind == "tmpfs":
        return None
    try:
        known = has_file_system(source)
    except OSError as error:
        return f"mount: {target}: can't read superblock on {source}: {error.strerror}.", 32
    if known:
        return None
    return (
        f"mount: {target}: wrong fs type, bad option, bad superblock on {source}, missing codepage or helper program, "
        "or other error.\n       dmesg(1) may have more information after failed mount system call."
    ), 32


def main(argv: list[str]) -> int:
    """Mount."""
    real = real_program("mount")
    if real is None:
        sys.stderr.write("mount: this machine has no mount program; install the package mount\n")
        return 1
    words, options, kind = words_of(argv)
    if len(words) != 2 or emulated_disk(words[0]) is None:
        os.execv(real, ["mount", *argv])
    source, target = words
    refused = refusal(source, target, kind)
    if refused is not None:
        sys.stderr.write(refused[0] + "\n")
        return refused[1]
    ext = kind in EXT_TYPES and os.access(FUSE2FS, os.X_OK) and is_ext(source)
    if kind != "tmpfs" and not ext:
        sys.stderr.write(
            f"mount: {target}: {source} is a disk of an emulated machine: a tmpfs with that source is mounted. The "
            "disk counts as in use; its files are not shown and nothing written here reaches it. For an ext4, install "
            "the package fuse2fs where the emulator runs.\n"
        )
    words = command(source, target, options, ext, real)
    return os.execv(words[0], words)

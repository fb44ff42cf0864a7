# SPDX-License-Identifier: GPL-2.0-or-later
"""What the s390-tools commands share: reading attributes, their version, bus ids."""

from __future__ import annotations

import os
import re

S390_TOOLS_VERSION = "2.16.0-build-20210818"
"""The version that the commands say they are: Debian 12's, whose output was recorded on a real s390x kernel."""

BUS_ID = re.compile(r"[0-9a-fA-F]{1,2}\.[0-9a-fA-F]\.[0-9a-fA-F]{4}")


def read_line(path: str) -> str | None:
    """The first line of a file without its newline; None where it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(4096).split(b"\n", 1)[0].decode("utf-8", "replace")
    except OSError:
        return None


def read_text(path: str) -> str | None:
    """All of a file; None where it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.readall().decode("utf-8", "replace")
    except OSError:
        return None


def write_attribute(path: str, text: str) -> None:
    """One write of ``text`` to an attribute, as a shell's ``echo > path`` does it. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def names(directory: str, pattern: re.Pattern[str]) -> list[str]:
    """The names in a directory that match the whole pattern, sorted; none where it cannot be read."""
    try:
        return sorted(name for name in os.listdir(directory) if pattern.fullmatch(name))
    except OSError:
        return []


def target_name(link: str) -> str | None:
    """The last part of what a symbolic link points to; None where there is no link."""
    try:
        return os.path.basename(os.readlink(link))
    except OSError:
        return None

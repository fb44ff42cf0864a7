# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that a definition gives a node, written into its root before it starts for the first time."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from ccwemu.namespace.root import give

ELSEWHERE = ("/bin", "/dev", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/tmp", "/usr")
"""What the node has from the machine or the emulated kernel, or what is emptied at each boot."""


@dataclass(frozen=True)
class GivenFile:
    """A file of a node; ``mode`` are its permissions."""

    path: str
    text: str
    mode: int = 0o644


def problem(path: str) -> str:
    """Why a file cannot be given at this path; "" when it can."""
    if not path.startswith("/") or os.path.normpath(path) != path or path == "/":
        return "it is not absolute, or not in its shortest form"
    if any(path == place or path.startswith(place + "/") for place in ELSEWHERE):
        return "that is the machine's, the emulated kernel's, or emptied at each boot"
    return ""


def write(root: str, files: tuple[GivenFile, ...], owner: int) -> None:
    """Write them, and the directories to them. ``root``: the node's /. ``owner``: its root's outside id.

    Raises OSError. A link on the way that leads out of the root is not followed.
    """
    real = os.path.realpath(root)
    for file in files:
        target = real + file.path
        if not os.path.realpath(target).startswith(real + "/"):
            raise OSError(errno.EXDEV, "a link leads out of the node", file.path)
        _make_directories(os.path.dirname(target), owner)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as handle:
            os.fchmod(descriptor, file.mode)
            handle.write(file.text)
        give(target, owner)


def _make_directories(directory: str, owner: int) -> None:
    if not os.path.isdir(directory):
        _make_directories(os.path.dirname(directory), owner)
        os.mkdir(directory, 0o755)
        give(directory, owner)

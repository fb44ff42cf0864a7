# SPDX-License-Identifier: GPL-2.0-or-later
"""A node's configuration files as seen from outside it."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence
from pathlib import Path

_SHARED = ("/usr/", "/lib/")
"""Bound into every node from the machine."""


def _is_shared(path: str) -> bool:
    return path.startswith(_SHARED)


class NodeFiles:
    """``root`` is the directory of the lab that is the node's /. A link that leads out of it is not followed."""

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.realpath(root))

    def _place(self, path: str) -> Path | None:
        if _is_shared(path):
            return Path(path)
        try:
            place = Path(os.path.realpath(f"{self._root}/{path}"))
        except OSError:
            return None
        return place if place.is_relative_to(self._root) else None

    def exists(self, path: str) -> bool:
        if not os.path.lexists(path if _is_shared(path) else f"{self._root}/{path}"):
            return False  # which is so for most that rules ask for, and told without following links
        place = self._place(path)
        return place is not None and place.exists()

    def text(self, path: str) -> str:
        """The content of a file; "" where there is none."""
        place = self._place(path)
        try:
            return place.read_text("utf-8", "replace") if place is not None and place.is_file() else ""
        except OSError:
            return ""

    def find(self, directories: Sequence[str], patterns: Sequence[str]) -> list[str]:
        """The files of these names, by name; one in an earlier directory hides one of its name in a later."""
        found: dict[str, str] = {}
        for directory in directories:
            place = self._place(directory)
            for name in sorted(os.listdir(place)) if place is not None and place.is_dir() else ():
                if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                    found.setdefault(name, f"{directory}/{name}")
        return [found[name] for name in sorted(found)]

    def stamp(self, directories: Sequence[str]) -> tuple[int, ...]:
        """Another value when a directory has another content (udevd looks at the same)."""
        return tuple(_changed(path if _is_shared(path) else f"{self._root}{path}") for path in directories)


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0

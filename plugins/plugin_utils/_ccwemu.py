# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state file of a ccwemu lab: what the connection and the inventory know of the emulator.

Note that this is only for use by this collection; it may change without notice.
"""

from __future__ import annotations

import json
import os
import typing as t


class LabStateError(Exception):
    """The lab is not running, or its state file cannot be used; the text says which and what to do."""


def labs_directory(home: str | None) -> str:
    """The directory under which labs are kept: what was asked for, else where ccwemu puts them."""
    if home:
        return os.path.expanduser(home)
    state_home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(state_home, "ccwemu")


def read_nodes(home: str | None, lab: str) -> dict[str, dict[str, t.Any]]:
    """The nodes of a lab, name to description (role, pid, ...). Raises LabStateError."""
    path = os.path.join(labs_directory(home), lab, "state.json")
    try:
        with open(path, encoding="utf-8") as file:
            nodes: dict[str, dict[str, t.Any]] = json.load(file)["nodes"]
            return nodes
    except FileNotFoundError:
        raise LabStateError(f"lab {lab!r} is not running (no {path}); start it with: ccwemu up LAB.yml") from None
    except (OSError, ValueError, KeyError) as exc:
        raise LabStateError(
            f"cannot read the state of lab {lab!r}, {path}: {exc!r}; run: ccwemu down {lab}; ccwemu up LAB.yml"
        ) from exc


def is_running(node: dict[str, t.Any]) -> bool:
    """Whether a node's init lives; a process that only got the same pid does not count.

    Compares field 22 (starttime) of /proc/PID/stat with the ``start_time`` that the lab recorded.
    """
    try:
        with open(f"/proc/{int(node['pid'])}/stat", encoding="utf-8") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return fields[0] not in "ZX" and int(fields[19]) == int(node["start_time"])
    except (KeyError, OSError, TypeError, ValueError):
        return False

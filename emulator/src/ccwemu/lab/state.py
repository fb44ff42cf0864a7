# SPDX-License-Identifier: GPL-2.0-or-later
"""Where labs are kept and what their state file says; read by the command, the connection and the inventory."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from typing import Any


class StateError(Exception):
    """A lab that is not there, is dead, or is not the only one; the text says which and what to do."""


def home() -> str:
    """The directory of all labs: $CCWEMU_HOME, or ccwemu below $XDG_STATE_HOME (default ~/.local/state)."""
    given = os.environ.get("CCWEMU_HOME")
    if given:
        return os.path.abspath(os.path.expanduser(given))
    state_home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(os.path.abspath(state_home), "ccwemu")


def lab_directory(lab: str) -> str:
    return os.path.join(home(), lab)


def start_time(pid: int) -> int | None:
    """When a process started (field 22 of /proc/PID/stat, ticks since boot); None when there is none.

    A pid alone says nothing: it is used again.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def lives(pid: int | None, started: int | None) -> bool:
    """Whether the very process that had this pid and start time still runs."""
    return pid is not None and started is not None and start_time(pid) == started


@dataclass(frozen=True)
class LabState:
    """The state file of a lab, as :func:`write` wrote it."""

    lab: str
    daemon_pid: int
    daemon_start_time: int
    definition: str
    nodes: dict[str, dict[str, Any]]

    @property
    def running(self) -> bool:
        return lives(self.daemon_pid, self.daemon_start_time)

    def node_runs(self, name: str) -> bool:
        node = self.nodes[name]
        return lives(node.get("pid"), node.get("start_time"))


def write(directory: str, state: LabState) -> None:
    """Replace the state file in one step: a reader sees the old or the new, never a part."""
    path = os.path.join(directory, "state.json")
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(vars(state), file, indent=1)
        file.write("\n")
    os.replace(path + ".new", path)


def read(lab: str) -> LabState | None:
    """The state of a lab; None when it is not there (never started, or ended properly). Raises StateError."""
    path = os.path.join(lab_directory(lab), "state.json")
    try:
        with open(path, encoding="utf-8") as file:
            return LabState(**json.load(file))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise StateError(f"lab {lab}: its state file {path} cannot be used ({error}); run: ccwemu down {lab}") from None


def labs() -> list[str]:
    """The names of all labs that have a state file, dead ones too."""
    try:
        names = sorted(os.listdir(home()))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [name for name in names if os.path.exists(os.path.join(home(), name, "state.json"))]


def none_there() -> str:
    """What is said where there is no lab at all."""
    return f"no lab is running (looked in {home()}); start one with: ccwemu up seed, or ccwemu up LAB.yml"


def missing(lab: str) -> str:
    """What is said of a lab that is not there."""
    return f"lab {lab}: is not there; labs are: {', '.join(labs()) or f'none (looked in {home()})'}"


def running(lab: str) -> LabState:
    """The state of a lab that runs. Raises StateError."""
    state = read(lab)
    if state is None:
        raise StateError(f"{missing(lab)}; start it with: ccwemu up LAB.yml")
    if not state.running:
        raise StateError(
            f"lab {lab}: is dead: its process {state.daemon_pid} is gone; the reason may be in "
            f"{lab_directory(lab)}/daemon.log; run: ccwemu down {lab}; ccwemu up {state.definition}"
        )
    return state


def find_lab(given: str | None) -> LabState:
    """The lab that is meant: the given one, or the only one. Raises StateError."""
    if given is not None:
        return running(given)
    names = labs()
    if not names:
        raise StateError(none_there())
    if len(names) > 1:
        raise StateError(f"several labs are there: {', '.join(names)}; say which with --lab NAME")
    return running(names[0])


def find_node(node: str, lab: str | None) -> tuple[LabState, dict[str, Any]]:
    """A node that runs, looked for in one lab or in all. Raises StateError."""
    state = lab_of_node(node, lab)
    entry = state.nodes[node]
    if not state.node_runs(node):
        if entry["role"] == "guest":
            raise StateError(
                f"guest {node}: is not running; start it on its host {entry['host']} with qemu-system-s390x"
            )
        raise StateError(f"host {node}: is not running; start it with: ccwemu reboot --lab {state.lab} {node}")
    return state, entry


def lab_of_node(node: str, lab: str | None) -> LabState:
    """The running lab that has this node, whether the node runs or not. Raises StateError."""
    if lab is None:
        owners = [state for state in map(_read_quietly, labs()) if state is not None and node in state.nodes]
        live = [state for state in owners if state.running]
        if len(live) > 1:
            names = ", ".join(state.lab for state in live)
            raise StateError(f"node {node}: is in several labs: {names}; say which with --lab NAME")
        state = live[0] if live else running(owners[0].lab) if owners else find_lab(None)
    else:
        state = running(lab)
    if node not in state.nodes:
        raise StateError(f"node {node}: lab {state.lab} has no such node; it has: {', '.join(state.nodes)}")
    return state


def lab_of_host(name: str, lab: str | None) -> LabState:
    """The running lab that has this host. Raises StateError, also where it is a guest."""
    state = lab_of_node(name, lab)
    if state.nodes[name]["role"] != "host":
        hosts = ", ".join(node for node, entry in state.nodes.items() if entry["role"] == "host")
        raise StateError(f"node {name}: is a guest of lab {state.lab}, expected a host; it has: {hosts}")
    return state


def _read_quietly(lab: str) -> LabState | None:
    try:
        return read(lab)
    except StateError:
        return None


def remove(directory: str) -> None:
    """Remove a lab's directory with all that its nodes wrote. Raises OSError."""
    if not os.path.lexists(directory):
        return
    # A node may have made a directory that not even its owner may enter.
    for parent, names, _files in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            if not os.path.islink(path) and not os.access(path, os.R_OK | os.W_OK | os.X_OK):
                os.chmod(path, 0o700)
    shutil.rmtree(directory)

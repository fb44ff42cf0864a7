# SPDX-License-Identifier: GPL-2.0-or-later
"""The command ``ccwemu``.

``exec`` and ``shell`` come first and import little: a play runs them for every task.
Exit status: that of the command (exec, shell), else 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, NoReturn

from ccwemu.clitools import Progress, fail, parser_of

if TYPE_CHECKING:
    from collections.abc import Sequence

USAGE = """\
usage: ccwemu COMMAND ...

  up [--name LAB] LAB.yml | seed
                             start a lab
  ps [--json]                the labs and their nodes
  exec [--lab LAB] NODE -- COMMAND [ARGUMENT...]
                             run a command as root of a node
  shell [--lab LAB] NODE     a shell on a node
  wait [--lab LAB] [--timeout SECONDS] NODE
                             wait until one can run commands on a node
  reboot [--lab LAB] [--seed N] [--renumber] [--verbose] HOST
                             reboot a host
  fault [--lab LAB] HOST DEVICE KIND ...
                             have a device meet a fault
  down [LAB | --all] [--keep] [--if-exists]
                             end a lab and remove it (--keep: leave disks and file systems for the next up)
  validate LAB.yml           check a lab's definition
  import HOST.json ... [-o LAB.yml]
                             a lab's definition from descriptions of real hosts
  disk create | info | check | dump | recover
                             make, describe, check, show or mend a disk image
  guest-image build | list | prune
                             make the kernel and root file system of real guests

ccwemu COMMAND --help says more. Labs are kept in $CCWEMU_HOME (default: ~/.local/state/ccwemu).
"""

ENTER_USAGE = """\
usage: ccwemu exec [--lab LAB] NODE -- COMMAND [ARGUMENT...]
       ccwemu shell [--lab LAB] NODE

Run a command, or a login shell, as root of a host or a guest. The exit status is the command's.

  --lab LAB  default: the lab that has the node
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    command, rest = (words[0], words[1:]) if words else ("", [])
    if command in ("exec", "shell"):
        return _guarded(_enter, command, rest)
    if command in _COMMANDS:
        return _guarded(_COMMANDS[command], command, rest)
    if command in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    if command == "--version":
        from importlib.metadata import version

        print(f"ccwemu {version('ccwemu')}")
        return 0
    found = f"unknown command {command!r}; it is one of" if command else "expected a command"
    known = ", ".join(["exec", "shell", *_COMMANDS])
    print(f"ccwemu: {found}: {known} (ccwemu --help says what they do)", file=sys.stderr)
    return 2


def _guarded(function: object, command: str, rest: list[str]) -> int:
    """Errors that a user can meet become one line; anything else is a fault of ours and shows where."""
    from ccwemu.lab.state import StateError

    try:
        return function(command, rest)  # type: ignore[operator,no-any-return]
    except StateError as error:
        print(f"ccwemu: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever reads the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


# -- exec, shell ------------------------------------------------------------------------------------------------------


def _enter(command: str, rest: list[str]) -> int:
    lab, node, words = _enter_arguments(command, rest)
    from ccwemu.lab.enter import run_in_node
    from ccwemu.lab.state import find_node

    state, entry = find_node(node, lab)
    if "ssh" in entry:
        from ccwemu.lab.remote import Unreachable, run_by_ssh

        try:
            run_by_ssh(node, entry, words)
        except Unreachable as error:
            return fail(error)
    try:
        run_in_node(entry, words)
    except OSError as error:
        return fail(f"node {node} of lab {state.lab}: cannot be entered (process {entry['pid']}): {error.strerror}")


def _enter_arguments(command: str, rest: list[str]) -> tuple[str | None, str, list[str]]:
    """Lab, node and command line. Ends the process with status 2 on wrong usage."""
    lab = None
    words = list(rest)
    while words and words[0].startswith("-") and words[0] != "--":
        option = words.pop(0)
        if option in ("-h", "--help"):
            print(ENTER_USAGE, end="")
            sys.exit(0)
        if option == "--lab" and words:
            lab = words.pop(0)
        elif option.startswith("--lab="):
            lab = option[6:]
        else:
            _usage(f"{command}: unknown option {option!r}")
    if not words or words[0] == "--":
        example = "exec lpar1 -- lscss" if command == "exec" else "shell lpar1"
        _usage(f"{command}: expected the name of a node: ccwemu {example}")
    node = words.pop(0)
    if words[:1] == ["--"]:
        words.pop(0)
    if command == "exec" and not words:
        _usage(f"exec: expected a command to run on {node}: ccwemu exec {node} -- COMMAND")
    if command == "shell":
        if words:
            _usage(f"shell: takes no command; use: ccwemu exec {node} -- {' '.join(words)}")
        words = ["/bin/bash", "-l"]
    return lab, node, words


def _usage(text: str) -> NoReturn:
    print(f"ccwemu: {text}", file=sys.stderr)
    sys.exit(2)


# -- labs -------------------------------------------------------------------------------------------------------------


def _up(command: str, rest: list[str]) -> int:
    parser = parser_of(command, "Start a lab.", "ccwemu up seed\nccwemu up mine.yml")
    parser.add_argument("definition", metavar="LAB.yml", help="the lab's definition; seed: the one that comes along")
    parser.add_argument("--name", metavar="LAB", type=_lab_name, help="a name instead of the definition's")
    arguments = parser.parse_args(rest)
    from ccwemu.lab import control
    from ccwemu.lab.fields import LabError
    from ccwemu.lab.schema import read_lab

    progress = Progress()
    try:
        spec = read_lab(arguments.definition, arguments.name)
        progress(f"starting lab {spec.name}")
        control.up(spec.name, spec.file, progress)
    except (LabError, control.ControlError) as error:
        return fail(error)
    finally:
        progress.stop()
    nodes = ", ".join([host.name for host in spec.hosts])
    print(f"lab {spec.name} is up: {nodes}")
    return 0


def _lab_name(text: str) -> str:
    import argparse

    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of small letters, digits and hyphens")
    return text


def _validate(command: str, rest: list[str]) -> int:
    parser = parser_of(command, "Check a lab's definition.", "ccwemu validate mine.yml")
    parser.add_argument("definition", metavar="LAB.yml")
    arguments = parser.parse_args(rest)
    from ccwemu.lab.fields import LabError
    from ccwemu.lab.schema import read_lab

    try:
        spec = read_lab(arguments.definition)
    except LabError as error:
        return fail(error)
    devices = sum(len(host.machine.subchannels) for host in spec.hosts)
    print(f"lab {spec.name}: {len(spec.hosts)} host(s), {devices} subchannels, {len(spec.guests)} guest(s)")
    return 0


def _down(command: str, rest: list[str]) -> int:
    parser = parser_of(command, "End a lab and remove its directory.", "ccwemu down\nccwemu down seed")
    parser.add_argument("lab", metavar="LAB", nargs="?", help="default: the only one")
    parser.add_argument("--lab", dest="named", metavar="LAB")
    parser.add_argument("--all", action="store_true", help="every lab")
    parser.add_argument("--if-exists", action="store_true", help="no error where there is no such lab")
    parser.add_argument("--keep", action="store_true", help="keep disks and file systems for the next up")
    arguments = parser.parse_args(rest)
    from ccwemu.lab import control, state

    given = arguments.lab or arguments.named
    names = state.labs() if arguments.all else [given or _only_lab()]
    if not names:
        print(f"no lab is there (looked in {state.home()})")
    progress = Progress()
    for name in names:
        progress(f"ending lab {name}")
        try:
            done = control.down(name, keep=arguments.keep)
        except control.ControlError as error:
            return fail(error)
        finally:
            progress.stop()
        if not done and not arguments.if_exists:
            return fail(state.missing(name))
        print(f"lab {name} has ended" if done else f"lab {name} was not there")
    return 0


def _only_lab() -> str:
    """The lab that is meant when none is named, dead or alive. Raises StateError."""
    from ccwemu.lab import state

    names = state.labs()
    return names[0] if len(names) == 1 else state.find_lab(None).lab


def _wait(command: str, rest: list[str]) -> int:
    from ccwemu.lab.wait import main

    return main(rest)


def _reboot(command: str, rest: list[str]) -> int:
    from ccwemu.lab.reboot import main

    return main(rest)


def _fault(command: str, rest: list[str]) -> int:
    from ccwemu.faultcli import main

    return main(rest)


def _ps(command: str, rest: list[str]) -> int:
    parser = parser_of(command, "The labs and their nodes.", "ccwemu ps")
    parser.add_argument("--json", action="store_true", help="for programs")
    arguments = parser.parse_args(rest)
    from ccwemu.lab import state

    found = [state.read(name) for name in state.labs()]
    rows = [row for lab in found if lab is not None for row in _rows(lab)]
    if arguments.json:
        import json

        print(json.dumps(rows, indent=1))
        return 0
    table = [["LAB", "NODE", "ROLE", "HOST", "STATE", "PID"]]
    table += [[str(row[key] or "-") for key in ("lab", "node", "role", "host", "state", "pid")] for row in rows]
    if not rows:
        print(f"ccwemu: {state.none_there()}", file=sys.stderr)
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        print("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip())
    return 0


def _rows(lab: object) -> list[dict[str, object]]:
    from ccwemu.lab.state import LabState

    assert isinstance(lab, LabState)
    rows: list[dict[str, object]] = []
    for name, node in lab.nodes.items():
        runs = lab.node_runs(name)
        condition = "running" if runs else "down" if lab.running else "dead"
        pid = node["pid"] if runs else None
        rows.append(
            {
                "lab": lab.lab,
                "node": name,
                "role": node["role"],
                "host": node.get("host"),
                "state": condition,
                "pid": pid,
            }
        )
    return rows


# -- disks ------------------------------------------------------------------------------------------------------------


def _disk(command: str, rest: list[str]) -> int:
    from ccwemu import diskcli

    return diskcli.run(command, rest)


def _import(command: str, rest: list[str]) -> int:
    from ccwemu.imports.command import main

    return main(rest)


def _guest_image(command: str, rest: list[str]) -> int:
    from ccwemu.guestimage import command as guest_image

    return guest_image.main(rest)


_COMMANDS = {
    "up": _up,
    "ps": _ps,
    "wait": _wait,
    "reboot": _reboot,
    "fault": _fault,
    "down": _down,
    "validate": _validate,
    "import": _import,
    "disk": _disk,
    "guest-image": _guest_image,
}

# SPDX-License-Identifier: GPL-2.0-or-later
"""``ccwemu import``: lab definitions from descriptions of real hosts."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import Any

import yaml

from ccwemu.clitools import fail, parser_of
from ccwemu.imports.definition import Imported, define
from ccwemu.imports.document import read
from ccwemu.lab.fields import LabError
from ccwemu.lab.schema import read_lab

HEAD = """\
# Made by ccwemu import. Each host is as the real one was when it was described, but for:
"""
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")


def main(words: Sequence[str]) -> int:
    """Returns the exit status."""
    parser = parser_of(
        "import",
        "Write the definition of a lab whose hosts are as real ones are. What is told of a real host is what the "
        "module zkvm.vfio_ccw.host_export returns, as JSON.",
        "ccwemu import lpar1=lpar1.json -o twin.yml",
    )
    parser.add_argument("hosts", nargs="+", metavar="[NAME=]HOST.json", help="a description; NAME: of the lab's host")
    parser.add_argument("-o", "--output", metavar="LAB.yml", help="default: standard output")
    parser.add_argument("--lab", metavar="LAB", default="twin", help="the lab's name (twin)")
    arguments = parser.parse_args(words)
    try:
        made = _read_all(arguments.hosts)
        _write(arguments.output, text_of(arguments.lab, made))
        if arguments.output:
            read_lab(arguments.output)
    except (LabError, OSError) as error:
        return fail(error)
    if arguments.output:
        print("\n".join(summary(arguments.output, arguments.lab, made)))
    return 0


def _read_all(given: Sequence[str]) -> dict[str, Imported]:
    """Raises LabError."""
    made: dict[str, Imported] = {}
    for word in given:
        name, path = _split(word)
        described = read(path)
        name = name or node_name(described.name)
        if not _NAME.fullmatch(name):
            raise LabError(f"{word}: the host's name {name!r}: expected small letters, digits and hyphens: NAME={path}")
        if name in made:
            raise LabError(f"{word}: there is a host {name} already; give this one another name: NAME={path}")
        made[name] = define(described)
    return made


def _split(word: str) -> tuple[str, str]:
    name, equals, path = word.partition("=")
    return (name, path) if equals and not os.path.exists(word) else ("", word)


def node_name(name: str) -> str:
    """A host's name as a lab has it: without its domain."""
    return re.sub(r"[^a-z0-9-]+", "-", name.split(".")[0].lower()).strip("-")[:42].strip("-")


class _Dumper(yaml.SafeDumper):
    """Text of several lines as such."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def text_of(lab: str, made: dict[str, Imported]) -> str:
    """The definition."""
    head = HEAD + "".join(f"# {name}: {text}\n" for name, host in made.items() for text in host.differences)
    definition: dict[str, Any] = {"lab": lab, "hosts": {name: host.host for name, host in made.items()}}
    return head + yaml.dump(
        definition, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True
    )


def summary(path: str, lab: str, made: dict[str, Imported]) -> list[str]:
    """Lines for people."""
    lines = [f"{path}: lab {lab}, {len(made)} host(s); start it with: ccwemu up {path}"]
    for name, host in made.items():
        guests = f", running: {', '.join(host.running)}" if host.running else ""
        lines.append(f"{name}: {host.disks} DASDs ({host.passed} passed through), {host.others} other devices{guests}")
        lines += [f"{name}: not as on the real host: {text}" for text in host.differences]
    return lines


def _write(path: str | None, text: str) -> None:
    """Only its owner may read it: it says much of a host."""
    if path is None:
        sys.stdout.write(text)
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Each page does what it says: its code blocks are run from top to bottom, as a reader would (see blocks.py)."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from blocks import Block, Command, blocks, lab

PROJECT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
PAGES = sorted(
    path
    for pattern in ("README.md", "CONTRIBUTING.md", "docs/*.md", "roles/*/README.md")
    for path in PROJECT.glob(pattern)
)
REAL_PAGES = [page for page in PAGES if lab(page, real=True)]
REPOSITORY = "https://github.com/zkvm/vfio_ccw.git"
OF_THE_TESTS = ("ANSIBLE_", "GIT_", "MAKE", "MFLAGS")
"""What variables of the environment begin with that a reader has not."""
LIMIT = 600
"""Seconds that a command of a page may take before it is given up."""
NODES = "ansible_connection: zkvm.vfio_ccw.ccwemu\nansible_become: false\n"
"""What makes an inventory that is written for real systems one of the lab's nodes."""


class Reader:
    """Somebody who follows a page: a directory, an environment, the repository's address."""

    def __init__(self, home: Path) -> None:
        self.directory = home
        self._where = home / ".where"
        commands = Path(sys.executable).parent
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(OF_THE_TESTS)},
            "PATH": f"{commands}:{os.environ['PATH']}",
            "CCWEMU_HOME": str(home / "labs"),
            "CCWEMU_LAB": "page",
            "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "build" / "collections"),
            "ANSIBLE_HOME": str(home / ".ansible"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_PYTHON_INTERPRETER": "auto_silent",
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": f"url.{PROJECT}.insteadOf",
            "GIT_CONFIG_VALUE_0": REPOSITORY,
            "GIT_CONFIG_KEY_1": "safe.directory",
            "GIT_CONFIG_VALUE_1": "*",
        }

    def run(self, line: str) -> tuple[int, str]:
        """Run a line by the shell where the last one ended; the exit status and what it printed."""
        done = subprocess.run(
            ["bash", "-c", f"{line}\nstatus=$?; pwd > {self._where}; exit $status"],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        self.directory = Path(self._where.read_text(encoding="utf-8").strip())
        return done.returncode, done.stdout

    def write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture(name="reader")
def _reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    if (tmp_path / "labs").exists():
        reader.run("ccwemu down --all")


@pytest.mark.lab
@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_the_page_does_what_it_says(page: Path, reader: Reader):
    if lab(page):
        _start(reader, lab(page))
    elif "git clone" in page.read_text(encoding="utf-8"):  # the collection is the clone's
        del reader.environment["ANSIBLE_COLLECTIONS_PATH"]
    for block in blocks(page):
        if not block.real_only:
            _follow(page, block, reader)


@pytest.mark.long
@pytest.mark.lab
@pytest.mark.parametrize("page", REAL_PAGES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_the_page_does_it_with_a_real_guest(page: Path, reader: Reader):
    status, said = reader.run("ccwemu guest-image build")
    assert status == 0, said
    _start(reader, lab(page, real=True))
    reader.write("group_vars/guests.yml", yaml.safe_dump({**_login(reader), "guest_accel": "tcg"}))
    for block in blocks(page):
        _follow(page, block, reader)


def _login(reader: Reader) -> dict[str, Any]:
    """How one logs in to the lab's real guest, by the collection's own inventory; of its text Ansible says so."""
    reader.write("lab.ccwemu.yml", "plugin: zkvm.vfio_ccw.ccwemu\nlab: page\n")
    asked = "ANSIBLE_INVENTORY_ENABLED=zkvm.vfio_ccw.ccwemu ansible-inventory -i lab.ccwemu.yml --host linux01"
    status, said = reader.run(asked)
    assert status == 0, said
    found = json.loads(said)
    return {name: value["__ansible_unsafe"] if isinstance(value, dict) else value for name, value in found.items()}


def _start(reader: Reader, definition: str) -> None:
    """Start the lab that the page runs on, as the reader's hosts."""
    status, said = reader.run(f"ccwemu up --name page {PROJECT / definition}")
    assert status == 0, said
    reader.write("group_vars/all.yml", NODES)


def _follow(page: Path, block: Block, reader: Reader) -> None:
    where = f"{page.relative_to(PROJECT)}, line {block.line}"
    if block.language.startswith("{"):  # a directive of the site's generator
        return
    known = {"console": _console, "yaml": _yaml, "python": _python, "ini": _file, "text": _nothing, "json": _json}
    assert block.language in known, f"{where}: a block of {block.language!r}, known are {', '.join(known)}"
    known[block.language](where, block, reader)


def _nothing(where: str, block: Block, reader: Reader) -> None:
    """Text is read."""


def _console(where: str, block: Block, reader: Reader) -> None:
    for command in block.commands() if not block.reason else ():
        _command(where, command, reader)


def _command(where: str, command: Command, reader: Reader) -> None:
    status, said = reader.run(command.line)
    told = f"{where}: $ {command.line}\nended with {status}, printed\n{said}"
    if status != command.status:
        pytest.fail(told, pytrace=False)
    if not command.matches(said):
        pytest.fail(f"{told}\nthe page has\n" + "\n".join(command.prints or ()), pytrace=False)


def _yaml(where: str, block: Block, reader: Reader) -> None:
    list(yaml.safe_load_all(block.text))
    _file(where, block, reader)


def _json(where: str, block: Block, reader: Reader) -> None:
    yaml.safe_load(block.text)  # JSON with comments is none


def _python(where: str, block: Block, reader: Reader) -> None:
    ast.parse(block.text, filename=where)
    _file(where, block, reader)


def _file(where: str, block: Block, reader: Reader) -> None:
    if block.file_name and not block.reason:
        reader.write(block.file_name, block.text)

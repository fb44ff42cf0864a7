# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of commands, and how one is run."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import ccwemu
from ccwemu import tools

SOURCES = str(Path(ccwemu.__file__).parents[1])


@pytest.mark.parametrize("command", tools.COMMANDS)
def test_every_command_is_there(command):
    module, _, function = tools.COMMANDS[command].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("command", [name for name in tools.COMMANDS if not name.startswith("qemu")])
def test_commands_start_fast(command):
    """A play starts them hundreds of times: nothing of the emulator but the tools themselves is imported."""
    script = (
        f"import sys; sys.path.insert(0, {SOURCES!r}); import importlib\n"
        f"importlib.import_module({tools.COMMANDS[command].partition(':')[0]!r})\n"
        "print(*[name for name in sys.modules if name.startswith('ccwemu.')])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert all(name.startswith("ccwemu.tools") for name in done.stdout.split())


def test_the_exit_status_is_the_functions(monkeypatch):
    monkeypatch.setitem(tools.COMMANDS, "try", f"{__name__}:answer")
    monkeypatch.setitem(sys.modules, __name__, sys.modules[answer.__module__])
    before = signal.getsignal(signal.SIGPIPE)
    try:
        assert tools.run("try", ["3"]) == 3
    finally:
        signal.signal(signal.SIGPIPE, before)  # or a reader that goes away would end the tests


def answer(argv: list[str]) -> int:
    return int(argv[0])


def test_the_real_program_is_none_of_the_launchers(tmp_path, monkeypatch):
    for directory, text in (("launchers", "#!/bin/sh\n# ccwemu: the emulated command x\n"), ("real", "#!/bin/sh\n")):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "x").write_text(text)
        (tmp_path / directory / "x").chmod(0o755)
    directories = (str(tmp_path / "nothing"), str(tmp_path / "launchers"), str(tmp_path / "real"))
    monkeypatch.setattr(tools, "DIRECTORIES", directories)
    assert tools.real_program("x") == str(tmp_path / "real/x")
    assert tools.real_program("no-such-program") is None

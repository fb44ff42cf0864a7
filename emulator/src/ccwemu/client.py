# SPDX-License-Identifier: GPL-2.0-or-later
"""A lab that runs, for programs in Python: what the command ``ccwemu`` offers, as methods.

Everything goes through the command, so that a program meets what a user meets, errors included.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

Definition = str | os.PathLike[str] | Mapping[str, Any]
Done = subprocess.CompletedProcess[str]


class CcwemuError(Exception):
    """A command of ccwemu that failed: its words, its exit status, what it said."""

    def __init__(self, words: Sequence[str], status: int, said: str) -> None:
        super().__init__(f"ccwemu {' '.join(words)}: exit status {status}: {said.strip()}")
        self.words = tuple(words)
        self.status = status
        self.said = said


class Lab:
    """A lab, started when this is made and ended by :meth:`end`, or at the end of a ``with`` block.

    ``definition`` is the path of a lab's definition, "seed", or what such a file holds as a mapping. ``home``: the
    directory of its files (it must not be used by two labs of one name). Raises CcwemuError.
    """

    def __init__(self, definition: Definition, home: str | os.PathLike[str]) -> None:
        self.home = Path(home)
        self.home.mkdir(parents=True, exist_ok=True)
        path = self._file(definition)
        self._ccwemu("up", path)
        self.name = self._ccwemu("ps", "--json", parsed=True)[0]["lab"]

    def _file(self, definition: Definition) -> str:
        if not isinstance(definition, Mapping):
            return os.fspath(definition)
        path = self.home / "lab.yml"
        path.write_text(yaml.safe_dump(dict(definition), sort_keys=False), encoding="utf-8")
        return str(path)

    def _ccwemu(self, *words: str, parsed: bool = False) -> Any:
        done = self._process(words, None, None)
        if done.returncode:
            raise CcwemuError(words, done.returncode, done.stderr or done.stdout)
        return json.loads(done.stdout) if parsed else done.stdout

    def _process(self, words: Sequence[str], stdin: str | None, timeout: float | None) -> Done:
        return subprocess.run(
            [sys.executable, "-m", "ccwemu", *words],
            env={**os.environ, "CCWEMU_HOME": str(self.home)},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def run(
        self,
        node: str,
        argv: Sequence[str],
        *,
        check: bool = True,
        input: str | None = None,
        timeout: float | None = None,
    ) -> Done:
        """Run a command as root of a host or a guest: ``returncode``, ``stdout``, ``stderr``.

        With ``check`` another exit status than 0 raises CcwemuError. Raises subprocess.TimeoutExpired.
        """
        words = ["exec", "--lab", self.name, node, "--", *argv]
        done = self._process(words, input, timeout)
        if check and done.returncode:
            raise CcwemuError(words, done.returncode, done.stderr or done.stdout)
        return done

    def shell(self, node: str, script: str, **how: Any) -> Done:
        """The same for a script for /bin/sh."""
        return self.run(node, ["/bin/sh", "-c", script], **how)

    def fault(self, host: str, device: str, kind: str, **options: object) -> str:
        """``ccwemu fault``: ``lab.fault("lpar1", "0.0.7e52", "unit-check", sense="equipment-check", count=2)``."""
        given = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        return str(self._ccwemu("fault", "--lab", self.name, host, device, kind, *given))

    def reboot(self, host: str, *, seed: int | None = None, renumber: bool = False) -> str:
        """``ccwemu reboot``."""
        given = ([] if seed is None else ["--seed", str(seed)]) + (["--renumber"] if renumber else [])
        return str(self._ccwemu("reboot", "--lab", self.name, *given, host))

    def wait(self, node: str, *, timeout: float = 300) -> None:
        """Until one can run commands in a guest. Raises CcwemuError where that takes longer (in seconds)."""
        self._ccwemu("wait", "--lab", self.name, "--timeout", str(timeout), node)

    def status(self) -> dict[str, dict[str, Any]]:
        """Node → role, host (of a guest), state (running, down, dead) and pid."""
        rows: list[dict[str, Any]] = self._ccwemu("ps", "--json", parsed=True)
        return {row["node"]: row for row in rows if row["lab"] == self.name}

    def end(self) -> None:
        """End the lab and remove its files; ending it again does nothing."""
        self._ccwemu("down", self.name)

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Labs of the machines on which the traces were recorded."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
NODE = "s390x"


class Host:
    """The emulated host of a lab: scripts run in it, output (standard error joined) comes back."""

    def __init__(self, lab: str, environment: dict[str, str]) -> None:
        self._lab = lab
        self._environment = environment

    def ccwemu(self, *argv: str, data: bytes | None = None) -> bytes:
        done = subprocess.run(
            [sys.executable, "-m", "ccwemu", *argv],
            env=self._environment,
            input=data if data is not None else b"",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert done.returncode == 0, done.stdout.decode(errors="replace")
        return done.stdout

    def put(self, text: str, path: str) -> None:
        self.ccwemu("exec", "--lab", self._lab, NODE, "--", "dd", f"of={path}", "status=none", data=text.encode())

    def run(self, *command: str) -> str:
        return self.ccwemu("exec", "--lab", self._lab, NODE, "--", *command).decode()


@pytest.fixture
def start_host(tmp_path: Path) -> Iterator[Callable[[str], Host]]:
    """Start the host of labs/NAME.yml; ended with the test."""
    environment = {**os.environ, "CCWEMU_HOME": str(tmp_path / "labs")}
    hosts: list[Host] = []

    def start(name: str) -> Host:
        host = Host(f"fidelity-{name}", environment)
        host.ccwemu("up", str(HERE / "labs" / f"{name}.yml"))
        hosts.append(host)
        return host

    yield start
    for host in hosts:
        host.ccwemu("down", "--all")

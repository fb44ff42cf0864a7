# SPDX-License-Identifier: GPL-3.0-or-later
"""A testinfra backend that runs commands in a node of the lab.

testinfra reaches a host of a connection plugin that it does not know through an ad-hoc ansible run for every command:
seconds each, and without the output's last newline. ``ccwemu exec`` is the same door, faster.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

CONSOLE_LINES = 30


class CcwemuBackend(BaseBackend):
    NAME = "ccwemu"

    def __init__(self, node: str, *args: Any, **kwargs: Any) -> None:
        self._node = node
        super().__init__(node, *args, **kwargs)

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        line = self.get_command(command, *args)
        return self.run_local("ccwemu exec --lab %s %s -- /bin/sh -c %s", os.environ["CCWEMU_LAB"], self._node, line)


@pytest.fixture(scope="session")
def lpar1() -> Host:
    return Host(CcwemuBackend("lpar1"))


@pytest.fixture(scope="session")
def linux01() -> Host:
    return Host(CcwemuBackend("linux01"))


@pytest.fixture(scope="session")
def linux02() -> Host:
    return Host(CcwemuBackend("linux02"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """Where a test fails: what the guests' consoles showed last."""
    report = yield
    if report.failed:
        consoles = Host(CcwemuBackend("lpar1")).run(f"tail -n {CONSOLE_LINES} /var/log/vfio_ccw/*.console").stdout
        report.sections.append((f"the guests' consoles, last {CONSOLE_LINES} lines", consoles))
    return report

# SPDX-License-Identifier: GPL-3.0-or-later
"""The emulated s390-tools answer as the real ones did, and the real mdevctl and driverctl run as on the real kernel."""

from __future__ import annotations

import shlex
from itertools import groupby

import pytest
from rules import ALWAYS, NOT_EMULATED
from test_kernel import lines, unified
from trace_notation import DATA, Step, normalise, parse

TRACE = "linux-6.1-tools-trace"


def script(steps: list[Step]) -> str:
    """A bash script that runs the commands of the trace and prints their answers in its notation."""
    parts = ['try() { echo "$ $1"; bash -c "$1" 2>&1; rc=$?; [ $rc = 0 ] || echo "[rc=$rc]"; }']
    for section, group in groupby(steps, key=lambda step: step.section):
        parts.append(f"echo {shlex.quote('== ' + section)}")
        parts += [f"try {shlex.quote(step.title[2:])}" for step in group if step.title.startswith("$ ")]
    return "\n".join(parts) + "\n"


@pytest.mark.lab
def test_replay(start_host):
    recorded = [
        step
        for step in parse((DATA / f"{TRACE}.txt").read_text(encoding="utf-8"))
        if not NOT_EMULATED.match(step.title)
    ]
    host = start_host("tools")
    host.put(script(recorded), "/tmp/script")
    emulated = parse(host.run("bash", "/tmp/script").replace("\r\n", "\n"))
    found = unified(lines(normalise(recorded, ALWAYS)), lines(normalise(emulated, ALWAYS)))
    if found:
        pytest.fail(f"{TRACE}: recorded and emulated differ:\n{found}", pytrace=False)

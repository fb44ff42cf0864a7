# SPDX-License-Identifier: GPL-2.0-or-later
"""``ccwemu wait``: until one can run commands in a node."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from typing import Any

from ccwemu.clitools import fail, parser_of
from ccwemu.lab import remote, state

PAUSE = 0.2
"""Seconds between two looks: what is waited for, a guest's system, tells nobody that it is up."""


def main(words: Sequence[str]) -> int:
    """Returns the exit status: 0 when the node can be used, 1 when it cannot in time. Raises StateError."""
    parser = parser_of("wait", "Wait until one can run commands in a node.", "ccwemu wait --timeout 60 linux01")
    parser.add_argument("--lab", metavar="LAB", help="default: the lab that has the node")
    parser.add_argument("--timeout", type=_seconds, default=300, metavar="SECONDS", help="default: 300")
    parser.add_argument("node", metavar="NODE")
    arguments = parser.parse_args(words)
    deadline = time.monotonic() + arguments.timeout
    while True:
        found = state.lab_of_node(arguments.node, arguments.lab)
        left = deadline - time.monotonic()
        if found.node_runs(arguments.node) and _answers(found.nodes[arguments.node], left):
            return 0
        if left <= 0:
            why = "does not answer" if found.node_runs(arguments.node) else "is not running"
            return fail(f"node {arguments.node} of lab {found.lab}: {why} after {arguments.timeout:g} s")
        time.sleep(min(PAUSE, max(left, 0)))


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]+(\.[0-9]*)?", text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected seconds, as 60 or 0.5")
    return float(text)


def _answers(node: dict[str, Any], seconds: float) -> bool:
    """A host or a quick guest does as soon as it runs."""
    if "ssh" not in node:
        return True
    return remote.answers(node["ssh"]["address"], node["ssh"]["port"], max(0.1, min(seconds, remote.LIMIT)))

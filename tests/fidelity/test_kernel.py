# SPDX-License-Identifier: GPL-3.0-or-later
"""The emulated host answers a recording script as the real kernel did, line by line."""

from __future__ import annotations

import difflib
from dataclasses import replace

import pytest
from rules import ALWAYS, DMESG
from trace_notation import DATA, Step, normalise, parse

HERE = DATA.parent


def lines(steps: list[Step]) -> list[str]:
    return [line for step in steps for line in str(step).splitlines()]


def unified(expected: list[str], actual: list[str]) -> str:
    """A unified diff, "" when they agree."""
    return "\n".join(difflib.unified_diff(expected, actual, "recorded", "emulated", lineterm="", n=4))


def cut_log(want: Step, have: Step) -> Step:
    """The emulated step with the kernel log cut to as many lines as the recorded one has.

    The scripts print the last few lines of the log; what the rules leave out makes that window wider on one side.
    """

    def is_log(line: str) -> bool:
        return have.section == "dmesg" or line.startswith("  dmesg ")

    recorded = sum(map(is_log, want.output))
    log = [line for line in have.output if is_log(line)]
    return replace(have, output=(*(line for line in have.output if not is_log(line)), *log[len(log) - recorded :]))


def compare(trace: str, answer: str) -> str:
    """A unified diff of the recorded trace and what the emulated host answered, "" when they agree."""
    rules = [*ALWAYS, *DMESG]
    expected = normalise(parse((DATA / f"{trace}.txt").read_text(encoding="utf-8")), rules)
    actual = normalise(parse(answer), rules)
    window = [cut_log(want, have) for want, have in zip(expected, actual)]
    actual = [*window, *actual[len(window) :]]
    return unified(lines(expected), lines(actual))


@pytest.mark.lab
@pytest.mark.parametrize(("lab", "trace"), [("trace", "linux-6.1-trace"), ("online", "linux-6.1-trace-online")])
def test_replay(start_host, lab, trace):
    host = start_host(lab)
    host.put((HERE / "replay.sh").read_text(encoding="utf-8"), "/tmp/replay.sh")
    host.put((DATA / f"{trace}.init").read_text(encoding="utf-8"), "/tmp/script")
    # on a terminal, as it was recorded: ls writes columns there
    answer = host.run("script", "-q", "-e", "-c", "busybox sh /tmp/replay.sh /tmp/script", "/dev/null")
    if found := compare(trace, answer.replace("\r\n", "\n")):
        pytest.fail(f"{trace}: recorded and emulated differ:\n{found}", pytrace=False)

# SPDX-License-Identifier: GPL-2.0-or-later
"""A running lab for the tests: the command ``ccwemu``, and shells in the lab's nodes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import ccwemu


class Lab:
    """The command ``ccwemu``, and shells in the nodes of one lab."""

    def __init__(self, directory: Path) -> None:
        sources = str(Path(ccwemu.__file__).parents[1])
        self.environment = {**os.environ, "CCWEMU_HOME": str(directory), "PYTHONPATH": sources}

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ccwemu", *words],
            capture_output=True, text=True, env=self.environment, timeout=60, check=False,
        )  # fmt: skip

    def shell(self, node: str, script: str) -> subprocess.CompletedProcess[str]:
        return self.command("exec", node, "--", "bash", "-c", script)

    def output(self, node: str, script: str) -> str:
        done = self.shell(node, script)
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout


def give(subchannel: str, uuid: str) -> str:
    """A script for a host: the subchannel becomes a mediated device."""
    return f"""
set -e
modprobe vfio_ccw
echo {subchannel} > /sys/bus/css/devices/{subchannel}/driver/unbind
echo {subchannel} > /sys/bus/css/drivers/vfio_ccw/bind
echo {uuid} > /sys/bus/css/devices/{subchannel}/mdev_supported_types/vfio_ccw-io/create
"""


def take(subchannel: str, uuid: str) -> str:
    """A script for a host: the subchannel is the host's own again."""
    return f"""
[ ! -e /sys/bus/mdev/devices/{uuid} ] || echo 1 > /sys/bus/mdev/devices/{uuid}/remove
echo {subchannel} > /sys/bus/css/drivers/vfio_ccw/unbind
echo {subchannel} > /sys/bus/css/drivers/io_subchannel/bind
echo 1 > /proc/cio_settle
"""


@contextlib.contextmanager
def running_lab(directory: Path, definition: str) -> Iterator[Lab]:
    """A lab of its own directory of labs."""
    file = directory / "lab.yml"
    file.write_text(definition)
    lab = Lab(directory / "labs")
    up = lab.command("up", str(file))
    assert up.returncode == 0, up.stderr
    try:
        yield lab
    finally:
        lab.command("down", "--all")


@contextlib.contextmanager
def running_guest(lab: Lab, subchannel: str, uuid: str, start: str) -> Iterator[None]:
    """The guest linux01 on lpar1, started with a passed-through subchannel; afterwards the host has that again."""
    lab.output("lpar1", give(subchannel, uuid))
    lab.output("lpar1", start)
    try:
        yield
    finally:
        lab.shell("lpar1", "[ ! -e /run/linux01.pid ] || kill $(cat /run/linux01.pid)")
        until(lambda: "running" not in lab.command("ps").stdout.split("linux01")[1])
        lab.output("lpar1", take(subchannel, uuid))


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Look again and again; fails when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.05)

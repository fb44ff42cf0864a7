# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest whose kernel panics ends with its QEMU: that is told at once, and its console says why."""

from __future__ import annotations

import json
import os
import subprocess

from lab_rig import until


def state_of(name):
    rows = json.loads(subprocess.run(["ccwemu", "ps", "--json"], check=True, capture_output=True, text=True).stdout)
    (row,) = [row for row in rows if (row["lab"], row["node"]) == (os.environ["CCWEMU_LAB"], name)]
    return row["state"]


def test_a_panic_ends_the_guest(lpar1, linux02):
    linux02.run("(sleep 1; echo c > /proc/sysrq-trigger) > /dev/null 2>&1 &")  # after the answer
    until(lambda: state_of("linux02") == "down")
    assert "Kernel panic - not syncing" in lpar1.file("/var/log/vfio_ccw/linux02.console").content_string
    told = linux02.run("true")
    assert told.rc == 1
    assert "guest linux02: is not running; start it on its host lpar1" in told.stderr

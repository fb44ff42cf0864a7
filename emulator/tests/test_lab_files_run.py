# SPDX-License-Identifier: GPL-2.0-or-later
"""How many files a lab may have open: each disk in use is one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from lab_rig import Lab

DISKS = 160
LAB = """\
lab: many
hosts:
  lpar1:
    devices:
      - {dasd: 0.0.1000-0.0.109f, chpids: [41], cylinders: 1}
"""
LIMITED = """\
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv.pop(1)), int(sys.argv.pop(1))))
runpy.run_module('ccwemu', run_name='__main__')
"""


def _up(lab: Lab, definition: Path, soft: int, hard: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LIMITED, str(soft), str(hard), "up", str(definition)],
        capture_output=True, text=True, env=lab.environment, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.lab
@pytest.mark.parametrize(
    ("soft", "hard", "status", "says"),
    [
        (100, 4096, 0, "lab many is up"),
        (100, 100, 1, "of its disks cannot be used; the first, on subchannel 0.0."),
    ],
    ids=["more are allowed", "no more are allowed"],
)
def test_a_lab_has_all_its_disks_or_does_not_come_up(
    tmp_path: Path, soft: int, hard: int, status: int, says: str
) -> None:
    (tmp_path / "many.yml").write_text(LAB, encoding="utf-8")
    lab = Lab(tmp_path / "labs")
    done = _up(lab, tmp_path / "many.yml", soft, hard)
    try:
        assert done.returncode == status, done.stdout + done.stderr
        assert says in done.stdout + done.stderr
        if not status:
            assert int(lab.output("lpar1", "ls /sys/bus/ccw/devices | wc -l")) == DISKS
    finally:
        lab.command("down", "--all")

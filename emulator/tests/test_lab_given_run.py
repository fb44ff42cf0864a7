# SPDX-License-Identifier: GPL-2.0-or-later
"""What a definition gives a host: files before its first boot, commands after it, disks in use."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_rig import Lab

UUIDS = [f"6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb92{number}" for number in range(2)]
LAB = f"""\
lab: given
hosts:
  lpar1:
    files:
      /etc/machine-id: 0123456789abcdef0123456789abcdef
      /etc/driverctl.d/css-0.0.0001: vfio_ccw
      /etc/mdevctl.d/0.0.0001/{UUIDS[0]}: '{{"mdev_type": "vfio_ccw-io", "start": "auto", "attrs": []}}'
      /srv/new/directory/x.sh: {{text: "#!/bin/sh\\necho ran\\n", mode: 700}}
    commands:
      - [modprobe, vfio_ccw]
      - [driverctl, -b, css, --nosave, set-override, 0.0.0002, vfio_ccw]
      - [mdevctl, start, -u, {UUIDS[1]}, -p, 0.0.0002, -t, vfio_ccw-io]
      - [sh, -c, "/srv/new/directory/x.sh >> /root/log"]
    devices:
      - {{dasd: 0.0.8000-0.0.8002, chpids: [41], cylinders: 10017}}
      - {{dasd: 0.0.9000, chpids: [41], cylinders: 3, swap: true}}
      - {{dasd: 0.0.9001, chpids: [41], cylinders: 3, volumes: [vg0-data]}}
"""


@pytest.fixture(scope="module", name="given")
def _given(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    directory = tmp_path_factory.mktemp("given")
    (directory / "lab.yml").write_text(LAB)
    lab = Lab(directory / "labs")
    up = lab.command("up", str(directory / "lab.yml"))
    assert up.returncode == 0, up.stderr
    yield lab
    lab.command("down", "given")


def test_what_is_there(given: Lab) -> None:
    script = """
    cat /etc/machine-id; echo
    stat -c '%a %U %n' /srv/new/directory/x.sh /srv/new /etc/driverctl.d/css-0.0.0001
    ls -d /sys/bus/mdev/devices/*
    tail -n 1 /proc/swaps | cut -d ' ' -f 1
    cat /sys/block/dm-0/dm/name; ls /sys/block/dm-0/slaves
    """
    assert given.output("lpar1", textwrap.dedent(script)).splitlines() == [
        "0123456789abcdef0123456789abcdef",
        "700 root /srv/new/directory/x.sh",
        "755 root /srv/new",
        "644 root /etc/driverctl.d/css-0.0.0001",
        *(f"/sys/bus/mdev/devices/{uuid}" for uuid in UUIDS),
        "/dev/dasda1",
        "vg0-data",
        "dasdb1",
    ]


def test_a_reboot_runs_no_command_again_and_leaves_the_files(given: Lab) -> None:
    given.output("lpar1", "echo changed > /etc/machine-id")
    assert given.command("reboot", "lpar1").returncode == 0
    seen = given.output("lpar1", "cat /etc/machine-id /root/log; ls /sys/bus/mdev/devices")
    assert seen.splitlines() == ["changed", "ran", UUIDS[0]]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("[nosuch]", "the command nosuch of the definition ended with status 127: /usr/bin/env: 'nosuch': No such"),
        (
            "[sh, -c, 'echo why; exit 3']",
            "the command sh -c 'echo why; exit 3' of the definition ended with status 3",
        ),
    ],
)
def test_a_command_that_fails_is_told(tmp_path: Path, command: str, message: str) -> None:
    (tmp_path / "lab.yml").write_text(f"lab: wrong\nhosts:\n  lpar1:\n    commands:\n      - {command}\n")
    lab = Lab(tmp_path / "labs")
    up = lab.command("up", str(tmp_path / "lab.yml"))
    assert up.returncode == 1
    assert message in up.stderr.replace("\u2018", "'").replace("\u2019", "'")
    (tmp_path / "lab.yml").write_text("lab: wrong\nhosts:\n  lpar1:\n    commands:\n      - ['true']\n")
    assert lab.command("up", str(tmp_path / "lab.yml")).returncode == 0
    assert lab.command("down", "wrong").returncode == 0

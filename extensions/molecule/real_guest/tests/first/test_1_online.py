# SPDX-License-Identifier: GPL-3.0-or-later
"""A stock Debian sees the disk that was passed to it, and its own tools bring it online."""

from __future__ import annotations

DEVICE = "/sys/bus/ccw/devices/0.0.1234"
SECTORS = 200 * 15 * 12 * 4096 // 512
"""Cylinders, tracks of a cylinder, records of a track, bytes of a record."""


def test_it_is_debian_s_kernel_on_an_emulated_processor(linux01):
    assert linux01.check_output("uname -m") == "s390x"
    assert "Debian" in linux01.file("/proc/version").content_string


def test_lscss_has_the_disk(linux01):
    rows = [line.split() for line in linux01.check_output("lscss").splitlines()]
    (row,) = [row for row in rows if row[0] == "0.0.1234"]
    assert row[2:5] == ["3390/0c", "3990/e9", "yes"]
    assert row[-2] == "41420000"


def test_chccwdev_takes_it_offline_and_online(linux01):
    script = linux01.check_output("command -v chccwdev")
    assert linux01.file(script).content_string.startswith("#!/bin/bash")
    linux01.check_output("chccwdev -d 0.0.1234")
    assert linux01.file(f"{DEVICE}/online").content_string == "0\n"
    assert linux01.check_output("chccwdev -e 0.0.1234").splitlines() == ["Setting device 0.0.1234 online", "Done"]
    assert linux01.file(f"{DEVICE}/online").content_string == "1\n"


def test_status_uid_and_size_are_right(linux01):
    assert linux01.file(f"{DEVICE}/status").content_string == "online\n"
    assert linux01.file(f"{DEVICE}/uid").content_string == "IBM.750000000LNX01.007e.52\n"
    name = linux01.check_output(f"ls {DEVICE}/block")
    assert linux01.file(f"/sys/block/{name}/size").content_string == f"{SECTORS}\n"


def test_the_control_unit_tells_of_its_volume(linux01):
    """No other system has it, and all of its space is allocated: it is fully provisioned."""
    assert linux01.file(f"{DEVICE}/host_access_count").content_string == "1\n"
    assert linux01.file(f"{DEVICE}/ese").content_string == "0\n"
    for name in ("logical_capacity", "space_allocated"):
        assert linux01.file(f"{DEVICE}/capacity/{name}").content_string == "200\n"


def test_lsdasd_has_the_disk(linux01):
    (row,) = [line.split() for line in linux01.check_output("lsdasd").splitlines() if line.startswith("0.0.1234")]
    assert row[1] == "active"
    assert row[4:6] == ["ECKD", "4096"]

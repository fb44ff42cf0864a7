# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The door to the system, on real files."""

from __future__ import annotations

import errno
import os
import signal
import threading
from pathlib import Path

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import Host, HostError, StillBlocked


@pytest.fixture(name="host")
def _host(tmp_path):
    return Host(root=str(tmp_path))


def test_a_write_makes_no_file(host, tmp_path):
    with pytest.raises(HostError) as error:
        host.write("/sys/nothing", "1")
    assert error.value.name == "ENOENT"
    assert "write '1' to /sys/nothing" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_write_is_one_line(host, tmp_path):
    (tmp_path / "attribute").write_text("")
    host.write("/attribute", "0.0.7e52")
    assert (tmp_path / "attribute").read_text() == "0.0.7e52\n"


def test_a_write_that_blocks_is_given_up_after_its_time(host, tmp_path):
    os.mkfifo(tmp_path / "remove")
    with pytest.raises(StillBlocked, match="not finished after"):
        host.write_bounded("/remove", "1", timeout=0.2)
    with open(tmp_path / "remove", encoding="utf-8") as reader:  # lets the child go
        assert reader.read() == "1\n"


def test_a_write_that_does_not_block_succeeds_or_fails_as_usual(host, tmp_path):
    (tmp_path / "remove").write_text("")
    host.write_bounded("/remove", "1", timeout=10)
    assert (tmp_path / "remove").read_text() == "1\n"
    with pytest.raises(HostError) as error:
        host.write_bounded("/nothing", "1", timeout=10)
    assert error.value.errno == errno.ENOENT


def test_many_bounded_writes_share_a_process_until_one_blocks(host, tmp_path):
    def children():
        return (tmp_path / "who").read_text()

    def tell(line):
        path = Path(line.split("\0")[0])
        path.write_text(str(os.getpid()))
        return ""

    host._write_line = tell
    host.write_bounded("/who", "1", timeout=10)
    first = children()
    host.write_bounded("/who", "1", timeout=10)
    assert (children(), first != str(os.getpid())) == (first, True)
    os.mkfifo(tmp_path / "remove")
    with pytest.raises(StillBlocked):
        host.write_bounded("/remove", "1", timeout=0.2)
    host.write_bounded("/who", "1", timeout=10)
    assert children() != first
    os.close(os.open(tmp_path / "remove", os.O_RDONLY | os.O_NONBLOCK))  # lets the child go


def test_a_writer_that_was_killed_is_an_error_and_the_next_write_has_another(host, tmp_path):
    (tmp_path / "remove").write_text("")
    host._write_line = lambda line: os.kill(os.getpid(), signal.SIGKILL)
    with pytest.raises(HostError, match="the process that was to write is gone"):
        host.write_bounded("/remove", "1", timeout=10)
    del host._write_line
    host.write_bounded("/remove", "1", timeout=10)
    assert (tmp_path / "remove").read_text() == "1\n"


def test_saving_replaces_as_a_whole(host, tmp_path):
    host.save("/var/lib/x/file", "one\n", 0o600)
    host.save("/var/lib/x/file", "two\n", 0o600)
    assert (tmp_path / "var/lib/x/file").read_text() == "two\n"
    assert (tmp_path / "var/lib/x/file").stat().st_mode & 0o777 == 0o600
    assert host.names("/var/lib/x") == ["file"]


def test_saving_where_it_cannot_be_is_an_error_that_leaves_nothing(host, tmp_path):
    (tmp_path / "var").write_text("a file")
    with pytest.raises(HostError, match="save /var/x"):
        host.save("/var/x", "text")


def test_links_are_followed_below_the_root(host, tmp_path):
    (tmp_path / "sys/devices/css0/0.0.16ca").mkdir(parents=True)
    (tmp_path / "sys/bus").mkdir()
    (tmp_path / "sys/bus/link").symlink_to("../devices/css0/0.0.16ca")
    assert host.resolve("/sys/bus/link") == "/sys/devices/css0/0.0.16ca"
    assert host.link_name("/sys/bus/link") == "0.0.16ca"
    assert (host.link("/sys/nothing"), host.names("/sys/nothing"), host.get("/sys/nothing", "x")) == ("", [], "x")


def test_waiting_ends_when_the_condition_holds_or_time_is_up(host):
    flag = threading.Event()
    threading.Timer(0.05, flag.set).start()
    assert host.wait_for(flag.is_set, 5)
    assert not host.wait_for(lambda: False, 0.01)

# SPDX-License-Identifier: GPL-2.0-or-later
"""The monitor and the guest's command socket, over real unix sockets."""

from __future__ import annotations

import errno
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from ccwemu.guest.qemuopts import Options, QemuError
from ccwemu.guest.qmp import Monitor
from ccwemu.guest.service import Service
from ccwemu.tools import _host


def talk(path: Path, *lines: bytes) -> list[Any]:
    """The greeting or None, then the answer to each line."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(path))
        with connection.makefile("rwb") as stream:
            answers = [json.loads(stream.readline())]
            for line in lines:
                stream.write(line + b"\n")
                stream.flush()
                answers.append(json.loads(stream.readline()))
    return answers


@pytest.fixture
def monitor(tmp_path):
    path = tmp_path / "qmp.sock"
    made = Monitor(Options("-qmp x", {"path": str(path)}), {"query-name": lambda arguments: {"name": "linux01"}})
    made.start()
    yield path
    made.close()
    assert not path.exists()


def test_conversation(monitor):
    greeting, early, ready, again, name, unknown, garbage = talk(
        monitor,
        b'{"execute": "query-name"}',
        b'{"execute": "qmp_capabilities", "id": 1}',
        b'{"execute": "qmp_capabilities"}',
        b'{"execute": "query-name", "id": "n"}',
        b'{"execute": "migrate"}',
        b"nonsense",
    )
    assert greeting["QMP"]["version"]["qemu"]["major"] == 7
    assert early["error"]["class"] == "CommandNotFound"
    assert ready == {"return": {}, "id": 1}
    assert again["error"]["desc"] == "Capabilities negotiation is already complete, command ignored"
    assert name == {"return": {"name": "linux01"}, "id": "n"}
    assert unknown["error"]["desc"] == "The command migrate has not been found"
    assert garbage["error"]["class"] == "GenericError"


def test_a_socket_that_cannot_be_made():
    where = "-qmp unix:/nodir/x,server=on,wait=off"
    with pytest.raises(QemuError) as refused:
        Monitor(Options(where, {"path": "/nodir/x"}), {})
    assert refused.value.text() == (
        f"qemu-system-s390x: {where}: Failed to bind socket to /nodir/x: No such file or directory\n"
    )


def test_command_socket(tmp_path):
    def refuse(message: dict[str, Any]) -> dict[str, Any]:
        raise OSError(errno.ENOENT, "No such file or directory")

    path = str(tmp_path / "host.sock")
    service = Service(path, {"dmesg": lambda message: {"text": "hello"}, "modprobe": refuse})
    try:
        assert _host.ask({"op": "dmesg"}, path) == {"ok": True, "text": "hello"}
        for question, name in (({"op": "modprobe"}, "ENOENT"), ({"op": "nosuch"}, "EOPNOTSUPP")):
            with pytest.raises(_host.HostError) as refused:
                _host.ask(question, path)
            assert refused.value.name == name
    finally:
        service.close()

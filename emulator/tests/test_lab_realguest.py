# SPDX-License-Identifier: GPL-2.0-or-later
"""What is told where a real guest cannot be, or does not answer."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from ccwemu.guestimage import tools
from ccwemu.lab import realguest, remote
from ccwemu.lab.realguest import RealGuestError
from ccwemu.lab.spec import GuestSpec

INSTALL = "run:\n  sudo apt-get install --reinstall qemu-system-misc"
QEMUS = [
    (None, f"qemu-system-s390x, which guests of kind real run in: not installed; {INSTALL}"),
    ("echo 'name \"virtio-blk-ccw\", bus virtual-css-bus'", f"has no device vfio-ccw; Debian's has it, {INSTALL}"),
    (
        "echo 'error while loading shared libraries' >&2; exit 127",
        f"loading shared libraries\nDebian's works; {INSTALL}",
    ),
    ("exec sleep 60", "no end after 0.5 s"),
]


@pytest.mark.parametrize(("script", "text"), QEMUS)
def test_a_qemu_that_will_not_do(
    script: str | None, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "qemu-system-s390x"
    if script is not None:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setattr(tools, "_QEMU_TIMEOUT", 0.5)
    with pytest.raises(tools.Missing, match=re.escape(text)):
        tools.qemu(None if script is None else str(program))


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        wanted = f"guest linux01: port {port} of 127.0.0.1.*: Address already in use; choose another ssh_port"
        with pytest.raises(RealGuestError, match=wanted):
            realguest._reserve(GuestSpec("linux01", "lpar1", kind="real", ssh_port=port))


# -- one that does not answer -----------------------------------------------------------------------------------------


def node(server: socket.socket) -> dict[str, object]:
    address, port = server.getsockname()
    access = {"address": address, "port": port, "user": "root", "key": "/key", "options": ["LogLevel=ERROR"]}
    return {"pid": 77, "host": "lpar1", "ssh": access}


def test_a_guest_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its QEMU takes connections, its system does not."""
    monkeypatch.setattr(remote.answers, "__defaults__", (0.1,))
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(
            remote.Unreachable, match=r"guest linux01: runs \(process 77\), but nobody answers .* lpar1 says"
        ),
    ):
        remote.run_by_ssh("linux01", node(server), ["true"])


def test_a_port_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        gone = node(server)
    with pytest.raises(remote.Unreachable, match="nobody answers at its ssh port"):
        remote.run_by_ssh("linux01", gone, ["true"])


def test_ssh_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(remote.Unreachable, match="run: sudo apt-get install openssh-client"):
        remote.run_by_ssh("linux01", {}, ["true"])

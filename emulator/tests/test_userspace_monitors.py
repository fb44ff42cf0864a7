# SPDX-License-Identifier: GPL-2.0-or-later
"""The message by which udevd tells of an event. That libudev takes it: tests/fidelity/test_udev.py."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

import pytest

from ccwemu.userspace.monitors import Monitors, message, show_udevd

EVENT = {"ACTION": "add", "DEVPATH": "/devices/css0/0.0.16ca", "SUBSYSTEM": "css", "SEQNUM": "7"}


def test_a_message_has_a_header_and_the_variables() -> None:
    told = message(EVENT)
    prefix, magic, size, start, length, subsystem, kind, high, low = struct.unpack_from(">8sI", told) + (
        struct.unpack_from("=3I", told, 12) + struct.unpack_from(">4I", told, 24)
    )
    assert (prefix, magic, size) == (b"libudev\0", 0xFEEDCAFE, 40)
    assert told[start : start + length] == b"".join(f"{k}={v}".encode() + b"\0" for k, v in EVENT.items())
    assert subsystem and not kind and not high and not low


def test_tags_are_variables_too() -> None:
    assert b"TAGS=:a:b:\0CURRENT_TAGS=:a:b:\0" in message(EVENT, {"b", "a"})


class Heard:
    """In place of a netlink socket."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[bytes], list[tuple[int, int, bytes]], int, tuple[int, int]]] = []

    def sendmsg(self, *call: object) -> None:
        self.calls.append(call)  # type: ignore[arg-type]


@pytest.mark.parametrize(("user", "owner", "named"), [(0, 0x70000000, True), (0, 0, False), (1000, 1000, False)])
def test_the_sender_is_the_root_of_the_node(
    monkeypatch: pytest.MonkeyPatch, user: int, owner: int, named: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    heard = Heard()
    Monitors(heard, owner).tell({**EVENT, ".private": "x"}, [])  # type: ignore[arg-type]
    ((data,), ancillary, _, address) = heard.calls[0]
    assert b".private" not in data and address == (0, 2)
    assert [item[:2] for item in ancillary] == [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS)] * named
    assert all(struct.unpack("=3i", item[2])[1:] == (owner, owner) for item in ancillary)


def test_that_nobody_listens_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nobody:
        def sendmsg(self, *call: object) -> None:
            raise ConnectionRefusedError

    Monitors(Nobody(), 0).tell(EVENT, [])  # type: ignore[arg-type]
    Monitors(None, 0).tell(EVENT, [])


def test_libudev_finds_a_udevd(tmp_path: Path) -> None:
    show_udevd(tmp_path, os.geteuid())
    assert (tmp_path / "run/udev/control").exists()

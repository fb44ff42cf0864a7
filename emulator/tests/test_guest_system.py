# SPDX-License-Identifier: GPL-2.0-or-later
"""What a lab gives a real guest: what is added to its command line, its files, and the way in."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccwemu.guest.qemuopts import QemuError
from ccwemu.guest.relay import Relay, stop_listening
from ccwemu.guest.system import System, asks_what_it_can, boots_itself, lab_options, name_of

DIRECTORY = "/var/lib/ccwemu/guests/linux01"
BOOT = "-kernel", f"{DIRECTORY}/kernel"
NETWORK = ["-netdev", "user,id=ccwemu-net,restrict=on,hostfwd=tcp:127.0.0.1:2222-:22"]

NAMES = [
    ([], ""),
    (["-name", "linux01"], "linux01"),
    (["--name", "guest=linux01,debug-threads=on"], "linux01"),
    (["-name", "one", "-m", "512", "-name", "two"], "two"),
    (["-m", "512", "-name"], ""),
]

BOOTS = [
    ([], False),
    (["-device", "vfio-ccw,sysfsdev=/sys/x,devno=fe.0.1234"], False),
    (["-device", "vfio-ccw,sysfsdev=/sys/x,bootindex=1"], True),
    (["--device", '{"driver": "vfio-ccw", "sysfsdev": "/sys/x", "bootindex": 1}'], True),
    (["-kernel", "/boot/mine"], True),
]


ASKS = [
    ([], False),
    (["-M", "s390-ccw-virtio"], False),
    (["-S", "-nodefaults", "-machine", "none,accel=kvm:tcg"], True),
    (["-machine", "type=none"], True),
    (["-machine", "none", "-M", "s390-ccw-virtio-7.2,usb=off"], False),
]


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    contents = {"kernel": b"kernel", "initrd": b"initrd", "root": bytes(1 << 20) + b"root" + bytes(1 << 20)}
    files = []
    for name, content in contents.items():
        with open(tmp_path / name, "wb") as file:
            for piece in range(0, len(content), 4096):
                block = content[piece : piece + 4096]
                file.seek(piece)
                if any(block):
                    file.write(block)
            file.truncate(len(content))
        files.append(os.open(tmp_path / name, os.O_RDONLY))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        answer = {"kind": "real", "image": "one", "append": "root=/dev/vda", "port": 2222}
        made = System.of(answer, [os.dup(listener.fileno()), *files])
    yield made
    made.close()


@pytest.mark.parametrize(("argv", "name"), NAMES)
def test_name(argv: list[str], name: str) -> None:
    assert name_of(argv) == name


@pytest.mark.parametrize(("argv", "itself"), BOOTS)
def test_boots_itself(argv: list[str], itself: bool) -> None:
    assert boots_itself(argv) == itself


@pytest.mark.parametrize(("argv", "asks"), ASKS)
def test_asks_what_it_can(argv: list[str], asks: bool) -> None:
    assert asks_what_it_can(argv) == asks


def test_a_guest_gets_a_system_and_a_way_in(system: System) -> None:
    options = lab_options(["-name", "linux01", "-m", "512"], system, DIRECTORY)
    pairs = list(zip(options[::2], options[1::2], strict=True))
    assert ("-kernel", f"{DIRECTORY}/kernel") in pairs
    assert ("-append", "root=/dev/vda") in pairs
    assert ("-drive", f"if=none,id=ccwemu-root,format=raw,file={DIRECTORY}/root.img") in pairs
    assert tuple(NETWORK) in pairs


def test_one_that_boots_itself_gets_the_way_in_alone(system: System) -> None:
    options = lab_options(["-device", "vfio-ccw,sysfsdev=/sys/x,bootindex=1"], system, DIRECTORY)
    assert options[:2] == NETWORK
    assert not {"-kernel", "-initrd", "-append", "-drive"} & set(options)


def test_files_are_copied_once_with_their_holes(system: System, tmp_path: Path) -> None:
    target = tmp_path / "guest"
    target.mkdir()
    system.provide(str(target))
    assert (target / "root.img").read_bytes() == (tmp_path / "root").read_bytes()
    assert (target / "root.img").stat().st_blocks == (tmp_path / "root").stat().st_blocks
    (target / "root.img").write_bytes(b"what the guest wrote")
    system.provide(str(target))
    assert (target / "root.img").read_bytes() == b"what the guest wrote"


def test_another_image_takes_the_place(system: System, tmp_path: Path) -> None:
    target = tmp_path / "guest"
    target.mkdir()
    (target / "image").write_text("another")
    (target / "kernel").write_bytes(b"an older one")
    system.provide(str(target))
    assert (target / "kernel").read_bytes() == b"kernel"


@pytest.mark.parametrize("answer", [{}, {"image": "one", "append": "", "port": "none"}])
def test_an_answer_that_is_none_is_told(answer: dict[str, str]) -> None:
    with socket.socket() as listener, pytest.raises(QemuError, match="not understood"):
        System.of(answer, [os.dup(listener.fileno()), os.dup(0), os.dup(0), os.dup(0)])


# -- the way in -------------------------------------------------------------------------------------------------------


@pytest.fixture
def echo() -> Iterator[int]:
    """A port where everything comes back in capital letters, to the end."""
    server = socket.create_server(("127.0.0.1", 0))

    def talk(connection: socket.socket) -> None:
        with connection:
            while piece := connection.recv(65536):
                connection.sendall(piece.upper())

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def bound() -> socket.socket:
    listener = socket.socket()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    listener.bind(("127.0.0.1", port))
    return listener


def test_a_relay_carries_both_ways_to_the_end(echo: int) -> None:
    listener = bound()
    relay = Relay(listener, echo)
    data = b"abc" * 100_000
    with socket.create_connection(listener.getsockname()) as connection:
        sender = threading.Thread(target=lambda: (connection.sendall(data), connection.shutdown(socket.SHUT_WR)))
        sender.start()
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        sender.join()
    assert answer == data.upper()
    relay.close()


def test_a_side_that_has_ended_still_hears_the_other() -> None:
    """The server has said all, and hears what the client goes on saying."""
    data, heard, told = b"last words " * 100_000, [], threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def say() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            heard.append(b"".join(iter(lambda: connection.recv(65536), b"")))
        told.set()

    threading.Thread(target=say, daemon=True).start()
    listener = bound()
    relay = Relay(listener, server.getsockname()[1])
    with socket.create_connection(listener.getsockname()) as connection:
        assert b"".join(iter(lambda: connection.recv(65536), b"")) == data
        connection.sendall(b"are you there?")
        connection.shutdown(socket.SHUT_WR)
        assert told.wait(30)
    assert heard == [b"are you there?"]
    relay.close()
    server.close()


def test_nobody_behind_it_is_the_end_of_the_connection() -> None:
    listener, other = bound(), bound()
    relay = Relay(listener, other.getsockname()[1])
    with socket.create_connection(listener.getsockname()) as connection:
        assert connection.recv(1) == b""
    relay.close()
    other.close()


def test_a_closed_relay_refuses_and_its_port_can_serve_again(echo: int) -> None:
    """Also while a connection of the time before is still there, as after a guest's end."""
    listener = bound()
    address, kept = listener.getsockname(), listener.dup()
    first = Relay(listener, echo)
    with socket.create_connection(address) as before:
        before.sendall(b"first")
        assert before.recv(5) == b"FIRST"
        first.close()
        stop_listening(kept)  # as the lab does when it notices: it has the same socket
        with pytest.raises(OSError) as caught:
            socket.create_connection(address)
        assert caught.value.errno == errno.ECONNREFUSED
        relay = Relay(kept, echo)
        with socket.create_connection(address) as connection:
            connection.sendall(b"again")
            assert connection.recv(5) == b"AGAIN"
    relay.close()

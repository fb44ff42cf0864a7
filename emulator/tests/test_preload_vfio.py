# SPDX-License-Identifier: GPL-2.0-or-later
"""The preloaded library, as QEMU meets it, with the daemon's own answers to it: see preload_program.py."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ccwemu
from ccwemu.channel import Image, Record
from ccwemu.faults.board import Board
from ccwemu.guest.real import preload_library
from ccwemu.lab.faults import FaultDesk
from ccwemu.lab.hostsock import host_operations
from ccwemu.lab.lines import Message, Peer, Refusal, Server
from ccwemu.machine.spec import DasdSpec, SubchannelSpec

PROGRAM = Path(__file__).with_name("preload_program.py")
UUIDS = [f"00000000-0000-0000-0000-00000000000{n}" for n in range(3)]


class Handle:
    """A mediated device held open, as the machine gives it out."""

    def __init__(self, host: Host, uuid: str) -> None:
        self.host, self.uuid = host, uuid
        self.subchannel = f"0.0.{UUIDS.index(uuid):04x}"
        self.request: Callable[[], None] | None = None
        self.paths: Callable[[int], None] | None = None

    def on_request(self, callback: Callable[[], None] | None) -> None:
        with self.host.changed:
            self.request = callback
            self.host.changed.notify_all()

    def on_paths(self, callback: Callable[[int], None] | None) -> None:
        with self.host.changed:
            self.paths = callback
            self.host.changed.notify_all()

    def close(self) -> None:
        with self.host.changed:
            del self.host.handles[self.uuid]
            self.host.changed.notify_all()


class Host:
    """The files of an emulated host that the library looks at, and its socket."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.handles: dict[str, Handle] = {}
        self.changed = threading.Condition()
        for name in ("dev/vfio", "run/ccwemu", "proc/sys/kernel"):
            (root / name).mkdir(parents=True)
        (root / "proc/sys/kernel/osrelease").write_text("6.1.0-50-s390x\n")
        (root / "dev/vfio/vfio").touch()
        for number, uuid in enumerate(UUIDS):
            (root / f"dev/vfio/{number}").touch()
            (root / f"sys/kernel/iommu_groups/{number}/devices/{uuid}").mkdir(parents=True)
            make_disk(root / f"{number}.ckd")
        machine = SimpleNamespace(mdevs=self)
        spec: Any = SimpleNamespace(
            name="host", subchannels=tuple(self.subchannel(number) for number in range(len(UUIDS)))
        )
        self.board = NoticedBoard(self.changed)
        self.desk = FaultDesk(self.board, spec, None)
        operations = host_operations(machine, spec, lambda name, pid: lambda: None, self.board)
        mine = {
            "opened": self.opened,
            "push": self.push,
            "wait-closed": self.wait_closed,
            "wait-met": self.wait_met,
            "end": self.end,
            "fault": lambda peer, message: self.desk.serve(message),
        }
        self.server = Server(str(root / "run/ccwemu/host.sock"), {**operations, **mine})

    def subchannel(self, number: int) -> SubchannelSpec:
        disk = DasdSpec(image=str(self.root / f"{number}.ckd"), cylinders=2, serial="0000000ABC01", unit_address=number)
        if number == 2:
            disk = replace(disk, other_systems=2, rejects_suborders=(0x52,))
        return SubchannelSpec(
            busid=f"0.0.{number:04x}", devno=f"0.0.7e5{number}", chpids=(0x41, 0x42), pim=0xC0, pam=0xC0, device=disk
        )

    def open_device(self, uuid: str, holds_group: bool) -> Handle:
        assert holds_group
        with self.changed:
            if uuid in self.handles:
                raise Refusal("EBUSY", "Device or resource busy")
            self.handles[uuid] = Handle(self, uuid)
            return self.handles[uuid]

    def opened(self, peer: Peer, message: Message) -> Message:
        return {"uuids": list(self.handles)}

    def push(self, peer: Peer, message: Message) -> Message:
        handle, event = self.handles[message["uuid"]], message["event"]
        with self.changed:  # the opener has its answer before the host listens
            self.changed.wait_for(lambda: handle.request is not None and handle.paths is not None, timeout=10)
        if event["event"] == "request":
            assert handle.request is not None
            handle.request()
        else:
            assert handle.paths is not None
            handle.paths(event["pam"])
        return {"ok": True}

    def end(self, peer: Peer, message: Message) -> Message:
        """As when the lab ends: every connection is cut."""
        self.server.close()
        return {"ok": True}

    def wait_met(self, peer: Peer, message: Message) -> Message:
        """Until no fault is pending on the first disk."""
        with self.changed:
            return {"ok": self.changed.wait_for(lambda: not self.board.pending("0.0.0000"), timeout=10)}

    def wait_closed(self, peer: Peer, message: Message) -> Message:
        with self.changed:
            return {"ok": self.changed.wait_for(lambda: message["uuid"] not in self.handles, timeout=10)}


class NoticedBoard(Board):
    """Lets one wait for what is told of faults."""

    def __init__(self, changed: threading.Condition) -> None:
        super().__init__()
        self._changed = changed

    def counted(self, busid: str, identity: int, skip: int, left: int) -> None:
        super().counted(busid, identity, skip, left)
        with self._changed:
            self._changed.notify_all()


def make_disk(path: Path) -> None:
    Image.create(path, cylinders=2)
    image = Image.open(path)
    for head in range(4):
        blocks = [Record(0, head, number, b"", bytes(4096)) for number in range(1, 13)]
        image.write_track(0, head, [Record(0, head, 0, b"", bytes(8)), *blocks])
    image.close()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.server.close()


def run(host: Host, scenario: str) -> subprocess.CompletedProcess[str]:
    sources = str(Path(ccwemu.__file__).parents[1])
    preload = ":".join(filter(None, (os.environ.get("LD_PRELOAD"), preload_library())))
    environment: dict[str, Any] = {
        **os.environ,
        "LD_PRELOAD": preload,
        "CCWEMU_ROOT": str(host.root),
        "PYTHONPATH": sources,
    }
    words = [sys.executable, str(PROGRAM), scenario]
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)


SCENARIOS = [
    "interface",
    "interrupts",
    "programs",
    "others",
    "subchannel",
    "storage",
    "several",
    "closing",
    "group_busy",
    "host_events",
    "faults",
    "device_gone",
    "host_ends",
]


@pytest.mark.parametrize("scenario", [*SCENARIOS, "other_files"])
def test_program(host: Host, scenario: str) -> None:
    done = run(host, scenario)
    assert done.returncode == 0, done.stderr


def test_what_was_written_is_in_the_image(host: Host) -> None:
    run(host, "several")
    with host.changed:  # the host lets go of an image a moment after the program has ended
        assert host.changed.wait_for(lambda: not host.handles, timeout=10)
    for number in range(3):
        image = Image.open(host.root / f"{number}.ckd")
        assert image.read_track(0, 1)[1].data == bytes([number + 1]) * 4096
        image.close()


def test_damaged_image(host: Host) -> None:
    with open(host.root / "0.ckd", "r+b") as file:
        file.write(b"????")
    done = run(host, "bad_image")
    assert done.returncode == 0, done.stderr
    assert f"mediated device {UUIDS[0]}: its disk image: not a CKD disk image" in done.stderr
    assert "see ccwemu disk info" in done.stderr


def test_no_host(host: Host) -> None:
    host.server.close()
    (host.root / "run/ccwemu/host.sock").unlink()
    done = run(host, "subchannel")
    assert done.returncode != 0
    assert "the emulated host does not answer at /run/ccwemu/host.sock: No such file or directory" in done.stderr

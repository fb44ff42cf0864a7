# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulated host with its real guest, which has two disks: one passed through, and one of virtio-blk."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ccwemu.guestimage.rootfs import ROOT_LABEL

LAB, HOST, GUEST = "bench-guest", "lpar1", "linux01"
DEFINITION = f"""\
lab: {LAB}
hosts:
  {HOST}:
    devices: [{{dasd: 0.0.7e52, subchannel: 0.0.16ca, chpids: [41], cylinders: 200}}]
guests:
  {GUEST}: {{host: {HOST}, kind: real}}
"""
UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
DASD, VIRTIO = "0.0.1234", "0.0.2222"
VIRTIO_IMAGE, VIRTIO_MIB = "/srv/virtio.raw", 40
GIVE = Path(__file__).parents[2] / "real/host.sh"
LIMIT = 300
"""Seconds for a guest to come up, or to end."""


class Lab:
    """``with Lab(work)``: the host, its DASD a mediated device, and a raw image of the other disk's beside it."""

    def __init__(self, work: Path) -> None:
        self._home = work / "labs"
        self._environment = {**os.environ, "CCWEMU_HOME": str(self._home)}

    def __enter__(self) -> Lab:
        self._home.mkdir(parents=True, exist_ok=True)
        definition = self._home.parent / "lab.yml"
        definition.write_text(DEFINITION, encoding="utf-8")
        self.run("guest-image", "build", timeout=1200)
        self.run("down", "--if-exists", LAB)  # one that was left by a run that was killed
        self.run("up", str(definition))
        try:
            self.run("exec", HOST, "--", "sh", "-s", "give", UUID, "0.0.7e52", "0.0.16ca", stdin=GIVE.read_text())
            # written, so that it has no holes, as the other image has none
            self.run("exec", HOST, "--", "dd", "if=/dev/zero", f"of={VIRTIO_IMAGE}", "bs=1M", f"count={VIRTIO_MIB}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.run("down", LAB)

    def _command(self, words: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "ccwemu", *words]

    def run(self, *words: str, stdin: str = "", timeout: int = LIMIT) -> str:
        """Run ccwemu; its output, while its messages go to the terminal. Raises RuntimeError."""
        done = subprocess.run(
            self._command(words), input=stdin, env=self._environment, stdout=subprocess.PIPE, text=True,
            timeout=timeout, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"ccwemu {' '.join(words)} ended with status {done.returncode}")
        return done.stdout

    def start(self) -> Guest:
        """The guest, from its QEMU's start on."""
        command = self._command(["exec", HOST, "--", *qemu()])
        return Guest(
            subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                errors="replace",
            )
        )  # fmt: skip

    def await_login(self) -> None:
        """Until one can log in to the guest. Raises RuntimeError."""
        end = time.monotonic() + LIMIT
        while subprocess.run(
            self._command(["exec", GUEST, "--", "true"]), env=self._environment, stderr=subprocess.DEVNULL, check=False
        ).returncode:
            if time.monotonic() > end:
                raise RuntimeError(f"one cannot log in to {GUEST} within {LIMIT} s")

    def converse(self, *words: str) -> Iterator[str]:
        """Run a program in the guest: its lines, with an empty one for it after each. Raises RuntimeError."""
        with subprocess.Popen(
            self._command(["exec", GUEST, "--", *words]), env=self._environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, bufsize=1,
        ) as process:  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            for line in process.stdout:
                yield line.rstrip()
                with contextlib.suppress(BrokenPipeError):  # that was the last one
                    process.stdin.write("\n")
        if process.returncode:
            raise RuntimeError(f"{words[0]} in the guest ended with status {process.returncode}")

    def clean(self) -> None:
        """Bring the pages of both images, as the host has them in memory, to its disk."""
        directory = self._home / LAB
        for path in (*(directory / "disks").iterdir(), directory / "hosts" / HOST / "root" / VIRTIO_IMAGE[1:]):
            image = os.open(path, os.O_RDONLY)
            os.fsync(image)
            os.close(image)

    def disk(self, device: str) -> str:
        """The block device that the guest has for a CCW device."""
        path = f"/sys/bus/ccw/devices/{device}"
        found = self.run(
            "exec", GUEST, "--", "sh", "-c", f"ls -d {path}/block/* {path}/virtio*/block/* 2>/dev/null; true"
        )
        return "/dev/" + found.split()[0].rpartition("/")[2]


def qemu() -> list[str]:
    """Under it the lab's own kernel and root file system; dracut's parameter has the DASD set online at once."""
    return [
        "qemu-system-s390x", "-name", GUEST, "-M", "s390-ccw-virtio", "-m", "512", "-no-reboot", "-nodefaults",
        "-nographic", "-serial", "stdio",
        "-append", f"root=LABEL={ROOT_LABEL} rw console=ttysclp0 ccwemu.name={GUEST} rd.dasd={DASD}",
        "-device", f"vfio-ccw,sysfsdev=/sys/bus/mdev/devices/{UUID},devno={DASD.replace('0', 'fe', 1)}",
        "-drive", f"if=none,id=peer,format=raw,file={VIRTIO_IMAGE}",
        "-device", f"virtio-blk-ccw,drive=peer,devno={VIRTIO.replace('0', 'fe', 1)}",
    ]  # fmt: skip


class Guest:
    """A QEMU, and what its guest says on the console."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._since = time.monotonic()
        self._said: queue.Queue[tuple[float, str] | None] = queue.Queue()
        self._console: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put((time.monotonic() - self._since, line.rstrip()))
        self._said.put(None)

    def until(self, text: str) -> float:
        """Seconds from QEMU's start until the console says it. Raises RuntimeError, with the console's last lines."""
        for after, line in self._lines():
            if text in line:
                return after
        raise RuntimeError("\n".join([f"the guest did not say {text!r}; its console:", *self._console[-30:]]))

    def _lines(self) -> Iterator[tuple[float, str]]:
        """To the end of the console, or of the time."""
        with contextlib.suppress(queue.Empty):
            while (said := self._said.get(timeout=max(0.0, self._since + LIMIT - time.monotonic()))) is not None:
                self._console.append(said[1])
                yield said

    def wait(self) -> None:
        """Until QEMU has ended. Raises RuntimeError."""
        try:
            self._process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"the guest was told to power off and has not ended after {LIMIT} s") from None

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

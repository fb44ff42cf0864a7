# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulated host and the guest on it, for run.py."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import initramfs
from packages import Packages

HERE = Path(__file__).parent
HOST = "lpar1"
KERNEL, BUSYBOX = r"linux-image-6\.1\.0-\d+-s390x", "busybox-static"
MODULES = ("dasd_mod.ko", "dasd_eckd_mod.ko")
GUEST_TIMEOUT, COMMAND_TIMEOUT = 180, 60  # seconds; an emulated CPU on a busy machine
IMAGES = "/srv/guest"


class Failure(Exception):
    pass


class Progress:
    """Prints a line when a step is done, with the time that it took."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        print(f"real: {text} ({now - self._since:.1f} s)", flush=True)
        self._since = now


class Lab:
    """The emulated host, in a directory of labs of its own."""

    def __init__(self, home: Path) -> None:
        self._environment = {**os.environ, "CCWEMU_HOME": str(home)}
        self._root = home / "seed/hosts" / HOST / "root"

    def command(self, *words: str, stdin: str = "") -> str:
        """Run ccwemu; its output. Raises Failure."""
        done = subprocess.run(
            [sys.executable, "-m", "ccwemu", *words],
            input=stdin, env=self._environment, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=False,
        )  # fmt: skip
        if done.returncode:
            raise Failure(f"ccwemu {' '.join(words)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def host(self, *words: str) -> str:
        """An action of host.sh on the host."""
        return self.command("exec", HOST, "--", "sh", "-s", *words, stdin=(HERE / "host.sh").read_text()).strip()

    def put(self, name: str, content: bytes) -> str:
        """A file on the host; its path there."""
        directory = self._root / IMAGES[1:]
        directory.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
        return f"{IMAGES}/{name}"

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "ccwemu", "exec", HOST, "--", *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            env=self._environment,
        )  # fmt: skip


class Guest:
    """A running QEMU. What the guest says on its console line by line, and what of it is meant for us."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._deadline = time.monotonic() + GUEST_TIMEOUT
        self.console: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip())
        self._lines.put(None)

    def says(self) -> Iterator[tuple[str, str]]:
        """(word, rest) of each line of the guest's script, and what its dasd driver logs, until QEMU has ended.

        Raises Failure after the limit.
        """
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, self._deadline - time.monotonic()))
            except queue.Empty:
                raise Failure(f"the guest has not ended {GUEST_TIMEOUT} s after its start") from None
            if line is None:
                break
            self.console.append(line)
            if line.startswith("guest: "):
                word, _space, rest = line[7:].partition(" ")
                yield word, rest
            elif "] dasd-eckd 0." in line:
                yield "kernel", line.partition("] dasd-eckd ")[2]
        status = self._process.wait(timeout=COMMAND_TIMEOUT)
        if status:
            raise Failure(f"qemu-system-s390x ended with status {status}")

    def go_on(self) -> None:
        """A line for the guest's script, which waits for one."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(timeout=COMMAND_TIMEOUT)


def guest_image(packages: Packages, script: str) -> tuple[bytes, bytes]:
    """Kernel, and an initramfs that runs a script of this directory. Raises Missing."""
    kernel = packages.unpacked(KERNEL)
    busybox = packages.unpacked(BUSYBOX)
    (image,) = kernel.glob("boot/vmlinuz-*")
    files = {"init": (HERE / script).read_bytes(), "bin/busybox": (busybox / "bin/busybox").read_bytes()}
    for module in MODULES:
        (path,) = kernel.glob(f"**/{module}")
        files[f"modules/{module}"] = path.read_bytes()
    for directory in ("proc", "sys", "dev"):
        files[f"{directory}/.mount-point"] = b""
    return image.read_bytes(), initramfs.build(files)


def qemu_command(kernel: str, initrd: str, uuids: Sequence[str]) -> list[str]:
    """A guest in which the devices are 0.0.1231, 0.0.1232 and so on."""
    words = [
        "env", "CCWEMU_QEMU=real", "qemu-system-s390x", "-M", "s390-ccw-virtio", "-m", "512", "-no-reboot",
        "-nodefaults", "-nographic", "-serial", "stdio", "-kernel", kernel, "-initrd", initrd,
        "-append", "console=ttysclp0 loglevel=5 rdinit=/bin/busybox -- sh /init",
    ]  # fmt: skip
    for number, uuid in enumerate(uuids, 1):
        words += ["-device", f"vfio-ccw,id=disk{number},sysfsdev=/sys/bus/mdev/devices/{uuid},devno=fe.0.123{number:x}"]
    return words


def expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise Failure(f"{what}: found {found!r}, expected {expected!r}")

# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulated host and the guest on it, for run.py."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ccwemu.guestimage import initramfs
from ccwemu.guestimage.packages import Debian, unpack

HERE = Path(__file__).parent
HOST = "lpar1"
SERIES = "6.1"
MODULES = ("dasd_mod.ko", "dasd_eckd_mod.ko")
GUEST_TIMEOUT, COMMAND_TIMEOUT = 180, 60  # seconds; an emulated CPU on a busy machine
CONSOLE_LINES = 30
IMAGES = "/srv/guest"
MONITOR = "/run/guest.qmp"
DISKS = {
    "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920": ("0.0.7e52", "0.0.16ca"),
    "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb921": ("0.0.7e54", "0.0.16cc"),
    "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb922": ("0.0.7e55", "0.0.16cd"),
}
UUIDS = list(DISKS)


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

    def outside(self, path: str) -> Path:
        """Where a file of the host is for us."""
        return self._root / path.removeprefix("/")

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
        while (line := self._line()) is not None:
            if line.startswith("guest: "):
                word, _space, rest = line[7:].partition(" ")
                yield word, rest
            elif "] dasd-eckd 0." in line:
                yield "kernel", line.partition("] dasd-eckd ")[2]
        self._expect_end()

    def _expect_end(self) -> None:
        status = self._process.wait(timeout=COMMAND_TIMEOUT)
        if status:
            raise Failure(f"qemu-system-s390x ended with status {status}")

    def _line(self) -> str | None:
        """The next line of the console; None at its end. Raises Failure after the limit."""
        try:
            line = self._lines.get(timeout=max(0.0, self._deadline - time.monotonic()))
        except queue.Empty:
            raise Failure(f"the guest has not ended {GUEST_TIMEOUT} s after its start") from None
        if line is not None:
            self.console.append(line)
        return line

    def wait_for(self, word: str) -> None:
        """Until the guest's script says this. Raises Failure."""
        self.wait_line(f"guest: {word}")

    def wait_line(self, start: str) -> None:
        """Until a line of the console begins with this. Raises Failure."""
        while (line := self._line()) is not None:
            if line.startswith(start):
                return
        raise Failure(f"the guest has ended before it said {start!r}")

    def wait_end(self) -> None:
        """Until QEMU has ended as it should. Raises Failure."""
        while self._line() is not None:
            pass
        self._expect_end()

    def show_console(self) -> None:
        """Print the last lines of the console."""
        tail = "\n".join(self.console[-CONSOLE_LINES:])
        print(f"--- the guest's console, last {CONSOLE_LINES} lines ---\n{tail}\n---", file=sys.stderr)

    def tell(self, line: str = "") -> None:
        """A line for the guest's script, which waits for one."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def do(self, command: str) -> list[str]:
        """Have commands.sh run a line; what it printed, kernel messages left out. Raises Failure."""
        self.tell(command)
        said: list[str] = []
        while (line := self._line()) is not None:
            if line.startswith("guest: status "):
                expect(f"exit status of {command!r} in the guest", line.rpartition(" ")[2], "0")
                return said
            if not line.startswith("["):
                said.append(line)
        raise Failure(f"the guest has ended during {command!r}")

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(timeout=COMMAND_TIMEOUT)


def packages(debian: Debian, cache: Path) -> dict[str, Path]:
    """Package name → where it is unpacked below a directory: a kernel and busybox. Raises Missing."""
    debian.update()
    wanted = debian.alone(debian.kernel(SERIES), "busybox-static")
    found = {}
    for package, deb in zip(wanted, debian.fetch(wanted).values(), strict=True):
        tree = cache / f"{package.name}_{package.version.replace(':', '_')}"
        if not tree.exists():
            work = Path(tempfile.mkdtemp(prefix="new-", dir=cache))
            unpack(deb, work)
            work.rename(tree)
        found[package.name] = tree
    return found


def guest_image(trees: Mapping[str, Path], script: str) -> tuple[bytes, bytes]:
    """Kernel, and an initramfs that runs a script of this directory."""
    busybox = trees["busybox-static"]
    (kernel,) = (tree for name, tree in trees.items() if name.startswith("linux-image-"))
    (image,) = kernel.glob("boot/vmlinuz-*")
    files = {"init": (HERE / script).read_bytes(), "bin/busybox": (busybox / "bin/busybox").read_bytes()}
    for module in MODULES:
        (path,) = kernel.glob(f"**/{module}")
        files[f"modules/{module}"] = path.read_bytes()
    for directory in ("proc", "sys", "dev"):
        files[f"{directory}/.mount-point"] = b""
    return image.read_bytes(), initramfs.build(files)


def vfio_device(number: int, uuid: str) -> dict[str, str]:
    """The properties of a passed-through device: 0.0.1231 in the guest for number 1."""
    path = f"/sys/bus/mdev/devices/{uuid}"
    return {"driver": "vfio-ccw", "id": f"disk{number}", "sysfsdev": path, "devno": f"fe.0.123{number:x}"}


def device_option(number: int, uuid: str) -> str:
    return ",".join(f"{key}={value}" for key, value in vfio_device(number, uuid).items())


def qemu_command(kernel: str, initrd: str, uuids: Sequence[str]) -> list[str]:
    """A guest in which the devices are 0.0.1231, 0.0.1232 and so on."""
    words = [
        "env", "CCWEMU_QEMU=real", "qemu-system-s390x", "-M", "s390-ccw-virtio", "-m", "512", "-no-reboot",
        "-nodefaults", "-nographic", "-serial", "stdio", "-qmp", f"unix:{MONITOR},server=on,wait=off",
        "-kernel", kernel, "-initrd", initrd,
        "-append", "console=ttysclp0 loglevel=5 rdinit=/bin/busybox -- sh /init",
    ]  # fmt: skip
    for number, uuid in enumerate(uuids, 1):
        words += ["-device", device_option(number, uuid)]
    return words


def expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise Failure(f"{what}: found {found!r}, expected {expected!r}")

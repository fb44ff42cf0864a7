# SPDX-License-Identifier: GPL-2.0-or-later
"""A real qemu-system-s390x and a stock Debian kernel on the emulated host's disk. ``make test-real`` runs it.

One line for each step. On failure: what failed, and the last lines of the guest's console. Everything has a limit
of time. What is fetched and built is kept in build/real.
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import ccwemu
import initramfs
from packages import Missing, Packages, qemu

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / "build/real"
LAB = Path(ccwemu.__file__).parent / "labs/seed.yml"
HOST, UUID, DEVNO = "lpar1", "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920", "fe.0.1234"
KERNEL, BUSYBOX = r"linux-image-6\.1\.0-\d+-s390x", "busybox-static"
MODULES = ("dasd_mod.ko", "dasd_eckd_mod.ko")
GUEST_TIMEOUT, COMMAND_TIMEOUT = 180, 60  # seconds; an emulated CPU on a busy machine
CONSOLE_LINES = 30
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
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
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
        """(word, rest) of each line of the guest's init, until QEMU has ended. Raises Failure after the limit."""
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, self._deadline - time.monotonic()))
            except queue.Empty:
                raise Failure(f"the guest has not ended {GUEST_TIMEOUT} s after its start") from None
            if line is None:
                break
            self.console.append(line)
            if line.startswith("guest: "):
                word, _, rest = line[7:].partition(" ")
                yield word, rest
        status = self._process.wait(timeout=COMMAND_TIMEOUT)
        if status:
            raise Failure(f"qemu-system-s390x ended with status {status}")

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(timeout=COMMAND_TIMEOUT)


def guest_image(packages: Packages, say: Progress) -> tuple[bytes, bytes]:
    """Kernel and initramfs. Raises Missing."""
    kernel = packages.unpacked(KERNEL)
    busybox = packages.unpacked(BUSYBOX)
    say(f"packages: {kernel.name}, {busybox.name}")
    (image,) = kernel.glob("boot/vmlinuz-*")
    files = {"init": (HERE / "guest.sh").read_bytes(), "bin/busybox": (busybox / "bin/busybox").read_bytes()}
    for module in MODULES:
        (path,) = kernel.glob(f"**/{module}")
        files[f"modules/{module}"] = path.read_bytes()
    for directory in ("proc", "sys", "dev"):
        files[f"{directory}/.mount-point"] = b""
    return image.read_bytes(), initramfs.build(files)


def qemu_command(kernel: str, initrd: str) -> list[str]:
    return [
        "env", "CCWEMU_QEMU=real", "qemu-system-s390x", "-M", "s390-ccw-virtio", "-m", "512", "-no-reboot",
        "-nodefaults", "-nographic", "-serial", "stdio", "-kernel", kernel, "-initrd", initrd,
        "-append", "console=ttysclp0 quiet rdinit=/bin/busybox -- sh /init",
        "-device", f"vfio-ccw,id=disk,sysfsdev=/sys/bus/mdev/devices/{UUID},devno={DEVNO}",
    ]  # fmt: skip


def expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise Failure(f"{what}: found {found!r}, expected {expected!r}")


def check_busy(lab: Lab) -> None:
    """Nobody else can open the group while the guest has its device."""
    group = lab.host("group", UUID)
    try:
        lab.command("exec", HOST, "--", "dd", f"if=/dev/vfio/{group}", "count=0", "status=none")
    except Failure as failure:
        if "Device or resource busy" in str(failure):
            return
        raise
    raise Failure(f"/dev/vfio/{group} can be opened while the guest runs; expected: Device or resource busy")


def run_guest(lab: Lab, guest: Guest, say: Progress) -> str:
    """Follow the guest to its end; the checksum of what it wrote. Raises Failure."""
    told: dict[str, str] = {}
    for word, rest in guest.says():
        told[word] = rest
        say(f"guest: {word} {rest}".rstrip())
        if word == "online":
            check_busy(lab)
            say("host: the group is busy")
    expect("the device in the guest", told.get("device"), "3990/e9 3390/0c")
    # The lab's serial number has not the 14 characters of a real one: Linux shows the blanks behind it.
    expect("online in the guest", told.get("online", "").split(), ["1", "online", "IBM.0000000ABC01", ".007e.52"])
    expect("checksum of what the guest read", told.get("read"), told.get("written"))
    expect("the end of the guest", "end" in told, True)
    return told["written"]


def run(lab: Lab, image: tuple[bytes, bytes], say: Progress) -> None:
    lab.command("up", str(LAB))
    say("the lab is up")
    lab.host("give", UUID)
    say(f"host: 0.0.7e52 is mediated device {UUID}")
    words = qemu_command(lab.put("kernel", image[0]), lab.put("initrd", image[1]))
    guest = Guest(lab.start(*words))
    try:
        written = run_guest(lab, guest, say)
    except Failure:
        console = "\n".join(guest.console[-CONSOLE_LINES:])
        print(f"--- the guest's console, last {CONSOLE_LINES} lines ---\n{console}\n---", file=sys.stderr)
        raise
    finally:
        guest.stop()
    lab.host("take", UUID)
    say("host: 0.0.7e52 is back and online")
    expect("checksum of what the host reads", lab.host("sum"), written)
    say("host: reads the same bytes")


def main() -> int:
    say = Progress()
    CACHE.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="labs-", dir=CACHE))
    home.chmod(0o755)
    lab = Lab(home)
    try:
        program = qemu()
        say(f"{program}")
        run(lab, guest_image(Packages(CACHE), say), say)
    except (Failure, Missing, subprocess.TimeoutExpired) as problem:
        print(f"real: FAILED: {problem}", file=sys.stderr)
        return 1
    finally:
        if (home / "seed").exists():
            lab.command("down", "--all")
        shutil.rmtree(home, ignore_errors=True)
    print("make test-real: all passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())

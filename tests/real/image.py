# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest images in the real QEMU: boot, log in, reboot, power button. ``make test-real`` runs it.

With arguments, only the kernels that they name. One line for each step; on failure the last lines of the console.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from ccwemu.guestimage import image
from ccwemu.guestimage.image import GuestImage
from ccwemu.guestimage.tools import QEMU, Missing, program, qemu
from ccwemu.tools import real_program
from qmp import Monitor
from rig import COMMAND_TIMEOUT, Failure, Guest, Progress, expect

READY = "ccwemu-guest: ready"
NAME = "probe"

Run = Callable[[str], list[str]]


def qemu_command(built: GuestImage, port: int, monitor: Path) -> list[str]:
    """What is written goes away with the QEMU."""
    return [
        program("qemu-system-s390x"), "-M", "s390-ccw-virtio", "-m", "512", "-nodefaults", "-nographic",
        "-serial", "stdio", "-kernel", str(built.kernel), "-initrd", str(built.initrd),
        "-append", f"console=ttysclp0 ccwemu.name={NAME}",
        "-drive", f"file={built.root},format=raw,if=none,id=root,snapshot=on",
        "-device", "virtio-blk-ccw,drive=root",
        "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22", "-device", "virtio-net-ccw,netdev=net",
        "-qmp", f"unix:{monitor},server=on,wait=off",
    ]  # fmt: skip


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Ssh:
    """root of a guest by ssh."""

    def __init__(self, built: GuestImage, port: int) -> None:
        self._options = ["-F", "none", "-i", str(built.key), "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"]
        self._options += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        self._port = str(port)

    def __call__(self, command: str) -> list[str]:
        """Lines of its output. Raises Failure."""
        # with a terminal, as Ansible's reboot module has it
        return self._run(["ssh", "-tt", *self._options, "-p", self._port, "root@127.0.0.1", command])

    def put(self, content: str, path: str) -> None:
        """Make a file by sftp."""
        with tempfile.NamedTemporaryFile("w") as source:
            source.write(content)
            source.flush()
            batch = f"put {source.name} {path}\n"
            self._run(["sftp", "-b", "-", *self._options, "-P", self._port, "root@127.0.0.1"], batch)

    def _run(self, words: Sequence[str], stdin: str = "") -> list[str]:
        done = subprocess.run(
            words, input=stdin, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=False
        )  # fmt: skip
        if done.returncode:
            raise Failure(f"{words[0]}: {words[-1]}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout.splitlines()


def see(run: Run, built: GuestImage, say: Progress) -> str:
    """What a guest must have; its boot id. Raises Failure."""
    expect("the kernel's release", run("uname -r"), [built.release])
    expect("the host name", run("hostname"), [NAME])
    (python,) = run("python3 -V")
    say(f"guest: {built.release}, {python}")
    devices = [line.split()[0] for line in run("lscss") if line.startswith("0.0.")]
    expect("devices in lscss", len(devices), 2)
    run("modprobe dasd_eckd_mod && lsdasd && dasdfmt --version && fdasd --version && zipl --version >/dev/null")
    say(f"guest: lscss lists {' '.join(devices)}; dasd_eckd_mod is loaded")
    (boot,) = run("cat /proc/sys/kernel/random/boot_id")
    return boot


def check(built: GuestImage, guest: Guest, monitor: Monitor, port: int, say: Progress) -> None:
    """Raises Failure."""

    guest.wait_line(READY)
    say("guest: ready")
    run = Ssh(built, port)
    run.put("by sftp\n", "/root/put")
    expect("a file that was put by sftp", run("cat /root/put"), ["by sftp"])
    say("guest: ssh and sftp answer")
    before = see(run, built, say)
    run('shutdown -r 0 "a reboot is wanted"')
    guest.wait_line(READY)
    say("guest: rebooted, ready")
    expect("another boot", run("cat /proc/sys/kernel/random/boot_id") != [before], True)
    recovered = [line for line in run("dmesg") if "recovery" in line and "EXT4" in line]
    expect("root file systems that had to be recovered", recovered, [])
    monitor.do("system_powerdown")
    guest.wait_end()
    say("guest: switched off by the power button")


def run_guest(built: GuestImage, say: Progress) -> None:
    """Raises Failure."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        words = qemu_command(built, port, Path(directory) / "qmp")
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        guest = Guest(process)
        try:
            guest.wait_line("")  # it runs, so its monitor is there
            monitor = Monitor(Path(directory) / "qmp")
            check(built, guest, monitor, port, say)
            monitor.close()
        except Failure:
            guest.show_console()
            raise
        finally:
            guest.stop()


def main() -> int:
    say = Progress()
    try:
        qemu(real_program(QEMU))
        for kernel in sys.argv[1:] or image.KERNELS:
            built = image.build(kernel, lambda text: print(f"real: {text}", flush=True))
            say(f"guest image of {kernel}: {built.directory.name}")
            run_guest(built, say)
    except (Failure, Missing, OSError, subprocess.TimeoutExpired) as problem:
        print(f"real: FAILED: {problem}", file=sys.stderr)
        return 1
    print("guest images: all passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())

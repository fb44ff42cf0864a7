# SPDX-License-Identifier: GPL-2.0-or-later
"""Labs of many devices, started by the ``ccwemu`` command as a user starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

COMMAND = str(Path(sys.executable).with_name("ccwemu"))

FIRST = 0x4000
"""Device number of a host's first device. Its subchannel is 0.0.0000."""


def tapes(count: int) -> list[str]:
    """Tape drives, devices that need no image. At most 32 768."""
    kind = "cu_type: 3490, cu_model: 10, dev_type: 3490, dev_model: 40"
    return [f"{{other: {_where(number)}, {kind}}}" for number in range(count)]


def disks(count: int) -> list[str]:
    """DASDs of one cylinder, online."""
    return [f"{{dasd: {_where(number)}, cylinders: 1, online: true}}" for number in range(count)]


def _where(number: int) -> str:
    chpids = f"[{0x40 + number % 8:02x}, {0x48 + number % 8:02x}]"
    return f"0.0.{FIRST + number:04x}, subchannel: 0.0.{number:04x}, chpids: {chpids}"


def definition(name: str, hosts: dict[str, list[str]], guests: dict[str, str] | None = None) -> str:
    """A lab of hosts with the devices of each, and of guests with what is said of each."""
    lines = [f"lab: {name}", "hosts:"]
    for host, devices in hosts.items():
        lines += [f"  {host}:", "    devices:", *(f"      - {device}" for device in devices)]
    lines += ["guests:", *(f"  {guest}: {said}" for guest, said in guests.items())] if guests else []
    return "\n".join(lines) + "\n"


class Lab:
    """A lab that runs. Its directory is below ``work``, so that it meets no other lab."""

    def __init__(
        self, work: Path, name: str, hosts: dict[str, list[str]], guests: dict[str, str] | None = None
    ) -> None:
        self.name = name
        self.home = work / "labs"
        self._environment = {**os.environ, "CCWEMU_HOME": str(self.home)}
        file = work / f"{name}.yml"
        file.write_text(definition(name, hosts, guests), encoding="ascii")
        self.command("down", "--if-exists", name)
        begin = time.monotonic()
        self.command("up", str(file))
        self.seconds = time.monotonic() - begin
        self._state = self.home / name / "state.json"

    def command(self, *words: str, stdin: bytes = b"") -> bytes:
        """What ``ccwemu`` prints. Raises RuntimeError."""
        done = subprocess.run([COMMAND, *words], input=stdin, capture_output=True, env=self._environment, check=False)
        if done.returncode:
            raise RuntimeError(f"ccwemu {' '.join(words)}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    def run(self, host: str, *words: str, stdin: bytes = b"") -> bytes:
        return self.command("exec", "--lab", self.name, host, "--", *words, stdin=stdin)

    @property
    def pid(self) -> int:
        """Of the process that serves the files of all hosts."""
        state: dict[str, Any] = json.loads(self._state.read_text(encoding="utf-8"))
        return int(state["daemon_pid"])

    def resident(self) -> float:
        """MiB."""
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024

    def reboot(self, host: str) -> None:
        """The machine, its /sys and what the kernel remembers of it are new afterwards."""
        self.command("reboot", "--lab", self.name, host)

    def end(self) -> None:
        self.command("down", self.name)

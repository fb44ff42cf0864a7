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
HERE = Path(__file__).parent


def definition(name: str, hosts: dict[str, int]) -> str:
    """A lab of hosts with a number of tape drives each: a device that needs no image. At most 32 768."""
    lines = [f"lab: {name}", "hosts:"]
    for host, count in hosts.items():
        lines += [f"  {host}:", "    devices:"]
        for number in range(count):
            chpids = f"[{0x40 + number % 8:02x}, {0x48 + number % 8:02x}]"
            kind = "cu_type: 3490, cu_model: 10, dev_type: 3490, dev_model: 40"
            where = f"other: 0.0.{0x4000 + number:04x}, subchannel: 0.0.{number:04x}"
            lines.append(f"      - {{{where}, chpids: {chpids}, {kind}}}")
    return "\n".join(lines) + "\n"


class Lab:
    """A lab that runs. Its directory is below ``work``, so that it meets no other lab."""

    def __init__(self, work: Path, name: str, hosts: dict[str, int]) -> None:
        self.name = name
        self._environment = {**os.environ, "CCWEMU_HOME": str(work / "labs")}
        file = work / f"{name}.yml"
        file.write_text(definition(name, hosts), encoding="ascii")
        self.command("down", name)
        begin = time.monotonic()
        self.command("up", str(file))
        self.seconds = time.monotonic() - begin
        self._state = work / "labs" / name / "state.json"

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

    def copy_sysfs(self, host: str, target: Path) -> None:
        """/sys of a host as plain files. Raises RuntimeError."""
        archive = self.run(host, "python3", "-", stdin=(HERE / "copytree.py").read_bytes())
        target.mkdir(parents=True)
        subprocess.run(["tar", "-x", "-C", str(target)], input=archive, check=True)

    def end(self) -> None:
        self.command("down", self.name)

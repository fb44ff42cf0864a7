# SPDX-License-Identifier: GPL-2.0-or-later
"""The peer: Debian's Hercules, its CKD devices in synchronous mode (the default, and the faster one)."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import threading
from pathlib import Path
from typing import IO

from . import storage
from .jobs import Job

PROGRAM = "/usr/bin/hercules"
MODULES = "/usr/lib/hercules"
TIMEOUT = 120
WAITING = re.compile("HHCCP011I")  # disabled wait state: the guest has come to its end
STOPPED = re.compile(r"STATUS=\S+ PSW=[0-9A-F ]+ M")
SAVED = re.compile("HHCPN170I")


def version() -> str | None:
    """What it says of itself; None: it is not installed."""
    if not Path(PROGRAM).exists():
        return None
    done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    return (done.stdout + done.stderr).strip().splitlines()[0]


class Hercules:
    """One volume, measured by as many runs as one likes."""

    name = "Hercules, synchronous"
    nop_residual = 1

    def __init__(self, image: Path, work: Path) -> None:
        self.image, self.work = image, work
        work.mkdir(parents=True, exist_ok=True)

    def run(self, jobs: list[Job]) -> bytes:
        """Run the jobs; main storage as it is afterwards. Raises RuntimeError."""
        before, after = self.work / "storage.in", self.work / "storage.out"
        before.write_bytes(storage.build(jobs, self.nop_residual, self.work))
        after.unlink(missing_ok=True)
        self._configure(storage.size(jobs), before)
        log = self._operate(f"savecore {after} 0 {storage.size(jobs) - 1:X}")
        if not after.exists():
            raise RuntimeError("Hercules saved no storage; its log ends:\n" + "\n".join(log[-12:]))
        result = after.read_bytes()
        storage.harvest(jobs, result)
        return result

    def _configure(self, size: int, before: Path) -> None:
        """Settings at which Hercules is fastest: no delay, few timer interruptions, all threads at equal priority."""
        lines = ["CPUSERIAL 000390", "CPUMODEL 9672", f"MAINSIZE {max(16, (size >> 20) + 2)}", "XPNDSIZE 0", "NUMCPU 1"]
        lines += ["ARCHMODE ESA/390", f"MODPATH {MODULES}", "IODELAY 0", "TIMERINT 10000", "PANRATE SLOW"]
        priority = os.getpriority(os.PRIO_PROCESS, 0)  # ours: Hercules would set its own
        lines += [f"{thread}PRIO {priority}" for thread in ("CPU", "DEV", "HERC")]
        lines += [f"{storage.DEVICE_NUMBER:04X} 3390 {self.image}"]
        (self.work / "machine.cnf").write_text("\n".join(lines) + "\n")
        (self.work / "start.rc").write_text(f"loadcore {before}\nrestart\n")

    def _operate(self, save: str) -> list[str]:
        """Start it, wait for the guest's end, save storage, end it. Its messages."""
        settings = self.work / "machine.cnf"
        process = subprocess.Popen(
            [PROGRAM, "-d", "-f", str(settings), "EXTERNALGUI"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=self.work,
            env={**os.environ, "HERCULES_RC": str(self.work / "start.rc"), "HERCULES_CNF": str(settings)},
            start_new_session=True,
        )
        commands, messages = process.stdin, process.stdout
        assert commands and messages
        lines: queue.Queue[str | None] = queue.Queue()
        reader = threading.Thread(target=_read, args=(messages, lines), daemon=True)
        reader.start()

        def command(text: str) -> None:
            commands.write(text + "\n")
            commands.flush()

        log: list[str] = []
        try:
            self._until(lines, log, WAITING)
            command("stop")
            self._until(lines, log, STOPPED)
            command(save)
            self._until(lines, log, SAVED)
            command("quit")
            process.wait(20)
        except subprocess.TimeoutExpired:
            raise RuntimeError("Hercules did not end within 20 s of the command quit") from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            reader.join()
        return log

    def _until(self, lines: queue.Queue[str | None], log: list[str], wanted: re.Pattern[str]) -> None:
        """Read messages up to one that begins with ``wanted``."""
        try:
            while (line := lines.get(timeout=TIMEOUT)) is not None:
                log.append(line)
                if wanted.match(line):
                    return
        except queue.Empty:
            pass
        raise RuntimeError(
            f"Hercules gave no message {wanted.pattern} in {TIMEOUT} s; its log ends:\n" + "\n".join(log[-12:])
        )


def _read(stream: IO[str], lines: queue.Queue[str | None]) -> None:
    for line in stream:
        lines.put(line.rstrip("\n"))
    lines.put(None)

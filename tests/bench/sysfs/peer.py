# SPDX-License-Identifier: GPL-2.0-or-later
"""The peers: examples that come with libfuse, from Debian's package, compiled here."""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = Path("/usr/share/doc/libfuse3-dev/examples")
PATIENCE = 20.0


@dataclass(frozen=True)
class Kind:
    """An example, and how it is told which directory to show. ``-s``: one thread, the faster way for one reader."""

    name: str
    options: str

    def command(self, program: Path, source: Path, mountpoint: Path) -> list[str]:
        return [str(program), "-f", "-s", "-o", self.options.format(source), str(mountpoint)]


PASSTHROUGH = Kind("passthrough", "modules=subdir,subdir={}")
LOW_LEVEL = Kind("passthrough_ll", "source={}")
"""Holds a descriptor for each file that the kernel remembers, and looks for it in a list."""


def build(kind: Kind, work: Path) -> Path | None:
    """Compile an example; None where libfuse, or what it needs, is not installed. Raises RuntimeError."""
    source, program = EXAMPLES / f"{kind.name}.c", work / kind.name
    if not source.exists() or not all(map(shutil.which, ("pkg-config", "fusermount3"))):
        return None
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], capture_output=True, text=True, check=True)
    compiler = ["gcc", "-O2", "-w", f"-I{EXAMPLES}", str(source), *shlex.split(flags.stdout), "-o", str(program)]
    done = subprocess.run(compiler, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{source} does not compile: {done.stderr.strip()}")
    return program


def descriptors() -> int:
    """How many files a process may have open, after raising that as far as it goes."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


class Mounted:
    """A mounted peer, which ends when it is left."""

    def __init__(self, kind: Kind, program: Path, source: Path, mountpoint: Path) -> None:
        self._mountpoint = mountpoint
        mountpoint.mkdir(exist_ok=True)
        before = mountpoint.stat().st_dev
        self._process = subprocess.Popen(kind.command(program, source, mountpoint))
        deadline = time.monotonic() + PATIENCE
        while mountpoint.stat().st_dev == before:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise RuntimeError(f"{kind.name} did not mount {mountpoint} within {PATIENCE:.0f} s")
            time.sleep(0.01)

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Mounted:
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["fusermount3", "-u", str(self._mountpoint)], check=True)
        self._process.wait(PATIENCE)


def cpu_seconds(pid: int) -> float:
    """Processor time of a process, with all its threads (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

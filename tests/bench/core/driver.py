# SPDX-License-Identifier: GPL-2.0-or-later
"""This project's core, driven from C: builds it as it is released, and runs jobs on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from . import storage
from .jobs import ALIGNMENTS, Job

HERE = Path(__file__).parent
EMULATOR = HERE.parents[2] / "emulator"
CFLAGS = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"]


def _run(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed ({done.returncode}):\n{done.stdout}")


class Build:
    """The core as a library and as Python's extension module, the driver, the program for the memory's limits."""

    def __init__(self, work: Path) -> None:
        self.core, self.driver, self.memlimit = work / "core", work / "driver", work / "memlimit"

    @property
    def extension(self) -> Path:
        return self.core / "_core.abi3.so"

    def make(self) -> None:
        """Raises RuntimeError with the compiler's output."""
        tools = Path(sys.executable).parent
        environment_path = f"{tools}{os.pathsep}{os.environ['PATH']}"
        os.environ["PATH"] = environment_path  # meson and ninja of the virtual environment
        self.core.parent.mkdir(parents=True, exist_ok=True)
        if not (self.core / "build.ninja").exists():
            _run("meson", "setup", "--buildtype=release", str(self.core), str(EMULATOR), cwd=EMULATOR)
        _run("ninja", "-C", str(self.core), cwd=EMULATOR)
        include = f"-I{EMULATOR / 'core'}"
        library = str(self.core / "libccwcore.a")
        _run("cc", *CFLAGS, include, "-o", str(self.driver), str(HERE / "driver.c"), library, cwd=HERE)
        _run("cc", *CFLAGS, "-o", str(self.memlimit), str(HERE / "memlimit.c"), cwd=HERE)


class Core:
    """One volume, measured by as many runs as one likes. ``face``: "subchannel" or "vfio"."""

    nop_residual = 1

    def __init__(self, build: Build, image: Path, work: Path, face: str = "subchannel") -> None:
        self.build, self.image, self.work, self.face = build, image, work, face
        work.mkdir(parents=True, exist_ok=True)

    def run(self, jobs: list[Job]) -> bytes:
        """Run the jobs; main storage as it is afterwards. Raises RuntimeError."""
        before, after = self.work / "storage.in", self.work / "storage.out"
        before.write_bytes(storage.build(jobs, self.nop_residual, self.work))
        _run(str(self.build.driver), self.face, str(self.image), str(before), str(after), cwd=self.work)
        result = after.read_bytes()
        storage.harvest(jobs, result)
        return result


def memory_limits(build: Build, image: Path, scratch: Path, number: int, seconds: float) -> dict[str, float]:
    """Microseconds that moving a track's data takes in this round, by pattern."""
    head = str(number % ALIGNMENTS)
    done = subprocess.run(
        [str(build.memlimit), str(image), str(scratch), head, str(seconds)], check=True, capture_output=True, text=True
    )
    return dict(json.loads(done.stdout))

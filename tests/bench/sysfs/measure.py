# SPDX-License-Identifier: GPL-2.0-or-later
"""Rounds in which the emulated host and its peer are read in turn, each cold and then warm."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from figures import Figure, faster
from labs import Lab, tapes

from .peer import LOW_LEVEL, PASSTHROUGH, Kind, Mounted, build, cpu_seconds, descriptors

HERE = Path(__file__).parent
MANY, FEW = 10_000, 500
SIZES = (100, 1000, MANY)
"""Devices of labs that are only started."""
MOST_ROUNDS = 3
LEAST = 1 / 1.5
NODES_OF_A_DEVICE = 26
"""Directories, attributes and links, rounded up; passthrough_ll holds a descriptor for each."""
WALKER = "/root/walk"

Walk = dict[str, Any]
"""What walk.c prints, and ``server``: the processor time of who serves, in seconds."""


@dataclass
class Series:
    """The walks of one contestant over one tree."""

    name: str
    cold: list[Walk] = field(default_factory=list)
    warm: list[Walk] = field(default_factory=list)

    def times(self, kind: str, what: str = "seconds") -> list[float]:
        """µs for each attribute."""
        return [walk[what] / walk["attributes"] * 1e6 for walk in getattr(self, kind)]

    def cpu(self, kind: str) -> list[float]:
        """Processor time of both sides, µs for each attribute."""
        return [sum(pair) for pair in zip(self.times(kind, "cpu"), self.times(kind, "server"), strict=True)]


def run(work: Path, rounds: int, _seconds: float) -> tuple[list[Figure], dict[str, Any]]:
    """Figures and details. Raises RuntimeError where the two did not read the same."""
    rounds = min(rounds, MOST_ROUNDS)
    _compile_walk(work)
    figures = [figure for size in SIZES for figure in _start(work, size)]
    details: dict[str, Any] = {}
    lab = Lab(work, "bench", {"many": tapes(MANY), "few": tapes(FEW)})
    try:
        own, other = _compare(lab, "many", PASSTHROUGH, work, rounds)
        figures += _figures(f"sysfs.{MANY}", own, other, LEAST)
        details["many"] = _details(own, other)
        if descriptors() < FEW * NODES_OF_A_DEVICE:
            details["few"] = f"{LOW_LEVEL.name} needs {FEW * NODES_OF_A_DEVICE} descriptors: ulimit -n"
            return figures, details
        own, other = _compare(lab, "few", LOW_LEVEL, work, rounds)
        figures += _figures(f"sysfs.{FEW}", own, other, None)
        details["few"] = _details(own, other)
    finally:
        lab.end()
    return figures, details


def _details(*contestants: Series) -> dict[str, Any]:
    return {each.name: {"cold": each.cold, "warm": each.warm} for each in contestants}


def _start(work: Path, devices: int) -> list[Figure]:
    lab = Lab(work, f"bench{devices}", {"lpar1": tapes(devices)})
    try:
        return [
            Figure(f"lab.{devices}.up", "s", lab.seconds),
            Figure(f"lab.{devices}.resident", "MiB", lab.resident()),
        ]
    finally:
        lab.end()


def _figures(name: str, own: Series, other: Series, least: float | None) -> list[Figure]:
    found = []
    for kind in ("cold", "warm"):
        found.append(faster(f"{name}.{kind}", own.times(kind), other.name, other.times(kind), least))
        found.append(faster(f"{name}.{kind}.cpu", own.cpu(kind), other.name, other.cpu(kind)))
    return found


def _compile_walk(work: Path) -> None:
    command = ["gcc", "-std=c11", "-O2", "-static", "-Wall", "-Wextra", str(HERE / "walk.c"), "-o", str(work / "walk")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"walk.c does not compile: {done.stderr.strip()}")


def _compare(lab: Lab, host: str, kind: Kind, work: Path, rounds: int) -> tuple[Series, Series]:
    own, other = Series("ccwemu"), Series(kind.name)
    walker = (work / "walk").read_bytes()
    lab.run(host, "sh", "-c", f"cat >{WALKER} && chmod 755 {WALKER}", stdin=walker)
    program = build(kind, work)
    copy = work / f"copy-{host}"
    shutil.rmtree(copy, ignore_errors=True)
    if program is not None:
        _copy_sysfs(lab, host, copy)
    for _round in range(rounds):
        lab.reboot(host)
        with Mounted(kind, program, copy, work / "mnt") if program else nullcontext() as mounted:
            for walks, others in ((own.cold, other.cold), (own.warm, other.warm)):
                walks.append(_walk(lab.pid, lambda: lab.run(host, WALKER, "/sys")))
                if mounted is not None:
                    others.append(_walk(mounted.pid, lambda: _walk_peer(work)))
                    _check(walks[-1], others[-1], kind)
    shutil.rmtree(copy, ignore_errors=True)
    return own, other


def _copy_sysfs(lab: Lab, host: str, target: Path) -> None:
    """/sys of a host as plain files. Raises RuntimeError."""
    archive = lab.run(host, "python3", "-", stdin=(HERE / "copytree.py").read_bytes())
    target.mkdir(parents=True)
    subprocess.run(["tar", "-x", "-C", str(target)], input=archive, check=True)


def _walk_peer(work: Path) -> bytes:
    return subprocess.run([work / "walk", work / "mnt" / "sys"], capture_output=True, check=True).stdout


def _walk(pid: int, read: Callable[[], bytes]) -> Walk:
    before = cpu_seconds(pid)
    found: Walk = json.loads(read())
    return {**found, "server": cpu_seconds(pid) - before}


def _check(own: Walk, other: Walk, kind: Kind) -> None:
    """The copy leaves out what is refused."""
    for what in ("attributes", "links", "directories", "bytes"):
        if own[what] != other[what]:
            raise RuntimeError(f"{what}: {own[what]} read in the emulated host, {other[what]} through {kind.name}")

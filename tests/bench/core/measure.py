# SPDX-License-Identifier: GPL-2.0-or-later
"""Rounds in which every engine is measured in turn, so that what disturbs the machine disturbs all of them."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from figures import Figure, Target, bounded, faster

from . import binding, volume
from .driver import Build, Core, memory_limits
from .hercules import Hercules, version
from .jobs import REPEATS, SOME, WORKLOADS, Job, Workload, check

PREWARM = {"warm": 150, "sweep": 1500}
LEAST = {"hot": 300, "warm": 300, "sweep": 1500, "first": 1500}
VFIO_WORKLOADS = (Workload("nop", "hot"), Workload("read12", "hot"), Workload("search12", "hot"))
EMPTY = Workload("empty", "hot")


class Engine(Protocol):
    image: Path

    def run(self, jobs: list[Job]) -> bytes:
        """The answer to all of the jobs."""


@dataclass
class Contestant:
    """An engine with its workloads, by workload the programs of a job and the jobs of a round, and all times (µs)."""

    name: str
    engine: Engine
    workloads: tuple[Workload, ...]
    polls: tuple[bool, ...] = (False,)
    programs: dict[Workload, int] = field(default_factory=dict)
    repetitions: dict[Workload, int] = field(default_factory=dict)
    times: dict[Workload, list[float]] = field(default_factory=lambda: defaultdict(list))
    checked: int = 0

    def _jobs(self, number: int = 0) -> list[Job]:
        """Each workload's job, after an untimed one that brings the tracks into caches where the pattern wants it."""
        jobs: list[Job] = []
        # Hercules takes an empty track cache apart at each program: let something be in it
        if self.workloads[0].tracks != "first":
            jobs.append(Job(Workload("read1", "warm"), 0, PREWARM["warm"], timed=False))
        for workload in self.workloads:
            for poll in self.polls:
                if workload.tracks in PREWARM:
                    jobs.append(Job(workload, len(jobs), PREWARM[workload.tracks], poll, timed=False))
                programs = self.programs.get(workload, LEAST[workload.tracks])
                for _repetition in range(self.repetitions.get(workload, 1)):
                    jobs.append(Job(workload, len(jobs), programs, poll, round=number))
        return jobs

    def _run(self, jobs: list[Job]) -> dict[Workload, float]:
        """The time of each workload: the fastest of its repetitions, and of its ways to wait."""
        self.checked += check(jobs, self.engine.run(jobs), self.engine.image)
        best: dict[Workload, float] = {}
        for job in jobs:
            if job.timed:
                best[job.workload] = min(job.microseconds, best.get(job.workload, job.microseconds))
        return best

    def verify(self) -> None:
        """Untimed: the buffer poisoned before each program, and summed up after it."""
        jobs: list[Job] = []
        for workload in self.workloads:
            if workload.kind in ("read1", "read12", "idaw12", "search1", "search12"):
                programs = PREWARM.get(workload.tracks, 20)
                jobs.append(Job(workload, len(jobs), programs, verify=True, timed=False))
        self._run(jobs)

    def calibrate(self, seconds: float) -> None:
        """Find out how many programs a job takes to last long enough, and how many such jobs fit into a round."""
        for aim in (seconds / 10 / REPEATS, seconds / REPEATS):
            for workload, time in self._run(self._jobs()).items():
                if workload.tracks == "first":  # once only
                    continue
                wanted = int(aim * 1e6 / max(time, 0.01))
                programs = max(LEAST[workload.tracks], min(20_000_000, wanted))
                self.programs[workload] = programs
                self.repetitions[workload] = max(SOME, min(REPEATS, int(seconds * 1e6 / max(time * programs, 1))))

    def round(self, number: int) -> None:
        for workload, time in self._run(self._jobs(number)).items():
            self.times[workload].append(time)

    def details(self) -> dict[str, Any]:
        return {
            str(workload): {"min": min(times), "median": statistics.median(times), "max": max(times), "all": times}
            for workload, times in self.times.items()
        }


def _busy() -> float:
    """CPU seconds that the whole machine has spent."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(value) for value in file.readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(work: Path, rounds: int, seconds: float) -> tuple[list[Figure], dict[str, Any]]:
    """Measure. The figures, and details of all rounds. Raises RuntimeError: the figures are void."""
    build = Build(work)
    _say("core: building")
    build.make()
    images = {name: work / f"{name}.ckd" for name in ("master", "hercules", "core", "scratch")}
    _say("core: making the volume")
    volume.make(images["master"])
    for name in ("hercules", "core", "scratch"):
        shutil.copyfile(images["master"], images[name])
    try:
        return _measure(build, images, work, rounds, seconds)
    finally:
        for image in images.values():
            image.unlink(missing_ok=True)


def _measure(
    build: Build, images: dict[str, Path], work: Path, rounds: int, seconds: float
) -> tuple[list[Figure], dict[str, Any]]:
    not_first = tuple(workload for workload in WORKLOADS if workload.tracks != "first")
    first = tuple(workload for workload in WORKLOADS if workload.tracks == "first")
    peer = Contestant("hercules", Hercules(images["hercules"], work / "hercules"), (EMPTY, *not_first), (False, True))
    peer_version = version()
    core = Contestant("core", Core(build, images["core"], work / "direct"), (*first, EMPTY, *not_first))
    vfio = Contestant("vfio", Core(build, images["core"], work / "vfio", "vfio"), VFIO_WORKLOADS)
    contestants = (peer, core, vfio) if peer_version else (core, vfio)
    if not peer_version:
        _say("core: Hercules is not installed (Debian package hercules): no figure is compared with it")
    for contestant in contestants:
        _say(f"{contestant.name}: verifying, calibrating")
        contestant.verify()
        contestant.calibrate(seconds)
    limits: dict[str, list[float]] = defaultdict(list)
    python: dict[str, list[float]] = defaultdict(list)
    busy, own = _busy(), _own()
    for number in range(rounds):
        _say(f"core: round {number + 1} of {rounds}")
        for contestant in contestants:
            contestant.round(number)
        for into, measured in (
            (limits, memory_limits(build, images["master"], images["scratch"], number, seconds)),
            (python, binding.measure(build.extension, images["core"], number, seconds)),
        ):
            for name, value in measured.items():
                into[name].append(value)
    others = max(0.0, _busy() - busy - (_own() - own))
    details = {
        "peer": peer_version,
        "rounds": rounds,
        "seconds_per_job": seconds,
        "checked": {contestant.name: contestant.checked for contestant in contestants},
        "cpu_seconds_of_others": round(others, 2),
        "times of": "the fastest of each round's repetitions; build/bench.json has the fastest of all rounds",
        "times": {contestant.name: contestant.details() for contestant in contestants},
        "limits": limits,
        "python": python,
    }
    return _figures(peer, core, vfio, limits, python), details


HERCULES_TARGETS = {"nop.hot": 5, "read12.hot": 2, "read12.sweep": 10, "search1.hot": 2, "search12.hot": 2}


def _figures(
    peer: Contestant, core: Contestant, vfio: Contestant, limits: dict[str, list[float]], python: dict[str, list[float]]
) -> list[Figure]:
    name = "Hercules 3.13"
    empty = min(peer.times[EMPTY], default=None)
    figures = [Figure("core.empty.hot", "µs", min(core.times[EMPTY]), name, empty)]
    for workload in WORKLOADS:
        if workload.tracks == "first":  # to Hercules each track of a sweep is a new one
            sweep = peer.times[Workload(workload.kind, "sweep")]
            figures.append(faster(f"core.{workload}", core.times[workload], f"{name}, sweep", sweep, 10))
            continue
        least = HERCULES_TARGETS.get(str(workload))
        figures.append(faster(f"core.{workload}", core.times[workload], name, peer.times[workload], least))

    def limit(kind: str, tracks: str, of: str, most: float | None = None) -> Figure:
        times = core.times[Workload(kind, tracks)]
        return bounded(f"core.{kind}.{tracks}.limit", times, "memory", limits[of], most)

    figures += [
        limit("read12", "hot", "read.hot", 1.5),
        limit("read12", "sweep", "read.sweep", 2),
        limit("read12", "first", "read.first", 2),
        limit("write12", "hot", "write.hot"),
        limit("write12", "sweep", "write.sweep"),
    ]
    for workload in VFIO_WORKLOADS:
        figures.append(faster(f"core.vfio.{workload}", vfio.times[workload], name, peer.times[workload]))
    figures += [_added(kind, core.times[Workload(kind, "hot")], python) for kind in binding.KINDS]
    return figures


def _added(kind: str, alone: list[float], python: dict[str, list[float]]) -> Figure:
    """What Python's calls add to a program."""
    best = min(alone)
    added = min(python[kind]) - min(python["loop"]) - best
    return Figure(f"core.python.{kind}.added", "µs", added, "the same from C", best, target=Target(most=1))

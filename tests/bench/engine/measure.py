# SPDX-License-Identifier: GPL-2.0-or-later
"""Rounds in which the engine, its peers and the bare writes take turns on one emulated host."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from figures import Figure, Target, bounded, faster
from labs import Lab, disks, tapes

from .hosts import Bench

SIZES = (10, 100, 1000)
MANY = 10_000
ANSIBLE_SIZES = (10, 100)
"""Of the Ansible loop. What it takes for more is told from the last one, by the device."""
HOST, FEW_HOST, MANY_HOST = "lpar1", "few", "many"
MOST_ROUNDS = 3
SHELL, ANSIBLE, BARE = "driverctl+mdevctl", "Ansible loop", "bare writes"
TARGETS = {SHELL: 10.0, ANSIBLE: 100.0}
"""At 1 000 devices: how many times faster."""
OF_BARE, OF_FEW = 1.5, 12.0


@dataclass
class Times:
    """Seconds of each round, for so many devices; of the peers one round only. ``stores``: writes of the second run."""

    count: int
    playbook: list[float] = field(default_factory=list)
    engine: list[float] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    shell: list[float] = field(default_factory=list)
    lasting: list[float] = field(default_factory=list)
    lasting_shell: list[float] = field(default_factory=list)
    ansible: list[float] = field(default_factory=list)
    stores: int = 0

    def each(self, seconds: list[float]) -> list[float]:
        """Milliseconds for a device."""
        return [one / self.count * 1000 for one in seconds]


def _say(text: str) -> None:
    print(f"engine: {text}", file=sys.stderr, flush=True)


def run(work: Path, rounds: int, _seconds: float) -> tuple[list[Figure], dict[str, Any]]:
    """Figures and details. Raises RuntimeError where a way did not do what it should."""
    rounds = min(rounds, MOST_ROUNDS)
    measured = _disks(work, rounds)
    figures = [figure for times in measured for figure in _of_a_size(times, measured)]
    details = {f"disks.{times.count}": asdict(times) for times in measured}
    if os.environ.get("LARGE", "") not in ("", "0"):
        few, many = _tapes(work, rounds)
        figures += _of_many(few, many)
        details |= {f"tapes.{times.count}": asdict(times) for times in (few, many)}
    return figures, details


def _disks(work: Path, rounds: int) -> list[Times]:
    _say(f"starting a host of {max(SIZES)} DASDs")
    lab = Lab(work, "bench-engine", {HOST: disks(max(SIZES))})
    try:
        bench = Bench(lab, HOST, work)
        return [_of_disks(bench, count, rounds) for count in SIZES]
    finally:
        lab.end()


def _of_disks(bench: Bench, count: int, rounds: int) -> Times:
    times = Times(count)
    for number in range(1, rounds + 1):
        _say(f"{count} DASDs: playbook, round {number} of {rounds}")
        times.playbook.append(bench.playbook(count))
    _rounds_alone(bench, times, rounds, "DASDs")
    _say(f"{count} DASDs: driverctl and mdevctl in a shell loop")
    times.shell.append(bench.shell_loop(count))
    _say(f"{count} DASDs that are to last: engine, and driverctl and mdevctl in a shell loop")
    times.lasting.append(bench.lasting(count))
    times.lasting_shell.append(bench.shell_loop(count, lasting=True))
    if count in ANSIBLE_SIZES:
        _say(f"{count} DASDs: Ansible loop")
        times.ansible.append(bench.ansible_loop(count))
    return times


def _rounds_alone(bench: Bench, times: Times, rounds: int, kind: str) -> None:
    wanted = bench.writes(times.count)
    for number in range(1, rounds + 1):
        _say(f"{times.count} {kind}: engine and bare writes, round {number} of {rounds}")
        first, second = bench.engine(times.count)
        times.engine.append(first["seconds"])
        times.again.append(second["seconds"])
        times.stores += second["stores"]
        times.bare.append(bench.bare(times.count, wanted))
        if first["stores"] < len(wanted):
            raise RuntimeError(f"the emulated kernel counted {first['stores']} writes of {len(wanted)}")


def _tapes(work: Path, rounds: int) -> tuple[Times, Times]:
    """Devices without an image, of which a host can have that many."""
    _say(f"starting hosts of {max(SIZES)} and {MANY} tape drives")
    lab = Lab(work, "bench-engine-many", {FEW_HOST: tapes(max(SIZES)), MANY_HOST: tapes(MANY)})
    few, many = Times(max(SIZES)), Times(MANY)
    try:
        for host, times in ((FEW_HOST, few), (MANY_HOST, many)):
            _rounds_alone(Bench(lab, host, work), times, rounds, "tape drives")
    finally:
        lab.end()
    return few, many


def _of_a_size(times: Times, measured: list[Times]) -> list[Figure]:
    count, most = times.count, times.count == max(SIZES)
    name, own = f"engine.{count}", times.each([min(times.playbook)])
    looped = times if times.ansible else max((one for one in measured if one.ansible), key=lambda one: one.count)
    peer = ANSIBLE if looped is times else f"{ANSIBLE}, from {looped.count}"
    return [
        faster(name, own, SHELL, times.each(times.shell), TARGETS[SHELL] if most else None, "ms"),
        faster(name, own, peer, looped.each(looped.ansible), TARGETS[ANSIBLE] if most else None, "ms"),
        *_alone(f"{name}.alone", times, OF_BARE if most else None),
        faster(f"{name}.lasting", times.each(times.lasting), SHELL, times.each(times.lasting_shell), unit="ms"),
    ]


def _alone(name: str, times: Times, most: float | None) -> list[Figure]:
    return [
        bounded(name, times.each(times.engine), BARE, times.each(times.bare), most, "ms"),
        Figure(f"{name}.again", "ms", min(times.each(times.again))),
        Figure(f"{name}.again.writes", "", times.stores, target=Target(most=0)),
    ]


def _of_many(few: Times, many: Times) -> list[Figure]:
    return [
        bounded(f"engine.{MANY}.all", many.engine, f"{few.count} of them", few.engine, OF_FEW, "s"),
        *_alone(f"engine.tapes.{few.count}.alone", few, None),
        *_alone(f"engine.tapes.{MANY}.alone", many, None),
    ]

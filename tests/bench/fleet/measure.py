# SPDX-License-Identifier: GPL-2.0-or-later
"""A fleet there and back: each host's devices to its guest by one run of ``provision``, and back by ``release``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from figures import Figure, Target
from labs import Lab
from plays import Played, inventory, play

HOSTS, DISKS, FORKS = 50, 4, 10
"""Of the fleet, unless the environment says otherwise; the disks are each host's."""
DEVICES = f"0.0.8000-0.0.{0x8000 + DISKS - 1:04x}"
VARIABLES = f"""\
passthrough_devices:
  - device: {DEVICES}
    guest: "{{{{ inventory_hostname | replace('lpar', 'linux') }}}}"
"""


def _say(text: str) -> None:
    print(f"fleet: {text}", file=sys.stderr, flush=True)


def _number(name: str, usual: int) -> int:
    text = os.environ.get(name, "") or str(usual)
    if not text.isdigit() or not int(text):
        raise RuntimeError(f"{name}={text}: expected a number, as in {name}={usual}")
    return int(text)


def run(work: Path, _rounds: int, _seconds: float) -> tuple[list[Figure], dict[str, Any]]:
    """Figures and details. Raises RuntimeError where a device did not arrive."""
    count, forks = _number("HOSTS", HOSTS), _number("FORKS", FORKS)
    width = len(str(count))
    span = f"[{1:0{width}}-{count}]"
    _say(f"starting {count} hosts of {DISKS} DASDs")
    disks = [f"{{dasd: {DEVICES}, chpids: [41, 42], cylinders: 3, online: true}}"]
    guests = {f"linux{span}": f'{{host: "lpar{span}"}}'}
    lab = Lab(work, "bench-fleet", {f"lpar{span}": disks}, guests)
    try:
        names = [f"lpar{number:0{width}}" for number in range(1, count + 1)]
        figures, details = _there_and_back(lab, work, names, forks)
    finally:
        lab.end()
    return figures, {"hosts": count, "forks": forks, "disks": DISKS, **details}


def _there_and_back(lab: Lab, work: Path, names: list[str], forks: int) -> tuple[list[Figure], dict[str, Any]]:
    hosts = inventory(lab, work)
    variables = hosts.parent / "group_vars" / "kvm_hosts.yml"
    variables.parent.mkdir(exist_ok=True)
    variables.write_text(VARIABLES, encoding="ascii")
    prefix, count, begun = f"fleet.{len(names)}", len(names), lab.resident()
    figures = [Figure(f"{prefix}.up", "s", lab.seconds / count), Figure(f"{prefix}.resident", "MiB", begun / count)]

    def played(playbook: str, name: str) -> Played:
        _say(f"{playbook}, {forks} hosts at a time")
        done = play(work, hosts, f"zkvm.vfio_ccw.{playbook}", "--forks", str(forks))
        figures.append(Figure(f"{prefix}.{name}", "s", done.seconds / count))
        figures.append(Figure(f"{prefix}.{name}.cpu", "s", done.cpu / count))
        return done

    there = played("provision", "provision")
    _check(lab, names, DISKS)
    figures.append(Figure(f"{prefix}.provisioned.resident", "MiB", lab.resident() / count))
    figures.append(Figure(f"{prefix}.guest.resident", "MiB", _shares(lab.pid) / count))
    again = played("provision", "again")
    figures.append(Figure(f"{prefix}.again.changed", "", sum(again.changed.values()), target=Target(most=0)))
    back = played("release", "release")
    _check(lab, names, 0)
    details = {"provision": there.seconds, "again": again.seconds, "release": back.seconds, "up": lab.seconds}
    return figures, details


def _check(lab: Lab, names: list[str], expected: int) -> None:
    for name in names:
        found = len(lab.run(name, "sh", "-c", "ls /sys/bus/mdev/devices 2>/dev/null || true").split())
        if found != expected:
            raise RuntimeError(f"{name}: {found} mediated devices instead of {expected}")


def _shares(pid: int) -> float:
    """MiB of memory of all processes below the lab's own, what they share counted once (Pss): nodes and guests."""
    return sum(_share(child) + _shares(child) for child in _children(pid))


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (task / "children").read_text(encoding="ascii").split())


def _share(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0) / 1024

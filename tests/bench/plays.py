# SPDX-License-Identifier: GPL-2.0-or-later
"""Playbooks against a lab, run by ``ansible-playbook`` as a user without any configuration runs them."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from labs import Lab

PROJECT = Path(__file__).parents[2]
ANSIBLE_PLAYBOOK = str(Path(sys.executable).with_name("ansible-playbook"))
RECAP = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)\s", re.MULTILINE)


@dataclass(frozen=True)
class Played:
    """Seconds that passed, processor seconds of the controller and of the modules, changed tasks by host."""

    seconds: float
    cpu: float
    changed: dict[str, int]


def inventory(lab: Lab, work: Path) -> Path:
    """An inventory of the lab, in a directory of its own."""
    path = work / "inventory" / "lab.ccwemu.yml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"plugin: zkvm.vfio_ccw.ccwemu\nlab: {lab.name}\nhome: {lab.home}\n", encoding="utf-8")
    return path


def play(work: Path, hosts: Path, playbook: str, *options: str) -> Played:
    """Raises RuntimeError with what was printed."""
    begin, before = time.monotonic(), _cpu()
    done = subprocess.run(
        [ANSIBLE_PLAYBOOK, "-i", str(hosts), *options, playbook], cwd=work, env=_environment(work),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    seconds, cpu = time.monotonic() - begin, _cpu() - before
    if done.returncode:
        raise RuntimeError(f"ansible-playbook {playbook}: {done.stdout.strip()[-2000:]}")
    return Played(seconds, cpu, {host: int(count) for host, count in RECAP.findall(done.stdout)})


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _environment(work: Path) -> dict[str, str]:
    configuration = work / "ansible.cfg"
    configuration.write_text("[defaults]\n", encoding="ascii")
    own = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {
        **own,
        "ANSIBLE_CONFIG": str(configuration),
        "ANSIBLE_HOME": str(work / "ansible"),
        "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "build/collections"),
        "ANSIBLE_INVENTORY_ENABLED": "zkvm.vfio_ccw.ccwemu",
        "ANSIBLE_NOCOLOR": "1",
    }

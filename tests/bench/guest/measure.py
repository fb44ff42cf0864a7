# SPDX-License-Identifier: GPL-2.0-or-later
"""A DASD under the real QEMU against a virtio-blk disk of the same guest, and how soon it is online."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ccwemu.guestimage.tools import QEMU
from ccwemu.tools import real_program
from figures import Figure, Target, rate

from .machine import DASD, GUEST, VIRTIO, Lab

BOOTS = 3
CLIENT = Path(__file__).parent / "client.py"
ONLINE, READY = "DASD with 4 KB/block", "ccwemu-guest: ready"
TARGETS = {"read.seq.1m": 0.5, "write.seq.1m": 0.5}
ONLINE_TARGET = 15


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(work: Path, rounds: int, _seconds: float) -> tuple[list[Figure], dict[str, Any]]:
    """Measure. The figures, and details of all rounds. Raises RuntimeError: the figures are void.

    Without QEMU there are none.
    """
    if real_program(QEMU) is None:
        _say("guest: qemu-system-s390x is not installed (Debian package qemu-system-misc): there are no figures")
        return [], {}
    online: list[float] = []
    ready: list[float] = []
    with Lab(work) as lab:
        for number in range(1, BOOTS + 1):
            _say(f"guest: boot {number} of {BOOTS}")
            guest = lab.start()
            try:
                online.append(guest.until(ONLINE))
                ready.append(guest.until(READY))
                lab.await_login()
                told = _client(lab, rounds) if number == BOOTS else {}
                lab.run("exec", GUEST, "--", "poweroff")
                guest.wait()
            finally:
                guest.kill()
    details = {"online": online, "ready": ready, **told}
    return [*_boot_figures(online, ready), *_disk_figures(told)], details


def _client(lab: Lab, rounds: int) -> dict[str, Any]:
    disks = [f"{name}={lab.disk(device)}" for name, device in (("dasd", DASD), ("virtio", VIRTIO))]
    _say(f"guest: {rounds} rounds on {' and '.join(disks)}")
    last = ""
    for last in lab.converse("python3", "-c", CLIENT.read_text(encoding="utf-8"), str(rounds), *disks):
        if last.startswith("round "):
            _say(f"guest: {last}")
            lab.clean()
    told: dict[str, Any] = json.loads(last)
    return told


def _boot_figures(online: list[float], ready: list[float]) -> list[Figure]:
    return [
        Figure("guest.online", "s", min(online), target=Target(most=ONLINE_TARGET)),
        Figure("guest.ready", "s", min(ready)),
    ]


def _disk_figures(told: dict[str, Any]) -> list[Figure]:
    figures = [Figure("guest.client", "µs", told["client_ns"] / 1000)]
    for workload, times in told["times"].items():
        size, requests = told["requests"][workload.partition(".")[2]]
        own, peer = ([size * requests / (1 << 20) / (ns / 1e9) for ns in times[name]] for name in ("dasd", "virtio"))
        figures.append(rate(f"guest.{workload}", "MiB/s", own, "virtio-blk", peer, TARGETS.get(workload)))
    return figures

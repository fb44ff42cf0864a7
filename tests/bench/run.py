# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure, and write build/bench.json: python tests/bench/run.py [ONLY=core,sysfs,guest,engine,fleet].

ROUNDS (8) and SECONDS of each job (0.03) can be given in the same way, and all three in the environment. There alone:
LARGE=1, which has the engine measured with 10 000 devices too, and how many HOSTS the fleet has and how many FORKS the
controller. A target that is missed is reported, and no failure; data or status that differ from what they must be void
the figures, and are.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

from core import measure as core
from engine import measure as engine
from figures import table
from fleet import measure as fleet
from guest import measure as guest
from sysfs import measure as sysfs

PARTS = {"core": core.run, "sysfs": sysfs.run, "guest": guest.run, "engine": engine.run, "fleet": fleet.run}
BUILD = Path(__file__).parents[2] / "build"


def settings(arguments: list[str]) -> dict[str, str]:
    """NAME=VALUE arguments over the environment. Raises SystemExit."""
    known = ("ONLY", "ROUNDS", "SECONDS")
    found = {name: os.environ[name] for name in known if os.environ.get(name)}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or name not in known:
            raise SystemExit(f"{argument}: expected {', '.join(f'{known_name}=...' for known_name in known)}")
        found[name] = value
    return found


def parts(only: str) -> list[str]:
    """Names of the parts to measure. Raises SystemExit."""
    wanted = [name for name in only.split(",") if name] or list(PARTS)
    for name in wanted:
        if name not in PARTS:
            raise SystemExit(f"ONLY={name}: no such part; there is {', '.join(PARTS)}")
    return wanted


def come_first() -> None:
    """Have what is measured go before other work on this machine, where that is permitted."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -15)


def main() -> int:
    come_first()
    chosen = settings(sys.argv[1:])
    figures, details = [], {}
    for name in parts(chosen.get("ONLY", "")):
        work = BUILD / "bench" / name
        work.mkdir(parents=True, exist_ok=True)
        try:
            measured, details[name] = PARTS[name](
                work, int(chosen.get("ROUNDS", "8")), float(chosen.get("SECONDS", "0.03"))
            )
        except RuntimeError as error:
            print(f"{name}: the figures are void: {error}", file=sys.stderr)
            return 1
        figures += measured
    (BUILD / "bench.json").write_text(
        json.dumps([figure.to_json() for figure in figures], indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    (BUILD / "bench-details.json").write_text(json.dumps(details, indent=1) + "\n", encoding="utf-8")
    print(table(figures))
    missed = [figure.name for figure in figures if figure.met is False]
    print(f"\nbuild/bench.json written; targets missed: {', '.join(missed) if missed else 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection under each ansible-core of requirements/cores.txt, and its target code under each Python it may meet.

    make matrix                       all of it
    make matrix ONLY=docs,playbooks   some of it: docs, playbooks, units, sanity, awx (with the real awx.awx)
    make matrix CORES=2.16            one ansible-core

What this machine has no Python for is told as such, not passed over. Ends with 1 if anything failed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
CORES = PROJECT / "build" / "cores"
# what modules run on: README, "On a real host". ansible-test of this ansible-core is the one that knows all of them
TARGETS, KNOWS_ALL_TARGETS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13"), "2.19"
CARRIES_AWX = "ansible==12.3.0"
LOGS = PROJECT / "build" / "matrix"
PASSED, FAILED = "passed", "FAILED"


def cores() -> dict[str, str]:
    """ansible-core X.Y to the Python of its controller."""
    lines = (PROJECT / "requirements" / "cores.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split() for line in lines if line and not line.startswith("#")]
    return {version.rpartition(".")[0]: python for version, python in pairs}


def environment(core: str) -> dict[str, str]:
    """For a command that is to find this ansible-core first, and the further Pythons of the machine last."""
    further = subprocess.check_output([str(PROJECT / ".ci" / "pythons")], text=True).split()
    path = [str(CORES / core / "bin"), os.environ["PATH"], *further]
    home = str(PROJECT / "build" / "ansible" / core)
    return {**os.environ, "PATH": os.pathsep.join(path), "CORE": core, "ANSIBLE_HOME": home}


def run(core: str, what: str, *argv: str) -> str:
    """Run a command, its output into a file. Passed, or failed and where to read why."""
    log = LOGS / f"{core}-{what.replace(' ', '-')}.log"
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(argv, cwd=PROJECT, env=environment(core), stdout=output, stderr=output, check=False)
    return PASSED if done.returncode == 0 else f"{FAILED}: {log.relative_to(PROJECT)}"


def docs(core: str, _python: str) -> Iterator[tuple[str, str]]:
    """ansible-doc of all that the collection has."""
    for kind in ("module", "connection", "inventory", "filter", "lookup", "role"):
        folder = PROJECT / ("roles" if kind == "role" else f"plugins/{kind}{'s' if kind == 'module' else ''}")
        names = {f"zkvm.vfio_ccw.{path.stem}" for path in folder.iterdir() if not path.name.startswith("_")}
        result = run(core, f"doc {kind}", "ansible-doc", "--type", kind, *names)
        argv = ["ansible-doc", "--json", "--type", kind, *names]  # the command passes over what it does not find
        found = subprocess.run(argv, env=environment(core), stdout=subprocess.PIPE, check=False).stdout
        missing = names - set(json.loads(found or "{}"))
        yield f"ansible-doc {kind}", f"{FAILED}: nothing on {', '.join(missing)}" if missing else result


def playbooks(core: str, _python: str) -> Iterator[tuple[str, str]]:
    """The playbooks against a lab, as AWX runs them."""
    pytest = [sys.executable, "-m", "pytest", "-q", "tests/integration/test_awx.py"]
    yield "playbooks", run(core, "playbooks", *pytest)


def units(core: str, python: str) -> Iterator[tuple[str, str]]:
    """The unit tests by ansible-test, with the ansible-core that knows them also under each Python of a target."""
    for target in TARGETS if core == KNOWS_ALL_TARGETS else (python,):
        what = f"units, Python {target}"
        if shutil.which(f"python{target}", path=environment(core)["PATH"]) is None:
            yield what, f"not run: no python{target} on this machine"
        else:
            yield what, run(core, f"units {target}", ".ci/ansible-test", "units", "--venv", "--python", target)


def sanity(core: str, python: str) -> Iterator[tuple[str, str]]:
    """ansible-test sanity; where all Pythons of a target are known, compile and import with each that is there."""
    yield "sanity", run(core, "sanity", ".ci/ansible-test", "sanity", "--python", python)
    if core == KNOWS_ALL_TARGETS:
        compile_all = [".ci/ansible-test", "sanity", "--test", "compile", "--test", "import"]
        yield "compile and import, all Pythons", run(core, "import", *compile_all)


STEPS: dict[str, Callable[[str, str], Iterator[tuple[str, str]]]] = {
    "docs": docs,
    "playbooks": playbooks,
    "units": units,
    "sanity": sanity,
}


def chosen(variable: str, known: list[str]) -> list[str]:
    names = [name for name in os.environ.get(variable, "").split(",") if name] or known
    if not set(names) <= set(known):
        sys.exit(f"{variable}={','.join(names)}: expected some of {', '.join(known)}, with commas in between")
    return names


def awx() -> str:
    """The job templates by the modules of awx.awx, which only the package ansible has where there is no Galaxy."""
    into = PROJECT / "build" / "venvs" / "awx"
    with (LOGS / "awx.log").open("w", encoding="utf-8") as output:
        for argv in (
            [sys.executable, "-m", "venv", str(into)],
            [str(into / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "-q", CARRIES_AWX],
            [sys.executable, "-m", "pytest", "-q", "tests/matrix/test_job_templates.py"],
        ):
            if subprocess.run(argv, cwd=PROJECT, stdout=output, stderr=output, check=False).returncode != 0:
                return f"{FAILED}: build/matrix/awx.log"
    return PASSED


def results() -> Iterator[tuple[str, str, str]]:
    LOGS.mkdir(parents=True, exist_ok=True)
    steps, pythons = chosen("ONLY", [*STEPS, "awx"]), cores()
    if "awx" in steps:
        steps.remove("awx")
        yield "-", "job templates by awx.awx", awx()
    for core in chosen("CORES", list(pythons)):
        made = subprocess.run([str(PROJECT / ".ci" / "core"), core], check=False)
        if made.returncode != 0:
            yield core, "all", "not run: see above" if made.returncode == 3 else FAILED
            continue
        for step in steps:
            for what, result in STEPS[step](core, pythons[core]):
                yield core, what, result


def main() -> int:
    bad, start = False, time.monotonic()
    for core, what, result in results():
        print(f"ansible-core {core:<5} {what:<32} {result}  ({time.monotonic() - start:.0f} s)", flush=True)
        bad |= result.startswith(FAILED)
        start = time.monotonic()
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())

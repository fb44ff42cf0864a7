# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines of the channel core that its tests reach, by gcov. Fails below LEAST percent.

Builds the core with instrumentation (build/coverage), runs the tests of the core and of the disk driver on it, and
prints a table with the lines that were not reached; build/coverage.json has the same.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterable

PROJECT = Path(__file__).parents[2]
EMULATOR = PROJECT / "emulator"
BUILD = PROJECT / "build" / "coverage"
LEAST = 96.0
TESTS = ("emulator/tests/core", "emulator/tests/test_dasd_core.py", "emulator/tests/test_disk_images.py")


@dataclass
class Source:
    """How often each line of a file that has code was executed."""

    lines: dict[int, int] = field(default_factory=dict)

    @property
    def missed(self) -> list[int]:
        return sorted(line for line, count in self.lines.items() if not count)

    @property
    def percent(self) -> float:
        return 100 * (1 - len(self.missed) / len(self.lines))


def build() -> Path:
    """Compile the core with instrumentation. The directory to be put first on PYTHONPATH."""
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    subprocess.run(
        ["meson", "setup", "-Dbuildtype=debug", "-Db_coverage=true", str(BUILD / "core"), str(EMULATOR)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    subprocess.run(["ninja", "-C", str(BUILD / "core")], check=True, stdout=subprocess.DEVNULL)
    package = BUILD / "python" / "ccwemu"
    package.mkdir(parents=True)
    for path in (EMULATOR / "src" / "ccwemu").iterdir():
        if path.suffix != ".so":
            (package / path.name).symlink_to(path)
    (package / "_core.abi3.so").symlink_to(BUILD / "core" / "_core.abi3.so")
    return package.parent


def run_tests(python_path: Path) -> None:
    """Raises SystemExit when they fail."""
    before = os.environ.get("PYTHONPATH")
    path = f"{python_path}{os.pathsep}{before}" if before else str(python_path)
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", *TESTS], cwd=PROJECT, env=environment, check=False)
    if done.returncode:
        raise SystemExit("coverage: the tests failed")


def collect() -> dict[str, Source]:
    """Executions by line, from what the run left behind."""
    sources: dict[str, Source] = {}
    data = sorted((BUILD / "core").rglob("*.gcda"))
    if not data:
        raise SystemExit(
            f"coverage: no .gcda files in {BUILD / 'core'}: the tests did not run on the instrumented core"
        )
    for path in data:
        done = subprocess.run(
            ["gcov", "--json-format", "--stdout", str(path)], check=True, capture_output=True, text=True, cwd=BUILD
        )
        for report in done.stdout.splitlines():
            for file in json.loads(report)["files"]:
                name = Path(BUILD, "core", file["file"]).resolve()
                if name.parent != EMULATOR / "core":
                    continue
                lines = sources.setdefault(name.name, Source()).lines
                for line in file["lines"]:
                    number = line["line_number"]
                    lines[number] = lines.get(number, 0) + line["count"]
    return sources


def ranges(lines: Iterable[int]) -> str:
    """1, 2, 3, 7 as 1-3 7."""
    parts: list[list[int]] = []
    for line in lines:
        if parts and line == parts[-1][-1] + 1:
            parts[-1].append(line)
        else:
            parts.append([line])
    return " ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def main() -> int:
    run_tests(build())
    sources = collect()
    lines = sum(len(source.lines) for source in sources.values())
    missed = sum(len(source.missed) for source in sources.values())
    percent = 100 * (1 - missed / lines)
    for name, source in sorted(sources.items()):
        print(f"{name:20} {len(source.lines):5} lines {source.percent:6.1f} %  {ranges(source.missed)}")
    print(f"{'emulator/core':20} {lines:5} lines {percent:6.1f} %  (at least {LEAST} wanted)")
    report = {
        name: {"lines": len(source.lines), "missed": source.missed, "percent": round(source.percent, 2)}
        for name, source in sorted(sources.items())
    }
    (PROJECT / "build" / "coverage.json").write_text(
        json.dumps({"percent": round(percent, 2), "files": report}, indent=1) + "\n", encoding="ascii"
    )
    if percent < LEAST:
        print(f"coverage: {percent:.1f} % of the core's lines, {LEAST} % are wanted", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

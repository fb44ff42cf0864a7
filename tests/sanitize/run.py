# SPDX-License-Identifier: GPL-2.0-or-later
"""The preloaded library, and the core and the mirror through their bindings, under sanitizers (address, undefined).

Builds both in build/sanitize and runs their tests on that. Memory that is still held at the end is not looked at: the
interpreter's own is most of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]
EMULATOR = PROJECT / "emulator"
BUILD = PROJECT / "build" / "sanitize"
TESTS = (
    "test_preload_vfio.py",
    "core/test_core_faults.py",
    "core/test_core_subchannel.py",
    "core/test_core_vfio.py",
    "core/test_core_image.py",
    "test_faces_mirrored.py",
)
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}


def build() -> Path:
    """Compile with the sanitizers. The directory to be put first on PYTHONPATH."""
    compiled, package = BUILD / "core", BUILD / "python" / "ccwemu"
    if not (compiled / "build.ninja").exists():
        run("meson", "setup", "-Dbuildtype=debugoptimized", "-Db_sanitize=address,undefined", "-Db_lundef=false",
            str(compiled), str(EMULATOR))  # fmt: skip
    run("ninja", "-C", str(compiled))
    shutil.rmtree(package, ignore_errors=True)
    package.mkdir(parents=True)
    for path in (EMULATOR / "src" / "ccwemu").iterdir():
        if path.suffix != ".so":
            (package / path.name).symlink_to(path)
    for extension in ("_core.abi3.so", "_mirror.abi3.so"):
        (package / extension).symlink_to(compiled / extension)
    return package.parent


def run(*words: str) -> None:
    """Raises SystemExit with what a command said that failed."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"sanitize: {' '.join(words)} failed:\n{done.stdout}{done.stderr}")


def runtime(name: str) -> str:
    """A sanitizer's library, which has to come first in every process. Raises SystemExit."""
    done = subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=False)
    path = done.stdout.strip()
    if not os.path.isabs(path):
        raise SystemExit(
            f"sanitize: gcc has no {name}; Debian's package of the compiler brings it: apt-get install gcc"
        )
    return os.path.realpath(path)


def main() -> int:
    environment = {
        **os.environ,
        **OPTIONS,
        "LD_PRELOAD": f"{runtime('libasan.so')}:{runtime('libubsan.so')}",
        "PYTHONPATH": str(build()),
    }
    words = [sys.executable, "-m", "pytest", "-q", *(f"emulator/tests/{name}" for name in TESTS)]
    return subprocess.run(words, cwd=PROJECT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

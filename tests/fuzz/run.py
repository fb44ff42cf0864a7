# SPDX-License-Identifier: GPL-2.0-or-later
"""Fuzzing of the channel core, and of the mirror that answers FUSE requests, with sanitizers (address, undefined).

    run.py fuzz      libFuzzer (clang), FUZZ_SECONDS (60) for each target; what it finds lands in build/fuzz/found
    run.py corpus    each input of the kept corpus, and each seed, once (gcc)
    run.py keep      make the kept corpus anew: the fewest of all inputs that reach what all of them reach

FUZZ_TARGETS (all): program orb regions image mirror.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import seeds

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
CORE = PROJECT / "emulator" / "core"
BUILD = PROJECT / "build" / "fuzz"
MIRROR = PROJECT / "emulator" / "mirror"
TARGETS = ("program", "orb", "regions", "image", "mirror")

SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
CFLAGS = ["-std=c11", "-g", "-O1", "-fno-omit-frame-pointer", "-Wall", "-Wextra", *SANITIZERS]
COMPILERS = {"clang": ["clang", "-fsanitize=fuzzer", *CFLAGS], "gcc": ["gcc", "-Werror", *CFLAGS]}

# A program that loops ends after a million CCWs or a GiB: right for users, too long for thousands of programs a second.
LIMIT = re.compile(rb"(#define CHANNEL_WORK_LIMIT) .*")
LIMIT_HERE = rb"\1 2000u"

LONGEST = 4096  # bytes of an input
SECONDS_PER_INPUT = 10
ENVIRONMENT = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1"}


def _copy_core() -> Path:
    """The core's sources, but for the limit above."""
    copy = BUILD / "core"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for source in sorted(CORE.glob("*.[ch]")):
        shutil.copyfile(source, copy / source.name)
    header = copy / "channel.h"
    text, found = LIMIT.subn(LIMIT_HERE, header.read_bytes())
    if found != 1:
        raise SystemExit(f"{CORE / 'channel.h'}: expected one definition of CHANNEL_WORK_LIMIT, found {found}")
    header.write_bytes(text)
    return copy


def _build(compiler: str, targets: list[str]) -> dict[str, Path]:
    """Compile the core once and each target with it. The programs by target."""
    core = _copy_core()
    objects = BUILD / compiler
    shutil.rmtree(objects, ignore_errors=True)
    objects.mkdir(parents=True)
    sources = [str(source) for room in (core, MIRROR) for source in sorted(room.glob("*.c"))] + [
        str(HERE / "machine.c")
    ]
    command = [*COMPILERS[compiler], f"-I{core}", f"-I{MIRROR}", f"-I{HERE}"]
    _run([*command, "-c", *sources], objects)
    shared = [str(path) for path in sorted(objects.glob("*.o"))]
    runner = [str(HERE / "replay.c")] if compiler == "gcc" else []
    programs = {}
    for target in targets:
        programs[target] = objects / target
        _run([*command, "-o", str(programs[target]), str(HERE / f"fuzz_{target}.c"), *runner, *shared], objects)
    return programs


def _run(command: list[str], directory: Path) -> None:
    done = subprocess.run(command, cwd=directory, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:1])} failed:\n{done.stderr[-4000:]}")


def _kept(target: str) -> Path:
    return HERE / "corpus" / f"{target}.hex"


def _unpack(target: str) -> Path:
    """The kept corpus (a line of hexadecimal for each input) and the seeds, as a directory of files."""
    directory = BUILD / "corpus" / target
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for number, line in enumerate(_kept(target).read_text(encoding="ascii").splitlines(), 1):
        (directory / f"line-{number:03}").write_bytes(bytes.fromhex(line))
    for name, content in seeds.inputs()[target].items():
        (directory / f"seed-{name}").write_bytes(content)
    return directory


def corpus(targets: list[str]) -> int:
    """Replay the kept corpus. 1 when an input fails."""
    programs = _build("gcc", targets)
    failed = False
    for target, program in programs.items():
        files = sorted(_unpack(target).iterdir())
        done = subprocess.run(
            [str(program), *map(str, files)], env=ENVIRONMENT, text=True, stderr=subprocess.PIPE, check=False
        )
        print(f"fuzz-corpus: {target}: {len(files)} inputs, {'failed' if done.returncode else 'passed'}")
        if done.returncode:
            failed = True
            print(done.stderr[-6000:], file=sys.stderr)
    return int(failed)


def fuzz(targets: list[str]) -> int:
    """Let libFuzzer run. 1 when it found something."""
    seconds = os.environ.get("FUZZ_SECONDS") or "60"
    programs = _build("clang", targets)
    found = []
    for target, program in programs.items():
        work = BUILD / "found" / target
        grown = work / "corpus"
        grown.mkdir(parents=True, exist_ok=True)
        options = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-timeout={SECONDS_PER_INPUT}"]
        options += [f"-artifact_prefix={work}/", "-print_final_stats=1", "-use_value_profile=1"]
        done = subprocess.run(
            [str(program), *options, str(grown), str(_unpack(target))],
            env=ENVIRONMENT,
            text=True,
            stderr=subprocess.PIPE,
            check=False,
        )
        numbers = dict(re.findall(r"stat::(\w+):\s+(\d+)", done.stderr))
        covered = re.findall(r"cov: (\d+)", done.stderr)
        print(
            f"fuzz: {target}: {numbers.get('number_of_executed_units', '?')} inputs in {seconds} s, "
            f"{covered[-1] if covered else '?'} edges, {'FAILED' if done.returncode else 'nothing found'}",
            flush=True,
        )
        if done.returncode:
            found.append(target)
            print(done.stderr[-6000:], file=sys.stderr)
    if found:
        print(f"The inputs are in {BUILD / 'found'}. Once mended, add each to {HERE / 'corpus'}.", file=sys.stderr)
    return int(bool(found))


def keep(targets: list[str]) -> int:
    """Make the kept corpus the smallest that reaches all that it and the last runs have reached."""
    for target, program in _build("clang", targets).items():
        grown, merged = BUILD / "found" / target / "corpus", BUILD / "found" / target / "merged"
        shutil.rmtree(merged, ignore_errors=True)
        merged.mkdir(parents=True)
        sources = [str(_unpack(target)), *([str(grown)] if grown.is_dir() else [])]
        options = ["-set_cover_merge=1", "-use_counters=0", f"-max_len={LONGEST}"]
        _run([str(program), *options, str(merged), *sources], merged)
        lines = sorted(path.read_bytes().hex() for path in merged.iterdir())
        _kept(target).write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
        print(f"{target}: {len(lines)} inputs")
    return 0


def main() -> int:
    actions = {"fuzz": fuzz, "corpus": corpus, "keep": keep}
    if len(sys.argv) != 2 or sys.argv[1] not in actions:
        raise SystemExit(f"usage: run.py {'|'.join(actions)}")
    targets = (os.environ.get("FUZZ_TARGETS") or " ".join(TARGETS)).split()
    for target in targets:
        if target not in TARGETS:
            raise SystemExit(f"FUZZ_TARGETS: {target} is none of {', '.join(TARGETS)}")
    return actions[sys.argv[1]](targets)


if __name__ == "__main__":
    sys.exit(main())

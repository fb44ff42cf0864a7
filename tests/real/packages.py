# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's s390x packages on a machine of another architecture, without a word to its dpkg.

apt gets a state of its own and the machine's own sources. What has been fetched is kept: a package file never changes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

UPDATE_TIMEOUT, DOWNLOAD_TIMEOUT = 180, 300  # seconds


class Missing(Exception):
    """Something is not there; the text says what, and what to do."""


def qemu() -> Path:
    """The machine's qemu-system-s390x; installed when this is root. Raises Missing."""
    name, install = "qemu-system-s390x", ["apt-get", "install", "-y", "--no-install-recommends", "qemu-system-misc"]
    if shutil.which(name) is None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise Missing(f"{name} is not installed; run this, then make again:\n  sudo {' '.join(install)}")
        _run(install, DOWNLOAD_TIMEOUT, {"DEBIAN_FRONTEND": "noninteractive"})
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name}: qemu-system-misc is installed and has no such program; is this Debian or Ubuntu?")
    devices = subprocess.run([found, "-device", "help"], capture_output=True, text=True, timeout=60, check=False)
    if '"vfio-ccw"' not in devices.stdout:
        raise Missing(f"{found} has no device vfio-ccw; the one of Debian's qemu-system-misc is needed")
    return Path(found)


class Packages:
    """Packages of s390x, unpacked below ``cache``/NAME."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        for name in ("lists/partial", "archives/partial"):
            (cache / "apt" / name).mkdir(parents=True, exist_ok=True)
        values = {
            "APT::Architecture": "s390x",
            "APT::Architectures": "s390x",
            "APT::Sandbox::User": "",
            "Dir::State": f"{cache}/apt",
            "Dir::State::Lists": f"{cache}/apt/lists",
            "Dir::State::status": "/dev/null",
            "Dir::Cache": f"{cache}/apt",
        }
        self._options = [word for key, value in values.items() for word in ("-o", f"{key}={value}")]

    def unpacked(self, pattern: str) -> Path:
        """Where the newest package whose name matches is unpacked; fetched if need be. Raises Missing."""
        known = sorted((path for path in self._cache.iterdir() if re.fullmatch(pattern, path.name)), key=_version)
        if known:
            return known[-1]
        self._update()
        names = self._apt("apt-cache", "pkgnames").split()
        found = sorted((name for name in names if re.fullmatch(pattern, name)), key=lambda name: _version(Path(name)))
        if not found:
            raise Missing(
                f"no package {pattern} for s390x in this machine's apt sources. Debian 12's has it: "
                "see /etc/apt/sources.list.d"
            )
        return self._fetch(found[-1])

    def _update(self) -> None:
        if not any((self._cache / "apt/lists").glob("*_Packages*")):
            self._apt("apt-get", "-qq", "update", timeout=UPDATE_TIMEOUT)

    def _fetch(self, name: str) -> Path:
        work = self._cache / "apt" / f"new-{name}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        self._apt("apt-get", "-qq", "download", name, timeout=DOWNLOAD_TIMEOUT, directory=work)
        (package,) = work.glob("*.deb")
        _run(["dpkg-deb", "-x", str(package), str(work / "tree")], DOWNLOAD_TIMEOUT)
        (work / "tree").rename(self._cache / name)
        shutil.rmtree(work)
        return self._cache / name

    def _apt(self, program: str, *words: str, timeout: int = 60, directory: Path | None = None) -> str:
        return _run([program, *self._options, *words], timeout, directory=directory)


def _version(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.name)]


def _run(words: list[str], timeout: int, more: dict[str, str] | None = None, directory: Path | None = None) -> str:
    """Its output. Raises Missing when the command fails or takes too long."""
    environment = {**os.environ, **(more or {})}
    command = " ".join(word for word in words if "::" not in word and word != "-o")
    try:
        done = subprocess.run(
            words, env=environment, cwd=directory, capture_output=True, text=True, timeout=timeout, check=False
        )
    except FileNotFoundError:
        raise Missing(f"{words[0]} is not here; these tests need Debian or a relative of it") from None
    except subprocess.TimeoutExpired:
        raise Missing(f"{command}: no end after {timeout} s; is there a network?") from None
    if done.returncode:
        last = "\n  ".join(done.stderr.splitlines()[-5:])
        raise Missing(f"{command} failed; it said:\n  {last}")
    return done.stdout

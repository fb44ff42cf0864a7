# SPDX-License-Identifier: GPL-2.0-or-later
"""The programs of other packages that make a guest image, and what a user is told when one fails."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

PACKAGES = {
    "apt-get": "apt",
    "apt-cache": "apt",
    "dpkg-deb": "dpkg",
    "depmod": "kmod",
    "mke2fs": "e2fsprogs",
    "qemu-system-s390x": "qemu-system-misc",
    "ssh-keygen": "openssh-client",
    "tar": "tar",
    "unshare": "util-linux",
}
"""Program → Debian package that has it."""

QEMU = "qemu-system-s390x"
_INSTALL_QEMU = "sudo apt-get install --reinstall qemu-system-misc"
_QEMU_TIMEOUT = 30
"""Seconds in which it tells its devices; it takes a tenth of one."""
_FULL = os.strerror(errno.ENOSPC)
_LAST_LINES = 5


class Missing(Exception):
    """Something is not there that an image needs; the text says what, and the command or setting that mends it."""


def program(name: str) -> str:
    """The path of a program of ``PACKAGES``. Raises Missing."""
    require(name)
    return _which(name) or name


def require(*names: str) -> None:
    """Raises Missing, with one command for all, unless these programs of ``PACKAGES`` are there."""
    absent = [name for name in names if _which(name) is None]
    if not absent:
        return
    if _which("apt-get") is None:
        raise Missing(f"{', '.join(absent)}: not installed, nor is apt; guest images need Debian or a relative of it")
    wanted = " ".join(sorted({PACKAGES[name] for name in absent}))
    raise Missing(f"{', '.join(absent)}: not installed; run:\n  sudo apt-get install {wanted}")


def _which(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def run(words: Sequence[str], timeout: int, cwd: Path | None = None, stdin: IO[bytes] | None = None) -> str:
    """Run a program of ``PACKAGES``, in English; its output. ``timeout``: seconds. Raises Missing when it fails."""
    command = [words[0] if "/" in words[0] else program(words[0]), *words[1:]]
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    shown = " ".join([words[0], *(word for word in words[1:] if "::" not in word and word != "-o")])[:200]
    try:
        done = subprocess.run(
            command, env=environment, cwd=cwd, stdin=stdin or subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=timeout, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Missing(f"{shown}: no end after {timeout} s; is there a network, and is the disk not too slow?") from None
    if done.returncode == 0:
        return done.stdout
    if _FULL in done.stderr:
        raise Missing(full(shown))
    last = "\n  ".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
    raise Missing(f"{shown} failed with exit status {done.returncode}; it said:\n  {last}")


def full(what: str) -> str:
    """What is told of a disk without room."""
    return f"{what}: {_FULL}; make room, or name a directory on another disk: export CCWEMU_IMAGES=DIRECTORY"


def qemu(found: str | None) -> Path:
    """Whether the program that was found, if any, runs guests of kind real: it, or raises Missing."""
    if found is None:
        raise Missing(f"{QEMU}, which guests of kind real run in: not installed; run:\n  {_INSTALL_QEMU}")
    try:
        devices = run([found, "-device", "help"], _QEMU_TIMEOUT)
    except Missing as problem:
        raise Missing(f"{problem}\nDebian's works; run:\n  {_INSTALL_QEMU}") from None
    if '"vfio-ccw"' not in devices:
        raise Missing(f"{found} has no device vfio-ccw; Debian's has it, run:\n  {_INSTALL_QEMU}")
    return Path(found)

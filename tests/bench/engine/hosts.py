# SPDX-License-Identifier: GPL-2.0-or-later
"""An emulated host whose first devices are given to a guest in one way or another, and how long that takes."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labs import Lab
from plays import PROJECT, inventory, play

from .peers import LASTING_LOOP, SHELL_LOOP, ansible_loop, engine_play, first_devices, shell_lines, span

PACKAGE = "ansible_collections/zkvm/vfio_ccw/plugins/module_utils"
ARCHIVE, INSIDE = "/root/engine.zip", "/root/inside.py"


class Bench:
    """A host of a lab. Each way begins on a host that has just booted, with vfio_ccw loaded, and its result is checked.

    Raises RuntimeError where devices have not arrived: the figures are void.
    """

    def __init__(self, lab: Lab, host: str, work: Path) -> None:
        self._lab = lab
        self._host = host
        self._work = work
        self._inventory = inventory(lab, work)
        self._put(ARCHIVE, _archive())
        self._put(INSIDE, Path(__file__).with_name("inside.py").read_bytes())

    def _put(self, path: str, content: bytes) -> None:
        self._lab.run(self._host, "dd", f"of={path}", "bs=64k", "status=none", stdin=content)

    def _anew(self) -> None:
        """The disks are online on the host, and nobody has ever passed one on."""
        self._lab.reboot(self._host)
        self._lab.run(self._host, "rm", "-rf", "/var/lib/vfio_ccw")
        self._lab.run(self._host, "modprobe", "vfio_ccw")

    def _check(self, count: int, way: str) -> None:
        found = len(self._lab.run(self._host, "ls", "/sys/bus/mdev/devices").split())
        if found != count:
            raise RuntimeError(f"{way}: {found} mediated devices instead of {count}")

    def _inside(self, mode: str, count: int, wanted: Sequence[Sequence[str]] = ()) -> Any:
        words = ("python3", INSIDE, ARCHIVE, mode, span(count))
        return json.loads(self._lab.run(self._host, *words, stdin=json.dumps(wanted).encode()))

    def writes(self, count: int) -> list[list[str]]:
        """Path and value of what the engine would write to /sys."""
        self._anew()
        found: list[list[str]] = self._inside("writes", count)
        return found

    def bare(self, count: int, wanted: Sequence[Sequence[str]]) -> float:
        """Seconds for these writes alone."""
        self._anew()
        seconds: float = self._inside("bare", count, wanted)["seconds"]
        self._check(count, "bare writes")
        return seconds

    def engine(self, count: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """A run of the engine without Ansible, and a second one, for which nothing is left to do."""
        self._anew()
        first, second = self._inside("engine", count), self._inside("engine", count)
        self._check(count, "engine")
        if not first["changed"] or second["changed"]:
            raise RuntimeError(f"engine: first run changed {first['changed']}, second {second['changed']}")
        return first, second

    def playbook(self, count: int) -> float:
        """Seconds for one task of the module passthrough."""
        return self._timed_play(count, "passthrough", engine_play(self._host, count))

    def ansible_loop(self, count: int) -> float:
        """Seconds for a loop of commands."""
        return self._timed_play(count, "loop", ansible_loop(self._host, first_devices(count)))

    def lasting(self, count: int) -> float:
        """Seconds of the engine without Ansible for devices that are to last over a restart."""
        self._anew()
        seconds: float = self._inside("lasting", count)["seconds"]
        self._check(count, "engine, lasting")
        self._forget(count)
        return seconds

    def _forget(self, count: int) -> None:
        """Have no device passed on at the next boot."""
        files = "/etc/driverctl.d/css-*", "/etc/mdevctl.d/[0-9]*"
        found = self._lab.run(self._host, "sh", "-c", f"ls -d {' '.join(files)} | wc -l; rm -rf {' '.join(files)}")
        if int(found) != 2 * count:
            raise RuntimeError(f"{int(found)} files of driverctl and mdevctl instead of {2 * count}")

    def shell_loop(self, count: int, lasting: bool = False) -> float:
        """Seconds for driverctl and mdevctl, one device after the other."""
        self._anew()
        words = ("sh", "-c", LASTING_LOOP if lasting else SHELL_LOOP, "sh", span(count))
        begin = time.monotonic()
        self._lab.run(self._host, *words, stdin=shell_lines(first_devices(count)))
        seconds = time.monotonic() - begin
        self._check(count, "driverctl and mdevctl")
        if lasting:
            self._forget(count)
        return seconds

    def _timed_play(self, count: int, name: str, text: str) -> float:
        self._anew()
        book = self._work / f"{name}.yml"
        book.write_text(text, encoding="utf-8")
        seconds = play(self._work, self._inventory, str(book)).seconds
        self._check(count, book.name)
        return seconds


def _archive() -> bytes:
    """The collection's module_utils, as Ansible brings them to a host."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        parts = PACKAGE.split("/")
        for depth in range(1, len(parts) + 1):
            archive.writestr("/".join([*parts[:depth], "__init__.py"]), "")
        root = PROJECT / "plugins/module_utils"
        for folder in sorted({file.parent.relative_to(root) for file in root.glob("*/*.py")}):
            archive.writestr(f"{PACKAGE}/{folder}/__init__.py", "")
        for file in sorted(root.rglob("*.py")):
            archive.write(file, f"{PACKAGE}/{file.relative_to(root)}")
    return content.getvalue()

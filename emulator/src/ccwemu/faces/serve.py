# SPDX-License-Identifier: GPL-2.0-or-later
"""The faces of one machine in one node, as :func:`ccwemu.namespace.launch.launch` wants them served."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from ccwemu.faces.devnodes import devices_face
from ccwemu.faces.fuse import TreeFace
from ccwemu.faces.procfs import procfs_face
from ccwemu.faces.rules import Wiring
from ccwemu.faces.sysfs import sysfs_face
from ccwemu.machine import waiting
from ccwemu.machine.lock import MachineLock
from ccwemu.machine.tree import Directory


class Visible(Protocol):
    """What of a machine is shown."""

    @property
    def sysfs(self) -> Directory: ...
    @property
    def proc(self) -> Directory: ...
    @property
    def dev(self) -> Directory: ...
    @property
    def lock(self) -> MachineLock: ...


class Faces:
    """Pass :meth:`serve` to ``launch``; :meth:`close` when the node has ended."""

    def __init__(self, machine: Visible, node: str) -> None:
        self._machine = machine
        self._node = node
        self._faces: list[TreeFace] = []
        self._real_proc: int | None = None
        self._noted = threading.Event()
        self._closed = False
        self._storing: set[int] = set()
        """Threads in a store, at whose end names are forgotten anyway."""
        self._wiring = Wiring(machine.lock, self._store, self._note)
        threading.Thread(target=self._refresh_when_noted, name=f"{node} names", daemon=True).start()

    def serve(self, face: str, fd: int, real_proc: int | None) -> None:
        """Start to serve ``face`` ("sys", "proc" or "dev") on a /dev/fuse descriptor, which is kept."""
        machine, node, wiring = self._machine, self._node, self._wiring
        if face == "sys":
            served = sysfs_face(machine.sysfs, fd, node, wiring)
        elif face == "dev":
            served = devices_face(machine.dev, fd, node, wiring)
        elif face == "proc" and real_proc is not None:
            self._real_proc = real_proc
            served = procfs_face(machine.proc, fd, real_proc, node, wiring)
        else:
            raise ValueError(f"no such face: {face}")
        self._faces = [*self._faces, served]  # others go through it meanwhile
        served.start()

    def stores(self) -> int:
        """How often the node has written to attributes, those of its /proc included, since its boot."""
        return sum(face.stores for face in list(self._faces))

    @contextmanager
    def _store(self) -> Iterator[None]:
        me = threading.get_ident()
        self._storing.add(me)
        try:
            with waiting.told(self._noted.set):
                for face in self._faces:
                    face.catch_up()
                yield
        finally:
            self._storing.discard(me)
            self.refresh()

    def _note(self) -> None:
        if threading.get_ident() not in self._storing:
            self._noted.set()

    def refresh(self) -> None:
        """Have the kernel forget the names of what the machine has removed. Never called with its lock held."""
        for face in self._faces:
            face.forget_stale()

    def _refresh_when_noted(self) -> None:
        """The same for what the machine removes by itself."""
        while not self._closed:
            self._noted.wait()
            self._noted.clear()
            self.refresh()

    def close(self) -> None:
        self._closed = True
        self._noted.set()
        faces, self._faces = self._faces, []
        for face in faces:
            face.close()
        if self._real_proc is not None:
            os.close(self._real_proc)
            self._real_proc = None

# SPDX-License-Identifier: GPL-2.0-or-later
"""Starting a node: the side of who starts it (the lab's daemon for a host, the qemu process for a quick guest)."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ccwemu.namespace.run import Ended, run_by_init
from ccwemu.namespace.unshare import IdMap, choose_id_map, write_maps

_SOURCES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from ccwemu.namespace.init import main; main()"

_HINTS = {
    "unshare": (
        "this system does not let an ordinary user make user namespaces; as its administrator set"
        " kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), kernel.unprivileged_userns_clone=1 (old Debian) or"
        " user.max_user_namespaces to more than 0 with sysctl, or start ccwemu as root"
    ),
    "/dev/fuse": "load the module fuse (modprobe fuse), or give this container the device /dev/fuse",
    "mount proc": "parts of /proc are covered here (a container); start the container with --security-opt unmask=ALL",
}


PATIENCE = 5.0
"""Seconds to wait for the end of a node's processes."""


class NamespaceError(Exception):
    """A node could not be started: which, at which step, the system's answer, what to do."""


@dataclass(frozen=True)
class Bind:
    """A tree of the machine, shown at a place of the node."""

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class Links:
    """A read-only directory of the node that holds links (name → text) and empty directories."""

    target: str
    links: dict[str, str]
    directories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mount:
    """A mount that the node has from its start, with the files to put there (name → text)."""

    source: str
    target: str
    fstype: str
    options: str | None = None
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NodeSpec:
    """What a node is made of. ``root`` is a prepared directory (:mod:`ccwemu.namespace.root`)."""

    hostname: str
    root: str
    binds: Sequence[Bind | Links]
    """In the order in which they are mounted."""
    faces: Sequence[str] = ("sys", "dev", "proc")
    mounts: Sequence[Mount] = ()
    uevents: bool = False
    """Whether its processes are to be told of uevents: then :class:`Namespace` has a socket for it."""


ServeFace = Callable[[str, int, int | None], None]
"""Called with the name of a face, its /dev/fuse descriptor and, for proc, a descriptor of the real procfs."""


@dataclass
class Namespace:
    """A running node. ``pid`` is its process 1 as seen from here."""

    pid: int
    pidfd: int
    connection: socket.socket
    uevents: socket.socket | None = None
    """A netlink socket of the node's network namespace, for :mod:`ccwemu.userspace.monitors`."""
    _asking: threading.Lock = field(default_factory=threading.Lock)

    def run(self, argv: Sequence[str], environment: Mapping[str, str], seconds: float) -> Ended:
        """Run a program as a child of the node's process 1; it is killed after ``seconds``.

        Raises OSError: what starting it says, ESRCH where the node is gone.
        """
        with self._asking:
            return run_by_init(self.connection, argv, environment, seconds)

    def wait(self, seconds: float | None = None) -> bool:
        """Until process 1 has ended, or as long as that. Has it?"""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))

    def stop(self) -> None:
        """End every process of the node; stopping again does nothing.

        Returns when process 1 is gone, or late: one that waits for a store (a device that nobody gives back) cannot
        be killed before its face is closed.
        """
        if self.pidfd < 0:
            return
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)  # ends a run that is waited for
        with self._asking:
            self.connection.close()
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        self.wait(PATIENCE)
        if self.uevents is not None:
            self.uevents.close()
        os.close(self.pidfd)
        self.pidfd = -1


def launch(spec: NodeSpec, serve: ServeFace, ids: IdMap | None = None) -> Namespace:
    """Start a node and serve its faces. Raises NamespaceError."""
    ids = ids if ids is not None else choose_id_map()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOT, _SOURCES, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            cwd="/",
        )
    finally:
        theirs.close()
    ours.send(json.dumps(_message(spec, ids)).encode())
    try:
        pid, uevents = _converse(spec, ours, serve, ids)
    except BaseException:
        ours.close()
        raise
    finally:
        child.wait()
    return Namespace(pid, os.pidfd_open(pid), ours, uevents)


def _message(spec: NodeSpec, ids: IdMap) -> dict[str, Any]:
    return {
        "hostname": spec.hostname,
        "root": spec.root,
        "binds": [vars(bind) for bind in spec.binds],
        "faces": list(spec.faces),
        "mounts": [vars(mount) for mount in spec.mounts],
        "uevents": spec.uevents,
        "id_count": ids.count,
        "shifted": ids.shifted,
        "owner": ids.outside if ids.shifted else 0,
    }


def _converse(
    spec: NodeSpec, connection: socket.socket, serve: ServeFace, ids: IdMap
) -> tuple[int, socket.socket | None]:
    """Answer the init until it is ready. Returns its pid and its socket for uevents."""
    pid = uevents = None
    while True:
        data, descriptors, _flags, _address = socket.recv_fds(connection, 1 << 16, 4)
        if not data:
            raise NamespaceError(f"node {spec.hostname}: its init ended unexpectedly; its messages are in the log")
        message = json.loads(data)
        if "error" in message:
            raise _explain(spec, message)
        if "map" in message:
            connection.send(json.dumps(_write_maps(message["map"], ids)).encode())
        elif "face" in message:
            serve(message["face"], descriptors[0], descriptors[1] if len(descriptors) > 1 else None)
            connection.send(b"{}")
        elif "uevents" in message:
            uevents = socket.socket(fileno=descriptors[0])
        elif "pid" in message:
            pid = message["pid"]
        elif "ready" in message:
            return pid if pid is not None else _pid_message(connection), uevents


def _pid_message(connection: socket.socket) -> int:
    """The message with the pid comes from another process than "ready" and may be later."""
    pid: int = json.loads(connection.recv(1 << 16))["pid"]
    return pid


def _write_maps(pid: int, ids: IdMap) -> dict[str, Any]:
    try:
        write_maps(pid, ids)
    except OSError as error:
        return {"errno": error.errno}
    return {}


def _explain(spec: NodeSpec, message: dict[str, Any]) -> NamespaceError:
    what = message["what"] or ""
    name = errno.errorcode.get(message["errno"], str(message["errno"]))
    text = f"node {spec.hostname}: making {message['error']} failed: {what}: {message['message']} ({name})"
    hint = next((hint for key, hint in _HINTS.items() if key in what), None)
    return NamespaceError(f"{text}; {hint}" if hint else text)

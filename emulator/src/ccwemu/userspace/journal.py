# SPDX-License-Identifier: GPL-2.0-or-later
"""What a host's userspace says: the lines of udevd and systemd, and what programs send to syslog.

On a real host systemd's journal keeps it; here it is told to who asks, and a problem goes into the kernel's log too.
"""

from __future__ import annotations

import logging
import os
import re
import select
import socket
import threading
from contextlib import suppress

from ccwemu.machine import klog
from ccwemu.machine.klog import KernelLog

log = logging.getLogger(__name__)

SYSLOG = "run/systemd/journal/dev-log"
"""Where systemd has the socket that /dev/log is a link to, relative to the node's root."""

KEPT = 200_000
"""Lines; the older half goes when there are more."""

_SYSLOG = re.compile(r"^<\d+>(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d )?(.*)$", re.DOTALL)
"""Priority, then mostly a date (RFC 3164)."""


class Journal:
    """The lines of one boot."""

    def __init__(self, host: str, kernel_log: KernelLog) -> None:
        self._host = host
        self._kernel_log = kernel_log
        self._guard = threading.Lock()
        self._socket: socket.socket | None = None
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        with self._guard:
            self._add(text)

    def warn(self, text: str) -> None:
        """Something is not as its author wanted it."""
        self._kernel_log.append(text, klog.ERR)
        log.warning("host %s: %s", self._host, text)
        self.say(text)

    def _add(self, text: str) -> None:
        if len(self.lines) >= KEPT:
            del self.lines[: KEPT // 2]
        self.lines.append(text)

    # -- syslog -----------------------------------------------------------------------------------------------------

    def listen(self, root: str, owner: int) -> None:
        """Take what the node's programs send to /dev/log. ``owner``: the outside id of the node's root."""
        directory = os.path.join(root, os.path.dirname(SYSLOG))
        os.makedirs(directory, exist_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:  # an address may have 107 bytes only
            path = f"/proc/self/fd/{handle}/{os.path.basename(SYSLOG)}"
            listener.bind(path)
            os.chmod(path, 0o666)
            if os.geteuid() == 0:
                os.chown(path, owner, owner)
        finally:
            os.close(handle)
        self._socket = listener
        threading.Thread(target=self._receive, args=(listener,), name=f"{self._host} syslog", daemon=True).start()

    def _receive(self, listener: socket.socket) -> None:
        with suppress(OSError, ValueError):  # closed meanwhile
            while self._socket is listener:
                select.select([listener], [], [])
                self.catch_up()

    def catch_up(self) -> None:
        """Take what was sent by now."""
        with self._guard, suppress(OSError):
            while self._socket is not None:
                data = self._socket.recv(8192)
                if not data:
                    return
                found = _SYSLOG.match(data.decode("utf-8", "replace").rstrip("\n\0"))
                text = found[1] if found is not None else repr(data)
                log.info("host %s: syslog: %s", self._host, text)
                self._add(text)

    def close(self) -> None:
        listener, self._socket = self._socket, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

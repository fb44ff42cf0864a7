# SPDX-License-Identifier: GPL-2.0-or-later
"""The process of a lab: holds its machines, serves their nodes, answers the ``ccwemu`` command.

Started by :func:`ccwemu.lab.control.up`; tells it over a pipe, one JSON object in a line, how far it is.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import signal
import sys
import threading
from typing import Any

from ccwemu.lab import reboot, state
from ccwemu.lab.guests import LabGuests
from ccwemu.lab.host import Host
from ccwemu.lab.lines import Message, Peer, Refusal, Server
from ccwemu.lab.schema import read_lab
from ccwemu.lab.spec import LabSpec
from ccwemu.namespace.unshare import become_subreaper, choose_id_map

log = logging.getLogger(__name__)

SWITCH_INTERVAL = 0.0002
"""Seconds after which a thread that computes (a rule for a uevent) lets one go on that has a request to answer."""


class Daemon:
    """A running lab."""

    def __init__(self, spec: LabSpec, directory: str) -> None:
        self._spec = spec
        self._directory = directory
        self._ids = choose_id_map()
        self._guests = LabGuests(spec.name, spec.guests, [host.name for host in spec.hosts], self.write_state)
        self._guard = threading.RLock()
        self._ended = threading.Event()
        self._hosts = {
            host.name: Host(host, directory, self._ids, self._guests.of(host.name), self.write_state)
            for host in spec.hosts
        }
        self._server: Server | None = None

    def start(self, report: Any) -> None:
        """Bring everything up. ``report`` is told what is being done."""
        self._guests.open()
        for host in self._hosts.values():
            host.require()
        for host in self._hosts.values():
            host.make_disks(report)
        for name, host in self._hosts.items():
            report(f"{name}: starting")
            host.start()
        path = os.path.join(self._directory, "control.sock")
        self._server = Server(path, {"down": self._down, "reboot": self._reboot, "fault": self._fault})
        self.write_state()

    def wait(self) -> None:
        """Until :meth:`end`."""
        self._ended.wait()

    def end(self) -> None:
        self._ended.set()

    def stop(self) -> None:
        """End the nodes and take the state file away: the lab is no more."""
        for host in self._hosts.values():
            try:
                host.stop()
            except Exception:
                log.exception("stopping host %s", host.spec.name)
        self._guests.close()
        with self._guard:
            for name in ("state.json", "control.sock"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self._directory, name))

    # -- state ------------------------------------------------------------------------------------------------------

    def write_state(self) -> None:
        with self._guard:
            if self._ended.is_set():
                return
            own = os.getpid()
            started = state.start_time(own)
            assert started is not None
            state.write(self._directory, state.LabState(self._spec.name, own, started, self._spec.file, self._nodes()))

    def _nodes(self) -> dict[str, dict[str, Any]]:
        nodes = {
            name: {"role": "host", "kind": "host", **self._process(host.pid)} for name, host in self._hosts.items()
        }
        return nodes | self._guests.nodes(self._process)

    def _process(self, pid: int | None) -> dict[str, Any]:
        started = state.start_time(pid) if pid is not None else None
        return {"pid": pid, "start_time": started, "uid": self._ids.outside, "id_count": self._ids.count}

    # -- the command's requests -------------------------------------------------------------------------------------

    def _down(self, peer: Peer, message: Message) -> None:
        """No answer: the end of this process is the answer."""
        self.end()

    def _reboot(self, peer: Peer, message: Message) -> Message:
        return reboot.serve(self._host(message), message)

    def _fault(self, peer: Peer, message: Message) -> Message:
        return self._host(message).fault(message)

    def _host(self, message: Message) -> Host:
        name = str(message.get("node"))
        if name not in self._hosts:
            raise Refusal("ENOENT", f"lab {self._spec.name} has no host {name}; it has: {', '.join(self._hosts)}")
        return self._hosts[name]


def main(argv: list[str]) -> int:
    """``daemon DIRECTORY DEFINITION REPORT-FD``."""
    directory, definition, report_fd = argv[0], argv[1], int(argv[2])
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    become_subreaper()
    _allow_files()
    sys.setswitchinterval(SWITCH_INTERVAL)
    with os.fdopen(report_fd, "w", encoding="utf-8", buffering=1) as report:
        daemon = _start(definition, directory, lambda message: report.write(json.dumps(message) + "\n"))
    if daemon is None:
        return 1
    daemon.wait()
    daemon.stop()
    log.info("lab ended")
    # Threads of faces may wait in the kernel for a mount that is going away; nothing is left to do for them.
    logging.shutdown()
    os._exit(0)


def _allow_files() -> None:
    """As many open files as the user may have: each disk in use is one, and the usual limit of a shell is 1024."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _start(definition: str, directory: str, tell: Any) -> Daemon | None:
    """The lab, up; None when that failed, which has been told."""
    daemon = None
    try:
        daemon = Daemon(read_lab(definition, os.path.basename(directory)), directory)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, frame: daemon.end())
        daemon.start(lambda text: tell({"progress": text}))
        tell({"ready": True})
        return daemon
    except BaseException as error:
        log.exception("the lab did not come up")
        tell({"error": str(error) or repr(error), "kind": type(error).__name__})
        if daemon is not None:
            daemon.end()
            daemon.stop()
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

# SPDX-License-Identifier: GPL-2.0-or-later
"""In the emulated host: give devices to a guest by the engine, or by the writes alone that the engine would do.

Arguments: ZIP (the collection's module_utils) MODE (engine, writes or bare) DEVICES (0.0.8000-0.0.83e7). Prints JSON:
``engine``: seconds, whether anything changed, and how many writes the emulated kernel got meanwhile; ``writes``: those
to /sys that the engine plans, in order; ``bare``: seconds for a list of them, which comes on the standard input.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

HOST_SOCKET = "/run/ccwemu/host.sock"


def stores() -> int:
    """Writes to files of the emulated kernel since the host was started."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(HOST_SOCKET)
        connection.sendall(b'{"op": "stores"}\n')
        answer: dict[str, int] = json.loads(connection.makefile().readline())
    return answer["stores"]


def engine(devices: str, lasting: bool = False) -> dict[str, Any]:
    from ansible_collections.zkvm.vfio_ccw.plugins.module_utils import _module
    from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine import _engine, _report

    host = _module.host_of(Commands())
    before, begin = stores(), time.monotonic()
    outcome = _engine.converge(host, _wanted(devices, lasting), _engine.Options())
    _report.report(outcome, "auto", False)
    return {"seconds": time.monotonic() - begin, "changed": outcome.changed, "stores": stores() - before}


class Commands:
    """What a host asks of an AnsibleModule, whose start-up is no part of this."""

    def get_bin_path(self, name: str) -> str | None:
        return shutil.which(name)

    def run_command(self, argv: list[str], **_options: Any) -> tuple[int, str, str]:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr


def lasting(devices: str) -> dict[str, Any]:
    return engine(devices, lasting=True)


def writes(devices: str) -> list[tuple[str, str]]:
    from ansible_collections.zkvm.vfio_ccw.plugins.module_utils import _host
    from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine import _engine

    outcome = _engine.converge(_host.Host(), _wanted(devices), _engine.Options(check_mode=True))
    return [(step.path, step.written) for step in outcome.plan.steps if step.path.startswith("/sys/bus/")]


def bare(wanted: Sequence[tuple[str, str]]) -> dict[str, float]:
    begin = time.monotonic()
    for path, value in wanted:
        file = os.open(path, os.O_WRONLY)
        os.write(file, (value + "\n").encode())
        os.close(file)
    return {"seconds": time.monotonic() - begin}


def _wanted(devices: str, lasting: bool = False) -> list[dict[str, Any]]:
    """The module's argument ``devices``, with its defaults."""
    return [{"device": devices, "state": "present", "persistent": lasting, "adopt": False, "remove_rules": False,
             "force": []}]  # fmt: skip


def main() -> None:
    archive, mode, devices = sys.argv[1:]
    sys.path.insert(0, archive)
    modes = {"engine": engine, "lasting": lasting, "writes": writes}
    done: Any = modes[mode](devices) if mode != "bare" else bare(json.load(sys.stdin))
    print(json.dumps(done))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: GPL-2.0-or-later
"""In the emulated host: give devices to a guest by the engine, or by the writes alone that the engine would do.

Arguments: ZIP (the collection's module_utils) MODE (engine, writes or bare) DEVICES (0.0.8000-0.0.83e7). Prints JSON:
``engine``: seconds, whether anything changed, and how many writes the emulated kernel got meanwhile; ``writes``: those
to /sys that the engine plans, in order; ``bare``: seconds for a list of them, which comes on the standard input.
"""

from __future__ import annotations

import json
import os
import socket
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


def engine(devices: str) -> dict[str, Any]:
    from ansible_collections.zkvm.vfio_ccw.plugins.module_utils import _engine, _host, _report

    before, begin = stores(), time.monotonic()
    outcome = _engine.converge(_host.Host(), _wanted(devices), _engine.Options())
    _report.report(outcome, "auto", False)
    return {"seconds": time.monotonic() - begin, "changed": outcome.changed, "stores": stores() - before}


def writes(devices: str) -> list[tuple[str, str]]:
    from ansible_collections.zkvm.vfio_ccw.plugins.module_utils import _engine, _host

    outcome = _engine.converge(_host.Host(), _wanted(devices), _engine.Options(check_mode=True))
    return [(step.path, step.written) for step in outcome.plan.steps if step.path.startswith("/sys/bus/")]


def bare(wanted: Sequence[tuple[str, str]]) -> dict[str, float]:
    begin = time.monotonic()
    for path, value in wanted:
        file = os.open(path, os.O_WRONLY)
        os.write(file, (value + "\n").encode())
        os.close(file)
    return {"seconds": time.monotonic() - begin}


def _wanted(devices: str) -> list[dict[str, Any]]:
    """The module's argument ``devices``, with its defaults."""
    return [{"device": devices, "state": "present", "persistent": False, "adopt": False, "remove_rules": False,
             "force": []}]  # fmt: skip


def main() -> None:
    archive, mode, devices = sys.argv[1:]
    sys.path.insert(0, archive)
    done: Any = {"engine": engine, "writes": writes}[mode](devices) if mode != "bare" else bare(json.load(sys.stdin))
    print(json.dumps(done))


if __name__ == "__main__":
    main()

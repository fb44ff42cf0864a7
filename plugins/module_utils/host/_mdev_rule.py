# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mdevctl's udev rule, which starts mediated devices at boot, and whether it can.

Debian 12's mdevctl 1.2.0 names /usr/sbin/mdevctl in it and installs /usr/bin/mdevctl: no mediated device is started.
"""

from __future__ import annotations

import re

from .._host import COMMAND_PLACES, Host
from ._model import StaleRule

DIRECTORIES = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d")
"""Of files of one name the first counts: udev(7)."""
OWN = DIRECTORIES[0]

_PROGRAM = re.compile(r"(/[\w./-]*/mdevctl) start-parent-mdevs")


def find_stale_rule(host: Host) -> StaleRule | None:
    """The rule where it starts nothing. None where it does, or where mdevctl has no such rule."""
    names = {
        name for place in DIRECTORIES for name in host.names(place) if "mdevctl" in name and name.endswith(".rules")
    }
    for name in sorted(names):
        paths = [f"{place}/{name}" for place in DIRECTORIES if host.exists(f"{place}/{name}")]
        texts = [host.get(path) for path in paths]
        if not any(_PROGRAM.search(text) for text in texts):
            continue
        programs = _PROGRAM.findall(texts[0])
        if not programs:
            return StaleRule(paths[0], "")
        missing = [program for program in programs if not host.exists(program)]
        if missing:
            return StaleRule(paths[0], missing[0], _corrected(host, host.read(paths[0]), missing[0]))
    return None


def _corrected(host: Host, text: str, program: str) -> str:
    there = [f"{place}/mdevctl" for place in COMMAND_PLACES if host.exists(f"{place}/mdevctl")]
    return text.replace(program, there[0]) if there else ""

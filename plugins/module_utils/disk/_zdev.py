# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have DASDs set online at every boot, by s390-tools' chzdev: its persistent configuration is udev rules."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .._busid import BadName, BusId
from .._host import Host

LSZDEV = ["lszdev", "dasd", "--columns", "ID,PERS", "--pairs"]
NOTHING_FOUND = 8
"""lszdev's exit code when there is no device at all (s390-tools, zdev/include/exit_code.h)."""
_PAIR = re.compile(r'ID="([^"]*)" PERS="([^"]*)"')


class ZdevError(Exception):
    """chzdev is not there, or refuses."""


def converge_zdev(host: Host, devices: Sequence[BusId], present: bool, check_mode: bool) -> dict[str, Any]:
    """The module's result. Raises ZdevError, HostError."""
    if not (host.has_command("chzdev") and host.has_command("lszdev")):
        raise ZdevError(
            f"{', '.join(map(str, devices))}: chzdev is not installed, which would "
            f"{'set it online at boot' if present else 'end that it is set online at boot'}. Install the package "
            "s390-tools (on Fedora and its relatives s390utils-core). Nothing was changed."
        )
    before = configured(host)
    change = [device for device in devices if (device in before) != present]
    if change and not check_mode:
        _change(host, change, present)
    after = (before | set(change)) if present else (before - set(change))
    return {
        "changed": bool(change),
        "actions": [_action(device, present) for device in change],
        "diff": {"before": _text(devices, before), "after": _text(devices, after)},
    }


def configured(host: Host) -> set[BusId]:
    """The DASDs that chzdev has set up to be online at boot. Raises ZdevError."""
    code, out, err = host.run(LSZDEV)
    if code not in (0, NOTHING_FOUND):
        raise ZdevError(f"{' '.join(LSZDEV)} ended with {code}: {(err or out).strip()}")
    return parse_pairs(out)


def parse_pairs(text: str) -> set[BusId]:
    """Those of lszdev's lines whose PERS is yes. It may say more than yes, as in yes/no for auto-configured ones."""
    found = set()
    for name, persistent in _PAIR.findall(text):
        try:
            device = BusId.parse(name)
        except BadName:
            continue
        if persistent.startswith("yes"):
            found.add(device)
    return found


def _change(host: Host, devices: Sequence[BusId], present: bool) -> None:
    """One call for all. What it changes is files; an initial RAM disk is left alone."""
    argv = ["chzdev", "--enable" if present else "--disable", "--persistent", "--no-root-update", "--yes", "dasd"]
    code, out, err = host.run(argv + [str(device) for device in devices])
    now = configured(host)
    wrong = [str(device) for device in devices if (device in now) != present]
    if code or wrong:
        said = " ".join((err + out).split())
        raise ZdevError(
            f"{', '.join(wrong or map(str, devices))}: {' '.join(argv)} ended with {code}, and lszdev says that it is "
            f"{'not ' if present else ''}set online at boot. chzdev said: {said or 'nothing'}."
        )


def _action(device: BusId, present: bool) -> dict[str, str]:
    return {
        "device": str(device),
        "step": "keep-online" if present else "keep-no-longer",
        "description": f"{'set' if present else 'do not set'} device {device} online at boot",
        "path": "",
        "value": "",
    }


def _text(devices: Sequence[BusId], which: set[BusId]) -> str:
    return "".join(f"{device}: {'' if device in which else 'not '}set online at boot\n" for device in devices)

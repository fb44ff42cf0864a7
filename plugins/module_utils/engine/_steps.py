# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every step by which a device changes hands: those of the buses, the journal's and the kernel's."""

from __future__ import annotations

from .._busid import BusId
from .._host import Host
from ..host._journal import JOURNAL_FILE, get_entry, put_entries
from ..host._kernel import load_module, read_loaded
from ..host._model import JournalEntry
from ._step import KINDS, Kind, Step, paired, value
from ._steps_boot import correct_rule, remove_parameter, restore_parameter
from ._steps_ccw import bind_ccw, offline, online, unbind_ccw
from ._steps_css import bind_subchannel, override, unbind_subchannel
from ._steps_kept import define_mdev, keep_driver, remove_rule, restore_rule, undefine_mdev
from ._steps_mdev import create_mdev, remove_mdev

__all__ = [
    "KINDS",
    "Step",
    "bind_ccw",
    "bind_subchannel",
    "correct_rule",
    "create_mdev",
    "define_mdev",
    "keep_driver",
    "load",
    "offline",
    "online",
    "override",
    "record",
    "remove_mdev",
    "remove_parameter",
    "remove_rule",
    "restore_parameter",
    "restore_rule",
    "unbind_ccw",
    "unbind_subchannel",
    "undefine_mdev",
]

_NOTED = {True: "online", False: "offline", None: "unknown"}


def _put(host: Host, step: Step) -> None:
    if step.device is not None:
        put_entries(host, {step.device: step.entry})


def _note(step: Step) -> str:
    if step.entry is None:
        return "take the device out of the journal"
    if step.entry.left_offline:
        return "note in the journal that the host had the device online, for when it comes back from the next guest"
    return "note in the journal how the host had the device"


def _recorded(host: Host, step: Step) -> bool:
    return step.device is not None and get_entry(host, step.device) == step.entry


KINDS.update(
    {
        "load-module": Kind(
            path=lambda step: f"/sys/module/{step.value}",
            written=value,
            text=lambda step: f"load kernel module {step.value}",
            run=lambda host, step: load_module(host, step.value),
            holds=lambda host, step: step.value in read_loaded(host),
            hint="Module zkvm.vfio_ccw.kernel_support lists what the kernel has",
        ),
        "record": Kind(
            path=lambda step: JOURNAL_FILE,
            written=lambda step: _NOTED[step.entry.was_online] if step.entry else "",
            text=_note,
            run=_put,
            holds=_recorded,
            hint="Check that /var/lib/vfio_ccw can be written",
        ),
    }
)


def record(device: BusId, entry: JournalEntry | None, before: JournalEntry | None) -> Step:
    return paired(Step("record", device, str(device), entry=entry), Step("record", device, str(device), entry=before))


def load(name: str) -> Step:
    """Loading has no inverse: a loaded module disturbs nobody, and others may have begun to use it."""
    return Step("load-module", None, name, name)

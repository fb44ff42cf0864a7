# SPDX-License-Identifier: GPL-3.0-or-later
"""The page on refusals: a section for each id of the table in the code, with what to do."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from ansible_collections.zkvm.vfio_ccw.plugins.module_utils import _errors as errors
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BusId, GuestDevno
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.host._model import (
    AtBoot,
    CcwDevice,
    HostState,
    JournalEntry,
    Mdev,
    Request,
    Special,
    StaleRule,
    Subchannel,
)
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals import _table as table
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._case import Case
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._row import RowOf
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._rows_guest import SeenMdev
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._rows_libvirt import LibvirtCase
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._rows_nodedev import NodeCase

HEAD = """\
<!-- Made by docs/refusal_page.py from plugins/module_utils/refusals/_table.py. Do not edit. -->
# What is refused

The kernel refuses almost nothing: it unbinds a mounted disk. So `zkvm.vfio_ccw.passthrough` looks first. The whole list
of devices is checked before anything is written, and every reason found is in one message: device, what was found,
the id in brackets, what to do next.

Look your error's id up here. A refusal that can be overruled is overruled by naming its id in `force` of that one
device; there is no blanket.

## Of a device

These guard `state: present` (the device goes to a guest), `absent` (it comes back), or both.
"""
LIST_HEAD = """
## Of the list itself

| id | what to do |
|---|---|
"""
RUN_HEAD = """
## Of a run

Every module that fails returns `error_id`: one of these, or (see below) what is wrong with a disk where it is used. A
selection (`select`) that is no expression, or finds nothing, is `bad-selection`.

| id | what it says |
|---|---|
"""
DISK_HEAD = """

## Of a disk where it is used

In a guest, or on a host: `zkvm.vfio_ccw.ccw_device`, `zkvm.vfio_ccw.dasd_format` and `zkvm.vfio_ccw.dasd_mount` return
these ([a disk inside the guest](guest-disk.md)).

| id | what it says |
|---|---|
"""
GUEST_HEAD = """
## Of a guest

`zkvm.vfio_ccw.libvirt_guest` and `zkvm.vfio_ccw.libvirt_hostdev` refuse all of these, `zkvm.vfio_ccw.qemu_guest` those
marked so; before anything is changed or started, and without a way to overrule them. What cannot be a guest at all (its
name, two devices with one device number, a device number that does not exist) is refused by all three, as is a QEMU
that is too old for what is asked ([QEMU by version](qemu.md), [libvirt](libvirt.md)).
"""

NODE_HEAD = """
## Of a node device of libvirt

`zkvm.vfio_ccw.libvirt_nodedev` refuses these.
"""

DEVICE, OTHER, SUBCHANNEL = BusId.parse("0.0.7e52"), BusId.parse("0.0.7e53"), BusId.parse("0.0.16ca")
UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
OTHERS_UUID = "1dfd3ec5-e8b3-4e18-a6fe-57bc9eceb921"


def _sample() -> Case:
    """A device of which everything can be said that a row's advice speaks of."""
    mdev = Mdev(OTHERS_UUID, SUBCHANNEL, "vfio_mdev", "1", True)
    place = Subchannel(
        SUBCHANNEL,
        driver="vfio_ccw",
        devno=DEVICE,
        device=CcwDevice(DEVICE, "dasd-eckd", True, "3990/e9", "3390/0c"),
        mdevs=(mdev,),
        kept_mdevs=(OTHERS_UUID,),
    )
    state = HostState(
        by_device={DEVICE: place},
        subchannels={SUBCHANNEL: place},
        mdevs={UUID: Mdev(UUID, SUBCHANNEL)},
        special={DEVICE: Special("boot", "")},
        journal={DEVICE: JournalEntry(DEVICE, SUBCHANNEL, OTHERS_UUID, "linux02")},
        left_behind={DEVICE: Subchannel(SUBCHANNEL, driver="vfio_ccw", devno=OTHER)},
        aliases={DEVICE: (BusId.parse("0.0.7eff"),)},
        at_boot={
            DEVICE: (
                AtBoot("rule", "/etc/udev/rules.d/41-dasd-eckd-0.0.7e52.rules"),
                AtBoot("parameter", "/etc/zipl.conf", "rd.dasd=0.0.7e52"),
            )
        },
        stale_rule=StaleRule("/usr/lib/udev/rules.d/60-mdevctl.rules", "/usr/sbin/mdevctl", "corrected"),
    )
    return Case(Request(DEVICE, UUID, GuestDevno.parse("fe.0.7e52"), "linux01"), state)


def _libvirt_sample() -> LibvirtCase:
    return LibvirtCase(UUID, SeenMdev(True, "1", True), domain="linux01")


def refusals() -> str:
    """The page on refusals."""
    own = [f"| `{name}` | {text} |" for name, text in table.LIST_REFUSALS.items()]
    return "\n".join(
        [
            HEAD,
            "\n".join(_sections(table.ROWS, _sample(), _overruled)),
            LIST_HEAD + "\n".join(own),
            RUN_HEAD
            + "\n".join(f"| `{name}` | {meaning} |" for name, _holds, meaning in errors.ERRORS)
            + DISK_HEAD
            + "\n".join(f"| `{name}` | {meaning} |" for name, meaning in errors.DISK_ERRORS.items()),
            GUEST_HEAD,
            "\n".join(_sections(table.LIBVIRT_ROWS, _libvirt_sample(), _asked_by_qemu)),
            NODE_HEAD,
            "\n".join(_sections(table.NODE_ROWS, NodeCase(DEVICE, UUID, subchannel=SUBCHANNEL), _no_note)),
        ]
    )


def _sections(rows: Iterable[RowOf[Any]], sample: Any, note: Any) -> list[str]:
    """A section for each id; rows of one id are together in it."""
    ordered = sorted(rows, key=lambda row: row.id)
    return [
        "\n".join([f"### `{name}`\n", *(_paragraph(row, sample, note) for row in alike)])
        for name, alike in groupby(ordered, key=lambda row: row.id)
    ]


def _paragraph(row: RowOf[Any], sample: Any, note: Any) -> str:
    guards = " and ".join(name for name, holds in (("present", row.present), ("absent", row.absent)) if holds)
    return f"{row.when}. (`{guards}`{note(row)})\n\n**What to do:** {row.next_step(sample)}.\n".replace(
        "`present and absent`", "`present` and `absent`"
    )


def _overruled(row: RowOf[Any]) -> str:
    return f"; `force: [{row.id}]` overrules it" if row.forcible else ""


def _no_note(row: RowOf[Any]) -> str:
    return ""


def _asked_by_qemu(row: RowOf[Any]) -> str:
    return "; `qemu_guest` as well" if row in table.GUEST_ROWS else ""

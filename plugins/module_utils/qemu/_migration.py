# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a guest can be saved by one QEMU and restored by another: predicted, with the errors QEMU would print.

The rules are those of QEMU's wiki page "Features/Channel I/O Passthrough" (its cases T1 to T8 are ``CASES``; what
they have in common is ``predict``) and of migration/savevm.c. Pure functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._busid import GuestDevno
from .._releases import NotPossible
from ._ccwlayout import CcwConfig, CcwDevice, Layout, layout
from ._versions import (
    FREE,
    MACHINE,
    SQUASH_GONE,
    QemuVersion,
    full_machine,
    machine_version,
)

PROGRAM = "qemu-system-s390x"
CSS_MISMATCH = (
    "vmstate: get_nullptr expected VMS_NULLPTR_MARKER",
    "Failed to load s390_css:css",
    "error while loading state for instance 0x0 of device 's390_css'",
)
FAILED = "load of migration failed: Invalid argument"
DETACH = (
    "Set the device offline in the guest, take it away from the running guest (QMP device_del, or virsh "
    "detach-device), migrate, and give the guest a device of the other host (device_add, or virsh attach-device)"
)


@dataclass(frozen=True)
class Finding:
    """One reason for which it fails. ``errors``: the lines that QEMU prints, without its name in front."""

    rule: str
    reason: str
    errors: tuple[str, ...]
    cure: str

    def as_dict(self) -> dict[str, Any]:
        lines = [f"{PROGRAM}: {line}" for line in self.errors]
        return {"rule": self.rule, "reason": self.reason, "errors": lines, "cure": self.cure}


RULES = {
    "not-startable": "One of the two QEMUs refuses the command line.",
    "unmigratable": "The guest holds a vfio-ccw device: its state is in the device, no QEMU can save it.",
    "target-unmigratable": "The guest that is to take over holds a vfio-ccw device: it must get it afterwards.",
    "machine-type": "Both sides need the same machine type; without a version in its name it is each QEMU's newest.",
    "css": "A channel subsystem exists on one side only. One that a device made stays when the device is unplugged.",
    "bus-id": "A device has another bus id, or does not exist, on the other side.",
}
"""In the order in which they are met."""


def predict(source: CcwConfig, target: CcwConfig) -> list[Finding]:
    """Everything that stands against it, what is met first first; [] when it succeeds.

    All but the first two rules are judged as if the source's vfio-ccw devices had been unplugged.
    """
    try:
        old, new = layout(source), layout(target)
    except NotPossible as exc:
        return [Finding("not-startable", str(exc), (), "Change the command line as said")]
    findings = [*_unmigratable(old), *_target_unmigratable(new)]
    findings += _machine_type(source, target)
    return findings + _css(source, target, old, new) + _bus_ids(old, new)


def _unmigratable(old: Layout) -> list[Finding]:
    return [
        Finding(
            "unmigratable",
            f"the guest holds the passed-through device {one.devno}",
            (f"State blocked by non-migratable device '{one.section}'",),
            DETACH,
        )
        for one in old.placed
        if one.device.passed
    ]


def _target_unmigratable(new: Layout) -> list[Finding]:
    return [
        Finding(
            "target-unmigratable",
            f"the guest that is to take the state over holds the passed-through device {one.devno}",
            (f"State blocked by non-migratable device '{one.section}'", FAILED),
            "Start it without the device, and attach the device when the migration is done",
        )
        for one in new.placed
        if one.device.passed
    ]


def _machine_type(source: CcwConfig, target: CcwConfig) -> list[Finding]:
    sent, local = full_machine(source.machine, source.qemu), full_machine(target.machine, target.qemu)
    if sent == local:
        return []
    try:
        machine_version(sent, target.qemu)
        cure = f"Start the new guest with -M {sent}"
    except NotPossible:
        cure = f"Start the old guest anew with -M {full_machine(MACHINE, target.qemu)}, which both QEMUs know"
    return [
        Finding(
            "machine-type",
            f"the machine types differ: {sent} and {local}",
            (f"Machine type received is '{sent}' and local is '{local}'", FAILED),
            cure,
        )
    ]


def _css(source: CcwConfig, target: CcwConfig, old: Layout, new: Layout) -> list[Finding]:
    differing = sorted(old.css ^ new.css)
    if not differing:
        return []
    if source.squash != target.squash:
        way = f"with it, too (QEMU before {SQUASH_GONE})" if source.squash else "without it, too"
        cure = (
            "With s390-squash-mcss=on all devices are in css 0, without it in fe: "
            f"start the new guest {way}, or shut the guest down and start it anew there"
        )
    elif source.restricted:
        cure = "Start both with s390-squash-mcss=on, so that there is no channel subsystem but one"
    else:
        cure = "Give every device a devno in channel subsystem fe (devno=fe.S.DDDD)"
    where = "new" if differing[0] in old.css else "old"
    return [
        Finding("css", f"there is no css {differing[0]:x} in the {where} guest", (*CSS_MISMATCH, FAILED), cure),
    ]


def _bus_ids(old: Layout, new: Layout) -> list[Finding]:
    known = {one.section for one in new.placed}
    return [
        Finding(
            "bus-id",
            f"the {one.device.driver} that the old guest has at {one.devno} is not there in the new one",
            (f"Unknown savevm section or instance '{one.section}' 0", FAILED),
            "Give every device, the virtual ones too, an explicit devno, the same on both sides",
        )
        for one in old.placed
        if not one.device.passed and one.section not in known
    ]


# --- the page's cases


@dataclass(frozen=True)
class Case:
    """One of T1 to T8: a guest with a passed-through device, which is unplugged, then saved and restored."""

    id: str
    qemu: QemuVersion
    squash: bool
    explicit: bool
    passed: str
    """The devno of the passed-through device, "" for an automatic one."""
    rule: str
    """The rule on which it fails, "" when it succeeds."""
    text: str
    """A line that QEMU prints, "" for none."""

    @property
    def config(self) -> CcwConfig:
        """The guest; its passed-through device comes before the random number generator of the page's errors."""
        rows = (
            ("virtio-blk-ccw", "fe.0.0000"),
            ("virtio-net-ccw", "fe.0.0001"),
            ("vfio-ccw", self.passed or "fe.0.0002"),
            ("virtio-rng-ccw", "fe.0.0003"),
        )
        devices = [CcwDevice(driver, GuestDevno.parse(devno) if self.explicit else None) for driver, devno in rows]
        return CcwConfig(self.qemu, tuple(devices), self.squash)


_OLD, _NULL = QemuVersion(2, 10), CSS_MISMATCH[0]
_UNKNOWN = "Unknown savevm section or instance '/{}.0.0003/virtio-rng' 0"
CASES = (
    Case("T1", _OLD, False, False, "", "css", _NULL),
    Case("T2", _OLD, False, True, "0.0.1234", "css", _NULL),
    Case("T3", _OLD, True, False, "", "bus-id", _UNKNOWN.format("00")),
    Case("T4", _OLD, True, True, "0.0.1234", "", ""),
    Case("T5", FREE, False, False, "", "bus-id", _UNKNOWN.format("fe")),
    Case("T6", FREE, False, True, "0.0.1234", "css", _NULL),
    Case("T6", FREE, False, True, "fe.0.1234", "", ""),
    Case("T7", FREE, True, False, "", "bus-id", _UNKNOWN.format("00")),
    Case("T8", FREE, True, True, "fe.0.1234", "", ""),
)

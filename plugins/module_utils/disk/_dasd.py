# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on a DASD: layout and volume label, partitions, what blkid recognises. Nothing here changes anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .._busid import BusId
from .._host import Host, HostError
from .._sysfs import CCW_DEVICES
from ..host._blocks import Blocks
from ..host._buses import observe_ccw
from ..host._model import BlockDevice
from ..host._users import observe_uses
from ._ccw import CcwError, as_dict

EBCDIC = "cp037"
LABEL_BLOCK = 2
"""Where the volume label is, on CDL disks (block 2 is record 3 of track 0) and on LDL ones (block/partitions/ibm.c)."""
LAYOUTS = {"VOL1": "CDL", "LNX1": "LDL", "CMS1": "CMS"}
SECTOR = 512
BLKID_NOTHING = 2
"""blkid's exit code for a device on which it recognises nothing (blkid(8))."""


@dataclass(frozen=True)
class Signature:
    """Something that blkid recognises on a disk or partition."""

    path: str
    type: str
    label: str = ""
    uuid: str = ""
    usage: str = ""
    """What it is for: filesystem, raid, crypto, other (libblkid's USAGE); "" where that is not known."""

    def __str__(self) -> str:
        return f"{self.type}{f' {self.label!r}' if self.label else ''} on {self.path}"


@dataclass(frozen=True)
class Content:
    """A DASD that is online and what is on it. ``layout``: CDL, LDL, CMS; "" where there is no label of these."""

    device: BusId
    disk: BlockDevice
    formatted: bool
    block_size: int = 0
    layout: str = ""
    volser: str = ""
    signatures: tuple[Signature, ...] = ()
    size: int = 0
    uses: tuple[str, ...] = ()
    """Who uses it, for people; known only of one that was observed."""

    def on(self, path: str) -> Signature | None:
        return next((one for one in self.signatures if one.path == path), None)

    def __str__(self) -> str:
        """For people: all that somebody might miss."""
        if not self.formatted:
            return "it is not formatted for Linux (what another system wrote on it cannot be seen)"
        parts = [f"it is formatted ({self.layout or 'no volume label'}, blocks of {self.block_size} bytes)"]
        if self.volser:
            parts.append(f"its volume serial is {self.volser}")
        parts += [f"it has the partition {one.path}" for one in self.disk.partitions]
        parts += [f"there is {one}" for one in self.signatures]
        if not self.signatures:
            parts.append("nothing on it is recognised (a data set of z/OS would not be)")
        return ", ".join(parts)


def observe_content(host: Host, device: BusId) -> Content:
    """Raises CcwError for one that is not there, offline, without a disk, or no ECKD DASD."""
    if not host.exists(f"{CCW_DEVICES}/{device}/online"):
        raise CcwError("not-found", f"{device}: no such CCW device. Compare with lscss.")
    ccw = observe_ccw(host, device, Blocks(host), observe_uses(host))
    if ccw.alias:
        raise CcwError(
            "alias", f"{device}: it is an alias of the disk {ccw.uid} and has none of its own. Name that disk."
        )
    if not ccw.online or not ccw.block:
        raise CcwError(
            "offline", f"{device}: the disk is offline. Set it online first: module zkvm.vfio_ccw.ccw_device."
        )
    discipline = host.get(f"{CCW_DEVICES}/{device}/discipline")
    if discipline != "ECKD":
        raise CcwError(
            "no-eckd",
            f"{device}: the discipline of the disk is {discipline or 'unknown'}, expected ECKD. A disk of fixed blocks "
            "(FBA) has no low-level format: make its partition and file system as on any other disk.",
        )
    if ccw.availability != "good":
        raise CcwError(
            "not-available",
            f"{device}: the kernel says of the device: {ccw.availability}, expected good. See to its paths and its "
            "reservation (lscss, dmesg), or have the host give it back. Nothing was changed.",
        )
    return replace(read_content(host, device, ccw.block[0]), uses=tuple(use.detail for use in ccw.users))


def read_content(host: Host, device: BusId, disk: BlockDevice) -> Content:
    """What is on the disk now. Raises CcwError, HostError."""
    size = int(host.get(f"/sys/block/{disk.name}/size") or "0") * SECTOR
    if not size or host.get(f"{CCW_DEVICES}/{device}/status") == "unformatted":
        return Content(device, disk, formatted=False)
    block_size = int(host.get(f"/sys/block/{disk.name}/queue/logical_block_size") or "4096")
    layout, volser = parse_label(host.read_at(disk.path, LABEL_BLOCK * block_size, block_size))
    found = (probe(host, one.path) for one in disk.with_partitions())
    return Content(device, disk, True, block_size, layout, volser, tuple(one for one in found if one is not None), size)


def parse_label(block: bytes) -> tuple[str, str]:
    """Layout and volume serial of a label block: VOL1 has its key before it on CDL disks (include/uapi/asm/vtoc.h)."""
    text = block[:84].decode(EBCDIC, "replace")
    layout = LAYOUTS.get(text[:4], "")
    start = 8 if layout == "CDL" and text[4:8] == "VOL1" else 4
    return layout, text[start : start + 6].strip() if layout else ""


def probe(host: Host, path: str) -> Signature | None:
    """What blkid recognises, None for nothing. Raises CcwError where it cannot be asked."""
    try:
        code, out, err = host.run(["blkid", "-p", "-o", "export", path])
    except HostError as exc:
        raise CcwError(
            "missing-program", f"{path}: what is on it cannot be seen, {exc}. Install the package util-linux."
        ) from exc
    if code == BLKID_NOTHING:
        return None
    values = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    kind = values.get("TYPE") or (f"partition table {values['PTTYPE']}" if "PTTYPE" in values else "")
    if code or not kind:
        # blkid sees several things at once (its exit code 8), or failed: there is something, whatever it is
        return Signature(path, f"something that blkid cannot tell ({' '.join((err or out).split()) or code})")
    return Signature(path, kind, values.get("LABEL", ""), values.get("UUID", ""), values.get("USAGE", ""))


def as_result(host: Host, content: Content) -> dict[str, Any]:
    """For a return value."""
    first = content.disk.partitions[0].path if content.disk.partitions else ""
    on_first = content.on(first)
    return {
        "device": str(content.device),
        "disk": as_dict(host, content.disk),
        "layout": content.layout,
        "volser": content.volser,
        "partition": first,
        "filesystem": on_first.type if on_first else "",
        "label": on_first.label if on_first else "",
        "uuid": on_first.uuid if on_first else "",
    }

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody needs to know of a host to build another one like it: one value, read and nothing changed.

Taken are the channel subsystem, what the disks are used for, and the files that decide what becomes of channel devices
at boot. Of files that may hold more than that, only the part that concerns channel devices goes along.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._host import Host, HostError
from .._sysfs import CCW_DEVICES, DRIVERCTL_DIRECTORY, MDEVCTL_DIRECTORY, bus_id_or_none
from ..host._at_boot import find_parameters, find_rules
from ..host._claims import CRYPTTAB, FSTAB, UNITS
from ..host._journal import JOURNAL_FILE
from ..host._kernel import observe_kernel, read_loaded
from ..host._observe import MACHINE_ID
from ..host._users import parse_mountinfo, unescape
from ..qemu._guest import GuestError, hypervisor
from ..qemu._qemu import Guest
from ._export_guests import Guests
from ._info import css_info

FORMAT = 1
"""Of the document; another number when a key is meant differently."""
LARGEST = 1 << 20
"""Bytes of a file that goes along."""
_NAMES_A_DISK = re.compile(r"\s*(What|Where)\s*=")
ABOUT_CHANNELS = ("dasd", "vfio", "mdev", "ccw")
"""What a file of /etc/modprobe.d has to name, to be of use."""


class ExportError(Exception):
    """A host that cannot be told of; the text says why and what to do."""


@dataclass
class Taken:
    """Files that go along, and what does not (what → why)."""

    host: Host
    files: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)

    def leave(self, what: str, why: str) -> None:
        self.left_out.append({"what": what, "why": why})

    def take_if_there(self, path: str, change: Callable[[str], str] | None = None) -> None:
        if self.host.exists(path):
            self.take(path, change)

    def take(self, path: str, change: Callable[[str], str] | None = None) -> None:
        """``change``: from the file's text to what of it goes along."""
        try:
            text = self.host.read(path)
        except HostError as exc:
            return self.leave(path, str(exc))
        if len(text) > LARGEST:
            return self.leave(path, f"it has {len(text)} bytes, at most {LARGEST} go along")
        if not text.isascii() and any("\udc80" <= letter <= "\udcff" for letter in text):
            return self.leave(path, "it is no text in UTF-8")
        shown = text if change is None else change(text)
        if shown != text:
            self.leave(path, "parts of it that may be secret, or concern no channel devices, are taken out")
        self.files.append({"path": path, "text": shown, "mode": f"{self.host.mode(path):04o}"})
        return None


def export(host: Host) -> dict[str, Any]:
    """The module's result. Raises ExportError, and what css_info raises."""
    if not host.is_root():
        raise ExportError(
            "only root sees all that another host like this one needs; run the task as root (become: true)"
        )
    css = css_info(host, [])
    taken = Taken(host)
    _take_files(host, taken)
    guests = Guests(host, taken)
    return {
        "changed": False,
        "export": {
            "format": FORMAT,
            "host": host.get("/proc/sys/kernel/hostname"),
            "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine_id": host.get(MACHINE_ID),
            "kernel": _kernel(host),
            "qemu": _qemu(host, taken),
            "kvm": host.exists("/dev/kvm"),
            "channel_paths": css["channel_paths"],
            "ignored": css["ignored"],
            "subchannels": _subchannels(host, css["subchannels"]),
            "guests": guests.found,
            "files": taken.files,
            "left_out": taken.left_out,
        },
    }


def _kernel(host: Host) -> dict[str, Any]:
    """``parameters`` are those of the next boot that concern channel devices, and no others."""
    support = observe_kernel(host)
    return {
        "release": support.release,
        "config": {option.name: option.value for option in support.options if option.value},
        "modules": sorted(read_loaded(host)),
        "driver": support.has_driver,
        "parameters": [{"source": one.source, "name": one.name, "value": one.value} for one in find_parameters(host)],
    }


def _qemu(host: Host, taken: Taken) -> str:
    try:
        return str(hypervisor(host, Guest.binary).qemu)
    except GuestError as exc:
        taken.leave(Guest.binary, f"its version is not known: {exc}")
        return ""


# --- files


def _take_files(host: Host, taken: Taken) -> None:
    for name in host.names(DRIVERCTL_DIRECTORY):
        if name.startswith("css-"):
            taken.take(f"{DRIVERCTL_DIRECTORY}/{name}")
    for parent in host.names(MDEVCTL_DIRECTORY):
        for uuid in host.names(f"{MDEVCTL_DIRECTORY}/{parent}") if bus_id_or_none(parent) else ():
            taken.take(f"{MDEVCTL_DIRECTORY}/{parent}/{uuid}")
    for path in _module_files(host):
        taken.take(path)
    taken.take_if_there(FSTAB, lambda text: _rows(text, _fstab))
    taken.take_if_there(CRYPTTAB, lambda text: _rows(text, _crypttab))
    for name in host.names(UNITS):
        if name.endswith((".mount", ".swap")):
            taken.take(f"{UNITS}/{name}", _unit)
    for path in sorted({rule.source for rules in find_rules(host).values() for rule in rules}):
        if path.startswith("/etc/"):
            taken.take(path)
        else:
            taken.leave(path, "a rule of a package")
    taken.take_if_there(JOURNAL_FILE)


def _rows(text: str, reduce: Callable[[list[str]], str]) -> str:
    """A table with the columns that name disks and what for: options of a mount may hold a password."""
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return "".join(f"{row}\n" for row in map(reduce, rows) if row)


def _fstab(fields: list[str]) -> str:
    return " ".join([*fields[:3], "defaults", "0", "0"]) if len(fields) >= 3 else ""


def _crypttab(fields: list[str]) -> str:
    return " ".join([*fields[:2], "none"]) if len(fields) >= 2 else ""


def _unit(text: str) -> str:
    kept = [line for line in text.splitlines() if line.startswith(("[Mount]", "[Swap]")) or _NAMES_A_DISK.match(line)]
    return "\n".join(kept) + "\n"


def _module_files(host: Host) -> Iterator[str]:
    if host.get("/etc/modules"):
        yield "/etc/modules"
    for name in host.names("/etc/modules-load.d"):
        if name.endswith(".conf"):
            yield f"/etc/modules-load.d/{name}"
    for name in host.names("/etc/modprobe.d"):
        path = f"/etc/modprobe.d/{name}"
        if name.endswith(".conf") and any(word in host.get(path) for word in ABOUT_CHANNELS):
            yield path


# --- disks


def _subchannels(host: Host, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of css_info; one with a disk has beside it what the host does with that."""
    uses = _uses(host)
    for row in rows:
        blocks = row["ccw"].get("block_devices") or []
        row["ccw"] = {**row["ccw"], **_identity(host, row["device"])} if row["ccw"] else {}
        row["disk"] = _disk(host, blocks[0], uses) if blocks else {}
    return rows


def _identity(host: Host, device: str) -> dict[str, Any]:
    path = f"{CCW_DEVICES}/{device}"
    return {"uid": host.get(f"{path}/uid"), "read_only": host.get(f"{path}/readonly") == "1"}


def _disk(host: Host, block: dict[str, Any], uses: Mapping[str, list[dict[str, str]]]) -> dict[str, Any]:
    """``size`` in bytes; a use names the number of the partition, 0 for the whole disk."""
    name = block["name"]
    members = [(0, name)] + [
        (int(host.get(f"/sys/block/{name}/{part['name']}/partition") or "0"), part["name"])
        for part in block["partitions"]
    ]
    return {
        "size": block["size"],
        "partitions": len(block["partitions"]),
        "uses": [{"partition": number, **use} for number, member in members for use in uses.get(member, ())],
    }


def _uses(host: Host) -> dict[str, list[dict[str, str]]]:
    """Block device → kind (mounted, swap, volume) and name (mount point, "", name of the volume) of each use."""
    found: dict[str, list[dict[str, str]]] = {}

    def add(device: str, kind: str, name: str) -> None:
        use = {"kind": kind, "name": name}
        if use not in found.setdefault(device, []):
            found[device].append(use)

    for _number, source, point in parse_mountinfo(host.get("/proc/self/mountinfo")):
        if source.startswith("/dev/"):
            add(_name(host, source), "mounted", point)
    for line in host.get("/proc/swaps").splitlines()[1:]:
        if line.startswith("/dev/"):
            add(_name(host, unescape(line.split()[0])), "swap", "")
    for volume in host.names("/sys/block"):
        title = host.get(f"/sys/block/{volume}/dm/name") or volume
        for below in host.names(f"/sys/block/{volume}/slaves"):
            add(below, "volume", title)
    return found


def _name(host: Host, source: str) -> str:
    """/dev/disk/by-path/... and the like name the same node."""
    return host.resolve(source).rsplit("/dev/", 1)[-1].replace("/", "!")

# SPDX-License-Identifier: GPL-2.0-or-later
"""A host of a lab's definition from the description of a real one. Pure: what comes out is plain values for YAML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ccwemu.guest.release import KNOWN as QEMUS
from ccwemu.imports import boot, guests
from ccwemu.imports.document import Host, Subchannel
from ccwemu.lab import ranges
from ccwemu.machine.modtable import ROWS
from ccwemu.machine.spec import VIRTIO_KINDS
from ccwemu.namespace.given import GivenFile

TRACK, CYLINDER = 12 * 4096, 15 * 12 * 4096
"""Bytes of blocks that a formatted 3390 holds."""
UNKNOWN_SIZE = 1113
"""Cylinders of a disk that does not say how large it is, since nobody has it online: a 3390 model 1."""
MOST_CYLINDERS = 65520
MODULES = {info.name for info, _ in ROWS}
_GONE = ("boot-device", "dump-device", "opened", "volume-member")
"""Refusals of a real host that one in a lab does not have: what they look at is not there."""
_KINDS = {f"3832/{number:02x}": kind for kind, number in VIRTIO_KINDS.items()}
_OWN = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/tmp", "/usr", "/var")
"""Where a mount would hide what an emulated host needs, ..."""
_FREE = ("/boot/", "/var/")
"""... unless it is deeper: of these, /boot/efi or /var/lib/images."""
_NEEDED = ("/var/lib", "/var/lib/vfio_ccw", "/var/log", "/boot/loader", "/boot/loader/entries")
INSTEAD = "/srv/real-host"
"""Below it is mounted what may not be where it is on the real host."""


@dataclass
class Imported:
    """A host's part of a definition, how much of everything, and what is not as on the real host."""

    host: dict[str, Any] = field(default_factory=dict)
    disks: int = 0
    others: int = 0
    passed: int = 0
    running: list[str] = field(default_factory=list)
    unknown_sizes: list[str] = field(default_factory=list)
    bases: dict[str, str] = field(default_factory=dict)
    """PAV alias → its base device."""
    differences: list[str] = field(default_factory=list)


def define(described: Host) -> Imported:
    made = Imported()
    made.differences.append("contents of disks: the disks are as large, formatted and empty")
    host = made.host
    host["kernel"] = described.release
    qemu = _qemu(described, made)
    if qemu:
        host["qemu"] = qemu
    config = dict(described.config)
    if not described.driver:
        config["CONFIG_VFIO_CCW"] = "n"
    if config:
        host["config"] = config
    host["modules"] = [name for name in described.modules if name in MODULES]
    boot.settings(described, host, made.differences)
    host["files"] = {**_identity(described), **dict(map(_file, described.files)), **boot.files(described)}
    host["commands"] = [*_passed(described, made), *guests.commands(described, made.running, made.differences)]
    made.bases = {alias: sch.device for sch in described.subchannels for alias in sch.aliases}
    host["devices"] = list(_devices(described, made))
    for sch in described.subchannels:
        made.differences += [f"{sch.device}: is not refused for {found}" for id_, found in sch.refusals if id_ in _GONE]
    for span in ranges.spans(made.unknown_sizes):
        made.differences.append(f"{span}: size not known, nobody has it online: {UNKNOWN_SIZE} cylinders")
    made.differences += [f"{what}: {why}" for what, why in described.left_out]
    return made


def _file(file: GivenFile) -> tuple[str, Any]:
    usual = file.mode == GivenFile.mode
    return file.path, file.text if usual else {"text": file.text, "mode": f"{file.mode:o}"}


def _identity(described: Host) -> dict[str, Any]:
    """UUIDs of mediated devices are derived from it."""
    return {"/etc/machine-id": f"{described.machine_id}\n"} if described.machine_id else {}


def _qemu(described: Host, made: Imported) -> str:
    if not described.qemu:
        return ""
    release = ".".join(described.qemu.split(".")[:2])
    if release in QEMUS:
        return release
    made.differences.append(f"QEMU {described.qemu}: the host's is {QEMUS[-1]}, the newest that is known")
    return QEMUS[-1]


# -- passed-through devices -------------------------------------------------------------------------------------------

_BIND = """\
for sch do
  cd "/sys/bus/css/devices/$sch"
  [ "$(basename "$(readlink driver)")" != vfio_ccw ] || continue
  [ ! -e driver_override ] || echo vfio_ccw > driver_override
  [ ! -e driver ] || echo "$sch" > driver/unbind
  echo "$sch" > /sys/bus/css/drivers/vfio_ccw/bind
done
"""
_CREATE = """\
while [ $# -gt 0 ]; do
  [ -e "/sys/bus/mdev/devices/$1" ] || echo "$1" > "/sys/bus/css/devices/$2/mdev_supported_types/vfio_ccw-io/create"
  shift 2
done
"""
_AT_ONCE = 500
"""Devices of one command line."""


def _passed(described: Host, made: Imported) -> Iterator[list[str]]:
    """What was passed through without being kept for the next boot; the boot does the rest by its own files."""
    bound = [sch.busid for sch in described.subchannels if sch.driver == "vfio_ccw" and sch.device]
    pairs = [(mdev, sch.busid) for sch in described.subchannels if sch.driver == "vfio_ccw" for mdev in sch.mdevs]
    made.passed = len(bound)
    if bound:
        yield ["modprobe", "vfio_ccw"]
    for start in range(0, len(bound), _AT_ONCE):
        yield ["sh", "-ec", _BIND, "sh", *bound[start : start + _AT_ONCE]]
    for start in range(0, len(pairs), _AT_ONCE):
        yield ["sh", "-ec", _CREATE, "sh", *(word for pair in pairs[start : start + _AT_ONCE] for word in pair)]


# -- devices ----------------------------------------------------------------------------------------------------------


def _devices(described: Host, made: Imported) -> Iterator[dict[str, Any]]:
    """Entries of a definition's ``devices``, those that follow each other and are alike as one range."""
    run: list[tuple[Subchannel, dict[str, Any]]] = []
    for sch in sorted(described.subchannels, key=lambda one: one.busid):
        entry = _device(sch, made)
        if entry is None:
            continue
        if run and not _continues(run, sch, entry):
            yield _folded(run)
            run = []
        run.append((sch, entry))
    if run:
        yield _folded(run)


def _continues(run: list[tuple[Subchannel, dict[str, Any]]], sch: Subchannel, entry: dict[str, Any]) -> bool:
    last, before = run[-1]
    kind = next(iter(entry))
    if kind not in before or kind not in ("dasd", "other") or "mounted" in entry or "volumes" in entry:
        return False
    alike = {key: value for key, value in entry.items() if key not in (kind, "subchannel")}
    return (
        ranges.follows(last.busid, sch.busid)
        and ranges.follows(last.device, sch.device)
        and alike == {key: value for key, value in before.items() if key not in (kind, "subchannel")}
    )


def _folded(run: list[tuple[Subchannel, dict[str, Any]]]) -> dict[str, Any]:
    entry = dict(run[0][1])
    if len(run) > 1:
        kind = next(iter(entry))
        entry[kind] = f"{run[0][0].device}-{run[-1][0].device}"
    return entry


def _device(sch: Subchannel, made: Imported) -> dict[str, Any] | None:
    if sch.type == "chsc":
        return {"chsc": sch.busid}
    if sch.type != "io" or not sch.device:
        made.differences.append(f"subchannel {sch.busid} of type {sch.type} without a device: is not there")
        return None
    if not sch.pim:
        made.differences.append(f"{sch.device}: is not there: it has no channel path")
        return None
    entry: dict[str, Any] = {}
    if sch.cu in _KINDS:
        entry = {"virtio": sch.device, "subchannel": sch.busid, "kind": _KINDS[sch.cu]}
        if sch.size:
            entry["size"] = sch.size
            made.differences.append(f"{sch.device}: a virtio disk: its content")
    elif _is_dasd(sch):
        made.disks += 1
        entry = _dasd(sch, made)
    else:
        made.others += 1
        entry = _other(sch, made)
    entry["chpids"] = [f"{number:02x}" for number in _installed(sch)]
    installed = 0xFF00 >> len(entry["chpids"]) & 0xFF
    for key, value, default in (("pim", sch.pim, installed), ("pam", sch.pam, installed), ("pom", sch.pom, 0xFF)):
        if value != default:
            entry[key] = f"{value:02x}"
    return entry


def _installed(sch: Subchannel) -> list[int]:
    """The channel paths by their place; a description names only those that are not 0."""
    left = list(sch.chpids)
    last = 8 - (sch.pim & -sch.pim).bit_length() + 1
    return [left.pop(0) if sch.pim & 0x80 >> place and left else 0 for place in range(last)]


def _is_dasd(sch: Subchannel) -> bool:
    """One that vfio_ccw has does not say what it is."""
    if sch.dev:
        return sch.dev.startswith("3390/")
    return sch.driver == "vfio_ccw"


def _other(sch: Subchannel, made: Imported) -> dict[str, Any]:
    """It says what it is, and does nothing."""
    entry: dict[str, Any] = {"other": sch.device, "subchannel": sch.busid}
    for key, value in (("cu", sch.cu), ("dev", sch.dev)):
        kind, _, model = value.partition("/")
        if model and kind != "n":
            entry |= {f"{key}_type": kind, f"{key}_model": model}
    if "cu_type" not in entry:
        entry = {"empty": sch.device, "subchannel": sch.busid}
    if sch.cu.startswith(("1731/", "1732/")):
        entry["qdio"] = True
    made.differences.append(f"{sch.device}: no DASD ({sch.cu or 'unknown'}): it only says what it is")
    return entry


def _dasd(sch: Subchannel, made: Imported) -> dict[str, Any]:
    entry: dict[str, Any] = {"dasd": sch.device, "subchannel": sch.busid, "cylinders": UNKNOWN_SIZE}
    if sch.size:
        entry["cylinders"] = min(-(-sch.size // CYLINDER), MOST_CYLINDERS)
    elif not sch.alias:
        made.unknown_sizes.append(sch.device)
    entry |= _identity_of(sch)
    if any(id_ == "reserved" for id_, _ in sch.refusals):
        entry["reserved"] = True
    if sch.alias:
        return {**entry, "alias_of": made.bases.get(sch.device, "any"), "online": sch.online}
    if sch.read_only:
        entry["read_only"] = True
    if sch.online:
        entry["online"] = True
        entry["layout"] = _layout(sch)
        entry |= _uses(sch, made)
    return entry


def _layout(sch: Subchannel) -> str:
    if not sch.size:
        return "unformatted"
    return "cdl" if sch.partitions else "ldl"


def _identity_of(sch: Subchannel) -> dict[str, Any]:
    """Models, and of a uid such as IBM.750000000ABC01.7e00.52 serial number, subsystem and unit address."""
    found: dict[str, Any] = {}
    for key, value, default in (("cu_model", sch.cu, "e9"), ("dev_model", sch.dev, "0c")):
        model = value.partition("/")[2]
        if model and model != default and value != "n/a":
            found[key] = model
    parts = sch.uid.split(".")
    if len(parts) >= 4:
        serial, system, unit = parts[1:4]
        if serial.isascii() and serial.isalnum() and serial.isupper() and len(serial) in (12, 14):
            found["serial"] = serial
        if _hexadecimal(system, 4):
            found["ssid"] = system
        if _hexadecimal(unit, 2) and int(unit, 16) != int(sch.device[-2:], 16):
            found["unit_address"] = unit
    return found


def _hexadecimal(text: str, length: int) -> bool:
    return len(text) == length and all(letter in "0123456789abcdef" for letter in text)


def _uses(sch: Subchannel, made: Imported) -> dict[str, Any]:
    found: dict[str, Any] = {}
    wanted = 1 if sch.partitions else 0
    for use in sch.uses:
        if use.partition != wanted:
            made.differences.append(f"{sch.device}: what uses its partition {use.partition} uses the first one")
        if use.kind == "swap" and any(other.kind == "mounted" for other in sch.uses):
            made.differences.append(f"{sch.device}: the swap area beside what is mounted of it")
        elif use.kind == "swap":
            found["swap"] = True
        elif use.kind == "volume":
            found.setdefault("volumes", []).append(_volume(sch, use.name, made))
        elif "mounted" in found:
            made.differences.append(f"{sch.device}: the mount at {use.name}, one of several")
        else:
            found["mounted"] = _place(use.name)
            if found["mounted"] != use.name:
                made.differences.append(f"{sch.device}: the mount at {use.name} is at {found['mounted']}")
    return found


def _place(target: str) -> str:
    own = target == "/" or target in _NEEDED or any(target == top or target.startswith(f"{top}/") for top in _OWN)
    if own and (target in _NEEDED or not target.startswith(_FREE)):
        return INSTEAD + target.rstrip("/")
    return target


def _volume(sch: Subchannel, name: str, made: Imported) -> str:
    """A name as device mapper has it; another character becomes a hyphen."""
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_.+-") else "-" for letter in name)
    if plain != name:
        made.differences.append(f"{sch.device}: volume {name!r} is called {plain}")
    return plain

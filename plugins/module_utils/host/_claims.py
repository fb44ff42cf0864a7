# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who lays claim to a disk that nobody uses at the moment: volumes by their labels on it, the host's configuration.

A volume group that is not active, an array that is not assembled, a file system that /etc/fstab mounts later: /sys and
/proc show nothing of them. The disk itself is read, and the files that name disks are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from .._busid import BusId
from .._host import READ_TIMEOUT, Host, HostError, StillBlocked
from .._sysfs import bus_id_or_none
from ._contents import Contents, identify_file
from ._model import BlockDevice, CcwDevice, Use
from ._users import unescape

FSTAB, CRYPTTAB, UNITS = "/etc/fstab", "/etc/crypttab", "/etc/systemd/system"
TAGS = {"UUID": "by-uuid", "LABEL": "by-label", "PARTUUID": "by-partuuid", "PARTLABEL": "by-partlabel"}
"""What a file may name a disk by, and the directory of /dev/disk in which udev has the links."""

_BY_PATH = re.compile(r"/dev/disk/by-path/ccw-(0\.[0-3]\.[0-9a-f]{4})(?:-part\d+)?")
_UNIT_WHAT = re.compile(r"^\s*What\s*=\s*(\S.*?)\s*$", re.MULTILINE)

MAY_BLOCK = 2
"""Disks that do not answer, after which no other is read: each takes its time."""

OFFLINE = "it is offline"
NO_PATH = "it does not answer"


@dataclass(frozen=True)
class Mention:
    """A place in the host's configuration that names a disk. ``kind`` is that of the Use which comes of it."""

    kind: str
    source: str
    spec: str
    target: str

    @property
    def use(self) -> Use:
        return Use(self.kind, f"{self.source} names it ({self.spec}) for {self.target}")


# --- the files


def find_mentions(host: Host) -> list[Mention]:
    """What fstab, crypttab and the administrator's systemd units name."""
    found = [_of_fstab(fields) for fields in _lines(host.get(FSTAB)) if len(fields) >= 3]
    found += [
        Mention("crypttab", CRYPTTAB, fields[1], f"the encrypted volume {fields[0]}")
        for fields in _lines(host.get(CRYPTTAB))
        if len(fields) >= 2
    ]
    for name in host.names(UNITS):
        if name.endswith((".mount", ".swap")):
            found += _of_unit(f"{UNITS}/{name}", host.get(f"{UNITS}/{name}"))
    return [one for one in found if one.spec.startswith("/dev/") or one.spec.split("=")[0] in TAGS]


def _lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if not line.lstrip().startswith("#")]


def _of_fstab(fields: list[str]) -> Mention:
    spec, target, kind = _spec(unescape(fields[0])), unescape(fields[1]), fields[2]
    return Mention("fstab-swap", FSTAB, spec, "swap") if kind == "swap" else Mention("fstab", FSTAB, spec, target)


def _of_unit(path: str, text: str) -> list[Mention]:
    kind, target = ("fstab-swap", "swap") if path.endswith(".swap") else ("fstab", "a mount")
    return [Mention(kind, path, _spec(what), target) for what in _UNIT_WHAT.findall(text)]


def _spec(text: str) -> str:
    """Without the quotation marks that fstab(5) allows in UUID="..."."""
    return text.replace('"', "")


# --- the disks


@dataclass
class Claims:
    """``claims``: device to who lays claim to it. ``unread``: device to why nobody looked at what is on it."""

    claims: dict[BusId, tuple[Use, ...]] = field(default_factory=dict)
    unread: dict[BusId, str] = field(default_factory=dict)


def find_claims(host: Host, disks: Iterable[CcwDevice]) -> Claims:
    """For disks that the host has. One in use is left out: its use says it. Raises HostError."""
    mentions, found, blocked = _Mentions(host, find_mentions(host)), Claims(), 0
    for disk in disks:
        if not disk.is_dasd or disk.users:
            continue
        contents: dict[str, Contents] = {}
        why = _unreadable(disk) or ("others before it did not answer" if blocked >= MAY_BLOCK else "")
        if not why:
            try:
                contents = read_contents(host, disk)
            except HostError as exc:
                blocked += isinstance(exc, StillBlocked)
                why = f"it could not be read: {exc}"
        if why:
            found.unread[disk.busid] = why
        uses = [_member(name, one) for name, one in contents.items() if one.volume] + mentions.of(disk, contents)
        if uses:
            found.claims[disk.busid] = tuple(dict.fromkeys(uses))
    return found


def _unreadable(disk: CcwDevice) -> str:
    """Why reading is not tried. Reading a disk without a path waits for one, for ever."""
    if not disk.online:
        return OFFLINE
    return "" if disk.availability == "good" else NO_PATH


def read_contents(host: Host, disk: CcwDevice) -> dict[str, Contents]:
    """What is on a disk's partitions, or on a disk that has none, by name. Raises HostError."""
    found = {}
    for device in (one for whole in disk.block for one in whole.partitions or (whole,)):
        answer = json.loads(host.ask_bounded(identify_file, device.path, READ_TIMEOUT))
        if answer is not None:
            found[device.name] = Contents(**answer)
    return found


def _member(name: str, contents: Contents) -> Use:
    return Use("member", f"{name} belongs to {contents.volume} ({contents.type})")


class _Mentions:
    """The places that name disks, by what they name: a path, a device number, a tag."""

    def __init__(self, host: Host, mentions: list[Mention]) -> None:
        self._by_path: dict[str, list[Mention]] = {}
        self._by_number: dict[BusId, list[Mention]] = {}
        self._by_tag: dict[tuple[str, str], list[Mention]] = {}
        for one in mentions:
            tag, equals, name = one.spec.partition("=")
            path = f"/dev/disk/{TAGS[tag]}/{name}" if equals and tag in TAGS else one.spec
            self._by_path.setdefault(host.resolve(path), []).append(one)
            named = _BY_PATH.fullmatch(path)
            busid = bus_id_or_none(named.group(1)) if named else None
            if busid is not None:
                self._by_number.setdefault(busid, []).append(one)
            directory, _slash, last = path.rpartition("/")
            for known, place in TAGS.items():
                if directory == f"/dev/disk/{place}":
                    value = (
                        last.lower() if known == "UUID" else last
                    )  # the kernel writes UUIDs small, people as they like
                    self._by_tag.setdefault((known, value), []).append(one)

    def of(self, disk: CcwDevice, contents: dict[str, Contents]) -> list[Use]:
        """By the disk's number, its nodes, and the labels on it (for what udev has no links of)."""
        found = list(self._by_number.get(disk.busid, []))
        devices: list[BlockDevice] = [one for whole in disk.block for one in whole.with_partitions()]
        for device in devices:
            found += self._by_path.get(device.path, [])
        for one in contents.values():
            found += self._by_tag.get(("UUID", one.uuid.lower()), []) if one.uuid else []
            found += self._by_tag.get(("LABEL", one.label), []) if one.label else []
        return [one.use for one in dict.fromkeys(found)]

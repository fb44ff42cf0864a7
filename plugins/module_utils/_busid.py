# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of things on the channel subsystem, parsed once at the edge.

Two notations exist. The kernel's ``0.S.DDDD`` (drivers/s390/cio/device_id.c prints ``"0.%x.%04x"``: S is the subchannel
set id 0-3, DDDD a device number or a subchannel number) and QEMU's ``CC.S.DDDD`` (hw/s390x/css.c: CC is the channel
subsystem id 0-fe). A guest's Linux sees QEMU's channel subsystem fe as its only one and prints it as ``0``.
"""

from __future__ import annotations

import re
import uuid as uuidlib
from collections.abc import Iterable
from dataclasses import dataclass

_BUS_ID = re.compile(r"^([0-9a-fA-F]{1,2})\.([0-9a-fA-F])\.([0-9a-fA-F]{4})$")
_UUID = re.compile(r"^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")

MAX_SSID = 3
MAX_CSSID = 0xFE
GUEST_CSSID = 0xFE
"""The channel subsystem that a Linux guest sees."""

# Seeds the UUIDs that nobody chose: the same device gets the same one on every run.
_UUID_SPACE = uuidlib.uuid5(uuidlib.NAMESPACE_URL, "https://github.com/zkvm/vfio_ccw#mdev")


class BadName(ValueError):
    """A text that names nothing. ``found`` is the text, ``expected`` says what it should look like."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"{found!r}: expected {expected}")
        self.found = found
        self.expected = expected


@dataclass(frozen=True, order=True)
class BusId:
    """A device or subchannel of the running Linux, ``0.S.DDDD``."""

    ssid: int
    number: int

    @classmethod
    def parse(cls, text: str) -> BusId:
        """From ``0.S.DDDD``, any case, surrounding blanks ignored. Raises BadName."""
        match = _BUS_ID.match(str(text).strip())
        if match is None or int(match.group(1), 16) != 0 or int(match.group(2), 16) > MAX_SSID:
            raise BadName(str(text), "a bus id 0.S.DDDD: S is 0 to 3, DDDD four hexadecimal digits, as in 0.0.7e52")
        return cls(int(match.group(2), 16), int(match.group(3), 16))

    def __str__(self) -> str:
        return f"0.{self.ssid:x}.{self.number:04x}"


@dataclass(frozen=True, order=True)
class GuestDevno:
    """Where a guest sees a device, in QEMU's notation ``CC.S.DDDD``."""

    cssid: int
    ssid: int
    number: int

    @classmethod
    def parse(cls, text: str) -> GuestDevno:
        """From ``CC.S.DDDD``, as QEMU's property devno takes it. Raises BadName."""
        match = _BUS_ID.match(str(text).strip())
        if match is None or int(match.group(1), 16) > MAX_CSSID or int(match.group(2), 16) > MAX_SSID:
            raise BadName(
                str(text),
                "a guest device number CC.S.DDDD: CC is 0 to fe, S is 0 to 3, DDDD four hexadecimal digits, as in "
                "fe.0.1234",
            )
        return cls(int(match.group(1), 16), int(match.group(2), 16), int(match.group(3), 16))

    @classmethod
    def like(cls, device: BusId) -> GuestDevno:
        """The one that shows a guest's Linux the same bus id as the host's."""
        return cls(GUEST_CSSID, device.ssid, device.number)

    @property
    def visible(self) -> bool:
        """Whether a Linux guest sees it at all: it knows one channel subsystem only."""
        return self.cssid == GUEST_CSSID

    @property
    def guest_busid(self) -> BusId:
        """The bus id in the guest."""
        return BusId(self.ssid, self.number)

    def __str__(self) -> str:
        return f"{self.cssid:02x}.{self.ssid:x}.{self.number:04x}"


def parse_uuid(text: str) -> str:
    """A mediated device's UUID as the kernel names the directory: lower case. Raises BadName."""
    stripped = str(text).strip()
    if _UUID.match(stripped) is None:
        raise BadName(str(text), "a UUID of 8-4-4-4-12 hexadecimal digits, as uuidgen prints it")
    return stripped.lower()


def default_uuid(device: BusId, host_id: str = "") -> str:
    """The UUID for a device for which none was chosen: version 5, from the host's identity and the bus id."""
    return str(uuidlib.uuid5(_UUID_SPACE, f"{host_id}/{device}" if host_id else str(device)))


def spans(devices: Iterable[BusId]) -> list[str]:
    """Devices as people write many of them: those that follow each other as a range, 0.0.8000-0.0.80ff."""
    found: list[list[BusId]] = []
    for device in sorted(set(devices)):
        if found and device == BusId(found[-1][1].ssid, found[-1][1].number + 1):
            found[-1][1] = device
        else:
            found.append([device, device])
    return [str(first) if first == last else f"{first}-{last}" for first, last in found]

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read out of a QEMU command line what decides where a guest's channel devices are. Pure functions.

Sources: QEMU's util/keyval.c (commas), hw/s390x/s390-virtio-ccw.c (the default network card), system/vl.c (the order
in which devices come into being: network cards, -device, then drives).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from .._busid import BadName, GuestDevno
from .._releases import NotPossible
from ._ccwlayout import CcwConfig, CcwDevice
from ._versions import (
    MACHINE,
    QemuVersion,
)

_NETWORK = ("-net", "-nic", "-netdev")
_HIDDEN = (
    "sclpconsole", "sclplmconsole", "virtconsole", "virtserialport", "scsi-hd", "scsi-cd", "scsi-disk", "scsi-generic",
    "scsi-block", "diag288", "vmcoreinfo", "vfio-ap", "vfio-pci", "zpci", "virtual-css-bridge",
)  # fmt: skip
"""Models that are no channel devices."""


def properties(text: str, implied: str) -> dict[str, str]:
    """``driver,key=value``: a doubled comma is one in a value; ``implied`` is the key of a first part without one.

    JSON, as libvirt writes it, is taken too. Raises NotPossible.
    """
    if text.startswith("{"):
        return _json(text)
    found: dict[str, str] = {}
    for position, part in enumerate(text.replace(",,", "\0").split(",")):
        key, equals, value = part.replace("\0", ",").partition("=")
        if equals:
            found[key] = value
        elif position == 0:
            found[implied] = key
        elif key:
            found[key] = "on"
    return found


def with_properties(text: str, implied: str, changes: Mapping[str, str | None]) -> str:
    """The text with these properties set (None: left out), the others and their order as they were."""
    left = dict(changes)
    if text.startswith("{"):
        values = {**json.loads(text), **changes}
        return json.dumps({key: value for key, value in values.items() if value is not None})
    parts: list[str] = []
    for position, part in enumerate(text.replace(",,", "\0").split(",") if text else []):
        name, equals, _value = part.partition("=")
        key = name if equals or position else implied
        value = left.pop(key) if key in left else None
        if key not in changes:
            parts.append(part.replace("\0", ",,"))
        elif value is not None:
            parts.append(f"{key}={value}" if equals or position else value)
    if not parts and left.get(implied):
        parts.append(str(left.pop(implied)))
    return ",".join(parts + [f"{key}={value}" for key, value in left.items() if value is not None])


def driver_of(text: str) -> str:
    """Of the value of -device: the driver's name, "" for one that is no channel device."""
    driver = properties(text, "driver").get("driver", "")
    return "" if driver.startswith(_HIDDEN) else driver


def _json(text: str) -> dict[str, str]:
    try:
        values = json.loads(text)
    except ValueError as exc:
        raise NotPossible(f"{text}: expected key=value,... or a JSON object ({exc})") from exc
    words = {True: "on", False: "off"}
    return {key: words[value] if isinstance(value, bool) else str(value) for key, value in values.items()}


def options(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(option, its argument or "") of a command line, the program's name left out."""
    words = list(argv[1:])
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            continue
        word = word[1:] if word.startswith("--") else word
        yield word, words.pop(0) if words and not words[0].startswith("-") else ""


def config_of(argv: Sequence[str], qemu: QemuVersion) -> CcwConfig:
    """Machine and channel devices, in the order in which QEMU makes them. Raises NotPossible."""
    machine, squash = MACHINE, False
    devices: list[CcwDevice] = []
    for option, text in options(argv):
        if option in ("-M", "-machine"):
            found = properties(text, "type")
            machine = found.get("type", machine)
            squash = found.get("s390-squash-mcss", "on" if squash else "off") in ("on", "yes", "true", "y")
        elif option == "-device":
            devices += _device(text)
    cards = [CcwDevice("virtio-net-ccw")] * implied_cards(argv)
    return CcwConfig(qemu, (*cards, *devices, *_implied_drives(argv)), squash, machine)


def implied_cards(argv: Sequence[str]) -> int:
    """How many network cards QEMU makes by itself, before all that -device names."""
    given = list(options(argv))
    names = [option for option, _text in given]
    default = "-nodefaults" not in names and not any(name in names for name in _NETWORK)
    return default + sum(option == "-nic" and text.split(",")[0] != "none" for option, text in given)


def _implied_drives(argv: Sequence[str]) -> list[CcwDevice]:
    """Those that QEMU makes for -drive, after all that -device names."""
    drives = [text for option, text in options(argv) if option == "-drive"]
    return [CcwDevice("virtio-blk-ccw") for text in drives if properties(text, "file").get("if", "virtio") == "virtio"]


def _device(text: str) -> list[CcwDevice]:
    found = properties(text, "driver")
    driver = driver_of(text)
    if not driver:
        return []
    return [CcwDevice(driver, parse_devno(driver, found["devno"]) if "devno" in found else None)]


def parse_devno(driver: str, text: str) -> GuestDevno:
    """Raises NotPossible."""
    try:
        return GuestDevno.parse(text)
    except BadName as exc:
        raise NotPossible(f"{driver}: devno {exc}") from exc

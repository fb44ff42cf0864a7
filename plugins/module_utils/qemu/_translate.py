# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's QEMU command line for another QEMU: the guest sees the same, or it is said why that cannot be.

Between the two worlds, QEMU before 2.12 with s390-squash-mcss and QEMU from 2.12 on without. What is no channel device
and no machine option is left as it is. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .._releases import NotPossible
from ._ccwlayout import VFIO_CCW, CcwConfig, translate
from ._command import config_of, driver_of, implied_cards, properties, with_properties
from ._versions import FREE, SQUASH_GONE, QemuVersion, has, missing

SQUASH = "s390-squash-mcss"
_MACHINE_OPTIONS = ("-M", "-machine", "--M", "--machine")
_DEVICE_OPTIONS = ("-device", "--device")


def translate_command(argv: Sequence[str], old: QemuVersion, new: QemuVersion) -> list[str]:
    """The argument vector for ``new``. Raises NotPossible with the reason and a way out.

    Devices that QEMU makes by itself, cards before those of -device and disks after them, are numbered from what the
    others leave free, which is the same for both.
    """
    before = config_of(argv, old)
    wanted = translate(before, new)
    loadparm = _check_features(argv, new)
    machine = _machine(wanted, loadparm)
    devnos = iter([str(device.devno) for device in wanted.devices[implied_cards(argv) :]])
    words: list[str] = []
    for option, value in _pairs(argv[1:]):
        if option in _DEVICE_OPTIONS and driver_of(value):
            gone: dict[str, str | None] = {"loadparm": None} if loadparm else {}
            words += [option, with_properties(value, "driver", {"devno": next(devnos), **gone})]
        elif option in _MACHINE_OPTIONS:
            words += _with_value(option, with_properties(value, "type", machine))
            machine = {"type": None, SQUASH: None}  # what several say is joined, the last one wins
        else:
            words += _with_value(option, value)
    if machine.get("type"):
        words = ["-M", with_properties("", "type", machine), *words]
    return [argv[0], *words]


def _pairs(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(option, its value) of -device and -machine, (word, "") of each other word."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        takes = word in (*_MACHINE_OPTIONS, *_DEVICE_OPTIONS) and bool(rest)
        yield word, rest.pop(0) if takes else ""


def _with_value(word: str, value: str) -> list[str]:
    """An option with its value; one of -machine that says nothing any more is left out."""
    if word in _MACHINE_OPTIONS and not value:
        return []
    return [word, value] if value else [word]


def _machine(wanted: CcwConfig, loadparm: str) -> dict[str, str | None]:
    """Properties of -machine."""
    said: dict[str, str | None] = {"type": wanted.machine, SQUASH: "on" if wanted.squash else None}
    return {**said, "loadparm": loadparm} if loadparm else said


def _check_features(argv: Sequence[str], new: QemuVersion) -> str:
    """The loadparm that becomes the machine's, "" for none. Raises NotPossible for what the QEMU cannot do."""
    passed = [found for found in map(_passed, _pairs(argv[1:])) if found]
    order = sorted((found for found in passed if "bootindex" in found), key=lambda found: int(found["bootindex"], 0))
    asked: dict[str, str] = {}
    if order:
        asked["boot"] = "bootindex"
    if len(order) > 1:
        asked["boot-fallback"] = "bootindex of more than one device"
    if any(found.get("force-orb-pfch", "off") in ("on", "yes", "true", "y") for found in passed):
        asked["force-orb-pfch"] = "force-orb-pfch"
    if any(found.get("loadparm") for found in passed if found not in order[:1]):
        asked["device-loadparm"] = "loadparm of a device that is not the first boot device"
    wrong = list(missing(new, asked))
    if wrong:
        raise NotPossible("; ".join(wrong))
    first = order[0].get("loadparm", "") if order else ""
    return "" if has(new, "device-loadparm") else first


def _passed(pair: tuple[str, str]) -> Mapping[str, str]:
    option, value = pair
    found = properties(value, "driver") if option in _DEVICE_OPTIONS and value else {}
    return found if found.get("driver") == VFIO_CCW else {}


def outdated(config: CcwConfig) -> list[str]:
    """Warnings about what a guest still carries and its QEMU does without."""
    if not config.squash or not FREE <= config.qemu < SQUASH_GONE:
        return []
    return [
        f"the source has {SQUASH}, deprecated since QEMU {FREE} and gone from {SQUASH_GONE} on; translated is the same "
        "guest without it: devices with devno fe.S.DDDD are where the guest sees them"
    ]


# --- examples, for the documentation and the tests


@dataclass(frozen=True)
class Example:
    """``words``: of the command line; ``result``: those of the translated one, "" where ``reason`` says why not."""

    old: QemuVersion
    new: QemuVersion
    words: str
    result: str = ""
    reason: str = ""


_OLD, _NOW = QemuVersion(2, 11), QemuVersion(7, 2)
_SOURCE = "-nodefaults -M s390-ccw-virtio-2.11"
EXAMPLES = (
    Example(
        _OLD,
        _NOW,
        f"{_SOURCE},s390-squash-mcss=on -device vfio-ccw,devno=0.0.1234,sysfsdev=/x",
        f"{_SOURCE} -device vfio-ccw,devno=fe.0.1234,sysfsdev=/x",
    ),
    Example(
        _NOW,
        _OLD,
        f"{_SOURCE} -device vfio-ccw,devno=fe.0.1234,sysfsdev=/x",
        f"{_SOURCE},s390-squash-mcss=on -device vfio-ccw,devno=00.0.1234,sysfsdev=/x",
    ),
    Example(
        _OLD,
        _NOW,
        f"{_SOURCE},s390-squash-mcss=on -device vfio-ccw,sysfsdev=/x -device virtio-rng-ccw",
        f"{_SOURCE} -device vfio-ccw,sysfsdev=/x,devno=fe.0.0000 -device virtio-rng-ccw,devno=fe.0.0001",
    ),
    Example(
        QemuVersion(3, 0),
        _NOW,
        "-nodefaults -M s390-ccw-virtio-2.12,s390-squash-mcss=on -device vfio-ccw,devno=fe.0.1234,sysfsdev=/x",
        "-nodefaults -M s390-ccw-virtio-2.12 -device vfio-ccw,devno=fe.0.1234,sysfsdev=/x",
    ),
    Example(
        QemuVersion(9, 2),
        _NOW,
        "-nodefaults -M s390-ccw-virtio-7.2 -device vfio-ccw,devno=fe.0.1234,sysfsdev=/x,bootindex=1,loadparm=2",
        "-nodefaults -M s390-ccw-virtio-7.2,loadparm=2 -device vfio-ccw,devno=fe.0.1234,sysfsdev=/x,bootindex=1",
    ),
    Example(
        _NOW,
        _OLD,
        f"{_SOURCE} -device vfio-ccw,devno=fe.0.1234,sysfsdev=/x -device vfio-ccw,devno=0.0.1235,sysfsdev=/y",
        reason="shows a guest all passed-through devices or none",
    ),
    Example(
        _NOW,
        _OLD,
        f"{_SOURCE} -device virtio-rng-ccw,devno=0.0.0001",
        reason="cssid 0 not valid for virtual devices",
    ),
    Example(
        _NOW,
        _OLD,
        f"{_SOURCE} -device vfio-ccw,devno=fe.0.1234,sysfsdev=/x,bootindex=1",
        reason="needs QEMU 4.1 or newer",
    ),
    Example(
        _NOW,
        _OLD,
        "-nodefaults -M s390-ccw-virtio-7.2 -device vfio-ccw,devno=fe.0.1234,sysfsdev=/x",
        reason="does not know it",
    ),
)

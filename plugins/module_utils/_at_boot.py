# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host does to devices at boot, before driverctl and mdevctl: who sets them online, who hides them.

udev rules (chzdev writes one for each device), the kernel parameters dasd=, rd.dasd=, rd.zfcp= and cio_ignore=. The
parameters of the next boot stand in the boot loader's files; the running kernel's count only where there are none.
"""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from ._busid import MAX_SSID, BadName, BusId
from ._host import Host
from ._model import DASD_DRIVERS, AtBoot, CcwDevice
from ._sysfs import bus_id_or_none

RULE_DIRECTORIES = ("/etc/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")
CMDLINE = "/proc/cmdline"
ZIPL_CONF, BOOT_ENTRIES = "/etc/zipl.conf", "/boot/loader/entries"
ONLINE_PARAMETERS = ("dasd", "dasd_mod.dasd", "rd.dasd", "rd.zfcp")

_NAMED_RULE = re.compile(r"-(0\.[0-3]\.[0-9a-f]{4})\.rules$")
_ANY_DEVICE = re.compile(r"\b0\.[0-3]\.[0-9a-fA-F]{4}\b")
_SHORT = re.compile(r"(?:0\.([0-3])\.|0x)?([0-9a-fA-F]{1,4})")


@dataclass(frozen=True)
class Parameter:
    """A kernel parameter as it stands in a file."""

    source: str
    name: str
    value: str


# --- udev rules


def find_rules(host: Host) -> dict[BusId, list[AtBoot]]:
    """Device to the rules that set it online. chzdev names the device in the file's name; other files are read once."""
    found: dict[BusId, list[AtBoot]] = {}
    for directory in RULE_DIRECTORIES:
        for name in host.names(directory):
            path, named = f"{directory}/{name}", _NAMED_RULE.search(name)
            if named is not None:
                found.setdefault(BusId.parse(named.group(1)), []).append(AtBoot("rule", path))
            elif name.endswith(".rules") and directory == RULE_DIRECTORIES[0]:
                for device in _devices_set_online(host.get(path)):
                    found.setdefault(device, []).append(AtBoot("rule", path, alone=False))
    return found


def _devices_set_online(text: str) -> list[BusId]:
    devices = [
        bus_id_or_none(name)
        for line in text.splitlines()
        if "online" in line and not line.lstrip().startswith("#")
        for name in _ANY_DEVICE.findall(line)
    ]
    return [device for device in dict.fromkeys(devices) if device is not None]


# --- kernel parameters


def find_parameters(host: Host) -> list[Parameter]:
    """The parameters of the next boot that concern channel devices."""
    sources = [(f"{BOOT_ENTRIES}/{name}", _options) for name in host.names(BOOT_ENTRIES) if name.endswith(".conf")]
    sources += [(ZIPL_CONF, _zipl_parameters)] if host.exists(ZIPL_CONF) else []
    found = [(path, line) for path, lines in sources for line in lines(host.get(path))]
    if not found:
        found = [(CMDLINE, host.get(CMDLINE))]
    parameters = [Parameter(path, *_split(word)) for path, line in found for word in _words(line)]
    return [one for one in parameters if one.name in ONLINE_PARAMETERS or one.name == "cio_ignore"]


def _options(text: str) -> list[str]:
    return [line.split(None, 1)[1] for line in text.splitlines() if line.startswith("options ")]


def _zipl_parameters(text: str) -> list[str]:
    found = re.findall(r"^\s*parameters\s*=\s*(.*)$", text, re.MULTILINE)
    return [line.strip().strip("\"'") for line in found]


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # an open quotation mark
        return line.split()


def _split(word: str) -> tuple[str, str]:
    name, _equals, value = word.partition("=")
    return name, value


def parse_span(text: str) -> tuple[BusId, BusId]:
    """One device or a range of them, in full (0.0.8000-0.0.80ff) or short (8000). Raises BadName."""
    first, dash, last = text.partition("-")
    start = _short(first, 0)
    return start, (_short(last, start.ssid) if dash else start)


def _short(text: str, ssid: int) -> BusId:
    match = _SHORT.fullmatch(text.strip())
    if match is None:
        raise BadName(text, "a device number")
    return BusId(int(match.group(1) or ssid), int(match.group(2), 16))


def sets_online(parameter: Parameter, device: CcwDevice) -> bool:
    """Whether a parameter sets a device online at boot: drivers/s390/block/dasd_devmap.c, dracut's rd.*."""
    if parameter.name == "rd.zfcp":
        words = parameter.value.split(",")[:1]
    else:
        words = [word.split("(", 1)[0] for word in re.split(r",(?![^(]*\))", parameter.value)]
    if "autodetect" in words and parameter.name in ONLINE_PARAMETERS[:2]:
        return device.driver in DASD_DRIVERS
    return any(_within(word, device.busid) for word in words)


def _within(word: str, device: BusId) -> bool:
    span = _span_or_none(word)
    return span is not None and span[0] <= device <= span[1]


@functools.lru_cache(maxsize=4096)  # a command line is short, a list of devices may be long
def _span_or_none(word: str) -> tuple[BusId, BusId] | None:
    try:
        return parse_span(word)
    except BadName:
        return None


def hides(parameters: Iterable[Parameter], device: BusId) -> Parameter | None:
    """The cio_ignore= that hides a device: its list is gone through in order (drivers/s390/cio/blacklist.c)."""
    found: Parameter | None = None
    for parameter in parameters:
        if parameter.name != "cio_ignore":
            continue
        hidden = False
        for word in parameter.value.split(","):
            keep = word.startswith("!")
            if word.lstrip("!") == "all":
                hidden = not keep and device.ssid <= MAX_SSID
            elif _within(word.lstrip("!"), device):
                hidden = not keep
        if hidden:
            found = parameter
    return found


def at_boot(
    rules: dict[BusId, list[AtBoot]], parameters: list[Parameter], device: BusId, ccw: CcwDevice | None
) -> tuple[AtBoot, ...]:
    """All that stands against passing a device through at boot."""
    found = list(rules.get(device, []))
    looked = ccw or CcwDevice(device, DASD_DRIVERS[0], False, "", "")
    for parameter in parameters:
        if parameter.name in ONLINE_PARAMETERS and sets_online(parameter, looked):
            found.append(AtBoot("parameter", parameter.source, f"{parameter.name}={parameter.value}", alone=False))
    hidden = hides(parameters, device)
    if hidden is not None:
        found.append(AtBoot("hidden", hidden.source, f"{hidden.name}={hidden.value}", alone=False))
    return tuple(found)

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host does to devices at boot, before driverctl and mdevctl: who sets them online, who hides them.

udev rules (chzdev writes one for each device), /etc/dasd.conf, the kernel parameters dasd=, rd.dasd=, rd.zfcp= and
cio_ignore=. The parameters of the next boot stand in the boot loader's files, and in those of which these are made; the
running kernel's count only where there are none.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from .._busid import MAX_SSID, BusId
from .._host import Host
from .._sysfs import bus_id_or_none
from ._model import DASD_DRIVERS, AtBoot, CcwDevice
from ._parameters import DEVICE_LISTS, Format, items, within

RULE_DIRECTORIES = ("/etc/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")
CMDLINE = "/proc/cmdline"
ZIPL_CONF, BOOT_ENTRIES = "/etc/zipl.conf", "/boot/loader/entries"
KERNEL_CMDLINE, GRUB, DASD_CONF = "/etc/kernel/cmdline", "/etc/default/grub", "/etc/dasd.conf"
ONLINE_PARAMETERS = (*DEVICE_LISTS, "rd.zfcp")

_NAMED_RULE = re.compile(r"-(0\.[0-3]\.[0-9a-f]{4})\.rules$")
_ANY_DEVICE = re.compile(r"\b0\.[0-3]\.[0-9a-fA-F]{4}\b")
_PARMFILE = re.compile(r"^\s*parmfile\s*=\s*[\"']?([^\s\"']+)", re.MULTILINE)
_ASSIGNED = re.compile(r"^\s*(?:parameters|options|GRUB_CMDLINE_LINUX\w*)(?:\s*=\s*|\s+)")

ENTRY = Format(r"options\s")
ZIPL = Format(r"\s*parameters\s*=")
WHOLE = Format("")
GRUB_FORMAT = Format(r"\s*GRUB_CMDLINE_LINUX\w*=")
CONF = Format(None)

NOT_BY_NUMBER = "'autodetect' names no device: list the others in its place"
NAMES_CHANGE = (
    "without it the disks behind it in dasd= would get other names, and {where} uses a name such as /dev/dasda1: "
    "use /dev/disk/by-path there first"
)
NO_EDITING = {
    CMDLINE: "it is not known where the boot loader has it from",
    GRUB: "edit GRUB_CMDLINE_LINUX there and run grub2-mkconfig (update-grub)",
}
"""Sources that are read and not edited here, and why or how."""


@dataclass(frozen=True)
class Parameter:
    """A kernel parameter as it stands in a file. ``name`` "" for a line of dasd.conf, whose ``value`` is the device."""

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


# --- kernel parameters, and dasd.conf


def boot_files(host: Host) -> list[str]:
    """The files that name devices for the next boot."""
    entries = [f"{BOOT_ENTRIES}/{name}" for name in host.names(BOOT_ENTRIES) if name.endswith(".conf")]
    parmfiles = _PARMFILE.findall(host.get(ZIPL_CONF))
    return entries + [path for path in (ZIPL_CONF, *parmfiles, KERNEL_CMDLINE, GRUB, DASD_CONF) if host.exists(path)]


def boot_format(path: str) -> Format:
    """What a file of those looks like, by its path."""
    if path.startswith(f"{BOOT_ENTRIES}/"):
        return ENTRY
    return {ZIPL_CONF: ZIPL, DASD_CONF: CONF, GRUB: GRUB_FORMAT}.get(path, WHOLE)


def find_parameters(host: Host) -> list[Parameter]:
    """The parameters of the next boot that concern channel devices."""
    files = boot_files(host)
    lines = [(path, line) for path in files for line in boot_format(path).parameters(host.read(path))]
    if not lines:
        lines = [(CMDLINE, host.get(CMDLINE))]
    found = [Parameter(path, *_split(word)) for path, line in lines for word in _words(line)]
    listed = [line.split() for line in host.get(DASD_CONF).splitlines()] if DASD_CONF in files else []
    return [one for one in found if one.name in ONLINE_PARAMETERS or one.name == "cio_ignore"] + [
        Parameter(DASD_CONF, "", words[0]) for words in listed if words and bus_id_or_none(words[0]) is not None
    ]


def _words(line: str) -> list[str]:
    """The words of a line, without what assigns them and the quotation marks around all of them."""
    text = _ASSIGNED.sub("", line).strip().strip("\"'")
    try:
        return shlex.split(text)
    except ValueError:  # an open quotation mark
        return text.split()


def _split(word: str) -> tuple[str, str]:
    name, _equals, value = word.partition("=")
    return name, value


def sets_online(parameter: Parameter, device: CcwDevice) -> bool:
    """Whether a parameter sets a device online at boot: drivers/s390/block/dasd_devmap.c, dracut's rd.*."""
    if parameter.name == "rd.zfcp":
        words = parameter.value.split(",")[:1]
    else:
        words = [word.split("(", 1)[0] for word in items(parameter.value)]
    if "autodetect" in words and parameter.name in ONLINE_PARAMETERS[:2]:
        return device.driver in DASD_DRIVERS
    return any(within(word, device.busid) for word in words)


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
            elif within(word.lstrip("!"), device):
                hidden = not keep
        if hidden:
            found = parameter
    return found


def fixed_names(host: Host) -> str:
    """A file that names disks as /dev/dasda1: such names follow the order of dasd=. "" for none."""
    named = re.compile(r"(?:^|[\s=\"'])/dev/dasd[a-z]")
    places = ["/etc/fstab", "/etc/crypttab", ZIPL_CONF, KERNEL_CMDLINE]
    places += [f"{BOOT_ENTRIES}/{name}" for name in host.names(BOOT_ENTRIES)]
    return next((path for path in places if named.search(_uncommented(host.get(path)))), "")


def _uncommented(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))


def at_boot(
    rules: dict[BusId, list[AtBoot]],
    parameters: list[Parameter],
    device: BusId,
    ccw: CcwDevice | None,
    fixed: str = "",
) -> tuple[AtBoot, ...]:
    """All that stands against passing a device through at boot. ``fixed``: what fixed_names found."""
    found = list(rules.get(device, []))
    looked = ccw or CcwDevice(device, DASD_DRIVERS[0], False, "", "")
    for parameter in parameters:
        if parameter.name != "cio_ignore" and sets_online(parameter, looked):
            text = f"{parameter.name}={parameter.value}" if parameter.name else parameter.value
            kept = _why_kept(parameter, device, fixed)
            found.append(AtBoot("parameter", parameter.source, text, alone=False, kept=kept))
    hidden = hides(parameters, device)
    if hidden is not None:
        found.append(AtBoot("hidden", hidden.source, f"{hidden.name}={hidden.value}", alone=False))
    return tuple(found)


def _why_kept(parameter: Parameter, device: BusId, fixed: str) -> str:
    """Why a device is not taken out of a parameter here."""
    if parameter.source in NO_EDITING or parameter.name == "rd.zfcp":
        return NO_EDITING.get(parameter.source, "it is no DASD's")
    if not any(within(item.partition("(")[0], device) for item in items(parameter.value)):
        return NOT_BY_NUMBER
    if fixed and parameter.name in DEVICE_LISTS[:2]:
        return NAMES_CHANGE.format(where=fixed)
    return ""

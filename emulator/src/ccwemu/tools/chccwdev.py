# SPDX-License-Identifier: GPL-2.0-or-later
"""chccwdev: set attributes of CCW devices. Prints what s390-tools 2.16.0 prints (zconf/chccwdev, chccwdev(8)).

Oddities of the real program are kept where a play can see them: it takes the first sysfs line of /proc/mounts,
after a failed write it waits up to 2.5 s and says "Failed" a second time, and the notes about a range of which no
device exists go to the error stream with exit status 1.
"""

from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import dataclass, field

from ccwemu.tools._files import S390_TOOLS_VERSION, read_line, read_text, write_attribute

RETRIES = 5
PAUSE = 0.5  # seconds between two looks at an online that did not change

USAGE = """Usage: chccwdev [<options>] <devices>

<options>
 \t-a|--attribute <name>=<value>
 \t-e|--online
 \t\tTries to set the given device online.
 \t-f|--forceonline
 \t\tTries to force a device online if the device
 \t\tdriver supports this.
  \t-d|--offline
  \t\tTries to set the given device offline.
  \t-s|--safeoffline
  \t\tTries to set the given device offline waiting for all outstanding I/O. May block forever.
 \t-v|--version
 \t\tShow tools and command version.

<devices>
 \t<bus ID>[-<busid>][,<busid>[-<busid>]] ...
"""


class Ended(Exception):
    """The command ends here with this exit status; what was to be said is said."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class BadBusId(Exception):
    """A bus id or a range that cannot be used; the text says why."""


@dataclass
class Request:
    """What the command line asks for."""

    online: int | None = None
    force: bool = False
    attribute: str = "online"
    values: dict[str, str] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    @property
    def acts(self) -> bool:
        return self.online is not None or bool(self.values)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _complain(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(text + "\n")


def _set_online(request: Request, value: int, force: bool = False, attribute: str = "online") -> None:
    if request.online not in (None, value):
        _complain("chccwdev: Incompatible argument list.\nTry 'chccwdev --help' for more information.")
        raise Ended(1)
    request.online = value
    request.force = request.force or force
    if attribute != "online":
        request.attribute = attribute


def _set_attribute(request: Request, text: str) -> None:
    """``NAME=VALUE``; a second = and what follows is dropped, a text without = is its own value."""
    parts = text.split("=")
    name, value = parts[0], parts[1] if len(parts) > 1 else parts[0]
    if not value:
        _complain(f"WARNING: Attribute[{name}] has no value and will be ignored!")
    elif name == "online":
        _set_online(request, 1 if value in ("1", "force") else 0, value == "force")
    elif name == "safe_offline":
        _set_online(request, 0, attribute="safe_offline")
    else:
        request.values[name] = value


def parse(argv: list[str]) -> Request:
    """The request. Raises Ended."""
    request = Request()
    words = iter(argv)
    for word in words:
        if word in ("-a", "--attribute"):
            _set_attribute(request, next(words, ""))
        elif word.startswith("-a"):
            _set_attribute(request, word[2:])
        elif word in ("-h", "--help"):
            sys.stdout.write(USAGE)
            raise Ended(0)
        elif word in ("-e", "--online"):
            _set_online(request, 1)
        elif word in ("-f", "--forceonline"):
            _set_online(request, 1, force=True)
        elif word in ("-d", "--offline"):
            _set_online(request, 0)
        elif word in ("-s", "--safeoffline"):
            _set_online(request, 0, attribute="safe_offline")
        elif word in ("-v", "--version"):
            _say(f"chccwdev: version {S390_TOOLS_VERSION}\nCopyright IBM Corp. 2003, 2017")
            raise Ended(0)
        elif word.startswith("-"):
            _complain(f"chccwdev: Invalid option {word}\nTry 'chccwdev --help' for more information.")
            raise Ended(1)
        else:
            request.words.append(word)
    return request


def bus_id(text: str) -> tuple[str, str, str]:
    """css, set and four-digit device number of ``7e52``, ``0.7e52`` or ``0.0.7e52``. Raises BadBusId."""
    if not text:
        raise BadBusId('"" is not a valid bus ID.')
    parts = text.split(".")
    css, ssid, number = {1: ("0", "0", *parts), 2: ("0", *parts)}.get(len(parts), tuple(parts[:3]))
    number = number.rjust(4, "0")
    valid = re.fullmatch("[0-9a-f]{4}", number)
    for part in (css, ssid):
        digits = re.match(r"\s*-?\d+", part)
        valid = valid if 0 <= (int(digits[0]) if digits else 0) <= 255 else None
    if not valid:
        raise BadBusId(f"{css}.{ssid}.{number} is not a valid bus ID.")
    return css, ssid, number


def expand(text: str, devices: str) -> list[str]:
    """The bus ids of a list of ids and ranges; of a range those that exist. Raises BadBusId."""
    found: list[str] = []
    for part in re.sub(r"[ \t]+", "", text.lower()).split(","):
        if "-" not in part:
            found.append(".".join(bus_id(part)))
            continue
        ends = part.split("-")
        first, last = bus_id(ends[0]), bus_id(ends[1])
        if first[:2] != last[:2]:
            raise BadBusId(f"Invalid range ({'.'.join(first)}-{'.'.join(last)})")
        numbers = range(int(first[2], 16), int(last[2], 16) + 1)
        if not numbers:
            raise BadBusId("Invalid range order")
        prefix = ".".join(first[:2])
        there = [f"{prefix}.{n:04x}" for n in numbers if read_line(f"{devices}/{prefix}.{n:04x}/devtype")]
        if not there:
            raise BadBusId(f"No Device in range ({'.'.join(first)}-{'.'.join(last)}) found")
        found += there
    return found


def _is(path: str, online: int) -> bool:
    """Does the device's online say so? One that cannot be read counts as offline."""
    text = (read_line(path + "/online") or "").strip()
    return text == str(online) if text else online == 0


def _store(path: str, values: dict[str, str], name: str, final: bool) -> bool:
    """Set one attribute; taken out of ``values`` when it has its value. False where the device does not have it."""
    busid = os.path.basename(path)
    if not os.path.isfile(f"{path}/{name}"):
        return False
    value = values[name]
    if not value:
        return True
    if (read_text(f"{path}/{name}") or "").rstrip("\n") == value:
        _say(f"The {name} attribute of {busid} already is {value}")
        values[name] = ""
        return True
    _say(f"Setting {name} attribute of {busid} to {value}")
    try:
        write_attribute(f"{path}/{name}", value + "\n")
        values[name] = ""
    except OSError:
        if final:
            _complain(f"ERROR: Failed to set {name} attribute of {busid}!")
            raise Ended(1) from None
    return True


def _note_missing_driver(path: str) -> None:
    if os.path.exists(path + "/driver"):
        return
    devtype, cutype = read_line(path + "/devtype"), read_line(path + "/cutype")
    if devtype is not None:
        devtype = "0000/00" if devtype == "n/a" else devtype
        _complain(f"Note: No driver is attached to this device (DevType:{devtype} CU Type:{cutype}).")


def _change_online(request: Request, path: str, online: int) -> None:
    busid = os.path.basename(path)
    _say(f"Setting device {busid} {'online' if online else 'offline'}")
    attribute = f"{path}/{request.attribute}"
    if not os.path.exists(attribute):
        _complain(f"{request.attribute} attribute not available for  device[{busid}]")
        raise Ended(1)
    try:
        write_attribute(attribute, ("force" if request.force else str(online)) + "\n")
    except OSError as error:
        _complain(f"Failed ({error.strerror})")
        _note_missing_driver(path)
    for _turn in range(RETRIES):
        if _is(path, online):
            return
        time.sleep(PAUSE)
    if not _is(path, online):
        _complain("Failed")
        raise Ended(1)


def _apply(request: Request, path: str) -> None:
    """All that is asked for, on one device. Raises Ended."""
    busid = os.path.basename(path)
    if not os.access(path, os.R_OK):
        _say(f"Device {busid} not found")
        raise Ended(1)
    values = dict(request.values)
    if request.online is not None:
        for name in values:
            if not _store(path, values, name, final=False) and _is(path, 1):
                _complain(f"ERROR: Device[{busid}] has no attribute {name}!")
                raise Ended(1)
        if not _is(path, request.online):
            _change_online(request, path, request.online)
        elif request.online:
            _complain(f"WARNING: Device[{busid}] is already  online")
        else:
            _complain("Device is already offline")
    for name in values:
        if not _store(path, values, name, final=True):
            _complain(f"ERROR: Device[{busid}] has no attribute {name}!")
            raise Ended(1)
    _say("Done")


def sysfs_mount(root: str) -> str:
    """Where sysfs is mounted: the first line of that type in /proc/mounts; empty where there is none."""
    for line in (read_text(root + "/proc/mounts") or "").splitlines():
        fields = line.split()
        if len(fields) > 2 and fields[2] == "sysfs":
            return fields[1]
    return ""


def _settle(root: str) -> None:
    try:
        write_attribute_if_there(root + "/proc/cio_settle", "1\n")
    except OSError:
        return


def write_attribute_if_there(path: str, text: str) -> None:
    """Write where the file may be written (the shell's ``[ -w path ]``). Raises OSError from the write."""
    if os.access(path, os.W_OK):
        write_attribute(path, text)


def _devices(request: Request, devices: str) -> list[str]:
    if not request.words:
        sys.stdout.write(USAGE + "\n")
        _complain("No bus ID given!")
        raise Ended(1)
    try:
        found = expand(",".join(request.words), devices)
    except BadBusId as bad:
        _complain(f"{bad}\nERROR: Evaluation of bus IDs failed!")
        _say("")
        raise Ended(1) from None
    if not request.acts:
        sys.stdout.write(USAGE + "\n")
        _complain("No action specified. Please use a valid action switch.")
        raise Ended(1)
    return found


def main(argv: list[str], root: str = "") -> int:
    """Set attributes of the devices under ``root``."""
    if "sysfs" not in (read_text(root + "/proc/filesystems") or ""):
        _complain("ERROR: chccwdev requires sysfs support!")
        return 1
    mount = sysfs_mount(root)
    if not mount:
        _complain("ERROR: chccwdev requires sysfs filesystem mounted!")
    try:
        request = parse(argv)
        _settle(root)
        devices = f"{root}{mount}/bus/ccw/devices"
        for busid in _devices(request, devices):
            _apply(request, f"{devices}/{busid}")
    except Ended as end:
        return end.status
    return 0

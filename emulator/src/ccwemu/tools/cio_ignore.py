# SPDX-License-Identifier: GPL-2.0-or-later
"""cio_ignore: query and change the list of ignored devices. Prints what s390-tools 2.16.0 prints (zconf/cio_ignore)."""

from __future__ import annotations

import os
import re
import sys

from ccwemu.tools._files import S390_TOOLS_VERSION, names, read_text, write_attribute

MAX_CSSID, MAX_SSID, MAX_DEVNO = 0, 3, 0xFFFF

Range = tuple[int, int, int, int]
"""cssid, ssid, first and last device number."""

USAGE = """Usage: cio_ignore COMMANDS

Show or change which devices the kernel's common I/O layer ignores.
Ignored devices cannot be used and take no resources.

COMMANDS:
 -h, --help                  Print this help text
 -v, --version               Print version information
 -a, --add DEVID             Ignore a device, a range or a list of them
 -A, --add-all               Ignore all devices
 -r, --remove DEVID          No longer ignore a device, a range or a list of them
 -R, --remove-all            No longer ignore any device
 -l, --list                  List ignored devices
 -L, --list-not-blacklisted  List devices that are not ignored
 -i, --is-ignored DEVID      Say whether a device is ignored
 -k, --kernel-param          Print the list as kernel parameter
 -u, --unused                Ignore all devices that are not in use
 -p, --purge                 Take ignored devices that are not in use from the kernel
"""


class Failed(Exception):
    """The command ends with status 1 and this text, its name in front."""


def _number(text: str, shortest: int, longest: int, largest: int) -> str | None:
    """What is wrong with a hexadecimal number; None where nothing is."""
    if not text:
        return "is empty"
    if not re.fullmatch("[0-9a-fA-F]+", text):
        return "is not valid"
    if int(text, 16) > largest:
        return "is too large"
    if len(text) < shortest:
        return "is too short"
    return "is too long" if len(text) > longest else None


def id_problem(text: str) -> str | None:
    """What is wrong with a device id; None where nothing is."""
    if not text:
        return "device ID is empty"
    if " " in text:
        return "device ID contains spaces"
    parts = text.split(".")
    if len(parts) == 1:
        number = text[2:] if text.startswith("0x") else text
        if not number:
            return "device number is incomplete"
        problem = _number(number, 1, MAX_DEVNO, MAX_DEVNO)
        return f"device number {problem}" if problem else None
    if len(parts) != 3:
        return "unrecognized format"
    limits = (("CSSID", 1, 2, MAX_CSSID), ("SSID", 1, 1, MAX_SSID), ("device number", 4, 4, MAX_DEVNO))
    for part, (name, *limit) in zip(parts, limits, strict=True):
        problem = _number(part, *limit)
        if problem:
            return f"{name} {problem}"
    return None


def split_id(text: str) -> tuple[int, int, int]:
    """cssid, ssid, device number of a valid id."""
    parts = text.split(".")
    if len(parts) == 1:
        return 0, 0, int(text, 16)
    return int(parts[0], 16), int(parts[-2], 16), int(parts[-1], 16)


def range_problem(text: str) -> str | None:
    """What is wrong with an id or a range of ids; None where nothing is."""
    ends = text.split("-")
    if len(ends) > 2:
        return "unrecognized format"
    for end in ends:
        problem = id_problem(end)
        if problem:
            return problem
    first, last = split_id(ends[0]), split_id(ends[-1])
    if first[0] != last[0]:
        return "CSSIDs do not match"
    if first[1] != last[1]:
        return "SSIDs do not match"
    return "reversed device ID order" if first[2] > last[2] else None


def parse_list(text: str) -> list[Range]:
    """The ranges of /proc/cio_ignore."""
    ranges = []
    for word in text.split():
        first, _dash, last = word.partition("-")
        cssid, ssid, start = split_id(first)
        ranges.append((cssid, ssid, start, split_id(last or first)[2]))
    return ranges


def format_range(entry: Range) -> str:
    cssid, ssid, first, last = entry
    start = f"{cssid:x}.{ssid:x}.{first:04x}"
    return start if first == last else f"{start}-{cssid:x}.{ssid:x}.{last:04x}"


def complement(ranges: list[Range]) -> list[Range]:
    """All device numbers of all subchannel sets that are in none of the ranges (these are sorted)."""
    free: list[Range] = []
    for ssid in range(MAX_SSID + 1):
        start = 0
        for _cssid, _ssid, first, last in sorted(entry for entry in ranges if entry[:2] == (0, ssid)):
            if first > start:
                free.append((0, ssid, start, first - 1))
            start = max(start, last + 1)
        if start <= MAX_DEVNO:
            free.append((0, ssid, start, MAX_DEVNO))
    return free


def kernel_parameter(ranges: list[Range]) -> str:
    """The list as the value of the kernel parameter, in its shorter form: what is ignored, or all but what is not."""
    free = complement(ranges)
    listed, not_listed = ["\n".join(map(format_range, entries)) for entries in (ranges, free)]
    inverted = len(listed) > len(not_listed)
    words = ["all"] if inverted else []
    for entry in free if inverted else ranges:
        words.append(("!" if inverted else "") + format_range(entry).replace("0.0.", ""))
    return "cio_ignore=" + ",".join(words)


class Blacklist:
    """/proc/cio_ignore of a node, and the device that must not get lost (the console of a z/VM guest)."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.path = root + "/proc/cio_ignore"

    def ranges(self) -> list[Range]:
        text = read_text(self.path)
        if text is None:
            raise Failed(f"Error: could not read {self.path}")
        return parse_list(text)

    def write(self, text: str) -> bool:
        """False where the kernel did not accept it."""
        if not os.access(self.path, os.W_OK):
            raise Failed(f"Error: missing write permission for {self.path}")
        try:
            write_attribute(self.path, text + "\n")
        except OSError:
            return False
        return True

    def change(self, verb: str, words: str) -> None:
        """Add or free each part of a list; the first that the kernel refuses ends it with the reason."""
        name, preposition = {"add": ("add", "to"), "free": ("remove", "from")}[verb]
        if not words:
            raise Failed(f"--{name} requires an argument")
        for part in words.split(","):
            if self.write(f"{verb} {part}"):
                continue
            reason = range_problem(part)
            if reason is None:
                raise Failed(f"Error: could not {name} '{part}' {preposition} blacklist")
            raise Failed(f"Error: device ID {'range ' if '-' in part else ''}'{part}': {reason}")

    def is_ignored(self, busid: str) -> bool:
        cssid, ssid, number = split_id(busid)
        return any(entry[:2] == (cssid, ssid) and entry[2] <= number <= entry[3] for entry in self.ranges())

    def warn_of_console(self) -> None:
        """On z/VM a console that is ignored makes the next boot fail."""
        if "z/VM" not in (read_text(self.root + "/proc/sysinfo") or ""):
            return
        for busid in names(self.root + "/sys/bus/ccw/drivers/3215", re.compile(r".*\..*\..*"))[:1]:
            if self.is_ignored(busid):
                sys.stderr.write(f"cio_ignore: Warning: reboot might fail due to blacklisted console {busid}\n")

    def ignore_unused(self) -> None:
        """Ignore all, then free what lscss shows in use. A device bound to vfio_ccw is not: it gets ignored."""
        from ccwemu.tools import lscss

        if not self.write("add all"):
            raise Failed("Error: add-all function not accepted by kernel")
        options = lscss.parse([])
        assert not isinstance(options, str)
        for line in lscss.Lister(options, self.root + "/sys").text().splitlines():
            if "yes" in line:
                self.write(f"free {line.split()[0]}")


def _is_ignored(blacklist: Blacklist, busid: str) -> int:
    if not busid:
        raise Failed("--is-ignored requires an argument")
    if "," in busid or "-" in busid:
        raise Failed("Error: --is-ignored accepts only a single device ID")
    problem = id_problem(busid)
    if problem:
        raise Failed(f"Error: device ID '{busid}': {problem}")
    ignored = blacklist.is_ignored(busid)
    sys.stdout.write(f"Device {busid} is {'' if ignored else 'not '}ignored\n")
    return 0 if ignored else 2


def _print_list(title: str, rule: int, ranges: list[Range]) -> None:
    sys.stdout.write(f"{title}\n{'=' * rule}\n" + "".join(format_range(entry) + "\n" for entry in ranges))


def _simple(blacklist: Blacklist, text: str, name: str) -> None:
    if not blacklist.write(text):
        raise Failed(f"Error: {name} function not accepted by kernel")


_SHORT = {
    "-h": "--help", "-v": "--version", "-a": "--add", "-A": "--add-all", "-r": "--remove", "-R": "--remove-all",
    "-l": "--list", "-L": "--list-not-blacklisted", "-i": "--is-ignored", "-k": "--kernel-param", "-u": "--unused",
    "-p": "--purge",
}  # fmt: skip


def _execute(blacklist: Blacklist, words: list[str]) -> tuple[int, bool]:
    """Run the commands in order; exit status, and whether the kernel now has devices to look for."""
    wait = False
    rest = iter(words)
    for word in rest:
        command = _SHORT.get(word, word)
        if command == "--help":
            sys.stdout.write(USAGE)
            return 0, False
        if command == "--version":
            sys.stdout.write(f"cio_ignore: version {S390_TOOLS_VERSION}\nCopyright IBM Corp. 2009, 2017\n")
            return 0, False
        if command == "--is-ignored":
            return _is_ignored(blacklist, next(rest, "")), False
        if command == "--add":
            blacklist.change("add", next(rest, ""))
        elif command == "--add-all":
            _simple(blacklist, "add all", "add-all")
        elif command == "--remove":
            blacklist.change("free", next(rest, ""))
        elif command == "--remove-all":
            _simple(blacklist, "free all", "remove-all")
        elif command == "--list":
            _print_list("Ignored devices:", 17, blacklist.ranges())
        elif command == "--list-not-blacklisted":
            _print_list("Devices that are not ignored:", 29, complement(blacklist.ranges()))
        elif command == "--kernel-param":
            sys.stdout.write(kernel_parameter(blacklist.ranges()) + "\n")
            blacklist.warn_of_console()
        elif command == "--unused":
            blacklist.ignore_unused()
        elif command == "--purge":
            _simple(blacklist, "purge", "purge")
        else:
            sys.stderr.write(f"cio_ignore: invalid option '{word}'\n")
            sys.stderr.write("Use 'cio_ignore --help' to get usage information.\n")
            return 1, False
        wait = wait or command in ("--remove", "--remove-all", "--purge")
    return 0, wait


def main(argv: list[str], root: str = "") -> int:
    """Query or change /proc/cio_ignore under ``root``."""
    blacklist = Blacklist(root)
    try:
        if not os.path.isfile(blacklist.path):
            raise Failed(f"Error: file {blacklist.path} not found")
        if not argv:
            sys.stderr.write("cio_ignore: Need one of options -a, -A, -r, -R, -l, -L, -i, -k, -u or -p\n")
            sys.stderr.write("Use 'cio_ignore --help' to get usage information.\n")
            return 1
        status, wait = _execute(blacklist, argv)
    except Failed as failed:
        sys.stdout.flush()
        sys.stderr.write(f"cio_ignore: {failed}\n")
        return 1
    settle = root + "/proc/cio_settle"
    if wait and os.access(settle, os.W_OK):
        write_attribute(settle, "1\n")
    return status

# SPDX-License-Identifier: GPL-2.0-or-later
"""lscss: list subchannels. Prints what s390-tools 2.16.0 prints (zconf/css/lscss.c, lscss(8))."""

from __future__ import annotations

import getopt
import os
import re
import sys
from dataclasses import dataclass, field

from ccwemu.tools._files import BUS_ID, S390_TOOLS_VERSION, names, read_line, target_name

UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

Id = tuple[int, int, int]
"""cssid, ssid, number: compared in that order."""


class Refused(Exception):
    """What lscss complains about on the error stream, without its name in front; exit status 1."""


@dataclass
class Options:
    short: bool = False
    upper: bool = False
    devrange: bool = False
    avail: bool = False
    vpm: bool = False
    io: bool = False
    chsc: bool = False
    eadm: bool = False
    vfio: bool = False
    types: list[tuple[int, int | None]] | None = None
    ranges: list[tuple[Id, Id]] = field(default_factory=list)


@dataclass
class Table:
    """A table of left-aligned columns. Values stay from row to row until they are set anew.

    That is how the real program prints a vfio-bound subchannel under -t with its predecessor's device type.
    """

    columns: list[tuple[str, str, int]]
    values: dict[str, str] = field(default_factory=dict)

    def header(self) -> str:
        titles = " ".join(title.ljust(width) for _key, title, width in self.columns)
        return f"{titles}\n{'-' * len(titles)}\n"

    def row(self) -> str:
        return " ".join(self.values.get(key, "").ljust(width) for key, _title, width in self.columns) + "\n"


def parse_id(text: str) -> Id | None:
    """``4f``, ``0.0.004f`` → (cssid, ssid, number); None where it is neither."""
    if text[:2].lower() == "0x":
        return None
    match = re.fullmatch(r"\s*([0-9a-fA-F]{1,4})\s*", text)
    if match:
        return 0, 0, int(match[1], 16)
    match = re.fullmatch(r"\s*([0-9a-fA-F]{1,2})\.\s*([0-9a-fA-F])\.\s*([0-9a-fA-F]{1,4})\s*", text)
    return (int(match[1], 16), int(match[2], 16), int(match[3], 16)) if match else None


def parse_type(text: str) -> tuple[int, int | None] | None:
    """``3390``, ``3390/0c`` → (type, model or None); None where it is neither."""
    match = re.fullmatch(r"\s*([0-9a-fA-F]{1,4})(?:/\s*([0-9a-fA-F]{1,2}))?\s*", text)
    if match is None or text[:2].lower() == "0x":
        return None
    return int(match[1], 16), int(match[2], 16) if match[2] else None


def _parse_ranges(words: list[str]) -> list[tuple[Id, Id]]:
    ranges = []
    for text in filter(None, ",".join(words).split(",")):
        first, dash, last = text.partition("-")
        if dash and not last:
            raise Refused(f"Invalid ID specified: {first}")
        ends = []
        for end in (first, last or first):
            value = parse_id(end)
            if value is None:
                raise Refused(f"Invalid ID specified: {end}")
            ends.append(value)
        ranges.append((ends[0], ends[1]))
    return ranges


def _in_range(value: Id, first: Id, last: Id) -> bool:
    return first <= value <= last


class Lister:
    """One run over the subchannels of a sysfs. ``css`` is its bus/css/devices."""

    def __init__(self, options: Options, sysfs: str) -> None:
        self.options = options
        self.sysfs = sysfs
        self.css = os.path.join(sysfs, "bus/css/devices")

    def _case(self, text: str) -> str:
        return text.upper() if self.options.upper else text

    def _selected(self, name: str) -> bool:
        value = parse_id(name)
        return value is not None and any(_in_range(value, *ends) for ends in self.options.ranges)

    def _shown(self, busid: str) -> str | None:
        """A bus id as it is printed; None where --short leaves it out."""
        if not self.options.short:
            return self._case(busid)
        return self._case(busid[4:]) if busid.startswith("0.0.") else None

    def _device(self, table: Table, directory: str | None) -> bool:
        """Fill the columns of a CCW device (None: there is none). False where -t leaves the row out."""
        types = self.options.types
        if directory is None:
            if types:
                return False
            table.values.update(devtyp="", cutype="", use="", avail="")
            return True
        devtype = read_line(directory + "/devtype")
        devtype = "0000/00" if devtype == "n/a" else devtype
        if types:
            parsed = parse_type(devtype) if devtype is not None else None
            if parsed is None or not any(kind == parsed[0] and model in (None, parsed[1]) for kind, model in types):
                return False
        online = read_line(directory + "/online")
        table.values.update(
            devtyp=self._case(devtype or ""),
            cutype=self._case(read_line(directory + "/cutype") or ""),
            use=self._case("yes" if online == "1" else ""),
            avail=self._case(read_line(directory + "/availability") or ""),
        )
        return True

    def _io_device(self, table: Table, path: str) -> bool:
        """Fill the Device column and those of the CCW device. False where the row is left out."""
        options = self.options
        devices = names(path, BUS_ID)
        if not devices:
            if options.devrange and options.ranges:
                return False
            # The real program does not look at the answer: the row is printed with the previous device type.
            self._device(table, None)
            table.values["device"] = self._case("none")
            return True
        device = devices[0]
        shown = self._shown(device)
        if shown is None or (options.devrange and options.ranges and not self._selected(device)):
            return False
        if not self._device(table, f"{path}/{device}"):
            return False
        table.values["device"] = shown
        return True

    def _mdev(self, table: Table, path: str) -> bool:
        if target_name(path + "/driver") != "vfio_ccw":
            return False
        uuids = names(path, UUID)
        table.values["mdev"] = self._case(uuids[0] if uuids else "none")
        return True

    def _paths(self, table: Table, path: str) -> None:
        masks = (read_line(path + "/pimpampom") or "").split()
        try:
            shown = [self._case(f"{int(mask, 16):02x}") for mask in masks]
        except ValueError:
            shown = []
        if len(shown) != 3:
            shown = ["", "", ""]
        chpids = read_line(path + "/chpids")
        joined = self._case(chpids.replace(" ", "")) if chpids is not None else None
        table.values.update(
            zip(("pim", "pam", "pom"), shown, strict=True),
            vpm=self._case(read_line(path + "/vpm") or ""),
            chpids="" if joined is None else f"{joined[:8]} {joined[8:16]}",
        )

    def _io_row(self, table: Table, subchannel: str) -> str:
        options = self.options
        path = f"{self.css}/{subchannel}"
        shown = self._shown(subchannel)
        if shown is None or (not options.devrange and options.ranges and not self._selected(subchannel)):
            return ""
        table.values["subch"] = shown
        if not (self._mdev(table, path) if options.vfio else self._io_device(table, path)):
            return ""
        self._paths(table, path)
        return table.row()

    def _other_row(self, table: Table, subchannel: str) -> str:
        options = self.options
        shown = self._shown(subchannel)
        if shown is None or options.types or (options.ranges and (options.devrange or not self._selected(subchannel))):
            return ""
        table.values.update(subch=shown, device=self._case("n/a"))
        return table.row()

    def _defunct(self, table: Table) -> str:
        """Devices that lost their subchannel (<css>/defunct). Printed only where no subchannel is asked for."""
        options = self.options
        if not options.devrange and options.ranges:
            return ""
        rows = ""
        for css in names(self.sysfs + "/devices", re.compile("css.*")):
            path = f"{self.sysfs}/devices/{css}/defunct"
            for device in names(path, BUS_ID):
                shown = self._shown(device)
                if shown is None or (options.devrange and options.ranges and not self._selected(device)):
                    continue
                if self._device(table, f"{path}/{device}"):
                    table.values.update(device=shown, subch=self._case("n/a"))
                    table.values.update(pim="", pam="", pom="", vpm="", chpids="")
                    rows += table.row()
        return rows

    def rows(self, table: Table, kind: int) -> str:
        """The rows of all subchannels of a type (0 I/O, 1 CHSC, 3 EADM); one without a type counts as I/O."""
        text = ""
        for subchannel in names(self.css, BUS_ID):
            type_text = read_line(f"{self.css}/{subchannel}/type")
            found = int(type_text, 10) if type_text and type_text.isdigit() else 0
            if found == kind:
                text += self._io_row(table, subchannel) if kind == 0 else self._other_row(table, subchannel)
        return text + self._defunct(table)

    def text(self) -> str:
        """All that is printed."""
        options = self.options
        sections = [
            (options.io, "IO Subchannels and Devices:\n", _io_columns(options), 0),
            (options.chsc, "\nCHSC Subchannels:\n", _OTHER_COLUMNS, 1),
            (options.eadm, "\nEADM Subchannels:\n", _OTHER_COLUMNS, 3),
            (options.vfio, "\nI/O Subchannels used for VFIO:\n", _vfio_columns(options), 0),
        ]
        wanted = [section for section in sections if section[0]]
        text = ""
        for _key, title, columns, kind in wanted:
            table = Table(columns)
            text += (title if len(wanted) > 1 else "") + table.header() + self.rows(table, kind)
        return text


_OTHER_COLUMNS = [("device", "Device", 8), ("subch", "Subchan.", 9)]


def _path_columns(options: Options) -> list[tuple[str, str, int]]:
    pom = [("pom", "POM", 3), ("vpm", "VPM", 3)] if options.vpm else [("pom", "POM", 4)]
    return [("pim", "PIM", 3), ("pam", "PAM", 3), *pom, ("chpids", "CHPIDs", 17)]


def _io_columns(options: Options) -> list[tuple[str, str, int]]:
    device = [("devtyp", "DevType", 7), ("cutype", "CU Type", 7), ("use", "Use", 4)]
    avail = [("avail", "Avail.", 6)] if options.avail else []
    return [*_OTHER_COLUMNS, *device, *_path_columns(options), *avail]


def _vfio_columns(options: Options) -> list[tuple[str, str, int]]:
    return [("mdev", "MDEV", 37), ("subch", "Subchan.", 9), *_path_columns(options)]


_FLAGS = {
    "-s": "short", "--short": "short", "-d": "devrange", "--devrange": "devrange", "-u": "upper",
    "--uppercase": "upper", "--avail": "avail", "--vpm": "vpm", "--io": "io", "--chsc": "chsc", "--eadm": "eadm",
    "--vfio": "vfio",
}  # fmt: skip
_LONG = [
    "short", "devtype=", "devrange", "avail", "vpm", "uppercase", "io", "chsc", "eadm", "vfio", "all", "help",
    "version",
]  # fmt: skip

HELP = """Usage: lscss [OPTIONS] [RANGE]

List subchannels and their devices. RANGE is a subchannel ID (0.0.004f or 4f),
FROM-TO, or a comma separated list of these.

OPTIONS
 -s, --short         Only IDs that begin with 0.0., without that prefix
 -t, --devtype TYPE  Only devices of these types (DEVTYPE[/MODEL],...)
 -d, --devrange      RANGE means device IDs
     --avail         Add the availability of the devices
     --vpm           Add the verified path mask
 -u, --uppercase     Print values in upper case
     --io            I/O subchannels (default)
     --chsc          CHSC subchannels
     --eadm          EADM subchannels
     --vfio          Subchannels used for VFIO, with their mediated devices
 -a, --all           I/O, CHSC and EADM subchannels
 -h, --help          Print this text
 -v, --version       Print the version
"""


def parse(argv: list[str]) -> Options | str:
    """The options, or the text to print instead. Raises Refused, getopt.GetoptError."""
    options = Options()
    flags, words = getopt.gnu_getopt(argv, "st:duahv", _LONG)
    types: str | None = None
    for flag, value in flags:
        if flag in ("-h", "--help"):
            return HELP
        if flag in ("-v", "--version"):
            return f"lscss version {S390_TOOLS_VERSION}\nCopyright IBM Corp. 2017\n"
        if flag in ("-t", "--devtype"):
            types = value
        elif flag in ("-a", "--all"):
            options.io = options.chsc = options.eadm = True
        else:
            setattr(options, _FLAGS[flag], True)
    if options.vfio and (options.io or options.devrange or types is not None or options.avail):
        raise Refused("Invalid option combination: --vfio can not be used with --io, -d, -t or --avail")
    if not (options.chsc or options.eadm or options.vfio):
        options.io = True
    for text in filter(None, (types or "").split(",")):
        parsed = parse_type(text)
        if parsed is None:
            raise Refused(f"Invalid device type specified: {text}")
        options.types = [*(options.types or []), parsed]
    options.ranges = _parse_ranges(words)
    return options


def main(argv: list[str], root: str = "") -> int:
    """List the subchannels of the sysfs under ``root``; SYSFS_ROOT in the environment wins, as in the real one."""
    try:
        options = parse(argv)
    except Refused as refused:
        sys.stderr.write(f"lscss: {refused}\n")
        return 1
    except getopt.GetoptError as error:
        option = ("--" if len(error.opt) > 1 else "-") + error.opt
        problem = f"Option '{option}' requires an argument" if "requires" in error.msg else f"Invalid option '{option}'"
        sys.stderr.write(f"lscss: {problem}\nTry 'lscss --help' for more information.\n")
        return 1
    if isinstance(options, str):
        sys.stdout.write(options)
        return 0
    sys.stdout.write(Lister(options, os.environ.get("SYSFS_ROOT") or root + "/sys").text())
    return 0

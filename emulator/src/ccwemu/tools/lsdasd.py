# SPDX-License-Identifier: GPL-2.0-or-later
"""lsdasd: list DASDs. Prints what s390-tools 2.16.0 prints (zconf/lsdasd, lsdasd(8))."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass

from ccwemu.tools._files import S390_TOOLS_VERSION, read_line

RULE = "=" * 80
HEADERS = {
    "new": f"Bus-ID    Status    Name      Device  Type         BlkSz  Size      Blocks\n{RULE}\n",
    "uid": f"Bus-ID    Name      UID\n{RULE}\n",
}

USAGE = """Usage: lsdasd <options> [<device>]

<options> ::=
 \t-a|--offline
 \t\tInclude devices that are currently offline.
 \t-b|--base
 \t\tInclude only base devices.
 \t-h|--help
 \t\tPrint this text and exit.
 \t-s|--short
 \t\tStrip leading 0.0. from bus IDs.
 \t-u|--uid
 \t\tPrint and sort by uid.
 \t-c|--compat
 \t\tPrint old version of lsdasd output.
 \t-l|--long
 \t\tPrint extended information about DASDs.
 \t-H|--host-access-list
 \t\tPrint information about hosts accessing DASDs.
 \t-v|--verbose
 \t\tFor compatibility/future use. Currently ignored.
 \t--version
 \t\tShow tools and command version.

<device> ::= <bus ID>
 \tLimit output to one or more devices which are given as a bus ID.
"""


@dataclass
class Dasd:
    """What the attributes of one DASD say; empty strings where there is nothing."""

    path: str
    busid: str
    online: bool
    alias: bool
    uid: str
    readonly: bool
    discipline: str
    ese: bool
    name: str = ""
    major: str = ""
    minor: str = ""
    sectors: str = ""
    block_size: str = ""

    def attribute(self, name: str) -> str:
        return read_line(f"{self.path}/{name}") or ""

    @property
    def has_disk(self) -> bool:
        return bool(self.name and self.sectors)

    @property
    def formatted(self) -> bool:
        return self.has_disk and self.sectors != "0"

    @property
    def blocks(self) -> str:
        """Number of blocks of the disk; ``???`` where the block size is not known."""
        size = int(self.block_size or "0")
        return str(int(self.sectors) // (size // 512)) if size else "???"

    @property
    def megabytes(self) -> int:
        return int(self.sectors) // 2048


def busid_of(text: str) -> str | None:
    """``7e52``, ``0.0.7E52`` → the bus id, digits as given; None where it is none."""
    if re.fullmatch("[0-9a-fA-F]{1,4}", text):
        return f"0.0.{text.rjust(4, '0')}"
    match = re.fullmatch(r"([0-9a-fA-F]{1,2})\.([0-9a-fA-F]{1,2})\.([0-9a-fA-F]{1,4})", text)
    return f"{match[1]}.{match[2]}.{match[3].rjust(4, '0')}" if match else None


def _read(path: str, short: bool) -> Dasd | None:
    """Read a device directory; None where an attribute that must be there is not."""
    texts = [read_line(f"{path}/{name}") for name in ("online", "alias", "uid", "readonly", "discipline")]
    if any(text is None for text in texts):
        return None
    online, alias, uid, readonly, discipline = (text or "" for text in texts)
    busid = os.path.basename(path)
    dasd = Dasd(
        path=path,
        busid=busid.rsplit(".", 1)[-1] if short else busid,
        online=online != "0",
        alias=alias == "1",
        uid=uid.strip(),
        readonly=readonly != "0",
        discipline=discipline.strip(),
        ese=read_line(f"{path}/ese") == "1",
    )
    if dasd.online and not dasd.alias:
        _read_disk(dasd)
    elif dasd.alias:
        dasd.name = "a"  # only sorts
    return dasd


def _read_disk(dasd: Dasd) -> None:
    try:
        names = sorted(name for name in os.listdir(dasd.path + "/block") if name.startswith("dasd"))
    except OSError:
        return
    if not names:
        return
    disk = f"{dasd.path}/block/{names[0]}"
    dasd.name = names[0]
    dasd.major, _colon, dasd.minor = (read_line(disk + "/dev") or "").partition(":")
    dasd.sectors = read_line(disk + "/size") or ""
    dasd.block_size = read_line(disk + "/queue/hw_sector_size") or ""


def find(sysfs: str, wanted: list[str], short: bool) -> list[Dasd]:
    """The DASDs bound to a DASD driver; ``wanted`` bus ids only, where any is given."""
    found = []
    for driver in ("dasd-eckd", "dasd-fba"):
        directory = f"{sysfs}/bus/ccw/drivers/{driver}"
        try:
            names = [name for name in os.listdir(directory) if "." in name]
        except OSError:
            continue
        for name in names:
            # "0.0.7e52" also finds 10.0.7e52: the real program looks for the text at the end of the path.
            if wanted and not any(name.endswith(busid) for busid in wanted):
                continue
            dasd = _read(os.path.realpath(f"{directory}/{name}"), short)
            if dasd is not None:
                found.append(dasd)
    return found


def row(dasd: Dasd, base_only: bool) -> str:
    """One line of the table."""
    if not dasd.online:
        return f"{dasd.busid:<8}  offline\n"
    if dasd.alias:
        return "" if base_only else f"{dasd.busid:<8}  alias {dasd.discipline:>26}\n"
    readonly = "(ro)" if dasd.readonly else ""
    status, size, blocks, block_size = "active", "", "", dasd.block_size
    if dasd.has_disk and not dasd.formatted:
        status, block_size = "n/f", ""
    elif dasd.formatted:
        size, blocks, block_size = f"{dasd.megabytes}MB", dasd.blocks, dasd.block_size or "???"
    discipline = dasd.discipline + (" (ESE)" if dasd.ese else "")
    return (
        f"{dasd.busid:<8}  {status:<6}{readonly:<2}  {dasd.name:<8}  {dasd.major:<2}:{dasd.minor:<2}   "
        f"{discipline:<11}  {block_size:<4}   {size:<8}  {blocks}\n"
    )


def uid_row(dasd: Dasd, base_only: bool) -> str:
    """One line of the table of -u."""
    if dasd.alias and base_only:
        return ""
    name = "offline" if not dasd.online else "alias" if dasd.alias else dasd.name
    return f"{dasd.busid:<8}  {name:<8}  {dasd.uid}\n"


def old_row(dasd: Dasd, base_only: bool, with_uid: bool) -> str:
    """One line of -c."""
    uid = dasd.uid if with_uid else ""
    if not dasd.online:
        return f"{dasd.busid}({dasd.discipline}){uid} : offline\n"
    if dasd.alias:
        return "" if base_only else f"{dasd.busid}({dasd.discipline}){uid} : alias\n"
    readonly = "(ro)" if dasd.readonly else ""
    start = (
        f"{dasd.busid}({dasd.discipline:<4}){uid} at ({dasd.major:>3}:{dasd.minor:>3}) is {dasd.name:<7}{readonly:>4}: "
    )
    if not dasd.has_disk:
        return start + "active\n"
    if not dasd.formatted:
        return start + "n/f\n"
    return start + f"active at blocksize {dasd.block_size or '???'}, {dasd.blocks} blocks, {dasd.megabytes} MB\n"


_PATH_LISTS = (
    ("paths_installed: \t\t\t", 0), ("paths_in_use: \t\t\t", 1), ("paths_non_preferred: \t\t\t", 2),
    ("paths_invalid_cabling: \t\t", 3), ("paths_cuir_quiesced: \t\t\t", 4),
    ("paths_invalid_hpf_characteristics: \t", 5), ("paths_error_threshold_exceeded: \t", 6),
)  # fmt: skip


def _path_lists(dasd: Dasd) -> list[str]:
    """The CHPIDs under each mask of a device, each list eight places wide (a blank for an empty one)."""
    subchannel = os.path.dirname(dasd.path)
    chpids = (read_line(subchannel + "/chpids") or "").split()
    installed = (read_line(subchannel + "/pimpampom") or "0").split()[:1]
    masks = [*installed, *(dasd.attribute("path_masks").split() + ["0"] * 6)[:6]]
    lines = []
    for title, index in _PATH_LISTS:
        mask = int(masks[index] or "0", 16)
        used = [chpid for bit, chpid in enumerate(chpids[:8]) if mask & (0x80 >> bit)]
        lines.append(title + " ".join((used + [" "] * 8)[:8]))
    return lines


def long_rows(dasd: Dasd, base_only: bool) -> str:
    """The paragraph of -l."""
    if dasd.alias and base_only:
        return ""
    flags = [
        f"use_diag:\t\t\t\t{dasd.attribute('use_diag')}",
        f"readonly:\t\t\t\t{int(dasd.readonly)}",
        f"eer_enabled:\t\t\t\t{dasd.attribute('eer_enabled')}",
        f"erplog:\t\t\t\t{dasd.attribute('erplog')}",
        f"hpf:\t\t\t\t\t{dasd.attribute('hpf')}" + (" " if dasd.online and dasd.alias else ""),
        f"uid:  \t\t\t\t{dasd.uid}",
    ]
    security = f"fc_security: \t\t\t\t{dasd.attribute('fc_security')}"
    kind = dasd.discipline + (" (ESE)" if dasd.ese and not dasd.alias else "")
    title = dasd.busid
    if not dasd.online:
        lines = ["status:\t\t\t\toffline", *flags]
    elif dasd.alias:
        lines = ["status:\t\t\t\talias", f"type: \t\t\t\t{kind}", *flags, security]
    else:
        title = f"{dasd.busid}/{dasd.name}/{dasd.major}{':' if dasd.formatted else ''}{dasd.minor}"
        unformatted = dasd.has_disk and not dasd.formatted
        lines = [
            f"status:\t\t\t\t{'n/f' if unformatted else 'active'}",
            f"type: \t\t\t\t{kind}",
            f"blksz:\t\t\t\t{dasd.block_size or ('???' if dasd.formatted else '')}",
            f"size: \t\t\t\t{f'{dasd.megabytes}MB' if dasd.formatted else ''}",
            f"blocks:\t\t\t\t{dasd.blocks if dasd.formatted else ''}",
            f"extent_size:\t\t\t\t{dasd.attribute('extent_pool/extent_size')}",
            f"logical_capacity:\t\t\t{dasd.attribute('capacity/logical_capacity')}",
            f"space_allocated:\t\t\t{dasd.attribute('capacity/space_allocated')}",
            *flags,
            security,
        ]
    return "\n  ".join([title, *lines, *_path_lists(dasd)]) + "\n\n"


_SWITCHES = {
    "--help": "help", "-h": "help", "--verbose": "verbose", "-v": "verbose", "--offline": "offline", "-a": "offline",
    "--short": "short", "-s": "short", "--uid": "uid", "-u": "uid", "--base": "base", "-b": "base",
    "--compat": "old", "-c": "old", "--long": "long", "-l": "long", "--host-access-list": "host", "-H": "host",
    "--version": "version",
}  # fmt: skip


def main(argv: list[str], root: str = "") -> int:
    """List the DASDs of the sysfs under ``root``."""
    switches: set[str] = set()
    style = "new"
    wanted: list[str] = []
    for word in argv:
        switch = _SWITCHES.get(word)
        if switch == "help":
            sys.stdout.write(USAGE)
            return 0
        if switch == "version":
            sys.stdout.write(f"lsdasd: version {S390_TOOLS_VERSION}\nCopyright IBM Corp. 2003, 2017\n")
            return 0
        if switch in ("old", "long", "host"):
            style = switch
        elif switch:
            switches.add(switch)
        elif word.startswith("-"):
            sys.stdout.write(f"lsdasd: Invalid option {word}\nTry 'lsdasd --help' for more information.\n")
            return 1
        else:
            busid = busid_of(word)
            if busid is None:
                sys.stdout.write(f"lsdasd: ERROR: {word} no device format\n")
                return 1
            wanted.append(busid)
        if style == "long" and "uid" in switches:
            sys.stdout.write("lsdasd: ERROR: invalid options specified\n")
            return 1
    return _print(root + "/sys", style, switches, wanted)


def _print(sysfs: str, style: str, switches: set[str], wanted: list[str]) -> int:
    by_uid, base = "uid" in switches, "base" in switches
    if by_uid and style != "old":
        sys.stdout.write(HEADERS["uid"])
    elif style == "new":
        sys.stdout.write(HEADERS["new"])
    dasds = [dasd for dasd in find(sysfs, wanted, "short" in switches) if dasd.online or "offline" in switches]
    if style == "host":
        # Its data come from debugfs, which an emulated node does not have.
        if dasds:
            sys.stderr.write("lsdasd: No debugfs mount point found\n")
        return 0
    lines = []
    for dasd in dasds:
        if style == "old":
            text = old_row(dasd, base, by_uid)
        elif style == "long":
            text = long_rows(dasd, base)
        else:
            text = uid_row(dasd, base) if by_uid else row(dasd, base)
        key = dasd.uid if by_uid else dasd.name
        lines.append((len(key), key, text))
    sys.stdout.write("".join(text for *_key, text in sorted(lines)))
    return 0

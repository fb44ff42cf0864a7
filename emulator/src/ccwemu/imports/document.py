# SPDX-License-Identifier: GPL-2.0-or-later
"""The description of a real host, a JSON document of format 1: parsed, and refused where it is not sound.

It comes from another machine and is not trusted: every text that is to be used has a form, every list a bound. Keys
that are not known are passed over; a later writer may say more.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import yaml

from ccwemu.lab.devices import busid
from ccwemu.lab.fields import Fields, LabError, Value, boolean, choice, integer, listed, pattern, text
from ccwemu.machine import versions
from ccwemu.namespace.given import GivenFile, problem

FORMAT = 1
LARGEST = 256 << 20
"""Bytes of a document: ten thousand devices take 10 MiB."""
MOST = 65536
"""Entries of a list."""

FILES = (
    "/etc/crypttab", "/etc/driverctl.d/", "/etc/fstab", "/etc/libvirt/qemu/", "/etc/mdevctl.d/", "/etc/modprobe.d/",
    "/etc/modules", "/etc/modules-load.d/", "/etc/systemd/system/", "/etc/udev/rules.d/", "/etc/vfio_ccw/guests/",
    "/var/lib/vfio_ccw/",
)  # fmt: skip
"""Where the files of a description may lie."""

uuid = pattern(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "a UUID")
line = pattern(r"[^\0\n]{0,4096}", "a text of one line")
machine_id = pattern(r"([0-9a-f]{32})?", "32 hexadecimal digits")
guest_name = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}", "a name of letters, digits, dots, hyphens and underscores")
guest_devno = pattern(r"([0-9a-f]{1,2}\.[0-3]\.[0-9a-f]{4})?", "a device number such as fe.0.1234")
types = pattern(r"[0-9a-f]{4}/[0-9a-f]{2}|n/a|", "type and model such as 3990/e9")
option = pattern(r"[ymn]|[^\0\n]{0,200}", "y, m or n")
parameter = pattern(r"[A-Za-z0-9_.]{0,100}", "the name of a kernel parameter")
boot_file = pattern(r"/(proc|etc|boot)/[A-Za-z0-9_.+/-]{1,200}", "a file with kernel parameters")
path_mask = integer(0, 0xFF, 16)
chpid = integer(0, 0xFF, 16)


@dataclass(frozen=True)
class Use:
    """What a disk is used for: ``kind`` mounted, swap or volume; ``partition`` 0 is the whole disk."""

    kind: str
    name: str
    partition: int


@dataclass(frozen=True)
class Subchannel:
    """A subchannel with what is behind it. Types are "3990/e9", "n/a" or "" where there is no CCW device."""

    busid: str
    type: str
    driver: str
    device: str
    chpids: tuple[int, ...]
    pim: int
    pam: int
    pom: int
    cu: str = ""
    dev: str = ""
    ccw_driver: str = ""
    online: bool = False
    alias: bool = False
    aliases: tuple[str, ...] = ()
    """Device numbers of the PAV aliases of a base device."""
    read_only: bool = False
    uid: str = ""
    size: int = 0
    partitions: int = 0
    uses: tuple[Use, ...] = ()
    mdevs: tuple[str, ...] = ()
    kept_driver: str = ""
    kept_mdevs: tuple[str, ...] = ()
    refusals: tuple[tuple[str, str], ...] = ()
    """Why it would not be passed through: id, what was found."""


@dataclass(frozen=True)
class Guest:
    """A guest with its mediated devices (UUID, device number)."""

    name: str
    hypervisor: str
    running: bool
    devices: tuple[tuple[str, str], ...]
    argv: tuple[str, ...]


@dataclass(frozen=True)
class Host:
    """A description. ``parameters``: source, name, value."""

    name: str
    machine_id: str
    release: str
    config: tuple[tuple[str, str], ...]
    modules: tuple[str, ...]
    driver: bool
    parameters: tuple[tuple[str, str, str], ...]
    qemu: str
    ignored: tuple[str, ...]
    subchannels: tuple[Subchannel, ...]
    guests: tuple[Guest, ...]
    files: tuple[GivenFile, ...]
    left_out: tuple[tuple[str, str], ...]


class Row(Fields):
    """A mapping of which some keys are known."""

    def __init__(self, value: Value) -> None:
        super().__init__(value, tuple(value.entries()))


def read(path: str) -> Host:
    """Raises LabError: which key, what was found, what is expected."""
    top = Row(_load(path))
    found = top.take("format", text)
    if found != str(FORMAT):
        raise top["format"].error(f"found {found!r}", f"{FORMAT}: another ccwemu reads this one")
    kernel = top.take("kernel", Row)
    return Host(
        name=top.take("host", line),
        machine_id=top.take("machine_id", machine_id, ""),
        release=kernel.take("release", _release),
        config=tuple((key, option(entry)) for key, entry in kernel.take("config", _options, {}).items()),
        modules=kernel.take("modules", _many(line), ()),
        driver=kernel.take("driver", boolean, True),
        parameters=kernel.take("parameters", _many(_parameter), ()),
        qemu=top.take("qemu", line, ""),
        ignored=top.take("ignored", _many(line), ()),
        subchannels=top.take("subchannels", _many(_subchannel)),
        guests=top.take("guests", _many(_guest), ()),
        files=top.take("files", _many(_file), ()),
        left_out=top.take("left_out", _many(_left), ()),
    )


def _load(path: str) -> Value:
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise LabError(f"{path}: has more than {LARGEST >> 20} MiB, which no description of a host has")
        found = json.loads(data)
    except OSError as error:
        raise LabError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise LabError(f"{path}: not JSON: {error}; expected what the module host_export returns") from None
    return Value(_node(found), path, "")


def _node(found: Any) -> yaml.Node:
    """As the reader of definitions knows it: the same errors, the same converters."""
    mark = yaml.Mark("", 0, 0, 0, "", 0)
    if isinstance(found, dict):
        pairs = [(_node(key), _node(value)) for key, value in found.items()]
        return yaml.MappingNode("tag:yaml.org,2002:map", pairs, mark, mark)
    if isinstance(found, list):
        return yaml.SequenceNode("tag:yaml.org,2002:seq", [_node(one) for one in found], mark, mark)
    if found is None:
        return yaml.ScalarNode("tag:yaml.org,2002:null", "", mark, mark)
    word = str(found).lower() if isinstance(found, bool) else str(found)
    return yaml.ScalarNode("tag:yaml.org,2002:str", word, mark, mark)


def _many(convert: Any) -> Any:
    def convert_all(value: Value) -> Any:
        if len(value.items()) > MOST:
            raise value.error(f"found {len(value.items())} entries", f"at most {MOST}")
        return listed(convert)(value)

    return convert_all


def _release(value: Value) -> str:
    release = line(value)
    try:
        versions.parse_release(release)
    except ValueError as error:
        raise value.error(str(error), "a kernel that can be emulated") from None
    return release


def _options(value: Value) -> dict[str, Value]:
    entries = value.entries()
    for key, entry in entries.items():
        if not key.startswith("CONFIG_") or not key.replace("_", "").isalnum():
            raise entry.error(f"found {key!r}", "a symbol of the kernel's configuration such as CONFIG_VFIO_CCW")
    return entries


def _parameter(value: Value) -> tuple[str, str, str]:
    row = Row(value)
    return row.take("source", boot_file), row.take("name", parameter), row.take("value", line)


def _subchannel(value: Value) -> Subchannel:
    row = Row(value)
    kind = row.take("type", line)
    io = kind == "io"
    ccw, disk, boot = row.take("ccw", Row), row.take("disk", Row, None), row.take("at_boot", Row, None)
    device = row.take("device", text_or_nothing)
    return Subchannel(
        busid=row.take("subchannel", busid),
        type=kind,
        driver=row.take("driver", line),
        device=busid(row["device"]) if device else "",
        chpids=row.take("chpids", listed(chpid)) if io else (),
        pim=row.take("pim", path_mask) if io else 0,
        pam=row.take("pam", path_mask) if io else 0,
        pom=row.take("pom", path_mask) if io else 0,
        cu=ccw.take("control_unit", types, ""),
        dev=ccw.take("type", types, ""),
        ccw_driver=ccw.take("driver", line, ""),
        online=ccw.take("online", boolean, False),
        alias=ccw.take("alias", boolean, False),
        aliases=ccw.take("aliases", _many(busid), ()),
        read_only=ccw.take("read_only", boolean, False),
        uid=ccw.take("uid", line, ""),
        size=disk.take("size", integer(0, 1 << 50), 0) if disk else 0,
        partitions=disk.take("partitions", integer(0, 256), 0) if disk else 0,
        uses=disk.take("uses", _many(_use), ()) if disk else (),
        mdevs=tuple(Row(mdev).take("uuid", uuid) for mdev in row.take("mdevs", Value.items, [])),
        kept_driver=boot.take("driver", line, "") if boot else "",
        kept_mdevs=boot.take("mdevs", listed(uuid), ()) if boot else (),
        refusals=row.take("refusals", _many(_refusal), ()),
    )


def _refusal(value: Value) -> tuple[str, str]:
    row = Row(value)
    return row.take("id", pattern(r"[a-z-]{1,50}", "the id of a refusal")), " ".join(row.take("found", text).split())


def text_or_nothing(value: Value) -> str:
    return "" if value.is_empty() else value.text()


def _use(value: Value) -> Use:
    row = Row(value)
    kind = row.take("kind", choice("mounted", "swap", "volume"))
    return Use(kind, row.take("name", line), row.take("partition", integer(0, 256)))


def _guest(value: Value) -> Guest:
    row = Row(value)
    devices = [Row(one) for one in row.take("devices", Value.items, [])]
    return Guest(
        row.take("name", guest_name),
        row.take("hypervisor", choice("qemu", "libvirt")),
        row.take("running", boolean, False),
        tuple((one.take("uuid", uuid), one.take("devno", guest_devno)) for one in devices),
        row.take("argv", _many(pattern(r"[^\0]{0,4096}", "a word of a command line")), ()),
    )


def _file(value: Value) -> GivenFile:
    row = Row(value)
    path = row.take("path", line)
    if problem(path) or not any(path.startswith(place) if place[-1] == "/" else path == place for place in FILES):
        raise row["path"].error(f"found {path!r}", f"a file below one of {', '.join(FILES)}")
    return GivenFile(path, row.take("text", text_or_nothing), row.take("mode", integer(0, 0o777, 8), GivenFile.mode))


def _left(value: Value) -> tuple[str, str]:
    row = Row(value)
    return row.take("what", line), " ".join(row.take("why", text).split())

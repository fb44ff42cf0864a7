# SPDX-License-Identifier: GPL-2.0-or-later
"""The definition of a lab: YAML → :class:`~ccwemu.lab.spec.LabSpec`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

import yaml

from ccwemu.guest.release import KNOWN as QEMUS
from ccwemu.guestimage.image import KERNELS
from ccwemu.lab import ranges
from ccwemu.lab.devices import busid, chpid, read_devices
from ccwemu.lab.fields import (
    Fields,
    LabError,
    Value,
    boolean,
    choice,
    integer,
    listed,
    load,
    pattern,
    text,
    texts,
)
from ccwemu.lab.spec import GuestSpec, HostSpec, LabSpec
from ccwemu.lab.volumes import read_volumes
from ccwemu.machine import spec as machine
from ccwemu.machine import versions
from ccwemu.machine.spec import ChpidSpec, MachineSpec
from ccwemu.namespace import given
from ccwemu.namespace.given import GivenFile

SEED = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "labs", "seed.yml")

name = pattern(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?", "a name of small letters, digits and hyphens")
symbol = re.compile(r"CONFIG_[A-Z0-9_]+")

_REAL_KEYS = ("kernel", "ssh_port")
"""What only a guest of kind real has."""
_MANY = 10
"""Hosts up to which an error names them."""


def read_lab(path: str, lab: str | None = None) -> LabSpec:
    """Read a definition; ``seed`` is the one that comes with the emulator. ``lab`` takes the place of the lab's name.

    Raises LabError.
    """
    path = SEED if path == "seed" and not os.path.exists(path) else path
    fields = Fields(load(path), ("lab", "hosts", "guests"))
    hosts: dict[str, HostSpec] = {}
    for key, entry in fields.take("hosts", Value.entries).items():
        for each in _names(key, entry):
            if each in hosts:
                raise entry.error(f"there is a host {each} already", "another name")
            hosts[each] = _host(each, entry)
    if not hosts:
        raise fields["hosts"].error("found no host", "at least one")
    guests: dict[str, GuestSpec] = {}
    for key, entry in fields.take("guests", Value.entries, {}).items():
        for guest in _guests(key, entry, hosts):
            if guest.name in guests:
                raise entry.error(f"there is a guest {guest.name} already", "another name")
            guests[guest.name] = guest
    return LabSpec(
        lab or fields.take("lab", name), os.path.abspath(path), tuple(hosts.values()), tuple(guests.values())
    )


def _guests(key: str, value: Value, hosts: Mapping[str, HostSpec]) -> list[GuestSpec]:
    """One entry of ``guests``: a guest, or a range of them, on one host or on a range of as many."""
    found = _names(key, value)
    for each in found:
        if each in hosts:
            raise value.error(f"a host has the name {each}", "another name for the guest")
    fields = Fields(value, ("host", "kind", *_REAL_KEYS))
    kind = fields.take("kind", choice("quick", "real"), "quick")
    for word in _REAL_KEYS:
        if kind != "real" and word in fields:
            raise fields[word].error(f"a guest of kind {kind} has none", "kind: real, or no such key")
    placed = _hosts_of(fields, len(found), hosts)
    kernel, port = fields.take("kernel", choice(*KERNELS), KERNELS[0]), fields.take("ssh_port", integer(1, 65535), 0)
    if port + len(found) - 1 > 65535:
        raise fields["ssh_port"].error(f"found {port} for the first of {len(found)} guests", "a lower one")
    for host in placed:
        if kind == "real" and hosts[host].qemu:
            wrong = f"host {host} has QEMU {hosts[host].qemu}, which is for quick guests"
            raise value.error(wrong, "a host without 'qemu': a real guest runs in the machine's own")
    return [
        GuestSpec(each, host, kind, kernel, port and port + step)
        for step, (each, host) in enumerate(zip(found, placed, strict=True))
    ]


def _hosts_of(fields: Fields, count: int, hosts: Mapping[str, HostSpec]) -> Sequence[str]:
    given = fields.take("host", text)
    try:
        found = ranges.spread(given, count)
    except ValueError:
        raise fields["host"].error(f"found {given!r} for {count} guest(s)", "a host, or a range of as many") from None
    for host in found:
        if host not in hosts:
            known = " or ".join(hosts) if len(hosts) <= _MANY else f"one of the {len(hosts)} hosts of the lab"
            raise fields["host"].error(f"found {host!r}", known)
    return found


def _names(key: str, value: Value) -> list[str]:
    """The names that a key stands for."""
    try:
        found = ranges.names(key)
    except ValueError:
        raise value.error(f"found the name {key!r}", ranges.NAMES_EXPECTED) from None
    for each in found:
        _check_name(each, value)
    return found


def _check_name(key: str, value: Value) -> None:
    try:
        name(Value(_scalar(key, value), value.file, value.key))
    except LabError:
        raise value.error(f"found the name {key!r}", "a name of small letters, digits and hyphens") from None


def _scalar(key: str, value: Value) -> yaml.ScalarNode:
    return yaml.ScalarNode("tag:yaml.org,2002:str", key, value.node.start_mark, value.node.end_mark)


# -- hosts ------------------------------------------------------------------------------------------------------------

_HOST_KEYS = (
    "kernel", "qemu", "libvirt", "config", "modules", "cmdline", "cio_ignore", "chpids", "devices", "volumes", "files",
    "commands", "ipl", "dump",
)  # fmt: skip


def _host(key: str, value: Value) -> HostSpec:
    fields = Fields(value, _HOST_KEYS)
    defaults = MachineSpec(key)
    devices = read_devices(fields, key)
    uses = read_volumes(fields.take("volumes", Value.items, []), devices)
    qemu = fields.take("qemu", choice(*QEMUS), "")
    libvirt = fields.take("libvirt", boolean, False)
    if libvirt and qemu:
        raise fields["libvirt"].error(f"the host has QEMU {qemu}, for quick guests", "no key 'qemu' beside it")
    spec = MachineSpec(
        name=key,
        kernel=fields.take("kernel", _kernel, defaults.kernel),
        config=fields.take("config", _config, {}),
        chpids=fields.take("chpids", _chpids, ()),
        subchannels=tuple(device.subchannel for device in devices),
        cio_ignore=fields.take("cio_ignore", text, ""),
        modules=fields.take("modules", listed(text), defaults.modules),
        cmdline=fields.take("cmdline", text, defaults.cmdline),
        swaps=(*(device.swap for device in devices if device.swap is not None), *uses.swaps),
        volumes=(*(volume for device in devices for volume in device.volumes), *uses.volumes),
        ipl=fields.take("ipl", busid, ""),
        dump=fields.take("dump", busid, ""),
    )
    try:
        machine.check(spec)
    except machine.SpecError as error:
        raise value.error(str(error), "a machine that can be") from None
    return HostSpec(
        key,
        spec,
        tuple(device.disk for device in devices if device.disk is not None),
        (*(device.mount for device in devices if device.mount is not None), *uses.mounts),
        qemu,
        libvirt,
        fields.take("files", _files, ()),
        fields.take("commands", listed(_command), ()),
    )


def _files(value: Value) -> tuple[GivenFile, ...]:
    """Path → text, or → text and mode."""
    return tuple(_file(path, entry) for path, entry in value.entries().items())


def _file(path: str, value: Value) -> GivenFile:
    wrong = given.problem(path)
    if wrong:
        raise value.error(f"found the path {path!r}: {wrong}", "the path of a file of the host's own")
    if not isinstance(value.node, yaml.MappingNode):
        return GivenFile(path, "" if value.is_empty() else value.text())
    fields = Fields(value, ("text", "mode"))
    return GivenFile(path, fields.take("text", text), fields.take("mode", integer(0, 0o777, 8), GivenFile.mode))


def _command(value: Value) -> tuple[str, ...]:
    words = listed(text)(value)
    if not words or not words[0]:
        raise value.error("found no command", "a list of its words, such as [modprobe, vfio_ccw]")
    return words


def _kernel(value: Value) -> str:
    release = value.text("a kernel release such as 6.1.0-29-s390x")
    try:
        versions.parse_release(release)
    except ValueError as error:
        raise value.error(str(error), "a kernel release such as 6.1.0-29-s390x") from None
    return release


def _config(value: Value) -> Mapping[str, str]:
    for key, entry in value.entries().items():
        if not symbol.fullmatch(key):
            raise entry.error(f"found {key!r}", "a symbol of the kernel's configuration such as CONFIG_VFIO_CCW")
    return texts(value)


def _chpids(value: Value) -> tuple[ChpidSpec, ...]:
    specs = []
    for key, entry in value.entries().items():
        number = chpid(Value(_scalar(key, entry), entry.file, entry.key))
        if entry.is_empty():
            specs.append(ChpidSpec(number))
            continue
        fields = Fields(entry, ("type", "online", "chid", "configurable"))
        specs.append(
            ChpidSpec(
                number,
                type=fields.take("type", integer(0, 0xFF, 16), machine.CHPID_FICON),
                online=fields.take("online", boolean, True),
                chid=fields.take("chid", integer(0, 0xFFFF, 16), None),
                configurable=fields.take("configurable", boolean, False),
            )
        )
    return tuple(specs)

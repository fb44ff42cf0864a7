# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests that a host has: start scripts of this collection and libvirt's domains. Nothing here changes anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .._busid import BadName
from .._host import Host, HostError
from ..libvirt._domain import hostdevs
from ..libvirt._xml import BadXml, parse
from ..qemu._guest import running_argv
from ..qemu._qemu import SCRIPT_DIRECTORY, Guest

QEMU, LIBVIRT = "qemu", "libvirt"
DOMAINS = "/etc/libvirt/qemu"
"""Where libvirtd keeps a file NAME.xml for each domain (src/qemu/qemu_conf.c, configDir)."""
DOMAINS_RUNNING = "/run/libvirt/qemu"
"""NAME.pid for each domain that runs (stateDir)."""

_MDEV = re.compile(r"/sys/bus/mdev/devices/([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})")


@dataclass(frozen=True)
class KnownGuest:
    """``uuids``: the mediated devices that its configuration names. ``running``: None when this user cannot tell."""

    name: str
    hypervisor: str
    running: bool | None
    uuids: tuple[str, ...] = ()


def list_guests(host: Host) -> list[KnownGuest]:
    """In order of their names. A configuration that cannot be read names no devices."""
    return sorted([*_scripts(host), *_domains(host)], key=lambda one: (one.name, one.hypervisor))


def _text(host: Host, path: str) -> str:
    try:
        return host.read(path)
    except HostError:
        return ""


def _scripts(host: Host) -> Iterator[KnownGuest]:
    for file in host.names(SCRIPT_DIRECTORY):
        if file.endswith(".sh"):
            name, script = file[: -len(".sh")], _text(host, f"{SCRIPT_DIRECTORY}/{file}")
            running = running_argv(host, Guest(name, ()).pid_file)[0] != 0
            known = running or host.is_root()
            yield KnownGuest(name, QEMU, running if known else None, _distinct(_MDEV.findall(script)))


def _domains(host: Host) -> Iterator[KnownGuest]:
    for file in host.names(DOMAINS):
        if file.endswith(".xml"):
            name = file[: -len(".xml")]
            pid = _text(host, f"{DOMAINS_RUNNING}/{name}.pid").strip()
            running = pid.isdigit() and host.exists(f"/proc/{pid}/cmdline")
            known = running or host.is_root()
            yield KnownGuest(name, LIBVIRT, running if known else None, _hostdevs(_text(host, f"{DOMAINS}/{file}")))


def _hostdevs(xml: str) -> tuple[str, ...]:
    """The mediated devices that a domain's definition names."""
    try:
        return _distinct([hostdev.uuid for hostdev in hostdevs(parse(xml, "domain"))])
    except (BadXml, BadName):
        return ()


def _distinct(uuids: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(uuid.lower() for uuid in uuids if uuid))

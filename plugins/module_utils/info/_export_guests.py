# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guests of a host with their passed-through devices: those with a start script of this collection, and libvirt's.

A guest's definition may hold secrets (the password of a display, for one). Of a start script the values of such
options are taken out, of libvirt's XML nothing but what concerns channel devices goes along.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any, Protocol

from .._host import Host
from .._releases import NotPossible
from ..libvirt._domain import channel_elements, hostdevs
from ..libvirt._xml import BadXml, dump, parse
from ..qemu._command import options, properties
from ..qemu._guest import running_argv
from ..qemu._qemu import RUN_DIRECTORY, SCRIPT_DIRECTORY

LIBVIRT_DIRECTORY = "/etc/libvirt/qemu"
LIBVIRT_RUN = "/run/libvirt/qemu"
REMOVED = "REMOVED"
_SECRET = re.compile(r"(?i)\b(data|passw(?:or)?d|password-secret|secret|token)=(?!on\b|off\b)[^,'\"\s]+")
_KEPT = ("name", "uuid", "memory", "currentMemory", "vcpu")
"""What of a domain goes along besides the machine and the passed-through channel devices."""


class Files(Protocol):
    """Who takes files along."""

    def take(self, path: str, change: Callable[[str], str] | None = None) -> None:
        """A file, changed on the way where that is asked."""

    def leave(self, what: str, why: str) -> None:
        """Say that something stays behind."""


class Guests:
    """``found``: name, hypervisor (qemu or libvirt), running, and the mediated devices (uuid, devno) of each."""

    def __init__(self, host: Host, files: Files) -> None:
        self._host = host
        self._files = files
        self.found: list[dict[str, Any]] = []
        for name in host.names(SCRIPT_DIRECTORY):
            if name.endswith(".sh"):
                self._script(name[: -len(".sh")])
        for name in host.names(LIBVIRT_DIRECTORY):
            if name.endswith(".xml"):
                self._domain(f"{LIBVIRT_DIRECTORY}/{name}")

    def _script(self, name: str) -> None:
        self._files.take(f"{SCRIPT_DIRECTORY}/{name}.sh", without_secrets)
        pid, argv = running_argv(self._host, f"{RUN_DIRECTORY}/{name}.pid")
        argv = [without_secrets(word) for word in argv]
        guest = {"name": name, "hypervisor": "qemu", "running": bool(pid), "devices": passed(argv), "argv": argv}
        self.found.append(guest)

    def _domain(self, path: str) -> None:
        try:
            domain = parse(self._host.get(path), "domain")
            found = hostdevs(domain)
        except BadXml as exc:
            self._files.leave(path, str(exc))
            return
        self._files.take(path, lambda text: reduced(domain))
        name = domain.findtext("name") or ""
        pid = self._host.get(f"{LIBVIRT_RUN}/{name}.pid")
        running = pid.isdigit() and self._host.exists(f"/proc/{pid}")
        devices = [{"uuid": one.uuid, "devno": str(one.devno or "")} for one in found]
        guest = {"name": name, "hypervisor": "libvirt", "running": running, "devices": devices, "argv": []}
        self.found.append(guest)


def without_secrets(text: str) -> str:
    """The text of a command line, or of a script, with the values of options that are secret taken out."""
    return _SECRET.sub(lambda match: f"{match.group(1)}={REMOVED}", text)


def passed(argv: list[str]) -> list[dict[str, str]]:
    """The mediated devices of QEMU's command line."""
    found = []
    for option, value in options(argv) if argv else ():
        if option.lstrip("-") != "device":
            continue
        try:
            device = properties(value, "driver")
        except NotPossible:
            continue
        if device.get("driver") == "vfio-ccw":
            uuid = device.get("sysfsdev", "").rstrip("/").rsplit("/", 1)[-1]
            found.append({"uuid": uuid, "devno": device.get("devno", "")})
    return found


def reduced(domain: ET.Element) -> str:
    """What of a domain concerns channel devices."""
    kept = ET.Element("domain", {"type": domain.get("type", "kvm")})
    kept.extend(element for name in _KEPT for element in domain.findall(name))
    ET.SubElement(kept, "os").extend(domain.findall("os/type"))
    ET.SubElement(kept, "devices").extend(channel_elements(domain))
    return dump(kept)

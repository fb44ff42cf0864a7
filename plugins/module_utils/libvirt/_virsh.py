# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt through its command virsh: argument vectors out, types in.

virsh is on every host with libvirt; python3-libvirt, the binding, is not, and would have to be there for the Python
that Ansible happens to use. XML goes in on standard input, so nothing is left behind in a file. What virsh prints is
read at this edge only.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass

from .._host import Host, HostError
from .._releases import NotPossible
from ._versions import LibvirtVersion
from ._xml import BadXml, dump, parse

STDIN = "/dev/stdin"
URI = "qemu:///system"
"""The libvirt of the host."""
_LINE = re.compile(r"^([A-Z][^:\n]*):[ \t]*(.*)$", re.MULTILINE)


class LibvirtError(Exception):
    """virsh is not there, does not reach libvirt, or libvirt does not do what it is told."""


@dataclass(frozen=True)
class DomainInfo:
    """What libvirt says of a domain. ``active``: it has a QEMU process; ``persistent``: it has a definition."""

    uuid: str
    state: str
    active: bool
    persistent: bool
    autostart: bool


class Virsh:
    """virsh on a host, connected to ``uri``."""

    def __init__(self, host: Host, uri: str) -> None:
        self._host = host
        self.uri = uri

    def run(self, *arguments: str, xml: ET.Element | None = None) -> str:
        """What the command prints. Raises LibvirtError with what virsh says."""
        code, out, err = self.try_run(*arguments, xml=xml)
        if code != 0:
            raise LibvirtError(f"virsh {' '.join(arguments)}: {said(err) or f'it ended with {code}'}")
        return out

    def try_run(self, *arguments: str, xml: ET.Element | None = None) -> tuple[int, str, str]:
        argv = ["virsh", "--quiet", "--connect", self.uri, *arguments]
        try:
            code, out, err = self._host.run(argv, "" if xml is None else dump(xml))
        except HostError as exc:
            raise LibvirtError(
                f"{exc}: libvirt cannot be spoken to. Install virsh on the host (Debian: libvirt-clients, Fedora: "
                "libvirt-client)"
            ) from exc
        if code != 0 and "failed to connect to the hypervisor" in err:
            raise LibvirtError(
                f"virsh cannot connect to {self.uri}: {said(err)}. See that libvirtd or virtqemud runs on the host "
                "and that uri names it"
            )
        return code, out, err

    def version(self) -> LibvirtVersion:
        """The daemon's. Raises LibvirtError.

        virsh asks the hypervisor in between and fails where there is none for the host's own architecture; what it
        has printed by then is enough.
        """
        _code, out, err = self.try_run("version", "--daemon")
        try:
            return LibvirtVersion.parse(out)
        except NotPossible as exc:
            raise LibvirtError(f"virsh version: {exc} {said(err)}") from exc

    def info(self, name: str) -> DomainInfo | None:
        """None where there is no such domain. Raises LibvirtError."""
        lines = self.lines_of("dominfo", "--domain", name, unless="failed to get domain")
        if lines is None:
            return None
        return DomainInfo(
            uuid=lines.get("UUID", ""),
            state=lines.get("State", ""),
            active=lines.get("Id", "-") != "-",
            persistent=lines.get("Persistent") == "yes",
            autostart=lines.get("Autostart") == "enable",
        )

    def lines_of(self, *arguments: str, unless: str) -> dict[str, str] | None:
        """What a command prints as lines Name: value; None where its error says ``unless``. Raises LibvirtError."""
        code, out, err = self.try_run(*arguments)
        if code != 0 and unless not in err:
            raise LibvirtError(f"virsh {' '.join(arguments)}: {said(err)}")
        return None if code != 0 else _lines(out)

    def domain(self, name: str, inactive: bool) -> ET.Element:
        """The domain's XML with its secrets, as it runs or as it is defined. Raises LibvirtError."""
        options = ["--security-info"] + (["--inactive"] if inactive else [])
        return self.xml("domain", "dumpxml", "--domain", name, *options)

    def xml(self, root: str, *arguments: str) -> ET.Element:
        """The XML that a command prints. Raises LibvirtError."""
        try:
            return parse(self.run(*arguments), root)
        except BadXml as exc:
            raise LibvirtError(f"virsh {' '.join(arguments)} printed {exc}") from exc


def _lines(out: str) -> dict[str, str]:
    return {name: value.strip() for name, value in _LINE.findall(out)}


def said(err: str) -> str:
    """virsh's errors on one line."""
    lines = [re.sub(r"^error:\s*", "", line.strip()) for line in err.splitlines()]
    return "; ".join(dict.fromkeys(filter(None, lines)))

# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine's own libvirt on an emulated host: what it needs there, and how it is started.

What differs from a host whose administrator has installed the packages is told to users in docs/labs.md.
"""

from __future__ import annotations

import os
from pathlib import Path

from ccwemu.guest.real import preload_library
from ccwemu.namespace import root
from ccwemu.namespace.launch import Bind
from ccwemu.userspace.units import UNIT_ENVIRONMENT, Unit

DAEMON = "/usr/sbin/libvirtd"
OURS = "qemu-system-s390x"

_USR = Path("/usr")
_PACKAGES = {
    "sbin/libvirtd": "libvirt-daemon",
    "lib*/**/connection-driver/libvirt_driver_qemu.so": "libvirt-daemon-driver-qemu",
    "bin/virsh": "libvirt-clients",
}
"""What of /usr is needed, and Debian's package that has it."""

_QEMU_CONF = """\
# ccwemu: what a user namespace does not allow, or has not
user = "root"
group = "root"
security_driver = "none"
remember_owner = 0
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
"""
_LIBVIRTD_CONF = """\
# ccwemu: as the package's, but for polkit, which is not there
auth_unix_ro = "none"
auth_unix_rw = "none"
"""
_CONFIGURATION = {"libvirtd.conf": _LIBVIRTD_CONF, "qemu.conf": _QEMU_CONF}

_USERS = {
    "passwd": "libvirt-qemu:x:64055:107:Libvirt Qemu,,,:/var/lib/libvirt:/usr/sbin/nologin\n",
    "shadow": "libvirt-qemu:*:19000:0:99999:7:::\n",
    "group": "kvm:x:107:\nlibvirt:x:108:\nlibvirt-qemu:x:64055:libvirt-qemu\n",
}
"""Whom the packages make: libvirtd asks for them, whoever its guests run as."""

_DIRECTORIES = {
    "etc/libvirt": [""],
    "var/cache/libvirt": ["qemu"],
    "var/lib/libvirt": ["images", "qemu"],
    "var/log/libvirt": ["qemu"],
}


class LibvirtMissing(Exception):
    """A host is to have libvirt, and the machine has not; the text says what to install."""


def require(host: str) -> None:
    """Whether a host can have it. Raises LibvirtMissing."""
    missing = [package for pattern, package in _PACKAGES.items() if not any(_USR.glob(pattern))]
    if missing:
        raise LibvirtMissing(
            f"host {host}: libvirt is not installed on this machine; run: apt-get install --no-install-recommends "
            f"{' '.join(sorted(missing))}"
        )


def install(directory: str, owner: int) -> None:
    """As the packages are installed on a host whose root file system is ``directory``; what is there already stays.

    ``owner``: the outside id of the host's root.
    """
    for top, names in _DIRECTORIES.items():
        if not Path(directory, top).exists():
            for name in names:
                Path(directory, top, name).mkdir(parents=True)
            root.give(os.path.join(directory, top), owner)
    for name, text in _CONFIGURATION.items():
        _write(Path(directory, "etc/libvirt", name), text, owner)
    for name, lines in _USERS.items():
        path = Path(directory, "etc", name)
        if f"\n{lines}" not in path.read_text(encoding="utf-8"):
            with path.open("a", encoding="utf-8") as file:
                file.write(lines)


def hide_other_emulators(directory: str) -> list[Bind]:
    """To be mounted over the machine's QEMUs of other processors: a file that nobody may execute.

    At its first question libvirtd starts each QEMU in PATH to ask what it can (virQEMUCapsInit in
    src/qemu/qemu_capabilities.c), and Debian's package with the one for s390x brings a dozen others.
    """
    cover = Path(directory, "not-on-this-host")
    cover.touch(mode=0o444)
    return [
        Bind(str(cover), f"/usr/bin/{path.name}")
        for path in sorted(_USR.glob("bin/qemu-system-*"))
        if path.name != OURS and path.is_file() and not path.is_symlink()
    ]


def _write(path: Path, text: str, owner: int) -> None:
    if not path.exists():
        path.write_text(text, encoding="ascii")
        root.give(str(path), owner)


def unit() -> Unit:
    """Its start at boot. That it listens is the end of the start; whoever asks it before it is ready waits."""
    environment = {**UNIT_ENVIRONMENT, "LD_PRELOAD": preload_library("system")}
    return Unit("libvirtd.service", commands=((DAEMON, "--daemon"),), environment=environment)

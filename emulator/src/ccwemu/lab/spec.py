# SPDX-License-Identifier: GPL-2.0-or-later
"""What a lab is made of: frozen descriptions, read from its definition by :mod:`ccwemu.lab.schema`."""

from __future__ import annotations

from dataclasses import dataclass

from ccwemu.machine.spec import MachineSpec, PlaceSpec
from ccwemu.namespace.given import GivenFile


@dataclass(frozen=True)
class DiskSpec:
    """A disk image; ``layout``: cdl (formatted, one partition), ldl or unformatted."""

    device: str
    image: str
    """File name in the lab's directory of disks, or an absolute path."""
    cylinders: int
    layout: str
    made_by_lab: bool
    sparse: bool = True
    """Of one that the lab makes: it takes room for the tracks that were touched only."""


@dataclass(frozen=True)
class MountedSpec:
    """A mount that a host has from its start: a tmpfs that shows the block device as its source."""

    place: PlaceSpec
    target: str
    files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class HostSpec:
    """An emulated host. DASDs of ``machine`` name their images as ``disks`` does."""

    name: str
    machine: MachineSpec
    disks: tuple[DiskSpec, ...] = ()
    mounts: tuple[MountedSpec, ...] = ()
    qemu: str = ""
    """The release that its qemu-system-s390x is for quick guests, "" for the one that is compared with the real one."""
    libvirt: bool = False
    """Whether the machine's own libvirtd runs on it."""
    files: tuple[GivenFile, ...] = ()
    """What it has in its file system before its first boot."""
    commands: tuple[tuple[str, ...], ...] = ()
    """Argument vectors, run as its root after its first boot, one after the other."""


@dataclass(frozen=True)
class GuestSpec:
    """A guest that will run on a host, started there by qemu-system-s390x."""

    name: str
    host: str
    kind: str
    """quick or real."""
    kernel: str = "6.1"
    """Of a real guest: which guest image."""
    ssh_port: int = 0
    """Of a real guest: the port of this machine through which one logs in; 0: any free one."""


@dataclass(frozen=True)
class LabSpec:
    """A lab."""

    name: str
    file: str
    hosts: tuple[HostSpec, ...]
    guests: tuple[GuestSpec, ...] = ()

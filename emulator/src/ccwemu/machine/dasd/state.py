# SPDX-License-Identifier: GPL-2.0-or-later
"""What the driver remembers about a DASD: its place in the device map, and what is known while it is online.

Source: Linux drivers/s390/block/dasd_devmap.c (struct dasd_devmap, feature bits), dasd_int.h (states, defaults).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from ccwemu.machine.ccwdriver import CcwDevice
from ccwemu.machine.dasd.confdata import Characteristics, Configuration
from ccwemu.machine.dasd.disk import DasdDisk
from ccwemu.machine.dasd.eckd import Geometry
from ccwemu.machine.tree import Directory


class HasPaths(Protocol):
    """A subchannel: ``vpm`` is the mask of the paths that cio verified."""

    vpm: int


class BusDevice(CcwDevice, Protocol):
    """A device on the ccw bus with what the driver asks of cio: its verified paths, their group, the way offline."""

    subchannel: HasPaths
    path_group: bool

    def set_offline(self) -> None:
        """ccw_device_set_offline. Raises OSError."""


@dataclass
class MapEntry:
    """A bus id's entry in the device map: it lives as long as the module, over offline, unbind and bind again."""

    index: int
    readonly: bool = False
    erplog: bool = False
    failfast: bool = False
    use_diag: bool = False
    raw_track_access: bool = False
    path_autodisable: bool = True
    fail_on_reservation_loss: bool = False


@dataclass
class PathMasks:
    """Path masks of a device: operational, and set apart for one reason or another."""

    operational: int = 0
    non_preferred: int = 0
    cabling: int = 0
    cuir: int = 0
    hpf: int = 0
    errors: int = 0

    def __str__(self) -> str:
        masks = (self.operational, self.non_preferred, self.cabling, self.cuir, self.hpf, self.errors)
        return " ".join(f"{mask:02x}" for mask in masks)


@dataclass
class OnlineDasd:
    """A DASD that is online. ``status`` is unformatted or online; times are in seconds."""

    configuration: Configuration
    characteristics: Characteristics
    geometry: Geometry
    features: bytes = bytes(256)
    volume_storage: bytes | None = None
    """Volume storage query data (28 bytes), None where the control unit has none."""
    logical_configuration: bytes | None = None
    """Logical configuration query data, None where the control unit has none."""
    hosts: int | None = None
    """How many systems have a path group to the device; None where the control unit does not tell."""
    masks: PathMasks = field(default_factory=PathMasks)
    status: str = "online"
    disk: DasdDisk | None = None
    paths_info: Directory | None = None
    reserved: bool = False
    """Whether this system has reserved it."""
    eer_enabled: bool = False
    expires: int = 300
    retries: int = 256
    timeout: int = 0
    path_threshold: int = 256
    path_interval: int = 300


class DasdState(Protocol):
    """A DASD as its attributes see it: ``online`` is None while it is offline."""

    device: BusDevice
    online: OnlineDasd | None

    @property
    def entry(self) -> MapEntry | None:
        """The entry in the device map, None before the device was ever online or set up."""

    def make_entry(self) -> MapEntry: ...

    def ping(self) -> None: ...

    def reset_paths(self, mask: int) -> None: ...

    def safe_offline(self) -> None: ...

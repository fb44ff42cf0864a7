# SPDX-License-Identifier: GPL-2.0-or-later
"""The door between the ccw bus and a ccw driver (Linux: arch/s390/include/asm/ccwdev.h, struct ccw_driver)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ccwemu.machine.tree import Directory

EXPIRES = 10.0
"""Seconds that cio gives a program of its own (device_id.c, device_pgid.c)."""


@dataclass(frozen=True)
class Ccw:
    """One channel command word of a program that a driver builds.

    ``data`` is what the channel reads (a write-type command) or the number of bytes it stores
    (a read-type command). ``flags`` are the CCW flag bits (0x40 command chaining, 0x20 SLI, ...); the chaining
    bit is set by who runs the program for every CCW but the last.
    """

    command: int
    data: bytes | int
    flags: int = 0


@dataclass(frozen=True)
class Ending:
    """How a channel program ended: the IRB, and what each read-type CCW brought (None for the others)."""

    cc: int
    irb: bytes
    data: tuple[bytes | None, ...] = ()

    @property
    def device_status(self) -> int:
        return self.irb[8]

    @property
    def subchannel_status(self) -> int:
        return self.irb[9]

    @property
    def residual(self) -> int:
        return int.from_bytes(self.irb[10:12], "big")


class ChannelDevice(Protocol):
    """How a driver reaches its subchannel: the core directly on a host, the vfio-ccw regions in a quick guest."""

    def run(self, program: Sequence[Ccw], lpm: int = 0, expires: float = EXPIRES) -> Ending:
        """Start a format-1 command-mode channel program and wait for its status. Raises OSError as the region does.

        A program without status after ``expires`` seconds is cleared: OSError(ETIMEDOUT).
        """

    def schib(self) -> bytes:
        """STORE SUBCHANNEL: 52 bytes, big-endian."""

    def disable(self) -> None:
        """The driver is done with the device for now; its next program enables the subchannel again.

        Linux does so after recognition and after setting offline (drivers/s390/cio/cio.c, cio_disable_subchannel).
        """
        ...


class BlockRegistry(Protocol):
    """What the machine offers a block driver: names, device nodes, /sys/block, /sys/class/block, events, users."""

    def add_disk(self, parent: Directory, disk: Any) -> None: ...

    def remove_disk(self, disk: Any) -> None: ...

    def open_count(self, name: str) -> int:
        """Openers of a disk and of its partitions: device files held open and mounts and swap on them."""


class CcwDevice(Protocol):
    """A device on the ccw bus, as its driver sees it."""

    busid: str
    directory: Directory
    cu_type: int
    cu_model: int
    dev_type: int
    dev_model: int
    channel: ChannelDevice
    drvdata: Any

    def log(self, message: str) -> None:
        """A line in the kernel log, prefixed with driver and bus id."""


class CcwDriver(Protocol):
    """A driver on the ccw bus. All methods raise OSError with the errno that the kernel's driver returns."""

    name: str
    module: str | None
    ids: Sequence[tuple[int, int, int, int]]
    """(cu_type, cu_model, dev_type, dev_model) that it matches; 0 for any."""

    def probe(self, device: CcwDevice) -> None: ...

    def remove(self, device: CcwDevice) -> None: ...

    def set_online(self, device: CcwDevice) -> None: ...

    def set_offline(self, device: CcwDevice) -> None: ...

    def paths_changed(self, device: CcwDevice, vpm: int) -> bool:
        """The verified paths changed; True where the driver wants to keep the device without any."""

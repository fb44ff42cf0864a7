# SPDX-License-Identifier: GPL-2.0-or-later
"""A start or resume function and the IRB that it leaves. Principles of Operation, chapters 14 and 16."""

from __future__ import annotations

from dataclasses import dataclass

from .channel import CHANNEL_END_DEVICE_END, PCI_STATUS, UNIT_CHECK, Channel, OperandException, Orb
from .eckd import Disk
from .storage import CONTROL_CHECK, DATA_CHECK, Storage

ESW_FORMAT, DEFERRED_CC_3, CONCURRENT_SENSE, PATH_NOT_OPERATIONAL = 0x04000000, 0x03000000, 0x00020000, 0x00010000
START_FUNCTION, START_PENDING, SUSPENDED = 0x4000, 0x0400, 0x0020
ALERT, INTERMEDIATE, PRIMARY, SECONDARY, PENDING = 0x10, 0x08, 0x04, 0x02, 0x01
FROM_ORB = 0xF8F80000  # key, suspend, format, prefetch, initial status, address limit, suppressed suspension
SUPPRESS_SUSPEND = 0x00080000


@dataclass(frozen=True)
class Status:
    """What of an IRB the two interpreters are compared by."""

    flags: int
    ccw_address: int
    device_status: int
    status: int
    count: int
    path: int
    sense: bytes | None

    @property
    def suspended(self) -> bool:
        return bool(self.flags & SUSPENDED)

    @classmethod
    def parse(cls, irb: bytes) -> Status:
        """From an IRB of 96 bytes."""
        flags = int.from_bytes(irb[:4], "big")
        sense = irb[32:64] if flags & CONCURRENT_SENSE else None
        ccw_address, count = int.from_bytes(irb[4:8], "big"), int.from_bytes(irb[10:12], "big")
        return cls(flags, ccw_address, irb[8], irb[9], count, irb[13], sense)


class Subchannel:
    """One host's subchannel to a disk. ``paths``: the mask of those that are installed and available."""

    def __init__(self, disk: Disk, host: int = 0, paths: int = 0xC0, concurrent_sense: bool = True) -> None:
        self.disk = disk
        self.host = host
        self.paths = paths
        self.concurrent_sense = concurrent_sense

    def start(self, raw_orb: bytes, storage: Storage) -> Status:
        orb = Orb.parse(raw_orb)
        if not orb.valid:
            raise OperandException
        usable = orb.lpm & self.paths
        if not usable:
            flags = orb.word & FROM_ORB | START_FUNCTION | START_PENDING | DEFERRED_CC_3 | PATH_NOT_OPERATIONAL
            return Status(flags | ALERT | PENDING, 0, 0, 0, 0, 0, None)
        self.path = 0x80 >> 8 - usable.bit_length()
        self.disk.begin(self.host, self.path)
        self.channel = Channel(orb, storage, self.disk)
        self.channel.start()
        return self._status()

    def resume(self) -> Status:
        self.channel.resume()
        return self._status()

    def _status(self) -> Status:
        channel = self.channel
        flags = channel.orb.word & FROM_ORB | START_FUNCTION
        if channel.suspended:
            flags |= SUSPENDED
            if not channel.orb.word & SUPPRESS_SUSPEND or channel.status & PCI_STATUS:
                flags |= INTERMEDIATE | PENDING
        else:
            flags |= PRIMARY | SECONDARY | PENDING
            if channel.device_status & ~CHANNEL_END_DEVICE_END or channel.status & ~PCI_STATUS:
                flags |= ALERT
            if channel.status & PCI_STATUS:
                flags |= INTERMEDIATE
        if channel.status & (DATA_CHECK | CONTROL_CHECK):
            flags |= ESW_FORMAT
        sense = None
        if channel.device_status & UNIT_CHECK and self.concurrent_sense:
            sense = self.disk.give_up_sense()
            flags |= ESW_FORMAT | CONCURRENT_SENSE
        return Status(
            flags, channel.ccw_address, channel.device_status, channel.status, channel.count, self.path, sense
        )

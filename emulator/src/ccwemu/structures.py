# SPDX-License-Identifier: GPL-2.0-or-later
"""The architecture's structures with names for their bits: ORB, CCWs, SCSW, IRB. All are bytes in channel order.

z/Architecture Principles of Operation, chapters 15 and 16. Used through :mod:`ccwemu.channel`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

SCHIB_SIZE = 52
IRB_SIZE = 96
SENSE_SIZE = 32
CCW_SIZE = 8


class Cc(IntEnum):
    """Condition codes of START SUBCHANNEL; the other instructions use them alike."""

    STARTED = 0
    STATUS_PENDING = 1
    BUSY = 2
    NOT_OPERATIONAL = 3


class CcwFlag(IntFlag):
    """Flags of a channel-command word."""

    CHAIN_DATA = 0x80
    CHAIN_COMMAND = 0x40
    SLI = 0x20
    SKIP = 0x10
    PCI = 0x08
    IDA = 0x04
    SUSPEND = 0x02
    MIDA = 0x01


class MidawFlag(IntFlag):
    """Flags of a modified indirect-data-address word."""

    LAST = 0x80
    SKIP = 0x40


class OrbFlag(IntFlag):
    """Bits of word 1 of an operation-request block."""

    SUSPEND = 0x08000000
    FORMAT_1 = 0x00800000
    PREFETCH = 0x00400000
    INITIAL_STATUS = 0x00200000
    ADDRESS_LIMIT = 0x00100000
    SUPPRESS_SUSPEND_INTERRUPTION = 0x00080000
    TRANSPORT = 0x00040000
    IDA_64 = 0x00020000
    IDA_2K = 0x00010000
    SUPPRESS_IMMEDIATE_LENGTH = 0x00000080
    MODIFIED_IDAWS = 0x00000040


class Function(IntFlag):
    """SCSW: function control, activity control and status control."""

    START = 0x4000
    HALT = 0x2000
    CLEAR = 0x1000
    SUSPENDED = 0x0020
    ALERT = 0x0010
    INTERMEDIATE = 0x0008
    PRIMARY = 0x0004
    SECONDARY = 0x0002
    PENDING = 0x0001


class DeviceStatus(IntFlag):
    """Unit status."""

    ATTENTION = 0x80
    STATUS_MODIFIER = 0x40
    CONTROL_UNIT_END = 0x20
    BUSY = 0x10
    CHANNEL_END = 0x08
    DEVICE_END = 0x04
    UNIT_CHECK = 0x02
    UNIT_EXCEPTION = 0x01


class SubchannelStatus(IntFlag):
    """Subchannel status."""

    PROGRAM_CONTROLLED_INTERRUPTION = 0x80
    INCORRECT_LENGTH = 0x40
    PROGRAM_CHECK = 0x20
    PROTECTION_CHECK = 0x10
    CHANNEL_DATA_CHECK = 0x08
    CHANNEL_CONTROL_CHECK = 0x04
    INTERFACE_CONTROL_CHECK = 0x02
    CHAINING_CHECK = 0x01


NORMAL_ENDING = DeviceStatus.CHANNEL_END | DeviceStatus.DEVICE_END


@dataclass(frozen=True)
class Scsw:
    """A subchannel-status word, taken apart."""

    flags: int
    """Word 0; the low half is :class:`Function`."""
    ccw_address: int
    device_status: DeviceStatus
    subchannel_status: SubchannelStatus
    residual: int

    @classmethod
    def parse(cls, data: bytes) -> Scsw:
        """From at least 12 bytes."""
        return cls(
            int.from_bytes(data[0:4], "big"),
            int.from_bytes(data[4:8], "big"),
            DeviceStatus(data[8]),
            SubchannelStatus(data[9]),
            int.from_bytes(data[10:12], "big"),
        )

    @property
    def function(self) -> Function:
        """Function, activity and status control."""
        return Function(self.flags & 0x703F)

    @property
    def deferred_cc(self) -> int:
        return self.flags >> 24 & 3

    @property
    def path_not_operational(self) -> bool:
        return bool(self.flags & 0x00010000)

    @property
    def ended_normally(self) -> bool:
        """Channel end and device end, and nothing else."""
        return (
            self.device_status == NORMAL_ENDING
            and not self.subchannel_status & ~SubchannelStatus.PROGRAM_CONTROLLED_INTERRUPTION
            and not self.deferred_cc
        )


@dataclass(frozen=True)
class Irb:
    """An interruption-response block, taken apart. ``sense`` is there when it came along with a unit check."""

    scsw: Scsw
    path_used: int
    sense: bytes | None

    @classmethod
    def parse(cls, data: bytes) -> Irb:
        """From 96 bytes."""
        if len(data) < IRB_SIZE:
            raise ValueError(f"an IRB has {IRB_SIZE} bytes, this one {len(data)}")
        scsw = Scsw.parse(data)
        concurrent = scsw.flags & 0x00020000
        return cls(scsw, data[13], bytes(data[32:64]) if concurrent else None)


def build_orb(
    program: int,
    *,
    parameter: int = 0,
    lpm: int = 0xFF,
    key: int = 0,
    flags: OrbFlag = OrbFlag.FORMAT_1 | OrbFlag.PREFETCH,
) -> bytes:
    """An operation-request block (12 bytes) for the channel program at address ``program``."""
    word = key << 28 | flags | lpm << 8
    return parameter.to_bytes(4, "big") + word.to_bytes(4, "big") + program.to_bytes(4, "big")


def build_ccw(command: int, address: int = 0, count: int = 0, flags: int = 0) -> bytes:
    """A format-1 channel-command word."""
    return bytes([command, flags]) + count.to_bytes(2, "big") + address.to_bytes(4, "big")


def build_ccw0(command: int, address: int = 0, count: int = 0, flags: int = 0) -> bytes:
    """A format-0 channel-command word."""
    return bytes([command]) + address.to_bytes(3, "big") + bytes([flags, 0]) + count.to_bytes(2, "big")


def build_midaw(address: int, count: int, flags: int = 0) -> bytes:
    """A modified indirect-data-address word (16 bytes)."""
    return bytes(5) + bytes([flags]) + count.to_bytes(2, "big") + address.to_bytes(8, "big")

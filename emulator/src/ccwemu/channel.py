# SPDX-License-Identifier: GPL-2.0-or-later
"""The channel subsystem: disk images, devices, main storage and subchannels of the C core, with names for the bits.

All structures (ORB, SCSW, IRB, SCHIB) are bytes in channel order, that is big-endian, as in z/Architecture Principles
of Operation. This is the one module that knows the extension module ``ccwemu._core``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from types import TracebackType
from typing import Any

from ccwemu import _core

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


class ImageError(Exception):
    """A disk image that cannot be used: ``path`` (or file descriptor), ``problem`` in words, ``offset`` in bytes.

    ``errno`` is EWOULDBLOCK when another program has the image open for writing, EILSEQ when the file is corrupt,
    truncated or no disk image at all, else the number of the system error.
    """

    def __init__(self, problem: str, path: object = "", offset: int = 0, errno: int = 0) -> None:
        super().__init__(problem, path, offset, errno)
        self.problem = problem
        self.path = path
        self.offset = offset
        self.errno = errno

    def __str__(self) -> str:
        where = f" (at byte {self.offset})" if self.offset else ""
        name = f"file descriptor {self.path}" if isinstance(self.path, int) else os.fsdecode(str(self.path))
        return f"disk image {name}: {self.problem}{where}" if self.path != "" else f"{self.problem}{where}"


def _image_error(raw: Exception) -> ImageError:
    path, problem, offset, errno = raw.args
    return ImageError(problem, path, offset, errno)


@dataclass(frozen=True)
class Record:
    """A record of a track. Record 0 is the track descriptor; ``cylinder`` and ``head`` are those in its count field."""

    cylinder: int
    head: int
    number: int
    key: bytes
    data: bytes

    def to_bytes(self) -> bytes:
        """Count field, key and data as they lie on the track."""
        if not 0 <= self.number <= 255 or len(self.key) > 255 or len(self.data) > 65535:
            raise ValueError(f"record {self.number}: number and key length go up to 255, data length to 65535")
        count = track_address(self.cylinder, self.head) + bytes([self.number, len(self.key)])
        return count + len(self.data).to_bytes(2, "big") + self.key + self.data


def track_address(cylinder: int, head: int) -> bytes:
    """CCHH as ECKD parameters and count fields hold it: 28 bits of cylinder (the low 16 first), 4 bits of head."""
    return (cylinder & 0xFFFF).to_bytes(2, "big") + ((cylinder >> 16) << 4 | head).to_bytes(2, "big")


def _cylinder_and_head(address: bytes) -> tuple[int, int]:
    low, high = int.from_bytes(address[:2], "big"), int.from_bytes(address[2:4], "big")
    return low | (high >> 4) << 16, high & 15


_END_OF_TRACK = b"\xff" * 8
_HOME_ADDRESS_SIZE = 5


class Image(_core.Image):
    """A disk image: raw tracks in the CKD file format of Hercules, mapped into memory. Closed with its devices."""

    @staticmethod
    def create(path: str | os.PathLike[str], *, cylinders: int, heads: int = 15) -> None:
        """Make an image whose tracks hold record 0 only, as an unformatted disk. Raises ImageError (a file exists)."""
        try:
            _core.Image.create(os.fspath(path), cylinders=cylinders, heads=heads)
        except _core.RawImageError as error:
            raise _image_error(error) from None

    @classmethod
    def open(cls, path: str | os.PathLike[str] | int, *, writable: bool = True, damaged: bool = False) -> Image:
        """Open an image by path, or by a file descriptor of which a duplicate is made. Raises ImageError.

        ``writable`` takes an exclusive lock (flock) that lasts until close. ``damaged``: for a look into an image whose
        tracks may not be sound, and for reading only.
        """
        try:
            name = path if isinstance(path, int) else os.fspath(path)
            return super().open(name, writable=writable, damaged=damaged)
        except _core.RawImageError as error:
            raise _image_error(error) from None

    def check(self) -> None:
        """Look at every record of every track. Raises ImageError with the first fault."""
        try:
            super().check()
        except _core.RawImageError as error:
            raise _image_error(error) from None

    def problems(self, limit: int = 20, /) -> tuple[int, list[ImageError]]:  # type: ignore[override]
        """How many tracks are damaged, and what is wrong with the first ``limit`` of them: one fault for each."""
        count, found = super().problems(limit)
        return count, [ImageError(problem, path, offset, errno) for path, problem, offset, errno in found]

    def read_raw(self, cylinder: int, head: int, /) -> bytes:
        """A track as it lies in the file. Raises IndexError, ImageError (bytes are missing)."""
        try:
            return super().read_raw(cylinder, head)
        except _core.RawImageError as error:
            raise _image_error(error) from None

    def write_raw(self, cylinder: int, head: int, track: bytes, /) -> None:
        """Replace a track, up to its end mark. Raises IndexError, ValueError (no 3390 track), ImageError."""
        try:
            super().write_raw(cylinder, head, track)
        except _core.RawImageError as error:
            raise _image_error(error) from None

    def read_track(self, cylinder: int, head: int) -> list[Record]:
        """The records of a track, record 0 first. Raises IndexError, ImageError. Not for I/O paths."""
        raw = self.read_raw(cylinder, head)
        records, offset = [], _HOME_ADDRESS_SIZE
        while raw[offset : offset + 8] != _END_OF_TRACK:
            count = raw[offset : offset + 8]
            key_at = offset + 8
            data_at = key_at + (count[5] if len(count) == 8 else 0)
            end = data_at + int.from_bytes(count[6:8], "big")
            if len(count) < 8 or end > len(raw) - 8:
                raise ImageError(f"cylinder {cylinder} head {head}: a record runs over the end of the track")
            records.append(Record(*_cylinder_and_head(count), count[4], raw[key_at:data_at], raw[data_at:end]))
            offset = end
        return records

    def write_track(self, cylinder: int, head: int, records: Iterable[Record]) -> None:
        """Replace a track's records, record 0 included. Raises ValueError when they are no 3390 track."""
        home = b"\0" + track_address(cylinder, head)
        self.write_raw(cylinder, head, home + b"".join(record.to_bytes() for record in records) + _END_OF_TRACK)

    def __enter__(self) -> Image:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Device(_core.Device):
    """A 3390 disk behind a 3990 control unit.

    ``dev_model`` defaults to the model of the image's size. ``serial`` is up to 14 of A-Z, 0-9 (2 of location, 12 of
    sequence number; zeros are put before a shorter one). ``ssid`` identifies the storage subsystem, ``unit_address``
    the device in it. A read-only device, or one on an image opened so, answers writes with "write inhibited".
    ``announce_prefix`` tells drivers of the commands Prefix, Read Track Data and Write Track Data, which work either
    way; ``long_sense`` makes sense data of the 32-byte format; ``device_end_apart`` lets a seek's device end come
    after its channel end, once that status was taken. :meth:`model_of` tells the model number of a disk of so many
    cylinders.

    ``arm_fault(identity, kind, command, skip, left, sense)`` (:mod:`ccwemu.faults`) has ``left`` starts fail that
    execute the command (or ANY_COMMAND), after ``skip`` that pass; a start counts once. Raises OSError: EEXIST (the
    identity is in use), EINVAL (identity or left are 0), ENOSPC (16 are armed). ``disarm_fault`` forgets one, with
    identity 0 all. ``fault_changes`` tells (identity, skip, left) of those that counted since it was asked last; one
    without starts left is forgotten with that.
    """


class Storage(_core.Storage):
    """Main storage of a host or guest, made of buffers that are mapped at absolute addresses.

    ``set_address_limit`` is SET ADDRESS LIMIT: a multiple of 64 KiB that programs are held to which ask for it.
    """

    def map(
        self, iova: int, buffer: Any, *, key: int = 0, fetch_protected: bool = False, damaged: bool = False
    ) -> None:
        """Let the channel use a writable buffer from ``iova`` on. It is kept (and cannot be resized) until unmap.

        ``damaged`` storage is there, but each access is an uncorrectable error: a channel-data check, or for CCWs and
        lists of addresses a channel-control check.
        """
        super().map(iova, buffer, key=key, fetch_protected=fetch_protected, damaged=damaged)


class Subchannel(_core.Subchannel):
    """A subchannel. Programs run to their end, or suspension, inside :meth:`start`; other threads go on meanwhile.

    All instructions return their condition code. ``enabled`` and ``concurrent_sense`` are how MODIFY SUBCHANNEL
    leaves it when an operating system has taken it into use. Halt and clear from another thread stop a running
    program before its next CCW. ``set_device_valid(False)`` takes the device from under the subchannel (condition
    code 3), True brings it back, reset, to a subchannel that is disabled.
    """

    def __init__(
        self,
        device: _core.Device | None,
        *,
        devno: int,
        chpids: Sequence[int],
        pim: int,
        pam: int,
        pom: int,
        enabled: bool = True,
        concurrent_sense: bool = True,
    ) -> None:
        super().__init__(
            device,
            devno=devno,
            chpids=chpids,
            pim=pim,
            pam=pam,
            pom=pom,
            enabled=enabled,
            concurrent_sense=concurrent_sense,
        )


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


class VfioRegion(IntEnum):
    """Offsets of the regions of a vfio-ccw device."""

    IO = 0 << 10
    ASYNC = 1 << 10
    SCHIB = 2 << 10
    CRW = 3 << 10


class VfioIrq(IntEnum):
    """Interrupts of a vfio-ccw device."""

    IO = 0
    CRW = 1
    REQUEST = 2


class VfioCommand(IntEnum):
    """What can be written to the asynchronous-command region (big-endian, 4 bytes)."""

    HALT = 1
    CLEAR = 2


class VfioCcw(_core.VfioCcw):
    """The vfio-ccw device of a mediated device: regions and interrupts, as on an s390x host.

    Regions are big-endian, return codes and commands included. ``pread`` and ``pwrite`` raise OSError with the errno
    of the real driver. ``set_irq(index, callback)``: the callback is called without arguments, from the thread that
    caused the interrupt, before its pread or pwrite returns, and may use the device.
    ``ida_2k`` (kernels from 6.8 on) and ``needs_prefetch`` (up to 5.4) are what differs between kernels.
    ``path_event`` queues a channel-report word for a path, ``report`` one of any source, or two that are chained;
    False: the queue of 16 is full, which its newest report then tells by the overflow flag. ``request`` asks whoever
    holds the device to give it back,
    ``not_operational`` tells that the subchannel is gone. ``state`` is the state of the driver's state machine.
    """

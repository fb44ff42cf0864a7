# SPDX-License-Identifier: GPL-2.0-or-later
"""The channel subsystem: disk images, devices, main storage and subchannels of the C core, with names for the bits.

All structures (ORB, SCSW, IRB, SCHIB) are bytes in channel order, that is big-endian, as in z/Architecture Principles
of Operation. This is the one module that knows the extension module ``ccwemu._core``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType
from typing import Any

from ccwemu import _core
from ccwemu.structures import (
    CCW_SIZE,
    IRB_SIZE,
    NORMAL_ENDING,
    SCHIB_SIZE,
    SENSE_SIZE,
    Cc,
    CcwFlag,
    DeviceStatus,
    Function,
    Irb,
    MidawFlag,
    OrbFlag,
    Scsw,
    SubchannelStatus,
    build_ccw,
    build_ccw0,
    build_midaw,
    build_orb,
)

__all__ = [
    "CCW_SIZE",
    "Cc",
    "CcwFlag",
    "Device",
    "DeviceStatus",
    "Function",
    "IRB_SIZE",
    "Image",
    "ImageError",
    "Irb",
    "MidawFlag",
    "NORMAL_ENDING",
    "OrbFlag",
    "Record",
    "SCHIB_SIZE",
    "SENSE_SIZE",
    "Scsw",
    "Storage",
    "Subchannel",
    "SubchannelStatus",
    "VfioCcw",
    "VfioCommand",
    "VfioIrq",
    "VfioRegion",
    "build_ccw",
    "build_ccw0",
    "build_midaw",
    "build_orb",
    "track_address",
]


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
    def create(
        path: str | os.PathLike[str], *, cylinders: int, heads: int = 15, null_records: int | None = None
    ) -> None:
        """Make an image whose tracks hold record 0 only, as an unformatted disk. Raises ImageError (a file exists).

        With ``null_records`` it is sparse: a track that was never written takes no room, and has that many records of
        4096 bytes of zeros besides. Hercules does not read such an image.
        """
        records = -1 if null_records is None else null_records
        try:
            _core.Image.create(os.fspath(path), cylinders=cylinders, heads=heads, null_records=records)
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
    after its channel end, once that status was taken. ``alias`` is the unit type of an alias (2: PAV, of the unit
    ``base_unit_address``; 3: HyperPAV), ``other_systems`` how many other systems have a path group, ``reserved``
    whether one of them has the device reserved. :meth:`model_of` tells the model number of a disk of so many
    cylinders. ``reject`` makes the control unit one that does not know a command, ``reject_suborder``
    one without these subsystem data (a suborder of Perform Subsystem Function).

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

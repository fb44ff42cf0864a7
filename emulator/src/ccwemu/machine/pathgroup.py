# SPDX-License-Identifier: GPL-2.0-or-later
"""Sense ID, and which channel paths of a device work: path verification and path groups.

Source: Linux drivers/s390/cio/device_id.c, device_pgid.c; Principles of Operation, "Sense ID";
IBM 3990 storage control reference, Sense/Set Path Group ID.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass

from ccwemu.machine.ccwdriver import Ccw, ChannelDevice, Ending

NOP, SENSE_PGID, SET_PGID, SENSE_ID = 0x03, 0x34, 0xAF, 0xE4
STEAL_LOCK, RELEASE = 0x14, 0x94
STEAL_LENGTH = 32
SLI = 0x20
TRIES = 3

ESTABLISH, DISBAND = 0x00, 0x20
MULTIPATH = 0x80
PGID_LENGTH = 12
SENSE_ID_LENGTH = 40

IRB_SIZE = 96
CHANNEL_END, DEVICE_END, UNIT_CHECK = 0x08, 0x04, 0x02

RESERVED_ELSEWHERE = 0x20
"""State 2 of the byte that Sense Path Group ID brings: bits 2 and 3."""

PATH_GROUP = bytes.fromhex("8000000a5fe88561dead00")
"""Eleven bytes that name this system: CPU address and id, model, time of the first set."""


@dataclass(frozen=True)
class Identity:
    """What a device says it is. All zeros: it did not answer (boxed)."""

    cu_type: int = 0
    cu_model: int = 0
    dev_type: int = 0
    dev_model: int = 0


class NotOperational(Exception):
    """No path to the device works (condition code 3)."""


def paths(mask: int) -> Iterator[int]:
    """The single bits of a path mask, first path first."""
    return (0x80 >> index for index in range(8) if mask & (0x80 >> index))


def _run(channel: ChannelDevice, command: int, data: bytes | int, lpm: int) -> Ending | None:
    """None: not operational over that path. A unit check is tried again: it may report an earlier event.

    A program that timed out has no status.
    """
    for _turn in range(TRIES):
        try:
            ending = channel.run([Ccw(command, data, SLI)], lpm)
        except TimeoutError:  # no second try on this path (ccw_request_timeout)
            return Ending(0, bytes(IRB_SIZE))
        except OSError as problem:
            if problem.errno in (errno.ENODEV, errno.EACCES):
                return None
            raise
        if ending.cc == 3:
            return None
        if not ending.device_status & UNIT_CHECK:
            break
    return ending


def _good(ending: Ending | None) -> bool:
    if ending is None or ending.cc != 0 or ending.subchannel_status:
        return False
    return ending.device_status == CHANNEL_END | DEVICE_END


def sense_id(channel: ChannelDevice, lpm: int) -> Identity:
    """Ask the device over one path after the other. Raises NotOperational; a device that is boxed is all zeros."""
    operational = False
    for path in paths(lpm):
        ending = _run(channel, SENSE_ID, SENSE_ID_LENGTH, path)
        operational |= ending is not None
        if not _good(ending):
            continue
        assert ending is not None
        answer = ending.data[0] if ending.data else None
        if answer is None or len(answer) < 7 or answer[0] != 0xFF or answer[1:3] == b"\xff\xff":
            continue
        return Identity(int.from_bytes(answer[1:3], "big"), answer[3], int.from_bytes(answer[4:6], "big"), answer[6])
    if not operational:
        raise NotOperational
    return Identity()


@dataclass(frozen=True)
class Verified:
    """The paths that work, whether they form a path group, and whether another system has the device reserved."""

    vpm: int = 0
    grouped: bool = False
    boxed: bool = False


def verify(channel: ChannelDevice, lpm: int, group: bool) -> Verified:
    """Verify each path; with ``group``, put those that work into this system's path group."""
    if not group:
        return Verified(sum(path for path in paths(lpm) if _good(_run(channel, NOP, 0, path))))
    sensed = {path: _run(channel, SENSE_PGID, PGID_LENGTH, path) for path in paths(lpm)}
    working = [path for path, ending in sensed.items() if _good(ending)]
    if any(_reserved(sensed[path]) for path in working):
        return Verified(sum(working), False, True)
    for mode in (MULTIPATH, 0):
        grouped = [path for path in working if _set_group(channel, mode | ESTABLISH, path)]
        if grouped:
            return Verified(sum(grouped), True)
    return Verified(sum(working))


def disband(channel: ChannelDevice, vpm: int) -> None:
    """Take the paths out of the group; a device that does not answer has none."""
    for path in paths(vpm):
        try:
            _set_group(channel, MULTIPATH | DISBAND, path)
        except OSError:
            continue


def steal_lock(channel: ChannelDevice, lpm: int) -> None:
    """Unconditional reserve, then release: nobody has the device reserved any more. Raises OSError(EIO)."""
    for command in (STEAL_LOCK, RELEASE):
        if not any(_good(_run(channel, command, STEAL_LENGTH, path)) for path in paths(lpm)):
            raise OSError(errno.EIO, "the device does not give up its reservation")


def _set_group(channel: ChannelDevice, function: int, path: int) -> bool:
    return _good(_run(channel, SET_PGID, bytes([function]) + PATH_GROUP, path))


def _reserved(ending: Ending | None) -> bool:
    answer = ending.data[0] if ending is not None and ending.data else None
    return bool(answer) and answer is not None and answer[0] & 0x30 == RESERVED_ELSEWHERE

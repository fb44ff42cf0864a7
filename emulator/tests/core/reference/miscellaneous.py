# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands about the unit rather than its tracks: identification, sense, path groups, reservation."""

from __future__ import annotations

from .channel import Channel
from .eckd import INVALID_PARAMETER, INVALID_SEQUENCE, Disk, Path, command

PREPARE, SET_CHARACTERISTICS = 0x18, 0x1D
"""Orders of Perform Subsystem Function: prepare for read subsystem data, set subsystem characteristics."""


@command(0x03)
def no_operation(disk: Disk, channel: Channel, code: int) -> None:
    pass


@command(0x04)
def sense(disk: Disk, channel: Channel, code: int) -> None:
    channel.give(disk.give_up_sense())


@command(0xE4)
def sense_id(disk: Disk, channel: Channel, code: int) -> None:
    channel.give(disk.identity.sense_id)


@command(0x64)
def read_device_characteristics(disk: Disk, channel: Channel, code: int) -> None:
    channel.give(disk.identity.characteristics)


@command(0xFA)
def read_configuration_data(disk: Disk, channel: Channel, code: int) -> None:
    channel.give(disk.identity.configuration)


@command(0x27)
def perform_subsystem_function(disk: Disk, channel: Channel, code: int) -> None:
    order = disk.parameters(channel, 1)[0]
    if order not in (PREPARE, SET_CHARACTERISTICS):
        raise disk.reject(INVALID_PARAMETER)
    data = bytes([order]) + disk.parameters(channel, {PREPARE: 11, SET_CHARACTERISTICS: 65}[order])
    if data[1]:
        raise disk.reject(INVALID_PARAMETER)
    if order == SET_CHARACTERISTICS:
        return
    if data[6] not in disk.identity.pages or data[7]:
        raise disk.reject(INVALID_PARAMETER)
    disk.chain.page = disk.identity.pages[data[6]]


@command(0x3E)
def read_subsystem_data(disk: Disk, channel: Channel, code: int) -> None:
    page, disk.chain.page = disk.chain.page, b""
    if not page:
        raise disk.reject(INVALID_SEQUENCE)
    channel.give(page)


@command(0x34)
def sense_path_group(disk: Disk, channel: Channel, code: int) -> None:
    state = disk.path.state
    if disk.path.multipath:
        state |= 0x08
    if disk.reserved_by is not None:
        state |= 0x30 if disk.reserved_by == disk.host else 0x20
    channel.give(bytes([state]) + disk.path.pgid)


@command(0xAF)
def set_path_group(disk: Disk, channel: Channel, code: int) -> None:
    data = disk.parameters(channel, 12)
    multipath, function, pgid = bool(data[0] & 0x80), data[0] & 0x60, data[1:]
    group = [path for path in disk.paths.values() if path.state == 0xC0 and path.pgid == pgid]
    if function == 0x00:  # establish
        elsewhere = disk.path.state == 0xC0 and disk.path.pgid != pgid
        if elsewhere or any(path.multipath != multipath for path in group if path is not disk.path):
            raise disk.reject(INVALID_PARAMETER)
        disk.path.state, disk.path.multipath, disk.path.pgid = 0xC0, multipath, pgid
        return
    if function == 0x60 or not any(path is disk.path for path in group):
        raise disk.reject(INVALID_PARAMETER)
    for path in group if function == 0x20 else [disk.path]:  # disband, or resign
        ungroup(path)


def ungroup(path: Path) -> None:
    path.state, path.multipath, path.pgid = 0x80, False, bytes(11)


@command(0xB4, 0x14)
def reserve(disk: Disk, channel: Channel, code: int) -> None:
    disk.reserved_by = disk.host
    channel.give(disk.give_up_sense())


@command(0x94)
def release(disk: Disk, channel: Channel, code: int) -> None:
    if disk.chain.extent_defined or disk.chain.mask_set or disk.chain.ipl_read:
        raise disk.reject(INVALID_SEQUENCE)
    disk.reserved_by = None
    channel.give(disk.give_up_sense())

# SPDX-License-Identifier: GPL-2.0-or-later
"""Bring an ECKD disk up: the requests and their order, from configuration data to the layout of the disk.

Source: Linux dasd_eckd_check_characteristics and dasd_eckd_do_analysis; kernel-facts G.3 and G.5.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace

from ccwemu.machine.ccwdriver import Ccw, ChannelDevice
from ccwemu.machine.dasd import eckd
from ccwemu.machine.dasd.confdata import (
    BadConfigurationData,
    Characteristics,
    Configuration,
    parse_characteristics,
    parse_configuration,
)
from ccwemu.machine.dasd.eckd import Geometry, Layout
from ccwemu.machine.dasd.request import RequestFailed, execute, failure_text
from ccwemu.machine.dasd.state import OnlineDasd, PathMasks
from ccwemu.machine.pathgroup import paths

Log = Callable[[str], None]

CONFIGURATION_SIZE = 256
_NON_PREFERRED = 0x02
_QUERY_HOST_ACCESS = 14
"""The feature byte whose first bit says that the unit tells who has a path group."""


def _io_error() -> OSError:
    return OSError(errno.EIO, os.strerror(errno.EIO))


def read_configuration(channel: ChannelDevice, path: int) -> Configuration:
    """Read Configuration Data over one path. Raises OSError, BadConfigurationData."""
    (data,) = execute(channel, [Ccw(eckd.READ_CONFIGURATION_DATA, CONFIGURATION_SIZE)], path)
    return parse_configuration(data or b"")


def configure_paths(
    channel: ChannelDevice, vpm: int, log: Log, known: Configuration | None = None
) -> tuple[Configuration, PathMasks]:
    """Configuration data of each path: all must lead to one device, the one of ``known`` where that is given.

    A path to another device is set apart (cabling). Raises OSError(EIO) when no path gives usable data.
    """
    masks = PathMasks()
    for path in paths(vpm):
        try:
            found = read_configuration(channel, path)
        except BadConfigurationData as problem:
            log(f"path {path:02x}: {problem}")
            continue
        except OSError as failure:
            log(f"path {path:02x}: {failure_text(failure)}")
            continue
        if known is not None and found.uid != known.uid:
            log(
                f"The newly added channel path {path:02X} will not be used because it leads to a different device "
                f"{found.uid}, the expected one is {known.uid}"
            )
            masks.cabling |= path
            continue
        known = known or found
        masks.operational |= path
        if found.path_access == _NON_PREFERRED:
            masks.non_preferred |= path
    if known is None or not (masks.operational or masks.cabling):
        raise _io_error()
    return known, masks


def read_characteristics(channel: ChannelDevice, log: Log) -> Characteristics:
    """Read Device Characteristics; without them there is no disk. Raises OSError(EIO)."""
    try:
        (data,) = execute(channel, [Ccw(eckd.READ_DEVICE_CHARACTERISTICS, 64)])
        return parse_characteristics(data or b"")
    except (OSError, ValueError) as failure:
        log(failure_text(failure) if isinstance(failure, OSError) else str(failure))
        raise _io_error() from failure


def read_subsystem_data(channel: ChannelDevice, configuration: Configuration, suborder: int) -> bytes:
    """Perform Subsystem Function and Read Subsystem Data of one suborder. Raises OSError."""
    program = eckd.subsystem_data_program(suborder, configuration.lss, configuration.unit_address)
    return execute(channel, program)[1] or b""


def _optional(channel: ChannelDevice, configuration: Configuration, suborder: int, log: Log) -> bytes | None:
    """Subsystem data that a control unit may not have: a command reject is an answer, other failures are logged."""
    try:
        return read_subsystem_data(channel, configuration, suborder)
    except RequestFailed as failure:
        if not failure.command_reject:
            log(failure_text(failure))
    except OSError as failure:
        log(failure_text(failure))
    return None


def _announce_characteristics(channel: ChannelDevice, log: Log) -> None:
    """Set Subsystem Characteristics; whether the control unit took it changes nothing here."""
    try:
        execute(channel, eckd.subsystem_characteristics_program(parallel_access=True))
    except RequestFailed as failure:
        if not failure.command_reject:
            log(failure_text(failure))


def bring_up(channel: ChannelDevice, vpm: int, cu_type: int, log: Log) -> OnlineDasd:
    """All requests up to the "New DASD" line. Raises OSError(EIO) where one that must succeed does not."""
    configuration, masks = configure_paths(channel, vpm, log)
    characteristics = read_characteristics(channel, log)
    _announce_characteristics(channel, log)
    # The control unit may show other data now that it knows what this system can do.
    configuration, masks = configure_paths(channel, vpm, log)
    features = _optional(channel, configuration, eckd.SUBORDER_FEATURES, log)
    if features is None:
        log("Reading device feature codes failed with rc=-5")
    volume_storage = logical_configuration = hosts = None
    if not configuration.is_alias:
        volume_storage = _optional(channel, configuration, eckd.SUBORDER_VOLUME_STORAGE, log)
        logical_configuration = _optional(channel, configuration, eckd.SUBORDER_LOGICAL_CONFIGURATION, log)
    if features is not None and features[_QUERY_HOST_ACCESS] & 0x80 and not configuration.is_alias:
        access = _optional(channel, configuration, eckd.SUBORDER_HOST_ACCESS, log)
        hosts = eckd.host_access_count(access) if access else None
    log(f"New DASD {characteristics}")
    return OnlineDasd(
        configuration=configuration,
        characteristics=characteristics,
        geometry=Geometry(characteristics.cylinders, characteristics.heads, cu_type),
        features=features or bytes(256),
        volume_storage=volume_storage,
        logical_configuration=logical_configuration,
        hosts=hosts,
        masks=masks,
    )


def analyse(channel: ChannelDevice, geometry: Geometry, log: Log) -> Geometry:
    """The geometry with what tracks 0 and 1 tell of layout and block size; a disk without either is no error."""
    try:
        data = execute(channel, eckd.analysis_program(geometry))
    except RequestFailed as failure:
        if failure.no_record_found:
            log("The DASD is not formatted")
            return replace(geometry, layout=Layout.UNFORMATTED)
        log(failure_text(failure))
        log("Detecting the DASD disk layout failed because of an I/O error")
        return replace(geometry, layout=Layout.UNSUPPORTED)
    layout, block_size = eckd.analyse([(data[index] or b"").ljust(8, b"\0") for index in eckd.ANALYSIS_COUNTS])
    if layout is Layout.UNSUPPORTED:
        log("The disk layout of the DASD is not supported")
        return replace(geometry, layout=layout)
    found = replace(geometry, layout=layout, block_size=block_size)
    track = found.blocks_per_track * block_size // 1024
    log(
        f"DASD with {block_size // 1024} KB/block, {found.blocks * (block_size // 512) // 2} KB total size, "
        f"{track} KB/track, {layout.value}"
    )
    return found


def read_unit_addresses(channel: ChannelDevice, configuration: Configuration, log: Log) -> None:
    """The unit addresses of the logical control unit, as the alias management asks for them after the disk is up."""
    _optional(channel, configuration, eckd.SUBORDER_UNIT_ADDRESSES, log)

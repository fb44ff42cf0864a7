# SPDX-License-Identifier: GPL-2.0-or-later
"""What an ECKD disk says about itself: configuration data (RCD) and device characteristics (RDC).

Source: 3990 Storage Control Reference; Linux dasd_eckd.h (struct dasd_ned, dasd_sneq, vd_sneq, dasd_gneq,
dasd_eckd_characteristics).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ccwemu.machine.spec import HYPER_PAV_ALIAS, PAV_ALIAS

RECORD = 32
_LARGE_VOLUME = 0xFFFE


class BadConfigurationData(ValueError):
    """Configuration data without the elements that dasd_eckd needs; says which."""


@dataclass(frozen=True)
class Configuration:
    """Node element (the disk) and general node element qualifier (its subsystem)."""

    vendor: str
    serial: str
    unit_address: int
    lss: int
    ssid: int
    path_access: int
    timeout: int
    """Missing-interrupt timeout in seconds."""
    unit_type: int = 1
    """1: a base device, 2: a PAV alias, 3: a HyperPAV alias."""
    base_unit_address: int = 0
    """Of a PAV alias."""
    vduit: str = ""
    """Virtual device unique identifier, set by z/VM for a minidisk."""

    @property
    def is_alias(self) -> bool:
        """Whether it is an alias, which has no disk."""
        return self.unit_type in (PAV_ALIAS, HYPER_PAV_ALIAS)

    @property
    def uid(self) -> str:
        """An alias has that of its base; a HyperPAV alias, which has none, xx for the unit address."""
        unit = f"{self.base_unit_address if self.unit_type == PAV_ALIAS else self.unit_address:02x}"
        parts = [self.vendor, self.serial, f"{self.ssid:04x}", "xx" if self.unit_type == HYPER_PAV_ALIAS else unit]
        return ".".join([*parts, self.vduit] if self.vduit else parts)


def _text(data: bytes) -> str:
    return data.decode("cp037").strip(" \0")


def parse_configuration(data: bytes) -> Configuration:
    """256 bytes of configuration data: 8 records of 32. Raises BadConfigurationData."""
    ned = gneq = sneq = vd_sneq = None
    for offset in range(0, len(data) - RECORD + 1, RECORD):
        record = data[offset : offset + RECORD]
        kind = record[0] >> 6
        if kind == 3 and record[1] == 1:
            ned = record
        elif kind == 2:
            gneq = record
        elif kind == 1 and record[2:4] == b"\0\1":
            sneq = record
        elif kind == 1 and record[2:4] == b"\0\4":
            vd_sneq = record
    if ned is None or gneq is None:
        missing = "node element descriptor" if ned is None else "general node element qualifier"
        raise BadConfigurationData(f"the configuration data hold no {missing}")
    value, number = gneq[6] >> 6, gneq[6] & 0x3F
    return Configuration(
        vendor=_text(ned[13:16]),
        serial=_text(ned[16:30]),
        unit_address=ned[31],
        lss=ned[30],
        ssid=int.from_bytes(gneq[8:10], "big"),
        path_access=gneq[18] & 0x07,
        timeout=number * 10**value,
        unit_type=sneq[8] if sneq is not None else 1,
        base_unit_address=sneq[9] if sneq is not None else 0,
        vduit=vd_sneq[8:24].hex() if vd_sneq is not None else "",
    )


@dataclass(frozen=True)
class Characteristics:
    """Device characteristics; models as the driver prints them (three bits of the control unit's)."""

    cu_type: int
    cu_model: int
    dev_type: int
    dev_model: int
    cylinders: int
    heads: int
    sectors: int

    def __str__(self) -> str:
        return (
            f"{self.dev_type:04X}/{self.dev_model:02X} (CU {self.cu_type:04X}/{self.cu_model:02X}) with "
            f"{self.cylinders} cylinders, {self.heads} heads, {self.sectors} sectors"
        )


def parse_characteristics(data: bytes) -> Characteristics:
    """64 bytes of Read Device Characteristics. Raises ValueError when they make no disk."""
    if len(data) < 64:
        raise ValueError(f"{len(data)} bytes of device characteristics, 64 are expected")
    cu_type, cu_model, dev_type, dev_model = struct.unpack_from(">HBHB", data, 0)
    cylinders, heads, sectors = struct.unpack_from(">HHB", data, 12)
    (long_cylinders,) = struct.unpack_from(">I", data, 60)
    if cylinders == _LARGE_VOLUME and long_cylinders:
        cylinders = long_cylinders
    if not cylinders or not heads:
        raise ValueError(f"device characteristics with {cylinders} cylinders of {heads} heads")
    return Characteristics(cu_type, cu_model & 0x07, dev_type, dev_model, cylinders, heads, sectors)

# SPDX-License-Identifier: GPL-2.0-or-later
"""The sysfs attributes of a DASD, online or not (Linux: drivers/s390/block/dasd_devmap.c; kernel-facts A.3).

Most of what belongs to a running device answers ENODEV while it is offline; the feature bits can be set at any time.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable

from ccwemu.machine.dasd.eckd import extent_size
from ccwemu.machine.dasd.state import DasdState, MapEntry, OnlineDasd
from ccwemu.machine.tree import Attribute, Directory

Show = Callable[[DasdState], str]
Store = Callable[[DasdState, bytes], None]

_UINT_MAX = 0xFFFFFFFF
_ULONG_MAX = 0xFFFFFFFFFFFFFFFF
EXPIRES_MAX = 40_000_000
RETRIES_MAX = 32768
HZ = 100


def error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def parse_unsigned(data: bytes, base: int, limit: int = _UINT_MAX) -> int:
    """A number as kstrtoul reads it: one trailing newline, a plus sign, for base 0 a prefix. Raises OSError(EINVAL)."""
    text = data.decode("latin-1").removesuffix("\n").removeprefix("+").lower()
    if base in (0, 16) and re.fullmatch(r"0x[0-9a-f]+", text):
        text, base = text[2:], 16
    elif base == 0:
        base = 8 if text.startswith("0") and len(text) > 1 else 10
    digits = "0123456789abcdef"[:base]
    if not text or any(character not in digits for character in text) or int(text, base) > limit:
        raise error(errno.EINVAL)
    return int(text, base)


def parse_flag(data: bytes) -> bool:
    """0 or 1 in any base. Raises OSError(EINVAL)."""
    return bool(parse_unsigned(data, 0, 1))


def matches(data: bytes, word: str) -> bool:
    """sysfs_streq: equal but for one trailing newline."""
    return data.removesuffix(b"\n") == word.encode()


def running(state: DasdState) -> OnlineDasd:
    """The device that is online. Raises OSError(ENODEV)."""
    if state.online is None:
        raise error(errno.ENODEV)
    return state.online


# --- feature bits: kept in the device map -----------------------------------------------------------------------


def _show_feature(name: str, default: bool = False) -> Show:
    def show(state: DasdState) -> str:
        return f"{int(getattr(state.entry, name) if state.entry else default)}\n"

    return show


def _store_feature(name: str) -> Store:
    def store(state: DasdState, data: bytes) -> None:
        value = parse_flag(data)
        setattr(state.make_entry(), name, value)

    return store


def _store_offline_feature(name: str, excludes: str) -> Store:
    """use_diag and raw_track_access: not while the device is there, and not both."""

    def store(state: DasdState, data: bytes) -> None:
        value = parse_flag(data)
        entry: MapEntry = state.make_entry()
        if state.online is not None or (value and getattr(entry, excludes)):
            raise error(errno.EPERM)
        setattr(entry, name, value)

    return store


def _show_policy(state: DasdState) -> str:
    return "fail\n" if state.entry and state.entry.fail_on_reservation_loss else "ignore\n"


def _store_policy(state: DasdState, data: bytes) -> None:
    if not matches(data, "ignore") and not matches(data, "fail"):
        raise error(errno.EINVAL)
    state.make_entry().fail_on_reservation_loss = matches(data, "fail")


# --- what only a running device has -----------------------------------------------------------------------------


def _show_number(name: str) -> Show:
    return lambda state: f"{getattr(running(state), name)}\n"


def _store_number(name: str, lowest: int, limit: int) -> Store:
    def store(state: DasdState, data: bytes) -> None:
        online = running(state)
        value = parse_unsigned(data, 10, limit)
        if value < lowest:
            raise error(errno.EINVAL)
        setattr(online, name, value)

    return store


def _running(text: str) -> Show:
    def show(state: DasdState) -> str:
        running(state)
        return text

    return show


def _fails(number: int) -> Show:
    def show(state: DasdState) -> str:
        running(state)
        raise error(number)

    return show


def _show_eer(state: DasdState) -> str:
    return f"{int(state.online is not None and state.online.eer_enabled)}\n"


def _store_eer(state: DasdState, data: bytes) -> None:
    online = running(state)
    online.eer_enabled = parse_flag(data)


def _show_reservation_state(state: DasdState) -> str:
    return "reserved\n" if state.online and state.online.reserved else "none\n"


def _store_reservation_state(state: DasdState, data: bytes) -> None:
    running(state)
    if not matches(data, "reset"):
        raise error(errno.EINVAL)


def _store_copy_pair(state: DasdState, data: bytes) -> None:
    """No copy relations: the control unit of this machine offers none."""
    running(state)
    raise error(errno.EOPNOTSUPP)


def _store_path_reset(state: DasdState, data: bytes) -> None:
    running(state)
    try:
        mask = parse_unsigned(data, 16, 0xFF)
    except OSError:
        mask = 0
    state.reset_paths(mask)


def _store_ping(state: DasdState, data: bytes) -> None:
    running(state)
    state.ping()


def _store_safe_offline(state: DasdState, data: bytes) -> None:
    running(state)
    state.safe_offline()


def _show_hosts(state: DasdState) -> str:
    hosts = running(state).hosts
    if hosts is None:
        raise error(errno.EOPNOTSUPP)
    return f"{hosts}\n"


def _show_masks(state: DasdState) -> str:
    return f"{state.online.masks}\n" if state.online else "0\n"


def _show_uid(state: DasdState) -> str:
    return f"{state.online.configuration.uid if state.online else ''}\n"


def _show_vendor(state: DasdState) -> str:
    return f"{state.online.configuration.vendor if state.online else ''}\n"


def _show_volume(offset: int, size: int) -> Show:
    """A number of the volume storage query, as it was when the disk came online; 0 where there was no answer."""

    def show(state: DasdState) -> str:
        data = running(state).volume_storage or b""
        return f"{int.from_bytes(data[offset : offset + size], 'big')}\n"

    return show


def _show_space(offset: int) -> Show:
    """A number that Linux asks for anew; the error of the query where the control unit does not know it."""

    def show(state: DasdState) -> str:
        online = running(state)
        unknown = online.volume_storage is None and not online.configuration.is_alias
        return f"{-errno.EIO}\n" if unknown else _show_volume(offset, 4)(state)

    return show


def _show_ese(state: DasdState) -> str:
    return f"{int(bool((running(state).volume_storage or bytes(1))[0] & 0x20))}\n"


def _show_extent_size(state: DasdState) -> str:
    online = running(state)
    pool = int.from_bytes((online.volume_storage or b"")[2:4], "big")
    return f"{extent_size(online.logical_configuration, pool)}\n"


ATTRIBUTES: tuple[tuple[str, int, Show | None, Store | None], ...] = (
    ("alias", 0o444, lambda state: f"{int(bool(state.online and state.online.configuration.is_alias))}\n", None),
    ("copy_pair", 0o644, _fails(errno.ENODEV), _store_copy_pair),
    ("copy_role", 0o444, _running("none\n"), None),
    ("discipline", 0o444, lambda state: "ECKD\n" if state.online else "none\n", None),
    ("eer_enabled", 0o644, _show_eer, _store_eer),
    ("erplog", 0o644, _show_feature("erplog"), _store_feature("erplog")),
    ("ese", 0o444, _show_ese, None),
    ("expires", 0o644, _show_number("expires"), _store_number("expires", 1, EXPIRES_MAX)),
    ("failfast", 0o644, _show_feature("failfast"), _store_feature("failfast")),
    ("fc_security", 0o444, _running("Unsupported\n"), None),
    ("host_access_count", 0o444, _show_hosts, None),
    ("hpf", 0o444, _running("0\n"), None),
    ("last_known_reservation_state", 0o644, _show_reservation_state, _store_reservation_state),
    ("path_autodisable", 0o644, _show_feature("path_autodisable", True), _store_feature("path_autodisable")),
    ("path_interval", 0o644, _show_number("path_interval"), _store_number("path_interval", 1, _UINT_MAX)),
    ("path_masks", 0o444, _show_masks, None),
    ("path_reset", 0o200, None, _store_path_reset),
    ("path_threshold", 0o644, _show_number("path_threshold"), _store_number("path_threshold", 0, _UINT_MAX)),
    ("ping", 0o200, None, _store_ping),
    (
        "raw_track_access",
        0o644,
        _show_feature("raw_track_access"),
        _store_offline_feature("raw_track_access", "use_diag"),
    ),
    ("readonly", 0o644, _show_feature("readonly"), _store_feature("readonly")),
    ("reservation_policy", 0o644, _show_policy, _store_policy),
    ("retries", 0o644, _show_number("retries"), _store_number("retries", 0, RETRIES_MAX)),
    ("safe_offline", 0o200, None, _store_safe_offline),
    ("status", 0o444, lambda state: f"{state.online.status}\n" if state.online else "unknown\n", None),
    ("timeout", 0o644, _show_number("timeout"), _store_number("timeout", 0, _UINT_MAX // HZ)),
    ("uid", 0o444, _show_uid, None),
    ("use_diag", 0o644, _show_feature("use_diag"), _store_offline_feature("use_diag", "raw_track_access")),
    ("vendor", 0o444, _show_vendor, None),
)
"""Name, mode, show, store."""

DIRECTORIES: dict[str, tuple[tuple[str, Show], ...]] = {
    "capacity": (
        ("logical_capacity", _show_volume(24, 4)),
        ("space_allocated", _show_space(16)),
        ("space_configured", _show_space(20)),
    ),
    "extent_pool": (
        ("cap_at_warnlevel", _running("0\n")),
        ("extent_size", _show_extent_size),
        ("pool_id", _show_volume(2, 2)),
        ("pool_oos", _running("0\n")),
        ("warn_threshold", _running("0\n")),
    ),
}
"""Directories of attributes of mode 0444."""


def _attribute(state: DasdState, name: str, mode: int, show: Show | None, store: Store | None) -> Attribute:
    return Attribute(
        name,
        mode,
        (lambda: show(state)) if show else None,
        (lambda data: store(state, data)) if store else None,
    )


def install(state: DasdState) -> None:
    """Add the attributes to the device's directory."""
    directory = state.device.directory
    for name, mode, show, store in ATTRIBUTES:
        directory.add(_attribute(state, name, mode, show, store))
    for title, files in DIRECTORIES.items():
        group = directory.add(Directory(title))
        for name, show in files:
            group.add(_attribute(state, name, 0o444, show, None))


def uninstall(state: DasdState) -> None:
    """Take the attributes away again."""
    for name in (*(row[0] for row in ATTRIBUTES), *DIRECTORIES):
        if name in state.device.directory:
            state.device.directory.remove(name)


def add_path(parent: Directory, chpid: int) -> None:
    """A channel path under paths_info: ``0.1a`` with what is known of its security."""
    name = f"0.{chpid:02x}"
    if name not in parent:
        path = parent.add(Directory(name))
        path.add(Attribute("fc_security", 0o444, lambda: "Unsupported\n"))

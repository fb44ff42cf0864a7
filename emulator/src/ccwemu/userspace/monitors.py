# SPDX-License-Identifier: GPL-2.0-or-later
"""udevd's word to programs that watch devices with libudev (libvirtd, ``udevadm monitor``): an event is worked off.

It is a netlink message to a group of the node's network namespace. Source: libudev(3); systemd
src/libsystemd/sd-device/device-monitor.c (monitor_netlink_header, device_monitor_send_device), udevd.c.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

CONTROL = "run/udev/control"
"""Where libudev looks whether there is a udevd, relative to the node's root."""

_GROUP = 2
_HEADER = struct.Struct(">8sI")
_NATIVE = struct.Struct("=3I")
_FILTER = struct.Struct(">4I")
_MAGIC = 0xFEEDCAFE
_SIZE = _HEADER.size + _NATIVE.size + _FILTER.size


def message(environment: Mapping[str, str], tags: Iterable[str] = ()) -> bytes:
    """What is sent for an event: a header by which a socket's filter can pass over it, then its variables."""
    variables = dict(environment)
    marked = sorted(tags)
    if marked:
        variables["TAGS"] = variables["CURRENT_TAGS"] = f":{':'.join(marked)}:"
    text = b"".join(f"{key}={value}".encode() + b"\0" for key, value in variables.items())
    bloom = 0
    for tag in marked:
        bloom |= _bloom(_hash(tag.encode()))
    kind = variables.get("DEVTYPE", "")
    return (
        _HEADER.pack(b"libudev\0", _MAGIC)
        + _NATIVE.pack(_SIZE, _SIZE, len(text))
        + _FILTER.pack(
            _hash(variables["SUBSYSTEM"].encode()), _hash(kind.encode()) if kind else 0, *divmod(bloom, 1 << 32)
        )
        + text
    )


def _hash(data: bytes) -> int:
    """MurmurHash2 of 32 bits with the seed 0: what filters compare names by."""
    factor, mask = 0x5BD1E995, 0xFFFFFFFF
    result = len(data)
    whole = len(data) // 4 * 4
    for (word,) in struct.iter_unpack("<I", data[:whole]):
        mixed = word * factor & mask
        mixed = (mixed ^ mixed >> 24) * factor & mask
        result = result * factor & mask ^ mixed
    if data[whole:]:
        result = (result ^ int.from_bytes(data[whole:], "little")) * factor & mask
    result = (result ^ result >> 13) * factor & mask
    return result ^ result >> 15


def _bloom(number: int) -> int:
    """The bits, of 64, that a tag sets."""
    return sum({1 << (number >> shift & 63) for shift in (0, 6, 12, 18)})


class Monitors:
    """The programs of one node that listen."""

    def __init__(self, uevents: socket.socket | None, owner: int) -> None:
        """``uevents``: a netlink socket of the node; ``owner``: the outside id of the node's root, who is believed."""
        self._uevents = uevents
        # Without a word the sender is this process: root of the machine would be nobody to the node.
        told = struct.pack("=3i", os.getpid(), owner, owner)
        self._sender = [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, told)] if owner != os.geteuid() else []

    def tell(self, environment: Mapping[str, str], tags: Iterable[str]) -> None:
        """One that does not read fast enough misses some, as on a real host; that nobody listens is no error."""
        if self._uevents is None:
            return
        data = message({key: value for key, value in environment.items() if key[:1] != "."}, tags)
        with contextlib.suppress(ConnectionRefusedError):
            self._uevents.sendmsg([data], self._sender, 0, (0, _GROUP))


def show_udevd(root: Path, owner: int) -> None:
    """Let libudev find that there is a udevd, or it does not listen."""
    path = root / CONTROL
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    if os.geteuid() == 0:
        for each in (path.parent, path):
            os.chown(each, owner, owner)

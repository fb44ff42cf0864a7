# SPDX-License-Identifier: GPL-2.0-or-later
"""The blacklist of device numbers: the parameter ``cio_ignore=`` and /proc/cio_ignore.

Source: Linux drivers/s390/cio/blacklist.c.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator

from ccwemu.machine.cstring import cstring, error

MAX_SSID = 3
MAX_DEVNO = 0xFFFF

DeviceId = tuple[int, int]
"""(subchannel set id, device number)"""

_NEW_STYLE = re.compile(r"^([0-9a-fA-F]{1,2})\.([0-9a-fA-F])\.([0-9a-fA-F]{4})$")
_OLD_STYLE = re.compile(r"^(0[xX])?[0-9a-fA-F]+$")


def device_id(busid: str) -> DeviceId:
    """Of a bus id: "0.1.7e52" → (1, 0x7e52)."""
    _cssid, ssid, devno = busid.split(".")
    return int(ssid, 16), int(devno, 16)


def parse_busid(text: str) -> DeviceId:
    """A bus id as the list takes it: "0.0.7e52", or a plain hexadecimal number. Raises ValueError."""
    if _OLD_STYLE.match(text):
        devno = int(text, 16)
        if devno > MAX_DEVNO:
            raise ValueError(text)
        return 0, devno
    match = _NEW_STYLE.match(text)
    if match is None or int(match[1], 16) != 0 or int(match[2], 16) > MAX_SSID:
        raise ValueError(text)
    return int(match[2], 16), int(match[3], 16)


class Blacklist:
    """The set of ignored device numbers."""

    def __init__(
        self,
        free: Callable[[], None] = lambda: None,
        purge: Callable[[], None] = lambda: None,
        devices: dict[str, DeviceId] | None = None,
    ) -> None:
        """``free`` looks for what may be there now, ``purge`` drops what is ignored and offline.

        ``devices``: what the words "ipldev" and "condev" stand for; one that is missing stands for nothing.
        """
        self._bits = [bytearray(MAX_DEVNO + 1) for _turn in range(MAX_SSID + 1)]
        self._free = free
        self._purge = purge
        self._words = devices or {}

    def __contains__(self, busid: str) -> bool:
        ssid, devno = device_id(busid)
        return bool(self._bits[ssid][devno])

    # Lists

    def _range(self, text: str) -> tuple[DeviceId, DeviceId]:
        first, dash, last = text.partition("-")
        low = parse_busid(first)
        high = parse_busid(last) if dash else low
        if low > high:
            raise ValueError(text)
        return low, high

    def _set(self, low: DeviceId, high: DeviceId, ignored: bool) -> None:
        for ssid in range(low[0], high[0] + 1):
            start = low[1] if ssid == low[0] else 0
            stop = (high[1] if ssid == high[0] else MAX_DEVNO) + 1
            self._bits[ssid][start:stop] = bytes([ignored]) * (stop - start)

    def change(self, items: str, ignore: bool) -> bool:
        """Take a comma-separated list; "!" turns an item round. False where one was wrong (the others count)."""
        good = True
        for item in items.split(","):
            ignored = ignore != item.startswith("!")
            name = item.removeprefix("!")
            try:
                if name == "all":
                    low, high = (0, 0), (MAX_SSID, MAX_DEVNO)
                elif name in ("ipldev", "condev"):
                    if name not in self._words:
                        continue
                    low = high = self._words[name]
                else:
                    low, high = self._range(name)
            except ValueError:
                good = False
                continue
            self._set(low, high, ignored)
        return good

    # /proc/cio_ignore

    def ranges(self) -> Iterator[str]:
        """The lines of /proc/cio_ignore; a range never crosses a subchannel set."""
        for ssid, bits in enumerate(self._bits):
            start = bits.find(1)
            while start >= 0:
                end = bits.find(0, start)
                last = (end if end >= 0 else len(bits)) - 1
                text = f"0.{ssid:x}.{start:04x}"
                yield text if last == start else f"{text}-0.{ssid:x}.{last:04x}"
                start = bits.find(1, last + 1)

    def show(self) -> str:
        return "".join(f"{line}\n" for line in self.ranges())

    def store(self, data: bytes) -> None:
        """A write: "free LIST", "add LIST" or "purge". Raises OSError(EINVAL)."""
        word, _blank, items = cstring(data).rstrip().partition(" ")
        good = True
        if word == "free":
            good = self.change(items, False)
            self._free()
        elif word == "add":
            good = self.change(items, True)
        elif word == "purge":
            self._purge()
        else:
            good = False
        if not good:
            raise error(errno.EINVAL)

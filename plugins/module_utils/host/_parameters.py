# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts by which a host's next boot sets devices online or hides them, and what they become without one device.

Texts only, no host. A text without some devices depends on the text and on the devices, not on the order in which they
were taken out: so what was noted of it before the first one can tell later whether somebody else changed it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from dataclasses import dataclass

from .._busid import BadName, BusId

DEVICE_LISTS = ("dasd", "dasd_mod.dasd", "rd.dasd")
"""Kernel parameters whose value is a list of DASDs to be set online: drivers/s390/block/dasd_devmap.c, dracut."""

_SHORT = re.compile(r"(?:0\.([0-3])\.|0x)?([0-9a-fA-F]{1,4})")
_LISTS = re.compile(r"(?<![^\s\"'=])(dasd|dasd_mod\.dasd|rd\.dasd)=([^\s\"']*)")
_CONF_LINE = re.compile(r"\s*(0\.[0-3]\.[0-9a-fA-F]{4})\b")


def parse_span(text: str) -> tuple[BusId, BusId]:
    """One device or a range of them, in full (0.0.8000-0.0.80ff) or short (8000). Raises BadName."""
    first, dash, last = text.partition("-")
    start = _short(first, 0)
    return start, (_short(last, start.ssid) if dash else start)


def _short(text: str, ssid: int) -> BusId:
    match = _SHORT.fullmatch(text.strip())
    if match is None:
        raise BadName(text, "a device number")
    return BusId(int(match.group(1) or ssid), int(match.group(2), 16))


@functools.lru_cache(maxsize=4096)  # a command line is short, a list of devices may be long
def span_or_none(word: str) -> tuple[BusId, BusId] | None:
    try:
        return parse_span(word)
    except BadName:
        return None


def within(word: str, device: BusId) -> bool:
    span = span_or_none(word)
    return span is not None and span[0] <= device <= span[1]


def items(value: str) -> list[str]:
    """The elements of a list: 7e00-7eff(ro,failfast), nopav."""
    return re.split(r",(?![^(]*\))", value)


def _without_in_list(value: str, gone: Collection[BusId]) -> str:
    """Elements that have none of the devices stay to the letter. "" when no device is left."""
    kept: list[str] = []
    named = False
    for item in items(value):
        place, bracket, options = item.partition("(")
        span = span_or_none(place)
        if span is None:
            kept.append(item)
            continue
        rest = _spans_without(span, gone)
        whole = rest == [span]
        texts = [item] if whole else [f"{_span_text(one)}{bracket}{options}" for one in rest]
        named = named or bool(texts)
        kept += texts
    return ",".join(kept) if named else ""


def _spans_without(span: tuple[BusId, BusId], gone: Collection[BusId]) -> list[tuple[BusId, BusId]]:
    first, last = span
    found = []
    for device in sorted(one for one in gone if first <= one <= last):
        if first < device:
            found.append((first, BusId(device.ssid, device.number - 1)))
        first = BusId(device.ssid, device.number + 1)
    return [*found, (first, last)] if first <= last else found


def _span_text(span: tuple[BusId, BusId]) -> str:
    return str(span[0]) if span[0] == span[1] else f"{span[0]}-{span[1]}"


@dataclass(frozen=True)
class Format:
    """A kind of file that names devices to be set online. ``lines``: which of its lines do; None for dasd.conf(5),
    where each line is a device.
    """

    lines: str | None

    def parameters(self, text: str) -> list[str]:
        """The parts that hold kernel parameters."""
        return [] if self.lines is None else [line for line in text.splitlines() if re.match(self.lines, line)]

    def names(self, text: str, device: BusId) -> bool:
        """Whether it sets the device online by its number."""
        if self.lines is None:
            return any(_conf_device(line) == device for line in text.splitlines())
        values = [value for line in self.parameters(text) for _name, value in _LISTS.findall(line)]
        return any(within(item.partition("(")[0], device) for value in values for item in items(value))

    def without(self, text: str, gone: Collection[BusId]) -> str:
        """The text with these devices taken out; a parameter that names no other goes as a whole."""
        lines = text.splitlines(keepends=True)
        if self.lines is None:
            return "".join(line for line in lines if _conf_device(line) not in gone)
        return "".join(_line_without(line, gone) if re.match(self.lines, line) else line for line in lines)

    def restored(self, original: str, current: str, device: BusId) -> str:
        """The text with the device back in its place, or at the end where somebody else changed it meanwhile."""
        gone = {one for one in self._devices(original) if not self.names(current, one)}
        if self.without(original, gone) == current:
            return self.without(original, gone - {device})
        return self._added(original, current, device)

    def only_taken_out(self, original: str, current: str) -> bool:
        """Whether the text is the original without some devices, and nothing else."""
        gone = {one for one in self._devices(original) if not self.names(current, one)}
        return self.without(original, gone) == current

    def _devices(self, text: str) -> set[BusId]:
        if self.lines is None:
            return {one for one in map(_conf_device, text.splitlines()) if one is not None}
        found: set[BusId] = set()
        for line in self.parameters(text):
            for _name, value in _LISTS.findall(line):
                spans = [span_or_none(item.partition("(")[0]) for item in items(value)]
                for first, last in (span for span in spans if span is not None):
                    found |= {BusId(first.ssid, number) for number in range(first.number, last.number + 1)}
        return found

    def _added(self, original: str, current: str, device: BusId) -> str:
        if self.lines is None:
            own = [line for line in original.splitlines() if _conf_device(line) == device]
            return f"{current.rstrip()}\n" + "".join(f"{line}\n" for line in own)
        name, item = self._word(original, device)
        lines = current.splitlines(keepends=True)
        for number, line in enumerate(lines):
            if re.match(self.lines, line):
                lines[number] = _line_with(line, name, item)
        return "".join(lines)

    def _word(self, original: str, device: BusId) -> tuple[str, str]:
        """The parameter that named the device, and how: ("dasd", "0.0.7e52(ro)")."""
        for line in self.parameters(original):
            for name, value in _LISTS.findall(line):
                for item in items(value):
                    place, bracket, options = item.partition("(")
                    if within(place, device):
                        return name, f"{device}{bracket}{options}"
        return "rd.dasd", str(device)


def _conf_device(line: str) -> BusId | None:
    match = _CONF_LINE.match(line)
    return BusId.parse(match.group(1)) if match else None


def _line_without(line: str, gone: Collection[BusId]) -> str:
    def shortened(match: re.Match[str]) -> str:
        value = _without_in_list(match.group(2), gone)
        return match.group(0) if value == match.group(2) else (f"{match.group(1)}={value}" if value else "\0")

    text = _LISTS.sub(shortened, line)
    # a parameter goes with the blank before it, the first of a line with the one behind it
    return re.sub(r"[ \t]+\0|\0[ \t]?", "", text)


def _line_with(line: str, name: str, item: str) -> str:
    match = next((one for one in _LISTS.finditer(line) if one.group(1) == name), None)
    if match is not None:
        return f"{line[: match.end()]},{item}{line[match.end() :]}"
    body = line.rstrip("\n")
    quote = body[-1] if body[-1:] in ("'", '"') else ""
    return f"{body[: len(body) - len(quote)]} {name}={item}{quote}{line[len(body) :]}"

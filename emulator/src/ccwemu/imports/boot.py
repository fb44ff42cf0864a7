# SPDX-License-Identifier: GPL-2.0-or-later
"""What a real host's boot loader gives its kernel, and what its kernel ignores, for one in a lab."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ccwemu.imports.document import Host

CMDLINE, ZIPL_CONF, ENTRIES = "/proc/cmdline", "/etc/zipl.conf", "/boot/loader/entries/"
ROOT = "root=/dev/vda1"
_SPAN = re.compile(r"0\.[0-3]\.[0-9a-f]{4}(-0\.[0-3]\.[0-9a-f]{4})?")


def settings(described: Host, host: dict[str, Any], differences: list[str]) -> None:
    """The kernel's command line, and cio_ignore as it is now, whatever it was at boot."""
    words = [ROOT, *(_word(name, value) for source, name, value in described.parameters if source == CMDLINE)]
    spans = [span for span in described.ignored if _SPAN.fullmatch(span)]
    if _in_a_file(described):
        differences.append(f"cio_ignore on the command line: stands in {ZIPL_CONF}; what is ignored now is ignored")
        words = [ROOT]
    host["cmdline"] = " ".join(words)
    if spans and (_in_a_file(described) or not _ignored_at_boot(described)):
        host["cio_ignore"] = ",".join(spans)


def files(described: Host) -> dict[str, str]:
    """Files of the boot loader, with nothing in them but the parameters that are known.

    Where they are in a file that is none of those that are known here, or not in a file, zipl.conf has them.
    """
    found: dict[str, list[str]] = {}
    for source, name, value in described.parameters:
        if source != CMDLINE or _in_a_file(described):
            known = source in _FORMATS or source.startswith(ENTRIES)
            found.setdefault(source if known else ZIPL_CONF, []).append(_word(name, value) if name else value)
    return {source: _FORMATS.get(source, _entry)(words) for source, words in found.items()}


def _entry(words: Sequence[str]) -> str:
    return f"title the real host's\noptions {' '.join(words)}\n"


def _ignored_at_boot(described: Host) -> list[str]:
    """What the running kernel was told to ignore when it was started."""
    return [value for source, name, value in described.parameters if source == CMDLINE and name == "cio_ignore"]


def _in_a_file(described: Host) -> bool:
    """Has what is ignored changed since? On the command line it would be ignored again."""
    told = _ignored_at_boot(described)
    return bool(told) and set(",".join(told).split(",")) != set(described.ignored)


def _word(name: str, value: str) -> str:
    """A value with blanks in quotation marks, as the kernel takes it."""
    quoted = f'"{value}"' if " " in value else value
    return f"{name}={quoted}" if value else name


_FORMATS: Mapping[str, Callable[[Sequence[str]], str]] = {
    ZIPL_CONF: lambda words: f'[defaultboot]\ndefault=linux\n[linux]\nparameters="{" ".join(words)}"\n',
    "/etc/kernel/cmdline": lambda words: " ".join(words) + "\n",
    "/etc/default/grub": lambda words: f'GRUB_CMDLINE_LINUX="{" ".join(words)}"\n',
    "/etc/dasd.conf": lambda words: "".join(f"{word}\n" for word in words),
}

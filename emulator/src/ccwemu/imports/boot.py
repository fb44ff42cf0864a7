# SPDX-License-Identifier: GPL-2.0-or-later
"""What a real host's boot loader gives its kernel, and what its kernel ignores, for one in a lab."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ccwemu.imports.document import Host

CMDLINE, ZIPL_CONF = "/proc/cmdline", "/etc/zipl.conf"
ROOT = "root=/dev/vda1"
_SPAN = re.compile(r"0\.[0-3]\.[0-9a-f]{4}(-0\.[0-3]\.[0-9a-f]{4})?")


def settings(described: Host, host: dict[str, Any], differences: list[str]) -> None:
    """The kernel's command line, and cio_ignore as it is now, whatever it was at boot."""
    words = [ROOT, *(_word(name, value) for source, name, value in described.parameters if source == CMDLINE)]
    if _in_a_file(described):
        differences.append(f"cio_ignore on the command line: stands in {ZIPL_CONF}; what is ignored now is ignored")
        words = [ROOT]
    host["cmdline"] = " ".join(words)
    spans = [span for span in described.ignored if _SPAN.fullmatch(span)]
    if spans:
        host["cio_ignore"] = ",".join(spans)


def files(described: Host) -> dict[str, str]:
    """Files of the boot loader, with nothing in them but the parameters that are known."""
    made: dict[str, str] = {}
    for source in dict.fromkeys(source for source, _, _ in described.parameters):
        of_it = [_word(name, value) for other, name, value in described.parameters if other == source]
        if source == ZIPL_CONF or (source == CMDLINE and _in_a_file(described)):
            made[ZIPL_CONF] = _zipl(of_it)
        elif source != CMDLINE:
            made[source] = f"title the real host's\noptions {' '.join(of_it)}\n"
    return made


def _in_a_file(described: Host) -> bool:
    """cio_ignore on the command line would hide devices that were freed since."""
    return any(source == CMDLINE and name == "cio_ignore" for source, name, _ in described.parameters)


def _zipl(words: Sequence[str]) -> str:
    return f'[defaultboot]\ndefault=linux\n[linux]\nparameters="{" ".join(words)}"\n'


def _word(name: str, value: str) -> str:
    """A value with blanks in quotation marks, as the kernel takes it."""
    quoted = f'"{value}"' if " " in value else value
    return f"{name}={quoted}" if value else name

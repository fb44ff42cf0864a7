# SPDX-License-Identifier: GPL-2.0-or-later
"""Which modules a host loads at boot. Source: systemd-modules-load(8), modules-load.d(5)."""

from __future__ import annotations

from ccwemu.userspace.files import NodeFiles

DIRECTORIES = ("/etc/modules-load.d", "/run/modules-load.d")
"""Not those below /usr, which are those of the machine that all of it runs on."""

PARAMETERS = ("modules_load", "rd.modules_load")


def to_load(files: NodeFiles, command_line: str) -> list[str]:
    """The modules that the kernel's command line, /etc/modules and modules-load.d name, in order."""
    parameters = (word.partition("=") for word in command_line.split())
    lists = [names for key, _sign, names in parameters if key.replace("-", "_") in PARAMETERS]
    named = [name for names in lists for name in names.split(",") if name]
    for path in ("/etc/modules", *files.find(DIRECTORIES, ["*.conf"])):
        lines = (line.strip() for line in files.text(path).split("\n"))
        named += [line.split()[0] for line in lines if line and line[0] not in "#;"]
    return list(dict.fromkeys(named))

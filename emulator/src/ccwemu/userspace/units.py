# SPDX-License-Identifier: GPL-2.0-or-later
"""systemd's service units as far as a udev rule's SYSTEMD_WANTS needs them.

Source: systemd.unit(5), systemd.service(5), systemd-escape(1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ccwemu.userspace.files import NodeFiles
from ccwemu.userspace.rules import Warn, split_command

DIRECTORIES = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")

ENVIRONMENT = {"SYSTEMD_DEVICE_VERIFY_SYSFS": "0"}
"""What every process of a node has: its /sys is no sysfs to the C library of udev."""
UNIT_ENVIRONMENT = {**ENVIRONMENT, "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

WITHOUT_EFFECT = frozenset(
    {
        "Unit.Description", "Unit.Documentation", "Unit.DefaultDependencies", "Unit.Before", "Unit.RefuseManualStart",
        "Unit.RefuseManualStop", "Service.TimeoutStartSec",
    }
)  # fmt: skip
"""Say nothing that a start by a device would be different for."""


@dataclass(frozen=True)
class Unit:
    """A service of ``Type=oneshot``. ``commands``: what it runs, as words."""

    name: str
    condition_paths: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()
    remain_after_exit: bool = False
    """Once it has succeeded it is active, and starting it again does nothing."""
    environment: Mapping[str, str] = field(default_factory=lambda: UNIT_ENVIRONMENT)


def load(name: str, files: NodeFiles, warn: Warn) -> Unit | None:
    """The unit of a name like "driverctl@css-0.0.16ca.service", from its own file or that of its template."""
    prefix, at, instance = name.removesuffix(".service").partition("@")
    names = [name, f"{prefix}@.service"] if at else [name]
    for candidate in names:
        for directory in DIRECTORIES:
            path = f"{directory}/{candidate}"
            if files.exists(path):
                return parse(name, instance, path, files.text(path), warn)
    return None


def parse(name: str, instance: str, file: str, text: str, warn: Warn) -> Unit:
    """``warn`` is told, with file and line, of each directive that is not understood."""
    section = ""
    conditions: list[str] = []
    commands: list[tuple[str, ...]] = []
    remain = False
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("["):
            section = line.strip("[]")
            continue
        key, _equals, value = line.partition("=")
        directive, value = f"{section}.{key.strip()}", specify(value.strip(), name, instance)
        if directive == "Unit.ConditionPathExists" and value.startswith("/"):
            conditions.append(value)
        elif directive == "Service.ExecStart" and value.startswith("/"):
            commands.append(tuple(split_command(value)))
        elif directive == "Service.RemainAfterExit":
            remain = value in ("yes", "true", "on", "1")
        elif directive not in WITHOUT_EFFECT and (directive, value) != ("Service.Type", "oneshot"):
            warn(f"{file}:{number}: {line} is not understood by the emulator; it is not followed")
    return Unit(name, tuple(conditions), tuple(commands), remain)


def unescape(text: str) -> str:
    """systemd-escape --unescape: "css-0.0.16ca" → "css/0.0.16ca"."""
    return re.sub(r"\\x([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text.replace("-", "/"))


def specify(text: str, name: str, instance: str) -> str:
    """Put in what %i, %I, %n and %% stand for; others are left as they are."""
    known = {"i": instance, "I": unescape(instance), "n": name, "%": "%"}
    return re.sub(r"%([iIn%])", lambda found: known[found[1]], text)

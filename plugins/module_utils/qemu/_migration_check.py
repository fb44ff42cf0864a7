# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What module migration_check does: two descriptions of a guest into a prediction. Reads a host only for ``guest``."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

from .._host import Host
from .._releases import NotPossible
from ..engine._requests import GUEST_NAME
from ._ccwlayout import CcwConfig, CcwDevice, layout, translate
from ._command import config_of, parse_devno
from ._guest import GuestError, hypervisor, running_argv
from ._migration import predict
from ._qemu import Guest
from ._qmp import QmpError, execute
from ._translate import outdated, translate_command
from ._versions import (
    QemuVersion,
)


def check_migration(host: Host, params: dict[str, Any]) -> dict[str, Any]:
    """The module's result. Raises GuestError for a description that says too little or nothing possible."""
    given, wanted = params.get("source") or {}, params.get("target") or {}
    try:
        argv, source = _on_host(host, params["guest"], given) if params.get("guest") else _described("source", given)
        target = _target(source, wanted)
    except NotPossible as exc:
        raise GuestError(f"migration_check: {exc}.") from exc
    findings = predict(source, target)
    others = [one for one in findings if one.rule != "unmigratable"]
    translated, reason = _translated(source, target.qemu, argv)
    return {
        "changed": False,
        "migratable": not findings,
        "migratable_after_detach": not others,
        "findings": [one.as_dict() for one in findings],
        "source": _as_dict(source),
        "target": _as_dict(target),
        "translated": translated,
        "untranslatable": reason,
        "warnings_": outdated(source),
    }


def _described(which: str, given: dict[str, Any]) -> tuple[list[str], CcwConfig]:
    """The command line, [] without one, and what it says. Raises NotPossible."""
    if not given.get("qemu"):
        raise NotPossible(f"{which} names no QEMU; give {which}.qemu, for example '2.12', or guest")
    qemu = QemuVersion.parse(given["qemu"])
    argv = list(given.get("command") or [])
    return argv, _with(config_of(argv, qemu) if argv else CcwConfig(qemu), given)


def _with(config: CcwConfig, given: dict[str, Any]) -> CcwConfig:
    """What is given beside a command line takes its place."""
    changes: dict[str, Any] = {}
    if given.get("machine"):
        changes["machine"] = given["machine"]
    if given.get("squash_mcss") is not None:
        changes["squash"] = given["squash_mcss"]
    if given.get("devices") is not None:
        changes["devices"] = tuple(_device(one) for one in given["devices"])
    return replace(config, **changes)


def _device(item: dict[str, Any]) -> CcwDevice:
    driver = str(item["driver"])
    return CcwDevice(driver, parse_devno(driver, item["devno"]) if item.get("devno") else None)


def _target(source: CcwConfig, wanted: dict[str, Any]) -> CcwConfig:
    """By default the source's command line without its passed-through devices, on the target's QEMU."""
    qemu = QemuVersion.parse(wanted["qemu"]) if wanted.get("qemu") else source.qemu
    if wanted.get("command"):
        return _with(config_of(wanted["command"], qemu), wanted)
    if wanted.get("translate"):
        return _with(translate(source, qemu).without_passed(), wanted)
    return _with(replace(source.without_passed(), qemu=qemu), wanted)


def _translated(source: CcwConfig, qemu: QemuVersion, argv: list[str]) -> tuple[dict[str, Any] | None, str]:
    """With the command line, where the source has one and nothing given beside it says otherwise."""
    try:
        command = translate_command(argv, source.qemu, qemu) if argv and config_of(argv, source.qemu) == source else []
        return {**_as_dict(translate(source, qemu)), "command": command}, ""
    except NotPossible as exc:
        return None, str(exc)


def _as_dict(config: CcwConfig) -> dict[str, Any]:
    """A description as the module takes it, and where the devices are."""
    try:
        places = [str(one.devno) for one in layout(config).placed]
    except NotPossible:
        places = ["" for _device in config.devices]
    return {
        "qemu": str(config.qemu),
        "machine": config.machine,
        "squash_mcss": config.squash,
        "devices": [
            {"driver": one.driver, "devno": str(one.devno) if one.devno else "", "place": place}
            for one, place in zip(config.devices, places)
        ],
    }


# --- a guest on this host


def _on_host(host: Host, name: str, given: dict[str, Any]) -> tuple[list[str], CcwConfig]:
    if not GUEST_NAME.fullmatch(name):
        raise NotPossible(f"guest {name!r}: expected letters, digits, dots, dashes and underscores")
    guest = Guest(name, ())
    pid, argv = running_argv(host, guest.pid_file)
    if not pid:
        argv = _scripted(host, guest)
    if given.get("qemu"):
        qemu = QemuVersion.parse(given["qemu"])
    else:
        qemu = (_running_version(host, guest) if pid else None) or hypervisor(host, argv[0]).qemu
    return argv, _with(config_of(argv, qemu), given)


def _running_version(host: Host, guest: Guest) -> QemuVersion | None:
    """Of the process: its binary may have been replaced since. None where its monitor does not answer."""
    try:
        said = execute(host, guest.monitor, "query-version")["qemu"]
        return QemuVersion(int(said["major"]), int(said["minor"]))
    except (QmpError, KeyError, TypeError, ValueError):
        return None


def _scripted(host: Host, guest: Guest) -> list[str]:
    script = host.get(guest.script)
    _head, found, command = script.partition("exec ")
    if not found:
        raise NotPossible(f"guest {guest.name} does not run and has no start script {guest.script}; give source")
    return shlex.split(command.replace("\\\n", " "))

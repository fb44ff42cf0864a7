# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes apart what css_info and passthrough returned on a host. Pure.

It is data of somebody else: what is needed of it becomes plain values here, once, and nothing else of it is used.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ._report_model import (
    NOTE,
    WARNING,
    ChannelPath,
    Definition,
    Device,
    Finding,
    Guest,
    Host,
    NotUnderstood,
    Path,
    Plan,
    Raw,
    Step,
)


def parse(name: str, answer: t.Any, plan: t.Any = None) -> Raw:
    """``answer``: css_info's result, or that of the task that failed. ``plan``: passthrough's, or None."""
    if not isinstance(answer, Mapping) or not isinstance(answer.get("subchannels"), Sequence):
        return Raw(Host(name, error=_why(answer), plan=_plan(plan)))
    rows = _rows(answer, "subchannels")
    seen = {_text(one.get("device")): one for one in _rows(answer, "passed_through")}
    channel_paths = tuple(_channel_path(one) for one in _rows(answer, "channel_paths"))
    down = {path.chpid: path for path in channel_paths if not path.usable}
    io = [row for row in rows if _text(row.get("type")) == "io"]
    types: dict[str, int] = {}
    for row in rows:
        kind = _text(row.get("type"))
        if kind != "io":
            types[kind] = types.get(kind, 0) + 1
    host = Host(
        name,
        devices=tuple(_device(row, seen.get(_text(row.get("device")), {}), down) for row in io),
        paths=channel_paths,
        guests=tuple(_guest(one) for one in _rows(answer, "guests")),
        plan=_plan(plan),
        others=tuple(sorted(types.items())),
        ignored=_texts(answer.get("ignored")),
    )
    noted = [{key: _text(value) for key, value in one.items()} for one in _rows(answer, "not_as_noted")]
    return Raw(host, tuple(noted), tuple(_definition(one) for one in _rows(answer, "definitions_without_device")))


def _why(answer: t.Any) -> str:
    said = _text(answer.get("msg")) if isinstance(answer, Mapping) else ""
    unreachable = isinstance(answer, Mapping) and answer.get("unreachable")
    return (
        f"{'It cannot be reached' if unreachable else 'Nothing was learned of it'}: {said or 'no result of css_info'}"
    )


def _rows(answer: Mapping[str, t.Any], name: str) -> list[Mapping[str, t.Any]]:
    rows = answer.get(name)
    if rows is None:
        return []
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not all(isinstance(row, Mapping) for row in rows):
        raise NotUnderstood(f"{name} is {type(rows).__name__}, expected the list of mappings that css_info returns")
    return list(rows)


def _text(value: t.Any) -> str:
    return "" if value is None else str(value)


def _texts(value: t.Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return ()
    return tuple(_text(one) for one in value)


def _map(value: t.Any) -> Mapping[str, t.Any]:
    return value if isinstance(value, Mapping) else {}


def _known(value: t.Any) -> bool | None:
    return None if value is None else bool(value)


def _number(value: t.Any, default: int) -> int:
    return value if isinstance(value, int) else default


def _channel_path(one: Mapping[str, t.Any]) -> ChannelPath:
    return ChannelPath(
        _text(one.get("chpid")),
        _text(one.get("status")) == "online",
        _text(one.get("configured")),
        _text(one.get("type")),
    )


def _definition(one: Mapping[str, t.Any]) -> Definition:
    return Definition(_text(one.get("subchannel")), _text(one.get("driver")), _texts(one.get("mdevs")))


def _guest(one: Mapping[str, t.Any]) -> Guest:
    return Guest(
        _text(one.get("name")),
        _text(one.get("hypervisor")),
        _known(one.get("running")),
        _texts(one.get("uuids")),
    )


def _device(row: Mapping[str, t.Any], passed: Mapping[str, t.Any], down: Mapping[str, ChannelPath]) -> Device:
    ccw, at_boot = _map(row.get("ccw")), _map(row.get("at_boot"))
    mdevs = _rows(row, "mdevs")
    mdev: Mapping[str, t.Any] = mdevs[0] if mdevs else {}
    return Device(
        number=_text(row.get("device")),
        subchannel=_text(row.get("subchannel")),
        driver=_text(row.get("driver")),
        ccw_driver=_text(ccw.get("driver")),
        online=bool(ccw.get("online")),
        control_unit=_text(ccw.get("control_unit")),
        type=_text(ccw.get("type")),
        disks=tuple(_disk(one) for one in _rows(ccw, "block_devices")),
        paths=_paths(row, down),
        uuid=_text(mdev.get("uuid")),
        in_use=_known(mdev.get("in_use", False)),
        guest=_text(row.get("guest")) or _text(passed.get("guest")),
        devno=_text(passed.get("guest_device")),
        kept_driver=_text(at_boot.get("driver")),
        kept_mdevs=_texts(at_boot.get("mdevs")),
        passable=bool(row.get("passable")),
        refusals=tuple(_refusal(one) for one in _rows(row, "refusals")),
        boot_refusals=tuple(_refusal(one) for one in _rows(at_boot, "refusals")),
    )


def _disk(one: Mapping[str, t.Any]) -> str:
    size = one.get("size")
    return f"{_text(one.get('name'))} {_size(size)}" if isinstance(size, int) and size else _text(one.get("name"))


def _size(count: int) -> str:
    """Bytes as people read them, in powers of ten as on a disk's label."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB", "PB"]
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.3g} {units[0]}"


def _refusal(one: Mapping[str, t.Any]) -> Finding:
    """Without its level yet."""
    return Finding(_text(one.get("id")), NOTE, _text(one.get("found")), _text(one.get("next_step")), refusal=True)


def _mask(value: t.Any) -> int:
    try:
        return int(_text(value) or "0", 16)
    except ValueError:
        return 0


def _paths(row: Mapping[str, t.Any], down: Mapping[str, ChannelPath]) -> tuple[Path, ...]:
    """The installed paths, in the order of the masks' bits (Principles of Operation, chapter 15: PIM, PAM, POM)."""
    installed, available, operational = (_mask(row.get(name)) for name in ("pim", "pam", "pom"))
    bits = [0x80 >> place for place in range(8) if installed & (0x80 >> place)]
    found = []
    for chpid, bit in zip(_texts(row.get("chpids")), bits):
        why = ""
        if chpid in down:
            why = "varied off" if not down[chpid].online else down[chpid].configured
        elif not available & bit:
            why = "not available"
        elif not operational & bit:
            why = "not operational"
        found.append(Path(chpid, why))
    return tuple(found)


def _plan(result: t.Any) -> Plan | None:
    if not isinstance(result, Mapping) or result.get("skipped"):
        return None
    refusals = [(_text(one.get("device")), replace(_refusal(one), level=WARNING)) for one in _rows(result, "refusals")]
    steps = [
        Step(
            _text(one.get("device")),
            _text(one.get("step")),
            _text(one.get("description")),
            _number(one.get("count"), 1),
        )
        for one in _rows(result, "actions")
    ]
    known = "actions" in result
    return Plan(tuple(steps), tuple(refusals), "" if known and not result.get("failed") else _text(result.get("msg")))

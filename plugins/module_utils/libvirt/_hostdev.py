# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passed-through channel devices of a libvirt domain, whoever defined it: attached and detached."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .._busid import GuestDevno
from .._host import Host
from ..qemu._versions import QemuVersion
from ..refusals._rows_guest import look
from ..refusals._rows_libvirt import LibvirtCase
from ..refusals._table import LIBVIRT_ROWS, Refusal, Refused, check_guest
from ._definition import has_common_boot_order, with_hostdevs
from ._domain import Hostdev, boot_orders, hostdev_element, hostdevs, taken
from ._guest import SeenDomain, domain_hypervisor, see_domain, xml_diff
from ._live import Running
from ._plan import ATTACH, CONFIG, LIVE, Change, Wanted, after, changes, named
from ._versions import LibvirtVersion
from ._virsh import STDIN, Virsh
from ._xml import dump, without_secrets


@dataclass(frozen=True)
class Order:
    """What is to become of a domain. ``live`` and ``config`` None: where the domain runs, where it has a definition."""

    domain: str
    wanted: tuple[Wanted, ...]
    present: bool = True
    live: bool | None = None
    config: bool | None = None
    timeout: float = 30.0
    """Seconds that a guest may take to let a device go."""
    qemu: str = ""
    """Version of the domain's QEMU, "" to ask it."""


@dataclass(frozen=True)
class Versions:
    libvirt: LibvirtVersion
    qemu: QemuVersion


@dataclass(frozen=True)
class Observed:
    """A domain, and its XML by place: live and config."""

    seen: SeenDomain

    @property
    def trees(self) -> dict[str, ET.Element | None]:
        return {LIVE: self.seen.live, CONFIG: self.seen.config}

    @property
    def persistent(self) -> bool:
        return self.seen.info is None or self.seen.info.persistent

    def hostdevs(self, place: str) -> tuple[Hostdev, ...]:
        tree = self.trees[place]
        return () if tree is None else hostdevs(tree)


def converge_hostdevs(host: Host, virsh: Virsh, order: Order, check_mode: bool) -> dict[str, Any]:
    """The module's result. Raises Refused before anything is changed, LibvirtError."""
    observed = later = Observed(see_domain(virsh, order.domain))
    where = {
        LIVE: observed.seen.active if order.live is None else order.live,
        CONFIG: observed.persistent if order.config is None else order.config,
    }
    _check(host, virsh, order, observed, where, check_mode)
    todo = [
        change
        for place in (LIVE, CONFIG)
        if where[place]
        for change in changes(order.wanted, observed.hostdevs(place), place, order.present)
    ]
    if not check_mode:
        make(host, virsh, order, observed, todo)
        later = Observed(see_domain(virsh, order.domain))
    result = _result(order, observed, later, todo, check_mode)
    return {**result, "warnings_": [] if check_mode else _missing(host, order, todo)}


def _missing(host: Host, order: Order, todo: Sequence[Change]) -> list[str]:
    """A definition may have a device before the host has it, and is told what follows."""
    uuids = [one.hostdev.uuid for one in todo if (one.what, one.where) == (ATTACH, CONFIG)]
    return [
        f"mediated device {uuid} does not exist; {order.domain} does not start without it"
        for uuid in uuids
        if not look(host, uuid).exists
    ]


def _check(
    host: Host, virsh: Virsh, order: Order, observed: Observed, where: dict[str, bool], check_mode: bool
) -> None:
    """Raises Refused."""
    versions = _versions(host, virsh, order, observed.seen)
    refusals: list[Refusal] = []
    for one in order.wanted:
        now = named(one, observed.hostdevs(LIVE), order.present)
        others = _others(one, order, observed, where)
        case = LibvirtCase(
            uuid=one.uuid,
            mdev=look(host, one.uuid),
            opens=where[LIVE] and now is None,
            planned=check_mode,
            domain=order.domain,
            wanted=one.over(now),
            exists=observed.seen.info is not None,
            active=observed.seen.active,
            persistent=observed.persistent,
            live=where[LIVE],
            config=where[CONFIG],
            now=now,
            moved=now is not None and where[LIVE] and order.present and not one.describes(now),
            taken=others.numbers,
            orders=others.orders,
            common_boot=others.common_boot,
            libvirt=versions.libvirt,
            qemu=versions.qemu,
        )
        refusals += check_guest(LIBVIRT_ROWS, case, f"domain {order.domain}", order.present)
    if refusals:
        raise Refused(refusals)


def _versions(host: Host, virsh: Virsh, order: Order, seen: SeenDomain) -> Versions:
    """Asked only where something is to be attached."""
    tree = seen.live if seen.live is not None else seen.config
    if not order.present or tree is None:
        return Versions(LibvirtCase.libvirt, LibvirtCase.qemu)
    accel = "kvm" if tree.get("type") == "kvm" else "tcg"
    emulator = tree.findtext("devices/emulator", "")
    return Versions(virsh.version(), domain_hypervisor(host, virsh, emulator, accel, order.qemu).qemu)


@dataclass(frozen=True)
class Others:
    """What others have wherever a device is to come: device numbers and places in the boot order."""

    numbers: dict[GuestDevno, str] = field(default_factory=dict)
    orders: dict[int, str] = field(default_factory=dict)
    common_boot: bool = False


def _others(one: Wanted, order: Order, observed: Observed, where: dict[str, bool]) -> Others:
    """What goes in the same run is free, what comes in it is not."""
    found = Others()
    for place, tree in observed.trees.items():
        if not where[place] or tree is None:
            continue
        todo = changes(order.wanted, observed.hostdevs(place), place, order.present)
        comes = [change.hostdev for change in todo if change.what == ATTACH]
        if one.uuid not in [hostdev.uuid for hostdev in comes]:
            continue
        goes = {change.hostdev.uuid for change in todo if change.what != ATTACH} | {one.uuid}
        others = [hostdev for hostdev in comes if hostdev.uuid != one.uuid]
        found.numbers.update((number, who) for number, who in taken(tree) if who not in goes)
        found.numbers.update((other.devno, other.uuid) for other in others if other.devno)
        found.orders.update((position, who) for position, who in boot_orders(tree) if who not in goes)
        found.orders.update((other.boot, other.uuid) for other in others if other.boot is not None)
        common = has_common_boot_order(tree) if place == CONFIG else tree.find("os/boot") is not None
        found = replace(found, common_boot=found.common_boot or common)
    return found


# --- the changes


def make(host: Host, virsh: Virsh, order: Order, observed: Observed, todo: Sequence[Change]) -> None:
    """All of them or none. Raises LibvirtError.

    The running domain first, then the definition as a whole: libvirt writes a boot order of its own when a domain's
    last boot device is taken away, and then refuses to have that device back.
    """
    running = Running(host, virsh, order.domain, order.timeout)
    with running.changed([one for one in todo if one.where == LIVE]):
        there = [one for one in todo if one.where == CONFIG]
        if there and observed.seen.config is not None:
            wanted = after(observed.hostdevs(CONFIG), there)
            virsh.run("define", STDIN, xml=with_hostdevs(observed.seen.config, wanted))


def _result(
    order: Order, observed: Observed, later: Observed, todo: Sequence[Change], check_mode: bool
) -> dict[str, Any]:
    devices = {place: later.hostdevs(place) for place in (LIVE, CONFIG)}
    new = later.seen.config
    if check_mode:
        devices = {place: after(there, [one for one in todo if one.where == place]) for place, there in devices.items()}
        new = new if new is None else with_hostdevs(new, devices[CONFIG])
    name = order.domain
    return {
        "changed": bool(todo),
        "actions": [
            {"device": "", "step": f"{one.what}-{one.where}", "description": one.text, "path": name, "value": ""}
            for one in todo
        ],
        "domain": name,
        "running": later.seen.active,
        "hostdevs": _described(devices),
        "restart_required": later.seen.active and new is not None and _differ(devices),
        "xml": "" if new is None else dump(without_secrets(new)),
        "diff": [*xml_diff(name, observed.trees[CONFIG], new), _live_diff(name, observed, devices)],
    }


def _differ(devices: dict[str, tuple[Hostdev, ...]]) -> bool:
    return set(devices[LIVE]) != set(devices[CONFIG])


def _described(devices: dict[str, tuple[Hostdev, ...]]) -> list[dict[str, Any]]:
    """Each device once, with its XML; as it runs where it does."""
    by_uuid = {one.uuid: one for place in (CONFIG, LIVE) for one in devices[place]}
    return [
        {
            "uuid": one.uuid,
            "devno": str(one.devno) if one.devno else "",
            "bootindex": one.boot,
            "loadparm": one.loadparm,
            "live": one.uuid in [other.uuid for other in devices[LIVE]],
            "config": one.uuid in [other.uuid for other in devices[CONFIG]],
            "xml": dump(hostdev_element(one)),
        }
        for one in by_uuid.values()
    ]


def _live_diff(name: str, observed: Observed, devices: dict[str, tuple[Hostdev, ...]]) -> dict[str, str]:
    header = f"running domain {name}"
    texts = ["".join(dump(hostdev_element(one)) for one in these) for these in (observed.hostdevs(LIVE), devices[LIVE])]
    return {"before_header": header, "after_header": header, "before": texts[0], "after": texts[1]}

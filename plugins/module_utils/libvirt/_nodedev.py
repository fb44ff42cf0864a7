# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mediated devices as libvirt's node devices: defined, started, started with the host.

Sources: libvirt's docs/formatnode.rst and docs/drvnodedev.rst. libvirt keeps them by mdevctl, so that they are
mdevctl's devices as well.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._busid import BadName, BusId, parse_uuid
from .._host import Host
from ..host._buses import View, list_buses, observe_subchannel
from ..host._journal import read_journal
from ..host._kept import Kept
from ..host._model import MDEV_TYPE, Subchannel
from ..host._observe import find
from ..qemu._guest import BadGuest
from ..refusals._rows_nodedev import NodeCase, node_name
from ..refusals._table import NODE_ROWS, Refusal, Refused, check_guest
from ._versions import LibvirtVersion
from ._virsh import STDIN, LibvirtError, Virsh
from ._wanted import uuid_of
from ._xml import dump

TIMEOUT = 30.0
"""Seconds until libvirt has heard of a change, which it does from udev and from mdevctl's files."""


@dataclass(frozen=True)
class Node:
    """A mediated device as libvirt has it. ``name``: libvirt's; ``parent``: likewise, of the subchannel."""

    name: str
    parent: str
    active: bool
    persistent: bool
    autostart: bool


@dataclass(frozen=True)
class WantedNode:
    """``state``: present (defined), started, stopped, absent. ``autostart`` None: as it is."""

    device: BusId
    uuid: str
    state: str = "started"
    autostart: bool | None = None


def node_element(uuid: str, subchannel: BusId) -> ET.Element:
    """The node device to define."""
    device = ET.Element("device")
    ET.SubElement(device, "parent").text = node_name(subchannel)
    capability = ET.SubElement(device, "capability", type="mdev")
    ET.SubElement(capability, "type", id=MDEV_TYPE)
    ET.SubElement(capability, "uuid").text = uuid
    return device


def parse_nodes(host: Host, items: Sequence[Mapping[str, Any]], state: str, autostart: bool | None) -> list[WantedNode]:
    """Raises GuestError that lists everything wrong."""
    wanted: list[WantedNode] = []
    wrong: list[str] = []
    for item in items:
        try:
            device = BusId.parse(item["device"])
            uuid = parse_uuid(item["uuid"]) if item.get("uuid") else uuid_of(host, device)
        except BadName as exc:
            wrong.append(str(exc))
            continue
        for other in wanted:
            if device == other.device:
                wrong.append(f"device {device} is listed twice")
            elif uuid == other.uuid:
                wrong.append(f"uuid {uuid} is given to {other.device} and {device}, each device needs its own")
        wanted.append(WantedNode(device, uuid, state, None if state == "absent" else autostart))
    if wrong:
        raise BadGuest("; ".join(wrong) + ". Nothing was changed.")
    return wanted


# --- looking


def see_nodes(virsh: Virsh, uuids: Sequence[str]) -> dict[str, Node]:
    """Those of libvirt's node devices that have one of these UUIDs. Raises LibvirtError.

    The name holds the UUID; newer releases put the parent behind it.
    """
    names = virsh.run("nodedev-list", "--cap", "mdev", "--all").split()
    found = {}
    for uuid in uuids:
        begin = "mdev_" + uuid.replace("-", "_")
        for name in names:
            there = _see(virsh, name) if name == begin or name.startswith(begin + "_") else None
            if there is not None:
                found[uuid] = there
    return found


def _see(virsh: Virsh, name: str) -> Node | None:
    """None for one that has gone since it was listed."""
    lines = virsh.lines_of("nodedev-info", "--device", name, unless="no node device with matching name")
    if lines is None:
        return None
    active, persistent, autostart = (lines.get(key) == "yes" for key in ("Active", "Persistent", "Autostart"))
    return Node(name, lines.get("Parent", ""), active, persistent, autostart)


# --- the way to a state


def converge_nodes(host: Host, virsh: Virsh, wanted: Sequence[WantedNode], check_mode: bool) -> dict[str, Any]:
    """The module's result. Raises Refused before anything is changed, LibvirtError."""
    places = _places(host, wanted)
    version = virsh.version()
    _check(wanted, places, {}, version)  # an old virsh does not know the command that asks
    nodes = see_nodes(virsh, [one.uuid for one in wanted])
    _check(wanted, places, nodes, version)
    steps = [(one, step) for one in wanted for step in plan(one, nodes.get(one.uuid))]
    if not check_mode:
        for one, step in steps:
            _do(host, virsh, one, step, places[one.device])
    return {
        "changed": bool(steps),
        "actions": [
            {"device": str(one.device), "step": step, "description": _text(one, step), "path": one.uuid, "value": ""}
            for one, step in steps
        ],
        "devices": [_described(one, places[one.device], nodes.get(one.uuid), steps) for one in wanted],
        "diff": _diff(wanted, nodes, steps),
    }


def _places(host: Host, wanted: Sequence[WantedNode]) -> dict[BusId, Subchannel | None]:
    view = View(host, list_buses(host), Kept(host))
    found = find(view, [one.device for one in wanted], read_journal(host))
    return {
        one.device: observe_subchannel(view, found[one.device], one.device) if one.device in found else None
        for one in wanted
    }


def _check(
    wanted: Sequence[WantedNode],
    places: Mapping[BusId, Subchannel | None],
    nodes: Mapping[str, Node],
    version: LibvirtVersion,
) -> None:
    """Raises Refused."""
    refusals: list[Refusal] = []
    for one in wanted:
        place = places[one.device]
        mdevs = {mdev.uuid: mdev for mdev in place.mdevs} if place else {}
        case = NodeCase(
            device=one.device,
            uuid=one.uuid,
            state=one.state,
            autostart=one.autostart,
            subchannel=place.busid if place else None,
            driver=place.driver if place else "",
            active=one.uuid in mdevs,
            in_use=one.uuid in mdevs and mdevs[one.uuid].in_use,
            others=tuple(uuid for uuid in mdevs if uuid != one.uuid),
            parent=nodes[one.uuid].parent if one.uuid in nodes else "",
            libvirt=version,
        )
        refusals += check_guest(NODE_ROWS, case, str(one.device), one.state != "absent")
    if refusals:
        raise Refused(refusals)


def plan(wanted: WantedNode, node: Node | None) -> list[str]:
    """What is to be done, in order: define, autostart, no-autostart, start, stop, undefine. A pure function."""
    keep = wanted.state != "absent"
    active, persistent = (node.active, node.persistent) if node else (False, False)
    rows = (
        ("define", keep and not persistent),
        ("autostart", wanted.autostart is True and not (node and node.autostart)),
        ("no-autostart", wanted.autostart is False and node is not None and node.autostart),
        ("start", wanted.state == "started" and not active),
        ("stop", wanted.state in ("stopped", "absent") and active),
        ("undefine", not keep and persistent),
    )
    return [step for step, needed in rows if needed]


_HOLDS = {
    "define": lambda node: node is not None and node.persistent,
    "autostart": lambda node: node is not None and node.autostart,
    "no-autostart": lambda node: node is not None and not node.autostart,
    "start": lambda node: node is not None and node.active,
    "stop": lambda node: node is None or not node.active,
    "undefine": lambda node: node is None or not node.persistent,
}
"""Whether a step's effect is there."""
_COMMANDS = {
    "autostart": ("nodedev-autostart",),
    "no-autostart": ("nodedev-autostart", "--disable"),
    "start": ("nodedev-start",),
    "stop": ("nodedev-destroy",),
    "undefine": ("nodedev-undefine",),
}


def _do(host: Host, virsh: Virsh, wanted: WantedNode, step: str, place: Subchannel | None) -> None:
    """Do it, and wait until libvirt has heard of it. Raises LibvirtError."""

    def node() -> Node | None:
        return see_nodes(virsh, [wanted.uuid]).get(wanted.uuid)

    if step == "define" and place is not None:
        virsh.run("nodedev-define", STDIN, xml=node_element(wanted.uuid, place.busid))
    else:
        there = node()
        if there is not None:
            virsh.run(*_COMMANDS[step], "--device", there.name)
    if not host.wait_for(lambda: _HOLDS[step](node()), TIMEOUT):
        raise LibvirtError(
            f"{_text(wanted, step)}: virsh reported success, but libvirt does not say so {TIMEOUT:g} s later. See what "
            "mdevctl list --defined says, and libvirtd's log"
        )


def _text(wanted: WantedNode, step: str) -> str:
    words = {
        "define": "define mediated device {}",
        "autostart": "start mediated device {} with the host",
        "no-autostart": "do not start mediated device {} with the host",
        "start": "start mediated device {}",
        "stop": "end mediated device {}",
        "undefine": "undefine mediated device {}",
    }
    return f"{words[step].format(wanted.uuid)} of {wanted.device}"


def _after(wanted: WantedNode, node: Node | None, steps: Sequence[str]) -> dict[str, bool]:
    """What libvirt has once the steps are done."""
    state = {"persistent": False, "active": False, "autostart": False}
    if node is not None:
        state = {"persistent": node.persistent, "active": node.active, "autostart": node.autostart}
    effects = {"define": ("persistent", True), "autostart": ("autostart", True), "no-autostart": ("autostart", False),
               "start": ("active", True), "stop": ("active", False), "undefine": ("persistent", False)}  # fmt: skip
    state.update(effects[step] for step in steps)
    return state


def _described(
    wanted: WantedNode, place: Subchannel | None, node: Node | None, steps: Sequence[tuple[WantedNode, str]]
) -> dict[str, Any]:
    return {
        "device": str(wanted.device),
        "uuid": wanted.uuid,
        "parent": node_name(place.busid) if place else "",
        **_after(wanted, node, [step for one, step in steps if one is wanted]),
        "xml": dump(node_element(wanted.uuid, place.busid)) if place else "",
    }


def _diff(
    wanted: Sequence[WantedNode], nodes: Mapping[str, Node], steps: Sequence[tuple[WantedNode, str]]
) -> list[dict[str, str]]:
    def line(one: WantedNode, done: Sequence[str]) -> str:
        state = _after(one, nodes.get(one.uuid), done)
        return f"{one.device} {one.uuid}: " + (", ".join(key for key in state if state[key]) or "not there") + "\n"

    before = "".join(line(one, []) for one in wanted)
    after = "".join(line(one, [step for other, step in steps if other is one]) for one in wanted)
    return [{"before_header": "node devices", "after_header": "node devices", "before": before, "after": after}]

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What css_info returns of hosts that nobody has: for the report's tests, and for the picture in the docs."""

from __future__ import annotations

from typing import Any, Sequence

from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BusId, default_uuid

Row = dict[str, Any]

PATHS = (("40", "online", "1b"), ("41", "online", "1b"), ("50", "online", "1b"), ("51", "offline", "1b"))
NEXT = {
    "mounted": "Unmount it, and remove it from /etc/fstab",
    "root-device": "Name another disk",
    "alias": "Name its base device",
    "virtio": "Pass the disk or network that lies behind it to the guest as virtio",
}


def row(number: int, **changes: Any) -> Row:
    """A DASD of the host that is free."""
    device, subchannel = str(BusId(0, number)), str(BusId(0, changes.pop("subchannel", number & 0xFFF)))
    ccw = {
        "driver": "dasd-eckd",
        "online": True,
        "control_unit": "3990/e9",
        "type": "3390/0c",
        "availability": "good",
        "alias": False,
        "aliases": [],
        "block_devices": [],
        "users": [],
    }
    ccw.update(changes.pop("ccw", {}))
    made = {
        "subchannel": subchannel,
        "type": "io",
        "driver": "io_subchannel",
        "driver_override": "",
        "device": device,
        "chpids": ["40", "41"],
        "pim": "c0",
        "pam": "c0",
        "pom": "ff",
        "guest": "",
        "ccw": ccw,
        "mdevs": [],
        "at_boot": {"driver": "", "mdevs": [], "refusals": []},
        "passable": True,
        "refusals": [],
    }
    return {**made, **changes}


def refused(number: int, id_: str, found: str, **changes: Any) -> Row:
    refusals = [{"id": id_, "found": found, "next_step": NEXT.get(id_, "See the docs")}]
    return row(number, passable=False, refusals=refusals, **changes)


def passed(number: int, guest: str, in_use: bool | None = True, kept: bool = True, **changes: Any) -> Row:
    uuid = default_uuid(BusId(0, number))
    at_boot = {"driver": "vfio_ccw", "mdevs": [uuid], "refusals": []} if kept else {}
    mdevs = [{"uuid": uuid, "in_use": in_use, "group": "0"}]
    made = {"driver": "vfio_ccw", "guest": guest, "mdevs": mdevs, "at_boot": at_boot, "passable": False}
    return {**row(number, **changes), "ccw": {}, **made}


def css(rows: Sequence[Row], guests: Sequence[dict[str, Any]] = (), **changes: Any) -> dict[str, Any]:
    """A result of css_info."""
    gone = [
        {
            "device": one["device"],
            "subchannel": one["subchannel"],
            "uuid": mdev["uuid"],
            "guest": one["guest"],
            "devno": f"fe.{one['device'][2:]}",
            "guest_device": one["device"],
            "in_use": mdev["in_use"],
        }
        for one in rows
        for mdev in one["mdevs"]
    ]
    made = {
        "changed": False,
        "subchannels": list(rows),
        "passed_through": gone,
        "guests": list(guests),
        "not_as_noted": [],
        "definitions_without_device": [],
        "channel_paths": [
            {"chpid": chpid, "status": status, "configured": "configured", "type": kind}
            for chpid, status, kind in PATHS
        ],
        "ignored": [],
    }
    return {**made, **changes}


def guest(name: str, running: bool | None, *numbers: int, hypervisor: str = "qemu") -> dict[str, Any]:
    uuids = [default_uuid(BusId(0, number)) for number in numbers]
    return {"name": name, "hypervisor": hypervisor, "running": running, "uuids": uuids}


def lpar1() -> dict[str, Any]:
    """A host with something of everything."""
    other = {"chpids": ["50", "51"]}
    rows = [
        refused(1, "virtio", "it is a virtio device", chpids=["00"], pim="80", pam="80", ccw=VIRTIO),
        refused(0x7E00, "root-device", "the host's root file system is on it: /dev/dasda1", ccw=disk("dasda")),
        refused(0x7E01, "mounted", "the disk is in use on the host: mounted at /srv/data", ccw=disk("dasdb")),
        *(row(number) for number in range(0x7E02, 0x7E10)),
        passed(0x7E52, "linux01"),
        passed(0x7E53, "linux01"),
        passed(0x7E54, "linux02", in_use=False, kept=False),
        *(row(number, **other) for number in range(0x8000, 0x8080)),
        *(passed(number, "linux03", **other) for number in range(0x8080, 0x8090)),
        refused(0x80FF, "alias", "it is a PAV alias", **other),
    ]
    guests = [
        guest("linux01", True, 0x7E52, 0x7E53),
        guest("linux02", False, 0x7E54, hypervisor="libvirt"),
        guest("linux03", True, *range(0x8080, 0x8090), hypervisor="libvirt"),
    ]
    noted = {"device": "0.0.7e0f", "noted": "0.0.0e10", "subchannel": "0.0.0e0f", "guest": "linux02", "state": "back"}
    left = [{"subchannel": "0.0.0e10", "driver": "vfio_ccw", "mdevs": []}]
    return css(rows, guests, not_as_noted=[noted], definitions_without_device=left, ignored=["0.0.9000-0.0.90ff"])


VIRTIO = {"driver": "virtio_ccw", "control_unit": "3832/02", "type": "n/a"}


def disk(name: str) -> dict[str, Any]:
    return {"block_devices": [{"name": name, "path": f"/dev/{name}", "size": 7385333760, "partitions": []}]}


def many(count: int, guests: int = 8) -> dict[str, Any]:
    """Control units of 256 devices with two channel paths each; of each 16 devices one is passed on."""
    rows, uses = [], {}
    for at in range(count):
        number, unit = 0x4000 + at, at // 256
        where = {"chpids": [f"{0x40 + 2 * (unit % 32):02x}", f"{0x41 + 2 * (unit % 32):02x}"], "subchannel": at}
        if at % 16 == 0:
            name = f"linux{at // 16 % guests:02}"
            uses.setdefault(name, []).append(number)
            rows.append(passed(number, name, in_use=at % 64 != 0, kept=at % 32 == 0, **where))
        elif at % 100 == 7:
            rows.append(refused(number, "mounted", f"the disk is in use on the host: mounted at /srv/{at}", **where))
        else:
            rows.append(row(number, **where))
    return css(rows, [guest(name, True, *numbers) for name, numbers in uses.items()])

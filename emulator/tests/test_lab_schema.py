# SPDX-License-Identifier: GPL-2.0-or-later
"""The definition of a lab: what it becomes, and what a wrong one is told."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from ccwemu.lab.fields import LabError
from ccwemu.lab.schema import read_lab
from ccwemu.machine.spec import CHSC, HYPER_PAV_ALIAS, PAV_ALIAS, DasdSpec, PlaceSpec, VirtioSpec, VolumeSpec

HEAD = """\
lab: one
hosts:
  lpar1:
"""

WRONG = [
    ("lab: one\n", "1: nothing found; expected the key 'hosts'"),
    ("lab: One\nhosts: {a: {}}\n", "1: lab: found 'One'; expected a name of small letters, digits and hyphens"),
    ("lab: one\nhosts: [a]\n", "2: hosts: found a list; expected a mapping (key: value)"),
    ("lab: one\nhosts: {}\n", "2: hosts: found no host; expected at least one"),
    ("lab: one\nhosts: {a: {}}\nhost: b\n", "3: host: unknown key; expected 'hosts', perhaps?"),
    (
        HEAD + "    kernel: six\n",
        "4: hosts.lpar1.kernel: kernel release 'six': must begin with a version like 6.1; expected",
    ),
    (
        HEAD + "    kernel: 4.4.0\n",
        "vfio_ccw exists from Linux 4.12 on; choose a later kernel; expected a kernel release",
    ),
    (HEAD + "    config: {VFIO: n}\n", "4: hosts.lpar1.config.VFIO: found 'VFIO'; expected a symbol"),
    (
        HEAD + "    qemu: '2.10'\n    libvirt: true\n",
        "5: hosts.lpar1.libvirt: the host has QEMU 2.10, for quick guests; expected no key 'qemu' beside it",
    ),
    (HEAD + "    kernel:\n", "4: hosts.lpar1.kernel: found nothing; expected a kernel release"),
    (HEAD + "    kernel: 6.1\n    kernel: 6.8\n", "5: hosts.lpar1.kernel: this key stands here twice"),
    (HEAD + "    chpids: {zz: }\n", "4: hosts.lpar1.chpids.zz: found 'zz'; expected a hexadecimal number from 0 to ff"),
    (
        HEAD + "    devices:\n      - {}\n",
        "5: hosts.lpar1.devices[0]: found the keys none; expected exactly one of dasd",
    ),
    (
        HEAD + "    devices:\n      - {dasd: 7e52, chpids: [41]}\n",
        "5: hosts.lpar1.devices[0].dasd: found '7e52'; expected a bus id such as 0.0.7e52",
    ),
    (
        HEAD + "    devices:\n      - {dasd: 0.0.7e52, chpids: [141]}\n",
        "5: hosts.lpar1.devices[0].chpids[0]: found '141'; expected a hexadecimal number from 0 to ff",
    ),
    (HEAD + "    devices:\n      - {dasd: 0.0.7e52}\n", "found no channel path; expected chpids: [41, 42] or so"),
    (
        HEAD + "    devices:\n      - {dasd: 0.0.7e52, chpids: [41], cylinder: 5}\n",
        "5: hosts.lpar1.devices[0].cylinder: unknown key; expected 'cylinders', perhaps?",
    ),
    (
        HEAD + "    devices:\n      - {dasd: 0.0.7e52, chpids: [41], online: maybe}\n",
        "5: hosts.lpar1.devices[0].online: found 'maybe'; expected true or false",
    ),
    (
        HEAD + "    devices:\n      - {dasd: 0.0.7e52, chpids: [41], mounted: /srv, online: false}\n",
        "devices[0].mounted: the disk is offline; expected online: true",
    ),
    (
        HEAD + "    devices:\n      - {dasd: 0.0.7e52, chpids: [41]}\n      - {dasd: 0.0.7e52, chpids: [41]}\n",
        "6: hosts.lpar1.devices[1]: device 0.0.7e52 is already on subchannel 0.0.0000; expected another device number",
    ),
    (
        HEAD + "    devices:\n      - {dasd: 0.0.80ff-0.0.8000, chpids: [41]}\n",
        "5: hosts.lpar1.devices[0].dasd: found '0.0.80ff-0.0.8000'; expected a bus id such as 0.0.7e52, or a range",
    ),
    (
        HEAD + "    devices:\n      - {dasd: 0.0.80ff-0.1.8100, chpids: [41]}\n",
        "5: hosts.lpar1.devices[0].dasd: found '0.0.80ff-0.1.8100'; expected a bus id such",
    ),
    (
        HEAD + "    devices:\n      - {dasd: 0.0.8000-0.0.8001, chpids: [41], subchannel: 0.0.ffff}\n",
        "devices[0].subchannel: found '0.0.ffff' for the first of 2 devices; expected a number from which on",
    ),
    (
        HEAD
        + "    devices:\n      - {dasd: 0.0.8000-0.0.8001, chpids: [41]}\n      - {empty: 0.0.8001, chpids: [41]}\n",
        "6: hosts.lpar1.devices[1]: device 0.0.8001 is already on subchannel 0.0.0001",
    ),
    (
        HEAD
        + "    devices:\n      - {dasd: 0.0.8000-0.0.8001, chpids: [41], subchannel: 0.0.0005}\n"
        + "      - {empty: 0.0.9000, subchannel: 0.0.0006, chpids: [41]}\n",
        "6: hosts.lpar1.devices[1]: there is a device on subchannel 0.0.0006 already; expected another subchannel",
    ),
    (
        HEAD + "    devices:\n      - {dasd: 0.0.8000-0.0.8001, chpids: [41], mounted: /srv}\n",
        "devices[0].mounted: found '/srv', one mount point for 2 devices; expected a text with {device}, which stands",
    ),
    (
        HEAD + "    devices:\n      - {dasd: 0.0.8000-0.0.8001, chpids: [41], image: a.ckd}\n",
        "devices[0].image: found 'a.ckd', one image for 2 devices; expected a text with {device}",
    ),
    (
        "lab: one\nhosts:\n  lpar[2-1]: {}\n",
        "3: hosts.lpar[2-1]: found the name 'lpar[2-1]'; expected a range such as lpar[01-50], of at most 1000 names",
    ),
    ("lab: one\nhosts:\n  lpar[1-2]: {}\n  lpar2: {}\n", "4: hosts.lpar2: there is a host lpar2 already"),
    (
        "lab: one\nhosts:\n  lpar[1-3]: {}\nguests:\n  linux[1-2]: {host: 'lpar[1-3]'}\n",
        "5: guests.linux[1-2].host: found 'lpar[1-3]' for 2 guest(s); expected a host, or a range of as many",
    ),
    (
        HEAD + "    devices:\n      - {virtio: 0.0.0001, kind: disk}\n",
        "5: hosts.lpar1.devices[0].kind: found 'disk'; expected net or blk",
    ),
    ("lab: one\nhosts: {a: {}}\nguests:\n  g: {host: b}\n", "4: guests.g.host: found 'b'; expected a"),
    (
        "lab: one\nhosts: {a: {}}\nguests:\n  g: {host: a, kind: fast}\n",
        "4: guests.g.kind: found 'fast'; expected quick or real",
    ),
    (
        "lab: one\nhosts: {a: {}}\nguests:\n  g: {host: a, ssh_port: 2222}\n",
        "4: guests.g.ssh_port: a guest of kind quick has none; expected kind: real",
    ),
    (
        "lab: one\nhosts: {a: {}}\nguests:\n  g: {host: a, kind: real, ssh_port: 70000}\n",
        "4: guests.g.ssh_port: found '70000'; expected a number from 1 to 65535",
    ),
    (
        'lab: one\nhosts: {a: {}}\nguests:\n  g: {host: a, kind: real, kernel: "5.10"}\n',
        "4: guests.g.kernel: found '5.10'; expected 6.1 or 6.12",
    ),
    (
        HEAD + "    files: {/usr/bin/x: a}\n",
        "4: hosts.lpar1.files./usr/bin/x: found the path '/usr/bin/x': that is the machine's, the emulated kernel's",
    ),
    (
        HEAD + "    files: {/etc/../x: a}\n",
        "found the path '/etc/../x': it is not absolute, or not in its shortest form",
    ),
    (
        HEAD + "    files: {/etc/x: {text: a, mode: 999}}\n",
        "4: hosts.lpar1.files./etc/x.mode: found '999'; expected an octal number from 0 to 777",
    ),
    (HEAD + "    commands: [[]]\n", "4: hosts.lpar1.commands[0]: found no command; expected a list of its words"),
    (
        HEAD + "    devices:\n      - {dasd: 0.0.7e52, chpids: [41], swap: true, online: false}\n",
        "devices[0].swap: the disk is offline; expected online: true, or no 'swap'",
    ),
    (
        HEAD + "    devices:\n      - {dasd: 0.0.7e52, chpids: [41], mounted: /srv, swap: true}\n",
        "devices[0].swap: it is mounted, too; expected either 'mounted' or 'swap'",
    ),
    (
        HEAD
        + "    devices:\n      - {dasd: 0.0.7e52, chpids: [41]}\n    volumes:\n      - {name: v, on: [0.0.7e52]}\n",
        "7: hosts.lpar1.volumes[0].on[0]: found '0.0.7e52'; expected a disk that is online",
    ),
    (
        HEAD + "    devices:\n      - {dasd: 0.0.80f0, chpids: [41], alias_of: all}\n",
        "devices[0].alias_of: found 'all'; expected the device number of its base, or any",
    ),
    (HEAD + "    volumes:\n      - {name: md0, kind: raid, on: []}\n", "volumes[0].on: found no member"),
    (HEAD + "    volumes:\n      - {name: vg0, kind: raid, on: []}\n", "found 'vg0'; expected a name such as md0"),
    (
        HEAD + "    devices:\n      - {dasd: 0.0.8000-0.0.8001, chpids: [41], volumes: [vg0-data]}\n",
        "devices[0].volumes: found 'vg0-data', one volume for 2 devices; expected names with {device}",
    ),
    (
        HEAD + "    devices:\n      - {dasd: 0.0.7e52, chpids: [41], sparse: true, image: a}\n",
        "devices[0].sparse: the image is yours; expected no 'sparse' beside 'image'",
    ),
    ("lab: [\n", ": not YAML"),
    ("", "1: the file is empty; expected the keys lab and hosts"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[message for _, message in WRONG])
def test_wrong_definitions(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "lab.yml"
    path.write_text(text)
    with pytest.raises(LabError) as caught:
        read_lab(str(path))
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_a_missing_file() -> None:
    with pytest.raises(LabError, match="there is no such file"):
        read_lab("/nonexistent/lab.yml")


def test_chpids_are_hexadecimal_and_masks_follow(tmp_path: Path) -> None:
    path = tmp_path / "lab.yml"
    path.write_text(HEAD + textwrap.indent("devices:\n  - {dasd: 0.0.7e52, chpids: [41, 42]}\n", "    "))
    (subchannel,) = read_lab(str(path)).hosts[0].machine.subchannels
    assert (subchannel.chpids, subchannel.pim, subchannel.pam) == ((0x41, 0x42), 0xC0, 0xC0)


def test_subchannel_numbers_are_given_where_none_stand(tmp_path: Path) -> None:
    path = tmp_path / "lab.yml"
    devices = "devices:\n  - {virtio: 0.0.0009, kind: net}\n  - {virtio: 0.0.0008, kind: blk, subchannel: 0.0.0000}\n"
    path.write_text(HEAD + textwrap.indent(devices, "    "))
    found = {sch.devno: sch.busid for sch in read_lab(str(path)).hosts[0].machine.subchannels}
    assert found == {"0.0.0008": "0.0.0000", "0.0.0009": "0.0.0001"}


def test_a_range_of_disks(tmp_path: Path) -> None:
    path = tmp_path / "lab.yml"
    devices = """\
devices:
  - {virtio: 0.0.0000, kind: net}
  - dasd: 0.0.80fe-0.0.8101
    chpids: [41, 42]
    subchannel: 0.0.0010
    cylinders: 3
    mounted: /srv/{device}
  - {dasd: 0.0.9000-0.0.9001, chpids: [41], image: "disks/{device}.ckd"}
"""
    path.write_text(HEAD + textwrap.indent(devices, "    "))
    host = read_lab(str(path)).hosts[0]
    found = [(sch.busid, sch.devno) for sch in host.machine.subchannels]
    assert found == [
        ("0.0.0000", "0.0.0000"),
        ("0.0.0001", "0.0.9000"),
        ("0.0.0002", "0.0.9001"),
        ("0.0.0010", "0.0.80fe"),
        ("0.0.0011", "0.0.80ff"),
        ("0.0.0012", "0.0.8100"),
        ("0.0.0013", "0.0.8101"),
    ]
    units = [(sch.device.ssid, sch.device.unit_address) for sch in host.machine.subchannels[3:]]  # type: ignore[union-attr]
    assert units == [(0x80, 0xFE), (0x80, 0xFF), (0x81, 0x00), (0x81, 0x01)]
    assert [mount.target for mount in host.mounts][-1] == "/srv/0.0.8101"
    assert len({disk.image for disk in host.disks}) == 6
    assert [disk.image for disk in host.disks][:1] == [str(tmp_path / "disks/0.0.9000.ckd")]


def test_fifty_hosts_with_a_guest_each(tmp_path: Path) -> None:
    path = tmp_path / "lab.yml"
    path.write_text(
        "lab: fleet\nhosts:\n  lpar[01-50]:\n    devices:\n      - {dasd: 0.0.8000-0.0.8013, chpids: [41]}\n"
        "guests:\n  linux[01-50]: {host: 'lpar[01-50]'}\n  extra[1-3]: {host: lpar07}\n"
    )
    lab = read_lab(str(path))
    assert [host.name for host in lab.hosts][::49] == ["lpar01", "lpar50"]
    assert len({disk.image for host in lab.hosts for disk in host.disks}) == 1000
    assert {guest.name: guest.host for guest in lab.guests} == {
        **{f"linux{number:02}": f"lpar{number:02}" for number in range(1, 51)},
        **{f"extra{number}": "lpar07" for number in range(1, 4)},
    }


def test_volumes_on_disks_and_on_volumes(tmp_path: Path) -> None:
    text = """\
devices:
  - {dasd: 0.0.8000, chpids: [41], swap: true}
  - {dasd: 0.0.8001, chpids: [41], online: true}
  - {dasd: 0.0.8002, chpids: [41], layout: unformatted, online: true}
volumes:
  - {name: md0, kind: raid, on: [0.0.8001, 0.0.8002]}
  - {name: vg0-data, on: [md0], mounted: /srv/data}
"""
    path = tmp_path / "lab.yml"
    path.write_text(HEAD + textwrap.indent(text, "    "))
    (host,) = read_lab(str(path)).hosts
    assert host.machine.swaps == (PlaceSpec("0.0.8000"),)
    array, volume = host.machine.volumes
    assert array == VolumeSpec("md0", (PlaceSpec("0.0.8001"), PlaceSpec("0.0.8002", 0)), "raid")
    assert volume.members == (PlaceSpec("md0", 0),)
    assert [(mount.place, mount.target) for mount in host.mounts] == [(PlaceSpec("vg0-data", 0), "/srv/data")]


def test_aliases_and_other_systems(tmp_path: Path) -> None:
    text = """\
devices:
  - {dasd: 0.0.8000, chpids: [41], other_systems: 2, reserved: true}
  - {dasd: 0.0.80f0, chpids: [41], alias_of: 0.0.8007}
  - {dasd: 0.0.80f1, chpids: [41], alias_of: any}
"""
    path = tmp_path / "lab.yml"
    path.write_text(HEAD + textwrap.indent(text, "    "))
    disks = [sch.device for sch in read_lab(str(path)).hosts[0].machine.subchannels]
    base, alias, hyper = (disk for disk in disks if isinstance(disk, DasdSpec))
    assert (base.alias, base.other_systems, base.reserved) == (0, 2, True)
    assert (alias.alias, alias.base_unit_address, hyper.alias) == (PAV_ALIAS, 0x07, HYPER_PAV_ALIAS)


def test_the_seed_lab() -> None:
    lab = read_lab("seed")
    (host,) = lab.hosts
    by_device = {sch.devno: sch for sch in host.machine.subchannels}
    assert by_device["0.0.7e52"].busid == "0.0.16ca"
    assert isinstance(by_device["0.0.7e52"].device, DasdSpec)
    assert {sch.device.kind for sch in host.machine.subchannels if isinstance(sch.device, VirtioSpec)} == {"blk", "net"}
    assert [sch.type for sch in host.machine.subchannels if sch.devno is None] == [CHSC]
    assert [(mount.place.device, mount.target) for mount in host.mounts] == [("0.0.7e53", "/srv/data")]
    assert [(guest.name, guest.host) for guest in lab.guests] == [("linux01", "lpar1")]

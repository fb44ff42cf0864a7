# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused on an emulated host, by what its /sys, /proc, /dev and files say, through every layer."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from ansible_collections.zkvm.vfio_ccw.tests.unit import disk_labels

LAB = """\
lab: refusals
hosts:
  lpar1:
    ipl: 0.0.8016
    dump: 0.0.8017
    devices:
      - {dasd: 0.0.8000, chpids: [41], cylinders: 2, mounted: /srv/plain}
      - {dasd: 0.0.8001, chpids: [41], cylinders: 2, swap: true}
      - {dasd: 0.0.8002, chpids: [41], cylinders: 2, online: true}
      - {dasd: 0.0.8003, chpids: [41], cylinders: 2, online: true}
      - {dasd: 0.0.8004, chpids: [41], cylinders: 2, online: true}
      - {dasd: 0.0.8005, chpids: [41], cylinders: 2, online: true}
      - {dasd: 0.0.8006, chpids: [41], cylinders: 2, online: true}
      - {dasd: 0.0.8007, chpids: [41], cylinders: 2, online: true}
      - {dasd: 0.0.8008, chpids: [41], cylinders: 2, online: true}
      - {dasd: 0.0.8009, chpids: [41], cylinders: 2, online: true}
      - {dasd: 0.0.800a, chpids: [41], cylinders: 2}
      - {dasd: 0.0.800b, chpids: [41], cylinders: 2, online: true}
      - {dasd: 0.0.800c, chpids: [41], cylinders: 2}
      - {dasd: 0.0.800d, chpids: [41], cylinders: 2, online: true}
      - {dasd: 0.0.800e, chpids: [41], cylinders: 2, online: true, other_systems: 2}
      - {dasd: 0.0.800f, chpids: [41], cylinders: 2, online: true, reserved: true}
      - {dasd: 0.0.8010, chpids: [41], cylinders: 2, online: true}
      - {dasd: 0.0.8011, chpids: [41], cylinders: 2, online: true}
      - {dasd: 0.0.8012-0.0.8014, chpids: [41], cylinders: 2}
      - {dasd: 0.0.8016-0.0.8017, chpids: [41], cylinders: 2}
      - {other: 0.0.8015, chpids: [42], cu_type: "1731", cu_model: "01", qdio: true}
      - {dasd: 0.0.80f0, chpids: [41], cylinders: 2, online: true, alias_of: 0.0.800d}
      - {dasd: 0.0.80f1, chpids: [41], cylinders: 2, online: true, alias_of: any}
    volumes:
      - {name: md0, kind: raid, on: [0.0.8002, 0.0.8003]}
      - {name: vg0-data, on: [md0], mounted: /srv/volume}
      - {name: secret, kind: crypt, on: [0.0.8004], swap: true}
      - {name: 11111111-2222-3333-4444-555555555555, kind: btrfs, on: [0.0.8005], mounted: /srv/btrfs}
"""

LABELS = {
    "0.0.8006": disk_labels.lvm(),
    "0.0.8007": disk_labels.array("1.2"),
    "0.0.8008": disk_labels.btrfs(2),
    "0.0.8009": disk_labels.swap(),
    "0.0.800b": disk_labels.luks(),
}
UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
FSTAB = f"""\
UUID={disk_labels.SWAP_AREA} none swap sw 0 0
/dev/disk/by-path/ccw-0.0.800a-part1 /srv/later ext4 noauto 0 0
"""
CRYPTTAB = f"private UUID={disk_labels.FILE_SYSTEM} none luks\n"

REFUSED = [
    ("0.0.8000", "mounted", "mounted at /srv/plain"),
    ("0.0.8001", "swap", "swap space on /dev/dasdb1"),
    (
        "0.0.8002",
        "holder",
        "RAID array md0 has dasdc1 as a member, logical volume vg0-data (dm-0) lies on md0, mounted",
    ),
    ("0.0.8003", "holder", "RAID array md0 has dasdd1 as a member"),
    ("0.0.8004", "holder", "encrypted volume secret (dm-1) lies on dasde1, swap space on /dev/dm-1"),
    ("0.0.8005", "mounted", "mounted at /srv/btrfs"),
    ("0.0.8005", "holder", "member of btrfs file system 11111111-2222-3333-4444-555555555555"),
    ("0.0.8006", "volume-member", "dasdg1 belongs to volume group vg0"),
    ("0.0.8007", "volume-member", "dasdh1 belongs to RAID array lpar1:data"),
    ("0.0.8008", "volume-member", f"btrfs file system {disk_labels.BTRFS} of 2 disks"),
    ("0.0.8009", "swap-in-fstab", f"UUID={disk_labels.SWAP_AREA}"),
    ("0.0.800a", "in-fstab", "/srv/later"),
    ("0.0.800b", "in-crypttab", "the encrypted volume private"),
    ("0.0.800d", "base-with-aliases", "the host uses PAV aliases of it: 0.0.80f0"),
    ("0.0.800e", "shared", "2 other systems have it online"),
    ("0.0.800f", "reserved", "boxed"),
    ("0.0.8010", "opened", "opened by process"),
    ("0.0.8011", "driver-override", "names 'somebody'; no other driver can bind it"),
    ("0.0.8012", "foreign-override", "/etc/driverctl.d/css-0.0."),
    ("0.0.8013", "other-uuid-at-boot", f"lets mdevctl create mediated device {UUID}"),
    ("0.0.8014", "not-ours", f"with mediated device {UUID[:-1]}1, and the journal does not know of it"),
    ("0.0.8015", "qdio", "1731/01"),
    ("0.0.8016", "boot-device", "the host was started (IPL) from it"),
    ("0.0.8017", "dump-device", "it is the host's dump device"),
    ("0.0.80f0", "alias", "a PAV alias of the disk IBM.000000000ABC01.0080.0d"),
    ("0.0.80f1", "alias", "a HyperPAV alias: through it a guest would reach every disk of the subsystem"),
]


class Lab:
    def __init__(self, controller) -> None:
        self._controller = controller
        self.inventory = controller.inventory("refusals")

    def run(self, *command: str) -> str:
        done = self._controller.ccwemu("exec", "--lab", "refusals", "lpar1", "--", *command)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def module(self, name: str, **options: object) -> dict:
        """What a module returned, success or not."""
        told = self._controller.run(
            "ansible", "adhoc", "-i", self.inventory, "lpar1", "-m", f"zkvm.vfio_ccw.{name}", "-a", json.dumps(options)
        ).stdout
        assert " => {" in told, told
        returned = json.loads(told.split(" => ", 1)[1])
        assert "exception" not in returned, returned
        return returned


@pytest.fixture(scope="module", name="lab")
def _lab(controller) -> Iterator[Lab]:
    definition = controller.home / "refusals.yml"
    definition.write_text(LAB, encoding="utf-8")
    up = controller.ccwemu("up", str(definition))
    assert up.returncode == 0, up.stdout
    lab = Lab(controller)
    lab.run("modprobe", "vfio_ccw")
    lab.run("python3", "-c", _writer())
    lab.run("python3", "-c", OTHERS)
    yield lab
    down = controller.ccwemu("down", "refusals")
    assert down.returncode == 0, down.stdout


OTHERS = f"""
import json, os, subprocess
def subchannel(device):
    return os.path.basename(os.path.dirname(os.path.realpath(f"/sys/bus/ccw/devices/{{device}}")))
def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "w").write(text)
disk = os.listdir("/sys/bus/ccw/devices/0.0.8010/block")[0]
quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
subprocess.Popen(["sleep", "100000"], stdin=open("/dev/" + disk), **quiet)
write(f"/sys/bus/css/devices/{{subchannel('0.0.8011')}}/driver_override", "somebody")
write(f"/etc/driverctl.d/css-{{subchannel('0.0.8012')}}", "vfio_ccw\\n")
kept = f"/etc/mdevctl.d/{{subchannel('0.0.8013')}}/{UUID}"
write(kept, json.dumps({{"mdev_type": "vfio_ccw-io", "start": "auto", "attrs": []}}))
taken = subchannel("0.0.8014")
write("/sys/bus/css/drivers/io_subchannel/unbind", taken)
write("/sys/bus/css/drivers/vfio_ccw/bind", taken)
write(f"/sys/bus/css/devices/{{taken}}/mdev_supported_types/vfio_ccw-io/create", "{UUID[:-1]}1")
"""


def _writer() -> str:
    """A program that writes the labels, and the host's files."""
    labels = {device: {at: data.hex() for at, data in label.items()} for device, label in LABELS.items()}
    return f"""
import os
for device, label in {labels!r}.items():
    disk = os.listdir(f"/sys/bus/ccw/devices/{{device}}/block")[0]
    with open(f"/dev/{{disk}}1", "r+b") as node:
        for at, data in label.items():
            node.seek(at)
            node.write(bytes.fromhex(data))
for path, text in {{"/etc/fstab": {FSTAB!r}, "/etc/crypttab": {CRYPTTAB!r}}}.items():
    open(path, "w").write(text)
"""


@pytest.mark.lab
def test_each_is_refused_for_what_it_is(lab):
    told = lab.module("css_info", devices=["0.0.8000-0.0.80ff"])
    assert "subchannels" in told, told
    listed = {one["device"]: one for one in told["subchannels"]}
    told = [(device, one["id"], one["found"]) for device in sorted(listed) for one in listed[device]["refusals"]]
    assert [(device, refusal) for device, refusal, _found in told] == [row[:2] for row in REFUSED]
    for (_device, _id, found), (_device2, _id2, says) in zip(told, REFUSED, strict=True):
        assert says in found
    assert listed["0.0.800c"]["passable"]
    assert listed["0.0.800c"]["ccw"]["unread"] == "it is offline"


@pytest.mark.lab
def test_one_that_is_refused_keeps_the_whole_list(lab):
    before = lab.run("sh", "-c", "lscss; lsdasd -a; cat /proc/swaps")
    refused = lab.module("passthrough", devices=[{"device": "0.0.8000-0.0.80ff", "force": ["in-fstab"]}])
    ids = [(one["device"], one["id"]) for one in refused["refusals"] if one["id"] != "other-uuid"]
    assert ids == [row[:2] for row in REFUSED if row[1] != "in-fstab"]
    assert lab.run("sh", "-c", "lscss; lsdasd -a; cat /proc/swaps") == before


LASTING = {"device": "0.0.800c", "persistent": True, "remove_parameters": True}
ZIPL = '[linux]\nimage = /boot/image\nparameters = "root=/dev/vda1 rd.dasd=0.0.8000-0.0.800c"\n'


@pytest.mark.lab
def test_what_lasts_needs_a_rule_that_works_and_no_parameters(lab, controller):
    """The machine's own rule of mdevctl, where it names a program that is not there, and zipl's parameters."""
    lab.run(
        "sh",
        "-c",
        "rm -rf /etc/udev/rules.d/60-mdevctl.rules /etc/driverctl.d/css-* /etc/mdevctl.d/0.0.*; "
        f"cat > /etc/zipl.conf <<'END'\n{ZIPL}END",
    )
    stale = "sbin/mdevctl" in lab.run("cat", "/usr/lib/udev/rules.d/60-mdevctl.rules")
    refused = lab.module("passthrough", devices=[{**LASTING, "remove_parameters": False}]).get("refusals", [])
    assert [one["id"] for one in refused] == ["stale-rule"] * stale + ["online-at-boot"]
    done = lab.module("passthrough", devices=[LASTING], correct_rule=True)
    assert done["changed"] and "msg" not in done, done.get("msg")
    assert 'rd.dasd=0.0.8000-0.0.800b"' in lab.run("cat", "/etc/zipl.conf"), done
    reboot = controller.ccwemu("reboot", "--lab", "refusals", "lpar1")
    assert reboot.returncode == 0, reboot.stdout
    assert "(defined)" in lab.run("mdevctl", "list")
    assert lab.module("passthrough", devices=[{"device": "0.0.800c", "state": "absent"}])["changed"]
    assert lab.run("cat", "/etc/zipl.conf") == ZIPL

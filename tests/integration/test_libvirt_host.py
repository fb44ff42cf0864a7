# SPDX-License-Identifier: GPL-3.0-or-later
"""Real libvirt, Debian's, on emulated hosts: node devices, and guests in the real QEMU whose processor stays stopped.

The collection's modules on it: test_libvirt_modules.py. What a guest's system makes of it: make test-real.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ccwemu.guestimage import image
from ccwemu.tools import real_program
from lab_rig import until
from libvirt_node import DOMAIN, HOSTDEV, MDEVS, NODE_DEVICE, UUIDS, Node, pass_through

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(
        shutil.which("libvirtd", path="/usr/sbin:/usr/bin") is None,
        reason="libvirt is missing: sudo .ci/system-packages libvirt",
    ),
    pytest.mark.skipif(
        real_program("qemu-system-s390x") is None,
        reason="qemu-system-s390x is missing: apt-get install qemu-system-misc",
    ),
]

LAB = """\
lab: libvirt
hosts:
  lpar[1-3]:
    libvirt: true
    devices:
      - {virtio: 0.0.0000, subchannel: 0.0.0000, kind: blk, size: 1048576}
      - {dasd: 0.0.7e52, subchannel: 0.0.16ca, chpids: [41, 42], cylinders: 3, online: true}
      - {dasd: 0.0.7e53, subchannel: 0.0.16cb, chpids: [41, 42], cylinders: 3}
      - {dasd: 0.0.7e54, subchannel: 0.0.16cc, chpids: [41, 42], cylinders: 3}
guests:
  linux01: {host: lpar1, kind: real}
"""


def with_images(who, home: Path):
    """Whoever runs ccwemu, with zeros for a guest image: to a processor, one program check after another."""
    directory = home / "images" / "none"
    directory.mkdir(parents=True)
    told = {"format": image.FORMAT, "series": "6.1", "release": "none", "recipe": image.recipe(), "made": 1.0}
    (directory / "manifest.json").write_text(json.dumps(told), encoding="utf-8")
    for name in ("kernel", "initrd", "root.ext4", "id_ed25519"):
        (directory / name).write_bytes(bytes(1 << 16))
    return dataclasses.replace(who, environment={**who.environment, "CCWEMU_IMAGES": str(home)})


def running(who, lab: str, definition: str) -> Iterator[str]:
    path = who.home / f"{lab}.yml"
    path.write_text(definition, encoding="utf-8")
    up = who.ccwemu("up", "--name", lab, str(path))
    assert up.returncode == 0, up.stdout
    yield lab
    down = who.ccwemu("down", lab)
    assert down.returncode == 0, down.stdout


def node_of(who, lab: str, name: str) -> Node:
    return Node(lambda *words: who.ccwemu("exec", "--lab", lab, name, "--", *words))


@pytest.fixture(scope="module")
def who(controller, tmp_path_factory):
    return with_images(controller, tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def node(who) -> Iterator[Node]:
    for lab in running(who, "libvirt", LAB):
        yield node_of(who, lab, "lpar1")


@pytest.fixture(scope="module")
def passed(node: Node) -> Node:
    """Two subchannels bound to vfio_ccw, the documented way."""
    node.run("chccwdev", "-d", "0.0.7e52")
    for subchannel in ("0.0.16ca", "0.0.16cb"):
        node.run("driverctl", "-b", "css", "set-override", subchannel, "vfio_ccw")
    return node


@pytest.fixture
def mediated(passed: Node) -> Iterator[Node]:
    """Both with a mediated device, which libvirt has defined and started."""
    for uuid, subchannel, name in zip(UUIDS, ("16ca", "16cb"), MDEVS, strict=True):
        path = passed.put("/tmp/mdev.xml", NODE_DEVICE.format(uuid=uuid, subchannel=subchannel))
        passed.virsh("nodedev-define", path)
        passed.virsh("nodedev-start", name)
    yield passed
    for name in MDEVS:
        passed.virsh("nodedev-destroy", name)
        passed.virsh("nodedev-undefine", name)
    until(lambda: not passed.names("nodedev-list", "--cap", "mdev", "--all"))


def test_it_is_an_s390x_host(node):
    told = node.virsh("domcapabilities", "--virttype", "qemu")
    assert re.search(r"<machine>s390-ccw-virtio-\d+\.\d+</machine>\s+<arch>s390x</arch>", told)
    told = dict(re.findall(r"^(.*?): +(\S+)", node.virsh("nodeinfo"), re.MULTILINE))
    assert (told["CPU model"], told["CPU(s)"]) == ("s390x", "2") and int(told["Memory size"]) > 0


def test_it_asks_no_emulator_of_another_processor(node):
    """Each would take half a second of the first question."""
    asked = node.run("sh", "-c", "grep -h '<arch>' /var/cache/libvirt/qemu/capabilities/*.xml").split()
    assert asked == ["<arch>s390x</arch>"]


def test_node_devices(node):
    assert node.names("nodedev-list", "--cap", "css") == [f"css_0_0_{sch}" for sch in ("0000", "16ca", "16cb", "16cc")]
    told = node.virsh("nodedev-dumpxml", "css_0_0_16cc")
    assert "<name>io_subchannel</name>" in told and "mdev_types" not in told
    assert re.search(r"<channel_dev_addr>.*<devno>0x7e54</devno>", told, re.DOTALL)


def test_it_hears_of_a_subchannel_that_is_passed_through(passed):
    until(lambda: "<type id='vfio_ccw-io'>" in passed.virsh("nodedev-dumpxml", "css_0_0_16ca"))
    told = passed.virsh("nodedev-dumpxml", "css_0_0_16ca")
    assert "<deviceAPI>vfio-ccw</deviceAPI>" in told and "<availableInstances>1</availableInstances>" in told


def test_a_mediated_device_from_its_definition_to_its_end(mediated):
    assert mediated.names("nodedev-list", "--cap", "mdev") == MDEVS
    assert "<iommuGroup number=" in mediated.virsh("nodedev-dumpxml", MDEVS[0])
    mediated.virsh("nodedev-autostart", MDEVS[0])
    until(lambda: re.search(r"Autostart: +yes", mediated.virsh("nodedev-info", MDEVS[0])) is not None)
    assert re.search(r"Active: +yes\nPersistent: +yes", mediated.virsh("nodedev-info", MDEVS[0]))
    assert f"{UUIDS[0]} 0.0.16ca vfio_ccw-io auto" in mediated.run("mdevctl", "list", "--defined")


@pytest.mark.lab
def test_a_domain_that_the_lab_has_no_real_guest_for(node):
    text = DOMAIN.format(hostdev="").replace("linux01", "nobody")
    node.virsh("define", node.put("/tmp/nobody.xml", text))
    told = node.refused("start", "nobody")
    node.virsh("undefine", "nobody")
    assert "the lab has no guest 'nobody' of kind real on this host" in told


def test_a_guest(mediated):
    """From its definition to its end, with a device from the start and one that comes and goes."""
    first, second = (HOSTDEV.format(uuid=uuid, devno=f"0x123{number}") for number, uuid in enumerate(UUIDS))
    emulator = "<emulator>/usr/bin/qemu-system-s390x</emulator>"
    mediated.virsh("define", mediated.put("/tmp/domain.xml", DOMAIN.format(hostdev=emulator + first)))
    mediated.virsh("start", "--paused", "linux01")
    assert re.search(r"linux01 +paused", mediated.virsh("list"))
    assert mediated.guest_devices() == {"fe.0.1230"}
    assert "device in use" in mediated.refused("nodedev-destroy", MDEVS[0])

    mediated.virsh("attach-device", "linux01", mediated.put("/tmp/hostdev.xml", second), "--live", "--config")
    assert mediated.guest_devices() == {"fe.0.1230", "fe.0.1231"}
    for options in ([], ["--inactive"]):
        assert mediated.virsh("dumpxml", "linux01", *options).count("<hostdev ") == 2
    told = mediated.refused("attach-device", "linux01", "/tmp/hostdev.xml", "--live")
    assert "The CCW devno 'fe.0.1231' is in use already" in told

    mediated.virsh("detach-device", "linux01", "/tmp/hostdev.xml", "--live", "--config")
    assert mediated.guest_devices() == {"fe.0.1230"}
    for options in ([], ["--inactive"]):
        assert mediated.virsh("dumpxml", "linux01", *options).count("<hostdev ") == 1
    mediated.virsh("destroy", "linux01")
    assert not mediated.virsh("list")
    mediated.virsh("undefine", "linux01")
    assert not mediated.virsh("list", "--all")


# -- two ways to one state --------------------------------------------------------------------------------------------

STATE = r"""
cd /sys/bus
for device in css/devices/* ccw/devices/*; do
  echo "$device: driver $(readlink $device/driver)"
done
grep -sH . css/devices/*/driver_override css/devices/*/dev_busid ccw/devices/*/online
find mdev/devices/ -mindepth 1 -printf '%p %l\n' | sort
grep -oE '^(vfio|mdev)[^ ]*' /proc/modules | sort
grep -rH '' /etc/driverctl.d | sort
for file in $(find /etc/mdevctl.d -type f | sort); do
  echo "$file: $(python3 -m json.tool --sort-keys --compact $file)"
done
mdevctl list --defined | sort
mdevctl list | sort
for each in $(for kind in css mdev; do virsh --quiet nodedev-list --all --cap $kind | sort; done); do
  virsh --quiet nodedev-info $each
  virsh --quiet nodedev-dumpxml $each
done
"""
"""What kernel, driverctl, mdevctl and libvirt have, in their own words."""

PLAY = """\
- hosts: lpar3
  gather_facts: false
  roles: [zkvm.vfio_ccw.kvm_host, zkvm.vfio_ccw.passthrough]
  vars:
    passthrough_persistent: true
    passthrough_devices: {devices}
"""

FILES = "cd /etc && find . -type f -printf '%P\\n'"
ONLY_OURS = {"modules-load.d/vfio_ccw.conf"}
"""Beside driverctl's and mdevctl's: the module is there at boot even where driverctl does not load it."""


def by_the_collection(who, lab: str) -> None:
    devices = [{"device": f"0.0.7e5{number + 2}", "uuid": uuid} for number, uuid in enumerate(UUIDS)]
    play = who.home / "persistent.yml"
    play.write_text(PLAY.format(devices=json.dumps(devices)), encoding="utf-8")
    done = who.playbook("-i", who.inventory(lab), str(play))
    assert done.returncode == 0, done.stdout


def settled(node: Node) -> list[str]:
    """The state, when libvirt knows of both devices that they are there and start by themselves."""
    wanted = re.compile(r"Active: +yes\nPersistent: +yes\nAutostart: +yes")
    for name in MDEVS:
        until(lambda name=name: wanted.search(node.virsh("nodedev-info", name)) is not None)
    lines = node.run("sh", "-c", STATE).splitlines()
    return [re.sub(r"iommuGroup number='\d+'", "iommuGroup", line) for line in lines]


def test_ours_ends_as_the_documented_way(who, node):
    """Now, and after the host has been booted anew; the numbers of the IOMMU groups left out."""
    lab = "libvirt"
    theirs, ours = node_of(who, lab, "lpar2"), node_of(who, lab, "lpar3")
    untouched = theirs.run("sh", "-c", STATE)
    assert ours.run("sh", "-c", STATE) == untouched and "/drivers/io_subchannel" in untouched
    before = set(ours.run("sh", "-c", FILES).split())
    pass_through(theirs)
    by_the_collection(who, lab)
    expected = settled(theirs)
    for uuid, subchannel in zip(UUIDS, ("0.0.16ca", "0.0.16cb"), strict=True):
        assert f"css/devices/{subchannel}/driver_override:vfio_ccw" in expected
        assert expected.count(f"{uuid} {subchannel} vfio_ccw-io auto (active)") == 1, "\n".join(expected)
        assert expected.count(f"{uuid} {subchannel} vfio_ccw-io auto (defined)") == 1
    assert settled(ours) == expected
    assert set(theirs.run("sh", "-c", FILES).split()) - before == (
        set(ours.run("sh", "-c", FILES).split()) - before - ONLY_OURS
    )
    for host in ("lpar2", "lpar3"):
        done = who.ccwemu("reboot", "--lab", lab, "--seed", "7", host)
        assert done.returncode == 0, done.stdout
    assert settled(theirs) == expected
    assert settled(ours) == expected


# -- an ordinary user -------------------------------------------------------------------------------------------------


def test_an_ordinary_user_has_it_too(ordinary_user):
    who = with_images(ordinary_user, ordinary_user.home / "images")
    for lab in running(who, "libvirt-user", LAB.replace("lpar[1-3]", "lpar1")):
        host = node_of(who, lab, "lpar1")
        pass_through(host)
        until(lambda host=host: host.names("nodedev-list", "--cap", "mdev") == MDEVS)
        host.virsh(
            "define", host.put("/tmp/domain.xml", DOMAIN.format(hostdev=HOSTDEV.format(uuid=UUIDS[0], devno="0x1230")))
        )
        host.virsh("start", "--paused", "linux01")
        assert host.guest_devices() == {"fe.0.1230"}
        host.virsh("destroy", "linux01")

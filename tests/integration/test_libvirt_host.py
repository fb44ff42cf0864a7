# SPDX-License-Identifier: GPL-3.0-or-later
"""Real libvirt, Debian's, on emulated hosts: node devices, and guests in the real QEMU whose processor stays stopped.

What a guest's system makes of it: make test-real.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator

import pytest
from ccwemu.guestimage import image
from ccwemu.tools import real_program

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

UUIDS = [f"6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb92{number}" for number in range(2)]
MDEVS = [f"mdev_{uuid.replace('-', '_')}_0_0_16c{sch}" for uuid, sch in zip(UUIDS, "ab", strict=True)]

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

NODE_DEVICE = """\
<device>
  <parent>css_0_0_{subchannel}</parent>
  <capability type='mdev'><type id='vfio_ccw-io'/><uuid>{uuid}</uuid></capability>
</device>
"""

HOSTDEV = """\
<hostdev mode='subsystem' type='mdev' model='vfio-ccw'>
  <source><address uuid='{uuid}'/></source>
  <address type='ccw' cssid='0xfe' ssid='0x0' devno='{devno}'/>
</hostdev>
"""

DOMAIN = """\
<domain type='qemu'>
  <name>linux01</name>
  <memory unit='MiB'>256</memory>
  <os><type arch='s390x' machine='s390-ccw-virtio'>hvm</type></os>
  <devices>{hostdev}</devices>
</domain>
"""


class Node:
    """A host of a lab: commands, and virsh."""

    def __init__(self, who, lab: str, name: str = "lpar1") -> None:
        self._exec = lambda *words, **more: who.run("ccwemu", "exec", "--lab", lab, name, "--", *words, **more)

    def run(self, *words: str) -> str:
        done = self._exec(*words)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}"
        return done.stdout

    def put(self, path: str, text: str) -> str:
        self.run("sh", "-c", 'printf %s "$1" > "$2"', "sh", text, path)
        return path

    def virsh(self, *words: str) -> str:
        return self.run("virsh", "--quiet", *words)

    def refused(self, *words: str) -> str:
        done = self._exec("virsh", "--quiet", *words)
        assert done.returncode == 1, done.stdout
        return done.stdout

    def names(self, *words: str) -> list[str]:
        return self.virsh(*words).split()

    def driver(self, subchannel: str) -> str:
        return self.run("readlink", f"/sys/bus/css/devices/{subchannel}/driver").rsplit("/", 1)[-1].strip()


def until(condition: Callable[[], bool]) -> None:
    """libvirt hears of devices, and of mdevctl's files, by and by."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.05)


def with_images(who, tmp_path_factory):
    """Whoever runs ccwemu, with files that are called a guest image: no guest here executes an instruction."""
    home = tmp_path_factory.mktemp("images")
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


@pytest.fixture(scope="module")
def who(controller, tmp_path_factory):
    return with_images(controller, tmp_path_factory)


@pytest.fixture(scope="module")
def node(who) -> Iterator[Node]:
    for lab in running(who, "libvirt", LAB):
        yield Node(who, lab)


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
    assert re.search(r"^CPU model: +s390x\nCPU\(s\): +2$", node.virsh("nodeinfo"), re.MULTILINE)


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


def test_a_guest(mediated):
    """From its definition to its end, with a device from the start and one that comes and goes."""
    first, second = (HOSTDEV.format(uuid=uuid, devno=f"0x123{number}") for number, uuid in enumerate(UUIDS))
    mediated.virsh("define", mediated.put("/tmp/domain.xml", DOMAIN.format(hostdev=first)))
    mediated.virsh("start", "--paused", "linux01")
    assert re.search(r"linux01 +paused", mediated.virsh("list"))
    assert devices_of(mediated) == {"fe.0.1230"}
    assert "device in use" in mediated.refused("nodedev-destroy", MDEVS[0])

    mediated.virsh("attach-device", "linux01", mediated.put("/tmp/hostdev.xml", second), "--live", "--config")
    assert devices_of(mediated) == {"fe.0.1230", "fe.0.1231"}
    for options in ([], ["--inactive"]):
        assert mediated.virsh("dumpxml", "linux01", *options).count("<hostdev ") == 2
    told = mediated.refused("attach-device", "linux01", "/tmp/hostdev.xml", "--live")
    assert "The CCW devno 'fe.0.1231' is in use already" in told

    mediated.virsh("detach-device", "linux01", "/tmp/hostdev.xml", "--live", "--config")
    assert devices_of(mediated) == {"fe.0.1230"}
    for options in ([], ["--inactive"]):
        assert mediated.virsh("dumpxml", "linux01", *options).count("<hostdev ") == 1
    mediated.virsh("destroy", "linux01")
    assert not mediated.virsh("list")
    mediated.virsh("undefine", "linux01")
    assert not mediated.virsh("list", "--all")


def devices_of(node: Node) -> set[str]:
    """The numbers of the guest's vfio-ccw devices, as its QEMU has them."""
    tree = node.virsh("qemu-monitor-command", "linux01", "--hmp", "info qtree")
    return set(re.findall(r'dev: vfio-ccw,.*?\bdevno = "([0-9a-f.]+)"', tree, re.DOTALL))


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
  tasks:
    - zkvm.vfio_ccw.passthrough:
        devices: {devices}
"""

FILES = "cd /etc && find . -type f -printf '%P\\n'"
ONLY_OURS = {"modules-load.d/vfio_ccw.conf"}
"""Beside driverctl's and mdevctl's: the module is there at boot even where driverctl does not load it."""


def documented(node: Node) -> None:
    """IBM, "Configuring VFIO CCW" for KVM hosts: driverctl, nodedev-define, nodedev-start, nodedev-autostart."""
    node.run("chccwdev", "-d", "0.0.7e52")
    for uuid, subchannel, name in zip(UUIDS, ("16ca", "16cb"), MDEVS, strict=True):
        node.run("driverctl", "-b", "css", "set-override", f"0.0.{subchannel}", "vfio_ccw")
        node.virsh("nodedev-define", node.put("/tmp/mdev.xml", NODE_DEVICE.format(uuid=uuid, subchannel=subchannel)))
        node.virsh("nodedev-start", name)
        node.virsh("nodedev-autostart", name)


def by_the_collection(who, lab: str) -> None:
    devices = [
        {"device": f"0.0.7e5{number + 2}", "uuid": uuid, "persistent": True} for number, uuid in enumerate(UUIDS)
    ]
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
    theirs, ours = Node(who, lab, "lpar2"), Node(who, lab, "lpar3")
    assert theirs.run("sh", "-c", STATE) == ours.run("sh", "-c", STATE)
    before = set(ours.run("sh", "-c", FILES).split())
    documented(theirs)
    by_the_collection(who, lab)
    expected = settled(theirs)
    assert settled(ours) == expected
    assert set(theirs.run("sh", "-c", FILES).split()) - before == (
        set(ours.run("sh", "-c", FILES).split()) - before - ONLY_OURS
    )
    for host in ("lpar2", "lpar3"):
        done = who.ccwemu("reboot", "--lab", lab, "--seed", "7", host)
        assert done.returncode == 0, done.stdout
    assert settled(theirs) == expected
    assert settled(ours) == expected

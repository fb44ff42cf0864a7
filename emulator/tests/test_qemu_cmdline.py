# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of qemu-system-s390x: what the real QEMU 7.2.22 (Debian 12) says, argument by argument.

Every text of MESSAGES and of HOST was printed by that program for these arguments.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from qemu_host import UUID, make_host

from ccwemu.guest.plan import plan
from ccwemu.guest.qemuopts import QemuError, memory_size, split

P = "qemu-system-s390x: "
NUMBER = "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.\n"

MESSAGES = [
    ("-device vfio-ccw", "No host device provided\nUse -device vfio-ccw,sysfsdev=PATH_TO_DEVICE\n"),
    ("--device vfio-ccw", "No host device provided\nUse -device vfio-ccw,sysfsdev=PATH_TO_DEVICE\n"),
    ("-device vfio-ccw,sysfsdev=/x", "Host device '/x' not found: No such file or directory\n"),
    ("-device vfio-ccw,sysfsdev=", "Host device '' not found: No such file or directory\n"),
    ("-device vfio-ccw,sysfsdev=/etc/passwd,devno=fe.0.1234", "Failed to read etc: Invalid argument\n"),
    ("-device vfio-ccw,devno=fe.0.12345,sysfsdev=/x", "Property 'vfio-ccw.devno' doesn't take value 'fe.0.12345'\n"),
    ("-device vfio-ccw,devno=1234,sysfsdev=/x", "Property 'vfio-ccw.devno' doesn't take value '1234'\n"),
    ("-device vfio-ccw,devno=,sysfsdev=/x", "Property 'vfio-ccw.devno' doesn't take value ''\n"),
    ("-device vfio-ccw,devno=0xfe.0.1234,sysfsdev=/x", "Property 'vfio-ccw.devno' doesn't take value '0xfe.0.1234'\n"),
    ("-device vfio-ccw,devno=fff.0.1234,sysfsdev=/x", "Property 'vfio-ccw.devno' doesn't take value 'fff.0.1234'\n"),
    ("-device vfio-ccw,devno=fe.00.1234,sysfsdev=/x", "Property 'vfio-ccw.devno' doesn't take value 'fe.00.1234'\n"),
    ("-device vfio-ccw,devno=fe.0.1234x,sysfsdev=/x", "Property 'vfio-ccw.devno' doesn't take value 'fe.0.1234x'\n"),
    ("-device vfio-ccw,devno=fe..1234,sysfsdev=/x", "Property 'vfio-ccw.devno' doesn't take value 'fe..1234'\n"),
    ("-device vfio-ccw,devno=fe.4.1234,sysfsdev=/x", "Invalid cssid or ssid: cssid fe, ssid 4\n"),
    ("-device vfio-ccw,devno=ff.0.1234,sysfsdev=/x", "Host device '/x' not found: No such file or directory\n"),
    ("-device vfio-ccw,devno=FE.0.ABCD,sysfsdev=/x", "Host device '/x' not found: No such file or directory\n"),
    ("-device vfio-ccw,devno=fe.0.1234,host=/x", "Property 'vfio-ccw.host' not found\n"),
    ("-device vfio-ccw,sysfsdev=/x,loadparm=1", "Property 'vfio-ccw.loadparm' not found\n"),
    ("-device vfio-ccw,sysfsdev=/x,dev_id=1", "Property 'vfio-ccw.dev_id' is not writable\n"),
    ("-device vfio-ccw,sysfsdev=/x,force-orb-pfch=maybe", "Parameter 'force-orb-pfch' expects 'on' or 'off'\n"),
    ("-device vfio-ccw,sysfsdev=/x,bootindex=x", "Parameter 'bootindex' expects integer\n"),
    ("-device vfio-ccw,bootindex=99999999999,sysfsdev=/x", "Parameter 'bootindex' expects int32_t\n"),
    ("-device vfio-ccw,sysfsdev=/x,sysfsdev=/y", "Host device '/y' not found: No such file or directory\n"),
    ('-device {"driver":"vfio-ccw","sysfsdev":"/x","devno":"fe.0.1"}',
     "Property 'vfio-ccw.devno' doesn't take value 'fe.0.1'\n"),
    ('-device {"driver":"vfio-ccw",', "JSON parse error, premature EOI\n"),
    ('-device {"sysfsdev":"/x"}', "Parameter 'driver' is missing\n"),
    ("-device sysfsdev=/x", "Parameter 'driver' is missing\n"),
    ("-device vfio-ccw,id=1x,sysfsdev=/x", "Parameter 'id' expects an identifier\n"
     "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.\n"),
    ("-device virtio-rng-ccw,id=a -device virtio-rng-ccw,id=a",
     P + "-device virtio-rng-ccw,id=a: Duplicate ID 'a' for device\n"),
    ("-device virtio-rng-ccw,devno=fe.0.1234 -device virtio-rng-ccw,devno=fe.0.1234",
     P + "-device virtio-rng-ccw,devno=fe.0.1234: Device fe.0.1234 already exists\n"),
    ("-device nosuch", "'nosuch' is not a valid device model name\n"),
    ("-device vfio-ccw,,sysfsdev=/x", "'vfio-ccw,sysfsdev=/x' is not a valid device model name\n"),
    ("-device virtio-blk-ccw", "drive property not set\n"),
    ("-device virtio-blk-ccw,devno=fe.0.1", "Property 'virtio-blk-ccw.devno' doesn't take value 'fe.0.1'\n"),
    ("-device virtio-blk-ccw,foo=1", "Property 'virtio-blk-ccw.foo' not found\n"),
    ("-device virtio-blk-ccw,drive=nod", "Property 'virtio-blk-device.drive' can't find value 'nod'\n"),
    ("-device virtio-net-ccw,netdev=n", "Property 'virtio-net-device.netdev' can't find value 'n'\n"),
    ("-device virtio-net-ccw,devno=fe.0.0001,mac=zz", "Property 'virtio-net-device.mac' doesn't take value 'zz'\n"),
    ("-device virtio-rng-ccw,rng=x", "Device 'x' not found\n"),
    ("-device virtio-rng-ccw,max-bytes=x", "Parameter 'max-bytes' expects integer\n"),
    ("-device virtio-rng-ccw,bootindex=1", "Property 'virtio-rng-ccw.bootindex' not found\n"),
    ("-device virtio-rng-ccw,devno=fe.0.1234,ioeventfd=x", "Parameter 'ioeventfd' expects 'on' or 'off'\n"),
    ("-netdev user,id=n -netdev user,id=n", P + "-netdev user,id=n: Duplicate ID 'n' for netdev\n"),
    ("-netdev user", "Parameter 'id' is missing\n"),
    ("-netdev nosuch,id=n", "Parameter 'type' does not accept value 'nosuch'\n"),
    ("-drive if=none,id=d -drive if=none,id=d", P + "-drive if=none,id=d: Duplicate ID 'd' for drive\n"),
    ("-drive foo=bar", "Must specify either driver or file\n"),
    ("-drive file=/nonexistent,if=none,id=d", "Could not open '/nonexistent': No such file or directory\n"),
    ("-object rng-random,id=r -object rng-random,id=r", P + "-object rng-random,id=r: Duplicate ID 'r' for object\n"),
    ("foo bar", P + "foo: Could not open 'foo': No such file or directory\n"),
    ("-foo", "invalid option\n"),
    ("-device", "requires an argument\n"),
    ("-name", "requires an argument\n"),
    ("-name x=y", "Invalid parameter 'x'\n"),
    ("-name a,b=c", "Invalid parameter 'b'\n"),
    ("-m xx", "Parameter 'size' expects a non-negative number below 2^64\n" + NUMBER),
    ("-m 512,foo=1", "Invalid parameter 'foo'\n"),
    ("-smp xx", P + "Parameter 'smp.cpus' expects integer\n"),
    ("-smp 2,foo=1", P + "Parameter 'smp.foo' is unexpected\n"),
    ("-smp 300", P + "Invalid SMP CPUs 300. The max CPUs supported by machine 's390-ccw-virtio-7.2' is 248\n"),
    ("-machine nosuch", P + "unsupported machine type\nUse -machine help to list supported machines\n"),
    ("-machine q35", P + "unsupported machine type\nUse -machine help to list supported machines\n"),
    ("-M s390-ccw-virtio,foo=on", P + "Property 's390-ccw-virtio-7.2-machine.foo' not found\n"),
    ("-M s390-ccw-virtio,s390-squash-mcss=on",
     P + "Property 's390-ccw-virtio-7.2-machine.s390-squash-mcss' not found\n"),
    ("-M s390-ccw-virtio,accel=foo", P + "invalid accelerator foo\n"),
    ("-accel foo", "invalid accelerator foo\n"),
    ("-cpu nosuch", P + "unable to find CPU model 'nosuch'\n"),
    ("-uuid xx", "failed to parse UUID string: wrong format\n"),
    ("-append x", P + "-append only allowed with -kernel option\n"),
    ("-daemonize -monitor stdio", P + "-monitor stdio: cannot use stdio with -daemonize\n"),
    ("-daemonize -serial stdio", P + "-serial stdio: cannot use stdio with -daemonize\n" + P +
     "-serial stdio: could not connect serial device to character backend 'stdio'\n"),
    ("-serial file:/nodir/x", P + "-serial file:/nodir/x: Could not open '/nodir/x': No such file or directory\n" + P +
     "-serial file:/nodir/x: could not connect serial device to character backend 'file:/nodir/x'\n"),
    ("-device nosuch,help", "Device 'nosuch' not found\n"),
    ("-serial foo", P + "-serial foo: 'foo' is not a valid char driver\n" + P +
     "-serial foo: could not connect serial device to character backend 'foo'\n"),
    ("-qmp foo", P + "-qmp foo: 'foo' is not a valid char driver\n" + P + "-qmp foo: parse error: foo\n"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "text"), MESSAGES)
def test_says_what_qemu_says(arguments, text):
    with pytest.raises(QemuError) as refused:
        plan(arguments.split(" "))
    assert refused.value.text() == (text if text.startswith(P) else f"{P}{arguments}: {text}")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host's sysfs with everything that QEMU reads, below a directory of its own."""
    make_host(tmp_path)
    return tmp_path


SCHIB = "s390_ccw_realize: Failed to build initial schib: Invalid argument"
HOST = [
    ("sys/devices/css0/0.0.16ca/pimpampom",
     ["css_sch_get_path_masks: open /sys/bus/css/devices/0.0.16ca/pimpampom failed", SCHIB]),
    ("sys/devices/css0/0.0.16ca/chpids",
     ["css_sch_get_chpids: open /sys/bus/css/devices/0.0.16ca/chpids failed", SCHIB]),
    ("sys/devices/css0/chp0.41/type",
     ["css_sch_get_chpid_type: open /sys/devices/css0/chp0.41/type failed", SCHIB]),
    (f"sys/devices/css0/0.0.16ca/{UUID}/iommu_group", ["vfio: no iommu_group found"]),
    ("dev/vfio/7", ["failed to open /dev/vfio/7: No such file or directory"]),
]  # fmt: skip


def device_of(host: Path) -> list[str]:
    return ["-nodefaults", "-device", f"vfio-ccw,devno=fe.0.1234,sysfsdev={host}/sys/devices/css0/0.0.16ca/{UUID}"]


@pytest.mark.parametrize(("missing", "lines"), HOST)
def test_says_what_is_missing_on_the_host(missing, lines, host):
    (host / missing).unlink()
    with pytest.raises(QemuError) as refused:
        plan(device_of(host), root=str(host))
    where = refused.value.where
    assert where.startswith("-device vfio-ccw,devno=fe.0.1234,sysfsdev=")
    assert refused.value.text().replace(str(host), "") == "".join(
        f"{P}{where}: {line}\n".replace(str(host), "") for line in lines
    )


def test_reads_the_subchannel_of_the_mediated_device(host):
    (found,) = plan(device_of(host), root=str(host)).hosts.values()
    assert (found.uuid, found.subchannel, found.group) == (UUID, "0.0.16ca", 7)
    assert (found.pim, found.pam, found.pom, found.chpids[0]) == (0x80, 0x80, 0xFF, 0x41)


def test_the_same_mediated_device_twice(host):
    twice = [*device_of(host), "-device", device_of(host)[2].replace("1234", "1235")]
    with pytest.raises(QemuError, match="vfio: subchannel 0.0.16ca has already been attached"):
        plan(twice, root=str(host))


def test_a_device_number_that_another_model_has(host):
    with pytest.raises(QemuError, match="Device fe.0.1234 already exists"):
        plan(["-device", "virtio-rng-ccw,devno=fe.0.1234", *device_of(host)], root=str(host))


def test_devices_without_a_number_get_the_first_free_one():
    made = plan(["-nodefaults", "-device", "virtio-rng-ccw", "-device", "virtio-rng-ccw,devno=fe.0.0001"])
    assert [str(device.devno) for device in made.devices] == ["fe.0.0000", "fe.0.0001"]
    with pytest.raises(QemuError, match="Device fe.0.0000 already exists"):
        plan(["-nodefaults", "-device", "virtio-rng-ccw", "-device", "virtio-rng-ccw,devno=fe.0.0000"])


def test_a_device_in_another_css_is_not_visible():
    made = plan(
        ["-nodefaults", "-device", "virtio-rng-ccw,devno=00.0.1234", "-device", "virtio-rng-ccw,devno=fe.2.1234"]
    )
    assert [str(device.devno) for device in made.devices] == ["0.0.1234", "fe.2.1234"]
    assert [number.busid for number, _ in made.numbered() if number.cssid == made.line.default_cssid] == ["0.2.1234"]


def test_default_network_card_and_nodefaults():
    assert [str(d.devno) for d in plan([]).devices] == ["fe.0.0000"]
    assert plan(["-nodefaults"]).devices == []
    assert plan(["-nic", "none"]).devices == []


def test_device_help():
    identifier = "identifier of an I/O device in the channel subsystem, example: fe.1.23ab"
    assert plan(["-device", "vfio-ccw,help"]).line.information == (
        "vfio-ccw options:\n"
        "  bootindex=<int32>\n"
        f"  dev_id=<str>           - Read-only {identifier}\n"
        f"  devno=<str>            - I{identifier[1:]}\n"
        "  force-orb-pfch=<bool>  -  (default: false)\n"
        f"  subch_id=<str>         - Read-only {identifier}\n"
        "  sysfsdev=<str>\n"
    )


def test_drive_makes_a_disk(tmp_path):
    image = tmp_path / "disk"
    image.write_bytes(bytes(512))
    made = plan(["-nodefaults", "-drive", f"file={image},format=raw"])
    assert [device.model.kind for device in made.devices] == ["blk"]


@pytest.mark.parametrize(
    ("text", "size"),
    [("512", 512 << 20), ("1G", 1 << 30), ("1.5G", 3 << 29), ("4096k", 4 << 20), ("x", None), ("-5", None)],
)
def test_memory_size(text, size):
    assert memory_size(text) == size


def test_doubled_comma_is_a_comma():
    assert split("a,,b,c=1") == ["a,b", "c=1"]

# SPDX-License-Identifier: GPL-2.0-or-later
"""A whole machine with disks of the channel core behind its subchannels: what a host's /sys, /proc and /dev show."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccwemu import channel, disk
from ccwemu.hostio import HostIo
from ccwemu.machine.host import Machine
from ccwemu.machine.spec import DasdSpec, MachineSpec, SubchannelSpec
from ccwemu.machine.tree import Attribute, DeviceFile, Directory

DASD = "bus/ccw/devices/0.0.1234"
SUBCHANNEL = "devices/css0/0.0.0001"
DEVICE = f"{SUBCHANNEL}/0.0.1234"


class Host:
    def __init__(self, image: Path) -> None:
        self.image = image
        subchannels = (
            SubchannelSpec("0.0.0001", 0, "0.0.1234", (0x1A,), device=DasdSpec(str(image), dev_model=0x0A)),
            SubchannelSpec("0.0.0002", 0, "0.0.1235", (0x1A,), device=DasdSpec(str(image) + "-missing")),
        )
        self.problems: list[str] = []
        io = HostIo(subchannels, lambda busid, error: self.problems.append(busid))
        self.machine = Machine(MachineSpec("host", subchannels=subchannels), io)
        self.machine.boot()

    def node(self, path: str) -> Attribute:
        node = self.machine.sysfs.lookup(path)
        assert isinstance(node, Attribute), path
        return node

    def cat(self, path: str) -> str:
        return self.node(path).show().decode()

    def echo(self, text: str, path: str) -> int:
        """Write a line to an attribute; 0 or the errno."""
        try:
            self.node(path).store(f"{text}\n".encode())
        except OSError as error:
            return error.errno or -1
        finally:
            self.machine.settle()
        return 0

    def proc(self, path: str) -> str:
        node = self.machine.proc.lookup(path)
        assert isinstance(node, Attribute)
        return node.show().decode()

    def names(self, path: str) -> list[str]:
        node = self.machine.sysfs.lookup(path)
        assert isinstance(node, Directory), path
        return sorted(child.name for child in node)

    def device_file(self, name: str) -> DeviceFile:
        node = self.machine.dev.lookup(name)
        assert isinstance(node, DeviceFile)
        return node

    def log(self) -> list[str]:
        return [line.split("] ", 1)[-1] for line in self.machine.dmesg.text().splitlines()]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    disk.create(tmp_path / "disk", 100, volser="0X1234")
    host = Host(tmp_path / "disk")
    yield host
    host.machine.shutdown()


def test_online_as_recorded(host: Host) -> None:
    """The answers of Linux 6.1 with a disk of the same size (tests/fidelity: linux-6.1-trace-online.txt)."""
    assert host.echo("1", f"{DEVICE}/online") == 0
    assert host.echo("1", f"{DEVICE}/online") == errno.EINVAL
    assert [host.cat(f"{DEVICE}/{name}") for name in ("online", "status", "discipline", "path_masks", "vendor")] == [
        "1\n", "online\n", "ECKD\n", "80 00 00 00 00 00\n", "IBM\n",
    ]  # fmt: skip
    assert host.cat(f"{SUBCHANNEL}/vpm") == "80\n"
    assert host.names(f"{DEVICE}/paths_info") == ["0.1a"]
    assert host.proc("dasd/devices") == (
        "0.0.1234(ECKD) at ( 94:     0) is dasda       : active at blocksize: 4096, 18000 blocks, 70 MB\n"
    )
    block = f"{DEVICE}/block/dasda"
    queue = f"{block}/queue/logical_block_size"
    assert [host.cat(path) for path in (f"{block}/size", f"{block}/ro", queue, f"{block}/dev")] == [
        "144000\n", "0\n", "4096\n", "94:0\n",
    ]  # fmt: skip
    assert host.proc("partitions").splitlines()[2:] == [
        "  94        0      72000 dasda",
        "  94        1      71904 dasda1",
    ]
    messages = [
        "dasd-eckd 0.0.1234: New DASD 3390/0A (CU 3990/01) with 100 cylinders, 15 heads, 224 sectors",
        "dasd-eckd 0.0.1234: DASD with 4 KB/block, 72000 KB total size, 48 KB/track, compatible disk layout",
        " dasda:VOL1/  0X1234: dasda1",
    ]
    assert [line for line in host.log() if "dasd" in line and "module" not in line][-3:] == messages


def test_a_device_file_that_is_open_keeps_the_disk_online(host: Host) -> None:
    assert host.echo("1", f"{DEVICE}/online") == 0
    opened = host.device_file("dasda1").open(os.O_RDWR)
    opened.write(0, b"kept")
    assert host.echo("0", f"{DEVICE}/online") == errno.EBUSY
    assert host.echo("1", f"{DEVICE}/safe_offline") == errno.EBUSY
    assert host.log()[-2:] == ["dasd-eckd 0.0.1234: The DASD cannot be set offline with open count 1"] * 2
    opened.close()
    assert host.echo("1", f"{DEVICE}/safe_offline") == 0
    assert (host.cat(f"{DEVICE}/online"), host.cat(f"{DEVICE}/status")) == ("0\n", "unknown\n")
    assert "dasda" not in host.machine.dev
    assert host.echo("force", f"{DEVICE}/online") == 0
    again = host.device_file("dasda1").open(os.O_RDONLY)
    assert again.read(0, 4) == b"kept"
    again.close()


def test_handed_over_the_image_is_free(host: Host) -> None:
    """Bound to vfio_ccw, the host holds neither the disk nor its lock; given back, it reads what was written."""
    host.machine.modules.modprobe("vfio_ccw")
    assert host.echo("1", f"{DEVICE}/online") == 0
    assert host.echo("0.0.0001", "bus/css/drivers/io_subchannel/unbind") == 0
    assert host.echo("0.0.0001", "bus/css/drivers/vfio_ccw/bind") == 0
    with channel.Image.open(host.image) as image:
        image.check()
    assert host.echo("0.0.0001", "bus/css/drivers/vfio_ccw/unbind") == 0
    assert host.echo("0.0.0001", "bus/css/drivers/io_subchannel/bind") == 0
    assert host.cat(f"{DEVICE}/online") == "0\n"
    assert host.echo("1", f"{DEVICE}/online") == 0


def test_unbound_while_open(host: Host) -> None:
    assert host.echo("1", f"{DEVICE}/online") == 0
    opened = host.device_file("dasda1").open(os.O_RDWR)
    assert host.echo("0.0.1234", "bus/ccw/drivers/dasd-eckd/unbind") == 0
    assert "status" not in host.names(DEVICE)
    with pytest.raises(OSError) as failure:
        opened.read(0, 4096)
    assert failure.value.errno == errno.EIO
    opened.close()


def test_channel_path_off_and_on(host: Host) -> None:
    assert host.echo("1", f"{DEVICE}/online") == 0
    opened = host.device_file("dasda1").open(os.O_RDWR)
    assert host.echo("off", "devices/css0/chp0.1a/status") == 0
    assert [host.cat(f"{DEVICE}/{name}") for name in ("availability", "online", "path_masks")] == [
        "no path\n", "1\n", "00 00 00 00 00 00\n",
    ]  # fmt: skip
    assert host.echo("on", "devices/css0/chp0.1a/status") == 0
    assert [host.cat(f"{DEVICE}/{name}") for name in ("availability", "online", "path_masks")] == [
        "good\n", "1\n", "80 00 00 00 00 00\n",
    ]  # fmt: skip
    assert opened.read(0, 4) == bytes(4)
    opened.close()
    assert host.log()[-2:] == [
        "dasd-eckd 0.0.1234: No operational channel path is left for the device",
        "dasd-eckd 0.0.1234: A channel path to the device has become operational",
    ]


def test_a_disk_without_an_image_does_not_answer(host: Host) -> None:
    assert set(host.problems) == {"0.0.0002"}
    assert "0.0.1235" not in host.names("bus/ccw/devices")


KINDS = [
    # of the disk: what is special about it; online, alias, unit address in the uid, host_access_count, has a disk
    ({}, ("1", "0", "34", "1", True)),
    ({"rejects_suborders": (0x1C,)}, ("1", "0", "34", errno.EOPNOTSUPP, True)),
    ({"other_systems": 2}, ("1", "0", "34", "3", True)),
    ({"alias": 2, "base_unit_address": 0x50}, ("1", "1", "50", errno.EOPNOTSUPP, False)),
    ({"alias": 3}, ("1", "1", "xx", errno.EOPNOTSUPP, False)),
    ({"reserved": True}, ("0", "0", "", errno.ENODEV, False)),
]


@pytest.mark.parametrize(("special", "shown"), KINDS, ids=[str(special) for special, _ in KINDS])
def test_aliases_and_other_systems(tmp_path: Path, special: dict[str, Any], shown: tuple[Any, ...]) -> None:
    """An alias has no disk; who has a path group is known where the control unit tells (dasd_devmap.c)."""
    disk.create(tmp_path / "disk", 3, volser="0X1234")
    dasd = DasdSpec(str(tmp_path / "disk"), unit_address=0x34, online=True, **special)
    subchannels = (SubchannelSpec("0.0.0001", 0, "0.0.1234", (0x1A,), device=dasd),)
    machine = Machine(MachineSpec("host", subchannels=subchannels), HostIo(subchannels))
    machine.boot()

    def cat(name: str) -> str | int | None:
        node = machine.sysfs.lookup(f"{DEVICE}/{name}")
        assert isinstance(node, Attribute)
        try:
            return node.show().decode().strip()
        except OSError as failure:
            return failure.errno

    block = machine.sysfs.lookup(f"{DEVICE}/block")
    unit = str(cat("uid")).rpartition(".")[2]
    assert (cat("online"), cat("alias"), unit, cat("host_access_count"), block is not None) == shown
    assert cat("availability") == ("boxed" if special.get("reserved") else "good")
    machine.shutdown()


def test_this_system_reserves_and_releases_a_disk(host: Host) -> None:
    """What the ioctls of a disk do (dasd_eckd.c); the reservation state of a disk that is offline is none."""

    def state() -> str:
        return host.cat(f"{DEVICE}/last_known_reservation_state").strip()

    assert host.echo("1", f"{DEVICE}/online") == 0
    for order, said in (("reserve", "reserved"), ("release", "none"), ("steal", "reserved")):
        host.machine.change_reservation("dasda", order)
        assert state() == said
    assert host.echo("0", f"{DEVICE}/online") == 0
    assert state() == "none"
    with pytest.raises(OSError, match="No such device"):
        host.machine.change_reservation("dasda", "reserve")


def test_the_device_that_it_was_started_from() -> None:
    """Linux arch/s390/kernel/ipl.c; the next start and the dump can be given others."""
    machine = Machine(MachineSpec("host", ipl="0.0.1234", dump="0.0.1235"))
    machine.boot()

    def node(path: str) -> Attribute:
        found = machine.sysfs.lookup(f"firmware/{path}")
        assert isinstance(found, Attribute)
        return found

    shown = {path: node(path).show() for path in ("ipl/ipl_type", "ipl/device", "reipl/reipl_type", "dump/ccw/device")}
    assert shown == {
        "ipl/ipl_type": b"ccw\n",
        "ipl/device": b"0.0.1234\n",
        "reipl/reipl_type": b"ccw\n",
        "dump/ccw/device": b"0.0.1235\n",
    }
    node("reipl/ccw/device").store(b"0.0.abc\n")
    node("dump/dump_type").store(b"none\n")
    assert (node("reipl/ccw/device").show(), node("dump/dump_type").show()) == (b"0.0.0abc\n", b"none\n")
    for path, wrong in (("reipl/ccw/device", b"abc"), ("reipl/reipl_type", b"tape")):
        with pytest.raises(OSError) as refused:
            node(path).store(wrong)
        assert refused.value.errno == errno.EINVAL
    machine.shutdown()


def test_a_machine_that_does_not_tell() -> None:
    machine = Machine(MachineSpec("host"))
    machine.boot()
    assert machine.sysfs.lookup("firmware/ipl") is None
    machine.shutdown()

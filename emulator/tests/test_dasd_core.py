# SPDX-License-Identifier: GPL-2.0-or-later
"""The dasd driver over the channel core: disk image, channel programs, block device, and back."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import random
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from ccwemu import channel, disk
from ccwemu.guest.vfiochannel import VfioChannel
from ccwemu.hostio import HostIo
from ccwemu.machine.ccwdriver import Ccw, ChannelDevice
from ccwemu.machine.dasd import AREA_SIZE, DasdEckd
from ccwemu.machine.dasd.request import RequestFailed, execute
from ccwemu.machine.pathgroup import Identity, Verified, disband, sense_id, verify
from ccwemu.machine.spec import DasdSpec, SubchannelSpec
from ccwemu.machine.tree import Directory

SUBCHANNEL = "0.0.16ca"
CYLINDERS = 30
IN_PARTITION = (CYLINDERS * 15 - 2) * 12 * 4096


class Blocks:
    def __init__(self) -> None:
        self.disk: Any = None

    def add_disk(self, parent: Directory, disk: Any) -> None:
        self.disk = disk

    def remove_disk(self, disk: Any) -> None:
        self.disk = None

    def open_count(self, name: str) -> int:
        return 0


class Device:
    busid = "0.0.7e52"
    cu_type, cu_model, dev_type, dev_model = 0x3990, 0xE9, 0x3390, 0x0C

    def __init__(self, channel_device: ChannelDevice, verified: Verified) -> None:
        self.directory = Directory(self.busid)
        self.channel = channel_device
        self.drvdata: Any = None
        self.subchannel = verified
        self.path_group = verified.grouped
        self.lines: list[str] = []

    def log(self, message: str) -> None:
        self.lines.append(message)


class Host:
    """A host that does with one disk what the ccw bus would do."""

    def __init__(self, image: Path, **dasd: Any) -> None:
        spec = DasdSpec(str(image), ssid=0xE900, unit_address=0x52, **dasd)
        self.problems: list[str] = []
        self.io = HostIo(
            [SubchannelSpec(SUBCHANNEL, 0, "0.0.7e52", (0x41, 0x42), 0xC0, 0xC0, 0xFF, spec)],
            lambda busid, error: self.problems.append(f"{busid}: {error}"),
        )
        self.blocks = Blocks()
        self.kernel: list[str] = []
        self.driver = DasdEckd(self.blocks, self.kernel.append)

    def online(self) -> Device:
        channel_device = self.io.subchannel(SUBCHANNEL)
        assert channel_device is not None
        self.device = Device(channel_device, verify(channel_device, 0xC0, group=True))
        self.driver.probe(self.device)
        self.driver.set_online(self.device)
        return self.device

    def offline(self) -> None:
        self.driver.set_offline(self.device)
        self.driver.remove(self.device)
        disband(self.device.channel, self.device.subchannel.vpm)
        self.io.release(SUBCHANNEL)

    def open(self, partition: int | None = 0, flags: int = os.O_RDWR) -> Any:
        return self.blocks.disk.open_device(partition, flags)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    disk.create(tmp_path / "disk", CYLINDERS, volser="0X7E52")
    return tmp_path / "disk"


def check(image: Path) -> None:
    """Every track of the image is sound."""
    with channel.Image.open(image, writable=False) as opened:
        opened.check()


def test_identity(image: Path) -> None:
    host = Host(image)
    channel_device = host.io.subchannel(SUBCHANNEL)
    assert channel_device is not None
    assert sense_id(channel_device, 0xC0) == Identity(0x3990, 0xE9, 0x3390, 0x0C)
    assert channel_device.schib()[16:18] == b"\x41\x42"
    host.io.release(SUBCHANNEL)


def test_what_is_written_is_there_after_it_was_opened_again(image: Path) -> None:
    """2 MiB through channel programs, offline, online again: the same checksum; Hercules' rules still hold."""
    data = random.Random(7).randbytes(2 << 20)
    host = Host(image)
    host.online()
    assert host.kernel == [" dasda:VOL1/  0X7E52: dasda1"]
    opened = host.open()
    for offset in range(0, len(data), 128 << 10):
        assert opened.write(offset, data[offset : offset + (128 << 10)]) == 128 << 10
    assert opened.read(0, len(data)) == data
    host.offline()
    check(image)
    host.online()
    again = host.open(flags=os.O_RDONLY)
    read = b"".join(again.read(offset, 100_000) for offset in range(0, len(data), 100_000))[: len(data)]
    assert hashlib.sha256(read).digest() == hashlib.sha256(data).digest()
    host.offline()
    assert disk.info(image).partitions[0].sectors * 512 == IN_PARTITION


def test_messages_and_identity(image: Path) -> None:
    device = Host(image).online()
    assert device.lines == [
        f"New DASD 3390/0C (CU 3990/01) with {CYLINDERS} cylinders, 15 heads, 224 sectors",
        f"DASD with 4 KB/block, {CYLINDERS * 720} KB total size, 48 KB/track, compatible disk layout",
    ]
    uid = device.directory.lookup("uid")
    assert uid is not None and uid.show() == b"IBM.000000000TEST0.e900.52\n"  # type: ignore[attr-defined]


def test_any_bytes_anywhere(image: Path) -> None:
    """Random reads and writes against a bytearray, over the whole partition with its ends."""
    dice = random.Random(11)
    host = Host(image)
    host.online()
    opened, model = host.open(), bytearray(IN_PARTITION)
    for _ in range(200):
        offset = dice.choice((dice.randrange(IN_PARTITION), dice.randrange(20_000), IN_PARTITION - 5000))
        length = dice.choice((1, 511, 512, 4096, 5000, 49152, 300_000))
        data = dice.randbytes(min(length, IN_PARTITION - offset))
        assert opened.write(offset, data.ljust(length, b"x")) == len(data)
        model[offset : offset + len(data)] = data
        offset = dice.randrange(IN_PARTITION)
        assert opened.read(offset, length) == model[offset : offset + length]
    assert b"".join(opened.read(at, 1 << 20) for at in range(0, IN_PARTITION, 1 << 20)) == model
    host.offline()
    check(image)


def test_the_whole_disk_shows_label_and_vtoc(image: Path) -> None:
    host = Host(image)
    host.online()
    whole = host.open(None)
    assert whole.read(2 * 4096, 84)[4:14].decode("cp037") == "VOL10X7E52"
    assert whole.read(14 * 4096, 44).decode("cp037").strip() == "LINUX.V0X7E52.PART0001.NATIVE"
    assert whole.read(2 * 4096 + 84, 16) == b"\xe5" * 16
    host.open().write(0, b"first bytes")
    assert whole.read(24 * 4096, 11) == b"first bytes"
    whole.write(0, whole.read(0, 30 * 4096))
    host.offline()
    check(image)
    assert disk.info(image).volser == "0X7E52"


def test_several_at_once(image: Path) -> None:
    host = Host(image)
    host.online()
    size = 256 << 10

    def work(number: int) -> None:
        opened, data = host.open(), random.Random(number).randbytes(size)
        for offset in range(0, size, 10_000):
            opened.write(number * size + offset, data[offset : offset + 10_000])
        results[number] = opened.read(number * size, size) == data

    results: dict[int, bool] = {}
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == dict.fromkeys(range(4), True)


def test_unformatted_disk(tmp_path: Path) -> None:
    disk.create(tmp_path / "disk", 3, layout="unformatted")
    host = Host(tmp_path / "disk")
    device = host.online()
    assert device.lines[-1] == "The DASD is not formatted"
    assert host.blocks.disk.size_bytes() == 0
    assert host.driver.devices_text().endswith("unformatted\n")


@pytest.mark.parametrize(("block_size", "per_track"), [(512, 49), (1024, 33), (2048, 21), (4096, 12)])
def test_linux_layout(tmp_path: Path, block_size: int, per_track: int) -> None:
    path = tmp_path / "disk"
    channel.Image.create(path, cylinders=2)
    with channel.Image.open(path) as opened:
        for track in range(30):
            place = divmod(track, 15)
            records = [channel.Record(*place, 0, b"", bytes(8))]
            records += [channel.Record(*place, n, b"", bytes([track]) * block_size) for n in range(1, per_track + 1)]
            opened.write_track(*place, records)
    host = Host(path)
    device = host.online()
    assert device.lines[-1].endswith("linux disk layout")
    assert host.kernel == [" dasda:(nonl) dasda1"]
    assert host.blocks.disk.size_bytes() == 30 * per_track * block_size
    whole = host.open(None)
    assert whole.read(29 * per_track * block_size, 10 * per_track * block_size) == bytes([29]) * per_track * block_size
    whole.write(per_track * block_size - 1, b"ab")
    assert whole.read(per_track * block_size - 2, 4) == b"\x00ab\x01"


def test_write_inhibited(image: Path) -> None:
    host = Host(image, read_only=True)
    device = host.online()
    with pytest.raises(OSError) as failure:
        host.open().write(0, bytes(4096))
    assert failure.value.errno == errno.EIO
    assert "write inhibited" in device.lines[-1] and "failing CCW" in device.lines[-1]
    assert host.open().read(0, 4096) == bytes(4096)


def test_no_path_left(image: Path) -> None:
    host = Host(image)
    device = host.online()
    host.io.set_paths(SUBCHANNEL, 0x40)
    assert host.driver.paths_changed(device, 0x40)
    assert host.open().read(0, 16) == bytes(16)
    host.io.set_paths(SUBCHANNEL, 0)
    assert host.driver.paths_changed(device, 0)
    with pytest.raises(OSError) as failure:
        host.open().read(0, 16)
    assert failure.value.errno == errno.EIO
    host.io.set_paths(SUBCHANNEL, 0xC0)
    assert host.driver.paths_changed(device, 0xC0)
    assert host.open().read(0, 16) == bytes(16)
    assert device.lines[-1] == "A channel path to the device has become operational"


def test_an_image_that_somebody_else_has(image: Path) -> None:
    with channel.Image.open(image):
        host = Host(image)
        channel_device = host.io.subchannel(SUBCHANNEL)
        assert channel_device is not None
        assert host.problems and host.problems[0].startswith(SUBCHANNEL) and str(image) in host.problems[0]
        with pytest.raises(RequestFailed) as failure:
            execute(channel_device, [Ccw(0xE4, 40, 0x20)])
        assert failure.value.errno == errno.ENODEV
        with pytest.raises(channel.ImageError):
            HostIo([SubchannelSpec(SUBCHANNEL, device=DasdSpec(str(image)))]).subchannel(SUBCHANNEL)


def test_nothing_behind_a_subchannel() -> None:
    io = HostIo([SubchannelSpec("0.0.0001"), SubchannelSpec("0.0.0002", device=DasdSpec())])
    assert io.subchannel("0.0.0001") is None
    assert io.subchannel("0.0.0002") is None
    assert io.subchannel("0.0.0003") is None
    io.release("0.0.0001")


def test_released_while_paths_change(image: Path) -> None:
    """The mask is kept for whoever takes the subchannel next."""
    host = Host(image)
    host.io.set_paths(SUBCHANNEL, 0x80)
    host.online()
    schib = host.device.channel.schib()
    assert schib[15] == 0x80
    assert host.io.subchannel(SUBCHANNEL) is host.device.channel


def test_what_a_guest_writes_its_host_reads(image: Path) -> None:
    """The same driver, once over the regions of vfio-ccw, once over the subchannel."""
    data = random.Random(3).randbytes(3_000_000)
    memory = mmap.mmap(-1, AREA_SIZE)
    with channel.Image.open(image) as opened:
        device = channel.Device(opened, ssid=0xE900, unit_address=0x52)
        subchannel = channel.Subchannel(device, devno=0x7E52, chpids=[0x41], pim=0x80, pam=0x80, pom=0xFF)
        storage = channel.Storage()
        storage.map(0x200000, memory)
        vfio = channel.VfioCcw(subchannel, storage)
        vfio.open()
        guest_channel = VfioChannel(vfio, memoryview(memory), 0x200000, 0x1234)
        guest = Host(image)
        guest.device = Device(guest_channel, verify(guest_channel, 0x80, group=True))
        guest.driver.probe(guest.device)
        guest.driver.set_online(guest.device)
        assert guest.device.channel.schib()[6:8] == b"\x12\x34"
        assert guest.kernel == [" dasda:VOL1/  0X7E52: dasda1"]
        disk_of_guest = guest.open()
        assert disk_of_guest.write(12_345, data) == len(data)
        assert disk_of_guest.read(12_345, len(data)) == data
        guest.driver.set_offline(guest.device)
        guest_channel.close()
        vfio.close()
        device.close()
    host = Host(image)
    host.online()
    assert host.open(flags=os.O_RDONLY).read(12_345, len(data)) == data
    host.offline()


@pytest.mark.skipif(shutil.which("dasdinit") is None, reason="dasdinit is not installed (package hercules)")
def test_a_disk_that_hercules_made(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    subprocess.run(["dasdinit", "-linux", str(path), "3390", "LNX001", "10"], check=True, capture_output=True)
    host = Host(path)
    device = host.online()
    assert device.lines[-1] == "DASD with 4 KB/block, 7200 KB total size, 48 KB/track, compatible disk layout"
    assert host.kernel == [" dasda:VOL1/  LNX001:"]
    whole = host.open(None)
    whole.write(100 * 4096, b"z" * 8192)
    assert whole.read(100 * 4096, 8192) == b"z" * 8192
    host.offline()
    listed = subprocess.run(["dasdls", "-info", str(path)], check=True, capture_output=True, text=True)
    assert "VOLSER=LNX001" in listed.stdout

# SPDX-License-Identifier: GPL-2.0-or-later
"""The dasd driver against a disk of a few lines of Python: attributes, messages, failures, paths.

Values and messages: what Linux 6.1 answered (tests/fidelity/data, linux-6.1-trace*.txt).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import Any

import pytest

from ccwemu.machine.ccwdriver import Ccw, ChannelDevice, Ending
from ccwemu.machine.dasd import DasdEckd, labels
from ccwemu.machine.tree import Attribute, Directory

CYLINDERS = 100
REJECT = bytes.fromhex("80000000").ljust(32, b"\0")
NO_RECORD = bytes.fromhex("00080000").ljust(32, b"\0")

Records = dict[tuple[int, int], tuple[bytes, bytes]]


def compatible_disk(volser: str = "0X7E52", partition: bool = True) -> Records:
    """Tracks 0 and 1 as dasdfmt and fdasd leave them; other records are made when they are touched."""
    records: Records = {}
    special = [*labels.ipl_records(), labels.volume_label(volser)]
    for number in range(1, 13):
        record = special[number - 1] if number <= 3 else bytes(4096)
        records[0, number] = (record[:4], record[4:]) if number <= 3 else (b"", record)
    for number, record in enumerate(labels.vtoc_records(CYLINDERS, 15, 12, 4096, volser, partition), 1):
        records[1, number] = (record[:44], record[44:])
    return records


def linux_disk() -> Records:
    return {(track, number): (b"", bytes(4096)) for track in (0, 1) for number in range(1, 13)}


class TinyDisk:
    """A channel device with a 3390 behind it. ``reject``: commands that end with a unit check and these sense bytes.

    ``dead``: paths that do not work.
    """

    def __init__(self, records: Records | None = None, default: bool = True) -> None:
        self.records = records if records is not None else compatible_disk()
        self.default = default
        self.reject: dict[int, bytes] = {0x27: REJECT}
        self.commands: list[int] = []
        self.dead = 0
        self.other_device = 0
        self._at = (0, 0)

    def schib(self) -> bytes:
        schib = bytearray(52)
        schib[11] = schib[15] = 0xC0
        schib[14] = 0xFF
        schib[16:18] = b"\x1a\x1b"
        return bytes(schib)

    def disable(self) -> None: ...

    def run(self, program: Sequence[Ccw], lpm: int = 0, expires: float = 0) -> Ending:
        if lpm and lpm & self.dead:
            return Ending(3, bytes(96))
        data: list[bytes | None] = []
        for index, ccw in enumerate(program):
            self.commands.append(ccw.command)
            sense = self.reject.get(ccw.command, b"")
            if not sense:
                try:
                    answer = self._answer(ccw, lpm)
                except KeyError:
                    sense = NO_RECORD
            if sense:
                return Ending(0, self._irb(index, 0x0E, sense), tuple(data))
            data.append(None if not isinstance(ccw.data, int) else answer.ljust(ccw.data, b"\0")[: ccw.data])
        return Ending(0, self._irb(len(program) - 1, 0x0C), tuple(data))

    @staticmethod
    def _irb(index: int, status: int, sense: bytes = b"") -> bytes:
        erw = bytes.fromhex("01200000") if sense else bytes(4)
        address = 0x10000 + 8 * (index + 1)
        return (
            bytes.fromhex("00004007") + address.to_bytes(4, "big") + bytes((status, 0, 0, 0)) + bytes(4) + erw
        ).ljust(32, b"\0") + sense.ljust(64, b"\0")

    def _answer(self, ccw: Ccw, lpm: int) -> bytes:
        if ccw.command == 0xFA:
            unit = 0x53 if lpm & self.other_device else 0x52
            return _configuration(unit)
        if ccw.command == 0x64:
            head = bytes.fromhex("3990e933900a500010962024") + CYLINDERS.to_bytes(2, "big")
            return head + bytes.fromhex("000fe0")
        if ccw.command == 0x47:
            assert isinstance(ccw.data, bytes)
            track = int.from_bytes(ccw.data[4:6], "big") * 15 + ccw.data[7]
            self._at = (track, max(ccw.data[12], 1))
        if ccw.command in (0x12, 0x86, 0x8E, 0x85, 0x8D):
            return self._record(ccw)
        return b""

    def _record(self, ccw: Ccw) -> bytes:
        track, number = self._at
        while True:
            if number <= 12 and self.default:
                self.records.setdefault((track, number), (b"", bytes(4096)))
            if number <= 12:
                break
            track, number = track + 1, 1
        key, data = self.records[track, number]
        self._at = (track, number + 1)
        if isinstance(ccw.data, bytes):
            split = len(key) if ccw.command == 0x8D else 0
            self.records[track, number] = (ccw.data[:split], ccw.data[split:])
            return b""
        if ccw.command == 0x12:
            place = (track // 15).to_bytes(2, "big") + (track % 15).to_bytes(2, "big")
            return place + bytes((number, len(key))) + len(data).to_bytes(2, "big")
        return (key if ccw.command == 0x8E else b"") + data


def _configuration(unit: int) -> bytes:
    ned = bytes.fromhex("c4010100") + "00339000C".encode("cp037") + "IBM".encode("cp037")
    ned += "000000000TEST0".encode("cp037") + bytes((0, unit))
    return ned + bytes(192) + bytes.fromhex("800000000000" + "1e00" + "e900").ljust(32, b"\0")


class Blocks:
    """A block registry that only counts."""

    def __init__(self) -> None:
        self.disks: dict[str, Any] = {}
        self.users = 0

    def add_disk(self, parent: Directory, disk: Any) -> None:
        self.disks[disk.name] = disk

    def remove_disk(self, disk: Any) -> None:
        del self.disks[disk.name]

    def open_count(self, name: str) -> int:
        return self.users


class Paths:
    vpm = 0x80


class Device:
    cu_type, cu_model, dev_type, dev_model = 0x3990, 0xE9, 0x3390, 0x0A
    path_group = True

    def __init__(self, channel: TinyDisk, busid: str = "0.0.7e52") -> None:
        self.busid = busid
        self.directory = Directory(busid)
        self.channel: ChannelDevice = channel
        self.drvdata: Any = None
        self.subchannel = Paths()
        self.lines: list[str] = []
        self.driver: DasdEckd | None = None

    def log(self, message: str) -> None:
        self.lines.append(message)

    def set_offline(self) -> None:
        assert self.driver is not None
        self.driver.set_offline(self)


class Setup:
    """A driver, a device that it is bound to, and the registry."""

    def __init__(self, channel: TinyDisk | None = None) -> None:
        self.blocks = Blocks()
        self.kernel: list[str] = []
        self.driver = DasdEckd(self.blocks, self.kernel.append)
        self.channel = channel or TinyDisk()
        self.device = Device(self.channel)
        self.device.driver = self.driver
        self.driver.probe(self.device)

    def online(self) -> Setup:
        self.driver.set_online(self.device)
        return self

    def attribute(self, path: str) -> Attribute:
        node = self.device.directory.lookup(path)
        assert isinstance(node, Attribute), path
        return node

    def show(self, path: str) -> str:
        """The content, or the name of the error."""
        try:
            return self.attribute(path).show().decode()
        except OSError as error:
            return errno.errorcode[error.errno or 0]

    def store(self, path: str, text: str) -> str:
        """ "" or the name of the error."""
        try:
            self.attribute(path).store(text.encode())
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        return ""


@pytest.fixture
def offline() -> Setup:
    return Setup()


@pytest.fixture
def online() -> Setup:
    return Setup().online()


OFFLINE = {
    "alias": "0\n", "copy_pair": "ENODEV", "copy_role": "ENODEV", "discipline": "none\n", "eer_enabled": "0\n",
    "erplog": "0\n", "ese": "ENODEV", "expires": "ENODEV", "failfast": "0\n", "fc_security": "ENODEV",
    "host_access_count": "ENODEV", "hpf": "ENODEV", "last_known_reservation_state": "none\n",
    "path_autodisable": "1\n", "path_interval": "ENODEV", "path_masks": "0\n", "path_threshold": "ENODEV",
    "raw_track_access": "0\n", "readonly": "0\n", "reservation_policy": "ignore\n", "retries": "ENODEV",
    "status": "unknown\n", "timeout": "ENODEV", "uid": "\n", "use_diag": "0\n", "vendor": "\n",
    "path_reset": "EIO", "ping": "EIO", "safe_offline": "EIO",
}  # fmt: skip
ONLINE = {
    "alias": "0\n", "copy_pair": "ENODEV", "copy_role": "none\n", "discipline": "ECKD\n", "eer_enabled": "0\n",
    "erplog": "0\n", "ese": "0\n", "expires": "300\n", "failfast": "0\n", "fc_security": "Unsupported\n",
    "host_access_count": "ENOTSUP", "hpf": "0\n", "last_known_reservation_state": "none\n",
    "path_autodisable": "1\n", "path_interval": "300\n", "path_masks": "80 00 00 00 00 00\n",
    "path_threshold": "256\n", "raw_track_access": "0\n", "readonly": "0\n", "reservation_policy": "ignore\n",
    "retries": "256\n", "status": "online\n", "timeout": "0\n", "uid": "IBM.000000000TEST0.e900.52\n",
    "use_diag": "0\n", "vendor": "IBM\n",
    "capacity/logical_capacity": "0\n", "capacity/space_allocated": "-5\n", "capacity/space_configured": "-5\n",
    "extent_pool/cap_at_warnlevel": "0\n", "extent_pool/extent_size": "0\n", "extent_pool/pool_id": "0\n",
    "extent_pool/pool_oos": "0\n", "extent_pool/warn_threshold": "0\n", "paths_info/0.1a/fc_security": "Unsupported\n",
}  # fmt: skip
WRITE_ONLY = {"path_reset", "ping", "safe_offline"}
READ_ONLY = {
    "alias", "copy_role", "discipline", "ese", "fc_security", "host_access_count", "hpf", "path_masks", "status",
    "uid", "vendor",
}  # fmt: skip


def test_attributes_while_offline(offline: Setup) -> None:
    names = [node.name for node in offline.device.directory if isinstance(node, Attribute)]
    assert {name: offline.show(name) for name in names} == OFFLINE
    modes = {name: offline.attribute(name).mode for name in names}
    assert modes == {name: 0o200 if name in WRITE_ONLY else 0o444 if name in READ_ONLY else 0o644 for name in OFFLINE}
    assert offline.show("capacity/space_allocated") == offline.show("extent_pool/pool_id") == "ENODEV"
    assert offline.driver.devices_text() == ""


def test_attributes_while_online(online: Setup) -> None:
    assert {name: online.show(name) for name in ONLINE} == ONLINE


def test_offline_again(online: Setup) -> None:
    online.driver.set_offline(online.device)
    assert {name: online.show(name) for name in OFFLINE} == OFFLINE
    assert "paths_info" not in online.device.directory
    assert online.blocks.disks == {}


def test_unbind_leaves_nothing(online: Setup) -> None:
    disk = online.blocks.disks["dasda"]
    opened = disk.open_device(None, os.O_RDONLY)
    online.blocks.users = 1
    online.driver.remove(online.device)
    assert list(online.device.directory) == []
    with pytest.raises(OSError, match="dasda") as failure:
        opened.read(0, 512)
    assert failure.value.errno == errno.EIO


@pytest.mark.parametrize(
    ("name", "text", "result", "shown"),
    [
        ("readonly", "1\n", "", "1\n"),
        ("readonly", "0x1", "", "1\n"),
        ("readonly", "2\n", "EINVAL", "0\n"),
        ("readonly", " 1", "EINVAL", "0\n"),
        ("readonly", "1\n\n", "EINVAL", "0\n"),
        ("use_diag", "1\n", "EPERM", "0\n"),
        ("raw_track_access", "1\n", "EPERM", "0\n"),
        ("use_diag", "2\n", "EINVAL", "0\n"),
        ("erplog", "1\n", "", "1\n"),
        ("failfast", "1\n", "", "1\n"),
        ("expires", "60\n", "", "60\n"),
        ("expires", "x\n", "EINVAL", "300\n"),
        ("expires", "0\n", "EINVAL", "300\n"),
        ("expires", "40000001\n", "EINVAL", "300\n"),
        ("retries", "300\n", "", "300\n"),
        ("retries", "32769\n", "EINVAL", "256\n"),
        ("timeout", "0\n", "", "0\n"),
        ("reservation_policy", "fail\n", "", "fail\n"),
        ("reservation_policy", "nonsense\n", "EINVAL", "ignore\n"),
        ("last_known_reservation_state", "reset\n", "", "none\n"),
        ("last_known_reservation_state", "lost\n", "EINVAL", "none\n"),
        ("eer_enabled", "1\n", "", "1\n"),
        ("path_threshold", "512\n", "", "512\n"),
        ("path_interval", "0\n", "EINVAL", "300\n"),
        ("path_autodisable", "0\n", "", "0\n"),
        ("path_reset", "80\n", "", "EIO"),
        ("ping", "1\n", "", "EIO"),
    ],
)
def test_writes_while_online(online: Setup, name: str, text: str, result: str, shown: str) -> None:
    assert (online.store(name, text), online.show(name)) == (result, shown)


@pytest.mark.parametrize(
    ("name", "text", "result"),
    [
        ("readonly", "1\n", ""),
        ("use_diag", "1\n", ""),
        ("raw_track_access", "1\n", ""),
        ("expires", "60\n", "ENODEV"),
        ("expires", "x\n", "ENODEV"),
        ("eer_enabled", "1\n", "ENODEV"),
        ("safe_offline", "1\n", "ENODEV"),
        ("ping", "1\n", "ENODEV"),
        ("last_known_reservation_state", "reset\n", "ENODEV"),
        ("path_reset", "80", "ENODEV"),
    ],
)
def test_writes_while_offline(offline: Setup, name: str, text: str, result: str) -> None:
    assert offline.store(name, text) == result


def test_features_last_over_offline_and_unbind(online: Setup) -> None:
    assert online.store("readonly", "1") == online.store("expires", "60") == ""
    online.driver.set_offline(online.device)
    online.driver.remove(online.device)
    online.driver.probe(online.device)
    assert online.show("readonly") == "1\n"
    online.online()
    assert (online.show("readonly"), online.show("expires")) == ("1\n", "300\n")


# --- messages ---------------------------------------------------------------------------------------------------

NEW = "New DASD 3390/0A (CU 3990/01) with 100 cylinders, 15 heads, 224 sectors"
FEATURES = "Reading device feature codes failed with rc=-5"


def test_messages_of_a_compatible_disk(online: Setup) -> None:
    assert online.device.lines == [
        FEATURES,
        NEW,
        "DASD with 4 KB/block, 72000 KB total size, 48 KB/track, compatible disk layout",
    ]
    assert online.kernel == [" dasda:VOL1/  0X7E52: dasda1"]


def test_messages_of_a_linux_disk() -> None:
    setup = Setup(TinyDisk(linux_disk())).online()
    assert setup.device.lines[1:] == [NEW, "DASD with 4 KB/block, 72000 KB total size, 48 KB/track, linux disk layout"]
    assert setup.kernel == [" dasda:(nonl) dasda1"]
    (partition,) = setup.blocks.disks["dasda"].partitions
    assert (partition.start_sector, partition.sectors) == (24, 2 * 71988)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ({}, "The DASD is not formatted"),
        (
            {(0, n): (b"k", b"d") for n in range(1, 13)} | {(1, 1): (b"", b"")},
            "The disk layout of the DASD is not supported",
        ),
    ],
)
def test_a_disk_without_blocks_goes_online(records: Records, message: str) -> None:
    setup = Setup(TinyDisk(records, default=False)).online()
    assert setup.device.lines[1:] == [NEW, message]
    assert setup.show("status") == "unformatted\n"
    disk = setup.blocks.disks["dasda"]
    assert (disk.size_bytes(), disk.partitions, setup.kernel) == (0, [], [])
    assert setup.driver.devices_text() == "0.0.7e52(ECKD) at ( 94:     0) is dasda       : unformatted\n"
    opened = disk.open_device(None, os.O_RDWR)
    assert opened.read(0, 512) == b""
    with pytest.raises(OSError) as failure:
        opened.write(0, b"x")
    assert failure.value.errno == errno.ENOSPC


def test_analysis_that_fails() -> None:
    channel = TinyDisk()
    channel.reject[0x12] = bytes((0x10,)).ljust(32, b"\0")
    setup = Setup(channel).online()
    assert setup.device.lines[-1] == "Detecting the DASD disk layout failed because of an I/O error"
    assert "failing CCW 3 of 8: 12400008, sense 10 00" in setup.device.lines[-2]
    assert "equipment check" in setup.device.lines[-2]


@pytest.mark.parametrize(("command", "what"), [(0x64, "64000040"), (0xFA, "FA000100")])
def test_online_fails_without_identity(command: int, what: str) -> None:
    channel = TinyDisk()
    channel.reject[command] = REJECT
    setup = Setup(channel)
    with pytest.raises(OSError) as failure:
        setup.online()
    assert failure.value.errno == errno.EIO
    assert what in setup.device.lines[0] and "(command reject)" in setup.device.lines[0]
    assert setup.device.lines[-1] == "Setting the DASD online with discipline ECKD failed with rc=-5"
    assert (setup.show("discipline"), setup.blocks.disks) == ("none\n", {})


def test_online_needs_a_path_group(offline: Setup) -> None:
    offline.device.path_group = False
    with pytest.raises(OSError) as failure:
        offline.online()
    assert failure.value.errno == errno.EIO
    assert offline.device.lines == [
        "A channel path group could not be established",
        "Setting the DASD online with discipline ECKD failed with rc=-5",
    ]


@pytest.mark.parametrize("feature", ["use_diag", "raw_track_access"])
def test_what_the_driver_cannot_do(offline: Setup, feature: str) -> None:
    assert offline.store(feature, "1") == ""
    with pytest.raises(OSError) as failure:
        offline.online()
    assert failure.value.errno == errno.ENODEV
    assert len(offline.device.lines) == 1


def test_order_of_requests(online: Setup) -> None:
    assert online.channel.commands[:14] == [
        0xFA, 0x64, 0x27, 0xFA, 0x27, 0x27, 0x27, 0x63, 0x47, 0x12, 0x12, 0x12, 0x12, 0x47,
    ]  # fmt: skip
    assert online.channel.commands[-1] == 0x27


def test_in_use(online: Setup) -> None:
    online.blocks.users = 1
    with pytest.raises(OSError) as failure:
        online.driver.set_offline(online.device)
    assert failure.value.errno == errno.EBUSY
    assert online.store("safe_offline", "1") == "EBUSY"
    assert online.device.lines[-2:] == ["The DASD cannot be set offline with open count 1"] * 2
    online.blocks.users = 0
    assert online.store("safe_offline", "1") == ""
    assert online.show("status") == "unknown\n"


# --- names, /proc -----------------------------------------------------------------------------------------------


def test_proc_devices(online: Setup) -> None:
    line = "0.0.7e52(ECKD) at ( 94:     0) is dasda       : active at blocksize: 4096, 18000 blocks, 70 MB\n"
    assert online.driver.devices_text() == line
    online.store("readonly", "1")
    assert online.driver.devices_text() == line.replace("dasda       :", "dasda   (ro):")


def test_names_belong_to_bus_ids(online: Setup) -> None:
    second = Device(TinyDisk(), "0.0.7e53")
    online.driver.probe(second)
    online.driver.set_offline(online.device)
    online.driver.set_online(second)
    online.driver.set_online(online.device)
    assert [(disk.name, disk.major, disk.first_minor) for disk in online.blocks.disks.values()] == [
        ("dasdb", 94, 4),
        ("dasda", 94, 0),
    ]
    assert [line[:8] for line in online.driver.devices_text().splitlines()] == ["0.0.7e52", "0.0.7e53"]


def test_statistics(online: Setup) -> None:
    assert online.driver.statistics_text() == (
        "Statistics are off - they might be switched on using 'echo set on > /proc/dasd/statistics'\n"
    )
    online.driver.store_statistics(b"set off\n")
    for text, number in ((b"set on\n", errno.EOPNOTSUPP), (b"on\n", errno.EINVAL)):
        with pytest.raises(OSError) as failure:
            online.driver.store_statistics(text)
        assert failure.value.errno == number


# --- paths ------------------------------------------------------------------------------------------------------


def test_last_path_gone_and_back(online: Setup) -> None:
    assert online.driver.paths_changed(online.device, 0)
    assert online.show("path_masks") == "00 00 00 00 00 00\n"
    assert online.driver.paths_changed(online.device, 0x80)
    assert online.show("path_masks") == "80 00 00 00 00 00\n"
    assert online.device.lines[-2:] == [
        "No operational channel path is left for the device",
        "A channel path to the device has become operational",
    ]


def test_a_second_path(online: Setup) -> None:
    before = len(online.device.lines)
    assert online.driver.paths_changed(online.device, 0xC0)
    assert online.show("path_masks") == "c0 00 00 00 00 00\n"
    paths = online.device.directory.directory("paths_info")
    assert [path.name for path in paths] == ["0.1a", "0.1b"]
    assert online.device.lines[before:] == []


def test_a_path_to_another_device(online: Setup) -> None:
    online.channel.other_device = 0x40
    assert online.driver.paths_changed(online.device, 0xC0)
    assert online.show("path_masks") == "80 00 40 00 00 00\n"
    assert any("leads to a different device" in line for line in online.device.lines)


def test_paths_of_an_offline_device(offline: Setup) -> None:
    assert not offline.driver.paths_changed(offline.device, 0)


# --- the block device -------------------------------------------------------------------------------------------


def pattern(length: int, seed: int = 1) -> bytes:
    return bytes((seed + index * 7 + index // 4096) % 251 for index in range(length))


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 4096), (4096 * 3, 8192), (100, 20), (4000, 200), (4095, 4098), (12 * 4096 * 2 + 1, 5 * 4096), (0, 800_000)],
)
def test_bytes_in_a_partition(online: Setup, offset: int, length: int) -> None:
    opened = online.blocks.disks["dasda"].open_device(0, os.O_RDWR)
    around = pattern(1_000_000, 9)
    assert opened.write(0, around) == len(around)
    assert opened.write(offset, pattern(length)) == length
    expected = bytearray(around)
    expected[offset : offset + length] = pattern(length)
    assert opened.read(0, len(around)) == bytes(expected)
    assert opened.read(offset, length) == pattern(length)


def test_ends_of_a_partition(online: Setup) -> None:
    disk = online.blocks.disks["dasda"]
    opened = disk.open_device(0, os.O_RDWR)
    size = disk.partitions[0].sectors * 512
    assert size == 71904 * 1024
    assert opened.write(size - 100, b"x" * 200) == 100
    assert opened.read(size - 100, 4096) == b"x" * 100
    assert opened.read(size, 1) == b""
    with pytest.raises(OSError) as failure:
        opened.write(size, b"x")
    assert failure.value.errno == errno.ENOSPC


def test_label_blocks_through_the_disk(online: Setup) -> None:
    opened = online.blocks.disks["dasda"].open_device(None, os.O_RDWR)
    block = opened.read(2 * 4096, 4096)
    assert block[:8].decode("cp037") == "VOL1VOL1" and block[84:] == b"\xe5" * 4012
    opened.write(2 * 4096 + 8, "NEWONE".encode("cp037"))
    assert online.channel.records[0, 3] == (block[:4], block[4:8] + "NEWONE".encode("cp037") + block[14:84])


def test_read_only(online: Setup) -> None:
    disk = online.blocks.disks["dasda"]
    writer = disk.open_device(0, os.O_RDWR)
    online.store("readonly", "1")
    with pytest.raises(OSError) as failure:
        disk.open_device(0, os.O_WRONLY)
    assert failure.value.errno == errno.EROFS
    with pytest.raises(OSError) as failure:
        writer.write(0, b"x")
    assert failure.value.errno == errno.EPERM
    assert disk.read_only() and disk.open_device(0, os.O_RDONLY).read(0, 4) == bytes(4)


def test_a_failing_block(online: Setup) -> None:
    online.channel.reject[0x86] = bytes.fromhex("0800").ljust(32, b"\0")
    opened = online.blocks.disks["dasda"].open_device(0, os.O_RDONLY)
    with pytest.raises(OSError) as failure:
        opened.read(0, 4096)
    assert failure.value.errno == errno.EIO
    assert "failing CCW 3 of 3: 86001000" in online.device.lines[-1] and "data check" in online.device.lines[-1]


@pytest.mark.parametrize(
    ("first", "last", "kept"),
    [
        (1400, 1499, [(134400, 9600)]),
        (1400, 1600, [(134400, 9600)]),
        (1500, 1600, []),
        (1400, 1300, []),
    ],
)
def test_partitions_are_cut_to_the_disk(first: int, last: int, kept: list[tuple[int, int]]) -> None:
    records = compatible_disk(partition=False)
    dscb = labels.data_set_dscb("X", "0X7E52", first, last, 15, 4096)
    records[1, 3] = (dscb[:44], dscb[44:])
    disk = Setup(TinyDisk(records)).online().blocks.disks["dasda"]
    assert [(partition.start_sector, partition.sectors) for partition in disk.partitions] == kept


def test_no_path_is_used_that_is_gone(online: Setup) -> None:
    opened = online.blocks.disks["dasda"].open_device(0, os.O_RDONLY)
    online.channel.dead = 0x40
    assert opened.read(0, 4) == bytes(4)
    online.driver.paths_changed(online.device, 0)
    with pytest.raises(OSError) as failure:
        opened.read(0, 4)
    assert failure.value.errno == errno.EIO
    assert "no path to the device is left" in online.device.lines[-1]


def test_no_such_partition(online: Setup) -> None:
    with pytest.raises(OSError) as failure:
        online.blocks.disks["dasda"].open_device(1, os.O_RDONLY)
    assert failure.value.errno == errno.ENXIO

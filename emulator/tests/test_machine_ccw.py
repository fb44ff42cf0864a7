# SPDX-License-Identifier: GPL-2.0-or-later
"""The ccw bus: ``online`` and its rules, channel paths, cio_ignore, what css0 says."""

from __future__ import annotations

import errno
from collections.abc import Sequence

import pytest

from ccwemu.machine.access import find, names, read, readlink, write
from ccwemu.machine.blacklist import Blacklist
from ccwemu.machine.ccw import CcwBusDriver
from ccwemu.machine.ccwdriver import Ccw, CcwDevice, Ending
from ccwemu.machine.host import Machine
from ccwemu.machine.spec import ChpidSpec, DasdSpec, MachineSpec, OtherSpec, SpecError, SubchannelSpec, VirtioSpec

DEV = "/sys/bus/ccw/devices/0.0.0181"
SCH = "/sys/devices/css0/0.0.0002"
CHP = "/sys/devices/css0/chp0.41"
IGNORE = "/proc/cio_ignore"


class Tape:
    """A driver that does as it is told."""

    name = "tape_34xx"
    module: str | None = None
    ids: Sequence[tuple[int, int, int, int]] = ((0x3480, 0, 0x3480, 0),)

    def __init__(self) -> None:
        self.online_errno = self.offline_errno = 0
        self.keeps = True
        self.calls: list[str] = []

    def probe(self, device: CcwDevice) -> None:
        self.calls.append("probe")

    def remove(self, device: CcwDevice) -> None:
        self.calls.append("remove")

    def set_online(self, device: CcwDevice) -> None:
        self.calls.append("online")
        if self.online_errno:
            raise OSError(self.online_errno, "told so")

    def set_offline(self, device: CcwDevice) -> None:
        self.calls.append("offline")
        if self.offline_errno:
            raise OSError(self.offline_errno, "told so")

    def paths_changed(self, device: CcwDevice, vpm: int) -> bool:
        self.calls.append(f"paths {vpm:02x}")
        return self.keeps


def spec(**changes: object) -> MachineSpec:
    values: dict[str, object] = {
        "name": "lpar1",
        "kernel": "6.1.192",
        "chpids": (ChpidSpec(0x41), ChpidSpec(0x42)),
        "subchannels": (
            SubchannelSpec("0.0.0000", devno="0.0.7e52", chpids=(0x42,), device=DasdSpec()),
            SubchannelSpec("0.0.0001", devno="0.0.0bbb", chpids=(0x41,), device=VirtioSpec("rng")),
            SubchannelSpec(
                "0.0.0002", devno="0.0.0181", chpids=(0x41, 0x42), pim=0xC0, pam=0xC0,
                device=OtherSpec(0x3480, 0x22, 0x3480, 0x04),
            ),
        ),
    }  # fmt: skip
    return MachineSpec(**(values | changes))  # type: ignore[arg-type]


def booted(**changes: object) -> tuple[Machine, Tape]:
    machine = Machine(spec(**changes), threaded=False)
    machine.boot()
    tape = Tape()
    CcwBusDriver(machine.ccw_bus, tape).register()
    return machine, tape


def refused(machine: Machine, path: str, data: str | bytes) -> int | None:
    with pytest.raises(OSError) as caught:
        write(machine, path, data)
    return caught.value.errno


ONLINE = [
    ("1\n", 0, True),
    ("0x1\n", 0, True),
    ("01", 0, True),
    ("+1", 0, True),
    ("00000000000000001\n", 0, True),
    ("f", 0, True),
    ("forc", 0, True),
    ("force", 0, True),
    ("force\n", 0, True),
    ("forcex", errno.EINVAL, False),
    ("force\n\n", errno.EINVAL, False),
    ("1 ", errno.EINVAL, False),
    (" 1", errno.EINVAL, False),
    ("1\n\n", errno.EINVAL, False),
    ("x", errno.EINVAL, False),
    ("\n", errno.EINVAL, False),
    ("2\n", errno.EINVAL, False),
    ("ffffffffffffffff", errno.EINVAL, False),
    ("10000000000000000", errno.ERANGE, False),
    ("0\n", errno.EINVAL, False),
]


@pytest.mark.parametrize(("written", "code", "online"), ONLINE)
def test_what_turns_online(written: str, code: int, online: bool) -> None:
    machine, _ = booted()
    if code:
        assert refused(machine, f"{DEV}/online", written) == code
    else:
        write(machine, f"{DEV}/online", written)
    assert read(machine, f"{DEV}/online") == f"{int(online)}\n"


def test_states() -> None:
    machine, tape = booted()
    assert read(machine, f"{SCH}/vpm") == "00\n"
    write(machine, f"{DEV}/online", "1")
    assert refused(machine, f"{DEV}/online", "1") == errno.EINVAL
    assert read(machine, f"{SCH}/vpm") == "c0\n"
    tape.offline_errno = errno.EBUSY
    assert refused(machine, f"{DEV}/online", "0") == errno.EBUSY
    assert read(machine, f"{DEV}/online") == "1\n"
    tape.offline_errno = 0
    write(machine, f"{DEV}/online", "0")
    assert refused(machine, f"{DEV}/online", "0") == errno.EINVAL
    tape.online_errno = errno.EIO
    assert refused(machine, f"{DEV}/online", "1") == errno.EIO
    write(machine, f"{DEV}/online", "force")  # succeeds, and the device stays offline
    assert read(machine, f"{DEV}/online") == "0\n"


def test_unbinding_an_online_device_succeeds() -> None:
    machine, tape = booted()
    write(machine, f"{DEV}/online", "1")
    write(machine, f"{DEV}/driver/unbind", "0.0.0181")
    assert tape.calls == ["probe", "online", "remove"]
    assert read(machine, f"{DEV}/online") == "0\n"
    for written in ("0", "1"):
        assert refused(machine, f"{DEV}/online", written) == errno.EINVAL
    write(machine, f"{DEV}/online", "force")
    assert read(machine, f"{DEV}/online") == "0\n"


def test_measurement() -> None:
    machine, _ = booted()
    path = f"{DEV}/cmb_enable"
    assert refused(machine, path, "0") == errno.EINVAL
    for _ in range(2):
        write(machine, path, "1\n")
        assert read(machine, path) == "1\n"
    assert len(names(machine, f"{DEV}/cmf")) == 11
    assert read(machine, f"{DEV}/cmf/avg_utilization") == "00.0%\n"
    assert refused(machine, path, "2") == errno.EINVAL
    write(machine, path, "0")
    assert find(machine, f"{DEV}/cmf") is None


CHP_WORDS = [
    ("off\n", "offline"),
    ("offline", "offline"),
    ("OFF", "offline"),
    ("0", "offline"),
    ("on", "online"),
    ("1\n", "online"),
    ("\n", "online"),
    ("2", None),
    ("of", None),
    ("x", None),
]


@pytest.mark.parametrize(("written", "expected"), CHP_WORDS)
def test_what_varies_a_path(written: str, expected: str | None) -> None:
    machine, _ = booted()
    if expected is None:
        assert refused(machine, f"{CHP}/status", written) == errno.EINVAL
    else:
        write(machine, f"{CHP}/status", written)
        assert read(machine, f"{CHP}/status") == f"{expected}\n"


def test_one_of_two_paths() -> None:
    machine, tape = booted()
    write(machine, f"{DEV}/online", "1")
    write(machine, f"{CHP}/status", "off")
    machine.settle()
    assert tape.calls[-1] == "paths 40"
    assert read(machine, f"{SCH}/vpm") == "40\n"
    assert read(machine, f"{SCH}/pimpampom") == "c0 c0 ff\n"
    assert read(machine, f"{SCH}/chpids") == "41 42 00 00 00 00 00 00 \n"
    write(machine, f"{CHP}/status", "on")
    machine.settle()
    assert read(machine, f"{SCH}/vpm") == "c0\n"


def test_the_last_path_of_an_offline_device() -> None:
    """Devices that are offline, or whose driver does not keep them, are unregistered; their subchannel stays."""
    machine, tape = booted()
    start = len(machine.uevents.events)
    for path in ("41", "42"):
        write(machine, f"/sys/devices/css0/chp0.{path}/status", "offline")
    assert names(machine, "/sys/bus/ccw/devices") == ["0.0.0181", "0.0.0bbb", "0.0.7e52"]
    machine.settle()
    assert names(machine, "/sys/bus/ccw/devices") == []
    lines = [str(event) for event in machine.uevents.events[start:]]
    assert [line for line in lines if "0.0.7e52" in line] == [
        "unbind@/devices/css0/0.0.0000/0.0.7e52",
        "remove@/devices/css0/0.0.0000/0.0.7e52",
    ]
    assert readlink(machine, f"{SCH}/driver") == "../../../bus/css/drivers/io_subchannel"
    assert read(machine, f"{SCH}/vpm") == "00\n"
    write(machine, "/sys/devices/css0/chp0.42/status", "on")
    machine.settle()
    assert names(machine, "/sys/bus/ccw/devices") == ["0.0.0181", "0.0.7e52"]
    assert tape.calls == ["probe", "remove", "probe"]


def test_the_last_path_of_an_online_device() -> None:
    machine, tape = booted()
    write(machine, f"{DEV}/online", "1")
    machine.set_paths("0.0.0002", 0)
    machine.settle()
    assert (read(machine, f"{DEV}/availability"), read(machine, f"{DEV}/online")) == ("no path\n", "1\n")
    assert read(machine, f"{SCH}/pimpampom") == "c0 00 ff\n"
    machine.set_paths("0.0.0002", 0x80)
    machine.settle()
    assert (read(machine, f"{DEV}/availability"), read(machine, f"{SCH}/vpm")) == ("good\n", "80\n")
    machine.set_paths("0.0.0002", 0)
    machine.settle()
    write(machine, f"{DEV}/online", "0")  # taken at once, done later: the device goes
    machine.settle()
    assert find(machine, DEV) is None
    assert tape.calls[-1] == "remove"


def test_no_path_to_set_online_over() -> None:
    machine, tape = booted()
    machine.set_paths("0.0.0002", 0)
    assert refused(machine, f"{DEV}/online", "1") == errno.ENODEV
    assert machine.dmesg.lines()[-1].endswith("failed because it is not operational")


class ReservedTape:
    """A channel device that another system has reserved until it is taken from it."""

    def __init__(self) -> None:
        self.reserved = True
        self.silent = 0
        """Paths over which no status comes."""
        self.commands: list[int] = []

    def run(self, program: Sequence[Ccw], lpm: int = 0, expires: float = 0) -> Ending:
        irb = bytearray(96)
        irb[8] = 0x0C
        command = program[0].command
        self.commands.append(command)
        if lpm & self.silent:
            raise TimeoutError(errno.ETIMEDOUT, "")
        if command == 0xE4:
            return Ending(0, bytes(irb), (bytes.fromhex("ff348022348004"),))
        if command == 0x34:
            return Ending(0, bytes(irb), (bytes([0x20 if self.reserved else 0x80]) + bytes(11),))
        if command == 0x14:
            self.reserved = False
        return Ending(0, bytes(irb), (None,))

    def schib(self) -> bytes:
        return bytes(52)

    def disable(self) -> None: ...


class OneChannel:
    def __init__(self, channel: ReservedTape) -> None:
        self.channel = channel

    def subchannel(self, busid: str) -> ReservedTape | None:
        return self.channel if busid == "0.0.0002" else None

    def release(self, busid: str) -> None: ...


def test_a_device_that_is_reserved_elsewhere() -> None:
    """Boxed: online is refused; force takes the device from who has it."""
    channel = ReservedTape()
    machine = Machine(spec(), OneChannel(channel), threaded=False)
    machine.boot()
    CcwBusDriver(machine.ccw_bus, Tape(), groups_paths=True).register()
    assert refused(machine, f"{DEV}/online", "1") == errno.ENODEV
    assert read(machine, f"{DEV}/availability") == "boxed\n"
    write(machine, f"{DEV}/online", "force")
    assert (read(machine, f"{DEV}/availability"), read(machine, f"{DEV}/online")) == ("good\n", "1\n")
    assert channel.commands[-6:] == [0x14, 0x94, 0x34, 0x34, 0xAF, 0xAF]
    write(machine, f"{DEV}/online", "0")
    assert channel.commands[-2:] == [0xAF, 0xAF]  # out of the path group


def test_status_that_does_not_come() -> None:
    """A path without it is not used; a device that nowhere says what it is, is boxed."""
    channel = ReservedTape()
    channel.reserved, channel.silent = False, 0x80
    machine = Machine(spec(), OneChannel(channel), threaded=False)
    machine.boot()
    CcwBusDriver(machine.ccw_bus, Tape(), groups_paths=True).register()
    write(machine, f"{DEV}/online", "1")
    assert (read(machine, f"{SCH}/vpm"), channel.commands.count(0xE4)) == ("40\n", 2)
    channel.silent = 0xFF
    machine = Machine(spec(), OneChannel(channel), threaded=False)
    machine.boot()
    assert read(machine, f"{DEV}/availability") == "boxed\n"


def test_a_device_that_goes_and_comes() -> None:
    """Kept where it is online and its driver wants to; otherwise it goes with its subchannel, and is found anew."""
    machine, tape = booted()
    write(machine, f"{DEV}/online", "1")
    machine.device_gone("0.0.0002")
    machine.settle()
    assert (read(machine, f"{DEV}/availability"), read(machine, f"{SCH}/vpm")) == ("no device\n", "00\n")
    machine.device_back("0.0.0002")
    machine.settle()
    assert (read(machine, f"{DEV}/availability"), read(machine, f"{DEV}/online")) == ("good\n", "1\n")
    machine.device_gone("0.0.0002")
    write(machine, f"{DEV}/online", "0")
    machine.settle()
    assert find(machine, SCH) is None
    write(machine, "/sys/devices/css0/rescan", "1")
    assert find(machine, SCH) is None
    machine.device_back("0.0.0002")
    machine.settle()
    assert read(machine, f"{DEV}/online") == "0\n"
    machine.device_gone("0.0.0002")
    machine.settle()
    assert find(machine, SCH) is None
    machine.device_gone("0.0.0002")
    assert tape.calls[-1] == "remove"


def test_standby() -> None:
    """A CHPID that is configured off is not available any more; one that cannot be configured says so."""
    machine, tape = booted(chpids=(ChpidSpec(0x41, configurable=True, chid=0x123), ChpidSpec(0x42)))
    write(machine, f"{DEV}/online", "1")
    assert (read(machine, f"{CHP}/configure"), read(machine, f"{CHP}/chid")) == ("1\n", "0123\n")
    write(machine, f"{CHP}/configure", "0\n")
    machine.settle()
    assert (read(machine, f"{CHP}/configure"), read(machine, f"{SCH}/pimpampom")) == ("0\n", "c0 40 ff\n")
    assert tape.calls[-1] == "paths 40"
    for wrong in ("2", "x", "", "1 1"):
        assert refused(machine, f"{CHP}/configure", wrong) == errno.EINVAL
    with pytest.raises(OSError) as caught:
        read(machine, "/sys/devices/css0/chp0.42/configure")
    assert caught.value.errno == errno.EOPNOTSUPP


def test_unplug() -> None:
    machine, tape = booted()
    write(machine, f"{DEV}/online", "1")
    machine.unplug("0.0.0002")
    assert find(machine, SCH) is None
    assert tape.calls[-1] == "remove"
    write(machine, "/sys/devices/css0/rescan", "1")
    assert find(machine, SCH) is None
    machine.unplug("0.0.0002")


def test_css0() -> None:
    machine, _ = booted(channel_measurement=True, real_cssid=0xFE)
    css0 = "/sys/devices/css0"
    assert read(machine, f"{css0}/real_cssid") == "fe\n"
    write(machine, f"{css0}/cm_enable", "1\n")
    assert read(machine, f"{css0}/cm_enable") == "1\n"
    assert refused(machine, f"{css0}/cm_enable", "2") == errno.EINVAL
    assert names(machine, f"{css0}/defunct") == ["uevent"]
    plain, _ = booted()
    with pytest.raises(OSError) as caught:
        read(plain, f"{css0}/real_cssid")
    assert caught.value.errno == errno.EINVAL
    assert "cm_enable" not in names(plain, css0)
    assert "rescan" not in names(booted(kernel="5.10.0")[0], css0)


# cio_ignore

LISTS = [
    ("add 0.0.7e52\n", 0, "0.0.7e52\n"),
    ("add 7e52", 0, "0.0.7e52\n"),
    ("add 0x7e52", 0, "0.0.7e52\n"),
    ("add 00.0.7E52", 0, "0.0.7e52\n"),
    ("add 0.0.0000-0.0.00ff,0.1.0005", 0, "0.0.0000-0.0.00ff\n0.1.0005\n"),
    ("add 0.0.fffe-0.1.0001", 0, "0.0.fffe-0.0.ffff\n0.1.0000-0.1.0001\n"),
    ("add all,!0.0.0000-0.3.fffe", 0, "0.3.ffff\n"),
    ("add 0.0.0010-0.0.0013,!0.0.0012", 0, "0.0.0010-0.0.0011\n0.0.0013\n"),
    ("add condev", 0, ""),
    ("add 0.0.0002-0.0.0001", errno.EINVAL, ""),
    ("add 0.0.123", errno.EINVAL, ""),
    ("add 0.4.0000", errno.EINVAL, ""),
    ("add 1.0.0000", errno.EINVAL, ""),
    ("add 10000", errno.EINVAL, ""),
    ("add", errno.EINVAL, ""),
    ("add nonsense,0.0.0001", errno.EINVAL, "0.0.0001\n"),
    ("nonsense 0.0.0001", errno.EINVAL, ""),
    ("\n", errno.EINVAL, ""),
]


@pytest.mark.parametrize(("written", "code", "shown"), LISTS)
def test_lists(written: str, code: int, shown: str) -> None:
    blacklist = Blacklist()
    try:
        blacklist.store(written.encode())
        found = 0
    except OSError as problem:
        found = problem.errno or 0
    assert (found, blacklist.show()) == (code, shown)


def test_ignored_at_boot_and_freed() -> None:
    machine, _ = booted(cmdline="root=/dev/vda1 cio_ignore=all,!0.0.0bbb,!0.0.0181")
    assert names(machine, "/sys/bus/ccw/devices") == ["0.0.0181", "0.0.0bbb"]
    assert find(machine, "/sys/devices/css0/0.0.0000") is None
    write(machine, IGNORE, "free 0.0.7e52")
    assert find(machine, "/sys/devices/css0/0.0.0000") is None
    write(machine, "/proc/cio_settle", "1")
    assert names(machine, "/sys/bus/ccw/devices") == ["0.0.0181", "0.0.0bbb", "0.0.7e52"]
    assert read(machine, "/proc/cmdline") == "root=/dev/vda1 cio_ignore=all,!0.0.0bbb,!0.0.0181\n"


def test_purge_takes_what_is_offline() -> None:
    machine, _ = booted()
    write(machine, f"{DEV}/online", "1")
    write(machine, IGNORE, "add all")
    assert names(machine, "/sys/bus/ccw/devices") == ["0.0.0181", "0.0.0bbb", "0.0.7e52"]
    write(machine, IGNORE, "purge")
    machine.settle()
    assert names(machine, "/sys/bus/ccw/devices") == ["0.0.0181", "0.0.0bbb"]
    assert find(machine, "/sys/devices/css0/0.0.0000") is None


PURGES = [
    ("5.10.0", False, False),
    ("6.1.192", False, True),
    ("6.1.192", True, False),
    ("6.12.107", False, False),
    ("6.12.107", True, False),
]


@pytest.mark.parametrize(("kernel", "mdev", "gone"), PURGES)
def test_purge_and_passed_through_devices(kernel: str, mdev: bool, gone: bool) -> None:
    """Measured: 6.1 takes a subchannel away from vfio_ccw that has no mediated device; it comes back when freed."""
    machine, _ = booted(kernel=kernel, modules=("dasd_eckd_mod", "vfio_ccw"))
    sch = "/sys/devices/css0/0.0.0000"
    write(machine, f"{sch}/driver/unbind", "0.0.0000")
    write(machine, "/sys/bus/css/drivers/vfio_ccw/bind", "0.0.0000")
    if mdev:
        uuid = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
        write(machine, f"{sch}/mdev_supported_types/vfio_ccw-io/create", uuid)
    write(machine, IGNORE, "add 0.0.7e52")
    write(machine, IGNORE, "purge")
    machine.settle()
    assert (find(machine, sch) is None) is gone
    if gone:
        assert "vfio_ccw 0.0.0000: MDEV: Unregistering" in machine.dmesg.lines()
        write(machine, IGNORE, "free 0.0.7e52")
        machine.settle()
        assert readlink(machine, "/sys/bus/ccw/devices/0.0.7e52/driver") == "../../../../bus/ccw/drivers/dasd-eckd"


BAD_SPECS = [
    ("0.0.16CA", None, "bus id must look like"),
    ("0.4.0000", None, "bus id must look like"),
    ("0.0.0000", None, "is defined twice"),
    ("0.0.0009", "7e52", "must look like 0.0.7e52"),
    ("0.0.0009", "0.0.7e52", "device 0.0.7e52 is already on subchannel 0.0.0000"),
]


@pytest.mark.parametrize(("busid", "devno", "message"), BAD_SPECS)
def test_machines_that_cannot_be(busid: str, devno: str | None, message: str) -> None:
    subchannels = (SubchannelSpec("0.0.0000", devno="0.0.7e52"), SubchannelSpec(busid, devno=devno))
    with pytest.raises(SpecError, match=message):
        Machine(MachineSpec("x", subchannels=subchannels))


def test_unknown_kernels() -> None:
    for release in ("rolling", "4.4.0"):
        with pytest.raises(ValueError, match="kernel release"):
            Machine(MachineSpec("x", kernel=release))


def test_in_a_thread() -> None:
    """Recognition runs by itself; cio_settle waits for it."""
    machine = Machine(spec(recognition_delay=0.02))
    machine.boot()
    for _ in range(3):
        write(machine, f"{SCH}/driver/unbind", "0.0.0002")
        write(machine, "/sys/bus/css/drivers_probe", "0.0.0002")
        assert find(machine, DEV) is None
        write(machine, "/proc/cio_settle", "1")
        assert find(machine, DEV) is not None
    machine.shutdown()

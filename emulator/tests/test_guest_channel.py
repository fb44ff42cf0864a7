# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's side of vfio-ccw: what it puts into the regions, what it takes from them."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from ccwemu.guest.devices import CcwId
from ccwemu.guest.plan import plan
from ccwemu.guest.spec import machine_spec, passed_through
from ccwemu.guest.vfiochannel import CRW_REGION, IO_REGION_SIZE, IRQ_CRW, IRQ_IO, SCHIB_REGION, VfioChannel
from ccwemu.machine.ccwdriver import Ccw
from ccwemu.machine.dasd.program import AREA_SIZE
from ccwemu.machine.spec import DasdSpec, OtherSpec, VirtioSpec

ADDRESS = 0x100000


class FakeRegions:
    """Keeps what is written, answers with a normal ending, or refuses with an errno."""

    def __init__(self, refuse: int = 0) -> None:
        self.refuse = refuse
        self.written: list[tuple[int, bytes]] = []
        self.irqs: dict[int, Callable[[], None] | None] = {}
        self.reports = [bytes.fromhex("84030041 00000000"), bytes.fromhex("84030042 00000000")]

    def pwrite(self, offset: int, data: bytes) -> int:
        if self.refuse:
            raise OSError(self.refuse, "")
        self.written.append((offset, data))
        interrupt = self.irqs[IRQ_IO]
        assert interrupt is not None
        interrupt()
        return len(data)

    def set_irq(self, index: int, callback: Callable[[], None] | None) -> None:
        self.irqs[index] = callback

    def pread(self, offset: int, count: int) -> bytes:
        if offset == CRW_REGION:
            return self.reports.pop(0) if self.reports else bytes(8)
        if offset == SCHIB_REGION:
            return bytes.fromhex("00000000 28a97e52").ljust(52, b"\x11")
        scsw = bytes.fromhex("00804007") + (ADDRESS + 8).to_bytes(4, "big") + bytes.fromhex("0c000000")
        return (bytes(24) + scsw).ljust(count, b"\0")


def channel(regions: FakeRegions) -> tuple[VfioChannel, bytearray]:
    memory = bytearray(AREA_SIZE)
    return VfioChannel(regions, memoryview(memory), ADDRESS, 0x1234), memory


def test_a_program_travels_through_the_io_region():
    regions = FakeRegions()
    device, memory = channel(regions)
    ending = device.run([Ccw(0xE4, 40, 0x20)])
    ((offset, region),) = regions.written
    assert (offset, len(region)) == (0, IO_REGION_SIZE)
    # ORB: interruption parameter, format 1 with prefetch and 64-bit IDAWs on all paths, program address
    assert region[:12].hex() == "0000000000c2ff00" + f"{ADDRESS:08x}"
    # SCSW: the start function, and nothing else
    assert region[12:24].hex() == "00004000" + "00" * 8
    assert memory[:8].hex() == "e4200028" + f"{ADDRESS + 4096:08x}"
    assert (ending.cc, ending.device_status, ending.subchannel_status) == (0, 0x0C, 0)


@pytest.mark.parametrize(("number", "cc"), [(errno.EBUSY, 2), (errno.ENODEV, 3), (errno.EACCES, 3)])
def test_what_the_region_refuses_becomes_a_condition_code(number, cc):
    device, _ = channel(FakeRegions(number))
    assert device.run([Ccw(0x03, b"")]).cc == cc
    assert device.statistics.programs == 0


def test_other_errors_are_raised():
    device, _ = channel(FakeRegions(errno.EINVAL))
    with pytest.raises(OSError) as refused:
        device.run([Ccw(0x03, b"")])
    assert refused.value.errno == errno.EINVAL


def test_blocks_are_counted_by_direction():
    device, _ = channel(FakeRegions())
    device.run([Ccw(0x63, bytes(16)), Ccw(0x47, bytes(16)), Ccw(0x86, 4096), Ccw(0x86, 4096)])
    device.run([Ccw(0x63, bytes(16)), Ccw(0x47, bytes(16)), Ccw(0x85, bytes(4096)), Ccw(0x0D, bytes(4096))])
    statistics = device.statistics
    assert (statistics.programs, statistics.ccws) == (2, 8)
    assert (statistics.blocks_read, statistics.blocks_written) == (2, 2)


def test_the_schib_has_the_guests_device_number():
    device, _ = channel(FakeRegions())
    assert device.schib()[6:9].hex() == "123411"


def test_a_channel_report_brings_the_path_masks():
    regions = FakeRegions()
    device, _ = channel(regions)
    told: list[int] = []
    device.on_reports(told.append)
    report = regions.irqs[IRQ_CRW]
    assert report is not None
    report()
    assert (told, regions.reports) == ([0x11], [])
    device.close()
    assert set(regions.irqs.values()) == {None}


DESCRIPTION = {
    "pim": 0xC0, "pam": 0x80, "pom": 0xFF, "chpids": (0x41, 0x42, 0, 0, 0, 0, 0, 0), "cylinders": 200, "heads": 15,
    "cu_type": 0x3990, "cu_model": 0xE9, "dev_type": 0x3390, "dev_model": 0x0C, "serial": "0000000ABC01",
    "image": "/disks/x.ckd", "online": True, "uuid": "x",
}  # fmt: skip


def test_a_passed_through_subchannel_keeps_the_hosts_paths_and_identity():
    made = passed_through("0.0.0001", CcwId(0xFE, 0, 0x1234), DESCRIPTION)
    assert (made.busid, made.devno, made.chpids) == ("0.0.0001", "0.0.1234", (0x41, 0x42))
    assert (made.pim, made.pam, made.pom) == (0xC0, 0x80, 0xFF)
    assert isinstance(made.device, DasdSpec)
    assert (made.device.image, made.device.online, made.device.cylinders) == ("", False, 200)


def test_a_device_that_is_no_disk_keeps_its_types():
    described = {**DESCRIPTION, "cu_type": 0x3590, "dev_type": 0x3590}
    device = passed_through("0.0.0000", CcwId(0xFE, 0, 1), described).device
    assert device == OtherSpec(0x3590, 0xE9, 0x3590, 0x0C)


def test_the_guests_channel_subsystem():
    arguments = "-name linux01 -m 512 -smp 3 -nodefaults -device virtio-rng-ccw,devno=fe.0.0005 "
    arguments += "-device virtio-serial-ccw,devno=00.0.0006 -device virtio-balloon-ccw,devno=fe.1.0007"
    spec = machine_spec(plan(arguments.split()), {})
    assert (spec.name, spec.cpus, spec.memory_kib) == ("linux01", 3, 512 * 1024)
    assert [(sch.busid, sch.devno, sch.device) for sch in spec.subchannels] == [
        ("0.0.0000", "0.0.0005", VirtioSpec("rng")),
        ("0.1.0000", "0.1.0007", VirtioSpec("balloon")),
    ]

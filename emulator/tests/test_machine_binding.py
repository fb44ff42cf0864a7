# SPDX-License-Identifier: GPL-2.0-or-later
"""Binding and unbinding: who takes which device, which errno, which events in which order."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from ccwemu.machine.access import find, names, read, readlink, write
from ccwemu.machine.host import Machine
from ccwemu.machine.spec import ADM, CHSC, DasdSpec, MachineSpec, OtherSpec, SubchannelSpec, VirtioSpec
from ccwemu.machine.versions import parse_release

CSS = "/sys/bus/css"
SCH = "/sys/devices/css0/0.0.16ca"
UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
VERSIONS = ("4.15.0", "5.4.0", "5.10.0-30-s390x", "5.15.0", "6.1.192", "6.8.0", "6.12.107")

Make = Callable[..., Machine]


@pytest.fixture
def make() -> Make:
    def machine(kernel: str = "6.1.192", modules: tuple[str, ...] = ("dasd_eckd_mod", "vfio_ccw")) -> Machine:
        spec = MachineSpec(
            "lpar1",
            kernel=kernel,
            modules=modules,
            subchannels=(
                SubchannelSpec(
                    "0.0.16ca", devno="0.0.7e52", chpids=(0x41, 0x42), pim=0xC0, pam=0xC0, device=DasdSpec()
                ),
                SubchannelSpec("0.0.16cb", devno="0.0.0bbb", chpids=(0,), device=VirtioSpec("balloon")),
                SubchannelSpec("0.0.16cc", devno="0.0.f500", chpids=(0x41,), device=OtherSpec(0x1731, 1), qdio=True),
                SubchannelSpec("0.0.16cd", type=CHSC),
                SubchannelSpec("0.0.16ce", type=ADM),
                SubchannelSpec("0.0.16cf"),
            ),
        )
        made = Machine(spec, threaded=False)
        made.boot()
        return made

    return machine


def refused(machine: Machine, path: str, data: str | bytes) -> int:
    """The errno of a write that must fail."""
    with pytest.raises(OSError) as caught:
        write(machine, path, data)
    assert caught.value.errno is not None
    return caught.value.errno


def events(machine: Machine, start: int = 0) -> list[str]:
    """Events since then as "action@path" with what the facts name of each."""
    shown = ("SUBSYSTEM", "MDEV_STATE", "DRIVER", "ST", "MODALIAS", "CU_TYPE", "DEVNAME")
    lines = []
    for event in machine.uevents.events[start:]:
        values = " ".join(f"{key}={event.env[key]}" for key in event.env if key in shown)
        lines.append(f"{event} {values}")
    return lines


NAMES = [
    ("0.0.16ca", None),
    ("0.0.16ca\n", None),
    ("0.0.16ca\n\n", errno.ENODEV),
    (" 0.0.16ca\n", errno.ENODEV),
    ("0.0.16ca \n", errno.ENODEV),
    ("0.0.16cax\n", errno.ENODEV),
    ("0.0.16ca\0junk\n", None),
    ("\n", errno.ENODEV),
    ("0.0.ffff\n", errno.ENODEV),
    ("16ca\n", errno.ENODEV),
]


@pytest.mark.parametrize(("written", "expected"), NAMES)
def test_names(make: Make, written: str, expected: int | None) -> None:
    machine = make()
    if expected is None:
        write(machine, f"{CSS}/drivers/io_subchannel/unbind", written)
        assert readlink(machine, f"{SCH}/driver") is None
    else:
        assert refused(machine, f"{CSS}/drivers/io_subchannel/unbind", written) == expected
        assert refused(machine, f"{CSS}/drivers/vfio_ccw/bind", written) == expected
        assert refused(machine, f"{CSS}/drivers_probe", written) == expected


@pytest.mark.parametrize("kernel", VERSIONS)
def test_bind_what_is_bound(make: Make, kernel: str) -> None:
    machine = make(kernel)
    expected = errno.ENODEV if parse_release(kernel) < (5, 15) else errno.EBUSY
    assert refused(machine, f"{CSS}/drivers/vfio_ccw/bind", "0.0.16ca") == expected
    assert refused(machine, f"{CSS}/drivers/io_subchannel/bind", "0.0.16ca") == expected


@pytest.mark.parametrize("kernel", VERSIONS)
def test_there_and_back(make: Make, kernel: str) -> None:
    """The wiki page's way, on each kernel."""
    machine = make(kernel)
    if machine.kernel.facts.mdev_driver_module == "vfio_mdev":
        machine.modules.modprobe("vfio_mdev")
    write(machine, "/sys/bus/ccw/devices/0.0.7e52/driver/unbind", "0.0.7e52")
    write(machine, f"{SCH}/driver/unbind", "0.0.16ca")
    assert find(machine, f"{SCH}/0.0.7e52") is None
    write(machine, f"{CSS}/drivers/vfio_ccw/bind", "0.0.16ca")
    assert readlink(machine, f"{SCH}/driver") == "../../../bus/css/drivers/vfio_ccw"
    write(machine, f"{SCH}/mdev_supported_types/vfio_ccw-io/create", UUID)
    driver = readlink(machine, f"/sys/bus/mdev/devices/{UUID}/driver")
    name = "vfio_mdev" if parse_release(kernel) < (5, 16) else "vfio_ccw_mdev"
    assert driver == f"../../../../bus/mdev/drivers/{name}"
    assert (find(machine, f"{SCH}/parent") is not None) == (kernel in ("6.8.0", "6.12.107"))
    assert (find(machine, f"{SCH}/{UUID}/vfio-dev/vfio0") is not None) == (kernel[:2] == "6.")
    assert (find(machine, "/sys/kernel/iommu_groups/0/name") is not None) == (kernel[:2] == "6.")
    handle = machine.mdevs.open_device(UUID)
    assert machine.mdevs.is_open(UUID)
    handle.close()
    write(machine, f"{SCH}/{UUID}/remove", "1")
    write(machine, f"{SCH}/driver/unbind", "0.0.16ca")
    write(machine, f"{CSS}/drivers_probe", "0.0.16ca")
    assert find(machine, f"{SCH}/0.0.7e52") is None  # recognition is asynchronous
    write(machine, "/proc/cio_settle", "1")
    assert readlink(machine, "/sys/bus/ccw/devices/0.0.7e52/driver") == "../../../../bus/ccw/drivers/dasd-eckd"
    assert read(machine, "/sys/bus/ccw/devices/0.0.7e52/online") == "0\n"
    assert names(machine, "/sys/kernel/iommu_groups") == []
    assert names(machine, "/dev/vfio") == ["vfio"]


def test_types_decide(make: Make) -> None:
    """A CHSC or ADM subchannel never binds, whatever its driver_override says; a QDIO one neither."""
    machine = make()
    for busid in ("0.0.16cd", "0.0.16ce"):
        write(machine, f"/sys/devices/css0/{busid}/driver_override", "vfio_ccw\n")
        assert refused(machine, f"{CSS}/drivers/vfio_ccw/bind", busid) == errno.ENODEV
        assert names(machine, f"/sys/devices/css0/{busid}") == [
            "driver_override",
            "modalias",
            "subsystem",
            "type",
            "uevent",
        ]
    write(machine, f"{CSS}/drivers/io_subchannel/unbind", "0.0.16cc")
    assert refused(machine, f"{CSS}/drivers/vfio_ccw/bind", "0.0.16cc") == errno.ENODEV
    assert readlink(machine, "/sys/devices/css0/0.0.16cc/driver") is None
    assert machine.dmesg.lines()[-1] == "vfio: ccw: does not support QDIO: 0.0.16cc"
    assert find(machine, "/sys/devices/css0/0.0.16cf") is None  # no device number, not registered


def test_drivers_of_other_types(make: Make) -> None:
    machine = make()
    machine.modules.load("chsc_sch")
    machine.modules.load("eadm_sch")
    assert readlink(machine, "/sys/devices/css0/0.0.16cd/driver") == "../../../bus/css/drivers/chsc_subchannel"
    assert readlink(machine, "/sys/devices/css0/0.0.16ce/driver") == "../../../bus/css/drivers/eadm_subchannel"
    assert read(machine, "/sys/devices/css0/0.0.16cd/uevent") == "DRIVER=chsc_subchannel\nST=1\nMODALIAS=css:t1\n"


OVERRIDES = [
    (b"vfio_ccw\n", "vfio_ccw\n"),
    (b"vfio_ccw", "vfio_ccw\n"),
    (b"a b\nc", "a b\n"),
    (b"\n", "(null)\n"),
    (b"(null)", "(null)\n"),
    (b"x" * 4094, "x" * 4094 + "\n"),
    (b"x" * 4095, None),
    (b"one\0two", "one\n"),
]


@pytest.mark.parametrize(("written", "expected"), OVERRIDES)
def test_driver_override_text(make: Make, written: bytes, expected: str | None) -> None:
    machine = make()
    path = f"{SCH}/driver_override"
    if expected is None:
        assert refused(machine, path, written) == errno.EINVAL
    else:
        write(machine, path, written)
        assert read(machine, path) == expected


def test_driver_override_decides(make: Make) -> None:
    machine = make()
    start = len(machine.uevents.events)
    write(machine, f"{SCH}/driver_override", "vfio_ccw")
    assert readlink(machine, f"{SCH}/driver") == "../../../bus/css/drivers/io_subchannel"
    assert machine.uevents.events[start:] == []
    write(machine, f"{SCH}/driver/unbind", "0.0.16ca")
    assert refused(machine, f"{CSS}/drivers/io_subchannel/bind", "0.0.16ca") == errno.ENODEV
    write(machine, f"{SCH}/driver_override", "nosuch")
    assert refused(machine, f"{CSS}/drivers/vfio_ccw/bind", "0.0.16ca") == errno.ENODEV
    write(machine, f"{CSS}/drivers_probe", "0.0.16ca")  # succeeds, and binds nothing
    assert readlink(machine, f"{SCH}/driver") is None
    write(machine, f"{SCH}/driver_override", "\n")
    write(machine, f"{CSS}/drivers_probe", "0.0.16ca")
    assert readlink(machine, f"{SCH}/driver") == "../../../bus/css/drivers/io_subchannel"


@pytest.mark.parametrize(("kernel", "there"), [("4.15.0", False), ("5.3.0", True), ("6.1.192", True)])
def test_driver_override_since(make: Make, kernel: str, there: bool) -> None:
    assert (find(make(kernel), f"{SCH}/driver_override") is not None) is there


@pytest.mark.parametrize(("kernel", "there"), [("5.4.0", True), ("5.10.0", False)])
def test_power_directories(make: Make, kernel: str, there: bool) -> None:
    machine = make(kernel)
    for path in (SCH, "/sys/bus/ccw/devices/0.0.7e52", "/sys/devices/css0"):
        assert ("power" in names(machine, path)) is there


def test_autoprobe(make: Make) -> None:
    machine = make(modules=("vfio", "mdev"))
    for written, expected in ((b"0", "0\n"), (b"x", "1\n"), (b"0\n", "0\n")):
        write(machine, f"{CSS}/drivers_autoprobe", written)
        assert read(machine, f"{CSS}/drivers_autoprobe") == expected
    write(machine, f"{SCH}/driver/unbind", "0.0.16ca")
    machine.modules.load("vfio_ccw")
    assert readlink(machine, f"{SCH}/driver") is None
    machine.modules.unload("vfio_ccw")
    write(machine, f"{CSS}/drivers_autoprobe", "1")
    machine.modules.load("vfio_ccw")  # a new driver takes what has none
    assert readlink(machine, f"{SCH}/driver") == "../../../bus/css/drivers/vfio_ccw"


def test_events_of_passing_through(make: Make) -> None:
    machine = make()
    start = len(machine.uevents.events)
    write(machine, f"{SCH}/driver/unbind", "0.0.16ca")
    write(machine, f"{CSS}/drivers/vfio_ccw/bind", "0.0.16ca")
    write(machine, f"{SCH}/mdev_supported_types/vfio_ccw-io/create", UUID)
    write(machine, f"{CSS}/drivers/vfio_ccw/unbind", "0.0.16ca")
    write(machine, f"{CSS}/drivers_probe", "0.0.16ca")
    machine.settle()
    sch, mdev = "/devices/css0/0.0.16ca", f"/devices/css0/0.0.16ca/{UUID}"
    dasd = "ccw:t3990mE9dt3390dm0C"
    assert events(machine, start) == [
        f"unbind@{sch}/0.0.7e52 SUBSYSTEM=ccw CU_TYPE=3990",
        f"remove@{sch}/0.0.7e52 SUBSYSTEM=ccw CU_TYPE=3990 MODALIAS={dasd}",
        f"unbind@{sch} SUBSYSTEM=css ST=0",
        f"change@{sch} SUBSYSTEM=css MDEV_STATE=registered DRIVER=vfio_ccw ST=0 MODALIAS=css:t0",
        f"bind@{sch} SUBSYSTEM=css DRIVER=vfio_ccw ST=0 MODALIAS=css:t0",
        f"add@{mdev} SUBSYSTEM=mdev",
        "add@/devices/virtual/vfio/0 SUBSYSTEM=vfio DEVNAME=vfio/0",
        f"add@{mdev}/vfio-dev/vfio0 SUBSYSTEM=vfio-dev",
        f"bind@{mdev} SUBSYSTEM=mdev DRIVER=vfio_ccw_mdev",
        f"remove@{mdev}/vfio-dev/vfio0 SUBSYSTEM=vfio-dev",
        "remove@/devices/virtual/vfio/0 SUBSYSTEM=vfio DEVNAME=vfio/0",
        f"unbind@{mdev} SUBSYSTEM=mdev",
        f"remove@{mdev} SUBSYSTEM=mdev",
        f"change@{sch} SUBSYSTEM=css MDEV_STATE=unregistered DRIVER=vfio_ccw ST=0 MODALIAS=css:t0",
        f"unbind@{sch} SUBSYSTEM=css ST=0",
        f"bind@{sch} SUBSYSTEM=css DRIVER=io_subchannel ST=0 MODALIAS=css:t0",
        f"add@{sch}/0.0.7e52 SUBSYSTEM=ccw CU_TYPE=3990 MODALIAS={dasd}",
        f"bind@{sch}/0.0.7e52 SUBSYSTEM=ccw DRIVER=dasd-eckd CU_TYPE=3990 MODALIAS={dasd}",
    ]


@pytest.mark.parametrize(("kernel", "late"), [("5.16.0", True), ("5.17.0", False)])
def test_when_a_subchannel_is_announced(make: Make, kernel: str, late: bool) -> None:
    """Up to 5.16 an I/O subchannel is announced when its device is known, others at once."""
    lines = [str(event) for event in make(kernel).uevents.events]
    add, device = (lines.index(f"add@/devices/css0/0.0.16ca{tail}") for tail in ("", "/0.0.7e52"))
    assert add == device - 1 if late else add < device - 1
    assert ("bind@/devices/css0/0.0.16ca" in lines) is not late
    assert "add@/devices/css0/0.0.16cd" in lines


def test_synthetic_events(make: Make) -> None:
    machine = make()
    write(machine, f"{SCH}/uevent", "add\n")
    event = machine.uevents.events[-1]
    assert (event.action, event.env["SYNTH_UUID"], event.env["DRIVER"]) == ("add", "0", "io_subchannel")
    write(machine, f"{SCH}/uevent", f"change {UUID} A=1 B=2")
    event = machine.uevents.events[-1]
    assert (event.env["SYNTH_UUID"], event.env["SYNTH_ARG_A"], event.env["SYNTH_ARG_B"]) == (UUID, "1", "2")
    for wrong in ("addx\n", "", "add nouuid", f"add {UUID} A-B=1"):
        assert refused(machine, f"{SCH}/uevent", wrong) == errno.EINVAL
    assert "synth uevent: /devices/css0/0.0.16ca: unknown uevent action string" in machine.dmesg.lines()
    before = len(machine.uevents.events)
    write(machine, "/sys/devices/css0/uevent", "add")  # on no bus, of no class: nobody is told
    assert len(machine.uevents.events) == before


def test_virtio_goes_and_comes_back(make: Make) -> None:
    machine = make()
    start = len(machine.uevents.events)
    write(machine, "/sys/bus/ccw/drivers/virtio_ccw/unbind", "0.0.0bbb")
    sch = "/devices/css0/0.0.16cb/0.0.0bbb"
    assert [line.split()[0] for line in events(machine, start)] == [
        f"unbind@{sch}/virtio0",
        f"remove@{sch}/virtio0",
        f"unbind@{sch}",
    ]
    assert refused(machine, "/sys/bus/ccw/devices/0.0.0bbb/online", "1") == errno.EINVAL
    write(machine, "/sys/bus/ccw/drivers_probe", "0.0.0bbb")
    machine.settle()
    assert read(machine, "/sys/bus/ccw/devices/0.0.0bbb/online") == "1\n"
    assert readlink(machine, "/sys/bus/virtio/devices/virtio0/driver") == (
        "../../../../../bus/virtio/drivers/virtio_balloon"
    )

# SPDX-License-Identifier: GPL-2.0-or-later
"""Mediated devices: create and remove, their checks in order, and a removal that waits for the user."""

from __future__ import annotations

import errno
import os
import threading

import pytest

from ccwemu.machine.access import find, names, read, readlink, write
from ccwemu.machine.host import Machine
from ccwemu.machine.spec import DasdSpec, MachineSpec, SubchannelSpec
from ccwemu.machine.tree import DeviceFile

CSS = "/sys/bus/css"
U1 = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
U2 = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb921"
DEVICES = "/sys/bus/mdev/devices"


def created(kernel: str = "6.1.192", *, bound: int = 2, config: dict[str, str] | None = None) -> Machine:
    """A machine with two subchannels, the first of them bound to vfio_ccw."""
    spec = MachineSpec(
        "lpar1",
        kernel=kernel,
        config=config or {},
        modules=("dasd_eckd_mod", "vfio_mdev", "vfio_ccw"),
        subchannels=tuple(
            SubchannelSpec(f"0.0.000{n}", devno=f"0.0.7e5{n}", chpids=(0x41,), device=DasdSpec()) for n in range(2)
        ),
    )
    machine = Machine(spec, threaded=False)
    machine.boot()
    for number in range(bound):
        write(machine, f"{CSS}/drivers/io_subchannel/unbind", f"0.0.000{number}")
        write(machine, f"{CSS}/drivers/vfio_ccw/bind", f"0.0.000{number}")
    return machine


def type_of(number: int = 0) -> str:
    return f"/sys/bus/css/devices/0.0.000{number}/mdev_supported_types/vfio_ccw-io"


def refused(machine: Machine, path: str, data: str) -> int | None:
    with pytest.raises(OSError) as caught:
        write(machine, path, data)
    return caught.value.errno


UUIDS = [
    (U1, U1),
    (U1 + "\n", U1),
    (U1 + "X", U1),
    (U1.upper(), U1),
    (U1 + "\n\n", None),
    ("{" + U1 + "}", None),
    (U1[:-1], None),
    (U1.replace("-", "_"), None),
    ("notauuid\n", None),
    ("g" + U1[1:], None),
]


@pytest.mark.parametrize(("written", "uuid"), UUIDS)
def test_what_is_a_uuid(written: str, uuid: str | None) -> None:
    machine = created()
    if uuid is None:
        assert refused(machine, f"{type_of()}/create", written) == errno.EINVAL
        assert names(machine, DEVICES) == []
    else:
        write(machine, f"{type_of()}/create", written)
        assert names(machine, DEVICES) == [uuid]


@pytest.mark.parametrize(
    ("kernel", "full"), [("5.15.0", errno.EPERM), ("6.0.0", errno.EPERM), ("6.1.192", errno.EUSERS)]
)
def test_order_of_checks(kernel: str, full: int) -> None:
    """A UUID that is taken, on whatever parent, comes before an instance that is missing."""
    machine = created(kernel)
    write(machine, f"{type_of(0)}/create", U1)
    assert read(machine, f"{type_of(0)}/available_instances") == "0\n"
    assert refused(machine, f"{type_of(0)}/create", U1) == errno.EEXIST
    assert refused(machine, f"{type_of(1)}/create", U1) == errno.EEXIST
    assert refused(machine, f"{type_of(0)}/create", U2) == full
    write(machine, f"{type_of(1)}/create", U2)
    assert names(machine, DEVICES) == [U1, U2]
    assert names(machine, "/dev/vfio") == ["0", "1", "vfio"]


REMOVALS = [("1", 0, True), ("0x1\n", 0, True), ("0", 0, False), ("x", errno.EINVAL, False), ("", errno.EINVAL, False)]


@pytest.mark.parametrize(("written", "code", "gone"), REMOVALS)
def test_remove(written: str, code: int, gone: bool) -> None:
    machine = created()
    write(machine, f"{type_of()}/create", U1)
    if code:
        assert refused(machine, f"{DEVICES}/{U1}/remove", written) == code
    else:
        write(machine, f"{DEVICES}/{U1}/remove", written)
    assert (names(machine, DEVICES) == []) is gone
    assert read(machine, f"{type_of()}/available_instances") == f"{int(gone)}\n"


def test_without_the_driver_module() -> None:
    """Up to 5.10, vfio_mdev is a module; without it the device has no driver and no group until it comes."""
    spec = MachineSpec(
        "lpar1",
        kernel="5.10.0",
        modules=("vfio_ccw",),
        subchannels=(SubchannelSpec("0.0.0000", devno="0.0.7e50", chpids=(0x41,), device=DasdSpec()),),
    )
    machine = Machine(spec, threaded=False)
    machine.boot()
    write(machine, f"{CSS}/drivers/io_subchannel/unbind", "0.0.0000")
    write(machine, f"{CSS}/drivers/vfio_ccw/bind", "0.0.0000")
    write(machine, f"{type_of()}/create", U1)
    assert readlink(machine, f"{DEVICES}/{U1}/driver") is None
    assert readlink(machine, f"{DEVICES}/{U1}/iommu_group") is None
    with pytest.raises(OSError) as caught:
        machine.mdevs.open_device(U1)
    assert caught.value.errno == errno.ENODEV
    machine.modules.modprobe("vfio_mdev")
    assert readlink(machine, f"{DEVICES}/{U1}/iommu_group") == "../../../../kernel/iommu_groups/0"


@pytest.mark.parametrize(("kernel", "again"), [("5.10.0", True), ("5.15.0", False), ("6.1.192", False)])
def test_unbound_and_bound_again(kernel: str, again: bool) -> None:
    machine = created(kernel)
    write(machine, f"{type_of()}/create", U1)
    driver = f"/sys/bus/mdev/drivers/{machine.kernel.facts.mdev_driver}"
    write(machine, f"{driver}/unbind", U1)
    assert names(machine, f"/sys/devices/css0/0.0.0000/{U1}") == ["mdev_type", "remove", "subsystem", "uevent"]
    assert names(machine, "/dev/vfio") == ["vfio"]
    if again:
        write(machine, f"{driver}/bind", U1)
        assert names(machine, "/dev/vfio") == ["0", "vfio"]
    else:
        assert refused(machine, f"{driver}/bind", U1) == errno.ENODEV
    write(machine, f"{DEVICES}/{U1}/remove", "1")
    assert names(machine, DEVICES) == []


def test_open_once() -> None:
    machine = created()
    write(machine, f"{type_of()}/create", U1)
    with pytest.raises(OSError) as caught:
        machine.mdevs.open_device(U2)
    assert caught.value.errno == errno.ENOENT
    handle = machine.mdevs.open_device(U1.upper())
    assert (handle.uuid, handle.subchannel) == (U1, "0.0.0000")
    with pytest.raises(OSError) as caught:
        machine.mdevs.open_device(U1)
    assert caught.value.errno == errno.EBUSY
    node = find(machine, "/dev/vfio/0")
    assert isinstance(node, DeviceFile)
    with pytest.raises(OSError) as caught:
        node.open(os.O_RDONLY)
    assert caught.value.errno == errno.EBUSY
    with pytest.raises(OSError) as caught:
        machine.modules.unload("vfio_ccw")
    assert caught.value.errno == errno.EWOULDBLOCK
    handle.close()
    handle.close()
    assert not machine.mdevs.is_open(U1)
    opened = node.open(os.O_RDONLY)
    with pytest.raises(OSError) as caught:
        machine.mdevs.open_device(U1)
    assert caught.value.errno == errno.EBUSY
    opened.close()
    machine.mdevs.open_device(U1).close()
    machine.modules.unload("vfio_ccw")
    assert readlink(machine, "/sys/devices/css0/0.0.0000/driver") is None
    assert names(machine, DEVICES) == []


def test_open_in_a_group_that_is_held() -> None:
    """As QEMU does it: the group is busy from its own opening on, and stays so when the device is closed."""
    machine = created()
    write(machine, f"{type_of()}/create", U1)
    node = find(machine, "/dev/vfio/0")
    assert isinstance(node, DeviceFile)

    def group_errno() -> int | None:
        with pytest.raises(OSError) as caught:
            node.open(os.O_RDONLY)
        return caught.value.errno

    with pytest.raises(OSError) as caught:
        machine.mdevs.open_device(U1, holds_group=True)
    assert caught.value.errno == errno.EINVAL
    group = node.open(os.O_RDWR)
    assert group_errno() == errno.EBUSY
    handle = machine.mdevs.open_device(U1, holds_group=True)
    with pytest.raises(OSError) as caught:
        machine.mdevs.open_device(U1, holds_group=True)
    assert caught.value.errno == errno.EBUSY
    handle.close()
    assert group_errno() == errno.EBUSY
    group.close()
    node.open(os.O_RDONLY).close()


class Waiting:
    """A write in a thread of its own, and the user of the device that it waits for."""

    def __init__(self, machine: Machine, path: str, data: str) -> None:
        self.machine = machine
        self.handle = machine.mdevs.open_device(U1)
        self.requests = 0
        self.asked = threading.Event()
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._write, args=(path, data))

    def _write(self, path: str, data: str) -> None:
        try:
            write(self.machine, path, data)
        except BaseException as failure:
            self.failure = failure

    def request(self) -> None:
        self.requests += 1
        if self.requests == 3:
            self.asked.set()

    def __enter__(self) -> Waiting:
        self.handle.on_request(self.request)
        self.machine.mdevs.set_request_interval(0.01)
        self.thread.start()
        assert self.asked.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.handle.close()
        self.thread.join(10)
        assert not self.thread.is_alive()
        assert self.failure is None


def test_removal_waits_for_the_user() -> None:
    machine = created()
    write(machine, f"{type_of()}/create", U1)
    with Waiting(machine, f"{DEVICES}/{U1}/remove", "1"):
        assert names(machine, DEVICES) == []
        assert names(machine, f"{type_of()}/devices") == []
        assert find(machine, f"/sys/devices/css0/0.0.0000/{U1}/remove") is None
        assert read(machine, f"{type_of()}/available_instances") == "0\n"
        assert names(machine, "/dev/vfio") == ["0", "vfio"]
        assert machine.mdevs.is_open(U1)
        assert refused(machine, f"{type_of()}/create", U1) == errno.EEXIST
        assert refused(machine, f"{type_of()}/create", U2) == errno.EUSERS
        # the rest of the machine goes on
        write(machine, f"{type_of(1)}/create", U2)
    assert read(machine, f"{type_of()}/available_instances") == "1\n"
    assert names(machine, "/dev/vfio") == ["1", "vfio"]
    relayed = [line for line in machine.dmesg.lines() if "Relaying" in line]
    assert relayed[0] == f"vfio_ccw_mdev {U1}: Relaying device request to user (#0)"


def test_unbind_waits_for_the_user() -> None:
    machine = created()
    write(machine, f"{type_of()}/create", U1)
    with Waiting(machine, f"{CSS}/drivers/vfio_ccw/unbind", "0.0.0000"):
        assert find(machine, "/sys/class/mdev_bus/0.0.0000") is None
        assert find(machine, type_of()) is not None
        assert refused(machine, f"{type_of()}/create", U2) == errno.EUSERS
    assert readlink(machine, "/sys/devices/css0/0.0.0000/driver") is None
    assert find(machine, type_of()) is None


def test_nobody_to_ask() -> None:
    """Without a request channel the removal waits all the same, and says so once."""
    machine = created()
    write(machine, f"{type_of()}/create", U1)
    handle = machine.mdevs.open_device(U1)
    machine.mdevs.set_request_interval(0.01)
    thread = threading.Thread(target=write, args=(machine, f"{DEVICES}/{U1}/remove", "1"))
    thread.start()
    text = f"vfio_ccw_mdev {U1}: No device request channel registered, blocked until released by user"
    with machine.lock:
        assert machine.lock.wait_for(lambda: text in machine.dmesg.lines(), 10)
    handle.close()
    thread.join(10)
    assert machine.dmesg.lines().count(text) == 1


@pytest.mark.parametrize(("kernel", "config", "there"), [
    ("6.1.192", "y", False),
    ("6.8.0", "n", False),
    ("6.8.0", "y", True),
])  # fmt: skip
def test_cdev(kernel: str, config: str, there: bool) -> None:
    machine = created(kernel, config={"CONFIG_VFIO_DEVICE_CDEV": config})
    write(machine, f"{type_of()}/create", U1)
    assert (find(machine, f"{DEVICES}/{U1}/vfio-dev/vfio0/dev") is not None) is there


def test_paths_are_told_to_the_user() -> None:
    machine = created()
    write(machine, f"{type_of()}/create", U1)
    told: list[int] = []
    handle = machine.mdevs.open_device(U1)
    handle.on_paths(told.append)
    write(machine, "/sys/devices/css0/chp0.41/status", "off")
    write(machine, "/sys/devices/css0/chp0.41/status", "on")
    handle.close()
    write(machine, "/sys/devices/css0/chp0.41/status", "off")
    assert told == [0x00, 0x80]

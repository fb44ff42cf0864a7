# SPDX-License-Identifier: GPL-2.0-or-later
"""Many users at once: nothing hangs, nobody meets anything but an errno, and the trees stay consistent."""

from __future__ import annotations

import random
import threading

from ccwemu.machine.access import find, names, read, readlink, write
from ccwemu.machine.host import Machine
from ccwemu.machine.spec import DasdSpec, MachineSpec, SubchannelSpec, VirtioSpec
from ccwemu.machine.tree import Directory, Link, Node

COUNT = 4
ROUNDS = 1500
LIMIT = 60


def uuid(number: int) -> str:
    return f"6dfd3ec5-e8b3-4e18-a6fe-57bc9ece{number:04x}"


def actions(number: int, choose: random.Random) -> list[tuple[str, str]]:
    sch, dev = f"0.0.000{number}", f"0.0.7e5{number}"
    css = "/sys/bus/css"
    return [
        (f"{css}/drivers/io_subchannel/unbind", sch),
        (f"{css}/drivers/vfio_ccw/unbind", sch),
        (f"{css}/drivers/vfio_ccw/bind", sch),
        (f"{css}/drivers_probe", sch),
        (f"{css}/devices/{sch}/driver_override", choose.choice(("vfio_ccw", "\n"))),
        (f"{css}/devices/{sch}/mdev_supported_types/vfio_ccw-io/create", uuid(number)),
        (f"/sys/bus/mdev/devices/{uuid(number)}/remove", "1"),
        (f"/sys/bus/ccw/devices/{dev}/driver/unbind", dev),
        ("/sys/bus/ccw/drivers_probe", dev),
        (f"/sys/bus/ccw/devices/{dev}/online", choose.choice(("0", "1", "force"))),
        ("/sys/devices/css0/chp0.41/status", choose.choice(("on", "on", "off"))),
        ("/proc/cio_settle", "1"),
        ("/proc/cio_ignore", choose.choice((f"add {dev}", f"free {dev}", f"free {dev}", "purge"))),
    ]


class User:
    """Writes at random; opens mediated devices, and lets them go when asked to."""

    def __init__(self, machine: Machine, seed: int) -> None:
        self.machine = machine
        self.random = random.Random(seed)
        self.surprise: BaseException | None = None
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        try:
            for _ in range(ROUNDS):
                self.step()
        except BaseException as surprise:
            self.surprise = surprise

    def step(self) -> None:
        number = self.random.randrange(COUNT)
        try:
            if self.random.random() < 0.15:
                self.hold(number)
            else:
                write(self.machine, *self.random.choice(actions(number, self.random)))
        except OSError:
            return

    def hold(self, number: int) -> None:
        handle = self.machine.mdevs.open_device(uuid(number))
        asked = threading.Event()
        handle.on_request(asked.set)
        asked.wait(0.005)
        handle.close()


def every_node(directory: Directory) -> list[Node]:
    found: list[Node] = []
    for node in directory:
        found.append(node)
        if isinstance(node, Directory):
            found += every_node(node)
    return found


def test_many_users_at_once() -> None:
    spec = MachineSpec(
        "lpar1",
        kernel="6.1.192",
        modules=("dasd_eckd_mod", "vfio_ccw"),
        subchannels=(
            *(
                SubchannelSpec(f"0.0.000{n}", devno=f"0.0.7e5{n}", chpids=(0x41,), device=DasdSpec())
                for n in range(COUNT - 1)
            ),
            SubchannelSpec(
                f"0.0.000{COUNT - 1}", devno=f"0.0.7e5{COUNT - 1}", chpids=(0x41,), device=VirtioSpec("rng")
            ),
        ),
    )
    machine = Machine(spec)
    machine.boot()
    machine.mdevs.set_request_interval(0.01)
    users = [User(machine, seed) for seed in range(6)]
    for user in users:
        user.thread.start()
    for user in users:
        user.thread.join(LIMIT)
        assert not user.thread.is_alive(), "a user hangs"
        assert user.surprise is None, user.surprise
    machine.settle()
    assert not [line for line in machine.dmesg.lines() if line.startswith("work failed")]
    for node in every_node(machine.sysfs):
        if isinstance(node, Link) and isinstance(node.target, Node):
            assert node.target.alive, f"{node.path()} points to what is gone"
    for busid in names(machine, "/sys/bus/css/devices"):
        driver = readlink(machine, f"/sys/bus/css/devices/{busid}/driver")
        bound = [
            name for name in ("io_subchannel", "vfio_ccw") if find(machine, f"/sys/bus/css/drivers/{name}/{busid}")
        ]
        assert bound == ([driver.rsplit("/", 1)[1]] if driver else [])
        types = f"/sys/bus/css/devices/{busid}/mdev_supported_types/vfio_ccw-io"
        assert (find(machine, types) is not None) == (bound == ["vfio_ccw"])
        if bound == ["vfio_ccw"]:
            free = int(read(machine, f"{types}/available_instances"))
            assert free == 1 - len(names(machine, f"{types}/devices"))
    machine.shutdown()

# SPDX-License-Identifier: GPL-2.0-or-later
"""The boot of a host without its node: in which order what happens, by whom, and that a seed decides it."""

from __future__ import annotations

import os
import queue
import random
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from ccwemu.machine.access import find, readlink, write
from ccwemu.machine.host import Machine
from ccwemu.machine.ipl import Ipl, late_subchannels, moves, renumbered
from ccwemu.machine.spec import DasdSpec, MachineSpec, SubchannelSpec, VirtioSpec
from ccwemu.userspace.files import NodeFiles
from ccwemu.userspace.journal import Journal
from ccwemu.userspace.system import System
from ccwemu.userspace.units import Unit

RULES = """\
ACTION=="add", TEST=="/etc/driverctl.d/$env{SUBSYSTEM}-$kernel", TAG+="systemd", \
ENV{SYSTEMD_WANTS}="driverctl@$env{SUBSYSTEM}-$kernel.service"
ACTION=="change", ENV{MDEV_STATE}=="registered", TEST=="/etc/mdevctl.d/$kernel", RUN+="/bin/start %k"
"""
UNIT = """\
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/override %I
"""
SUBCHANNELS = ("0.0.0010", "0.0.0011", "0.0.0012", "0.0.0013")


@dataclass
class Ended:
    status: int
    output: str = ""


class Programs:
    """What is run in the node: /bin/override binds a subchannel to vfio_ccw, others do nothing."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.ran: list[str] = []
        self.environments: list[Mapping[str, str]] = []
        self.status = 0

    def __call__(self, words: Sequence[str], environment: Mapping[str, str], seconds: float) -> Ended:
        self.ran.append(" ".join(words))
        self.environments.append(environment)
        if words[0] == "/bin/override" and not self.status:
            subchannel = words[1].removeprefix("css/")
            write(self._machine, f"/sys/bus/css/devices/{subchannel}/driver/unbind", subchannel)
            write(self._machine, "/sys/bus/css/drivers/vfio_ccw/bind", subchannel)
        return Ended(self.status, "no luck\n" if self.status else "")


class Rig:
    """A machine with a disk on each subchannel; all but the last are to be passed through."""

    def __init__(self, root: Path, kernel: str = "6.1.192", late: Sequence[str] = (), cio_ignore: str = "") -> None:
        for directory in ("etc/udev/rules.d", "etc/systemd/system", "etc/driverctl.d", "etc/modules-load.d"):
            (root / directory).mkdir(parents=True, exist_ok=True)
        (root / "etc/udev/rules.d/05-driverctl.rules").write_text(RULES)
        (root / "etc/udev/rules.d/60-mdevctl.rules").write_text("")  # the machine's own would be there too
        (root / "etc/systemd/system/driverctl@.service").write_text(UNIT)
        (root / "etc/modules-load.d/vfio_ccw.conf").write_text("vfio_ccw\nnosuch\n")
        for subchannel in SUBCHANNELS[:-1]:
            (root / f"etc/driverctl.d/css-{subchannel}").write_text("vfio_ccw\n")
            (root / f"etc/mdevctl.d/{subchannel}").mkdir(parents=True, exist_ok=True)
        devices = tuple(
            SubchannelSpec(subchannel, devno=f"0.0.80{subchannel[-2:]}", chpids=(0x41,), device=DasdSpec())
            for subchannel in SUBCHANNELS
        )
        self.machine = Machine(
            MachineSpec("lpar1", kernel=kernel, subchannels=devices, cio_ignore=cio_ignore), threaded=False
        )
        self.journal = Journal("lpar1", self.machine.dmesg)
        self.programs = Programs(self.machine)
        self.system = System(self.machine, NodeFiles(root), self.programs, self.journal)
        for subchannel in late:
            self.machine.device_gone(subchannel)
        self.machine.boot()
        # what modules-load.d does, done before: the order of it all is left to chance
        self.machine.modules.modprobe("vfio_ccw")
        self.late = late

    def boot(self, seed: int | None = None) -> None:
        self.system.boot(Ipl(seed).chance("order"), self.late)

    def driver(self, subchannel: str) -> str:
        return (readlink(self.machine, f"/sys/bus/css/devices/{subchannel}/driver") or "").rsplit("/", 1)[-1]

    def drivers(self) -> list[str]:
        return [self.driver(subchannel) for subchannel in SUBCHANNELS]


PASSED = ["vfio_ccw"] * 3 + ["io_subchannel"]


@pytest.mark.parametrize("kernel", ["5.15.0", "5.17.0", "6.1.192", "6.12.0"])
@pytest.mark.parametrize("seed", [None, *range(8)])
def test_each_is_taken_once_whatever_comes_when(tmp_path, kernel, seed):
    rig = Rig(tmp_path, kernel, late=("0.0.0011", "0.0.0013"))
    rig.boot(seed)
    assert rig.drivers() == PASSED
    wanted = [f"/bin/override css/{subchannel}" for subchannel in SUBCHANNELS[:-1]]
    wanted += [f"/bin/start {subchannel}" for subchannel in SUBCHANNELS[:-1]]
    assert sorted(rig.programs.ran) == sorted(wanted)
    assert rig.machine.ccw_device("0.0.8013") is not None


def test_the_seed_decides_the_order(tmp_path):
    def lines(name: str, seed: int) -> list[str]:
        rig = Rig(tmp_path / name, late=("0.0.0011",))
        rig.boot(seed)
        return rig.journal.lines

    assert lines("a", 1) == lines("b", 1)
    assert lines("c", 2) != lines("d", 1)


def test_a_device_that_is_ignored_never_appears(tmp_path):
    rig = Rig(tmp_path, late=("0.0.0011",), cio_ignore="0.0.8010-0.0.8011")
    rig.boot(1)
    assert rig.programs.ran == ["/bin/override css/0.0.0012", "/bin/start 0.0.0012"]
    assert find(rig.machine, "/sys/bus/css/devices/0.0.0010") is None
    assert find(rig.machine, "/sys/bus/css/devices/0.0.0011") is None


TOLD = {
    "5.15.0": ["add /devices/css0/0.0.0013 DRIVER=io_subchannel", "add /devices/css0/0.0.0013/0.0.8013"],
    "6.1.192": [
        "add /devices/css0/0.0.0013",
        "bind /devices/css0/0.0.0013 DRIVER=io_subchannel",
        "add /devices/css0/0.0.0013/0.0.8013",
    ],
}
"""Up to 5.16 nothing is told of a subchannel, not even that it is bound, before its device was recognised."""


@pytest.mark.parametrize("kernel", TOLD)
def test_what_is_told_of_a_late_subchannel(tmp_path, kernel):
    rig = Rig(tmp_path, kernel, late=("0.0.0013",))
    rig.boot()
    events = [line for line in rig.journal.lines if "/devices/css0/0.0.0013" in line]
    assert events[: len(TOLD[kernel])] == TOLD[kernel]


def test_what_fails_is_said(tmp_path):
    rig = Rig(tmp_path)
    rig.programs.status = 1
    rig.boot()
    assert rig.drivers() == ["io_subchannel"] * 4
    assert rig.system.tally.failed == rig.system.tally.programs == 3
    assert "no luck" in rig.machine.dmesg.lines()
    assert "systemd-modules-load: Failed to load nosuch: No such file or directory" in rig.machine.dmesg.lines()


def test_a_program_and_a_unit_that_are_missing_are_said(tmp_path):
    rig = Rig(tmp_path)

    def missing(words: Sequence[str], environment: Mapping[str, str], seconds: float) -> Ended:
        raise FileNotFoundError(2, "No such file or directory")

    (tmp_path / "etc/udev/rules.d/99.rules").write_text(
        'KERNEL=="0.0.0013", RUN+="/bin/nosuch", TAG+="systemd", ENV{SYSTEMD_WANTS}="nosuch.service"\n'
    )
    system = System(rig.machine, NodeFiles(tmp_path), missing, rig.journal)
    system.boot()
    said = rig.machine.dmesg.lines()
    assert "nosuch.service: no such unit in the host" in said
    rule = "/etc/udev/rules.d/99.rules:1"
    assert (
        f"{rule}: /bin/nosuch cannot be run in the host: No such file or directory; install the package that brings it"
        in said
    )


def test_a_unit_that_remains_is_not_started_again(tmp_path):
    """A subchannel that comes again is not driverctl's any more: systemd holds its unit for active."""
    rig = Rig(tmp_path)
    rig.boot()
    ran = len(rig.programs.ran)
    write(rig.machine, "/sys/bus/css/devices/0.0.0010/uevent", "add")
    rig.system._take_arrived()
    while rig.system._ready:
        rig.system._step(None)
    assert len(rig.programs.ran) == ran
    assert rig.journal.lines[-1] == "driverctl@css-0.0.0010.service: is active already"


def test_services_start_when_all_else_is_done(tmp_path):
    rig = Rig(tmp_path, late=("0.0.0011", "0.0.0013"))
    service = Unit("own.service", commands=(("/bin/own", "--daemon"),), environment={"OWN": "1"})
    rig.system.boot(random.Random(3), rig.late, [service])
    assert rig.drivers() == PASSED
    assert rig.programs.ran[-1] == "/bin/own --daemon"
    assert rig.programs.environments[-1] == {"OWN": "1"}
    assert rig.journal.lines[-1] == "own.service: /bin/own --daemon: status 0"


def test_who_watches_devices_is_told_when_an_event_is_worked_off(tmp_path):
    """Its programs have run by then. What the boot does nobody can have watched."""
    rig = Rig(tmp_path)
    (tmp_path / "etc/udev/rules.d/99.rules").write_text(
        'KERNEL=="0.0.0013", RUN+="/bin/own", TAG+="own", ENV{mine}="yes"\n'
    )
    rig.boot()
    told = queue.SimpleQueue[tuple[dict[str, str], set[str], str]]()
    rig.system.follow(lambda env, tags: told.put((dict(env), set(tags), rig.programs.ran[-1])))
    write(rig.machine, "/sys/bus/css/devices/0.0.0013/uevent", "change")
    environment, tags, latest = told.get(timeout=30)
    rig.system.close()
    assert environment["ACTION"] == "change" and environment["mine"] == "yes"
    assert (tags, latest) == ({"own"}, "/bin/own")
    assert told.empty()


def spec(numbers: Sequence[int]) -> MachineSpec:
    return MachineSpec(
        "lpar1",
        subchannels=tuple(
            SubchannelSpec(f"0.0.{number:04x}", devno=f"0.0.{0x8000 + place:04x}", device=DasdSpec())
            for place, number in enumerate(numbers)
        ),
    )


def test_renumbering():
    before = spec([0x10, 0x12, 0x13, 0x20])
    seen = set()
    for seed in range(20):
        after = renumbered(before, random.Random(seed))
        assert [sch.busid for sch in after.subchannels] == [sch.busid for sch in before.subchannels]
        assert sorted(str(sch.devno) for sch in after.subchannels) == [f"0.0.800{n}" for n in range(4)]
        seen.add(tuple(str(sch.devno)[-1] for sch in after.subchannels))
    assert seen == {("1", "2", "3", "0"), ("0", "2", "3", "1"), ("0", "1", "3", "2")}
    one = spec([0x10])
    assert renumbered(one, random.Random(1)) == one
    after = renumbered(before, random.Random(0))
    moved = moves(before, after)
    assert moved and set(moved) == set(moved.values())


def test_late_ones_are_none_that_the_boot_needs():
    some = spec(range(0x10, 0x30))
    root = SubchannelSpec("0.0.0000", devno="0.0.0000", device=VirtioSpec("blk"))
    some = MachineSpec("lpar1", subchannels=(root, *some.subchannels))
    for seed in range(50):
        chosen = late_subchannels(some, {"0.0.8003"}, random.Random(seed))
        assert 0 < len(chosen) < 32
        assert not {"0.0.0000", "0.0.0013"} & set(chosen)
    assert Ipl().chance("late") is None


def test_what_programs_send_to_syslog(tmp_path):
    journal = Journal("lpar1", Machine(MachineSpec("lpar1"), threaded=False).dmesg)
    journal.listen(str(tmp_path), os.getuid())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as program:
        program.connect(str(tmp_path / "run/systemd/journal/dev-log"))
        program.send(b"<10>Nov 25 16:51:39 mdevctl: no luck")
        program.send(b"<13>root: hi\n")
        program.send(b"no priority\xff")
    journal.catch_up()
    assert journal.lines == ["mdevctl: no luck", "root: hi", "b'no priority\\xff'"]
    journal.close()
    journal.catch_up()

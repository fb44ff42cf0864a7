# SPDX-License-Identifier: GPL-2.0-or-later
"""What a host's /etc brings about at boot: modules, driver overrides, mediated devices."""

from __future__ import annotations

import json
from pathlib import Path

from ccwemu.machine.access import names, read, readlink, write
from ccwemu.machine.host import Machine
from ccwemu.machine.spec import DasdSpec, MachineSpec, SubchannelSpec
from ccwemu.machine.userspace import Userspace, automatic_devices, modules_to_load

U1 = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
U2 = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb921"
SCH = "/sys/bus/css/devices/0.0.16ca"


def configured(tmp_path: Path, driver: str = "vfio_ccw", start: str = "auto") -> Path:
    for name in ("modules-load.d", "driverctl.d", "mdevctl.d/0.0.16ca"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "modules-load.d" / "vfio_ccw.conf").write_text("# for guests\nvfio\n\n; and\nvfio_ccw  \nnosuch\n")
    (tmp_path / "driverctl.d" / "css-0.0.16ca").write_text(f"{driver}\n")
    definition = {"mdev_type": "vfio_ccw-io", "start": start, "attrs": []}
    (tmp_path / "mdevctl.d" / "0.0.16ca" / U1).write_text(json.dumps(definition))
    (tmp_path / "mdevctl.d" / "0.0.16ca" / U2).write_text("no JSON")
    return tmp_path


def booted(etc: Path, kernel: str = "6.1.192", online: bool = True) -> tuple[Machine, Userspace]:
    device = DasdSpec(online=online)
    subchannel = SubchannelSpec("0.0.16ca", devno="0.0.7e52", chpids=(0x41,), device=device)
    machine = Machine(MachineSpec("lpar1", kernel=kernel, subchannels=(subchannel,)), threaded=False)
    userspace = Userspace(machine, etc)
    machine.boot()
    userspace.load_modules()
    return machine, userspace


def test_reading(tmp_path: Path) -> None:
    etc = configured(tmp_path)
    assert modules_to_load(etc) == ["vfio", "vfio_ccw", "nosuch"]
    assert automatic_devices(etc, "0.0.16ca") == [(U1, "vfio_ccw-io")]
    assert automatic_devices(etc, "0.0.0000") == []
    assert modules_to_load(tmp_path / "nothing") == []
    outside = tmp_path.parent / "outside.conf"
    outside.write_text("dasd_mod\n")
    (etc / "modules-load.d" / "link.conf").symlink_to(outside)
    assert "dasd_mod" not in modules_to_load(etc)


def test_passed_through_from_boot(tmp_path: Path) -> None:
    machine, userspace = booted(configured(tmp_path))
    assert readlink(machine, f"{SCH}/driver") == "../../../bus/css/drivers/vfio_ccw"
    assert read(machine, f"{SCH}/driver_override") == "vfio_ccw\n"
    assert names(machine, "/sys/bus/mdev/devices") == [U1]
    assert "systemd-modules-load: Failed to load nosuch: No such file or directory" in machine.dmesg.lines()
    # and again whenever the subchannel is registered with mdev
    write(machine, f"{SCH}/driver/unbind", "0.0.16ca")
    assert names(machine, "/sys/bus/mdev/devices") == []
    write(machine, "/sys/bus/css/drivers_probe", "0.0.16ca")
    machine.settle()
    assert names(machine, "/sys/bus/mdev/devices") == [U1]
    userspace.close()
    write(machine, f"{SCH}/driver/unbind", "0.0.16ca")
    write(machine, "/sys/bus/css/drivers_probe", "0.0.16ca")
    machine.settle()
    assert names(machine, "/sys/bus/mdev/devices") == []


def test_manual_devices_wait(tmp_path: Path) -> None:
    machine, _ = booted(configured(tmp_path, start="manual"))
    assert readlink(machine, f"{SCH}/driver") == "../../../bus/css/drivers/vfio_ccw"
    assert names(machine, "/sys/bus/mdev/devices") == []


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    machine, _ = booted(configured(tmp_path, driver="nosuch"))
    assert readlink(machine, f"{SCH}/driver") == "../../../bus/css/drivers/io_subchannel"
    assert "driverctl: failed to bind device 0.0.16ca to driver nosuch: No such file or directory" in (
        machine.dmesg.lines()
    )


def test_kernels_without_driver_override(tmp_path: Path) -> None:
    machine, _ = booted(configured(tmp_path), kernel="4.15.0")
    assert readlink(machine, f"{SCH}/driver") == "../../../bus/css/drivers/io_subchannel"

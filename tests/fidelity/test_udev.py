# SPDX-License-Identifier: GPL-3.0-or-later
"""The emulated boot's reading of udev rules, against that of the real udev: ``udevadm test`` in the same host.

And what the emulated udevd tells programs that watch devices, as the real libudev understands it.
"""

from __future__ import annotations

import ctypes.util
import os
import re
import shutil
from pathlib import Path

import pytest
from ccwemu.lab.schema import read_lab
from ccwemu.machine.access import read
from ccwemu.machine.host import Machine
from ccwemu.machine.uevent import Uevent
from ccwemu.userspace.event import Evaluation, coldplug
from ccwemu.userspace.files import NodeFiles
from ccwemu.userspace.rules import parse

HERE = Path(__file__).resolve().parent
FILES = ("05-driverctl.rules", "60-mdevctl.rules")
"""Of the real packages; /etc/udev/rules.d of the host has the others."""

OWN = """\
# as chzdev writes it
ACTION=="add", SUBSYSTEM=="ccw", KERNEL=="0.0.7e52", DRIVER=="dasd-eckd", GOTO="cfg_dasd_eckd_0.0.7e52"
ACTION=="add", SUBSYSTEM=="drivers", KERNEL=="dasd-eckd", TEST=="[ccw/0.0.7e52]", GOTO="cfg_dasd_eckd_0.0.7e52"
GOTO="end_dasd_eckd_0.0.7e52"

LABEL="cfg_dasd_eckd_0.0.7e52"
ATTR{[ccw/0.0.7e52]cmb_enable}="1"
ENV{configured}="$kernel of $driver, %k"

LABEL="end_dasd_eckd_0.0.7e52"
ACTION=="add", SUBSYSTEM=="subsystem", KERNEL=="ccw", RUN{program}+="/bin/sh -c 'echo free 0.0.9000 > /proc/cio_ignore'"
SUBSYSTEM=="css", ATTR{type}=="0", ENV{of}="$attr{modalias}", RUN+="/bin/helper '%p' $env{of} 100%%"
SUBSYSTEM=="ccw", KERNELS=="0.0.*", DRIVERS=="io_subchannel", ENV{found}="$attr{cutype} $attr{type} $driver", TAG+="own"
SUBSYSTEM=="ccw", ATTR{nosuch}!="x", ENV{wrong}="1"
SUBSYSTEM=="ccw|css", TEST!="online", ENV{without}+="a", ENV{without}+="b"
"""

KEYS = ("SYSTEMD_WANTS", "configured", "of", "found", "wrong", "without")


def by_udev(told: str) -> tuple[dict[str, str], set[str], list[str]]:
    """Properties, tags, and commands with a path of their own or in udev's directory."""
    properties = dict(re.findall(r"^([A-Za-z_]+)=(.*)$", told, re.MULTILINE))
    tags = set(filter(None, properties.get("TAGS", "").split(":")))
    commands = re.findall(r"^run: '(.*)'$", told, re.MULTILINE)
    return {key: properties[key] for key in KEYS if key in properties}, tags, [c for c in commands if c != "kmod load"]


def by_emulator(machine: Machine, files: NodeFiles, path: str) -> tuple[dict[str, str], set[str], list[str]]:
    """The same, of the event that ``udevadm trigger`` would cause."""
    problems: list[str] = []
    found: list[Uevent] = []
    unsubscribe = machine.uevents.subscribe(found.append)
    coldplug(machine)
    unsubscribe()
    event = next(event for event in found if event.devpath == path)
    paths = sorted(
        files.find(["/etc/udev/rules.d", "/usr/lib/udev/rules.d"], [*FILES, "99-own.rules"]), key=os.path.basename
    )
    rules = [rule for each in paths for rule in parse(each, files.text(each), problems.append)]
    outcome = Evaluation(machine, files, event, problems.append).apply(rules)
    assert not problems
    return (
        {key: outcome.environment[key] for key in KEYS if key in outcome.environment},
        outcome.tags,
        [" ".join(words) for _rule, words in outcome.runs],
    )


PATHS = [
    "/devices/css0/0.0.0003",
    "/devices/css0/0.0.0003/0.0.7e52",
    "/devices/css0/0.0.0002/0.0.0003",
    "/bus/ccw",
    "/bus/css",
    "/bus/ccw/drivers/dasd-eckd",
]


@pytest.mark.lab
@pytest.mark.skipif(shutil.which("udevadm") is None, reason="udevadm, of the package udev, is not installed")
def test_udev_makes_the_same_of_an_event(start_host, tmp_path):
    host = start_host("tools")
    host.put(OWN, "/etc/udev/rules.d/99-own.rules")
    host.put("vfio_ccw\n", "/etc/driverctl.d/css-0.0.0003")
    host.run("mkdir", "-p", "/etc/mdevctl.d/0.0.0003")
    machine = Machine(read_lab(str(HERE / "labs" / "tools.yml")).hosts[0].machine, threaded=False)
    machine.boot()
    files = NodeFiles(tmp_path / "labs" / "fidelity-tools" / "hosts" / "s390x" / "root")
    for path in PATHS:
        properties, tags, commands = by_udev(host.run("udevadm", "test", "--action=add", f"/sys{path}"))
        emulated = by_emulator(machine, files, path)
        assert (properties, tags) == emulated[:2], path
        assert [command.replace("'", "") for command in commands] == [c.replace("'", "") for c in emulated[2]], path
    written = "/sys/bus/ccw/devices/0.0.7e52/cmb_enable"
    assert host.run("cat", written) == read(machine, written) == "1\n"


MONITOR = """\
import ctypes, select

lib = ctypes.CDLL("libudev.so.1")
for name in ("udev_new", "udev_monitor_new_from_netlink", "udev_monitor_receive_device"):
    getattr(lib, name).restype = ctypes.c_void_p
for name in ("udev_device_get_action", "udev_device_get_devpath", "udev_device_get_property_value"):
    getattr(lib, name).restype = ctypes.c_char_p
monitor = ctypes.c_void_p(lib.udev_monitor_new_from_netlink(ctypes.c_void_p(lib.udev_new()), b"udev"))
assert not lib.udev_monitor_filter_add_match_subsystem_devtype(monitor, b"ccw", None)
assert not lib.udev_monitor_filter_add_match_tag(monitor, b"own")
assert not lib.udev_monitor_enable_receiving(monitor)
for device in ("css0/0.0.0003", "css0/0.0.0001/0.0.0002", "css0/0.0.0003/0.0.7e52"):
    with open(f"/sys/devices/{device}/uevent", "w") as uevent:
        uevent.write("change")
assert select.select([lib.udev_monitor_get_fd(monitor)], [], [], 30)[0], "no event within 30 s"
device = ctypes.c_void_p(lib.udev_monitor_receive_device(monitor))
print(lib.udev_device_get_action(device), lib.udev_device_get_devpath(device))
print(lib.udev_device_get_property_value(device, b"found"))
"""
TAGGED = 'SUBSYSTEM=="ccw", KERNEL=="0.0.7e52", ENV{found}="$kernel", TAG+="own"\nSUBSYSTEM=="css", TAG+="own"\n'


@pytest.mark.lab
@pytest.mark.skipif(
    ctypes.util.find_library("udev") is None, reason="libudev is not installed: apt-get install libudev1"
)
def test_libudev_hears_of_an_event_and_may_pass_over_others(start_host):
    host = start_host("tools")
    host.put(TAGGED, "/etc/udev/rules.d/99-own.rules")
    host.put(MONITOR, "/tmp/monitor.py")
    told = host.run("/usr/bin/python3", "/tmp/monitor.py")
    assert told.splitlines() == ["b'change' b'/devices/css0/0.0.0003/0.0.7e52'", "b'0.0.7e52'"]

# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk is plugged into the running guest through QMP, used, and pulled out again."""

from __future__ import annotations

import json

from lab_rig import until

UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb010"
MONITOR = "/run/vfio_ccw/linux01.qmp"
# One command to a monitor: greeting, capabilities, the command, and its answer, events passed over
QMP = r"""
import json, socket, sys
monitor = socket.socket(socket.AF_UNIX)
monitor.connect(sys.argv[1])
lines = monitor.makefile("rw")
lines.readline()
for command in ('{"execute": "qmp_capabilities"}', sys.argv[2]):
    print(command, file=lines, flush=True)
    answer = json.loads(lines.readline())
    while "event" in answer:
        answer = json.loads(lines.readline())
print(json.dumps(answer))
"""


def qmp(host, command, **arguments):
    text = json.dumps({"execute": command, "arguments": arguments})
    return json.loads(host.check_output("python3 -c %s %s %s", QMP, MONITOR, text))


def test_a_disk_is_plugged_in(lpar1, linux01):
    path = f"/sys/bus/mdev/devices/{UUID}"
    assert qmp(lpar1, "device_add", driver="vfio-ccw", id="plugged", sysfsdev=path, devno="fe.0.8010") == {"return": {}}
    until(lambda: linux01.file("/sys/bus/ccw/devices/0.0.8010").exists)
    linux01.check_output("chccwdev -e 0.0.8010")
    name = linux01.check_output("ls /sys/bus/ccw/devices/0.0.8010/block")
    linux01.check_output("dd if=/dev/%s of=/dev/null bs=64k count=16 iflag=direct status=none", name)


def test_it_is_pulled_out(lpar1, linux01):
    linux01.check_output("chccwdev -d 0.0.8010")
    assert qmp(lpar1, "device_del", id="plugged") == {"return": {}}
    until(lambda: not linux01.file("/sys/bus/ccw/devices/0.0.8010").exists)
    group = lpar1.check_output("basename $(readlink /sys/bus/mdev/devices/%s/iommu_group)", UUID)
    until(lambda: lpar1.run("dd if=/dev/vfio/%s count=0", group).rc == 0)

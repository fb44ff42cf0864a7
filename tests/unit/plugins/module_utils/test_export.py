# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of a host for another one like it, and what is not."""

from __future__ import annotations

import json

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.info._export import LARGEST, ExportError, export
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.info._export_guests import passed, without_secrets
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_kernel import converge

UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
DOMAIN = f"""<!-- written by libvirt -->
<domain type='kvm'>
  <name>linux02</name>
  <memory unit='KiB'>1048576</memory>
  <metadata><note>confidential</note></metadata>
  <os><type arch='s390x' machine='s390-ccw-virtio-7.2'>hvm</type><cmdline>rd.luks.key=/x</cmdline></os>
  <devices>
    <graphics type='vnc' passwd='hunter2'/>
    <disk type='file'><source file='/images/x.qcow2'/></disk>
    <hostdev mode='subsystem' type='mdev' model='vfio-ccw'>
      <source><address uuid='{UUID}'/></source>
      <address type='ccw' cssid='0xfe' ssid='0x0' devno='0x1234'/>
    </hostdev>
  </devices>
</domain>
"""


def told(kernel):
    result = export(kernel.host())
    assert result["changed"] is False
    return json.loads(json.dumps(result["export"]))


def files(document):
    return {one["path"]: one["text"] for one in document["files"]}


def test_a_disk_in_use(kernel):
    rows = {row["device"]: row for row in told(kernel)["subchannels"]}
    assert rows["0.0.7e53"]["disk"] == {
        "size": 144000 * 512,
        "partitions": 1,
        "uses": [{"partition": 1, "kind": "mounted", "name": "/srv/data"}],
    }
    assert rows["0.0.7e54"]["disk"] == {}


def test_swap_and_volumes(kernel):
    kernel.put("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/dasda1 partition 1 0 -2\n")
    kernel.put("sys/block/dm-0/dm/name", "vg0-data\n")
    kernel.put("sys/block/dm-0/slaves/dasda", "")
    rows = {row["device"]: row for row in told(kernel)["subchannels"]}
    assert rows["0.0.7e52"]["disk"]["uses"] == [
        {"partition": 0, "kind": "volume", "name": "vg0-data"},
        {"partition": 1, "kind": "swap", "name": ""},
    ]


def test_files_that_decide_what_becomes_of_channel_devices(kernel):
    kept = {
        "/etc/driverctl.d/css-0.0.16ca": "vfio_ccw\n",
        f"/etc/mdevctl.d/0.0.16ca/{UUID}": "{}",
        "/etc/modules-load.d/vfio_ccw.conf": "vfio_ccw\n",
        "/etc/modprobe.d/dasd.conf": "options dasd_mod dasd=7e52\n",
        "/etc/udev/rules.d/41-dasd-eckd-0.0.7e52.rules": "online",
    }
    others = {
        "/etc/driverctl.d/pci-0000:00:00.0": "x",
        "/etc/modprobe.d/wifi.conf": "options wifi key=secret\n",
        "/etc/udev/rules.d/90-mine.rules": 'RUN+="secret"',
        "/etc/mdevctl.d/scripts.d/notifiers/x": "x",
        "/etc/shadow": "secret",
    }
    for path, text in {**kept, **others}.items():
        kernel.put(path, text)
    assert files(told(kernel)) == kept


def test_what_lays_claim_to_disks_without_options(kernel):
    kernel.put("etc/fstab", "# x\n/dev/dasdb1 /srv ext4 rw,password=hunter2 0 2\n//nas/x /y cifs password=hunter2\n")
    kernel.put("etc/crypttab", "safe /dev/dasdc1 /etc/hunter2.key luks\n")
    kernel.put("etc/systemd/system/srv.mount", "[Mount]\nWhat=/dev/dasdb1\nWhere=/srv\nOptions=password=hunter2\n")
    document = told(kernel)
    assert files(document) == {
        "/etc/fstab": "/dev/dasdb1 /srv ext4 defaults 0 0\n//nas/x /y cifs defaults 0 0\n",
        "/etc/crypttab": "safe /dev/dasdc1 none\n",
        "/etc/systemd/system/srv.mount": "[Mount]\nWhat=/dev/dasdb1\nWhere=/srv\n",
    }
    assert "hunter2" not in json.dumps(document)


def test_the_journal_goes_along(kernel):
    converge(kernel.host(), [{"device": "0.0.7e52", "uuid": UUID, "guest": "linux01", "devno": "fe.0.1234"}])
    document = told(kernel)
    assert json.loads(files(document)["/var/lib/vfio_ccw/journal.json"])["devices"]["0.0.7e52"]["guest"] == "linux01"
    (row,) = [row for row in document["subchannels"] if row["device"] == "0.0.7e52"]
    assert ([mdev["uuid"] for mdev in row["mdevs"]], row["disk"], row["ccw"]) == ([UUID], {}, {})


def test_only_kernel_parameters_of_channel_devices(kernel):
    kernel.put("proc/cmdline", "root=/dev/vda1 rd.luks.key=/secret cio_ignore=0.0.9000 dasd=0.0.7e52\n")
    document = told(kernel)
    assert document["kernel"]["parameters"] == [
        {"source": "/proc/cmdline", "name": "cio_ignore", "value": "0.0.9000"},
        {"source": "/proc/cmdline", "name": "dasd", "value": "0.0.7e52"},
    ]
    assert "secret" not in json.dumps(document)


def test_a_domain_of_libvirt(kernel):
    kernel.put("etc/libvirt/qemu/linux02.xml", DOMAIN)
    kernel.put("etc/libvirt/qemu/broken.xml", "<domain>")
    document = told(kernel)
    assert document["guests"] == [
        {
            "name": "linux02",
            "hypervisor": "libvirt",
            "running": False,
            "devices": [{"uuid": UUID, "devno": "fe.0.1234"}],
            "argv": [],
        }
    ]
    text = files(document)["/etc/libvirt/qemu/linux02.xml"]
    assert UUID in text and "s390-ccw-virtio-7.2" in text
    assert not [word for word in ("hunter2", "confidential", "rd.luks", "x.qcow2") if word in json.dumps(document)]
    left = {one["what"]: one["why"] for one in document["left_out"]}
    assert "taken out" in left["/etc/libvirt/qemu/linux02.xml"]
    assert "no XML" in left["/etc/libvirt/qemu/broken.xml"]


def test_a_start_script_with_a_password(kernel):
    kernel.put("etc/vfio_ccw/guests/linux01.sh", "exec qemu -object secret,id=a,data=hunter2 -device vfio-ccw\n")
    document = told(kernel)
    expected = "exec qemu -object secret,id=a,data=REMOVED -device vfio-ccw\n"
    assert files(document)["/etc/vfio_ccw/guests/linux01.sh"] == expected
    assert document["guests"][0]["running"] is False


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-vnc :1,password=on", "-vnc :1,password=on"),
        ("-spice port=1,password=abc,x=y", "-spice port=1,password=REMOVED,x=y"),
        ("passwd=a\\,b", "passwd=REMOVED,b"),
        ("-device vfio-ccw,devno=fe.0.1234", "-device vfio-ccw,devno=fe.0.1234"),
    ],
)
def test_secrets(text, shown):
    assert without_secrets(text) == shown


def test_devices_of_a_command_line():
    device = f"vfio-ccw,devno=fe.0.1234,sysfsdev=/sys/bus/mdev/devices/{UUID}"
    argv = ["qemu", "-device", "virtio-rng-ccw", "-device", device, "-device", "{", "-daemonize"]
    assert passed(argv) == [{"uuid": UUID, "devno": "fe.0.1234"}]


def test_a_file_that_is_too_large(kernel):
    kernel.put("etc/modules-load.d/much.conf", "x" * (LARGEST + 1))
    document = told(kernel)
    assert files(document) == {}
    assert document["left_out"][0]["what"] == "/etc/modules-load.d/much.conf"


def test_only_root_sees_it_all(kernel):
    host = kernel.host()
    host.permitted = False
    with pytest.raises(ExportError, match="run the task as root"):
        export(host)

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BadName
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.info._info import css_info
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_kernel import converge

UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"


def by_device(result):
    return {row["device"]: row for row in result["subchannels"]}


def test_everything_on_the_host_and_what_could_go_to_a_guest(kernel):
    result = css_info(kernel.host(), [])
    rows = by_device(result)
    assert [device for device, row in rows.items() if row["passable"]] == ["0.0.7e52", "0.0.7e54"]
    assert rows["0.0.7e52"]["ccw"]["block_devices"][0]["name"] == "dasda"
    assert (rows["0.0.7e52"]["chpids"], rows["0.0.7e52"]["pim"]) == (["41", "42"], "c0")
    assert rows["0.0.7e53"]["refusals"][0]["id"] == "mounted"
    assert rows["0.0.7e53"]["ccw"]["users"] == ["mounted at /srv/data"]
    assert rows[""]["type"] == "chsc"
    assert result["passed_through"] == []


def test_a_passed_device_is_listed_with_its_guest(kernel):
    item = {"device": "0.0.7e52", "uuid": UUID, "guest": "linux01", "devno": "fe.0.1234"}
    converge(kernel.host(), [item])
    kernel.busy.add("/dev/vfio/0")
    assert css_info(kernel.host(), [])["passed_through"] == [
        {
            "device": "0.0.7e52",
            "subchannel": "0.0.16ca",
            "uuid": UUID,
            "guest": "linux01",
            "devno": "fe.0.1234",
            "guest_device": "0.0.1234",
            "in_use": True,
        }
    ]


def test_it_can_be_narrowed(kernel):
    assert list(by_device(css_info(kernel.host(), ["0.0.7E53"]))) == ["0.0.7e53"]
    with pytest.raises(BadName):
        css_info(kernel.host(), ["7e53"])


def test_an_ordinary_user_learns_what_root_could_do(kernel):
    host = kernel.host()
    host.permitted = False
    assert by_device(css_info(host, []))["0.0.7e52"]["passable"]


def test_an_ordinary_user_is_not_told_as_a_fact_what_only_root_can_see(kernel):
    item = {"device": "0.0.7e52", "uuid": UUID, "guest": "linux01", "devno": "fe.0.1234"}
    converge(kernel.host(), [item])
    kernel.busy.add("/dev/vfio/0")
    host = kernel.host()
    host.permitted = False
    host.denied = ("/dev/vfio/", "/var/lib/vfio_ccw/")
    result = css_info(host, [])
    row = by_device(result)["0.0.7e52"]
    assert row["mdevs"] == [{"uuid": UUID, "in_use": None, "group": "0"}]
    assert result["passed_through"] == [
        {
            "device": "0.0.7e52",
            "subchannel": "0.0.16ca",
            "uuid": UUID,
            "guest": None,
            "devno": None,
            "guest_device": None,
            "in_use": None,
        }
    ]
    assert len(result["warnings_"]) == 1 and "become" in result["warnings_"][0]


def test_what_the_kernel_ignores(kernel):
    kernel.put("proc/cio_ignore", "0.0.9000\n0.0.a000-0.0.afff\n")
    assert css_info(kernel.host(), [])["ignored"] == ["0.0.9000", "0.0.a000-0.0.afff"]


def test_chpids_are_those_whose_paths_are_installed(kernel):
    """CHPID 00 is one, and a path in the middle can be missing: the masks' bits say."""
    path = "sys/devices/css0/0.0.16ca"
    kernel.put(f"{path}/chpids", "00 41 42 00 00 00 00 00 \n")
    kernel.put(f"{path}/pimpampom", "a0 80 ff\n")
    assert by_device(css_info(kernel.host(), []))["0.0.7e52"]["chpids"] == ["00", "42"]


def test_channel_paths_with_what_they_are_set_to(kernel):
    for name, value in {"status": "offline", "configure": "0", "type": "1b"}.items():
        kernel.put(f"sys/devices/css0/chp0.41/{name}", f"{value}\n")
    assert css_info(kernel.host(), [])["channel_paths"] == [
        {"chpid": "41", "status": "offline", "configured": "standby", "type": "1b"}
    ]


PASSED = {"device": "0.0.7e52", "uuid": UUID, "guest": "linux01", "devno": "fe.0.1234"}
DOMAIN = f"""\
<domain type='kvm'><name>linux02</name><devices>
  <hostdev mode='subsystem' type='mdev' model='vfio-ccw'><source><address uuid='{UUID.upper()}'/></source></hostdev>
  <hostdev mode='subsystem' type='pci'><source><address domain='0x0000'/></source></hostdev>
</devices></domain>
"""


def test_guests_with_a_start_script_and_those_of_libvirt(kernel):
    kernel.put("etc/vfio_ccw/guests/linux01.sh", f"exec qemu -device vfio-ccw,sysfsdev=/sys/bus/mdev/devices/{UUID}\n")
    kernel.put("etc/libvirt/qemu/linux02.xml", DOMAIN)
    kernel.put("etc/libvirt/qemu/broken.xml", "<domain>")
    kernel.put("run/libvirt/qemu/linux02.pid", "77\n")
    kernel.start_process(77, ["qemu-system-s390x"])
    assert css_info(kernel.host(), [])["guests"] == [
        {"name": "broken", "hypervisor": "libvirt", "running": False, "uuids": []},
        {"name": "linux01", "hypervisor": "qemu", "running": False, "uuids": [UUID]},
        {"name": "linux02", "hypervisor": "libvirt", "running": True, "uuids": [UUID]},
    ]


def test_whether_a_guest_runs_is_not_told_as_a_fact_to_who_cannot_see_it(kernel):
    kernel.put("etc/vfio_ccw/guests/linux01.sh", "")
    host = kernel.host()
    host.permitted = False
    assert css_info(host, [])["guests"][0]["running"] is None


def test_what_the_journal_notes_and_does_not_hold(kernel):
    converge(kernel.host(), [PASSED])
    assert css_info(kernel.host(), [])["not_as_noted"] == []
    journal = kernel.get("var/lib/vfio_ccw/journal.json")
    noted = {"device": "0.0.7e52", "noted": "0.0.16ca", "subchannel": "0.0.16ca", "guest": "linux01", "uuid": UUID}
    converge(kernel.host(), [{"device": "0.0.7e52", "state": "absent"}])

    kernel.put("var/lib/vfio_ccw/journal.json", journal)
    assert css_info(kernel.host(), [])["not_as_noted"] == [{**noted, "state": "back"}]
    kernel.put("var/lib/vfio_ccw/journal.json", journal.replace("0.0.7e52", "0.0.7fff"))
    gone = {**noted, "device": "0.0.7fff", "subchannel": "", "state": "gone"}
    assert css_info(kernel.host(), [])["not_as_noted"] == [gone]
    assert css_info(kernel.host(), ["0.0.7e53"])["not_as_noted"] == []

    converge(kernel.host(), [{**PASSED, "adopt": True}])
    kernel.put("var/lib/vfio_ccw/journal.json", journal.replace("0.0.16ca", "0.0.16c9"))
    assert css_info(kernel.host(), [])["not_as_noted"] == [{**noted, "noted": "0.0.16c9", "state": "moved"}]


def test_definitions_for_subchannels_without_a_device(kernel):
    kernel.add_subchannel("0.0.16d0")
    for subchannel in ("0.0.16ca", "0.0.16d0", "0.0.3000"):
        kernel.put(f"etc/driverctl.d/css-{subchannel}", "vfio_ccw\n")
    kernel.put(f"etc/mdevctl.d/0.0.3000/{UUID}", '{"mdev_type": "vfio_ccw-io", "start": "manual"}')
    kernel.put("etc/mdevctl.d/matrix/0d7cd2ee-dd21-49e9-9c4b-0b0e7bd1d4d3", "{}")
    kernel.put("etc/driverctl.d/pci-0000:00:01.0", "vfio-pci\n")
    (kernel.root / "etc/mdevctl.d/0.0.3001").mkdir()  # mdevctl leaves the directory of its last definition
    assert css_info(kernel.host(), [])["definitions_without_device"] == [
        {"subchannel": "0.0.16d0", "driver": "vfio_ccw", "mdevs": []},
        {"subchannel": "0.0.3000", "driver": "vfio_ccw", "mdevs": [UUID]},
    ]


def test_what_a_restart_would_make_of_a_passed_device(kernel):
    kernel.put("proc/cmdline", "root=/dev/vda1 rd.dasd=0.0.7e52-0.0.7e53\n")
    converge(kernel.host(), [PASSED])
    rows = by_device(css_info(kernel.host(), []))
    assert [one["id"] for one in rows["0.0.7e52"]["at_boot"]["refusals"]] == ["online-at-boot"]
    assert rows["0.0.7e53"]["at_boot"]["refusals"] == []


def test_a_device_that_was_left_offline_for_another_system_is_told_until_it_is_online(kernel):
    converge(kernel.host(), [PASSED])
    converge(kernel.host(), [{"device": "0.0.7e52", "state": "absent", "leave_offline": True}])
    (noted,) = css_info(kernel.host(), [])["not_as_noted"]
    assert (noted["device"], noted["guest"], noted["state"]) == ("0.0.7e52", "linux01", "left")
    kernel.host().write("/sys/bus/ccw/devices/0.0.7e52/online", "1")
    assert css_info(kernel.host(), [])["not_as_noted"] == []

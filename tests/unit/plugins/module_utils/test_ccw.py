# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BusId
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.disk._ccw import CcwError, CcwRequest, converge_ccw
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_kernel import converge


def request(device, online, **more):
    return CcwRequest(tuple(BusId.parse(one) for one in device.split(",")), online, **more)


def test_online_and_offline_again(kernel):
    kernel._devices["0.0.16cc"].update(disk="dasdc", minor="8")
    host = kernel.host()
    result = converge_ccw(host, request("0.0.7e54", True), check_mode=False)
    assert host.writes == [("/sys/bus/ccw/devices/0.0.7e54/online", "1")]
    (device,) = result["devices"]
    assert (result["changed"], device["online"], device["type"]) == (True, True, "3390/0c")
    (disk,) = device["block_devices"]
    assert (disk["path"], disk["size"], disk["partitions"][0]["path"]) == ("/dev/dasdc", 144000 * 512, "/dev/dasdc1")
    assert not converge_ccw(kernel.host(), request("0.0.7e54", True), check_mode=False)["changed"]
    (device,) = converge_ccw(kernel.host(), request("0.0.7e54", False), check_mode=False)["devices"]
    assert (device["online"], device["block_devices"]) == (False, [])
    assert not converge_ccw(kernel.host(), request("0.0.7e54", False), check_mode=False)["changed"]


def test_check_mode_writes_nothing(kernel):
    host = kernel.host()
    result = converge_ccw(host, request("0.0.7e54", True), check_mode=True)
    assert result["changed"] and host.writes == []
    assert (result["diff"]["before"], result["diff"]["after"]) == ("0.0.7e54: offline\n", "0.0.7e54: online\n")


def unbound(kernel):
    kernel.host().write("/sys/bus/ccw/drivers/dasd-eckd/unbind", "0.0.7e54")


def passed(kernel):
    converge(kernel.host(), [{"device": "0.0.7e54"}])


@pytest.mark.parametrize(
    "prepare, device, online, says",
    [
        (None, "0.0.7e53", False, "mounted at /srv/data"),
        (None, "0.0.ffff", True, "There are: 0.0.0001, 0.0.7e52"),
        (lambda k: k.put("proc/cio_ignore", "0.0.9000\n"), "0.0.9000", True, "cio_ignore -r 0.0.9000"),
        (unbound, "0.0.7e54", True, "no driver is bound"),
        (passed, "0.0.7e54", True, "bound to vfio_ccw. Give it back first"),
        (lambda k: k.refuses_online.add("0.0.7e54"), "0.0.7e54", True, "EIO"),
        (lambda k: k.refuses_offline.add("0.0.7e52"), "0.0.7e52", False, "EBUSY"),
    ],
)
def test_what_cannot_be_done_is_said(kernel, prepare, device, online, says):
    if prepare:
        prepare(kernel)
    with pytest.raises(CcwError) as error:
        converge_ccw(kernel.host(), request(device, online), check_mode=False)
    assert says in str(error.value) and device in str(error.value)


def test_not_every_device_of_a_large_host_is_named(kernel):
    for number in range(1000):
        kernel.put(f"sys/bus/ccw/devices/0.1.{number:04x}/online", "0\n")
    with pytest.raises(CcwError, match=r"There are: 0\.0\.0001, .* and \d+ more\. Compare with lscss") as error:
        converge_ccw(kernel.host(), request("0.0.ffff", True), check_mode=False)
    assert str(error.value).count("0.1.") < 10


def test_forcing_online_is_read_back(kernel):
    kernel.refuses_online.add("0.0.7e54")
    with pytest.raises(CcwError, match="accepted 'force', but online reads '0'"):
        converge_ccw(kernel.host(), request("0.0.7e54", True, force=True), check_mode=False)


def test_many_are_looked_at_first_and_all_that_is_wrong_is_said(kernel):
    kernel.host().write("/sys/bus/ccw/drivers/dasd-eckd/unbind", "0.0.7e54")
    host = kernel.host()
    with pytest.raises(CcwError) as error:
        converge_ccw(host, request("0.0.7e52,0.0.7e53,0.0.7e54", False), check_mode=False)
    assert "0.0.7e53: not set offline" in str(error.value) and host.writes == []
    with pytest.raises(CcwError) as error:
        converge_ccw(host, request("0.0.7e52,0.0.ffff,0.0.fffe", True), check_mode=False)
    assert "0.0.ffff: no such" in str(error.value) and "0.0.fffe: no such" in str(error.value)


def test_what_the_kernel_refuses_of_one_stops_no_other(kernel):
    kernel.refuses_online.add("0.0.7e54")
    kernel.host().write("/sys/bus/ccw/devices/0.0.7e52/online", "0")
    with pytest.raises(CcwError, match=r"0\.0\.7e54: could not be set online: .* Now online: 0\.0\.7e52") as error:
        converge_ccw(kernel.host(), request("0.0.7e54,0.0.7e52", True), check_mode=False)
    assert [action["device"] for action in error.value.done] == ["0.0.7e52"]
    assert kernel.get("/sys/bus/ccw/devices/0.0.7e52/online") == "1\n"

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BadName
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._info import css_info
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

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices chosen by an expression, on the controller."""

from __future__ import annotations

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils import _select
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils._select import SelectError, expand

CSS = {
    "subchannels": [
        {"device": "0.0.8002", "passable": True, "ccw": {"type": "3390/0c"}},
        {"device": "0.0.8000", "passable": True, "ccw": {"type": "3390/0c"}},
        {"device": "0.0.8001", "passable": False, "ccw": {"type": "3390/0a"}},
        {"device": "", "passable": False, "ccw": {}},
    ],
    "passed_through": [
        {"device": "0.0.8002", "guest": "linux01", "devno": "fe.0.1000"},
        {"device": "0.0.9000", "guest": "linux01", "devno": "fe.0.1001"},
        {"device": "0.0.9001", "guest": "", "devno": ""},
    ],
}


@pytest.mark.parametrize(
    ("expression", "devices"),
    [
        ("[?passable]", ["0.0.8000", "0.0.8002"]),
        ("[?passable].device", ["0.0.8000", "0.0.8002"]),
        ("[?ccw.type == '3390/0a'].device", ["0.0.8001"]),
        ("[].device", ["0.0.8000", "0.0.8001", "0.0.8002"]),
        ("[0]", ["0.0.8002"]),
        ("[0].device", ["0.0.8002"]),
    ],
)
def test_an_expression_results_in_devices_in_order(expression, devices):
    item = {"select": expression, "state": "absent"}
    assert expand(item, CSS) == [{"device": device, "state": "absent"} for device in devices]


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ({"select": "[?"}, "is no JMESPath expression"),
        ({"select": "[?passable == `3`]"}, "matches none"),
        ({"select": "[].passable"}, "expected device numbers"),
        ({"select": "length(@)"}, "expected device numbers"),
        ({"select": "[]", "uuid": "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"}, "leave it out"),
        ({"select": "[]", "devno": "fe.0.ffff"}, "begin lower"),
        ({"select": "[]", "devno": "1234"}, "expected a guest device number"),
    ],
)
def test_what_cannot_be_is_said(item, says):
    with pytest.raises(SelectError, match="select ") as error:
        expand(item, CSS)
    assert says in str(error.value)


def test_none_is_no_error_for_what_is_to_be_the_hosts():
    assert expand({"select": "[?guest == 'linux02'].device", "state": "absent"}, CSS) == []


def test_the_guests_numbers_are_counted_past_what_it_has():
    item = {"select": "[]", "guest": "linux01", "devno": "fe.0.1000"}
    places = {one["device"]: one["devno"] for one in expand(item, CSS)}
    assert places == {"0.0.8000": "fe.0.1002", "0.0.8001": "fe.0.1003", "0.0.8002": "fe.0.1000"}


def test_another_guest_counts_from_the_beginning():
    item = {"select": "[?passable]", "guest": "linux02", "devno": "fe.0.1000"}
    assert [one["devno"] for one in expand(item, CSS)] == ["fe.0.1000", "fe.0.1001"]


def test_without_jmespath_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(_select, "JMESPATH_ERROR", ImportError("No module named 'jmespath'"))
    with pytest.raises(SelectError, match="pip install jmespath"):
        expand({"select": "[]"}, CSS)

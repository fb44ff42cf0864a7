# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import (
    BadName,
    BusId,
    GuestDevno,
    default_uuid,
    parse_uuid,
)


@pytest.mark.parametrize(
    "text, printed",
    [("0.0.7e52", "0.0.7e52"), ("0.0.7E52", "0.0.7e52"), ("0.3.ffff", "0.3.ffff"), (" 0.0.0000\n", "0.0.0000")],
)
def test_bus_ids_are_printed_as_the_kernel_does(text, printed):
    assert str(BusId.parse(text)) == printed


@pytest.mark.parametrize(
    "text",
    ["", "7e52", "0.0.7e5", "0.0.07e52", "0.4.7e52", "1.0.7e52", "fe.0.1234", "0.0.7e5g", "0.0.7e52 x", "../0.0.7e52"],
)
def test_what_is_no_bus_id_is_refused_with_what_is_expected(text):
    with pytest.raises(BadName, match=r"expected a bus id 0\.S\.DDDD"):
        BusId.parse(text)


@pytest.mark.parametrize(
    "text, printed, in_guest, visible",
    [
        ("fe.0.1234", "fe.0.1234", "0.0.1234", True),
        ("FE.1.ABCD", "fe.1.abcd", "0.1.abcd", True),
        ("0.0.1234", "00.0.1234", "0.0.1234", False),
    ],
)
def test_guest_device_numbers(text, printed, in_guest, visible):
    devno = GuestDevno.parse(text)
    assert (str(devno), str(devno.guest_busid), devno.visible) == (printed, in_guest, visible)


@pytest.mark.parametrize(
    "text", ["", "1234", "ff.0.1234", "fe.4.1234", "fe.0.123", "fe.0.12345", "fe.0.1234,bootindex=1"]
)
def test_what_qemu_would_not_take_as_a_devno_is_refused(text):
    with pytest.raises(BadName, match="guest device number"):
        GuestDevno.parse(text)


def test_a_uuid_is_printed_as_the_kernel_names_its_directory():
    assert parse_uuid("6DFD3EC5-E8B3-4E18-A6FE-57BC9ECEB920") == "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "notauuid",
        "6DFD3EC5-E8B3-4E18-A6FE-57BC9ECEB9",
        "{6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920}",
        "6dfd3ec5e8b34e18a6fe57bc9eceb920",
    ],
)
def test_what_the_kernel_would_not_take_as_a_uuid_is_refused(text):
    with pytest.raises(BadName):
        parse_uuid(text)


def test_the_uuid_of_a_device_is_always_the_same_and_its_own():
    first, second = BusId.parse("0.0.7e52"), BusId.parse("0.0.7e53")
    assert default_uuid(first) == "a9c7814f-6432-5f19-8519-7d1b206b9f23"
    assert default_uuid(first) != default_uuid(second)

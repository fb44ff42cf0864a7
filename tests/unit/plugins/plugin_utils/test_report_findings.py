# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the report makes of what css_info returned: states, findings, what is told together."""

from __future__ import annotations

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals import _table as _refusals
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._table import ROWS
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils._report_findings import (
    NOT_POSSIBLE,
    REFUSAL_LEVELS,
    TABLE,
    USED_BY_HOST,
    examine,
    told,
)
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils._report_model import (
    BARE,
    EMPTY,
    FREE,
    GUEST,
    HELD,
    HOST,
    IDLE,
    NEVER,
    UNKNOWN,
    groups,
)
from ansible_collections.zkvm.vfio_ccw.tests.unit.report_hosts import VIRTIO, css, guest, lpar1, passed, refused, row

NUMBER = 0x7E52
LINUX01 = guest("linux01", True, NUMBER)
WELL = passed(NUMBER, "linux01")
DEFINED = {"driver": "vfio_ccw", "mdevs": [], "refusals": []}


def found(host):
    """Ids of what is found of the devices and of the host, and the one device's state."""
    devices = host.devices[0]
    return devices.state, [one.id for one in devices.findings], [one.id for one in host.findings]


@pytest.mark.parametrize(
    ("one", "state", "ids"),
    [
        (row(NUMBER), FREE, []),
        (WELL, GUEST, []),
        (passed(NUMBER, "linux01", in_use=None), UNKNOWN, []),
        (passed(NUMBER, "linux01", in_use=False), IDLE, ["not-opened"]),
        (passed(NUMBER, "linux01", kept=False), GUEST, ["not-kept"]),
        ({**WELL, "at_boot": DEFINED}, GUEST, ["half-kept"]),
        ({**WELL, "mdevs": []}, BARE, ["without-mdev", "half-kept"]),
        (refused(NUMBER, "mounted", "it is mounted"), HOST, ["mounted"]),
        (refused(NUMBER, "virtio", "it is virtio", ccw=VIRTIO), NEVER, ["virtio"]),
        (refused(NUMBER, "reserved", "it is boxed"), HELD, ["reserved"]),
        (refused(NUMBER, "of-tomorrow", "a refusal that is not known here"), HELD, ["of-tomorrow"]),
        ({**row(NUMBER), "device": "", "ccw": {}, "passable": False}, EMPTY, []),
        ({**row(NUMBER), "driver": "", "ccw": {}, "passable": False}, HELD, ["not-bound"]),
    ],
)
def test_states(one, state, ids):
    assert found(examine("lpar1", css([one], [LINUX01])))[:2] == (state, ids)


@pytest.mark.parametrize(
    ("guests", "noted", "ids"),
    [
        ([], "linux01", ["not-in-use"]),
        ([], "", ["no-guest"]),
        ([guest("linux01", False, NUMBER)], "linux01", ["guest-off"]),
        ([guest("linux01", True, NUMBER)], "linux01", ["not-opened"]),
        ([guest("linux01", None, NUMBER)], "linux01", ["not-in-use"]),
        ([guest("linux01", True, NUMBER)], "", ["not-opened"]),  # the configuration says whose it is
        ([guest("linux02", False, NUMBER)], "linux01", ["other-config", "not-in-use"]),
    ],
)
def test_a_passed_device_that_nobody_uses(guests, noted, ids):
    host = examine("lpar1", css([passed(NUMBER, noted, in_use=False)], guests))
    assert [one.id for one in host.devices[0].findings] == ids


@pytest.mark.parametrize(
    ("masks", "paths", "ids", "words"),
    [
        (("c0", "c0", "ff"), {}, [], ""),
        (("c0", "80", "ff"), {}, ["path-down"], "41 not available"),
        (("c0", "c0", "80"), {}, ["path-down"], "41 not operational"),
        (("c0", "c0", "ff"), {"41": ("offline", "configured")}, ["path-down"], "41 varied off"),
        (("c0", "c0", "ff"), {"41": ("online", "standby")}, ["path-down"], "41 standby"),
        (("c0", "00", "ff"), {}, ["no-path"], "40 not available, 41 not available"),
        (("", "", ""), {}, [], ""),
    ],
)
def test_paths(masks, paths, ids, words):
    channel_paths = [
        {"chpid": chpid, "status": status, "configured": configured, "type": "1b"}
        for chpid, (status, configured) in paths.items()
    ]
    one = {**row(NUMBER), **dict(zip(("pim", "pam", "pom"), masks))}
    host = examine("lpar1", css([one], channel_paths=channel_paths))
    assert [finding.id for finding in host.devices[0].findings] == ids
    assert words in "".join(finding.found for finding in host.devices[0].findings)
    assert [finding.id for finding in host.findings] == ["chpid-down"] * len(paths)


@pytest.mark.parametrize(
    ("state", "id_"), [("back", "noted-not-passed"), ("moved", "noted-elsewhere"), ("left", "left-offline")]
)
def test_what_the_journal_notes_of_a_device_that_is_there(state, id_):
    noted = {"device": "0.0.7e52", "noted": "0.0.16ca", "subchannel": "0.0.0e52", "guest": "linux01", "state": state}
    host = examine("lpar1", css([row(NUMBER)], channel_paths=[], not_as_noted=[noted]))
    assert found(host) == (FREE, [id_], [])
    assert "0.0.16ca" in host.devices[0].findings[0].found


def test_what_belongs_to_the_host():
    noted = {"device": "0.0.7fff", "noted": "0.0.16ca", "subchannel": "", "guest": "linux01", "state": "gone"}
    left = {"subchannel": "0.0.0e10", "driver": "vfio_ccw", "mdevs": ["6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"]}
    answer = css(
        [passed(NUMBER, "linux01", in_use=None)],
        [guest("linux02", False, 1)],
        channel_paths=[],
        not_as_noted=[noted],
        definitions_without_device=[left],
    )
    host = examine("lpar1", answer)
    assert [one.id for one in host.findings] == ["not-root", "noted-not-there", "no-such-mdev", "no-device"]
    assert host.findings[-1].next_step == (
        "driverctl -b css unset-override 0.0.0e10; mdevctl undefine -u 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920 -p 0.0.0e10"
    )


def test_what_was_left_on_a_subchannel_goes_with_the_device_that_the_journal_notes_there():
    noted = {"device": "0.0.7e52", "noted": "0.0.0e10", "subchannel": "0.0.0e52", "guest": "a", "state": "back"}
    left = {"subchannel": "0.0.0e10", "driver": "vfio_ccw", "mdevs": []}
    answer = css([row(NUMBER)], channel_paths=[], not_as_noted=[noted], definitions_without_device=[left])
    assert "0.0.7e52" in examine("lpar1", answer).findings[0].next_step


def test_what_would_come_in_the_way_at_boot_counts_for_what_is_to_last():
    refusals = [{"id": "online-at-boot", "found": "the host sets it online", "next_step": "End that"}]
    kept = {**WELL["at_boot"], "refusals": refusals}
    assert found(examine("a", css([{**WELL, "at_boot": kept}], [LINUX01])))[1] == ["online-at-boot"]
    assert found(examine("a", css([{**WELL, "at_boot": {"refusals": refusals}}], [LINUX01])))[1] == ["not-kept"]


def test_every_id_is_one_of_the_tables_and_means_one_thing():
    ids = {row.id for row in ROWS}
    assert set(REFUSAL_LEVELS) | USED_BY_HOST | NOT_POSSIBLE <= ids
    tables = (ROWS, *(rows for name, rows in vars(_refusals).items() if name.endswith("_ROWS")))
    assert not {row.id for rows in tables for row in rows} & set(TABLE)


def test_what_is_the_same_is_told_once_and_of_many_of_a_kind_the_first():
    rows = [passed(number, "linux01", kept=False) for number in range(0x8000, 0x8010)]
    rows += [refused(number, "mounted", f"mounted at /srv/{number}") for number in range(0x9000, 0x9010)]
    one, many = told(examine("lpar1", css(rows)).devices)
    assert (one.finding.id, len(one.devices)) == ("not-kept", 16)
    assert many.finding.found == "0.0.9000: mounted at /srv/36864; the like for 15 more"
    assert len(many.devices) == 16


def test_devices_that_are_alike_are_one_group_whatever_lies_between():
    rows = [row(number) if number % 2 else passed(number, "linux01") for number in range(0x8000, 0x8100)]
    assert [len(group.devices) for group in groups(examine("lpar1", css(rows)))] == [128, 128]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"unreachable": True, "msg": "Connection timed out"}, "It cannot be reached: Connection timed out"),
        ({"failed": True, "msg": "no journal"}, "Nothing was learned of it: no journal"),
        ({}, "Nothing was learned of it: no result of css_info"),
        (None, "Nothing was learned of it: no result of css_info"),
        ({"subchannels": [1]}, "Its answer is not understood"),
        ({"subchannels": [{"type": "io", "mdevs": 5}]}, "Its answer is not understood"),
        ({"subchannels": [], "channel_paths": "x"}, "Its answer is not understood"),
    ],
)
def test_a_host_that_says_nothing_or_nonsense_is_shown_as_that(answer, text):
    assert examine("lpar1", answer).error.startswith(text)


def test_a_host_with_something_of_everything():
    host = examine("lpar1", lpar1())
    assert {device.state for device in host.devices} == {GUEST, IDLE, FREE, HOST, HELD, NEVER}
    assert [one.finding.id for one in told(host.devices, host.findings)][:4] == [
        "chpid-down",
        "no-device",
        "noted-not-passed",
        "path-down",
    ]

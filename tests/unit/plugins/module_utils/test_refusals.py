# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every refusal: the state that leads to it, what it says, and that nothing is written."""

from __future__ import annotations

import errno

import pytest
import yaml
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._table import (
    FORCIBLE,
    LIST_REFUSALS,
    ROWS,
    Refused,
)
from ansible_collections.zkvm.vfio_ccw.plugins.modules import passthrough
from ansible_collections.zkvm.vfio_ccw.tests.unit import disk_labels
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_kernel import DASD, converge
from ansible_collections.zkvm.vfio_ccw.tests.unit.refusal_cases import (
    CASES,
    DISK,
    LISTS,
    UUID,
    add,
    aliases,
    attribute,
    ctc,
    firmware,
    fstab,
    on_disk,
    passed_and_in_use,
    with_child,
    with_open_tape,
)


@pytest.mark.parametrize(
    "refusal, prepare, item, says", CASES, ids=[f"{case[0]}-{number}" for number, case in enumerate(CASES)]
)
def test_a_device_is_refused_with_its_reason_and_nothing_is_written(kernel, refusal, prepare, item, says):
    host = (prepare(kernel) if prepare else None) or kernel.host()
    with pytest.raises(Refused) as refused:
        converge(host, [item])
    first = refused.value.refusals[0]
    assert first.id == refusal
    assert says in str(first)
    assert str(item.get("device", item.get("subchannel"))) in str(first)
    assert first.next_step
    assert (host.writes, host.saves) == ([], [])


def test_overlapping_ranges_say_how_the_device_was_named(kernel):
    with pytest.raises(Refused) as refused:
        converge(kernel.host(), [{"device": "0.0.7e52-0.0.7e54"}, {"device": "0.0.7e54"}])
    assert "as 0.0.7e52-0.0.7e54 and as 0.0.7e54" in [one.found for one in refused.value.refusals][0]


def test_devices_that_are_refused_in_the_same_words_are_named_together(kernel):
    for number in range(3):
        kernel.add_subchannel(f"0.0.300{number}", f"0.0.800{number}", **DASD, availability="no path")
    with pytest.raises(Refused, match="0.0.8000-0.0.8002: the device does not answer") as refused:
        converge(kernel.host(), [{"device": "0.0.8000-0.0.80ff"}])
    assert len(refused.value.refusals) == 3


def test_a_message_stays_short_and_all_refusals_are_returned(kernel):
    for number in range(200):
        busid = f"0.0.80{number:02x}"
        kernel.add_subchannel(f"0.0.30{number:02x}", busid, **DASD, online="1", disk=f"dasd{number}x")
        kernel.open_by(1000 + number, "fdasd", f"/dev/dasd{number}x")
    with pytest.raises(Refused) as refused:
        converge(kernel.host(), [{"device": "0.0.8000-0.0.80ff"}])
    assert len(refused.value.refusals) == 200
    text = str(refused.value)
    assert "process 1000 (fdasd); the like of 0.0.8001-0.0.80c7 [opened]" in text
    assert len(text) < 1000


@pytest.mark.parametrize("refusal, items", LISTS)
def test_a_list_that_contradicts_itself_is_refused(kernel, refusal, items):
    host = kernel.host()
    with pytest.raises(Refused) as refused:
        converge(host, items)
    assert [one.id for one in refused.value.refusals] == [refusal]
    assert (host.writes, host.saves) == ([], [])


def test_the_module_takes_every_refusal_that_may_be_overruled():
    documented = yaml.safe_load(passthrough.DOCUMENTATION)["options"]["devices"]["suboptions"]["force"]["choices"]
    assert set(documented) == set(FORCIBLE)


def test_every_refusal_has_a_case():
    assert {row.id for row in ROWS} | set(LIST_REFUSALS) == {case[0] for case in CASES} | {case[0] for case in LISTS}


def test_all_devices_are_judged_before_the_first_write_and_all_refusals_listed(kernel):
    host = kernel.host()
    items = [DISK, {"device": "0.0.7e53"}, {"device": "0.0.ffff"}, {"device": "nonsense"}]
    with pytest.raises(Refused) as refused:
        converge(host, items)
    assert {(one.device, one.id) for one in refused.value.refusals} == {
        ("0.0.7e53", "mounted"),
        ("0.0.ffff", "not-found"),
        ("'nonsense'", "malformed"),
    }
    assert (host.writes, host.saves) == ([], [])


@pytest.mark.parametrize(
    "prepare, refusal",
    [
        (attribute("availability", "no path"), "unavailable"),
        (attribute("availability", "boxed"), "reserved"),
        (lambda k: k.put("sys/firmware/ipl/device", "0.0.7e52"), "boot-device"),
        (lambda k: k.put("sys/firmware/dump/ccw/device", "0.0.7e52"), "dump-device"),
        (aliases, "base-with-aliases"),
        (on_disk(disk_labels.lvm()), "volume-member"),
        (attribute("host_access_count", "2"), "shared"),
        (attribute("last_known_reservation_state", "reserved"), "reserved-here"),
        (fstab("/dev/dasda1"), "in-fstab"),
    ],
)
def test_a_refusal_that_may_be_overruled_is(kernel, prepare, refusal):
    prepare(kernel)
    assert converge(kernel.host(), [{**DISK, "force": [refusal]}]).changed


@pytest.mark.parametrize("count", ["1", ""])
def test_a_disk_that_no_other_system_has_online_may_go(kernel, count):
    attribute("host_access_count", count)(kernel)
    attribute("last_known_reservation_state", "none")(kernel)
    assert converge(kernel.host(), [DISK], check_mode=True).changed


def test_a_boot_setting_that_is_not_the_active_one_guards_nothing(kernel):
    firmware(reipl="nss", dump="none")(kernel)
    assert converge(kernel.host(), [DISK], check_mode=True).changed


def test_a_device_online_that_is_no_disk_is_taken_when_asked_for(kernel):
    add(kernel)
    item = {"device": "0.0.0300", "force": ["online-no-disk"]}
    assert converge(kernel.host(), [item]).changed


@pytest.mark.parametrize("prepare", [ctc, with_child("net", "eth0"), with_open_tape])
def test_force_never_takes_a_device_in_use_that_is_no_disk(kernel, prepare):
    prepare(kernel)
    device = "0.0.f500" if prepare is ctc else "0.0.0300"
    with pytest.raises(Refused):
        converge(kernel.host(), [{"device": device, "force": [row.id for row in ROWS]}])


def test_force_never_takes_a_disk_in_use(kernel):
    with pytest.raises(Refused):
        converge(kernel.host(), [{"device": "0.0.7e53", "force": [row.id for row in ROWS]}])


def test_udev_looking_at_a_disk_for_a_moment_is_no_use(kernel):
    kernel.open_by(300, "(udev-worker)", "/dev/dasda")
    assert converge(kernel.host(), [DISK], check_mode=True).changed


def test_a_device_in_use_by_its_guest_is_as_wanted(kernel):
    passed_and_in_use(kernel)
    host = kernel.host()
    assert not converge(host, [{**DISK, "uuid": UUID, "guest": "linux01"}]).changed
    assert host.writes == []


def test_a_check_takes_the_devices_of_a_guest_that_the_play_stops_as_free(kernel):
    passed_and_in_use(kernel)
    back = [{**DISK, "state": "absent"}]
    assert converge(kernel.host(), back, check_mode=True, stopped_guests=["linux01"]).changed
    with pytest.raises(Refused):
        converge(kernel.host(), back, check_mode=True, stopped_guests=["linux02"])
    with pytest.raises(Refused):
        converge(kernel.host(), back, stopped_guests=["linux01"])


def test_a_disk_that_the_kernel_does_not_let_go_is_left_alone(kernel):
    kernel.refuses_offline.add("0.0.7e52")
    host = kernel.host()
    with pytest.raises(Exception, match="EBUSY") as failure:
        converge(host, [DISK])
    assert failure.value.cause.errno == errno.EBUSY
    assert host.writes == [("/sys/bus/ccw/devices/0.0.7e52/online", "0")]


def test_a_damaged_journal_is_an_error_not_a_guess(kernel):
    kernel.put("var/lib/vfio_ccw/journal.json", "{")
    with pytest.raises(Exception, match=r"journal\.json cannot be read"):
        converge(kernel.host(), [DISK])


def test_a_tape_is_taken_as_a_disk_is(kernel):
    kernel.add_subchannel(
        "0.0.3000", "0.0.0181", **{**DASD, "cutype": "3490/10", "devtype": "3490/40", "driver": "tape_34xx"}
    )
    assert converge(kernel.host(), [{"device": "0.0.0181"}]).changed

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lasts over a restart of the host: driverctl's file and mdevctl's definition, made and ended with the
passthrough.
"""

from __future__ import annotations

import json

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BusId
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._apply import StepFailed, undo
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._steps import define_mdev
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._table import Refused
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_kernel import converge

UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
WANTED = {"device": "0.0.7e52", "uuid": UUID, "guest": "linux01", "persistent": True}
BACK = {"device": "0.0.7e52", "state": "absent"}
DRIVER, MDEV = "etc/driverctl.d/css-0.0.16ca", f"etc/mdevctl.d/0.0.16ca/{UUID}"


def kept(kernel):
    return [(kernel.root / path).exists() for path in (DRIVER, MDEV)]


def test_it_is_kept_and_a_second_run_changes_nothing(kernel):
    converge(kernel.host(), [WANTED])
    assert kernel.get(DRIVER) == "vfio_ccw\n"
    assert kept(kernel) == [True, True]
    host = kernel.host()
    outcome = converge(host, [WANTED])
    assert (outcome.changed, host.writes, host.saves) == (False, [], [])


def test_check_mode_keeps_nothing(kernel):
    assert converge(kernel.host(), [WANTED], check_mode=True).changed
    assert kept(kernel) == [False, False]


def test_a_device_that_is_passed_already_is_kept_without_being_touched(kernel):
    converge(kernel.host(), [{**WANTED, "persistent": False}])
    kernel.busy.add("/dev/vfio/0")
    host = kernel.host()
    assert converge(host, [WANTED]).changed
    assert host.writes == [("/sys/bus/css/devices/0.0.16ca/driver_override", "vfio_ccw")]
    assert kept(kernel) == [True, True]


def test_a_definition_that_is_not_started_at_boot_is_made_to(kernel):
    kernel.put(MDEV, '{"start": "manual"}')
    converge(kernel.host(), [WANTED])
    assert ["mdevctl", "modify", "-u", UUID, "-p", "0.0.16ca", "--auto"] in kernel.commands


def test_giving_back_ends_it(kernel):
    converge(kernel.host(), [WANTED])
    converge(kernel.host(), [BACK])
    assert kept(kernel) == [False, False]
    assert not converge(kernel.host(), [BACK]).changed


def test_what_others_defined_stays(kernel):
    other = MDEV[:-1] + "1"
    converge(kernel.host(), [WANTED])
    kernel.put(other, '{"start": "auto"}')
    converge(kernel.host(), [BACK])
    assert (kernel.root / other).exists()


def test_when_it_cannot_be_kept_the_device_is_the_hosts_again(kernel):
    kernel.mdevctl_fails = True
    with pytest.raises(StepFailed, match="no such luck"):
        converge(kernel.host(), [WANTED])
    assert kept(kernel) == [False, False]
    assert kernel.get("sys/bus/ccw/devices/0.0.7e52/online") == "1\n"


def test_when_it_cannot_be_ended_the_device_stays_with_the_guest(kernel):
    converge(kernel.host(), [WANTED])
    kernel.mdevctl_fails = True
    with pytest.raises(StepFailed):
        converge(kernel.host(), [BACK])
    assert kept(kernel) == [True, True]
    assert (kernel.root / "sys/bus/mdev/devices" / UUID).exists()


def auto(kernel, uuid):
    """A definition of mdevctl, and its udev rule: it creates the mediated device when vfio_ccw binds."""
    kernel.put(f"etc/mdevctl.d/0.0.16ca/{uuid}", '{"mdev_type": "vfio_ccw-io", "start": "auto"}')
    bind = kernel._bind_css

    def bind_and_create(sch, driver):
        bind(sch, driver)
        if driver == "vfio_ccw":
            kernel._create(sch, uuid)

    kernel._bind_css = bind_and_create


def test_mdevctl_may_create_the_mediated_device_first(kernel):
    auto(kernel, UUID)
    converge(kernel.host(), [{**WANTED, "persistent": False}])
    assert (kernel.root / "sys/bus/mdev/devices" / UUID).exists()


def test_another_definition_is_refused_before_anything_is_written(kernel):
    other = UUID[:-1] + "1"
    auto(kernel, other)
    host = kernel.host()
    with pytest.raises(Refused, match=f"/etc/mdevctl.d/0.0.16ca/{other} .*mdevctl undefine -u {other} -p 0.0.16ca"):
        converge(host, [WANTED])
    assert host.writes == []


def test_another_mediated_device_that_comes_first_is_not_said_to_be_stuck(kernel):
    other = UUID[:-1] + "1"
    auto(kernel, other)
    (kernel.root / "etc/mdevctl.d/0.0.16ca" / other).unlink()
    with pytest.raises(StepFailed) as failure:
        converge(kernel.host(), [WANTED])
    assert failure.value.stuck == []
    assert kernel.get("sys/bus/ccw/devices/0.0.7e52/online") == "1\n"


def test_a_definition_of_the_administrator_survives_an_undo(kernel):
    kernel.put(MDEV, '{"start": "manual"}')
    definition = kernel.host().names("/etc/mdevctl.d/0.0.16ca")
    kernel_host = kernel.host()
    step = define_mdev(BusId.parse("0.0.7e52"), BusId.parse("0.0.16ca"), UUID, defined=True)
    kernel._mdevctl("modify", UUID, "0.0.16ca", True)
    assert undo(kernel_host, [step]) == ([step], [])
    assert kernel_host.names("/etc/mdevctl.d/0.0.16ca") == definition
    assert '"manual"' in kernel.get(MDEV)


def noted_elsewhere(kernel):
    """The host was restarted: the journal and the configuration name the subchannel that the disk had before."""
    converge(kernel.host(), [WANTED])
    noted = kernel.get("var/lib/vfio_ccw/journal.json").replace("0.0.16ca", "0.0.1700")
    converge(kernel.host(), [BACK])
    kernel.put("var/lib/vfio_ccw/journal.json", noted)
    kernel.put("etc/driverctl.d/css-0.0.1700", "vfio_ccw\n")
    kernel.put(f"etc/mdevctl.d/0.0.1700/{UUID}", '{"start": "auto"}')


def left_behind(kernel):
    return kernel.host().names("/etc/driverctl.d") + kernel.host().names("/etc/mdevctl.d/0.0.1700")


@pytest.mark.parametrize("wanted", [WANTED, BACK])
def test_what_was_to_last_on_a_former_subchannel_is_ended(kernel, wanted):
    noted_elsewhere(kernel)
    converge(kernel.host(), [wanted])
    assert left_behind(kernel) == (["css-0.0.16ca"] if wanted is WANTED else [])
    assert not converge(kernel.host(), [wanted]).changed


def test_the_driver_of_a_former_subchannel_stays_where_another_device_has_it(kernel):
    noted_elsewhere(kernel)
    noted = json.loads(kernel.get("var/lib/vfio_ccw/journal.json"))
    noted["devices"]["0.0.7e54"] = {**noted["devices"]["0.0.7e52"], "uuid": UUID[:-1] + "1"}
    kernel.put("var/lib/vfio_ccw/journal.json", json.dumps(noted))
    converge(kernel.host(), [BACK])
    assert left_behind(kernel) == ["css-0.0.1700"]


RULE = "etc/udev/rules.d/41-dasd-eckd-0.0.7e52.rules"
RULE_TEXT = 'ACTION=="add", KERNEL=="0.0.7e52", ATTR{[ccw/0.0.7e52]online}="1"\n'


def test_a_rule_that_sets_it_online_is_removed_when_asked_to_and_restored(kernel):
    kernel.put(RULE, RULE_TEXT)
    outcome = converge(kernel.host(), [{**WANTED, "remove_rules": True}])
    assert not (kernel.root / RULE).exists()
    assert "remove-rule" in [step.kind for step in outcome.done]
    before, after = outcome.texts()
    assert f"udev_rules: /{RULE}" in before and "udev_rules: none" in after
    assert not converge(kernel.host(), [{**WANTED, "remove_rules": True}]).changed
    converge(kernel.host(), [BACK])
    assert kernel.get(RULE) == RULE_TEXT


def test_a_rule_is_restored_when_a_later_step_fails(kernel):
    kernel.put(RULE, RULE_TEXT)
    kernel.mdevctl_fails = True
    with pytest.raises(StepFailed):
        converge(kernel.host(), [{**WANTED, "remove_rules": True}])
    assert kernel.get(RULE) == RULE_TEXT


def test_what_is_overruled_stays_as_it_is(kernel):
    kernel.put(RULE, RULE_TEXT)
    kernel.put("proc/cmdline", "dasd=7e52 cio_ignore=all\n")
    assert converge(kernel.host(), [{**WANTED, "force": ["online-at-boot", "hidden-at-boot"]}]).changed
    assert kernel.get(RULE) == RULE_TEXT


@pytest.mark.parametrize(
    "parameters",
    ["dasd=7e53", "dasd=0.0.7f00-0.0.7fff(ro),nopav", "rd.zfcp=0.0.7e53,0x7e52", "cio_ignore=all,!7e00-7eff", "dasd="],
)
def test_parameters_of_other_devices_are_no_reason(kernel, parameters):
    kernel.put("proc/cmdline", parameters + "\n")
    assert converge(kernel.host(), [WANTED], check_mode=True).changed


def test_what_others_had_set_up_is_restored(kernel):
    kernel.put("sys/devices/css0/0.0.16ca/driver_override", "io_subchannel\n")
    kernel.put(DRIVER, "io_subchannel\n")
    kernel._mdevctl("define", UUID, "0.0.16ca", False)
    definition = kernel.get(MDEV)
    converge(kernel.host(), [WANTED])
    assert (kernel.get(DRIVER), kernel.get(MDEV) != definition) == ("vfio_ccw\n", True)
    converge(kernel.host(), [BACK])
    assert kernel.get("sys/devices/css0/0.0.16ca/driver_override") == "io_subchannel\n"
    assert (kernel.get(DRIVER), kernel.get(MDEV)) == ("io_subchannel\n", definition)


def test_a_definition_that_was_started_at_boot_before_stays(kernel):
    kernel._mdevctl("define", UUID, "0.0.16ca", True)
    converge(kernel.host(), [WANTED])
    converge(kernel.host(), [BACK])
    assert (kernel.root / MDEV).exists()


def test_two_devices_that_changed_places_are_given_back_when_taken_over(kernel):
    """After a restart each has the other's subchannel, and what was to last was done to the wrong one."""
    other = UUID[:-1] + "1"
    before = kernel.get("sys/bus/ccw/devices/0.0.7e52/online")
    converge(kernel.host(), [{**WANTED, "uuid": other}, {**WANTED, "device": "0.0.7e54", "guest": "linux02"}])
    noted = json.loads(kernel.get("var/lib/vfio_ccw/journal.json"))
    first, second = noted["devices"]["0.0.7e52"], noted["devices"]["0.0.7e54"]
    for place in ("subchannel", "uuid"):
        first[place], second[place] = second[place], first[place]
    kernel.put("var/lib/vfio_ccw/journal.json", json.dumps(noted))
    both = [WANTED, {**WANTED, "device": "0.0.7e54", "uuid": other, "guest": "linux02"}]
    back = [BACK, {"device": "0.0.7e54", "state": "absent"}]
    for items in (both, back):
        with pytest.raises(Refused) as refused:
            converge(kernel.host(), items)
        assert {one.device for one in refused.value.refusals if one.id == "wrong-device"} == {"0.0.7e52", "0.0.7e54"}
    converge(kernel.host(), [{**one, "adopt": True} for one in back])
    assert kernel.host().names("/etc/driverctl.d") == []
    assert kernel.host().names("/etc/mdevctl.d/0.0.16ca") + kernel.host().names("/etc/mdevctl.d/0.0.16cc") == []
    assert kernel.get("sys/bus/ccw/devices/0.0.7e52/online") == before
    assert converge(kernel.host(), both).changed


def beside(kernel):
    """A host whose programs end when somebody waits for them."""
    host = kernel.host()
    host._start_command = lambda argv: lambda: host.run(argv)
    return host


THREE = [{**WANTED, "uuid": ""}, {"device": "0.0.7e54", "persistent": True}, {"device": "0.0.7e55"}]


def three(kernel):
    kernel.add_subchannel("0.0.16ce", "0.0.7e55", cutype="3990/e9", devtype="3390/0c", driver="dasd-eckd")
    return THREE


def lasting(kernel):
    """What is kept for a restart, and which driver has which subchannel."""
    found = [*(kernel.root / "etc").rglob("*"), *(kernel.root / "sys/bus").rglob("0.0.*")]
    return sorted(str(path) for path in found if path.is_symlink() or path.is_file())


def test_programs_run_beside_what_follows_and_are_read_back(kernel):
    outcome = converge(beside(kernel), three(kernel))
    assert [words[1] for words in kernel.commands] == ["define", "define"]
    assert sum(step.kind == "define-mdev" for step in outcome.done) == 2
    assert not converge(kernel.host(), THREE).changed


def test_a_program_that_fails_later_takes_back_what_was_done_meanwhile(kernel):
    items, before = three(kernel), lasting(kernel)
    kernel.mdevctl_fails = True
    with pytest.raises(StepFailed, match="^0.0.7e52: could not let mdevctl .*no such luck") as failure:
        converge(beside(kernel), items)
    assert "everything done to 0.0.7e54-0.0.7e55" in str(failure.value)
    assert (failure.value.stuck, failure.value.done) == ([], [])
    assert lasting(kernel) == before


def test_what_is_kept_when_another_fails_has_been_waited_for(kernel):
    """With on_error: keep nothing runs beside anything: a device is done, or it is not."""
    items = three(kernel)
    kernel.qdio.add("0.0.16ce")
    with pytest.raises(StepFailed, match="^0.0.7e55: .*Completed before and kept: 0.0.7e52, 0.0.7e54"):
        converge(beside(kernel), items, keep=True)
    assert not converge(kernel.host(), THREE[:2]).changed

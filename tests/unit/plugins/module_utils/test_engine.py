# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A device changes hands, on a fake kernel: the steps of QEMU's wiki page, the way back, nothing half done."""

from __future__ import annotations

import errno
import json
import os

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BusId
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import Host, HostError, StillBlocked
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._apply import StepFailed, run_step
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._steps import unbind_ccw, unbind_subchannel
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.host._journal import LOCK_FILE, read_journal
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.info._info import css_info
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._table import Refused
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_kernel import DASD, converge, seed

UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
WANTED = {"device": "0.0.7e52", "uuid": UUID, "guest": "linux01", "devno": "fe.0.1234"}
BACK = {"device": "0.0.7e52", "state": "absent"}
JOURNAL = "/var/lib/vfio_ccw/journal.json"

WIKI_WRITES = [
    ("/sys/bus/ccw/devices/0.0.7e52/online", "0"),
    ("/sys/bus/ccw/drivers/dasd-eckd/unbind", "0.0.7e52"),
    ("/sys/bus/css/drivers/io_subchannel/unbind", "0.0.16ca"),
    ("/sys/bus/css/drivers/vfio_ccw/bind", "0.0.16ca"),
    ("/sys/bus/css/devices/0.0.16ca/mdev_supported_types/vfio_ccw-io/create", UUID),
]
BACK_WRITES = [
    (f"/sys/bus/mdev/devices/{UUID}/remove", "1"),
    ("/sys/bus/css/drivers/vfio_ccw/unbind", "0.0.16ca"),
    ("/sys/bus/css/drivers/io_subchannel/bind", "0.0.16ca"),
    ("/proc/cio_settle", "1"),
    ("/sys/bus/ccw/devices/0.0.7e52/online", "1"),
]


def snapshot(kernel):
    """Every file and link of the tree, without what merely exists because a driver was there once."""
    found = {}
    for path in sorted(kernel.root.rglob("*")):
        name = str(path.relative_to(kernel.root))
        if name.startswith(("var", "dev/vfio", "sys/kernel")):
            continue
        found[name] = os.readlink(path) if path.is_symlink() else (path.read_text() if path.is_file() else "dir")
    return found


def journal(kernel):
    path = kernel.root / JOURNAL.lstrip("/")
    return json.loads(path.read_text())["devices"] if path.exists() else {}


def test_taking_a_device_is_the_wiki_page_with_offline_first(kernel):
    host = kernel.host()
    outcome = converge(host, [WANTED])
    assert host.writes == WIKI_WRITES
    assert outcome.changed
    assert [action["step"] for action in outcome.actions] == [
        "record",
        "offline",
        "unbind-ccw",
        "unbind-subchannel",
        "bind-subchannel",
        "create-mdev",
    ]
    assert outcome.devices == [
        {
            "device": "0.0.7e52",
            "subchannel": "0.0.16ca",
            "state": "present",
            "uuid": UUID,
            "sysfsdev": f"/sys/bus/mdev/devices/{UUID}",
            "guest": "linux01",
            "devno": "fe.0.1234",
            "guest_device": "0.0.1234",
        }
    ]
    assert journal(kernel)["0.0.7e52"]["was_online"] is True


def test_a_second_run_writes_nothing(kernel):
    converge(kernel.host(), [WANTED])
    host = kernel.host()
    outcome = converge(host, [WANTED])
    assert (outcome.changed, outcome.actions, host.writes, host.saves) == (False, [], [], [])
    before, after = outcome.texts()
    assert before == after


def test_the_way_back_brings_the_disk_online_as_it_was(kernel):
    before = snapshot(kernel)
    converge(kernel.host(), [WANTED])
    host = kernel.host()
    assert converge(host, [BACK]).changed
    assert host.writes == BACK_WRITES
    assert snapshot(kernel) == before
    assert journal(kernel) == {}
    host = kernel.host()
    assert not converge(host, [BACK]).changed
    assert host.writes == [] and host.saves == []


def test_a_disk_that_was_offline_comes_back_offline(kernel):
    idle = {"device": "0.0.7e54"}
    converge(kernel.host(), [idle])
    converge(kernel.host(), [{**idle, "state": "absent"}])
    assert kernel.get("/sys/bus/ccw/devices/0.0.7e54/online") == "0\n"


@pytest.mark.parametrize("items", [[WANTED], [WANTED, {"device": "0.0.7e54"}]])
def test_check_mode_says_the_same_and_changes_nothing(kernel, items):
    before = snapshot(kernel)
    host = kernel.host()
    planned = converge(host, items, check_mode=True)
    assert (host.writes, host.saves, kernel.commands) == ([], [], [])
    assert snapshot(kernel) == before
    real = converge(kernel.host(), items)
    assert planned.actions == real.actions
    assert planned.texts() == real.texts()
    assert planned.devices == real.devices


def test_check_mode_on_a_host_without_the_modules_shows_them_too(kernel):
    kernel._rmtree(kernel.root / "sys/bus/css/drivers/vfio_ccw")
    kernel.put("proc/modules", "")
    host = kernel.host()
    planned = converge(host, [WANTED], check_mode=True)
    loads = [action["value"] for action in planned.actions if action["step"] == "load-module"]
    assert loads == ["vfio", "mdev", "vfio_iommu_type1", "vfio_ccw"]
    assert (host.writes, kernel.commands) == ([], [])
    converge(host, [WANTED])
    assert kernel.commands == [["modprobe", name] for name in loads]


FAULTS = [(errno.EIO, "before"), (0, "ignored")]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("at", range(1, len(WIKI_WRITES) + 1))
def test_taking_that_fails_at_any_step_leaves_the_host_as_it_was(kernel, at, fault):
    before = snapshot(kernel)
    host = kernel.host()
    kernel.faults = {at: fault}
    with pytest.raises(StepFailed) as failure:
        converge(host, [WANTED])
    assert "0.0.7e52" in str(failure.value)
    assert WIKI_WRITES[at - 1][0] in str(failure.value)
    assert failure.value.stuck == []
    assert snapshot(kernel) == before
    assert journal(kernel) == {}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("at", [1, 2])
def test_giving_back_that_fails_at_any_step_leaves_the_device_with_the_guest(kernel, at, fault):
    converge(kernel.host(), [WANTED])
    before, noted = snapshot(kernel), journal(kernel)
    kernel.faults = {at: fault}
    with pytest.raises(StepFailed) as failure:
        converge(kernel.host(), [BACK])
    assert BACK_WRITES[at - 1][0] in str(failure.value)
    assert failure.value.stuck == []
    assert snapshot(kernel) == before
    assert journal(kernel) == noted


@pytest.mark.parametrize("at", range(1, len(WIKI_WRITES) + 1))
def test_an_error_whose_effect_is_there_is_none(kernel, at):
    kernel.faults = {at: (errno.EIO, "after")}
    assert converge(kernel.host(), [WANTED]).changed
    kernel.faults = {at: (errno.EIO, "after")}
    converge(kernel.host(), [BACK])
    assert kernel.get("/sys/bus/ccw/devices/0.0.7e52/online") == "1\n"


def test_a_disk_that_udev_sets_online_first_is_given_back(kernel):
    """A rule of chzdev does so the moment the device is recognised."""
    converge(kernel.host(), [WANTED])
    recognise = kernel._recognise

    def recognise_and_online(sch):
        recognise(sch)
        kernel._online("0.0.7e52", "1")

    kernel._recognise = recognise_and_online
    host = kernel.host()
    converge(host, [BACK])
    assert host.writes == BACK_WRITES  # the last one is refused: EINVAL
    assert journal(kernel) == {}


@pytest.mark.parametrize("udev", [True, False])
def test_a_disk_that_is_just_being_set_online_is_tried_again(kernel, udev):
    converge(kernel.host(), [WANTED])
    online = kernel._online
    answers = [errno.EAGAIN, errno.EINVAL if udev else 0]

    def busy(name, value):
        answer = answers.pop(0)
        return answer if answer == errno.EAGAIN else online(name, value) or answer

    kernel._online = busy
    converge(kernel.host(), [BACK])
    assert (answers, kernel.get("/sys/bus/ccw/devices/0.0.7e52/online")) == ([], "1\n")


def test_even_an_error_that_nobody_thought_of_leaves_nothing_half_done(kernel):
    before = snapshot(kernel)
    create = kernel._create
    kernel._create = lambda sch, value: create(sch, value) or 1 / 0
    with pytest.raises(StepFailed, match="division by zero"):
        converge(kernel.host(), [WANTED])
    assert snapshot(kernel) == before


def test_an_undo_that_fails_ends_there_and_the_journal_stays(kernel):
    kernel.faults = {5: (errno.EIO, "before"), 6: (errno.EIO, "before"), 7: (errno.EIO, "before")}
    host = kernel.host()
    with pytest.raises(StepFailed) as failure:
        converge(host, [WANTED])
    assert "Could not be undone: bind subchannel 0.0.16ca to vfio_ccw" in str(failure.value)
    assert len(host.writes) == 6
    assert journal(kernel)["0.0.7e52"]["was_online"] is True
    kernel.faults = {}
    converge(kernel.host(), [BACK])
    assert kernel.get("/sys/bus/ccw/devices/0.0.7e52/online") == "1\n"


@pytest.mark.parametrize("at", [3, 5])
def test_giving_back_is_not_undone_once_the_host_has_the_device(kernel, at):
    """LVM or fstab may have taken the disk the moment it appeared."""
    converge(kernel.host(), [WANTED])
    noted = journal(kernel)
    host = kernel.host()
    if at == 3:
        kernel.recognises = False
    else:
        kernel.refuses_online.add("0.0.7e52")
    with pytest.raises(StepFailed, match="The host has the device again.*Still to be done:.*set device") as failure:
        converge(host, [BACK])
    assert host.writes == BACK_WRITES[: at + (at == 3)]
    assert os.readlink(kernel.root / "sys/bus/css/devices/0.0.16ca/driver").endswith("io_subchannel")
    assert journal(kernel) == noted
    assert "Completed before" not in str(failure.value)
    assert [step.kind for step in failure.value.done][:2] == ["remove-mdev", "unbind-subchannel"]


@pytest.mark.parametrize(
    "step",
    [
        unbind_ccw(BusId.parse("0.0.7e52"), "dasd-eckd"),
        unbind_subchannel(BusId.parse("0.0.7e52"), BusId.parse("0.0.16ca"), "io_subchannel"),
    ],
)
def test_a_disk_that_comes_online_again_is_not_unbound(kernel, step):
    """A udev rule may set it online between our two writes."""
    host = kernel.host()
    with pytest.raises(HostError, match="0.0.7e52 is online"):
        run_step(host, step)
    assert host.writes == []


TWO = [WANTED, {"device": "0.0.7e54"}]


def test_a_device_that_fails_takes_back_those_that_were_done(kernel):
    before = snapshot(kernel)
    kernel.qdio.add("0.0.16cc")
    with pytest.raises(StepFailed) as failure:
        converge(kernel.host(), TWO)
    assert "everything done to 0.0.7e52" in str(failure.value)
    assert (failure.value.stuck, failure.value.done) == ([], [])
    assert snapshot(kernel) == before
    assert journal(kernel) == {}


def test_a_device_that_fails_leaves_those_that_were_done_when_asked_to(kernel):
    kernel.qdio.add("0.0.16cc")
    with pytest.raises(StepFailed) as failure:
        converge(kernel.host(), TWO, keep=True)
    assert "Completed before and kept: 0.0.7e52" in str(failure.value)
    assert (kernel.root / "sys/bus/mdev/devices" / UUID).exists()
    assert kernel.get("/sys/bus/ccw/devices/0.0.7e54/online") == "0\n"
    assert list(journal(kernel)) == ["0.0.7e52"]


def test_a_device_that_was_given_back_is_taken_again_when_another_fails(kernel):
    """It is offline that the kernel refuses for a disk in use, so nothing is lost where somebody was faster."""
    converge(kernel.host(), [WANTED])
    before, noted = snapshot(kernel), journal(kernel)
    kernel.qdio.add("0.0.16cc")
    with pytest.raises(StepFailed):
        converge(kernel.host(), [BACK, {"device": "0.0.7e54"}])
    assert (snapshot(kernel), journal(kernel)) == (before, noted)


def test_a_device_that_was_given_back_and_is_in_use_by_now_stays_with_the_host(kernel):
    converge(kernel.host(), [WANTED])
    kernel.qdio.add("0.0.16cc")
    kernel.refuses_offline.add("0.0.7e52")
    with pytest.raises(StepFailed, match="Could not be undone: set device 0.0.7e52 online"):
        converge(kernel.host(), [BACK, {"device": "0.0.7e54"}])
    assert kernel.get("/sys/bus/ccw/devices/0.0.7e52/online") == "1\n"
    converge(kernel.host(), [BACK])
    assert journal(kernel) == {}


def effort(root, count):
    """Looks at and changes of a host for so many disks: what is there, passing them, a second run, giving them back."""
    root.mkdir()
    kernel = seed(root)
    for number in range(count):
        disk = {**DASD, "online": "1", "disk": f"dasd{number}x"}
        kernel.add_subchannel(f"0.1.{number:04x}", f"0.1.{number:04x}", **disk)
    found, item = [], {"device": "0.1.0000-0.1.ffff", "guest": "linux01"}
    for work in (
        lambda host: css_info(host, []),
        lambda host: converge(host, [item]),
        lambda host: converge(host, [item]),
        lambda host: converge(host, [{**item, "state": "absent"}]),
    ):
        host = kernel.host()
        work(host)
        found += [host.looks, host.mutations]
    return found


def test_the_effort_is_linear_in_the_number_of_devices(tmp_path):
    few, more, most = (effort(tmp_path / str(count), count) for count in (10, 20, 30))
    each = [(second - first) // 10 for first, second in zip(few, more)]
    assert each == [(third - second) // 10 for second, third in zip(more, most)]
    looks, changes = each[::2], each[1::2]
    assert changes == [0, 5, 0, 5]
    assert looks[2] <= 5  # a second run


def test_the_journal_is_written_once_for_a_list(kernel):
    host = kernel.host()
    converge(host, TWO)
    assert host.saves == [JOURNAL]
    host = kernel.host()
    converge(host, [BACK, {"device": "0.0.7e54", "state": "absent"}])
    assert host.saves == [JOURNAL]


def test_a_mediated_device_without_a_driver_is_no_success(kernel):
    kernel.mdev_driver = ""
    before = snapshot(kernel)
    with pytest.raises(StepFailed, match="vfio_mdev"):
        converge(kernel.host(), [WANTED])
    assert snapshot(kernel) == before


def test_after_a_reboot_the_former_state_is_still_known(kernel):
    converge(kernel.host(), [WANTED])
    noted = journal(kernel)
    converge(kernel.host(), [BACK])
    kernel.put(JOURNAL, json.dumps({"format": 1, "devices": noted}))
    host = kernel.host()
    host.write("/sys/bus/ccw/devices/0.0.7e52/online", "0")  # the host came up with the disk offline
    converge(host, [WANTED])
    assert journal(kernel)["0.0.7e52"]["was_online"] is True
    converge(kernel.host(), [BACK])
    assert kernel.get("/sys/bus/ccw/devices/0.0.7e52/online") == "1\n"


def test_driver_override_is_cleared_on_the_way_back(kernel):
    converge(kernel.host(), [WANTED])
    kernel.put("sys/devices/css0/0.0.16ca/driver_override", "vfio_ccw\n")
    host = kernel.host()
    converge(host, [BACK])
    assert ("/sys/bus/css/devices/0.0.16ca/driver_override", "") in host.writes
    assert kernel.get("/sys/bus/ccw/devices/0.0.7e52/online") == "1\n"


def test_a_subchannel_that_somebody_left_without_a_driver_comes_back(kernel):
    host = kernel.host()
    host.write("/sys/bus/css/drivers/io_subchannel/unbind", "0.0.16cc")
    converge(host, [{"device": "0.0.7e54", "state": "absent"}])
    assert (kernel.root / "sys/bus/ccw/devices/0.0.7e54").exists()


def test_a_kernel_without_dev_busid_finds_the_device_by_the_journal(kernel):
    kernel.make_old()
    before = snapshot(kernel)
    converge(kernel.host(), [WANTED])
    host = kernel.host()
    assert not converge(host, [WANTED]).changed
    assert host.writes == []
    converge(kernel.host(), [BACK])
    assert snapshot(kernel) == before


def test_without_dev_busid_an_unbound_subchannel_comes_back_too(kernel):
    kernel.make_old()
    converge(kernel.host(), [WANTED])
    host = kernel.host()
    host.write(f"/sys/bus/mdev/devices/{UUID}/remove", "1")
    host.write("/sys/bus/css/drivers/vfio_ccw/unbind", "0.0.16ca")
    converge(host, [BACK])
    assert kernel.get("/sys/bus/ccw/devices/0.0.7e52/online") == "1\n"


def test_the_journal_is_not_believed_for_a_subchannel_that_carries_anothers_device(kernel):
    """Subchannel numbers change at a restart of the host."""
    kernel.make_old()
    converge(kernel.host(), [WANTED])
    host = kernel.host()
    host.write(f"/sys/bus/mdev/devices/{UUID}/remove", "1")
    host.write("/sys/bus/css/devices/0.0.16ca/mdev_supported_types/vfio_ccw-io/create", UUID[:-1] + "1")
    with pytest.raises(Refused, match="not-found"):
        converge(host, [BACK])


@pytest.mark.parametrize("noted", [True, False])
def test_a_run_that_was_killed_after_the_driver_went_is_brought_back(kernel, noted):
    with pytest.raises(KeyboardInterrupt):
        converge(killed_after(kernel, 2), [WANTED])
    if not noted:
        (kernel.root / JOURNAL.lstrip("/")).unlink()
    assert converge(kernel.host(), [BACK]).changed
    assert os.readlink(kernel.root / "sys/bus/ccw/devices/0.0.7e52/driver").endswith("dasd-eckd")
    assert kernel.get("/sys/bus/ccw/devices/0.0.7e52/online") == ("1\n" if noted else "0\n")
    assert not converge(kernel.host(), [BACK]).changed


def killed_after(kernel, number):
    host = kernel.host()
    write = host.write

    def write_until(path, value):
        if len(host.writes) == number:
            raise KeyboardInterrupt
        write(path, value)

    host.write = write_until
    return host


def test_a_mediated_device_that_lost_its_driver_is_made_again(kernel):
    converge(kernel.host(), [WANTED])
    mdev = kernel.root / "sys/devices/css0/0.0.16ca" / UUID
    (mdev / "driver").unlink()
    (kernel.root / "sys/bus/mdev/drivers/vfio_ccw_mdev" / UUID).unlink()
    (mdev / "iommu_group").unlink()
    host = kernel.host()
    assert converge(host, [WANTED]).changed
    assert [path for path, _value in host.writes] == [BACK_WRITES[0][0], WIKI_WRITES[-1][0]]
    assert (mdev / "driver").is_symlink()


def passed_by_other_means(kernel):
    converge(kernel.host(), [WANTED])
    (kernel.root / JOURNAL.lstrip("/")).unlink()


def test_a_device_that_was_passed_by_other_means_is_taken_over_when_asked_to(kernel):
    passed_by_other_means(kernel)
    adopt = {**WANTED, "uuid": "", "adopt": True}
    host = kernel.host()
    outcome = converge(host, [adopt])
    assert outcome.changed
    assert host.writes == []
    assert outcome.devices[0]["uuid"] == UUID
    assert journal(kernel)["0.0.7e52"]["was_online"] is None
    assert not converge(kernel.host(), [adopt]).changed
    assert not converge(kernel.host(), [WANTED]).changed
    with pytest.raises(Refused, match="other-guest"):
        converge(kernel.host(), [{**WANTED, "guest": "linux02"}])
    converge(kernel.host(), [BACK])
    assert kernel.get("/sys/bus/ccw/devices/0.0.7e52/online") == "0\n"


def test_a_device_that_was_passed_by_other_means_goes_back_when_asked_to(kernel):
    passed_by_other_means(kernel)
    kernel.put("etc/driverctl.d/css-0.0.16ca", "vfio_ccw\n")
    assert converge(kernel.host(), [{**BACK, "adopt": True}]).changed
    assert (kernel.root / "sys/bus/ccw/devices/0.0.7e52").exists()
    assert not (kernel.root / "etc/driverctl.d/css-0.0.16ca").exists()


def test_an_override_is_taken_over_when_asked_to(kernel):
    kernel.put("sys/devices/css0/0.0.16ca/driver_override", "none\n")
    converge(kernel.host(), [{**WANTED, "adopt": True}])
    converge(kernel.host(), [BACK])
    assert kernel.get("sys/devices/css0/0.0.16ca/driver_override") == "(null)\n"


def test_a_rerun_without_a_uuid_finds_the_device_that_was_passed_with_one(kernel):
    converge(kernel.host(), [WANTED])
    assert not converge(kernel.host(), [{**WANTED, "uuid": ""}]).changed


def test_hosts_have_uuids_of_their_own_for_the_same_device_number(kernel):
    kernel.put("etc/machine-id", "a241074193434b709416ee746b812bb1\n")
    first = converge(kernel.host(), [{"device": "0.0.7e52"}], check_mode=True).devices[0]["uuid"]
    assert converge(kernel.host(), [{"device": "0.0.7e52"}], check_mode=True).devices[0]["uuid"] == first
    kernel.put("etc/machine-id", "b241074193434b709416ee746b812bb1\n")
    assert converge(kernel.host(), [{"device": "0.0.7e52"}], check_mode=True).devices[0]["uuid"] != first


def test_a_second_run_at_the_same_time_is_kept_away_and_told_by_whom(kernel):
    with kernel.host().locked(LOCK_FILE, 0, "a test"):
        host = kernel.host()
        says = rf"/var/lib/vfio_ccw/lock: waited 600 s for process {os.getpid()} \(a test, since "
        with pytest.raises(HostError, match=says):
            converge(host, [WANTED])
        assert host.writes == []
        assert converge(kernel.host(), [WANTED], check_mode=True).changed
    assert converge(kernel.host(), [WANTED]).changed


def test_a_write_that_blocks_does_not_hold_the_lock(tmp_path):
    """The kernel may keep the child that removes a mediated device for ever."""
    os.mkfifo(tmp_path / "remove")
    host = Host(root=str(tmp_path))
    with host.locked(LOCK_FILE, 0, "a test"), pytest.raises(StillBlocked):
        host.write_bounded("/remove", "1", timeout=0.05)
    with host.locked(LOCK_FILE, 5, "a test"):
        pass
    os.close(os.open(tmp_path / "remove", os.O_RDONLY | os.O_NONBLOCK))  # lets the child go


def test_what_may_wait_for_a_guest_is_bounded(kernel):
    converge(kernel.host(), [WANTED])
    host = kernel.host()
    converge(host, [BACK])
    assert host.bounded == [path for path, _value in BACK_WRITES[:2]]


def test_a_removal_that_waits_for_a_guest_that_is_to_be_stopped_is_foreseen(kernel):
    converge(kernel.host(), [WANTED])
    half_remove(kernel)
    with pytest.raises(Refused, match=r"guest \(linux01\) still has .*in-use"):
        converge(kernel.host(), [BACK], check_mode=True)
    assert converge(kernel.host(), [BACK], check_mode=True, stopped_guests=["linux01"]).changed


def half_remove(kernel):
    """The directory goes first; the instance is free only when the last user has let go."""
    kernel._remove(UUID)
    kernel.put("sys/devices/css0/0.0.16ca/mdev_supported_types/vfio_ccw-io/available_instances", "0\n")


def test_a_device_that_another_system_is_to_have_next_comes_back_offline(kernel):
    converge(kernel.host(), [WANTED])
    converge(kernel.host(), [{**BACK, "leave_offline": True}])
    assert kernel.get("/sys/bus/ccw/devices/0.0.7e52/online") == "0\n"
    assert not converge(kernel.host(), [{**BACK, "leave_offline": True}]).changed


LEAVE = {**BACK, "leave_offline": True}


def online(kernel) -> str:
    return kernel.get("/sys/bus/ccw/devices/0.0.7e52/online").strip()


def test_a_disk_that_was_left_offline_comes_back_online_from_the_next_guest(kernel):
    before = snapshot(kernel)
    converge(kernel.host(), [WANTED])
    converge(kernel.host(), [LEAVE])
    converge(kernel.host(), [{**WANTED, "guest": "linux02"}])
    assert converge(kernel.host(), [{**BACK, "guest": "linux02"}]).changed
    assert snapshot(kernel) == before
    assert journal(kernel) == {}


def test_a_disk_that_goes_on_twice_is_still_noted_as_it_was(kernel):
    for _time in range(2):
        converge(kernel.host(), [WANTED])
        converge(kernel.host(), [LEAVE])
    assert online(kernel) == "0"
    converge(kernel.host(), [WANTED])
    converge(kernel.host(), [BACK])
    assert online(kernel) == "1"


def test_a_disk_that_was_left_offline_is_not_set_online_behind_the_next_systems_back(kernel):
    converge(kernel.host(), [WANTED])
    converge(kernel.host(), [LEAVE])
    assert not converge(kernel.host(), [BACK]).changed
    assert online(kernel) == "0"


def test_what_was_left_offline_is_forgotten_once_it_is_online(kernel):
    converge(kernel.host(), [WANTED])
    converge(kernel.host(), [LEAVE])
    kernel.host().write("/sys/bus/ccw/devices/0.0.7e52/online", "1")
    assert [action["step"] for action in converge(kernel.host(), [BACK]).actions] == ["record"]
    assert journal(kernel) == {}
    assert not converge(kernel.host(), [BACK]).changed


def test_a_disk_that_was_offline_before_is_not_noted_as_left(kernel):
    idle = {"device": "0.0.7e54"}
    converge(kernel.host(), [idle])
    converge(kernel.host(), [{**idle, "state": "absent", "leave_offline": True}])
    assert journal(kernel) == {}


def test_a_device_that_was_left_offline_does_not_count_as_passed(kernel):
    converge(kernel.host(), [WANTED])
    converge(kernel.host(), [LEAVE])
    assert read_journal(kernel.host()) == {}


def test_undoing_leaves_the_note_of_what_was_left_offline(kernel):
    converge(kernel.host(), [WANTED])
    converge(kernel.host(), [LEAVE])
    noted = journal(kernel)
    kernel.faults = {2: (errno.EIO, "before")}
    with pytest.raises(StepFailed):
        converge(kernel.host(), [WANTED])
    assert journal(kernel) == noted


RULE = "/etc/udev/rules.d/41-dasd-eckd-0.0.7e52.rules"


def test_what_sets_a_disk_online_at_boot_stays_away_while_another_system_has_the_disk(kernel):
    """Restored when the disk is given back for good, or somebody has set it online."""
    kernel.put(RULE[1:], 'ACTION=="add", KERNEL=="0.0.7e52", ATTR{[ccw/0.0.7e52]online}="1"\n')
    kernel.put("etc/dasd.conf", "0.0.7e52\n0.0.7e54\n")
    files = [RULE, "/etc/dasd.conf"]
    before = [kernel.get(file) for file in files]
    taken = {**WANTED, "persistent": True, "remove_rules": True, "remove_parameters": True}
    for _time in range(2):
        converge(kernel.host(), [taken])
        converge(kernel.host(), [LEAVE])
        assert not kernel.host().exists(RULE) and kernel.get("/etc/dasd.conf") == "0.0.7e54\n"
    kernel.host().write("/sys/bus/ccw/devices/0.0.7e52/online", "1")
    converge(kernel.host(), [BACK])
    assert [kernel.get(file) for file in files] == before
    assert journal(kernel) == {}

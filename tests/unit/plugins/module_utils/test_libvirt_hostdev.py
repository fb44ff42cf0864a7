# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices of a libvirt domain, attached and detached."""

from __future__ import annotations

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BusId, GuestDevno, default_uuid
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.host._observe import host_id
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._domain import Hostdev, hostdev_element, hostdevs
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._hostdev import Order, converge_hostdevs
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._plan import Wanted, after, changes
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._virsh import LibvirtError, Virsh
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._wanted import parse_domain, parse_wanted
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._xml import parse
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._guest import GuestError
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._table import Refused
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_kernel import converge
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_virsh import DUMPXML, FakeVirsh

UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
OTHER = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb921"
THIRD = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb922"
ONE, TWO = GuestDevno.parse("fe.0.1234"), GuestDevno.parse("fe.0.1235")


# --- the plan

HAS = Hostdev(UUID, ONE, 1)
PLANS = [
    # wanted, there, present, what is done
    ([Wanted(UUID, ONE)], [], True, [("attach", Hostdev(UUID, ONE))]),
    ([Wanted(UUID, fresh=TWO)], [], True, [("attach", Hostdev(UUID, TWO))]),
    ([Wanted(UUID)], [], True, [("attach", Hostdev(UUID))]),
    ([Wanted(UUID)], [HAS], True, []),
    ([Wanted(UUID, fresh=TWO)], [HAS], True, []),
    ([Wanted(UUID, ONE, 1)], [HAS], True, []),
    ([Wanted(UUID, TWO)], [HAS], True, [("detach", HAS), ("attach", Hostdev(UUID, TWO, 1))]),
    ([Wanted(UUID, boot=2)], [HAS], True, [("detach", HAS), ("attach", Hostdev(UUID, ONE, 2))]),
    ([Wanted(UUID, boot=1, loadparm="A")], [HAS], True, [("detach", HAS), ("attach", Hostdev(UUID, ONE, 1, "A"))]),
    ([Wanted(UUID)], [HAS], False, [("detach", HAS)]),
    ([Wanted(devno=ONE)], [HAS], False, [("detach", HAS)]),
    ([Wanted(OTHER)], [HAS], False, []),
    ([Wanted(devno=TWO)], [HAS], False, []),
    # a number goes from one device to another
    (
        [Wanted(OTHER, ONE), Wanted(UUID, TWO)],
        [HAS],
        True,
        [("detach", HAS), ("attach", Hostdev(OTHER, ONE)), ("attach", Hostdev(UUID, TWO, 1))],
    ),
]


@pytest.mark.parametrize("wanted, there, present, done", PLANS)
def test_a_domain_gets_and_loses_what_it_must(wanted, there, present, done):
    made = changes(wanted, there, "config", present)
    assert [(one.what, one.hostdev) for one in made] == done
    assert changes(wanted, after(there, made), "config", present) == []
    assert {one.where for one in made} <= {"config"}


def test_a_device_is_read_as_it_was_written():
    for hostdev in (HAS, Hostdev(UUID), Hostdev(UUID, GuestDevno(0xFE, 3, 0xFFFF), 2, "A.B 1")):
        domain = parse("<domain><devices/></domain>", "domain")
        domain.find("devices").append(hostdev_element(hostdev))
        assert hostdevs(domain) == (hostdev,)


# --- what a user writes


@pytest.mark.parametrize("name", ["linux01", "a.b-c_d", UUID, UUID.upper()])
def test_a_domain_is_named(name):
    assert parse_domain(name) == (UUID if len(name) == 36 else name)


@pytest.mark.parametrize("name", ["", "7", "a b", "a;b", "$(id)", "<a>", "a&b", "'", "-x", "../x", "a\n", "ä"])
def test_what_cannot_be_a_domain(name):
    with pytest.raises(GuestError, match="or the domain's UUID. Nothing was changed"):
        parse_domain(name)


@pytest.fixture(name="virsh")
def _virsh(kernel):
    converge(kernel.host(), [{"device": "0.0.7e52", "uuid": UUID, "guest": "linux01"}])
    made = FakeVirsh(kernel)
    empty = DUMPXML.partition("<hostdev")[0] + DUMPXML.partition("</hostdev>")[2]
    made.defined["linux01"] = empty
    made.running["linux01"] = empty
    return made


@pytest.mark.parametrize(
    "items, present, says",
    [
        ([{}], True, "expected uuid or device"),
        ([{"devno": "fe.0.1234"}], True, "expected uuid or device"),
        ([{"uuid": "x"}], True, "expected a UUID"),
        ([{"device": "7e52"}], True, "expected a bus id"),
        ([{"uuid": UUID, "devno": "fe.0.10000"}], True, "four hexadecimal digits"),
        ([{"uuid": UUID, "devno": "ff.0.0001"}], True, "CC is 0 to fe"),
        ([{"uuid": UUID, "devno": "fe.4.0001"}], True, "S is 0 to 3"),
        ([{"uuid": UUID, "devno": "0.0.0001"}], True, "channel subsystem fe only"),
        ([{"uuid": UUID}, {"uuid": UUID.upper()}], True, "listed twice"),
        ([{"uuid": UUID}, {"device": "0.0.7e52"}], True, "listed twice"),
        ([{"uuid": UUID, "devno": "fe.0.1234"}, {"uuid": OTHER, "devno": "FE.0.1234"}], True, "needs its own"),
        ([{"uuid": UUID, "loadparm": "1"}], True, "set boot or bootindex"),
        ([{"uuid": UUID, "boot": True, "loadparm": "1;"}], True, "up to 8 letters"),
        ([{"uuid": UUID, "boot": True}, {"uuid": OTHER, "boot": True}], True, "boot is set for more than one"),
    ],
)
def test_what_cannot_be_a_device(virsh, items, present, says):
    with pytest.raises(GuestError) as error:
        parse_wanted(virsh.kernel.host(), items, present)
    assert says in str(error.value)
    assert str(error.value).endswith("Nothing was changed.")


@pytest.mark.parametrize(
    "item, uuid, fresh",
    [
        ({"uuid": UUID}, UUID, "fe.0.7e52"),
        ({"device": "0.0.7e52"}, UUID, "fe.0.7e52"),
        ({"device": "0.0.7e54"}, None, "fe.0.7e54"),  # no mediated device: the UUID that passthrough would give it
        ({"uuid": OTHER}, OTHER, None),
    ],
)
def test_a_device_is_named_by_its_uuid_or_its_number_on_the_host(virsh, item, uuid, fresh):
    (wanted,) = parse_wanted(virsh.kernel.host(), [item], True)
    host = virsh.kernel.host()
    assert wanted.uuid == (uuid or default_uuid(BusId.parse(item["device"]), host_id(host)))
    assert (str(wanted.fresh) if wanted.fresh else None) == fresh


def test_an_old_kernel_says_whose_a_mediated_device_is_by_the_journal(virsh):
    virsh.kernel.make_old()
    (wanted,) = parse_wanted(virsh.kernel.host(), [{"uuid": UUID}], True)
    assert str(wanted.fresh) == "fe.0.7e52"


# --- the way there


def go(virsh, *items, present=True, check_mode=False, **more):
    host = virsh.kernel.host()
    wanted = parse_wanted(host, items or [{"uuid": UUID, "devno": "fe.0.1234"}], present)
    order = Order("linux01", tuple(wanted), present, **{"timeout": 1.0, "qemu": "7.2", **more})
    return converge_hostdevs(host, Virsh(host, "qemu:///system"), order, check_mode)


def steps(result):
    return [one["step"] for one in result["actions"]]


def heard(virsh):
    return [one[0] for one in virsh.heard]


def test_a_device_is_attached_and_detached_live_and_in_the_definition(virsh):
    planned = go(virsh, check_mode=True)
    assert virsh.heard == []
    done = go(virsh)
    assert steps(planned) == steps(done) == ["attach-live", "attach-config"]
    assert heard(virsh) == ["attach-device", "define"] and "--live" in virsh.heard[0]
    (device,) = done["hostdevs"]
    assert planned["hostdevs"] == done["hostdevs"] and planned["xml"] == done["xml"]
    assert (device["devno"], device["live"], device["config"]) == ("fe.0.1234", True, True)
    assert steps(go(virsh)) == []
    assert steps(go(virsh, {"uuid": UUID})) == []
    assert steps(go(virsh, {"devno": "fe.0.1234"}, present=False)) == ["detach-live", "detach-config"]
    assert steps(go(virsh, {"devno": "fe.0.1234"}, present=False)) == []


@pytest.mark.parametrize(
    "running, defined, live, config, done",
    [
        (True, True, None, None, ["attach-live", "attach-config"]),
        (True, True, False, None, ["attach-config"]),
        (True, True, None, False, ["attach-live"]),
        (False, True, None, None, ["attach-config"]),
        (True, False, None, None, ["attach-live"]),
        (True, True, False, False, []),
    ],
)
def test_where_a_domain_is_changed(virsh, running, defined, live, config, done):
    if not running:
        virsh.running.clear()
    if not defined:
        virsh.defined.clear()
    result = go(virsh, live=live, config=config)
    assert steps(result) == done
    assert result["restart_required"] == (running and defined and len(done) == 1)


def test_a_diff_shows_the_definition_and_the_running_domain(virsh):
    config, live = go(virsh, check_mode=True)["diff"]
    assert UUID not in config["before"] and UUID in config["after"]
    assert (live["before"], UUID in live["after"]) == ("", True)


def test_a_device_that_stays_in_the_guest_is_said(virsh):
    go(virsh)
    virsh.obeys = False
    with pytest.raises(LibvirtError) as error:
        go(virsh, present=False)
    assert "virsh detach-device reported success, but 1 s later the running domain linux01 still has" in str(
        error.value
    )
    assert "set it offline first. The domain is as it was before" in str(error.value)
    assert heard(virsh) == ["attach-device", "define", "detach-device"]


def test_when_the_definition_cannot_be_changed_the_running_domain_is_as_before(virsh):
    virsh.fails = 2
    with pytest.raises(LibvirtError, match="Failed to define; no such luck. The domain is as it was before"):
        go(virsh)
    assert heard(virsh) == ["attach-device", "define", "detach-device"]


def test_a_definition_that_libvirt_gave_a_boot_order_gets_a_boot_device(virsh):
    virsh.running.clear()
    virsh.defined["linux01"] = virsh.defined["linux01"].replace("</os>", "<boot dev='hd'/></os>")
    assert "<boot dev" not in go(virsh, {"uuid": UUID, "boot": True})["xml"]


def missing_domain(virsh):
    virsh.defined.clear()
    virsh.running.clear()


def stopped(virsh):
    virsh.running.clear()


def transient(virsh):
    virsh.defined.clear()


def has_it_elsewhere(virsh):
    go(virsh, {"uuid": UUID, "devno": "fe.0.9999"})
    virsh.heard.clear()


def in_use(virsh):
    virsh.kernel.busy.add("/dev/vfio/0")


def old(text):
    def prepare(virsh):
        virsh.version = f"Using library: libvirt {text}\nRunning against daemon: {text}\n"

    return prepare


def boots(text):
    """Something else that the domain is started from."""

    def prepare(virsh):
        for domains in (virsh.running, virsh.defined):
            domains["linux01"] = domains["linux01"].replace("</devices>", f"{text[0]}</devices>")
            domains["linux01"] = domains["linux01"].replace("</os>", f"{text[1]}</os>")

    return prepare


REFUSED = [
    (missing_domain, {}, {}, "no-domain", "libvirt has no domain linux01"),
    (stopped, {}, {"live": True}, "not-running", "does not run"),
    (transient, {}, {"config": True}, "no-definition", "is transient"),
    (old("4.3.0"), {}, {}, "libvirt-too-old", "needs libvirt 4.4 or newer, this one is 4.3 [hostdev]"),
    (old("5.7.0"), {"boot": True}, {}, "libvirt-too-old", "needs libvirt 5.8 or newer, this one is 5.7 [boot]"),
    (old("10.9.0"), {"boot": True, "loadparm": "1"}, {}, "libvirt-too-old", "libvirt 10.10 or newer, this one is 10.9"),
    (None, {"boot": True}, {"qemu": "4.0"}, "qemu-too-old", "needs QEMU 4.1 or newer, this one is 4.0 [boot]"),
    (None, {}, {"qemu": "2.11"}, "qemu-too-old", "takes QEMU 2.12 or newer, this one is 2.11 [explicit-css]"),
    (None, {"uuid": OTHER}, {}, "no-mdev", f"mediated device {OTHER} does not exist"),
    (in_use, {}, {}, "mdev-in-use", "in use by another guest"),
    (None, {"devno": "fe.0.0000"}, {}, "devno-taken", "devno fe.0.0000 of linux01 is that of its memballoon"),
    (
        boots(["<disk><boot order='1'/></disk>", ""]),
        {"boot": True},
        {},
        "boot-taken",
        "bootindex 1 of linux01 is that of its disk",
    ),
    (boots(["", "<boot dev='hd'/>"]), {"boot": True}, {}, "common-boot", "the os element of linux01 has a boot order"),
    (has_it_elsewhere, {}, {}, "moved", "the running guest has it as fe.0.9999"),
]


@pytest.mark.parametrize("prepare, change, more, refusal, says", REFUSED)
def test_what_would_fail_is_refused_before_anything_is_changed(virsh, prepare, change, more, refusal, says):
    if prepare:
        prepare(virsh)
    with pytest.raises(Refused) as error:
        go(virsh, {"uuid": UUID, "devno": "fe.0.1234", **change}, **more)
    assert [one.id for one in error.value.refusals] == [refusal]
    assert says in str(error.value) and str(error.value).startswith("Nothing was changed.")
    assert virsh.heard == []


def test_every_row_is_tried():
    from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._table import LIBVIRT_ROWS

    assert {row.id for row in LIBVIRT_ROWS} - {refusal for *_others, refusal, _says in REFUSED} == {
        "mdev-without-driver"  # test_a_mediated_device_without_driver
    }


def test_a_mediated_device_without_driver_cannot_be_opened(virsh):
    for link in ("driver", "iommu_group"):
        (virsh.kernel.root / "sys/bus/mdev/devices" / UUID / link).resolve()
        (virsh.kernel.root / "sys/bus/mdev/devices" / UUID).resolve().joinpath(link).unlink()
    with pytest.raises(Refused, match="has no driver"):
        go(virsh)


def test_a_number_that_another_device_leaves_is_free(virsh):
    virsh.running.clear()
    go(virsh, {"uuid": UUID, "devno": "fe.0.1234"})
    result = go(virsh, {"uuid": OTHER, "devno": "fe.0.1234"}, {"uuid": UUID, "devno": "fe.0.1235"})
    assert steps(result) == ["detach-config", "attach-config", "attach-config"]
    with pytest.raises(Refused, match="devno-taken"):
        go(virsh, {"uuid": THIRD, "devno": "fe.0.1234"})


def test_two_devices_that_would_come_to_one_number_are_refused(virsh):
    with pytest.raises(Refused, match="devno-taken"):
        go(virsh, {"uuid": UUID}, {"uuid": OTHER, "devno": "fe.0.7e52"}, live=False)


def test_what_is_taken_away_may_be_gone_already(virsh):
    for prepare in (stopped, transient, missing_domain):
        prepare(virsh)
        assert steps(go(virsh, present=False)) == []


def test_in_check_mode_a_mediated_device_may_be_planned_only(virsh):
    assert steps(go(virsh, {"uuid": OTHER, "devno": "fe.0.1234"}, check_mode=True)) == ["attach-live", "attach-config"]


def test_a_device_may_be_in_the_definition_before_it_is_there(virsh):
    result = go(virsh, {"uuid": OTHER, "devno": "fe.0.1234"}, live=False)
    assert steps(result) == ["attach-config"] and result["restart_required"]
    assert result["warnings_"] == [f"mediated device {OTHER} does not exist; linux01 does not start without it"]
    assert go(virsh, {"uuid": OTHER, "devno": "fe.0.1234"}, live=False)["warnings_"] == []

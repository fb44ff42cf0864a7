# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mediated devices as node devices of libvirt."""

from __future__ import annotations

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BusId
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt import _nodedev as _libvirt_nodedev
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._nodedev import (
    Node,
    WantedNode,
    converge_nodes,
    parse_nodes,
    plan,
)
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._virsh import LibvirtError, Virsh
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._xml import parse
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._guest import GuestError
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._table import NODE_ROWS, Refused
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_kernel import converge
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_virsh import FakeVirsh

UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
OTHER = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb921"
NAME = "mdev_6dfd3ec5_e8b3_4e18_a6fe_57bc9eceb920_0_0_16ca"
DISK = {"device": "0.0.7e52", "uuid": UUID}


def node(flags):
    """From letters: a(ctive), p(ersistent), s(tarted with the host)."""
    return Node(NAME, "css_0_0_16ca", *(letter in flags for letter in "aps")) if flags else None


@pytest.mark.parametrize(
    "state, autostart, there, steps",
    [
        ("present", None, "", ["define"]),
        ("present", None, "p", []),
        ("present", None, "a", ["define"]),
        ("present", True, "", ["define", "autostart"]),
        ("present", True, "ps", []),
        ("present", False, "ps", ["no-autostart"]),
        ("present", False, "", ["define"]),
        ("started", None, "", ["define", "start"]),
        ("started", True, "", ["define", "autostart", "start"]),
        ("started", None, "a", ["define"]),
        ("started", None, "aps", []),
        ("stopped", None, "ap", ["stop"]),
        ("stopped", None, "a", ["define", "stop"]),
        ("stopped", None, "p", []),
        ("absent", None, "aps", ["stop", "undefine"]),
        ("absent", None, "a", ["stop"]),
        ("absent", None, "p", ["undefine"]),
        ("absent", None, "", []),
    ],
)
def test_what_has_to_be_done(state, autostart, there, steps):
    assert plan(WantedNode(BusId(0, 0x7E52), UUID, state, autostart), node(there)) == steps


@pytest.fixture(name="virsh")
def _virsh(kernel):
    converge(kernel.host(), [{**DISK, "guest": "linux01"}])
    made = FakeVirsh(kernel)
    made.nodes[NAME] = ("css_0_0_16ca", True, False, False)
    return made


def go(virsh, *items, state="started", autostart=None, check_mode=False):
    host = virsh.kernel.host()
    return converge_nodes(host, Virsh(host, "u"), parse_nodes(host, items or [DISK], state, autostart), check_mode)


def steps(result):
    return [one["step"] for one in result["actions"]]


def test_a_mediated_device_is_defined_started_with_the_host_and_undefined(virsh):
    planned = go(virsh, autostart=True, check_mode=True)
    assert virsh.heard == []
    done = go(virsh, autostart=True)
    assert steps(planned) == steps(done) == ["define", "autostart"]
    assert planned["devices"] == done["devices"] and planned["diff"] == done["diff"]
    (device,) = done["devices"]
    assert (device["parent"], device["persistent"], device["active"], device["autostart"]) == (
        "css_0_0_16ca", True, True, True,
    )  # fmt: skip
    tree = parse(device["xml"], "device")
    assert (tree.findtext("parent"), tree.findtext("capability/uuid")) == ("css_0_0_16ca", UUID)
    assert (tree.find("capability").get("type"), tree.find("capability/type").get("id")) == ("mdev", "vfio_ccw-io")
    assert go(virsh, autostart=True)["changed"] is False
    assert go(virsh, {"device": "0.0.7e52"})["changed"] is False  # the UUID of the one that is there
    assert steps(go(virsh, state="stopped", autostart=False)) == ["no-autostart", "stop"]
    assert steps(go(virsh, state="started")) == ["start"]
    assert steps(go(virsh, state="absent")) == ["stop", "undefine"]
    assert go(virsh, state="absent")["changed"] is False
    assert [one[0] for one in virsh.heard[:2]] == ["nodedev-define", "nodedev-autostart"]


def test_an_older_libvirts_name_is_found(virsh):
    virsh.nodes = {NAME[: -len("_0_0_16ca")]: ("css_0_0_16ca", True, True, False)}
    assert go(virsh)["changed"] is False


def test_one_that_goes_while_it_is_looked_at_is_gone(virsh):
    virsh.gone.add(NAME)
    assert go(virsh, state="absent")["changed"] is False


def test_what_libvirt_does_not_confirm_is_an_error(virsh, monkeypatch):
    monkeypatch.setattr(_libvirt_nodedev, "TIMEOUT", 0.1)
    virsh.obeys = False
    with pytest.raises(LibvirtError, match="virsh reported success, but libvirt does not say so"):
        go(virsh, autostart=True)


@pytest.mark.parametrize(
    "items, says",
    [
        ([{"device": "x"}], "expected a bus id"),
        ([{"device": "0.0.7e52", "uuid": "x"}], "expected a UUID"),
        ([DISK, DISK], "listed twice"),
        ([DISK, {**DISK, "device": "0.0.7e53"}], "each device needs its own"),
    ],
)
def test_what_cannot_be_a_device(virsh, items, says):
    with pytest.raises(GuestError, match=says):
        go(virsh, *items)


def old(text):
    def prepare(virsh):
        virsh.version = f"Using library: libvirt {text}\nRunning against daemon: {text}\n"

    return prepare


def elsewhere(virsh):
    virsh.nodes = {NAME.replace("16ca", "16cb"): ("css_0_0_16cb", False, True, False)}


def busy(virsh):
    virsh.kernel.busy.add("/dev/vfio/0")


REFUSED = [
    (old("6.8.0"), DISK, {}, "libvirt-too-old", "needs libvirt 6.9 or newer, this one is 6.8 [nodedev-css]"),
    (old("7.2.0"), DISK, {}, "libvirt-too-old", "needs libvirt 7.3 or newer, this one is 7.2 [nodedev-define]"),
    (old("7.7.0"), DISK, {"autostart": True}, "libvirt-too-old", "libvirt 7.8 or newer, this one is 7.7 [nodedev-auto"),
    (None, {"device": "0.0.ffff"}, {}, "not-found", "no device of this number"),
    (None, {"device": "0.0.7e54"}, {}, "not-passed", "bound to io_subchannel, not to vfio_ccw"),
    (elsewhere, DISK, {}, "uuid-elsewhere", "on css_0_0_16cb, not on css_0_0_16ca"),
    (None, {**DISK, "uuid": OTHER}, {}, "other-mdev", f"0.0.16ca carries mediated device {UUID}"),
    (busy, DISK, {"state": "stopped"}, "node-in-use", "in use by a guest"),
    (busy, DISK, {"state": "absent"}, "node-in-use", "in use by a guest"),
]


@pytest.mark.parametrize("prepare, item, more, refusal, says", REFUSED)
def test_what_would_fail_is_refused_before_anything_is_changed(virsh, prepare, item, more, refusal, says):
    if prepare:
        prepare(virsh)
    with pytest.raises(Refused) as error:
        go(virsh, item, **more)
    assert [one.id for one in error.value.refusals] == [refusal]
    assert says in str(error.value)
    assert virsh.heard == []


def test_every_row_is_tried():
    assert {row.id for row in NODE_ROWS} == {refusal for _prepare, _item, _more, refusal, _says in REFUSED}

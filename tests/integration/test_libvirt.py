# SPDX-License-Identifier: GPL-3.0-or-later
"""The libvirt modules against a real libvirt: what it makes of a definition, and whether it is content with it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest
import yaml
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import GuestDevno
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._requests import GUEST_NAME
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._definition import definition
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._domain import hostdev_element
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._guest import (
    ambiguous,
    converge_libvirt_guest,
    domain_hypervisor,
    parse_libvirt_guest,
)
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._hostdev import Order, converge_hostdevs
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._versions import LibvirtVersion
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._virsh import LibvirtError
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._wanted import parse_wanted
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._xml import dump, fit, parse, same
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._guest import Hypervisor, Shutdown
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._versions import QemuVersion
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._table import Refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from libvirt_embedded import Embedded
from test_examples import PROJECT, documentation

UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
OTHER = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb921"
DEVICE = {"uuid": UUID, "devno": "fe.0.1234"}
MODULES = {"libvirt_guest": {"accel": "tcg"}, "libvirt_hostdev": {"qemu_version": "7.2"}}
"""With what their examples need here: a /dev/kvm of this machine runs no s390x guest."""


def wanted(libvirt: Embedded, **change):
    params = {"name": "linux01", "devices": [DEVICE], "memory": 512, "cpus": 1, "console": "", **change}
    return parse_libvirt_guest(params, "tcg", libvirt.virsh.version(), Hypervisor(QemuVersion(7, 2)))


def go(libvirt: Embedded, state: str, check_mode: bool = False, **change):
    made = wanted(libvirt, **change)
    return converge_libvirt_guest(
        libvirt.host, libvirt.virsh, made, state, Shutdown("terminate", 20), check_mode
    )  # fmt: skip


def steps(result) -> list[str]:
    return [one["step"] for one in result["actions"]]


def command_line(libvirt: Embedded, name: str = "linux01") -> str:
    return libvirt.virsh.run("domxml-to-native", "qemu-argv", "--domain", name)


GUESTS = [
    {},
    {"devices": [{**DEVICE, "boot": True, "loadparm": "PROMPT"}, {"uuid": OTHER, "devno": "fe.3.ffff"}]},
    {"memory": 3, "cpus": 4, "machine": "s390-ccw-virtio-6.0", "emulator": "/usr/bin/qemu-system-s390x"},
    {"extra_args": ["-fw_cfg", "name=opt/x,string=<a & b>'\" ; $HOME", ""], "environment": {"LD_PRELOAD": "/x y"}},
    {"devices": [{**DEVICE, "force_orb_pfch": True}], "console": "/var/log/a b.log"},
    {"name": "a.b-c_D9"},
]


@pytest.mark.parametrize("change", GUESTS)
def test_libvirt_takes_a_definition_and_the_second_run_changes_nothing(libvirt, change):
    planned = go(libvirt, "present", check_mode=True, **change)
    assert libvirt.valid(planned["xml"]) == ""
    made = go(libvirt, "present", **change)
    assert steps(planned) == steps(made) == ["define"]
    assert libvirt.valid(made["xml"]) == ""
    try:
        again = go(libvirt, "present", **change)
        assert (steps(again), again["xml"]) == ([], made["xml"])
    finally:
        gone = go(libvirt, "absent", **change)
    assert steps(gone) == ["undefine"]
    assert steps(go(libvirt, "absent", **change)) == []


def test_libvirt_gives_qemu_what_was_asked_for(libvirt):
    go(libvirt, "present", devices=[{**DEVICE, "boot": True, "loadparm": "PROMPT"}], environment={"LD_PRELOAD": "/x"})
    try:
        said = command_line(libvirt)
    finally:
        go(libvirt, "absent")
    assert f'"driver":"vfio-ccw","id":"hostdev0","sysfsdev":"/sys/bus/mdev/devices/{UUID}"' in said
    assert '"bootindex":1,"devno":"fe.0.1234"' in said
    assert "-machine loadparm=PROMPT" in said and "LD_PRELOAD=/x" in said


def test_qemu_joins_what_it_is_told_of_the_machine(libvirt):
    """What libvirt says with -machine, and the loadparm behind it."""
    argv = ["qemu-system-s390x", "-machine", "s390-ccw-virtio,usb=off", "-nodefaults", "-display", "none", "-S"]
    argv += ["-qmp", "stdio", "-machine", "loadparm=PROMPT", "-global", "vfio-ccw.force-orb-pfch=on"]
    get = {"execute": "qom-get", "arguments": {"path": "/machine", "property": "loadparm"}}
    asked = [{"execute": "qmp_capabilities"}, get, {"execute": "quit"}]
    _code, out, err = libvirt.host.run(argv, "\n".join(json.dumps(one) for one in asked) + "\n")
    assert '"return": "PROMPT  "' in out, err


def test_libvirt_leaves_a_devices_loadparm_out(libvirt):
    """Why it is told as the machine's. A libvirt that no longer does makes this fail: then its version is the row."""
    tree = definition(wanted(libvirt, devices=[{**DEVICE, "boot": True}]), None)
    tree.find("devices/hostdev/boot").set("loadparm", "PROMPT")
    libvirt.virsh.run("define", "/dev/stdin", xml=tree)
    try:
        assert 'loadparm="PROMPT"' in dump(libvirt.virsh.domain("linux01", inactive=True))
        assert "PROMPT" not in command_line(libvirt)
    finally:
        go(libvirt, "absent")


def test_what_an_administrator_added_stays(libvirt):
    go(libvirt, "present")
    disk = ET.fromstring(
        "<disk type='file' device='disk'><source file='/var/lib/a.qcow2'/><target dev='vda' bus='virtio'/></disk>"
    )
    libvirt.virsh.run("attach-device", "--domain", "linux01", "--config", "/dev/stdin", xml=disk)
    try:
        assert steps(go(libvirt, "present")) == []
        changed = go(libvirt, "present", memory=600)
        assert steps(changed) == ["define"] and "/var/lib/a.qcow2" in changed["xml"]
        old, new = (changed["diff"][0][side].splitlines() for side in ("before", "after"))
        differing = [one for one in new if one not in old]
        assert len(old) == len(new) and len(differing) == 2 and all("614400" in one for one in differing)
    finally:
        go(libvirt, "absent")


def test_a_guest_is_started_and_ended(libvirt):
    """Without a passed-through device, which this machine has not; the live XML is real."""
    endless = libvirt.home / "run/endless"  # QEMU enters a raw kernel at 0x10000; there: j .
    endless.write_bytes(bytes(0x10000) + b"\xa7\xf4\x00\x00")
    guest = {"devices": [], "console": str(libvirt.home / "run/console"), "extra_args": ["-kernel", str(endless)]}
    try:
        assert steps(go(libvirt, "started", **guest)) == ["define", "start"]
        again = go(libvirt, "started", **guest)
        assert (steps(again), again["running"], again["restart_required"]) == ([], True, False)
        other = go(libvirt, "started", memory=600, **guest)
        assert (steps(other), other["restart_required"]) == (["define"], True)
    finally:
        assert steps(go(libvirt, "absent")) == ["stop", "undefine"]


def test_the_qemu_that_libvirt_would_take_is_asked(libvirt):
    assert domain_hypervisor(libvirt.host, libvirt.virsh, "", "tcg").qemu >= QemuVersion(7, 2)


def change(libvirt: Embedded, present: bool, *items, check_mode: bool = False):
    wanted = parse_wanted(libvirt.host, items, present)
    return converge_hostdevs(libvirt.host, libvirt.virsh, Order("linux01", tuple(wanted), present), check_mode)


def test_devices_of_a_definition_come_and_go(libvirt):
    go(libvirt, "present", devices=[])  # libvirt gives it a boot order of its own
    items = [{**DEVICE, "boot": True}, {"uuid": OTHER}]
    try:
        planned = change(libvirt, True, *items, check_mode=True)
        assert libvirt.valid(planned["xml"]) == ""
        made = change(libvirt, True, *items)
        assert steps(planned) == steps(made) == ["attach-config", "attach-config"]
        assert [(one["uuid"], one["bootindex"]) for one in made["hostdevs"]] == [(UUID, 1), (OTHER, None)]
        assert steps(change(libvirt, True, *items)) == []
        assert steps(change(libvirt, True, {"uuid": UUID}, {"uuid": OTHER})) == []
        moved = change(libvirt, True, {"uuid": UUID, "devno": "fe.0.4321"})
        assert steps(moved) == ["detach-config", "attach-config"]
        assert '"bootindex":1,"devno":"fe.0.4321"' in command_line(libvirt)
        swapped = change(libvirt, True, {"uuid": UUID}, {"uuid": OTHER, "devno": "fe.0.1111"})
        assert steps(swapped) == ["detach-config", "attach-config"]
        assert steps(change(libvirt, False, {"devno": "fe.0.4321"}, {"uuid": OTHER})) == ["detach-config"] * 2
        assert change(libvirt, False, {"uuid": UUID})["hostdevs"] == []
        assert steps(change(libvirt, True, *items)) == ["attach-config", "attach-config"]
    finally:
        go(libvirt, "absent")


@pytest.mark.parametrize(
    "has, item, refusal, says",
    [
        (DEVICE, {"devno": "fe.0.1234"}, "devno-taken", "fe.0.1234"),
        ({**DEVICE, "boot": True}, {"boot": True}, "boot-taken", "boot order 1 is already used"),
    ],
)
def test_what_libvirt_refuses_is_found_before_it_is_asked(libvirt, has, item, refusal, says):
    go(libvirt, "present", devices=[has])
    (wanted,) = parse_wanted(libvirt.host, [{"uuid": OTHER, **item}], True)
    try:
        with pytest.raises(Refused, match=refusal):
            change(libvirt, True, {"uuid": OTHER, **item})
        element = hostdev_element(wanted.over(None))
        with pytest.raises(LibvirtError, match=says):
            libvirt.virsh.run("attach-device", "--domain", "linux01", "--config", "/dev/stdin", xml=element)
    finally:
        go(libvirt, "absent")


def test_a_guest_that_was_not_started_from_a_device_can_be(libvirt):
    """libvirt has written a boot order of its own meanwhile."""
    go(libvirt, "present")
    try:
        booting = {"devices": [{**DEVICE, "boot": True}]}
        assert steps(go(libvirt, "present", **booting)) == ["define"]
        assert steps(go(libvirt, "present", **booting)) == []
    finally:
        go(libvirt, "absent")


NAMES = st.from_regex(GUEST_NAME, fullmatch=True).filter(lambda name: not ambiguous(name))
TEXTS = st.text().filter(fit)
DEVNOS = st.builds(GuestDevno, st.just(0xFE), st.integers(0, 3), st.integers(0, 0xFFFF)).map(str)
DEVICES = st.lists(
    st.tuples(st.uuids().map(str), DEVNOS, st.sampled_from([None, "", "PROMPT", "1 .a"])), unique_by=lambda one: one[1]
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES, devices=DEVICES, words=st.lists(TEXTS, max_size=3), memory=st.integers(1, 1 << 30))
def test_whatever_is_wanted_is_valid_for_libvirts_schema(libvirt, name, devices, words, memory):
    items = [
        {
            "uuid": uuid,
            "devno": devno,
            **({} if loadparm is None else {"bootindex": position + 1, "loadparm": loadparm}),
        }
        for position, (uuid, devno, loadparm) in enumerate(devices)
    ]
    guest = {"name": name, "devices": items, "memory": memory, "cpus": 1, "environment": {"A": "".join(words)}}
    made = parse_libvirt_guest(guest, "tcg", LibvirtVersion(10, 10), Hypervisor(QemuVersion(9, 2)))
    text = dump(definition(made, None))
    assert libvirt.valid(text) == ""
    assert same(definition(made, parse(text, "domain")), parse(text, "domain"))


def test_the_examples_work_up_to_what_a_host_must_have(libvirt, controller, monkeypatch):
    """In check mode: their mediated devices are a host's."""
    go(libvirt, "present", devices=[])
    tasks = [task for name in MODULES for task in documentation(PROJECT / f"plugins/modules/{name}.py", "EXAMPLES")]
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks,
            "vars": {"ansible_python_interpreter": "/usr/bin/python3"},
            "module_defaults": {f"zkvm.vfio_ccw.{name}": {"uri": libvirt.uri, **more}
                                for name, more in MODULES.items()}}  # fmt: skip
    path = controller.home / "libvirt.yml"
    path.write_text(yaml.safe_dump([play]), encoding="utf-8")
    inventory = controller.home / "libvirt-inventory.yml"
    inventory.write_text("all: {hosts: {localhost: }}\n", encoding="utf-8")
    monkeypatch.setenv("PATH", libvirt.path)
    try:
        done = controller.playbook("-i", str(inventory), "--check", "--diff", str(path))
        assert done.returncode == 0, done.stdout
    finally:
        go(libvirt, "absent")

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that libvirt runs: its definition, and the way to a state."""

from __future__ import annotations

import errno

import pytest
import yaml
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import HostError
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._definition import definition
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._domain import hostdevs
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._guest import (
    converge_libvirt_guest,
    domain_hypervisor,
    parse_libvirt_guest,
)
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._versions import FEATURES, LibvirtVersion
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._virsh import LibvirtError, Virsh
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._xml import MAX_BYTES, BadXml, dump, parse, same
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._guest import GuestError, Hypervisor, Shutdown
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._versions import QemuVersion
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._table import Refused
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_kernel import converge
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_virsh import DUMPXML, FakeVirsh

UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
OTHER = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb921"
DEVICE = {"uuid": UUID, "devno": "fe.0.1234"}
PARAMS = {"name": "linux01", "devices": [{**DEVICE, "boot": True}], "memory": 512, "cpus": 1,
          "extra_args": ["-fw_cfg", "name=opt/x,string=<a & b>"], "environment": {"LD_PRELOAD": "/x"}}  # fmt: skip


def wanted(libvirt="9.0", qemu="7.2", accel="kvm", **change):
    there = Hypervisor(QemuVersion.parse(qemu))
    return parse_libvirt_guest({**PARAMS, **change}, accel, LibvirtVersion.parse(libvirt), there)


def values(tree, path, *names):
    return [tuple(element.get(name) for name in names) for element in tree.findall(path)]


QEMU = "{http://libvirt.org/schemas/domain/qemu/1.0}"


# --- the definition


def test_a_new_definition_has_what_the_guest_needs():
    domain = definition(wanted(emulator="/usr/libexec/qemu-kvm"), None)
    assert (domain.get("type"), domain.findtext("name"), domain.findtext("vcpu")) == ("kvm", "linux01", "1")
    assert values(domain, "os/type", "arch", "machine") == [("s390x", "s390-ccw-virtio")]
    assert domain.findtext("devices/emulator") == "/usr/libexec/qemu-kvm"
    assert values(domain, "devices/console/log", "file") == [("/var/log/libvirt/qemu/linux01.console",)]
    assert values(domain, "devices/hostdev", "mode", "type", "model") == [("subsystem", "mdev", "vfio-ccw")]
    assert values(domain, "devices/hostdev/source/address", "uuid") == [(UUID,)]
    assert values(domain, "devices/hostdev/address", "type", "cssid", "ssid", "devno") == [
        ("ccw", "0xfe", "0x0", "0x1234")
    ]
    assert values(domain, "devices/hostdev/boot", "order", "loadparm") == [("1", None)]
    assert values(domain, f"{QEMU}commandline/{QEMU}arg", "value") == [
        ("-fw_cfg",),
        ("name=opt/x,string=<a & b>",),
    ]
    assert values(domain, f"{QEMU}commandline/{QEMU}env", "name", "value") == [("LD_PRELOAD", "/x")]


@pytest.mark.parametrize("console, files", [("", []), ("/var/log/a", [("/var/log/a",)])])
def test_the_console_is_written_where_it_is_wanted(console, files):
    assert values(definition(wanted(console=console), None), "devices/console/log", "file") == files


def test_a_guest_without_kvm_is_emulated():
    assert definition(wanted(accel="tcg"), None).get("type") == "qemu"


def test_what_libvirt_made_of_a_guest_needs_no_change():
    there = parse(DUMPXML, "domain")
    assert same(definition(wanted(), there), there)


@pytest.mark.parametrize(
    "change, path, name, value",
    [
        ({"memory": 1024}, "memory", None, "1024"),
        ({"memory": 1024}, "currentMemory", None, "1024"),
        ({"cpus": 2}, "vcpu", None, "2"),
        ({"machine": "s390-ccw-virtio-6.2"}, "os/type", "machine", "s390-ccw-virtio-6.2"),
        ({"emulator": "/opt/qemu"}, "devices/emulator", None, "/opt/qemu"),
        ({"environment": {}}, f"{QEMU}commandline/{QEMU}arg", "value", "-fw_cfg"),
        ({"devices": [{"uuid": UUID, "devno": "fe.0.1235"}]}, "devices/hostdev/address", "devno", "0x1235"),
        ({"devices": [DEVICE]}, "devices/hostdev/source/address", "uuid", UUID),
    ],
)
def test_what_a_guest_says_is_changed_and_nothing_else(change, path, name, value):
    there = parse(DUMPXML, "domain")
    new = definition(wanted(**change), there)
    assert not same(new, there)
    found = new.find(path)
    assert (found.get(name) if name else found.text) == value
    for kept in ("uuid", "cpu/model", "on_crash"):
        assert new.findtext(kept) == there.findtext(kept)
    assert values(new, "devices/memballoon/address", "devno") == [("0x0000",)]
    assert same(definition(wanted(**change), new), new)


def test_another_accelerator_gets_a_cpu_model_of_its_own():
    there = parse(DUMPXML, "domain")
    assert there.find("cpu") is not None
    assert definition(wanted(accel="tcg"), there).find("cpu") is None


def test_a_devices_boot_order_takes_the_place_of_the_one_that_libvirt_wrote():
    text = DUMPXML.replace("<boot order='1'/>", "").replace("</os>", "<boot dev='hd'/></os>")
    new = definition(wanted(), parse(text, "domain"))
    assert values(new, "os/boot", "dev") == [] and values(new, "devices/hostdev/boot", "order") == [("1",)]
    assert values(definition(wanted(devices=[DEVICE]), parse(text, "domain")), "os/boot", "dev") == [("hd",)]


def test_nothing_of_the_command_line_stays_that_nobody_asks_for():
    new = definition(wanted(extra_args=[], environment={}), parse(DUMPXML, "domain"))
    assert new.find(f"{QEMU}commandline") is None


def test_devices_of_other_kinds_stay():
    text = DUMPXML.replace("<audio", "<hostdev mode='subsystem' type='mdev' model='vfio-ap'>"
                           f"<source><address uuid='{OTHER}'/></source></hostdev><audio")  # fmt: skip
    new = definition(wanted(devices=[]), parse(text, "domain"))
    assert values(new, "devices/hostdev", "model") == [("vfio-ap",)]


@pytest.mark.parametrize(
    "libvirt, qemu, attribute, arguments",
    [
        ("9.0", "7.2", None, ["-machine", "loadparm=PROMPT"]),
        ("10.9", "9.2", None, ["-machine", "loadparm=PROMPT"]),
        ("10.10", "9.1", None, ["-machine", "loadparm=PROMPT"]),
        ("10.10", "9.2", "PROMPT", []),
    ],
)
def test_a_loadparm_reaches_the_guest_whatever_the_versions(libvirt, qemu, attribute, arguments):
    """libvirt before 10.10 takes the attribute and leaves it out of QEMU's command line."""
    made = wanted(libvirt, qemu, devices=[{**DEVICE, "boot": True, "loadparm": "PROMPT"}], extra_args=[])
    domain = definition(made, None)
    assert values(domain, "devices/hostdev/boot", "loadparm") == [(attribute,)]
    assert [one for (one,) in values(domain, f"{QEMU}commandline/{QEMU}arg", "value")] == arguments


def test_an_old_kernel_gets_the_prefetch_flag_for_a_booting_guest():
    there = Hypervisor(QemuVersion(7, 2), (5, 4))
    made = parse_libvirt_guest({**PARAMS, "extra_args": []}, "kvm", LibvirtVersion(9, 0), there)
    assert made.arguments == ("-global", "vfio-ccw.force-orb-pfch=on")


# --- XML


@pytest.mark.parametrize(
    "text, says",
    [
        ("", "no XML"),
        ("<domain>", "no XML"),
        ("<device/>", "expected a <domain>"),
        ("<!DOCTYPE domain><domain/>", "document type"),
        ('<!DOCTYPE domain [<!ENTITY a "b">]><domain>&a;</domain>', "document type"),
        ('<!DOCTYPE domain SYSTEM "file:///etc/passwd"><domain/>', "document type"),
        ("<domain>" + " " * MAX_BYTES + "</domain>", "bytes of XML"),
        ("<?xml version='1.0' encoding='x-none'?><domain/>", "no XML"),
    ],
)
def test_what_is_no_xml_of_libvirt_is_not_read(text, says):
    with pytest.raises(BadXml, match=says):
        parse(text, "domain")


def test_the_layout_of_xml_says_nothing():
    one, other = (
        parse("<domain><a/>\n<b>x</b></domain>", "domain"),
        parse("<domain> <a></a><b>x</b> </domain>", "domain"),
    )
    assert same(one, other) and not same(one, parse("<domain><b>x</b><a/></domain>", "domain"))
    assert dump(one) == "<domain>\n  <a />\n  <b>x</b>\n</domain>\n"
    assert same(None, None) and not same(None, one)


@pytest.mark.parametrize(
    "hostdev",
    [
        "<hostdev type='mdev' model='vfio-ccw'/>",
        "<hostdev type='mdev' model='vfio-ccw'><source><address uuid='x'/></source></hostdev>",
        f"<hostdev type='mdev' model='vfio-ccw'><source><address uuid='{UUID}'/></source><boot order='x'/></hostdev>",
        f"<hostdev type='mdev' model='vfio-ccw'><source><address uuid='{UUID}'/></source><address type='ccw' "
        "cssid='0xff' ssid='0x0' devno='0x0'/></hostdev>",
    ],
)
def test_a_hostdev_that_cannot_be_read_is_said(hostdev):
    with pytest.raises(BadXml, match="cannot be read"):
        hostdevs(parse(f"<domain><devices>{hostdev}</devices></domain>", "domain"))


# --- what is refused


@pytest.mark.parametrize(
    "change, says",
    [
        ({"name": "a<b>"}, "name 'a<b>'"),
        ({"name": "a'b\"&"}, "expected letters, digits"),
        ({"name": "$(id)"}, r"name '$(id)'"),
        ({"name": "a b"}, "name 'a b'"),
        ({"name": "../x"}, "name '../x'"),
        ({"name": "-x"}, "name '-x'"),
        ({"name": "12"}, "takes it for a domain's id"),
        ({"name": UUID}, "takes it for a domain's id or UUID"),
        ({"devices": [DEVICE, {"uuid": OTHER, "devno": "fe.0.1234"}]}, f"is given to {UUID} and {OTHER}"),
        ({"devices": [{"uuid": UUID, "devno": "fe.0.12345"}]}, "four hexadecimal digits"),
        ({"devices": [{"uuid": UUID, "devno": "ff.0.1234"}]}, "CC is 0 to fe"),
        ({"devices": [{"uuid": UUID, "devno": "0.0.1234"}]}, "channel subsystem fe only"),
        ({"devices": [{"uuid": "x", "devno": "fe.0.1234"}]}, "expected a UUID"),
        ({"devices": [{**DEVICE, "loadparm": "1"}]}, "loadparm"),
        ({"extra_args": ["a\tb"]}, "no control characters"),
        ({"environment": {"A=B": "x"}}, "environment 'A=B'"),
        ({"environment": {"A": "x\0"}}, "no control characters"),
        ({"extra_args": ["-nic", "user"]}, "libvirt gives its own memory balloon; write -netdev"),
        ({"extra_args": ["--net", "nic"]}, "-device virtio-net-ccw,netdev=ID,devno=fe.0.DDDD"),
        ({"console": "log"}, "console 'log': expected a whole path"),
        ({"emulator": "qemu"}, "expected a whole path"),
    ],
)
def test_what_cannot_be_a_guest(change, says):
    with pytest.raises(GuestError) as error:
        wanted(qemu="9.2", **change)
    assert says in str(error.value)
    assert str(error.value).endswith("Nothing was changed.")


@pytest.fixture(name="virsh")
def _virsh(kernel):
    converge(kernel.host(), [{"device": "0.0.7e52", "uuid": UUID, "guest": "linux01"}])
    kernel.commands.clear()
    return FakeVirsh(kernel)


def go(virsh, state, made=None, check_mode=False, how="terminate"):
    host = virsh.kernel.host()
    shutdown = Shutdown(how, 1.0)
    return converge_libvirt_guest(host, Virsh(host, "qemu:///system"), made or wanted(), state, shutdown, check_mode)


@pytest.mark.parametrize(
    "made, refusal, says",
    [
        (wanted("4.3"), "libvirt-too-old", "needs libvirt 4.4 or newer, this one is 4.3 [hostdev]"),
        (wanted("5.7"), "libvirt-too-old", "needs libvirt 5.8 or newer, this one is 5.7 [boot]"),
        (wanted(qemu="2.11", devices=[DEVICE]), "qemu-too-old", "takes QEMU 2.12 or newer, this one is 2.11"),
        (wanted(devices=[{"uuid": OTHER, "devno": "fe.0.1234"}]), "no-mdev", f"{OTHER} does not exist"),
        (wanted(devices=[{"uuid": UUID, "devno": "fe.0.0000"}]), "devno-taken", "devno fe.0.0000 of linux01 is that"),
        (wanted(devices=[{**DEVICE, "bootindex": 7}]), "boot-taken", "bootindex 7 of linux01 is that of its console"),
    ],
)  # fmt: skip
def test_what_would_fail_is_refused_before_anything_is_changed(virsh, made, refusal, says):
    virsh.defined["linux01"] = DUMPXML.replace("</console>", "<boot order='7'/></console>")
    with pytest.raises(Refused) as error:
        go(virsh, "started", made)
    assert [one.id for one in error.value.refusals] == [refusal]
    assert says in str(error.value)
    assert virsh.heard == []


def test_a_device_that_another_guest_has_is_refused(virsh):
    virsh.kernel.busy.add("/dev/vfio/0")
    with pytest.raises(Refused, match="in use by another guest: /dev/vfio/0 is busy"):
        go(virsh, "started")


def test_a_qemu_that_is_too_old_for_a_boot_device_is_named_with_the_one_that_would_do():
    with pytest.raises(GuestError, match=r"needs QEMU 4.1 or newer, this one is 4.0 \[boot\]"):
        wanted(qemu="4.0")


# --- the way to a state


def test_a_guest_is_defined_started_stopped_and_undefined(virsh):
    planned = go(virsh, "started", check_mode=True)
    assert virsh.heard == []
    result = go(virsh, "started")
    assert planned["actions"] == result["actions"]
    assert [one["step"] for one in result["actions"]] == ["define", "start"]
    assert [one[0] for one in virsh.heard] == ["define", "start"]
    assert (result["running"], result["was_running"], result["restart_required"]) == (True, False, False)
    assert UUID in result["xml"] and result["console"] == "/var/log/libvirt/qemu/linux01.console"
    again = go(virsh, "started")
    assert (again["changed"], again["running"], again["was_running"]) == (False, True, True)
    assert [one["step"] for one in go(virsh, "stopped")["actions"]] == ["stop"]
    assert virsh.heard[-1][0] == "destroy"
    assert not go(virsh, "stopped")["changed"]
    result = go(virsh, "absent")
    assert ([one["step"] for one in result["actions"]], result["xml"]) == (["undefine"], "")
    assert not go(virsh, "absent")["changed"]


def test_a_guest_is_told_to_shut_down(virsh):
    go(virsh, "started")
    go(virsh, "absent", how="powerdown")
    assert [one[0] for one in virsh.heard[-2:]] == ["shutdown", "undefine"]


def test_a_guest_that_does_not_shut_down_keeps_its_definition(virsh):
    go(virsh, "started")
    virsh.obeys = False
    with pytest.raises(LibvirtError) as error:
        go(virsh, "absent", how="powerdown")
    for said in ("still runs 1 s", "timeout", "shutdown: terminate"):
        assert said in str(error.value)
    assert "linux01" in virsh.defined


def test_a_guest_that_runs_with_an_older_definition_is_left_alone_and_said(virsh):
    go(virsh, "started")
    result = go(virsh, "started", wanted(memory=1024))
    assert (result["changed"], result["restart_required"], len(result["warnings_"])) == (True, True, 1)
    assert [one[0] for one in virsh.heard] == ["define", "start", "define"]


SECOND = {"uuid": OTHER, "devno": "fe.0.1235"}
FIRST = PARAMS["devices"][0]


@pytest.fixture(name="second")
def _second(virsh):
    """The guest runs, and the host has made a second device for it."""
    go(virsh, "started")
    converge(virsh.kernel.host(), [{"device": "0.0.7e54", "uuid": OTHER, "guest": "linux01"}])
    virsh.heard.clear()
    return virsh


def test_a_guest_that_runs_gets_a_device_while_it_runs(second):
    made = wanted(devices=[FIRST, SECOND])
    planned = go(second, "started", made, check_mode=True)
    assert second.heard == []
    result = go(second, "started", made)
    assert planned["actions"] == result["actions"] and not planned["restart_required"]
    assert [one["step"] for one in result["actions"]] == ["attach-live", "define"]
    assert [one.uuid for one in hostdevs(parse(second.running["linux01"], "domain"))] == [UUID, OTHER]
    assert (result["restart_required"], result["warnings_"]) == (False, [])
    assert not go(second, "started", made)["changed"]


@pytest.mark.parametrize(
    "change",
    [
        {"live": False, "devices": [FIRST, SECOND]},
        {"devices": [FIRST, {**SECOND, "bootindex": 2}]},  # a boot order is for a start
        {"devices": [SECOND]},  # and without the one that it has
        {"devices": [{**FIRST, "devno": "fe.0.1299"}, {**SECOND, "devno": "fe.0.1234"}]},  # its number is taken yet
        {"devices": [{**FIRST, "devno": "fe.0.1299"}]},
        {"devices": []},
    ],
)
def test_what_a_guest_cannot_get_or_lose_while_it_runs_waits_for_its_next_start(second, change):
    result = go(second, "started", wanted(qemu="9.2", **change))
    assert result["restart_required"]
    assert UUID in second.running["linux01"] and "detach-device" not in [one[0] for one in second.heard]


def test_a_device_that_the_host_does_not_have_is_refused_to_a_guest_that_runs(virsh):
    go(virsh, "started")
    with pytest.raises(Refused, match=f"mediated device {OTHER} does not exist"):
        go(virsh, "started", wanted(devices=[FIRST, SECOND]))


def test_a_definition_that_libvirt_does_not_take_takes_the_device_from_the_running_guest_again(second):
    second.answers["define"] = (1, "", "error: boom\n")
    with pytest.raises(LibvirtError, match="boom. The domain is as it was before"):
        go(second, "started", wanted(devices=[FIRST, SECOND]))
    assert OTHER not in second.running["linux01"]


def test_success_without_a_running_guest_is_an_error(virsh):
    virsh.obeys = False
    with pytest.raises(LibvirtError, match="reported success, but domain linux01 does not run"):
        go(virsh, "started")


def test_a_guest_is_started_with_the_host_when_that_is_asked_for(virsh):
    assert [one["step"] for one in go(virsh, "present", wanted(autostart=True))["actions"]] == ["define", "autostart"]
    assert not go(virsh, "present", wanted(autostart=True))["changed"]
    assert not go(virsh, "present")["changed"]
    assert virsh.autostart == {"linux01"}
    go(virsh, "present", wanted(autostart=False))
    assert virsh.autostart == set()


def test_passwords_of_displays_are_kept_and_not_shown(virsh):
    virsh.defined["linux01"] = DUMPXML.replace("<audio", "<graphics type='vnc' passwd='hush'/><audio")
    result = go(virsh, "present", wanted(memory=1024))
    assert "hush" in virsh.defined["linux01"] and "hush" not in str(result)


@pytest.mark.parametrize(
    "command, answer, says",
    [
        ("dominfo", (1, "", "error: failed to connect to the hypervisor\nerror: no socket\n"), "libvirtd or virtqemud"),
        ("dominfo", (1, "", "error: boom\n"), "virsh dominfo --domain linux01: boom"),
        ("define", (1, "", "error: Failed to define domain from /dev/stdin\nerror: no\n"), "from /dev/stdin; no"),
        ("dumpxml", (0, "<!DOCTYPE a><domain/>", ""), "document type"),
    ],
)
def test_what_virsh_says_is_passed_on(virsh, command, answer, says):
    if command == "dumpxml":
        virsh.defined["linux01"] = DUMPXML
    virsh.answers[command] = answer
    with pytest.raises(LibvirtError, match=says):
        go(virsh, "present")


def test_a_host_without_virsh_is_told_what_to_install(kernel):
    def run(argv, data):
        raise HostError("run", argv[0], errno.ENOENT)

    kernel.run = run
    with pytest.raises(LibvirtError, match="Install virsh on the host"):
        Virsh(kernel.host(), "qemu:///system").version()


# --- versions


@pytest.mark.parametrize(
    "said, version",
    [
        ("Compiled against library: libvirt 9.0.0\nUsing library: libvirt 9.0.0\nUsing API: QEMU 9.0.0\n\n", "9.0"),
        ("Using library: libvirt 9.0.0\nRunning hypervisor: QEMU 7.2.22\nRunning against daemon: 7.3.0\n", "7.3"),
        ("10.10.0", "10.10"),
    ],
)
def test_the_version_of_libvirt_is_the_daemons(said, version):
    assert str(LibvirtVersion.parse(said)) == version


def test_virsh_that_fails_after_it_said_the_version_is_enough(virsh):
    virsh.answers["version"] = (1, "Using library: libvirt 9.0.0\n", "error: failed to get the hypervisor version\n")
    assert str(Virsh(virsh.kernel.host(), "u").version()) == "9.0"
    virsh.answers["version"] = (1, "", "error: boom\n")
    with pytest.raises(LibvirtError, match="boom"):
        Virsh(virsh.kernel.host(), "u").version()


def test_the_table_has_the_thresholds_of_libvirt():
    assert {str(one.since) for one in FEATURES} >= {"4.4", "6.9", "7.3", "7.8", "10.10"}


def test_the_qemu_that_libvirt_would_take_is_asked(virsh):
    host = virsh.kernel.host()
    assert domain_hypervisor(host, Virsh(host, "u"), "", "kvm").qemu == QemuVersion(7, 2)


def test_the_module_takes_what_the_other_hypervisors_module_takes():
    from ansible_collections.zkvm.vfio_ccw.plugins.modules import libvirt_guest, qemu_guest

    ours, others = (yaml.safe_load(one.DOCUMENTATION)["options"] for one in (libvirt_guest, qemu_guest))
    assert set(others) - set(ours) == {"binary"}
    assert set(ours) - set(others) == {"emulator", "environment", "autostart", "console", "live"}
    for name in set(ours) & set(others):
        assert {key: ours[name].get(key) for key in ("type", "default", "choices")} == {
            key: others[name].get(key) for key in ("type", "default", "choices")
        }

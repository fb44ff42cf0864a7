# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of QEMU's wiki page "Features/Channel I/O Passthrough": a test for each row."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import GuestDevno
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._releases import NotPossible
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._ccwlayout import (
    CcwConfig,
    CcwDevice,
    layout,
    translate,
)
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._command import config_of
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._guest import GuestError
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._migration import CASES, RULES, predict
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._migration_check import check_migration
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._qemu import (
    Guest,
    PassedDevice,
    command_line,
    start_script,
)
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._versions import (
    FEATURES,
    QemuVersion,
    has,
    machine_version,
    missing,
)

OLD, NEW, NOW = QemuVersion(2, 10), QemuVersion(2, 12), QemuVersion(7, 2)
UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"


def config(qemu, *devices, squash=False, machine="s390-ccw-virtio"):
    """``devices``: "driver" or "driver devno"."""
    made = []
    for text in devices:
        driver, _blank, devno = text.partition(" ")
        made.append(CcwDevice(driver, GuestDevno.parse(devno) if devno else None))
    return CcwConfig(qemu, tuple(made), squash, machine)


def places(made):
    return [str(one.devno) for one in layout(made).placed]


def seen(made):
    """The bus ids by which the guest's Linux knows the devices, "" for one that it does not see."""
    return [str(one.devno.guest_busid) if one.devno.cssid == made.default_css else "" for one in layout(made).placed]


# --- the page's cases


# the page's table: each case's last line but one is the one that tells, with "" for a success
PAGE = [
    ("T1", "vmstate: get_nullptr expected VMS_NULLPTR_MARKER"),
    ("T2", "vmstate: get_nullptr expected VMS_NULLPTR_MARKER"),
    ("T3", "Unknown savevm section or instance '/00.0.0003/virtio-rng' 0"),
    ("T4", ""),
    ("T5", "Unknown savevm section or instance '/fe.0.0003/virtio-rng' 0"),
    ("T6", "vmstate: get_nullptr expected VMS_NULLPTR_MARKER"),
    ("T6", ""),
    ("T7", "Unknown savevm section or instance '/00.0.0003/virtio-rng' 0"),
    ("T8", ""),
]


def test_the_table_has_the_pages_cases():
    assert [(case.id, case.text) for case in CASES] == PAGE


@pytest.mark.parametrize("case", CASES, ids=[f"{case.id}-{case.passed or 'auto'}" for case in CASES])
def test_a_case_ends_as_the_page_says(case):
    """The rules that hold for every guest give the page's result for its own."""
    first, *others = predict(case.config, case.config.without_passed())
    assert first.rule == "unmigratable"
    assert [one.rule for one in others] == ([case.rule] if case.rule else [])
    assert [one.errors[0] for one in others] == ([case.text] if case.text else [])
    assert all(one.errors[-1] == "load of migration failed: Invalid argument" for one in others)


def test_the_lines_of_a_css_mismatch():
    *_first, finding = predict(CASES[0].config, CASES[0].config.without_passed())
    assert finding.as_dict()["errors"] == [
        "qemu-system-s390x: vmstate: get_nullptr expected VMS_NULLPTR_MARKER",
        "qemu-system-s390x: Failed to load s390_css:css",
        "qemu-system-s390x: error while loading state for instance 0x0 of device 's390_css'",
        "qemu-system-s390x: load of migration failed: Invalid argument",
    ]


# --- further rules

RNG = "virtio-rng-ccw fe.0.0003"


@pytest.mark.parametrize(
    "source, target, rules",
    [
        (config(NOW, RNG), config(NOW, RNG), []),
        (config(NOW, RNG), config(NOW, RNG, "virtio-blk-ccw fe.0.0001"), []),
        (config(NOW, RNG, "virtio-blk-ccw fe.0.0001"), config(NOW, "virtio-blk-ccw fe.0.0001", RNG), []),
        (config(NOW, RNG), config(NOW, "virtio-rng-ccw"), ["bus-id"]),
        (config(NOW, RNG), config(NOW), ["bus-id"]),
        (config(NOW, RNG), config(NOW, RNG, "virtio-blk-ccw 0.0.0001"), ["css"]),
        (config(NOW, RNG, "vfio-ccw fe.0.0001"), config(NOW, RNG), ["unmigratable"]),
        (config(NOW, RNG), config(NOW, RNG, "vfio-ccw fe.0.0001"), ["target-unmigratable"]),
        (config(OLD, RNG), config(NEW, RNG), ["machine-type"]),
        (config(OLD, RNG, machine="s390-ccw-virtio-2.10"), config(NEW, RNG, machine="s390-ccw-virtio-2.10"), []),
        (config(NEW, RNG, machine="s390-ccw-virtio-2.12"), config(OLD, RNG, machine="s390-ccw-virtio-2.12"),
         ["not-startable"]),
        (config(OLD, RNG, squash=True), config(OLD, RNG, squash=True), []),
        (config(OLD, RNG, squash=True), config(OLD, RNG), ["css", "bus-id"]),
        (config(NEW, RNG), config(NEW, RNG, squash=True), ["css", "bus-id"]),
        (config(OLD, "vfio-ccw fe.0.0001"), config(OLD), ["not-startable"]),
        (config(NOW, RNG), config(NOW, RNG, squash=True), ["not-startable"]),
    ],
)  # fmt: skip
def test_a_rule(source, target, rules):
    findings = predict(source, target)
    assert [one.rule for one in findings] == rules
    assert all(one.reason and one.cure and one.rule in RULES for one in findings)


def test_every_rule_has_a_test():
    marks = test_a_rule.pytestmark[0].args[1]
    assert {rule for _source, _target, rules in marks for rule in rules} == set(RULES)


@pytest.mark.parametrize(
    "made, where",
    [
        # a passed-through device may not be in fe; squashing brings all devices to css 0, which the guest sees then
        (config(OLD, "vfio-ccw 0.0.1234", squash=True), ["00.0.1234"]),
        (config(OLD, "vfio-ccw 0.0.1234", RNG, squash=True), ["00.0.1234", "00.0.0003"]),
        (config(OLD, "vfio-ccw 0.0.1234"), ["00.0.1234"]),
        (config(OLD, "vfio-ccw", "virtio-rng-ccw"), ["00.0.0000", "fe.0.0000"]),
        (config(OLD, "vfio-ccw", "virtio-rng-ccw", squash=True), ["00.0.0000", "00.0.0001"]),
        (config(NEW, "vfio-ccw", "virtio-rng-ccw"), ["fe.0.0000", "fe.0.0001"]),
        (config(NEW, "vfio-ccw fe.0.1234", squash=True), ["00.0.1234"]),
        (config(NEW, "virtio-rng-ccw 2.0.1234", "vfio-ccw fe.0.0001"), ["02.0.1234", "fe.0.0001"]),
    ],
)
def test_where_a_device_is(made, where):
    assert places(made) == where


@pytest.mark.parametrize(
    "made, says",
    [
        (config(OLD, "vfio-ccw fe.0.1234"), "cssid fe not valid for non-virtual devices"),
        (config(OLD, "vfio-ccw fe.0.1234", squash=True), "cssid fe not valid for non-virtual devices"),
        (config(OLD, "virtio-rng-ccw 0.0.1234"), "cssid 0 not valid for virtual devices"),
        (config(OLD, "vfio-ccw fe.0.1234"), "QEMU 2.12 or newer"),
        (config(OLD, "vfio-ccw 0.0.0001", "virtio-rng-ccw fe.0.0001", squash=True), "Device 0.0.0001 already exists"),
        (config(NEW, RNG, RNG), "Device fe.0.0003 already exists"),
        (config(QemuVersion(2, 9), "vfio-ccw 0.0.0001"), "needs QEMU 2.10 or newer, this one is 2.9"),
        (config(QemuVersion(2, 1), "vfio-ccw 0.0.0001"), "this one is 2.1 (quote 2.10 in YAML, or it becomes 2.1)"),
        (config(QemuVersion(3, 1), squash=True), "devno=fe.S.DDDD"),
        (config(NEW, machine="pc"), "expected s390-ccw-virtio"),
        (config(NEW, machine="s390-ccw-virtio-7.2"), "needs QEMU 7.2 or newer"),
    ],
)
def test_what_no_qemu_would_start(made, says):
    with pytest.raises(NotPossible) as error:
        layout(made)
    assert says in str(error.value)


# --- between the two worlds


@pytest.mark.parametrize(
    "made, qemu, devices, squash",
    [
        (config(OLD, "vfio-ccw 0.0.1234", "virtio-rng-ccw", squash=True), NEW, "fe.0.1234 fe.0.0000", False),
        (config(OLD, "vfio-ccw 0.0.1234"), NEW, "00.0.1234", False),
        (config(NEW, "vfio-ccw fe.0.1234", "virtio-rng-ccw"), OLD, "00.0.1234 fe.0.0000", True),
        (config(NEW, "vfio-ccw 1.0.1234", RNG), OLD, "01.0.1234 fe.0.0003", False),
        (config(NEW, "vfio-ccw 0.0.1234", RNG, squash=True), NOW, "fe.0.1234 fe.0.0003", False),
        (config(NEW, "vfio-ccw fe.0.1234", squash=True), NOW, "fe.0.1234", False),
        (config(NEW, RNG), OLD, "fe.0.0003", False),
        (config(OLD, "vfio-ccw 0.0.1234", squash=True), QemuVersion(2, 11), "00.0.1234", True),
        (config(NOW, "vfio-ccw 0.0.1234"), QemuVersion(10, 2), "00.0.1234", False),
    ],
)
def test_a_guest_is_translated_and_sees_its_devices_where_they_were(made, qemu, devices, squash):
    new = translate(made, qemu)
    assert ([str(one.devno) for one in new.devices], new.squash, new.qemu) == (devices.split(), squash, qemu)
    assert seen(new) == seen(made)


@pytest.mark.parametrize(
    "made, qemu, says",
    [
        (config(NEW, "virtio-rng-ccw 0.0.0001"), OLD, "cssid 0 not valid for virtual devices"),
        (config(NEW, "vfio-ccw fe.0.0001", "vfio-ccw 0.0.0001"), OLD, "all passed-through devices"),
        (config(NEW, "vfio-ccw fe.0.0001"), QemuVersion(2, 9), "needs QEMU 2.10"),
        (config(NEW, RNG, machine="s390-ccw-virtio-2.12"), OLD, "does not know it"),
    ],
)
def test_what_cannot_be_translated_is_refused_with_the_reason(made, qemu, says):
    with pytest.raises(NotPossible) as error:
        translate(made, qemu)
    assert says in str(error.value)


# --- versions


@pytest.mark.parametrize(
    "text, version",
    [
        ("2.10", OLD),
        ("2.10.1", OLD),
        ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\nCopyright (c) 2003-2022", NOW),
        ("QEMU emulator version 2.12.0\n", NEW),
        ("10.2", QemuVersion(10, 2)),
    ],
)
def test_a_version_is_read(text, version):
    assert QemuVersion.parse(text) == version


@pytest.mark.parametrize("text", ["", "2", "x", "2.x", "seven"])
def test_no_version(text):
    with pytest.raises(NotPossible, match="expected two numbers"):
        QemuVersion.parse(text)


def test_two_ten_is_older_than_two_twelve():
    assert QemuVersion.parse("2.9") < OLD < QemuVersion.parse("2.11") < NEW < NOW < QemuVersion.parse("10.0")


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.id)
def test_a_feature_is_there_from_its_version_on(feature):
    major, minor = feature.since.major, feature.since.minor
    before = QemuVersion(major, minor - 1) if minor else QemuVersion(major - 1, 12)
    assert has(feature.since, feature.id) and not has(before, feature.id)
    assert list(missing(feature.since, {feature.id: "it"})) == []
    (text,) = missing(before, {feature.id: "it"})
    assert f"needs QEMU {feature.since} or newer, this one is {before}" in text
    if feature.gone:
        (text,) = missing(feature.gone, {feature.id: "it"})
        assert feature.instead in text


def test_a_distributions_machine_type_has_no_version():
    assert machine_version("s390-ccw-virtio-rhel9.4.0", NOW) is None


# --- reading a command line


@pytest.mark.parametrize(
    "words, devices",
    [
        ("-nodefaults", ""),
        ("", "virtio-net-ccw"),
        ("-nic user -drive file=x", "virtio-net-ccw virtio-blk-ccw"),
        (
            "-nic none -drive if=none,file=x,id=d -device virtio-blk-ccw,drive=d,devno=fe.0.0001",
            "virtio-blk-ccw=fe.0.0001",
        ),
        ("-nodefaults -device virtio-scsi-ccw -device scsi-hd,drive=x", "virtio-scsi-ccw"),
        ("--nodefaults --device vfio-ccw,sysfsdev=/a,,b,devno=0.0.1", "!"),
    ],
)
def test_the_channel_devices_of_a_command_line(words, devices):
    argv = ["qemu-system-s390x", *words.split()]
    if devices == "!":
        with pytest.raises(NotPossible, match="CC.S.DDDD"):
            config_of(argv, NOW)
        return
    found = [one.driver + (f"={one.devno}" if one.devno else "") for one in config_of(argv, NOW).devices]
    assert found == devices.split()


def test_devices_in_json_as_libvirt_writes_them():
    device = '{"driver":"vfio-ccw","id":"hostdev0","sysfsdev":"/x,y","devno":"fe.0.1234","bootindex":1,"fd":true}'
    (found,) = config_of(["qemu", "-nodefaults", "-device", device], NOW).devices
    assert str(found) == "vfio-ccw fe.0.1234"
    with pytest.raises(NotPossible, match="a JSON object"):
        config_of(["qemu", "-nodefaults", "-device", '{"driver":'], NOW)


def test_the_machine_of_a_command_line():
    made = config_of(["q", "-machine", "s390-ccw-virtio-2.10,s390-squash-mcss=on", "-nodefaults"], OLD)
    assert (made.machine, made.squash) == ("s390-ccw-virtio-2.10", True)


# --- the module


def check(host=None, **params):
    return check_migration(host, {"guest": None, "source": None, "target": {}, **params})


def test_a_check_needs_no_host():
    devices = [{"driver": "virtio-rng", "devno": "fe.0.0003"}, {"driver": "vfio-ccw", "devno": "0.0.1234"}]
    source = {"qemu": "2.10", "squash_mcss": True, "devices": devices, "machine": "s390-ccw-virtio-2.10"}
    result = check(source=source, target={"qemu": "2.12"})
    assert (result["changed"], result["migratable"], result["migratable_after_detach"]) == (False, False, True)
    assert [one["rule"] for one in result["findings"]] == ["unmigratable"]
    assert "device_del" in result["findings"][0]["cure"]
    assert result["translated"]["devices"][1] == {"driver": "vfio-ccw", "devno": "fe.0.1234", "place": "fe.0.1234"}
    assert result["source"]["devices"][1]["place"] == "00.0.1234"


def test_a_guest_that_squashed_is_not_restored_without():
    source = {"qemu": "2.10", "squash_mcss": True, "machine": "s390-ccw-virtio-2.10",
              "devices": [{"driver": "virtio-rng", "devno": "fe.0.0003"}]}  # fmt: skip
    result = check(source=source, target={"qemu": "7.2", "translate": True})
    assert [one["rule"] for one in result["findings"]] == ["css", "bus-id"]
    assert "with it, too (QEMU before 3.1), or shut the guest down" in result["findings"][0]["cure"]


def test_what_cannot_be_translated_is_said():
    result = check(source={"qemu": "2.12", "devices": [{"driver": "virtio-rng", "devno": "0.0.0003"}]},
                   target={"qemu": "2.10"})  # fmt: skip
    assert result["translated"] is None
    assert "cssid 0 not valid for virtual devices" in result["untranslatable"]


@pytest.mark.parametrize(
    "source, says",
    [
        ({}, "names no QEMU"),
        ({"qemu": "new"}, "expected two numbers"),
        ({"qemu": "7.2", "devices": [{"driver": "vfio-ccw", "devno": "ff.0.0001"}]}, "CC is 0 to fe"),
        ({"qemu": "7.2", "devices": [{"driver": "vfio-ccw", "devno": "fe.0.12345"}]}, "four hexadecimal digits"),
    ],
)
def test_a_description_that_says_too_little_or_nonsense(source, says):
    with pytest.raises(GuestError) as error:
        check(source=source)
    assert says in str(error.value)


def test_a_guest_of_the_host(kernel):
    guest = Guest("linux01", (PassedDevice(UUID, GuestDevno.parse("fe.0.1234")),), qemu=OLD)
    kernel.put("etc/vfio_ccw/guests/linux01.sh", start_script(guest))
    result = check(kernel.host(), guest="linux01", source={"qemu": "2.10"})
    assert result["source"]["squash_mcss"] is True
    assert [one["rule"] for one in result["findings"]] == ["unmigratable"]
    kernel.start_process(4711, command_line(guest))
    kernel.put("etc/vfio_ccw/guests/linux01.sh", "#!/bin/sh\n")
    assert check(kernel.host(), guest="linux01", source={"qemu": "2.10"})["source"] == result["source"]


@pytest.mark.parametrize("name, says", [("none", "has no start script"), ("a,b", "expected letters")])
def test_a_guest_that_is_not_there(kernel, name, says):
    with pytest.raises(GuestError, match=says):
        check(kernel.host(), guest=name)


def test_the_modules_first_example_is_true():
    from ansible_collections.zkvm.vfio_ccw.plugins.modules import migration_check

    first, *_others = yaml.safe_load(migration_check.EXAMPLES)
    result = check(**first["zkvm.vfio_ccw.migration_check"])
    assert (result["migratable"], result["migratable_after_detach"]) == (False, True)


@pytest.mark.parametrize(
    "source, target, cure",
    [
        (OLD, NOW, "Start the new guest with -M s390-ccw-virtio-2.10"),
        (NOW, OLD, "Start the old guest anew with -M s390-ccw-virtio-2.10, which both QEMUs know"),
    ],
)
def test_what_to_do_about_the_machine_type(source, target, cure):
    (finding,) = predict(config(source, RNG), config(target, RNG))
    assert (finding.rule, finding.cure) == ("machine-type", cure)


def test_a_translated_guest_keeps_its_machine_type():
    assert translate(config(OLD, RNG), NOW).machine == "s390-ccw-virtio-2.10"
    assert predict(config(OLD, RNG), translate(config(OLD, RNG), NOW)) == []
    assert translate(config(OLD, RNG), OLD).machine == "s390-ccw-virtio"

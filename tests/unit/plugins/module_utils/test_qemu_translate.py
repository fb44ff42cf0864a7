# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command line for another QEMU: fleets in which some hosts are older than 2.12."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import GuestDevno
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._releases import NotPossible
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._ccwlayout import layout
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._command import config_of, with_properties
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._migration_check import check_migration
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._qemu import (
    Guest,
    PassedDevice,
    command_line,
    start_script,
)
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._translate import EXAMPLES, translate_command
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._versions import QemuVersion

OLD, FREE, NOW = QemuVersion(2, 11), QemuVersion(2, 12), QemuVersion(7, 2)
UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"


def places(argv, qemu):
    """By what the guest's Linux sees: (in its channel subsystem or another one, its bus id)."""
    config = config_of(argv, qemu)
    return [(one.devno.cssid == config.default_css, one.devno.guest_busid) for one in layout(config).placed]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.reason or one.result)
def test_the_examples_of_the_page_are_true(example):
    argv = ["qemu", *example.words.split()]
    if example.reason:
        with pytest.raises(NotPossible) as error:
            translate_command(argv, example.old, example.new)
        assert example.reason in str(error.value)
        return
    made = translate_command(argv, example.old, example.new)
    assert made == ["qemu", *example.result.split()]
    assert places(made, example.new) == places(argv, example.old)
    assert translate_command(made, example.new, example.new) == made


@pytest.mark.parametrize(
    "words, old, new, result",
    [
        # words that are no devices stay, whatever is in them
        (
            ["-nodefaults", "-append", "-device is no option here", "-M", "s390-ccw-virtio-2.11,accel=kvm:tcg"],
            OLD,
            NOW,
            ["-nodefaults", "-append", "-device is no option here", "-M", "s390-ccw-virtio-2.11,accel=kvm:tcg"],
        ),
        # a plain machine type is each QEMU's newest: it gets its name
        (["-nodefaults"], OLD, NOW, ["-M", "s390-ccw-virtio-2.11", "-nodefaults"]),
        (["-nodefaults", "-M", "accel=tcg"], OLD, NOW, ["-nodefaults", "-M", "accel=tcg,type=s390-ccw-virtio-2.11"]),
        # what several say is joined
        (
            ["-nodefaults", "-M", "s390-squash-mcss=on", "-machine", "type=s390-ccw-virtio-2.11"],
            OLD,
            NOW,
            ["-nodefaults", "-M", "s390-ccw-virtio-2.11"],
        ),
        # no channel devices, and a doubled comma
        (
            ["-nodefaults", "-M", "s390-ccw-virtio-2.11", "-device", "scsi-hd,drive=d", "-device",
             "virtio-rng-ccw,id=a,,b,devno=fe.0.0001"],
            OLD,
            NOW,
            ["-nodefaults", "-M", "s390-ccw-virtio-2.11", "-device", "scsi-hd,drive=d", "-device",
             "virtio-rng-ccw,id=a,,b,devno=fe.0.0001"],
        ),
        # as libvirt writes it
        (
            ["-nodefaults", "-M", "s390-ccw-virtio-2.12", "-device", '{"driver":"vfio-ccw","devno":"fe.0.0001"}'],
            NOW,
            FREE,
            ["-nodefaults", "-M", "s390-ccw-virtio-2.12", "-device", '{"driver": "vfio-ccw", "devno": "fe.0.0001"}'],
        ),
        # a network card and a disk that QEMU numbers itself, where they stay
        (
            ["-M", "s390-ccw-virtio-2.11", "-nic", "user", "-device", "virtio-rng-ccw"],
            OLD,
            NOW,
            ["-M", "s390-ccw-virtio-2.11", "-nic", "user", "-device", "virtio-rng-ccw,devno=fe.0.0001"],
        ),
    ],
)  # fmt: skip
def test_a_command_line_is_translated(words, old, new, result):
    assert translate_command(["qemu", *words], old, new) == ["qemu", *result]


@pytest.mark.parametrize("words", ["-drive file=a", "-nic user", "-nic user -drive file=a -drive if=none,file=b"])
def test_what_qemu_makes_by_itself_stays_where_it_was(words):
    machine = "-M s390-ccw-virtio-2.11,s390-squash-mcss=on"
    argv = ["qemu", *f"{machine} -device vfio-ccw,sysfsdev=/x {words} -device virtio-rng-ccw".split()]
    made = translate_command(argv, OLD, NOW)
    assert places(made, NOW) == places(argv, OLD)
    assert len(places(made, NOW)) > 2


@pytest.mark.parametrize("squash, explicit, drive", list(itertools.product([False, True], repeat=3)))
@pytest.mark.parametrize("old, new", list(itertools.permutations([OLD, FREE, NOW], 2)))
def test_the_guest_sees_the_same_or_it_is_said_why_not(old, new, squash, explicit, drive):
    """Every way to write a guest, from each QEMU to each."""
    css = "0" if old < FREE else "fe"
    words = ["-nodefaults", "-M", "s390-ccw-virtio-2.11" + (",s390-squash-mcss=on" if squash else "")]
    words += ["-device", f"vfio-ccw,sysfsdev=/x{f',devno={css}.0.1234' if explicit else ''}"]
    words += ["-device", f"virtio-rng-ccw{',devno=fe.0.0003' if explicit else ''}"]
    words += ["-drive", "file=a"] if drive else []
    argv = ["qemu", *words]
    try:
        before = places(argv, old)
        made = translate_command(argv, old, new)
    except NotPossible as exc:
        assert str(exc)
        assert squash and old == NOW  # gone there: the command line itself is none
        return
    assert places(made, new) == before
    assert ("s390-squash-mcss=on" in " ".join(made)) == (new < FREE and before[0][0])


@pytest.mark.parametrize(
    "text, changes, result",
    [
        ("a,b=1", {"b": "2"}, "a,b=2"),
        ("a,b=1", {"b": None}, "a"),
        ("a,b=1", {"driver": "x"}, "x,b=1"),
        ("driver=a,b=1", {"driver": "x"}, "driver=x,b=1"),
        ("", {"driver": "x", "b": "1"}, "x,b=1"),
        ("", {"b": "1", "driver": "x"}, "x,b=1"),
        ("", {"b": None}, ""),
        ("a,b=1,,2,c", {"d": "1"}, "a,b=1,,2,c,d=1"),
        ('{"driver": "a", "b": true}', {"b": None, "c": "1"}, '{"driver": "a", "c": "1"}'),
    ],
)
def test_properties_are_set(text, changes, result):
    assert with_properties(text, "driver", changes) == result


def test_a_start_script_is_translated(kernel):
    guest = Guest("linux01", (PassedDevice(UUID, GuestDevno.parse("fe.0.1234")),), qemu=OLD, extra=("-append", "a  b"))
    kernel.put("etc/vfio_ccw/guests/linux01.sh", start_script(guest))
    params = {"guest": "linux01", "source": {"qemu": "2.11"}, "target": {"qemu": "7.2"}}
    result = check_migration(kernel.host(), params)
    made = result["translated"]["command"]
    assert made == command_line(
        Guest("linux01", guest.devices, qemu=NOW, extra=guest.extra, machine="s390-ccw-virtio-2.11")
    )
    assert result["warnings_"] == []


def test_a_source_that_still_squashes_is_told_what_to_do_instead():
    machine = "s390-ccw-virtio-2.12,s390-squash-mcss=on"
    command = ["qemu", "-nodefaults", "-M", machine, "-device", "vfio-ccw,devno=fe.0.1234"]
    result = check_migration(None, {"source": {"qemu": "3.0", "command": command}, "target": {"qemu": "7.2"}})
    (warning,) = result["warnings_"]
    assert "deprecated since QEMU 2.12 and gone from 3.1 on" in warning and "devno fe.S.DDDD" in warning
    assert "squash" not in " ".join(result["translated"]["command"])


def test_a_description_beside_the_command_line_has_none():
    source = {"qemu": "7.2", "command": ["qemu", "-nodefaults"], "devices": [{"driver": "vfio-ccw"}]}
    assert check_migration(None, {"source": source, "target": {}})["translated"]["command"] == []

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a disk is formatted, and above all when it is not."""

from __future__ import annotations

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BusId
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import Host
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.disk._ccw import CcwError
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.disk._dasd import parse_label
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.disk._format import FormatRequest, converge_format
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_disk import FakeDisk

DEVICE = BusId.parse("0.0.7e52")
PARTITION = "/dev/dasda1"
EXT4 = {"TYPE": "ext4", "LABEL": "data", "UUID": "11111111-7e46-4d6f-a7e6-4cd8b4b0b0e1"}


@pytest.fixture(name="disk")
def _disk(kernel):
    return FakeDisk(kernel)


def go(disk, filesystem="ext4", destroy=True, check_mode=False, label=""):
    host = Host(root=str(disk.kernel.root), run_command=disk.run)
    return converge_format(host, FormatRequest(DEVICE, filesystem, label, destroy), check_mode)


def unformatted(disk):
    disk.unformatted()


def ldl(disk):
    disk.label("LNX10X7E52".encode("cp037"))


def no_partition(disk):
    disk.no_partition()


def blank(disk):
    """Formatted, with a partition, and nothing on it."""


def other_file_system(disk):
    disk.signatures[PARTITION] = {"TYPE": "xfs", "UUID": "x"}


def physical_volume(disk):
    disk.signatures["/dev/dasda"] = {"TYPE": "LVM2_member", "UUID": "x"}


def alias(disk):
    """Linux shows an alias of a disk (PAV) as a device that is online and has no disk."""
    disk.kernel._rmtree(disk.kernel.root / "sys/devices/css0/0.0.16ca/0.0.7e52/block/dasda")
    disk.kernel.put("sys/bus/ccw/devices/0.0.7e52/alias", "1\n")
    disk.kernel.put("sys/bus/ccw/devices/0.0.7e52/uid", "IBM.x.7e.52\n")


ALL = ["dasdfmt", "fdasd", "mkfs.ext4"]


@pytest.mark.parametrize(
    "prepare, commands, found",
    [
        (unformatted, ALL, "not formatted for Linux"),
        (ldl, ALL, "LDL"),
        (physical_volume, ALL, "LVM2_member on /dev/dasda"),
        (no_partition, ["fdasd", "mkfs.ext4"], "volume serial is 0X7E52"),
        (blank, ["mkfs.ext4"], "partition /dev/dasda1"),
        (other_file_system, ["mkfs.ext4"], "xfs on /dev/dasda1"),
    ],
)
def test_only_with_consent_and_only_what_is_missing(disk, prepare, commands, found):
    prepare(disk)
    with pytest.raises(CcwError) as error:
        go(disk, destroy=False)
    for part in ("0.0.7e52", found, "destroy_data: true", "Nothing was changed"):
        assert part in str(error.value)
    assert disk.commands == []
    planned = go(disk, check_mode=True)
    assert planned["changed"] and disk.commands == []
    done = go(disk, label="data")
    assert [argv[0] for argv in disk.commands] == commands
    assert done["actions"] == planned["actions"]
    assert (done["filesystem"], done["label"], done["layout"], done["partition"]) == ("ext4", "data", "CDL", PARTITION)
    disk.commands.clear()
    assert not go(disk)["changed"] and not go(disk, destroy=False)["changed"]
    assert disk.commands == []


def test_a_disk_that_is_as_wanted_is_left_alone(disk):
    disk.signatures[PARTITION] = dict(EXT4)
    result = go(disk, label="another")
    assert (result["changed"], result["label"], result["uuid"], disk.commands) == (False, "data", EXT4["UUID"], [])


def test_without_a_file_system_the_partition_is_enough(disk):
    assert not go(disk, filesystem="", destroy=False)["changed"]
    disk.signatures[PARTITION] = dict(EXT4)
    assert not go(disk, filesystem="", destroy=True)["changed"]


def mounted(disk):
    disk.kernel.put(
        "proc/self/mountinfo",
        "22 1 0:20 / / rw - overlay overlay rw\n61 22 94:1 / /srv/x rw,relatime - ext4 /dev/dasda1 rw\n",
    )


def test_a_disk_that_is_as_wanted_may_be_in_use(disk):
    """Else the second run of what formats and mounts it would fail."""
    disk.signatures[PARTITION] = dict(EXT4)
    mounted(disk)
    assert not go(disk)["changed"] and not go(disk, destroy=False)["changed"]


def test_a_disk_in_use_is_never_formatted(disk):
    mounted(disk)
    with pytest.raises(CcwError, match="in use: mounted at /srv/x"):
        go(disk)
    assert disk.commands == []


@pytest.mark.parametrize(
    "prepare, says",
    [
        (lambda disk: disk.kernel.put("sys/bus/ccw/devices/0.0.7e52/online", "0\n"), "offline. Set it online first"),
        (lambda disk: disk.kernel.put("sys/bus/ccw/devices/0.0.7e52/discipline", "FBA\n"), "FBA, expected ECKD.*as on"),
        (lambda disk: disk.kernel.put("sys/bus/ccw/devices/0.0.7e52/availability", "no path\n"), "no path, expected"),
        (lambda disk: disk.kernel.put("sys/block/dasda/ro", "1\n"), "the disk is read-only"),
        (alias, "an alias of the disk IBM.x.7e.52"),
        (lambda disk: (disk.kernel.root / "usr/sbin/dasdfmt").unlink(), "Install the package s390-tools"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is(disk, prepare, says):
    disk.unformatted()
    prepare(disk)
    with pytest.raises(CcwError, match=says):
        go(disk)
    assert disk.commands == []


@pytest.mark.parametrize("program, before", [("dasdfmt", "nothing was done"), ("mkfs.ext4", "format, partition")])
def test_a_step_that_fails_says_how_far_it_is_and_can_be_repeated(disk, program, before):
    disk.unformatted()
    disk.fails = {program: 1}
    with pytest.raises(CcwError) as error:
        go(disk)
    for part in (f"{program}: it went wrong", before, "run this again"):
        assert part in str(error.value)
    disk.fails = {}
    assert go(disk)["filesystem"] == "ext4"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("VOL1VOL10X7E52 ", ("CDL", "0X7E52")),
        ("LNX1ABCDEF", ("LDL", "ABCDEF")),
        ("CMS1XYZ   ", ("CMS", "XYZ")),
        ("whatever", ("", "")),
    ],
)
def test_the_label(text, expected):
    assert parse_label(text.encode("cp037")) == expected
    assert parse_label(b"") == ("", "")


@pytest.mark.parametrize(
    "filesystem, label", [("ext4", "x" * 17), ("xfs", "x" * 13), ("ext4", "ä" * 9), ("ext4", "a\nb")]
)
def test_a_label_that_cannot_be_is_said_before_the_disk_is_formatted(disk, filesystem, label):
    disk.unformatted()
    with pytest.raises(CcwError, match=r"0\.0\.7e52: label .* expected at most 1[26] bytes .* Nothing was changed"):
        go(disk, filesystem=filesystem, label=label)
    assert disk.commands == []


def test_a_read_only_disk_that_is_as_wanted_is_no_error(disk):
    disk.signatures[PARTITION] = dict(EXT4)
    disk.kernel.put("sys/block/dasda/ro", "1\n")
    assert not go(disk)["changed"]


def test_a_label_that_mkfs_has_not_written_is_an_error(disk):
    disk._mkfs_ext4 = lambda argv, node: disk.signatures.update({node: dict(EXT4)})
    with pytest.raises(CcwError, match="mkfs.ext4 .* ended with 0"):
        go(disk, label="another")


def another_has_the_name(disk):
    """The disk went offline after a step, and what was set online next is dasda now."""
    directory = disk.kernel.root / "sys/devices/css0/0.0.16ca/0.0.7e52"
    (directory / "block/dasda").rename(directory / "block/dasdz")


def no_device(disk):
    disk.kernel.put("sys/bus/ccw/devices/0.0.7e52/availability", "no device\n")


@pytest.mark.parametrize("leave, says", [(another_has_the_name, "/dev/dasdz now"), (no_device, "no device")])
def test_a_disk_that_goes_away_midway_is_not_looked_for_under_its_name(disk, leave, says):
    settled = []

    def settle(argv, node):
        settled.append(node)
        if len(settled) == 3:  # before and after dasdfmt, and before fdasd
            leave(disk)

    disk._udevadm = settle
    disk.unformatted()
    with pytest.raises(CcwError) as error:
        go(disk)
    for part in ("0.0.7e52", says, "fdasd was not run; done before: format"):
        assert part in str(error.value)
    assert [argv[0] for argv in disk.commands] == ["dasdfmt"]
    assert [one["step"] for one in error.value.done] == ["format"]


def test_a_disk_that_cannot_be_read_after_a_step_says_so(disk):
    """As after a unit check: what was done before is told all the same."""
    make, node = disk._dasdfmt, disk.kernel.root / "dev/dasda"
    disk._dasdfmt = lambda argv, name: make(argv, name) or node.unlink()
    disk.unformatted()
    with pytest.raises(CcwError) as error:
        go(disk)
    for part in ("0.0.7e52: 'dasdfmt", "cannot be read", "/dev/dasda"):
        assert part in str(error.value)


def test_disks_with_more_partitions_or_other_blocks_are_left_alone(disk):
    disk.kernel.put("sys/devices/css0/0.0.16ca/0.0.7e52/block/dasda/dasda2/dev", "94:2\n")
    disk.kernel.link("sys/class/block/dasda2", "sys/devices/css0/0.0.16ca/0.0.7e52/block/dasda/dasda2")
    disk.signatures[PARTITION] = dict(EXT4)
    assert not go(disk)["changed"]
    assert "partition /dev/dasda2" in str(go(disk)["diff"]["before"])

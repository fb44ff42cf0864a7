# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""fstab's line and the mount; what is somebody else's stays."""

from __future__ import annotations

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BusId
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import Host
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.disk._ccw import CcwError
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.disk._mount import (
    MountRequest,
    converge_mount,
    edited,
    parse_line,
    parse_options,
    parse_partition,
    parse_path,
)
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_disk import FakeDisk

DEVICE, UUID = BusId.parse("0.0.7e52"), "2fbf0562-7e46-4d6f-a7e6-4cd8b4b0b0e1"
FSTAB = "# what the installer made\nUUID=aaaa / ext4 defaults 0 1\n"
LINE = f"UUID={UUID} /srv/new ext4 defaults,nofail 0 2\n"


@pytest.fixture(name="disk")
def _disk(kernel):
    disk = FakeDisk(kernel)
    disk.signatures["/dev/dasda1"] = {"TYPE": "ext4", "UUID": UUID}
    kernel.put("etc/fstab", FSTAB)
    return disk


def go(disk, path="/srv/new", check_mode=False, **more):
    return converge_mount(
        Host(root=str(disk.kernel.root), run_command=disk.run), MountRequest(DEVICE, path, **more), check_mode
    )


def test_mounted_and_back(disk):
    planned = go(disk, check_mode=True)
    assert planned["changed"] and disk.commands == [] and disk.kernel.get("etc/fstab") == FSTAB
    done = go(disk)
    assert [one["step"] for one in done["actions"]] == ["fstab", "mount"] and done["actions"] == planned["actions"]
    assert disk.commands == [["mount", "-t", "ext4", "-o", "defaults,nofail", "/dev/dasda1", "/srv/new"]]
    assert disk.kernel.get("etc/fstab") == FSTAB + LINE
    assert not go(disk)["changed"]
    disk.commands.clear()
    assert [one["step"] for one in go(disk, mounted=False)["actions"]] == ["unmount", "fstab"]
    assert (disk.commands, disk.kernel.get("etc/fstab")) == ([["umount", "/srv/new"]], FSTAB)
    assert not go(disk, mounted=False)["changed"]


def test_other_options_are_written_and_nothing_is_mounted_anew(disk):
    go(disk)
    disk.commands.clear()
    assert [one["step"] for one in go(disk, options="ro")["actions"]] == ["fstab"]
    assert f"UUID={UUID} /srv/new ext4 ro 0 2" in disk.kernel.get("etc/fstab") and disk.commands == []


def test_a_mount_that_fails_leaves_fstab_as_it_was(disk):
    disk.fails = {"mount": 32}
    with pytest.raises(CcwError, match="ended with 32 and said: mount: it went wrong. It is not mounted"):
        go(disk)
    assert disk.kernel.get("etc/fstab") == FSTAB


def somebody_is_there(disk):
    text = disk.kernel.get("proc/self/mountinfo")
    disk.kernel.put("proc/self/mountinfo", text + "63 22 8:1 / /srv/new rw - xfs /dev/sda1 rw\n")


def somebody_is_over_it(disk):
    text = disk.kernel.get("proc/self/mountinfo")
    disk.kernel.put("proc/self/mountinfo", text + "62 22 94:1 / /srv/new rw - ext4 /dev/dasda1 rw\n")
    somebody_is_there(disk)


def mounted_over_anothers_line(disk):
    text = disk.kernel.get("proc/self/mountinfo")
    disk.kernel.put("proc/self/mountinfo", text + "62 22 94:1 / /srv/new rw - ext4 /dev/dasda1 rw\n")
    disk.kernel.put("etc/fstab", "UUID=bbbb /srv/new xfs ro 0 0\n")


def files_are_there(disk):
    for name in "abcd":
        disk.kernel.put(f"srv/new/{name}", "")


def a_file_is_there(disk):
    disk.kernel.put("srv/new", "")


def a_link_is_there(disk):
    disk.kernel.put("srv/old/x", "")
    (disk.kernel.root / "srv/new").symlink_to("old")


def volume(disk):
    disk.signatures["/dev/dasda1"] = {"TYPE": "LVM2_member", "UUID": UUID, "USAGE": "raid"}


@pytest.mark.parametrize(
    "prepare, mounted, says",
    [
        (somebody_is_there, True, "/dev/sda1 is mounted at /srv/new already"),
        (somebody_is_over_it, True, "/dev/sda1 is mounted at /srv/new already"),
        (somebody_is_over_it, False, "/dev/sda1 is mounted over it at /srv/new"),
        (files_are_there, True, "/srv/new holds a, b, c and 1 more, which the mount would hide"),
        (a_file_is_there, True, "/srv/new is no directory"),
        (a_link_is_there, True, "/srv/new is /srv/old by a symbolic link"),
        (volume, True, "there is LVM2_member on /dev/dasda1, expected a file system"),
        (lambda disk: disk.kernel.put("etc/fstab", "UUID=bbbb /srv/new xfs ro 0 0\n"), True, "mounts UUID=bbbb at"),
        (lambda disk: disk.kernel.put("etc/fstab", "UUID=bbbb /srv/new xfs ro 0 0\n"), False, "may not be this disk's"),
        (mounted_over_anothers_line, False, "mounts UUID=bbbb at /srv/new, and this disk has ext4 on /dev/dasda1"),
        (lambda disk: disk.signatures.clear(), True, "nothing that is recognised"),
        (lambda disk: disk.no_partition(), True, "no partition 1"),
        (lambda disk: disk.kernel.put("sys/bus/ccw/devices/0.0.7e52/online", "0\n"), True, "or is offline"),
    ],
)
def test_what_is_somebody_elses_stays(disk, prepare, mounted, says):
    prepare(disk)
    before = disk.kernel.get("etc/fstab")
    with pytest.raises(CcwError) as error:
        go(disk, mounted=mounted)
    assert says in str(error.value) and "0.0.7e52" in str(error.value)
    assert (disk.commands, disk.kernel.get("etc/fstab")) == ([], before)


def test_lines_that_concern_no_other_path_are_kept_to_the_letter():
    odd = "#x\n\n/dev/sda1\t/a\\040b   ext4 defaults\nLABEL=x /boot xfs"
    entry = parse_line(LINE)
    assert edited(odd, "/srv/new", entry) == odd + "\n" + LINE
    assert edited(odd + "\n" + LINE + LINE, "/srv/new", entry) == odd + "\n" + LINE
    assert edited(odd, "/a b", None) == "#x\n\nLABEL=x /boot xfs"


@pytest.mark.parametrize("text", ["srv", "/", "/a\nb", ""])
def test_a_path_that_is_none(text):
    with pytest.raises(CcwError, match="expected an absolute path"):
        parse_path(text)


@pytest.mark.parametrize("text", ["", "a b", "ro\n/dev/x / ext4", "#"])
def test_options_that_are_none(text):
    with pytest.raises(CcwError, match="expected mount options"):
        parse_options(text)


def test_a_mounted_disk_that_cannot_be_read_any_more_is_unmounted(disk):
    """Its UUID is not known then, but what is mounted there is it."""
    go(disk)
    disk.signatures["/dev/dasda1"] = {}
    go(disk, mounted=False)
    assert disk.kernel.get("etc/fstab") == FSTAB
    assert disk.commands[-1] == ["umount", "/srv/new"]


def test_of_a_disk_that_is_gone_nobody_knows_whose_the_line_is(disk):
    """The kernel keeps the mount (drivers/s390/cio/device.c); what is left is said."""
    go(disk)
    disk.kernel._rmtree(disk.kernel.root / "sys/devices/css0/0.0.16ca/0.0.7e52")
    with pytest.raises(CcwError, match="offline or gone.*Unmount /dev/dasda1, which is there, and remove that line"):
        go(disk, mounted=False)


def test_a_partition_is_known_by_its_number(disk):
    """The first one was deleted: the second is the only one."""
    path = "sys/devices/css0/0.0.16ca/0.0.7e52/block/dasda/dasda"
    (disk.kernel.root / f"{path}1").rename(disk.kernel.root / f"{path}2")
    (disk.kernel.root / "sys/class/block/dasda1").unlink()
    disk.kernel.link("sys/class/block/dasda2", f"{path}2")
    with pytest.raises(CcwError, match="no partition 1"):
        go(disk)
    for number in (0, -1):
        with pytest.raises(CcwError, match=f"partition {number}: expected the number of a partition"):
            parse_partition(number)

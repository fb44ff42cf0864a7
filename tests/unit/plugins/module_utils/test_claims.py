# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on a disk, and what is said where nobody could look."""

from __future__ import annotations

import errno
import json
import os

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import Host, HostError, StillBlocked
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.host._contents import Contents, identify_file
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._table import Refused
from ansible_collections.zkvm.vfio_ccw.tests.unit import disk_labels as labels
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_kernel import DASD, converge

ARRAY_OLD = "01010101:00010203:04050607:08090a0b"
MEMBER = "linux_raid_member"

LABELS = [
    (labels.lvm(), Contents("LVM2_member", "oqvDjc-lyYf-q0We-1PUX-rVb5-S7Nq-zTDKvT", volume="volume group vg0")),
    (
        labels.lvm(""),
        Contents("LVM2_member", "oqvDjc-lyYf-q0We-1PUX-rVb5-S7Nq-zTDKvT", volume="no volume group yet"),
    ),
    (labels.array("0.90"), Contents(MEMBER, ARRAY_OLD, volume=f"RAID array {ARRAY_OLD}")),
    (labels.array("1.0"), Contents(MEMBER, labels.ARRAY, "lpar1:data", "RAID array lpar1:data")),
    (labels.array("1.1"), Contents(MEMBER, labels.ARRAY, "lpar1:data", "RAID array lpar1:data")),
    (labels.array("1.2", name=""), Contents(MEMBER, labels.ARRAY, "", f"RAID array {labels.ARRAY}")),
    (labels.btrfs(2), Contents("btrfs", labels.BTRFS, "pool", f"btrfs file system {labels.BTRFS} of 2 disks")),
    (labels.btrfs(1), Contents("btrfs", labels.BTRFS, "pool")),
    (labels.ext4(), Contents("ext4", labels.FILE_SYSTEM, "data")),
    (labels.xfs(), Contents("xfs", labels.FILE_SYSTEM, "data")),
    (labels.swap(), Contents("swap", labels.SWAP_AREA, "swap1")),
    (labels.luks(1), Contents("crypto_LUKS", labels.FILE_SYSTEM)),
    (labels.luks(2), Contents("crypto_LUKS", labels.FILE_SYSTEM, "secret")),
    ({}, None),
    ({0: b"\xff" * 4096}, None),
]


@pytest.mark.parametrize(
    "label, found", LABELS, ids=[str(found and found.type) + str(n) for n, (_l, found) in enumerate(LABELS)]
)
def test_a_label_is_read_from_the_disk(tmp_path, label, found):
    labels.write(tmp_path / "disk", label)
    answer = json.loads(identify_file(str(tmp_path / "disk")))
    assert (answer and Contents(**answer)) == found


@pytest.mark.parametrize("label", [label for label, found in LABELS if found])
@pytest.mark.parametrize("size", [0, 600, 4600, 66000])
def test_a_label_that_is_cut_off_is_no_error(tmp_path, label, size):
    labels.write(tmp_path / "disk", label)
    with open(tmp_path / "disk", "r+b") as disk:
        disk.truncate(size)
    assert json.loads(identify_file(str(tmp_path / "disk"))) != ""


def warnings(kernel, *devices):
    return converge(kernel.host(), [{"device": device} for device in devices], check_mode=True).warnings


def test_disks_that_were_not_looked_at_are_told(kernel):
    for number in range(3):
        kernel.add_subchannel(f"0.0.300{number}", f"0.0.800{number}", **DASD)
    assert warnings(kernel, "0.0.7e52") == []
    assert warnings(kernel, "0.0.7e52", "0.0.7e54", "0.0.8000-0.0.8002") == [
        "0.0.7e54, 0.0.8000-0.0.8002: nobody looked whether a volume (LVM, RAID, btrfs) or /etc/fstab needs what is on "
        "it, whether another system uses it, and whether it is a PAV alias, for it is offline"
    ]


def test_a_disk_without_a_path_is_not_read(kernel):
    kernel.put("sys/devices/css0/0.0.16ca/0.0.7e52/availability", "no path\n")
    kernel.stuck.add("/dev/dasda1")
    item = {"device": "0.0.7e52", "force": ["unavailable"]}
    assert "it does not answer" in converge(kernel.host(), [item], check_mode=True).warnings[0]


def test_disks_that_keep_their_readers_waiting_are_told_and_no_more_are_read(kernel):
    for number in range(4):
        kernel.add_subchannel(f"0.0.300{number}", f"0.0.800{number}", **DASD, online="1", disk=f"dasd{number}x")
        kernel.stuck.add(f"/dev/dasd{number}x1")
    told = warnings(kernel, "0.0.8000-0.0.8003")
    assert len(told) == 3
    assert told[0].startswith("0.0.8000: ") and "/dev/dasd0x1: not finished after 10 s" in told[0]
    assert told[2].startswith("0.0.8002-0.0.8003: ") and "others before it did not answer" in told[2]


def test_a_file_system_that_is_complete_lays_no_claim(kernel):
    labels.write(kernel.root / "dev/dasda1", labels.ext4())
    kernel.put("etc/fstab", "UUID=00000000-7a5e-4f0e-8f62-9d2c1c1a7e02 /srv ext4 defaults 0 0\nproc /proc proc\n")
    assert converge(kernel.host(), [{"device": "0.0.7e52"}], check_mode=True).changed


@pytest.mark.parametrize(
    "spec, claimed",
    [
        (f"UUID={labels.FILE_SYSTEM.upper()}", True),
        (f"/dev/disk/by-uuid/{labels.FILE_SYSTEM}", True),
        ("LABEL=data", True),
        ("LABEL=DATA", False),
        ("PARTUUID=data", False),
    ],
)
def test_a_file_system_is_named_by_what_is_on_it(kernel, spec, claimed):
    labels.write(kernel.root / "dev/dasda1", labels.ext4())
    kernel.put("etc/fstab", f"{spec} /srv ext4 defaults 0 0\n")
    item = [{"device": "0.0.7e52"}]
    if claimed:
        with pytest.raises(Refused, match="in-fstab"):
            converge(kernel.host(), item, check_mode=True)
    else:
        assert converge(kernel.host(), item, check_mode=True).changed


def test_a_volume_over_a_partitioned_disk_is_that_of_the_partition(kernel):
    """The beginning of a disk with partitions is the volume's label and whatever was there before."""
    labels.write(kernel.root / "dev/dasda", labels.lvm("old"))
    assert converge(kernel.host(), [{"device": "0.0.7e52"}], check_mode=True).changed


def test_what_blocks_is_left_to_its_child(tmp_path):
    (tmp_path / "disk").write_text("text", encoding="utf-8")
    host = Host(root=str(tmp_path))
    assert host.ask_bounded(read, "/disk", 10) == "text"
    with pytest.raises(HostError, match="ENOENT") as failed:
        host.ask_bounded(read, "/none", 10)
    assert failed.value.errno == errno.ENOENT
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(StillBlocked, match="read /fifo: not finished"):
        host.ask_bounded(read, "/fifo", 0.01)  # until somebody opens it for writing
    assert host.ask_bounded(read, "/disk", 10) == "text"
    os.close(os.open(tmp_path / "fifo", os.O_WRONLY))


def read(path: str) -> str:
    with open(path, encoding="utf-8") as text:
        return text.read()

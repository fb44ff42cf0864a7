# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disk a partition is of, and what numbers they have."""

from __future__ import annotations

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.host._blocks import Blocks, disk_of

NAMES = frozenset(["dasda", "dasda1", "dasdaa", "dasdaa1", "dasdaa10", "vda", "nvme0n1", "nvme0n1p1", "md0", "loop10"])


@pytest.mark.parametrize(
    ("name", "disk"),
    [
        ("dasda1", "dasda"),
        ("dasdaa10", "dasdaa"),
        ("nvme0n1p1", "nvme0n1"),
        ("dasda", ""),
        ("nvme0n1", ""),
        ("md0", ""),
        ("loop10", ""),
        ("vdb1", ""),
    ],
)
def test_the_disk_of_a_partition(name, disk):
    assert disk_of(name, NAMES) == disk


def test_a_disk_without_a_size_has_its_number_from_sysfs(kernel):
    kernel.partitions = lambda: "major minor  #blocks  name\n\n  94        1     143976 dasda1\n"
    disk = Blocks(kernel.host()).disk("dasda")
    assert (disk.number, [(part.name, part.number) for part in disk.partitions]) == ("94:0", [("dasda1", "94:1")])

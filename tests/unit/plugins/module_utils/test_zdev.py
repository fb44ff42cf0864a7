# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""chzdev, wrapped: what is asked is what is missing, and lszdev has the last word."""

from __future__ import annotations

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BusId
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import Host
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.disk._zdev import ZdevError, converge_zdev, parse_pairs
from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_disk import FakeDisk

BOTH = (BusId.parse("0.0.7e52"), BusId.parse("0.0.7e54"))


@pytest.fixture(name="disk")
def _disk(kernel):
    return FakeDisk(kernel)


def go(disk, present=True, check_mode=False):
    return converge_zdev(Host(root=str(disk.kernel.root), run_command=disk.run), BOTH, present, check_mode)


def test_there_and_back(disk):
    disk.persistent = {"0.0.7e52"}
    assert go(disk, check_mode=True)["changed"] and disk.commands == []
    done = go(disk)
    assert [one["device"] for one in done["actions"]] == ["0.0.7e54"]
    assert disk.commands == [["chzdev", "--enable", "--persistent", "--no-root-update", "--yes", "dasd", "0.0.7e54"]]
    assert not go(disk)["changed"]
    assert go(disk, present=False)["changed"] and disk.persistent == set()
    assert not go(disk, present=False)["changed"]


def test_what_chzdev_did_is_read_back(disk):
    disk._chzdev = lambda argv, node: None
    with pytest.raises(ZdevError, match=r"0\.0\.7e52, 0\.0\.7e54: .*lszdev says that it is not set online"):
        go(disk)


def test_without_chzdev_the_package_is_named(disk):
    (disk.kernel.root / "usr/sbin/chzdev").unlink()
    with pytest.raises(ZdevError, match="0.0.7e52, 0.0.7e54: chzdev is not installed.*s390-tools"):
        go(disk)


def test_only_names_of_devices_count():
    text = 'ID="0.0.1234" PERS="yes"\nID="0.0.1235" PERS="no"\nID="0.0.1236:0.0.1237" PERS="yes"\n'
    assert parse_pairs(text) == {BusId.parse("0.0.1234")}

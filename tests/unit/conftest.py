# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the collection importable under its full name, also without ansible-test, and gives a fake host."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _make_importable() -> None:
    try:
        if importlib.util.find_spec("ansible_collections.zkvm.vfio_ccw.plugins.module_utils") is not None:
            return
    except ModuleNotFoundError:
        pass
    tree = ROOT / "build" / "collections" / "ansible_collections" / "zkvm" / "vfio_ccw"
    tree.parent.mkdir(parents=True, exist_ok=True)
    if not tree.is_symlink():
        tree.symlink_to(ROOT)
    sys.path.insert(0, str(ROOT / "build" / "collections"))


_make_importable()


@pytest.fixture(name="kernel")
def _kernel(tmp_path):
    """A host as lpar1 of the seed: a DASD that is online, one that is mounted, idle ones, virtio devices, CHSC."""
    from ansible_collections.zkvm.vfio_ccw.tests.unit.fake_kernel import seed

    return seed(tmp_path)

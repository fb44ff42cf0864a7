# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the channel core's tests; what they give is in core_rig.py."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from core_rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "disk.ckd")
    yield rig
    rig.image.close()


@pytest.fixture
def read_only_rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path / "disk.ckd", read_only=True)
    yield rig
    rig.image.close()

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every refusal is met by a user somewhere: tests/integration provokes it on an emulated host and looks for its id."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals import _table

INTEGRATION = Path(__file__).resolve().parents[1] / "integration"
TABLES = {
    "device": [row.id for row in _table.ROWS],
    "list": list(_table.LIST_REFUSALS),
    "guest": [row.id for row in _table.LIBVIRT_ROWS],
    "node": [row.id for row in _table.NODE_ROWS],
}

NOT_MET = {
    "foreign-driver": "no driver of Linux but io_subchannel and vfio_ccw takes a subchannel of type 0 (css_bus_match)",
    "libvirt-too-old": "a lab runs the machine's own libvirt, and there is no older one to install beside it",
    "serves": "no ccw driver of Linux 6.1 puts a net or tty directory below its device: con3215 and tty3270 register "
    "terminals without a parent, ctcm, lcs and qeth have the interface below the group, which is 'grouped'",
}
"""What no test on an emulated host provokes, and why."""


def met() -> set[str]:
    """The ids that a test of the folder names: as a text of its own, or in brackets as in a message."""
    texts = [path.read_text(encoding="utf-8") for path in INTEGRATION.glob("*.py")]
    return {found for text in texts for found in re.findall(r"[\"'\[]([a-z]+(?:-[a-z]+)*)[\"'\]]", text)}


def ids() -> list[str]:
    return sorted({one for table in TABLES.values() for one in table})


@pytest.mark.parametrize("refusal", ids())
def test_it_is_met_or_it_is_said_why_not(refusal):
    assert (refusal in met()) != (refusal in NOT_MET)


def test_what_is_not_met_is_a_refusal():
    assert set(NOT_MET) <= set(ids())

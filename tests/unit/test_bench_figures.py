# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the figures of tests/bench say of times, peers and targets."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

from figures import Figure, Target, bounded, faster, rate, table


def test_figures_are_the_fastest_and_rounds_are_compared_one_by_one() -> None:
    figure = faster("read", [1.0, 4.0, 2.0], "peer", [3.0, 10.0, 4.0])  # 3, 2.5 and 2 times
    assert (figure.value, figure.peer_value, figure.ratio, figure.by_rounds) == (1.0, 3.0, 3.0, 2.5)
    figure = rate("read", "MiB/s", [3.0, 1.0, 2.0], "peer", [6.0, 1.0, 8.0], 0.5)
    assert (figure.value, figure.peer_value, figure.ratio, figure.by_rounds) == (3.0, 8.0, 0.375, 0.5)
    figure = bounded("read", [3.0, 4.0, 2.0], "limit", [1.0, 2.0, 0.8])
    assert (figure.value, figure.peer_value, figure.ratio, figure.by_rounds) == (2.0, 0.8, 2.5, 2.5)


@pytest.mark.parametrize(
    ("figure", "met"),
    [
        (faster("f", [1.0], "peer", [2.0], 2), True),
        (faster("f", [1.0], "peer", [1.9], 2), False),
        (faster("f", [1.0], "peer", [1.9]), None),
        (faster("f", [1.0], "peer", [], 2), None),
        (rate("f", "MiB/s", [2.0], "peer", [4.0], 0.5), True),
        (rate("f", "MiB/s", [1.9], "peer", [4.0], 0.5), False),
        (bounded("f", [3.0], "limit", [2.0], 1.5), True),
        (bounded("f", [3.1], "limit", [2.0], 1.5), False),
        (Figure("f", "µs", 0.9, target=Target(most=1)), True),
        (Figure("f", "µs", 1.1, target=Target(most=1)), False),
    ],
)
def test_targets(figure: Figure, met: bool | None) -> None:
    assert figure.to_json()["met"] is met


def test_a_peer_that_is_not_there_is_said_to_be_missing() -> None:
    figure = faster("f", [1.0], "Hercules", [], 2)
    assert figure.to_json() == {
        "name": "f",
        "unit": "µs",
        "value": 1.0,
        "peer": "Hercules: not there",
        "peer_value": None,
        "ratio": None,
        "target": "at least 2",
        "met": None,
    }
    assert "Hercules: not there" in table([figure])


def test_a_round_without_a_time_of_both_is_an_error() -> None:
    with pytest.raises(ValueError):
        faster("f", [1.0, 2.0], "peer", [2.0])

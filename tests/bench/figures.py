# SPDX-License-Identifier: GPL-2.0-or-later
"""Measured figures and their targets: what build/bench.json holds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """A bound of a figure's ratio, or, where there is none, of its value."""

    least: float | None = None
    most: float | None = None

    def met(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        return f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"


@dataclass(frozen=True)
class Figure:
    """A measured value. ``ratio``: how many times faster than the peer; of a limit, how many times the limit.

    ``by_rounds``: the median of the rounds' ratios. ``measured``: false where the peer was not there, so that nothing
    can be said of the target.
    """

    name: str
    unit: str
    value: float
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    target: Target | None = None
    by_rounds: float | None = None
    measured: bool = True

    @property
    def met(self) -> bool | None:
        """None without a target, or without a peer."""
        if self.target is None or not self.measured:
            return None
        return self.target.met(self.value if self.ratio is None else self.ratio)

    def to_json(self) -> dict[str, Any]:
        def rounded(value: float | None) -> float | None:
            return None if value is None else round(value, 3)

        return {
            "name": self.name,
            "unit": self.unit,
            "value": rounded(self.value),
            "peer": self.peer,
            "peer_value": rounded(self.peer_value),
            "ratio": rounded(self.ratio),
            "target": None if self.target is None else str(self.target),
            "met": self.met,
        }


def faster(
    name: str,
    times: Sequence[float],
    peer: str,
    peer_times: Sequence[float],
    least: float | None = None,
    unit: str = "µs",
) -> Figure:
    """The fastest time of several rounds against the peer's; without any of the peer's, it was not there."""
    target = None if least is None else Target(least=least)
    value = min(times)
    if not peer_times:
        return Figure(name, unit, value, f"{peer}: not there", target=target, measured=False)
    by_rounds = statistics.median(other / own for own, other in zip(times, peer_times, strict=True))
    best = min(peer_times)
    return Figure(name, unit, value, peer, best, best / value, target, by_rounds)


def rate(
    name: str, unit: str, rates: Sequence[float], peer: str, peer_rates: Sequence[float], least: float | None = None
) -> Figure:
    """The highest of several rounds' rates against the peer's."""
    target = None if least is None else Target(least=least)
    by_rounds = statistics.median(own / other for own, other in zip(rates, peer_rates, strict=True))
    value, best = max(rates), max(peer_rates)
    return Figure(name, unit, value, peer, best, value / best, target, by_rounds)


def bounded(
    name: str,
    times: Sequence[float],
    limit: str,
    limit_times: Sequence[float],
    most: float | None = None,
    unit: str = "µs",
) -> Figure:
    """The fastest time of several rounds against what was possible at all."""
    target = None if most is None else Target(most=most)
    by_rounds = statistics.median(own / possible for own, possible in zip(times, limit_times, strict=True))
    value, best = min(times), min(limit_times)
    return Figure(name, unit, value, limit, best, value / best, target, by_rounds)


def table(figures: list[Figure]) -> str:
    """For the terminal."""

    def number(value: float | None, digits: int) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    rows = [("name", "value", "unit", "peer", "peer's", "ratio", "by rounds", "target", "met")]
    for figure in figures:
        rows.append(
            (
                figure.name,
                number(figure.value, 3),
                figure.unit,
                figure.peer or "",
                number(figure.peer_value, 3),
                number(figure.ratio, 2),
                number(figure.by_rounds, 2),
                "" if figure.target is None else str(figure.target),
                {True: "yes", False: "NO", None: ""}[figure.met],
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = {1, 4, 5, 6}
    lines = (
        "  ".join(
            cell.rjust(width) if at in right else cell.ljust(width) for at, (cell, width) in enumerate(zip(row, widths))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)

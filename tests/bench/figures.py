# SPDX-License-Identifier: GPL-2.0-or-later
"""Measured figures and their targets: what build/bench.json holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
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
    """A measured value. ``ratio``: how many times faster than the peer; of a limit, how many times the limit."""

    name: str
    unit: str
    value: float
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    target: Target | None = None

    @property
    def met(self) -> bool | None:
        """None without a target."""
        if self.target is None:
            return None
        return self.target.met(self.value if self.ratio is None else self.ratio)

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self)
        for name in ("value", "peer_value", "ratio"):
            fields[name] = None if fields[name] is None else round(fields[name], 3)
        fields["target"] = None if self.target is None else str(self.target)
        return {**fields, "met": self.met}


def faster(name: str, value: float, peer: str, peer_value: float, least: float | None = None) -> Figure:
    """A time against a peer's time."""
    target = None if least is None else Target(least=least)
    return Figure(name, "µs", value, peer, peer_value, peer_value / value, target)


def bounded(name: str, value: float, limit: str, limit_value: float, most: float | None = None) -> Figure:
    """A time against what is possible at all."""
    target = None if most is None else Target(most=most)
    return Figure(name, "µs", value, limit, limit_value, value / limit_value, target)


def table(figures: list[Figure]) -> str:
    """For the terminal."""

    def number(value: float | None, digits: int) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    rows = [("name", "value", "unit", "peer", "peer's", "ratio", "target", "met")]
    for figure in figures:
        rows.append(
            (
                figure.name,
                number(figure.value, 3),
                figure.unit,
                figure.peer or "",
                number(figure.peer_value, 3),
                number(figure.ratio, 2),
                "" if figure.target is None else str(figure.target),
                {True: "yes", False: "NO", None: ""}[figure.met],
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = {1, 4, 5}
    lines = (
        "  ".join(
            cell.rjust(width) if at in right else cell.ljust(width) for at, (cell, width) in enumerate(zip(row, widths))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)

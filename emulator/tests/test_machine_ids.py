# SPDX-License-Identifier: GPL-2.0-or-later
"""Numbers that are given out: always the lowest free one (ida_alloc)."""

from __future__ import annotations

from ccwemu.machine.driver_base import IdAllocator


def test_the_lowest_free_number_is_given() -> None:
    numbers = IdAllocator()
    assert [numbers.get() for _ in range(5)] == [0, 1, 2, 3, 4]
    for number in (3, 1, 1):  # one that is free already is no error
        numbers.put(number)
    assert [numbers.get() for _ in range(4)] == [1, 3, 5, 6]
    for number in range(7):
        numbers.put(number)
    assert [numbers.get() for _ in range(3)] == [0, 1, 2]

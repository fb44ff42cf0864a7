# SPDX-License-Identifier: GPL-2.0-or-later
"""For pytest: the fixture ``ccwemu_lab``, which starts labs. pytest finds this by itself where ccwemu is installed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ccwemu.client import Definition, Lab


@pytest.fixture(scope="session")
def ccwemu_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Definition], Lab]]:
    """A function that starts a lab, by its definition's path, "seed", or a mapping, and returns it.

    Each has a directory of its own. It ends with the session, or before by its method ``end`` or as a context manager;
    a fixture of yours gives it another scope.
    """
    from ccwemu.client import Lab

    with contextlib.ExitStack() as labs:

        def start(definition: Definition) -> Lab:
            return labs.enter_context(Lab(definition, tmp_path_factory.mktemp("ccwemu")))

        yield start

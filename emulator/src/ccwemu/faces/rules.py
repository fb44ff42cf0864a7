# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the kernel's file systems differ from each other, and how a face is tied to its machine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from ccwemu.machine.lock import MachineLock
from ccwemu.machine.tree import PAGE_SIZE

FOREVER = 1 << 30
"""Seconds that the kernel may remember something which can only change through itself."""


@dataclass(frozen=True)
class Rules:
    """Where the kernel's file systems differ from each other."""

    write_limit: int = PAGE_SIZE
    """Bytes of one write() that reach the store function: a page in sysfs; proc has no common limit."""
    cut_at_nul: bool = True
    """Whether a NUL ends what was written, as it does where store functions take a C string."""
    max_write: int = 16 * PAGE_SIZE
    """The largest write, in bytes, that arrives in one piece."""
    polled: bool = False
    """Whether a reader may wait for changes of an attribute, as in sysfs."""
    root_needs_bits: bool = True
    """Whether opening for reading (writing) needs a read (write) bit in the mode even for root, as in sysfs."""


SYSFS = Rules(polled=True)
PROCFS = Rules(write_limit=64 * 1024, cut_at_nul=False, root_needs_bits=False)
DEVICES = Rules(max_write=1024 * 1024)


@dataclass(frozen=True)
class Wiring:
    """How a face is tied to its machine and to the machine's other faces."""

    lock: MachineLock = field(default_factory=MachineLock)
    """The machine's: held around every show (to read), store and open."""
    store: Callable[[], AbstractContextManager[None]] = nullcontext
    """Entered for each store, without the lock, and left before who wrote is answered."""
    noted: Callable[[], None] = lambda: None
    """Called, possibly with the lock held, when there is something for ``forget_stale`` to do."""

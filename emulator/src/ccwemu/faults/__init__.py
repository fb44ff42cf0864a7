# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults that a user has the devices of a lab's hosts meet.

``ccwemu fault`` (:mod:`ccwemu.faultcli`) → the lab's daemon → ``board`` (what is armed, and who executes) → ``armed``
(on a device of the core, here or in a guest's process). ``model`` is what a fault is.
"""

from ccwemu.faults.model import ANY_COMMAND, SENSES, Fault, FaultError, Kind, parse_sense

__all__ = ["ANY_COMMAND", "SENSES", "Fault", "FaultError", "Kind", "parse_sense"]

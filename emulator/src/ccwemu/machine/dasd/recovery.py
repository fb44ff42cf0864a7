# SPDX-License-Identifier: GPL-2.0-or-later
"""Error recovery: which failed requests are tried again.

Source: Linux drivers/s390/block/dasd_3990_erp.c (dasd_3990_erp_inspect_24 and what it calls). Linux waits a minute
between two tries of a device that needs an intervention, and uses another path after an equipment check; here each
retry comes at once.
"""

from __future__ import annotations

RETRIES = 10
"""As dasd_3990_erp_action_1 and its like grant."""

_SHORT_FORMAT = 0x80
_STATE_CHANGE = 0x1D

_RETRIED_0 = 0x40 | 0x20 | 0x10 | 0x08 | 0x04
"""Intervention required, bus-out check, equipment check, data check, overrun."""
_FATAL_1 = 0x40 | 0x20 | 0x08 | 0x04
"""Invalid track format, end of cylinder, no record found, file protected."""
_ENVIRONMENTAL = 0x10


def recoverable(sense: bytes) -> bool:
    """Is a request that ended with a unit check and these sense bytes tried again? Without any: no."""
    if not sense:
        return False
    sense = sense.ljust(32, b"\0")
    if not sense[27] & _SHORT_FORMAT:
        return sense[25] == _STATE_CHANGE
    environmental = bool(sense[2] & _ENVIRONMENTAL)
    if sense[0] & 0x80:  # command reject
        return environmental
    if sense[0] & _RETRIED_0:
        return True
    return environmental or not sense[1] & _FATAL_1

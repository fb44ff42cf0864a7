# SPDX-License-Identifier: GPL-2.0-or-later
"""A model of Linux's dasd_eckd driver: used by the emulated host, and by the quick guest.

``driver → attributes, bringup, disk → labels, request → eckd, confdata → program``. It issues channel
programs and does not know to whom: a :class:`~ccwemu.machine.ccwdriver.ChannelDevice` takes them.
"""

from ccwemu.machine.dasd.disk import DasdDisk
from ccwemu.machine.dasd.driver import DasdEckd
from ccwemu.machine.dasd.program import AREA_SIZE, ProgramArea

__all__ = ["AREA_SIZE", "DasdDisk", "DasdEckd", "ProgramArea"]

# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a channel program and judge how it ended; every failure names the CCW and the sense bytes.

Sense bytes: 3990 Storage Control Reference (24 bytes when byte 27 bit 0 is on, 32 otherwise); Linux dasd_3990_erp.c.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence

from ccwemu.machine.ccwdriver import EXPIRES, Ccw, ChannelDevice, Ending
from ccwemu.machine.dasd.eckd import BASIC_SENSE
from ccwemu.machine.dasd.program import IRB_SIZE, SUPPRESS_LENGTH, concurrent_sense, failing_ccw
from ccwemu.machine.dasd.recovery import RETRIES, recoverable

# Device status
BUSY = 0x10
CHANNEL_END = 0x08
DEVICE_END = 0x04
UNIT_CHECK = 0x02
UNIT_EXCEPTION = 0x01
# Subchannel status that says nothing bad: program-controlled interruption
_PCI = 0x80

COMMAND_REJECT = 0x80
NO_RECORD_FOUND = 0x08

_SENSE_NAMES = (
    (0, 0x80, "command reject"),
    (0, 0x40, "intervention required"),
    (0, 0x20, "bus-out parity"),
    (0, 0x10, "equipment check"),
    (0, 0x08, "data check"),
    (0, 0x04, "overrun"),
    (1, 0x80, "permanent error"),
    (1, 0x40, "invalid track format"),
    (1, 0x20, "end of cylinder"),
    (1, 0x08, "no record found"),
    (1, 0x04, "file protected"),
    (1, 0x02, "write inhibited"),
)

NOT_OPERATIONAL = 3
"""Condition code."""

_CONDITION = {
    1: (errno.EBUSY, "the subchannel has status pending"),
    2: (errno.EBUSY, "the subchannel is busy"),
    NOT_OPERATIONAL: (errno.ENODEV, "the subchannel is not operational, or no path to the device is left"),
}


class RequestFailed(OSError):
    """A channel program that did not do what it should.

    ``errno``: EIO, or where it was not even started EBUSY or ENODEV. ``report`` is one line for the kernel log.
    """

    def __init__(self, number: int, report: str, sense: bytes = b"") -> None:
        super().__init__(number, os.strerror(number))
        self.report = report
        self.sense = sense

    @property
    def recoverable(self) -> bool:
        """Is it tried again? What could not be started is not: no path is left."""
        return self.errno == errno.EIO and recoverable(self.sense)

    def _sense(self, byte: int, bit: int) -> bool:
        return len(self.sense) > byte and bool(self.sense[byte] & bit)

    @property
    def command_reject(self) -> bool:
        return self._sense(0, COMMAND_REJECT)

    @property
    def no_record_found(self) -> bool:
        return self._sense(1, NO_RECORD_FOUND)

    def __str__(self) -> str:
        return self.report


def describe_sense(sense: bytes) -> str:
    """The sense bytes in hexadecimal, and the names of the conditions that they tell."""
    names = [name for byte, bit, name in _SENSE_NAMES if len(sense) > byte and sense[byte] & bit]
    groups = " ".join(sense[start : start + 8].hex(" ") for start in range(0, len(sense), 8))
    return (groups or "none") + (f" ({', '.join(names)})" if names else "")


def _report(program: Sequence[Ccw], ending: Ending, sense: bytes) -> str:
    scsw = ending.irb[:12].ljust(12, b"\0")
    function, activity = scsw[2] >> 4 & 7, (scsw[2] & 0x0F) << 4 | scsw[3] >> 4
    report = (
        f"I/O status report: CC:{scsw[0] & 3:02X} FC:{function:02X} AC:{activity:02X} SC:{scsw[3] & 0x1F:02X} "
        f"DS:{scsw[8]:02X} CS:{scsw[9]:02X}"
    )
    index = failing_ccw(ending)
    if index is not None and index < len(program):
        ccw = program[index]
        count = ccw.data if isinstance(ccw.data, int) else len(ccw.data)
        chained = 0x40 if index < len(program) - 1 else 0
        report += f", failing CCW {index + 1} of {len(program)}: {ccw.command:02X}{ccw.flags | chained:02X}{count:04X}"
    return f"{report}, sense {describe_sense(sense)}"


def _ended_well(ending: Ending) -> bool:
    status = ending.device_status
    return (
        status & (UNIT_CHECK | UNIT_EXCEPTION | BUSY) == 0
        and status & (CHANNEL_END | DEVICE_END) == CHANNEL_END | DEVICE_END
        and ending.subchannel_status & ~_PCI == 0
    )


def _sense(channel: ChannelDevice, ending: Ending) -> bytes:
    """The sense bytes of a unit check: those that came with the status, else by Basic Sense."""
    sense = concurrent_sense(ending)
    if sense:
        return sense
    basic = channel.run([Ccw(BASIC_SENSE, 32, SUPPRESS_LENGTH)])
    return (basic.data[0] or b"") if basic.cc == 0 and basic.data else b""


def execute(
    channel: ChannelDevice, program: Sequence[Ccw], lpm: int = 0, log: Callable[[str], None] = lambda text: None
) -> tuple[bytes | None, ...]:
    """Run a program, again where error recovery says so; what each of its read-type CCWs brought (None for the others).

    Raises RequestFailed, and OSError as the channel device does (what a region of vfio-ccw answers).
    """
    for left in range(RETRIES, 0, -1):
        try:
            return _execute_once(channel, program, lpm)
        except RequestFailed as failure:
            if not failure.recoverable:
                raise
        except TimeoutError:
            log(f"The request timed out, {left} retries remaining")
    return _execute_once(channel, program, lpm)


def _execute_once(channel: ChannelDevice, program: Sequence[Ccw], lpm: int) -> tuple[bytes | None, ...]:
    ending = channel.run(program, lpm)
    condition = ending.cc or ending.irb[0] & 3  # the latter is deferred: known only after the start
    if condition:
        number, reason = _CONDITION[condition]
        raise RequestFailed(number, f"the channel program could not be started (condition code {condition}): {reason}")
    if _ended_well(ending):
        return ending.data
    sense = _sense(channel, ending) if ending.device_status & UNIT_CHECK else b""
    raise RequestFailed(errno.EIO, _report(program, ending, sense), sense)


class OnPaths:
    """A channel device over those of its paths that ``usable`` says: none, and it is not operational.

    Linux lets requests wait for a path; here they fail at once.
    """

    def __init__(
        self, channel: ChannelDevice, usable: Callable[[], int], expires: Callable[[], float] = lambda: EXPIRES
    ) -> None:
        """``expires``: seconds that a program is given."""
        self._channel = channel
        self._usable = usable
        self._expires = expires

    def run(self, program: Sequence[Ccw], lpm: int = 0, expires: float | None = None) -> Ending:
        mask = lpm or self._usable()
        if not mask:
            return Ending(NOT_OPERATIONAL, bytes(IRB_SIZE), tuple(None for _ccw in program))
        return self._channel.run(program, mask, self._expires() if expires is None else expires)

    def schib(self) -> bytes:
        return self._channel.schib()

    def disable(self) -> None:
        self._channel.disable()


def failure_text(error: OSError) -> str:
    """One line for the log about whatever a channel device raised."""
    return error.report if isinstance(error, RequestFailed) else f"the channel program failed: {error.strerror}"

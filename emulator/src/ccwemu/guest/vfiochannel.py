# SPDX-License-Identifier: GPL-2.0-or-later
"""How a quick guest reaches a passed-through subchannel: through the regions of vfio-ccw, as QEMU does.

START SUBCHANNEL writes ORB and SCSW into the I/O region, the interrupt says that the IRB is there, STORE SUBCHANNEL
takes the path masks from the SCHIB region. Nothing else of the core is touched.
Source: Linux include/uapi/linux/vfio_ccw.h; QEMU 7.2 hw/vfio/ccw.c (vfio_ccw_handle_request, vfio_ccw_handle_store).
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ccwemu.machine.ccwdriver import EXPIRES, Ccw, Ending
from ccwemu.machine.dasd.program import AREA_SIZE, IRB_SIZE, ProgramArea

# Regions: index << 10 is their offset. The I/O region: ORB and SCSW (12 bytes each), IRB, return code.
IO_REGION, ASYNC_REGION, SCHIB_REGION, CRW_REGION = 0, 1 << 10, 2 << 10, 3 << 10
IO_REGION_SIZE = 124
_ORB_SIZE, _IRB_AT = 12, 24
SCHIB_SIZE, CRW_REGION_SIZE = 52, 8
_PAM_AT = 15  # in the SCHIB: the path-available mask of the PMCW
IRQ_IO, IRQ_CRW, IRQ_REQUEST = 0, 1, 2

SCSW_START = (0x4000).to_bytes(4, "big") + bytes(8)
"""SCSW word 0 with the start function bit: what the region takes as the wish to start."""

CLEAR = (2).to_bytes(4, "big") + bytes(4)
"""What the asynchronous region takes for CLEAR SUBCHANNEL."""

NOT_OPERATIONAL = (errno.ENODEV, errno.EACCES)

READ_DATA, WRITE_DATA = 0x06, 0x05
_BLOCKS = {READ_DATA: "read", READ_DATA | 8: "read", WRITE_DATA: "write", WRITE_DATA | 8: "write"}


class Regions(Protocol):
    """The vfio-ccw device (:class:`ccwemu.channel.VfioCcw`)."""

    def pread(self, offset: int, count: int) -> bytes: ...

    def pwrite(self, offset: int, data: bytes) -> int: ...

    def set_irq(self, index: int, callback: Callable[[], None] | None) -> None: ...


@dataclass
class Statistics:
    """What has gone through the regions of one device: channel programs, their CCWs, blocks of data."""

    programs: int = 0
    ccws: int = 0
    blocks_read: int = 0
    blocks_written: int = 0

    def count(self, program: Sequence[Ccw]) -> None:
        self.programs += 1
        self.ccws += len(program)
        for ccw in program:
            kind = _BLOCKS.get(ccw.command & 0x7F)
            self.blocks_read += kind == "read"
            self.blocks_written += kind == "write"


class VfioChannel:
    """A subchannel of the guest (:class:`~ccwemu.machine.ccwdriver.ChannelDevice`).

    ``memory`` is the piece of guest storage for its programs, ``address`` its guest address; the storage is mapped
    for the device (VFIO_IOMMU_MAP_DMA). ``devno`` is the device number that the guest sees. ``ran`` is called after
    each start.
    """

    def __init__(
        self,
        regions: Regions,
        memory: memoryview,
        address: int,
        devno: int,
        ran: Callable[[], None] = lambda: None,
    ) -> None:
        self._regions = regions
        self._area = ProgramArea(memory[:AREA_SIZE], address)
        self._devno = devno
        self._ran = ran
        self._lock = threading.Lock()
        self._interrupt = threading.Event()
        self.statistics = Statistics()
        regions.set_irq(IRQ_IO, self._interrupt.set)

    def pam(self) -> int:
        """The path-available mask as it is now. Raises OSError(ENODEV) when the subchannel is gone."""
        return self.schib()[_PAM_AT]

    def on_reports(self, paths_changed: Callable[[int], None]) -> None:
        """Have channel reports read when they come; the function is told the path-available mask by then."""

        def read() -> None:
            while any(self._regions.pread(CRW_REGION, CRW_REGION_SIZE)):
                pass  # every report is about a channel path: the masks say what became of it
            paths_changed(self.pam())

        self._regions.set_irq(IRQ_CRW, read)

    def on_request(self, wanted: Callable[[], None]) -> None:
        """Have a function called when the host wants the device back."""
        self._regions.set_irq(IRQ_REQUEST, wanted)

    def run(self, program: Sequence[Ccw], lpm: int = 0, expires: float = EXPIRES) -> Ending:
        """Start a program and wait for its interrupt. Raises OSError as the region does, ETIMEDOUT without one."""
        with self._lock:
            orb = self._area.place(program, lpm)
            self._interrupt.clear()
            try:
                self._regions.pwrite(IO_REGION, orb[:_ORB_SIZE] + SCSW_START + bytes(IO_REGION_SIZE - _IRB_AT))
            except OSError as failure:
                cc = _condition_code(failure)
                if cc is None:
                    raise
                return self._area.collect(cc, bytes(IRB_SIZE))
            finally:
                self._ran()
            self.statistics.count(program)
            if not self._interrupt.wait(expires):
                self._regions.pwrite(ASYNC_REGION, CLEAR)
                raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            region = self._regions.pread(IO_REGION, IO_REGION_SIZE)
            return self._area.collect(0, region[_IRB_AT : _IRB_AT + IRB_SIZE])

    def schib(self) -> bytes:
        """The guest's SCHIB: the host's, with the guest's device number. Raises OSError(ENODEV) when it is gone."""
        schib = bytearray(self._regions.pread(SCHIB_REGION, SCHIB_SIZE))
        schib[6:8] = self._devno.to_bytes(2, "big")
        return bytes(schib)

    def disable(self) -> None:
        """Nothing to do: QEMU keeps a guest's disabling to itself, the host's driver leaves the subchannel enabled."""

    def close(self) -> None:
        for index in (IRQ_IO, IRQ_CRW, IRQ_REQUEST):
            self._regions.set_irq(index, None)


def _condition_code(failure: OSError) -> int | None:
    """What START SUBCHANNEL answers for an errno of the region; None: an error that is not the guest's to see."""
    if failure.errno == errno.EBUSY:
        return 2
    return 3 if failure.errno in NOT_OPERATIONAL else None

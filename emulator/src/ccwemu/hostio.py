# SPDX-License-Identifier: GPL-2.0-or-later
"""How an emulated host reaches its subchannels: those of the core, in this process.

Source of the order of things: Linux drivers/s390/cio/cio.c (cio_start_key, cio_enable_subchannel).
"""

from __future__ import annotations

import errno
import mmap
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ccwemu import channel
from ccwemu.faults.armed import ArmedDevice
from ccwemu.faults.board import Board
from ccwemu.faults.model import Fault
from ccwemu.machine import waiting
from ccwemu.machine.ccwdriver import EXPIRES, Ccw, ChannelDevice, Ending
from ccwemu.machine.dasd.program import AREA_SIZE, IRB_SIZE, ProgramArea
from ccwemu.machine.pathgroup import (
    CHANNEL_END,
    DEVICE_END,
    PGID_LENGTH,
    RESERVED_ELSEWHERE,
    SENSE_ID,
    SENSE_PGID,
)
from ccwemu.machine.spec import DasdSpec, SubchannelSpec

STORAGE_ADDRESS = 0x10000
"""Where the channel sees a host's program area; any page boundary would do."""

_MAX_PENDING = 8
# PMCW word 1 (Principles of Operation): bit 8 of the first halfword enables, the last bit of word 6 asks for
# concurrent sense, so that sense bytes come with a unit check.
_ENABLED = 0x80
_CONCURRENT_SENSE = 0x01


class HostChannel:
    """A subchannel of the core as a driver of the host uses it: one program at a time, from a storage of its own.

    The subchannel is enabled by the first program and disabled by :meth:`disable`. ``ran`` is called after each start.
    """

    def __init__(self, subchannel: channel.Subchannel, ran: Callable[[], None] = lambda: None) -> None:
        self._subchannel = subchannel
        self._ran = ran
        self._gone = threading.Event()
        self._lock = threading.Lock()
        self._memory = mmap.mmap(-1, AREA_SIZE)
        self._storage = channel.Storage()
        self._storage.map(STORAGE_ADDRESS, self._memory)
        self._area = ProgramArea(memoryview(self._memory), STORAGE_ADDRESS)
        self._enabled = False

    def run(self, program: Sequence[Ccw], lpm: int = 0, expires: float = EXPIRES) -> Ending:
        """Start a program and wait for its status.

        Raises OSError: ENODEV, EBUSY when the subchannel cannot be enabled, ETIMEDOUT when no status came.
        """
        with self._lock:
            self._enable()
            orb = self._area.place(program, lpm)
            cc = self._subchannel.start(orb, self._storage)
            # Status that nobody asked for (a path came back) is taken first, as an interrupt handler would.
            for _turn in range(_MAX_PENDING):
                if cc != 1:
                    break
                self._subchannel.test()
                cc = self._subchannel.start(orb, self._storage)
            self._ran()
            irb = bytes(IRB_SIZE)
            if cc == 0:
                cc, irb = self._status(expires)
            return self._area.collect(cc, irb)

    def _status(self, expires: float) -> tuple[int, bytes]:
        """Condition code and IRB. A program has ended when its start returns: status that is not there was lost."""
        cc, irb = self._subchannel.test()
        if cc != 1:
            return cc, irb
        waiting.announce()
        if self._gone.wait(expires):
            return 3, bytes(IRB_SIZE)
        self._subchannel.clear()
        self._subchannel.test()
        raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))

    def set_device_valid(self, valid: bool) -> None:
        """The device has gone, or come back; the subchannel is disabled then."""
        self._subchannel.set_device_valid(valid)
        self._enabled = False
        if valid:
            self._gone.clear()
        else:
            self._gone.set()

    def schib(self) -> bytes:
        """STORE SUBCHANNEL: 52 bytes, big-endian."""
        return self._subchannel.store()

    def disable(self) -> None:
        """Somebody else may have the subchannel then."""
        with self._lock:
            if self._enabled:
                self._modify(0)
                self._enabled = False

    def _enable(self) -> None:
        if not self._enabled:
            self._modify(_ENABLED)
            self._enabled = True

    def _modify(self, enabled: int) -> None:
        schib = bytearray(self._subchannel.store())
        schib[5] = schib[5] & ~_ENABLED | enabled
        schib[27] |= _CONCURRENT_SENSE
        cc = self._subchannel.modify(bytes(schib))
        if cc:
            number = errno.ENODEV if cc == 3 else errno.EBUSY
            raise OSError(number, f"{os.strerror(number)}: MODIFY SUBCHANNEL ended with condition code {cc}")


class SilentChannel:
    """A subchannel whose device does not answer on any path."""

    def __init__(self, spec: SubchannelSpec) -> None:
        self._subchannel = make_subchannel(spec, None)

    def run(self, program: Sequence[Ccw], lpm: int = 0, expires: float = EXPIRES) -> Ending:
        """Condition code 3: not operational."""
        return Ending(3, bytes(IRB_SIZE), tuple(b"" if isinstance(ccw.data, int) else None for ccw in program))

    def schib(self) -> bytes:
        return self._subchannel.store()

    def disable(self) -> None: ...


class SharedDisk:
    """A disk that other hosts have, too. Its image is open while this host uses it, until the device is disabled.

    For as long no other host can use it: to these it is reserved by another system. All of them can ask it what it is.
    ``open_disk`` opens it, for writing or not.
    """

    def __init__(self, spec: SubchannelSpec, open_disk: Callable[[bool], _Open], close: Callable[[], None]) -> None:
        self._open_disk, self._close = open_disk, close
        self._idle = make_subchannel(spec, None)
        self._opened: _Open | None = None
        self._writable = False

    def run(self, program: Sequence[Ccw], lpm: int = 0, expires: float = EXPIRES) -> Ending:
        try:
            opened = self._ready(any(ccw.command != SENSE_ID for ccw in program))
        except channel.ImageError as error:
            if error.errno != errno.EWOULDBLOCK:
                raise
            return _reserved_elsewhere(program)
        return opened.host_channel.run(program, lpm, expires)

    def schib(self) -> bytes:
        return self._opened.host_channel.schib() if self._opened is not None else self._idle.store()

    def disable(self) -> None:
        if self._opened is not None:
            self._opened = None
            self._close()

    def _ready(self, writable: bool) -> _Open:
        if self._opened is not None and writable and not self._writable:
            self.disable()
        if self._opened is None:
            self._opened, self._writable = self._open_disk(writable), writable
        return self._opened


def _reserved_elsewhere(program: Sequence[Ccw]) -> Ending:
    """What is asked of a disk that another system has reserved: its path state says so, all else is in vain."""
    if program[0].command != SENSE_PGID:
        return Ending(3, bytes(IRB_SIZE), tuple(b"" if isinstance(ccw.data, int) else None for ccw in program))
    irb = bytearray(IRB_SIZE)
    irb[8] = CHANNEL_END | DEVICE_END
    return Ending(0, bytes(irb), (bytes([RESERVED_ELSEWHERE]) + bytes(PGID_LENGTH - 1),))


class HostIo:
    """The subchannels of one host (:class:`~ccwemu.machine.channelio.ChannelIo`).

    A disk image is open, and locked, from the time that the host's driver takes the subchannel until it lets go; one
    that hosts share only while it is used (:class:`SharedDisk`).
    Devices other than DASDs identify themselves by their description only. ``problem`` is told the subchannel and
    what is wrong with its image; such a disk does not answer, as one whose storage control is switched off.
    ``faults`` has what the devices are to meet on purpose.
    """

    def __init__(
        self,
        subchannels: Sequence[SubchannelSpec],
        problem: Callable[[str, channel.ImageError], None] | None = None,
        faults: Board | None = None,
    ) -> None:
        self._specs = {spec.busid: spec for spec in subchannels}
        self._problem = problem
        self._faults = faults if faults is not None else Board()
        self._taken: dict[str, ChannelDevice] = {}
        self._open: dict[str, _Open] = {}
        self._pams: dict[str, int] = {}

    def subchannel(self, busid: str) -> ChannelDevice | None:
        """Take a subchannel into use. Raises ccwemu.channel.ImageError where nobody is told of an image's problem."""
        if busid in self._taken:
            return self._taken[busid]
        spec = self._specs.get(busid)
        if spec is None or not isinstance(spec.device, DasdSpec) or not spec.device.image:
            return None
        try:
            self._taken[busid] = self._take(spec)
        except channel.ImageError as error:
            if self._problem is None:
                raise
            self._problem(busid, error)
            return SilentChannel(spec)
        return self._taken[busid]

    def _take(self, spec: SubchannelSpec) -> ChannelDevice:
        assert isinstance(spec.device, DasdSpec)
        if not spec.device.shared:
            return self._open_disk(spec, not spec.device.read_only).host_channel
        disk = spec.device
        return SharedDisk(
            spec,
            lambda writable: self._open_disk(spec, writable and not disk.read_only),
            lambda: self._close_disk(spec.busid),
        )

    def _open_disk(self, spec: SubchannelSpec, writable: bool) -> _Open:
        """Raises ccwemu.channel.ImageError."""
        assert isinstance(spec.device, DasdSpec)
        busid = spec.busid
        image = channel.Image.open(spec.device.image, writable=writable)
        device = make_device(spec.device, image)
        subchannel = make_subchannel(spec, device)
        if busid in self._pams:
            subchannel.set_paths(self._pams[busid])
        armed = ArmedDevice(device, lambda *counts: self._faults.counted(busid, *counts))
        opened = _Open(HostChannel(subchannel, armed.report), subchannel, device, image, armed)
        self._open[busid] = opened
        with self._faults.lock:
            armed.arm(self._faults.attach(busid, opened))
            if self._faults.removed(busid):
                opened.set_device_valid(False)
        return opened

    def release(self, busid: str) -> None:
        """The host's driver let the subchannel go: its image is closed."""
        self._taken.pop(busid, None)
        self._close_disk(busid)

    def _close_disk(self, busid: str) -> None:
        opened = self._open.pop(busid, None)
        if opened is not None:
            self._faults.detach(busid, opened)
            opened.close()

    def set_paths(self, busid: str, pam: int) -> None:
        """Paths went away or came back, for whoever uses the subchannel now and later."""
        self._pams[busid] = pam
        if busid in self._open:
            self._open[busid].subchannel.set_paths(pam)


@dataclass(frozen=True)
class _Open:
    """A subchannel in use, down to its image."""

    host_channel: HostChannel
    subchannel: channel.Subchannel
    device: channel.Device
    image: channel.Image
    armed: ArmedDevice

    def arm(self, fault: Fault) -> None:
        self.armed.arm([fault])

    def disarm(self) -> None:
        self.armed.disarm()

    def set_device_valid(self, valid: bool) -> None:
        self.host_channel.set_device_valid(valid)

    def close(self) -> None:
        try:
            self.host_channel.disable()
        finally:
            self.device.close()
            self.image.close()


def make_subchannel(spec: SubchannelSpec, device: channel.Device | None) -> channel.Subchannel:
    """A subchannel of the core with the paths and the device number that a machine's description gives it."""
    devno = int((spec.devno or "0.0.0000").rsplit(".", 1)[1], 16)
    return channel.Subchannel(device, devno=devno, chpids=spec.chpids, pim=spec.pim, pam=spec.pam, pom=spec.pom)


def make_device(dasd: DasdSpec, image: channel.Image) -> channel.Device:
    """A disk of the core as a machine's description says."""
    device = channel.Device(
        image,
        cu_model=dasd.cu_model,
        dev_model=dasd.dev_model,
        serial=dasd.serial,
        ssid=dasd.ssid,
        unit_address=dasd.unit_address,
        read_only=dasd.read_only,
        alias=dasd.alias,
        base_unit_address=dasd.base_unit_address,
        other_systems=dasd.other_systems,
        reserved=dasd.reserved,
    )
    for command in dasd.rejects:
        device.reject(command)
    for suborder in dasd.rejects_suborders:
        device.reject_suborder(suborder)
    return device

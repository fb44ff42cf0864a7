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
from ccwemu.machine.ccwdriver import Ccw, ChannelDevice, Ending
from ccwemu.machine.dasd.program import AREA_SIZE, IRB_SIZE, ProgramArea
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

    The subchannel is enabled by the first program and disabled by :meth:`close`.
    """

    def __init__(self, subchannel: channel.Subchannel) -> None:
        self._subchannel = subchannel
        self._lock = threading.Lock()
        self._memory = mmap.mmap(-1, AREA_SIZE)
        self._storage = channel.Storage()
        self._storage.map(STORAGE_ADDRESS, self._memory)
        self._area = ProgramArea(memoryview(self._memory), STORAGE_ADDRESS)
        self._enabled = False

    def run(self, program: Sequence[Ccw], lpm: int = 0) -> Ending:
        """Start a program and wait for its status. Raises OSError(ENODEV, EBUSY) when it cannot be enabled."""
        with self._lock:
            self._enable()
            orb = self._area.place(program, lpm)
            cc = self._subchannel.start(orb, self._storage)
            # Status that nobody asked for (a path came back) is taken first, as an interrupt handler would.
            for _ in range(_MAX_PENDING):
                if cc != 1:
                    break
                self._subchannel.test()
                cc = self._subchannel.start(orb, self._storage)
            irb = bytes(IRB_SIZE)
            if cc == 0:
                _, irb = self._subchannel.test()
            return self._area.collect(cc, irb)

    def schib(self) -> bytes:
        """STORE SUBCHANNEL: 52 bytes, big-endian."""
        return self._subchannel.store()

    def close(self) -> None:
        """Disable the subchannel: somebody else may have it."""
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

    def run(self, program: Sequence[Ccw], lpm: int = 0) -> Ending:
        """Condition code 3: not operational."""
        return Ending(3, bytes(IRB_SIZE), tuple(b"" if isinstance(ccw.data, int) else None for ccw in program))

    def schib(self) -> bytes:
        return self._subchannel.store()


class HostIo:
    """The subchannels of one host (:class:`~ccwemu.machine.channelio.ChannelIo`).

    A disk image is open, and locked, from the time that the host's driver takes the subchannel until it lets go.
    Devices other than DASDs identify themselves by their description only. ``problem`` is told the subchannel and
    what is wrong with its image; such a disk does not answer, as one whose storage control is switched off.
    """

    def __init__(
        self, subchannels: Sequence[SubchannelSpec], problem: Callable[[str, channel.ImageError], None] | None = None
    ) -> None:
        self._specs = {spec.busid: spec for spec in subchannels}
        self._problem = problem
        self._open: dict[str, _Open] = {}
        self._pams: dict[str, int] = {}

    def subchannel(self, busid: str) -> ChannelDevice | None:
        """Take a subchannel into use. Raises ccwemu.channel.ImageError where nobody is told of an image's problem."""
        if busid in self._open:
            return self._open[busid].host_channel
        spec = self._specs.get(busid)
        if spec is None or not isinstance(spec.device, DasdSpec) or not spec.device.image:
            return None
        try:
            image = channel.Image.open(spec.device.image, writable=not spec.device.read_only)
        except channel.ImageError as error:
            if self._problem is None:
                raise
            self._problem(busid, error)
            return SilentChannel(spec)
        device = make_device(spec.device, image)
        subchannel = make_subchannel(spec, device)
        if busid in self._pams:
            subchannel.set_paths(self._pams[busid])
        opened = _Open(HostChannel(subchannel), subchannel, device, image)
        self._open[busid] = opened
        return opened.host_channel

    def release(self, busid: str) -> None:
        """The host's driver let the subchannel go: its image is closed."""
        opened = self._open.pop(busid, None)
        if opened is not None:
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

    def close(self) -> None:
        try:
            self.host_channel.close()
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
    )
    for command in dasd.rejects:
        device.reject(command)
    return device

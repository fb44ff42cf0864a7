# SPDX-License-Identifier: GPL-2.0-or-later
"""What a program does with vfio, for test_preload_vfio.py, which starts it with libccwemu-vfio.so preloaded.

Python's os.open, fcntl.ioctl, os.pread... are the C library's functions, as QEMU calls them. Each scenario is a
function, named by the first argument. Orders of bytes: this machine's, as QEMU writes them; the IRB is the channel's.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import select
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ccwemu.faults import Fault, Kind, parse_sense
from ccwemu.lab.lines import ask

# Requests: linux/vfio.h, _IO(';', 100 + n)
GET_API_VERSION, CHECK_EXTENSION, SET_IOMMU = 0x3B64, 0x3B65, 0x3B66
GROUP_GET_STATUS, GROUP_SET_CONTAINER, GROUP_UNSET_CONTAINER, GROUP_GET_DEVICE_FD = 0x3B67, 0x3B68, 0x3B69, 0x3B6A
DEVICE_GET_INFO, GET_REGION_INFO, GET_IRQ_INFO, SET_IRQS, DEVICE_RESET = 0x3B6B, 0x3B6C, 0x3B6D, 0x3B6E, 0x3B6F
IOMMU_GET_INFO, MAP_DMA, UNMAP_DMA = 0x3B70, 0x3B71, 0x3B72

IO, ASYNC, SCHIB, CRW = 0, 0x400, 0x800, 0xC00
IRQ_IO, IRQ_CRW, IRQ_REQUEST = range(3)
EVENTFD, NONE, TRIGGER, MASK = 1 << 2, 1 << 0, 1 << 5, 1 << 3
SIZE = 1 << 20
PROGRAM, DATA = 0x1000, 0x8000
CC, SLI = 0x40, 0x20
SENSE = parse_sense("equipment-check")
UUIDS = [f"00000000-0000-0000-0000-00000000000{n}" for n in range(3)]
HOST = os.environ["CCWEMU_ROOT"] + "/run/ccwemu/host.sock"


@contextlib.contextmanager
def refused(number: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        assert error.errno == number, f"{error}, expected {errno.errorcode[number]}"
    else:
        raise AssertionError(f"expected {errno.errorcode[number]}, it went well")


def opened() -> list[str]:
    """What the host says is open. It learns of a close a moment later: see wait-closed."""
    return sorted(ask(HOST, {"op": "opened"})["uuids"])


class Container:
    def __init__(self) -> None:
        self.fd = os.open("/dev/vfio/vfio", os.O_RDWR)
        self.memory = mmap.mmap(-1, SIZE)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))

    def dma(self, request: int, iova: int, size: int, *, flags: int = 3, offset: int = 0) -> int:
        """Map or unmap; the number of bytes that were unmapped."""
        if request == MAP_DMA:
            fcntl.ioctl(self.fd, MAP_DMA, struct.pack("IIQQQ", 32, flags, self.address + offset, iova, size))
            return 0
        answer = fcntl.ioctl(self.fd, UNMAP_DMA, struct.pack("IIQQ", 24, 0, iova, size))
        return int(struct.unpack("IIQQ", answer)[3])

    def attach(self, number: int) -> int:
        group = os.open(f"/dev/vfio/{number}", os.O_RDWR)
        fcntl.ioctl(group, GROUP_SET_CONTAINER, struct.pack("i", self.fd))
        return group


class Device:
    """A device, open, with its storage mapped."""

    def __init__(self, number: int = 0, container: Container | None = None) -> None:
        self.container = container or Container()
        self.group = self.container.attach(number)
        with contextlib.suppress(OSError):  # EINVAL: the container has been set up
            fcntl.ioctl(self.container.fd, SET_IOMMU, 3)
            self.container.dma(MAP_DMA, 0, SIZE)
        self.fd = int(fcntl.ioctl(self.group, GROUP_GET_DEVICE_FD, device_name(UUIDS[number])))
        self.irqs = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(3)]
        for index, fd in enumerate(self.irqs):
            self.set_irqs(index, EVENTFD | TRIGGER, struct.pack("i", fd))

    def set_irqs(self, index: int, flags: int, data: bytes = b"", *, start: int = 0, count: int = 1) -> None:
        fcntl.ioctl(self.fd, SET_IRQS, struct.pack("IIIII", 20 + len(data), flags, index, start, count) + data)

    def interrupts(self, index: int = IRQ_IO) -> int:
        """Wait for interrupts; how many there were, 0: none came."""
        if not select.select([self.irqs[index]], [], [], 2)[0]:
            return 0
        return os.eventfd_read(self.irqs[index])

    def start(self, *ccws: tuple[int, int, int, int], function: int = 0x4000, at: int = DATA) -> tuple[int, int, bytes]:
        """Run (command, flags, count, address) CCWs; unit status, residual count, IRB."""
        memory = self.container.memory
        for index, (command, flags, count, address) in enumerate(ccws):
            memory[PROGRAM + 8 * index : PROGRAM + 8 * index + 8] = struct.pack(">BBHI", command, flags, count, address)
        orb = struct.pack("=IHBBI", 0x12345678, 0x0080 | 0x0040, 0xFF, 0, PROGRAM)
        region = orb + struct.pack("=HHIBBH", 0, function, 0, 0, 0, 0)
        assert os.pwrite(self.fd, region.ljust(124, b"\0"), IO) == 124
        assert self.interrupts() == 1
        irb = os.pread(self.fd, 124, IO)[24:120]
        return irb[8], int.from_bytes(irb[10:12], "big"), irb


def device_name(uuid: str) -> bytearray:
    """For fcntl.ioctl, which returns the call's result only beside a buffer that it may change."""
    return bytearray(uuid.encode().ljust(64, b"\0"))


# Channel programs of one block (Define Extent and Locate Record as IBM's 3990 reference has them)
def block_program(device: Device, command: int, operation: int, track: int, record: int) -> tuple[int, int, bytes]:
    memory = device.container.memory
    memory[0x2000:0x2010] = struct.pack(">BBHIIHH", 0x40 if command == 6 else 0x80, 0xC0, 4096, 0, 0, 0, track)
    memory[0x2040:0x2050] = struct.pack(">BBBBHHHHBBH", operation, 0x80, 0, 1, 0, track, 0, track, record, 0xFF, 4096)
    return device.start((0x63, CC, 16, 0x2000), (0x47, CC, 16, 0x2040), (command, 0, 4096, DATA))


# -- scenarios --------------------------------------------------------------------------------------------------------


def interface() -> None:
    """Versions, descriptions, and what is refused, as measured on the real driver (kernel-facts C)."""
    container = Container()
    assert fcntl.ioctl(container.fd, GET_API_VERSION) == 0
    assert [fcntl.ioctl(container.fd, CHECK_EXTENSION, n) for n in (1, 3, 2, 8)] == [1, 1, 0, 0]
    for request, argument in ((SET_IOMMU, 1), (MAP_DMA, bytes(32)), (IOMMU_GET_INFO, struct.pack("IIQ", 16, 0, 0))):
        with refused(errno.EINVAL):
            fcntl.ioctl(container.fd, request, argument)  # type: ignore[call-overload]
    group = os.open("/dev/vfio/0", os.O_RDWR)
    assert struct.unpack("II", fcntl.ioctl(group, GROUP_GET_STATUS, struct.pack("II", 8, 0)))[1] == 1
    for number, call in ((errno.EINVAL, GROUP_GET_DEVICE_FD), (errno.EINVAL, GROUP_UNSET_CONTAINER)):
        with refused(number):
            fcntl.ioctl(group, call, device_name(UUIDS[0]))
    fcntl.ioctl(group, GROUP_SET_CONTAINER, struct.pack("i", container.fd))
    assert struct.unpack("II", fcntl.ioctl(group, GROUP_GET_STATUS, struct.pack("II", 8, 0)))[1] == 3
    fcntl.ioctl(container.fd, SET_IOMMU, 1)
    info = struct.unpack("IIQ", fcntl.ioctl(container.fd, IOMMU_GET_INFO, struct.pack("IIQ", 16, 0, 0)))
    assert info == (16, 1, (1 << 64) - 4096)
    for name in (UUIDS[1], "0.0.1234", 'x"}\n{'):
        with refused(errno.ENODEV):
            fcntl.ioctl(group, GROUP_GET_DEVICE_FD, device_name(name))
    device = int(fcntl.ioctl(group, GROUP_GET_DEVICE_FD, device_name(UUIDS[0])))
    with refused(errno.EBUSY):
        fcntl.ioctl(group, GROUP_UNSET_CONTAINER)
    assert struct.unpack("IIIII", fcntl.ioctl(device, DEVICE_GET_INFO, struct.pack("IIIII", 20, 0, 0, 0, 0)))[1:4] == (
        0x11,
        4,
        3,
    )
    regions = [
        struct.unpack("IIIIQQHHIII", fcntl.ioctl(device, GET_REGION_INFO, struct.pack("IIIIQQ16x", 48, 0, n, 0, 0, 0)))
        for n in range(4)
    ]
    assert [(region[1], region[4], region[5]) for region in regions] == [
        (0x3, 124, 0), (0xB, 8, 0x400), (0x9, 52, 0x800), (0x9, 8, 0xC00),
    ]  # fmt: skip
    assert [region[3] for region in regions] == [0, 32, 32, 32]
    assert [region[6:] for region in regions[1:]] == [(2, 1, 0, 2, subtype) for subtype in (1, 2, 3)]
    small = struct.unpack("IIIIQQ", fcntl.ioctl(device, GET_REGION_INFO, struct.pack("IIIIQQ", 32, 0, 2, 0, 0, 0)))
    assert (small[0], small[3]) == (48, 0), "more room is asked for"
    irqs = [
        struct.unpack("IIII", fcntl.ioctl(device, GET_IRQ_INFO, struct.pack("IIII", 16, 0, n, 0))) for n in range(3)
    ]
    assert [irq[1:] for irq in irqs] == [(1, n, 1) for n in range(3)]
    for request, argument in (
        (GET_REGION_INFO, struct.pack("IIIIQQ", 32, 0, 4, 0, 0, 0)),
        (GET_IRQ_INFO, struct.pack("IIII", 16, 0, 3, 0)),
        (DEVICE_GET_INFO, struct.pack("IIIII", 8, 0, 0, 0, 0)),
    ):
        with refused(errno.EINVAL):
            fcntl.ioctl(device, request, argument)
    with refused(errno.ENOTTY):
        fcntl.ioctl(device, 0x3BFF)


def interrupts() -> None:
    """VFIO_DEVICE_SET_IRQS."""
    device = Device()
    device.set_irqs(IRQ_REQUEST, NONE | TRIGGER)
    assert device.interrupts(IRQ_REQUEST) == 1
    eventfd = struct.pack("i", device.irqs[0])
    for number, index, flags, data, start, count in (
        (errno.EINVAL, 3, EVENTFD | TRIGGER, eventfd, 0, 1),
        (errno.EINVAL, 0, EVENTFD | MASK, eventfd, 0, 1),
        (errno.EINVAL, 0, EVENTFD | TRIGGER, eventfd, 1, 1),
        (errno.EINVAL, 0, EVENTFD | TRIGGER, eventfd * 2, 0, 2),
        (errno.EINVAL, 0, EVENTFD | TRIGGER, b"", 0, 1),
        (errno.EINVAL, 0, EVENTFD | TRIGGER, struct.pack("i", -2), 0, 1),
        (errno.EBADF, 0, EVENTFD | TRIGGER, struct.pack("i", 9999), 0, 1),
    ):
        with refused(number):
            device.set_irqs(index, flags, data, start=start, count=count)
    device.set_irqs(IRQ_REQUEST, EVENTFD | TRIGGER, struct.pack("i", -1))
    device.set_irqs(IRQ_REQUEST, NONE | TRIGGER)
    with refused(errno.EAGAIN):
        os.eventfd_read(device.irqs[IRQ_REQUEST])


def programs() -> None:
    """Channel programs: identification, a block written and read, halt, reset; regions that do not take it."""
    device = Device()
    status, residual, irb = device.start((0xE4, SLI, 12, DATA))
    assert (status, residual) == (0x0C, 0), irb.hex()
    assert irb[:8].hex() == "00c0400700001008", "the IRB is in channel order"
    assert device.container.memory[DATA : DATA + 7].hex() == "ff3990e933900c"
    text = bytes(range(256)) * 16
    device.container.memory[DATA : DATA + 4096] = text
    assert block_program(device, 0x05, 0x01, 2, 3)[:2] == (0x0C, 0)
    device.container.memory[DATA : DATA + 4096] = bytes(4096)
    assert block_program(device, 0x06, 0x06, 2, 3)[:2] == (0x0C, 0)
    assert device.container.memory[DATA : DATA + 4096] == text
    # unit check: the sense data come along
    status, _, irb = device.start((0x05, SLI, 4096, DATA))
    assert status == 0x0E and irb[32] == 0x80, irb.hex()
    # halt through the async region
    assert os.pwrite(device.fd, struct.pack("=II", 1, 0), ASYNC) == 8
    assert device.interrupts() == 1
    assert fcntl.ioctl(device.fd, DEVICE_RESET) == 0
    assert device.start((0x03, SLI, 1, DATA))[0] == 0x0C
    for number, data, offset in (
        (errno.EINVAL, bytes(125), IO),
        (errno.EINVAL, bytes(4), SCHIB),
        (errno.EINVAL, bytes(8), CRW),
        (errno.EINVAL, bytes(4), 4 << 10),
        (errno.EINVAL, bytes(4), 1 << 63),
        (errno.EINVAL, struct.pack("=II", 3, 0), ASYNC),
    ):
        with refused(number):
            os.pwrite(device.fd, data, offset) if offset < 1 << 63 else os.pread(device.fd, 4, (1 << 62) + 1)
    assert os.pread(device.fd, 0, IO) == b""
    with refused(errno.EOPNOTSUPP):
        os.pwrite(device.fd, bytes(12) + struct.pack("=HH", 0, 0x2000) + bytes(108), IO)
    assert struct.unpack("=i", os.pread(device.fd, 4, 120)) == (-errno.EOPNOTSUPP,), "the return code is in our order"


def subsystem_data(device: Device, suborder: int, size: int) -> int:
    """The unit status of a request for subsystem data; the data are at DATA."""
    device.container.memory[0x2000:0x200C] = bytes((0x18, 0, 0, 0, 0, 0, suborder)).ljust(12, b"\0")
    return device.start((0x27, CC, 12, 0x2000), (0x3E, SLI, size, DATA))[0]


def others() -> None:
    """What the host's definition says of others that have a disk, and of its control unit, is so here as well."""
    shared, alone = Device(2), Device(0)
    for device, count in ((shared, 2), (alone, 0)):
        assert subsystem_data(device, 0x1C, 16410) == 0x0C
        assert device.container.memory[DATA + 18 : DATA + 20] == bytes((0, count))
    assert subsystem_data(shared, 0x52, 28) == 0x0E, "unit check: the control unit has none"
    assert subsystem_data(alone, 0x52, 28) == 0x0C


def subchannel() -> None:
    """The SCHIB in this machine's order."""
    schib = os.pread(Device().fd, 52, SCHIB)
    flags, devno = struct.unpack("=HH", schib[4:8])
    assert (flags & 0x81, devno) == (0x81, 0x7E50)
    assert schib[8] == 0xC0 and schib[11] == 0xC0 and schib[14:18].hex() == "ffc04142"


def storage() -> None:
    """DMA mappings: what is not there cannot be used; overlaps and pieces are refused."""
    container = Container()
    device = Device(0, None)
    container = device.container
    for number, request, iova, size, flags in (
        (errno.EEXIST, MAP_DMA, 0x1000, 0x1000, 3),
        (errno.EINVAL, MAP_DMA, SIZE, 0x800, 3),
        (errno.EINVAL, MAP_DMA, SIZE, 0, 3),
        (errno.EINVAL, MAP_DMA, (1 << 64) - 4096, 8192, 3),
        (errno.EINVAL, MAP_DMA, SIZE, 4096, 0),
        (errno.EINVAL, UNMAP_DMA, 0, 4096, 0),
        (errno.EINVAL, UNMAP_DMA, 4096, SIZE - 4096, 0),
    ):
        with refused(number):
            container.dma(request, iova, size, flags=flags)
    container.dma(MAP_DMA, SIZE, 4096, flags=1)
    with refused(errno.EINVAL):
        device.start((0xE4, SLI, 12, SIZE))
    assert container.dma(UNMAP_DMA, 0, 4 * SIZE) == SIZE
    with refused(errno.EINVAL):
        device.start((0xE4, SLI, 12, DATA))
    assert container.dma(UNMAP_DMA, 0, 4096) == 0
    for offset in range(0, SIZE, SIZE // 4):
        container.dma(MAP_DMA, offset, SIZE // 4, offset=offset)
    assert device.start((0xE4, SLI, 12, DATA))[0] == 0x0C
    assert container.dma(UNMAP_DMA, 0, SIZE // 2) == SIZE // 2


def several() -> None:
    """Three devices in three groups and two containers, each with a disk of its own."""
    first = Device(0)
    devices = [first, Device(1, first.container), Device(2)]
    assert opened() == UUIDS
    for number, device in enumerate(devices):
        device.container.memory[DATA : DATA + 4096] = bytes([number + 1]) * 4096
        assert block_program(device, 0x05, 0x01, 1, 1)[:2] == (0x0C, 0)
    for number, device in enumerate(devices):
        device.container.memory[DATA : DATA + 4096] = bytes(4096)
        assert block_program(device, 0x06, 0x06, 1, 1)[:2] == (0x0C, 0)
        assert device.container.memory[DATA : DATA + 4096] == bytes([number + 1]) * 4096
        assert struct.unpack("=H", os.pread(device.fd, 2, SCHIB + 6)) == (0x7E50 + number,)


def closing() -> None:
    """The host has a device back when its descriptor is closed, in whatever order the others are."""
    device = Device()
    assert opened() == UUIDS[:1]
    group = os.open("/dev/vfio/0", os.O_RDWR)
    fcntl.ioctl(group, GROUP_SET_CONTAINER, struct.pack("i", device.container.fd))
    with refused(errno.EBUSY):
        fcntl.ioctl(group, GROUP_GET_DEVICE_FD, device_name(UUIDS[0]))
    for fd in (group, device.group, device.container.fd):
        os.close(fd)
    assert device.start((0xE4, SLI, 12, DATA))[0] == 0x0C, "the device keeps its group and container"
    child = os.fork()
    if not child:
        os.close(device.fd)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert opened() == UUIDS[:1], "a child's close is no close"
    assert device.start((0xE4, SLI, 12, DATA))[0] == 0x0C
    os.close(device.fd)
    assert ask(HOST, {"op": "wait-closed", "uuid": UUIDS[0]})["ok"]
    with refused(errno.EBADF):
        os.pread(device.fd, 4, 0)
    again = Device()
    assert again.start((0xE4, SLI, 12, DATA))[0] == 0x0C


def held(name: str) -> int:
    """How many descriptors of this process are an open /dev/vfio/NAME of the emulated host."""
    path = f"{os.environ['CCWEMU_ROOT']}/dev/vfio/{name}"
    links = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that lists them
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
    return links.count(path)


def group_busy() -> None:
    """The host's group is open from its opening here to the last close of it and of the devices in it."""
    container = Container()
    assert (held("vfio"), held("0")) == (1, 0)
    group = os.open("/dev/vfio/0", os.O_RDWR)
    assert (held("vfio"), held("0")) == (1, 1)
    os.close(group)
    assert held("0") == 0
    device = Device(0, container)
    assert held("0") == 1
    os.close(device.group)
    assert held("0") == 1, "the device holds its group"
    os.close(device.fd)
    assert held("0") == 0
    os.close(container.fd)
    assert held("vfio") == 0


def host_events() -> None:
    """The host wants the device back; a path goes and comes."""
    device = Device()
    ask(HOST, {"op": "push", "uuid": UUIDS[0], "event": {"event": "request"}})
    assert device.interrupts(IRQ_REQUEST) == 1
    for pam, crw in ((0x80, 0x04060042), (0xC0, 0x04020042)):
        ask(HOST, {"op": "push", "uuid": UUIDS[0], "event": {"event": "paths", "pam": pam}})
        assert device.interrupts(IRQ_CRW) == 1
        flags, source, rest = struct.unpack("=HHI", os.pread(device.fd, 8, CRW))
        assert (flags << 16 | source, rest) == (crw, 0), hex(flags << 16 | source)
        assert os.pread(device.fd, 8, CRW) == bytes(8)
        assert os.pread(device.fd, 52, SCHIB)[15] == pam
    ask(HOST, {"op": "push", "uuid": UUIDS[0], "event": {"event": "paths", "pam": 0}})
    assert device.interrupts(IRQ_CRW), "one for each path, or both at once"
    assert [struct.unpack("=HH", os.pread(device.fd, 8, CRW)[:4]) for _ in range(2)] == [(0x0406, 0x41), (0x0406, 0x42)]
    assert device.start((0xE4, SLI, 12, DATA))[2][0] & 3 == 3, "deferred condition code 3: not operational"


def fault(action: str, **more: object) -> None:
    """A request of ``ccwemu fault`` for the first disk."""
    ask(HOST, {"op": "fault", "action": action, "device": "0.0.7e50", **more})


def arm(kind: Kind, left: int = 1) -> None:
    fault("arm", fault=Fault(kind, left=left, sense=SENSE, identity=1).to_message())


def events_taken(device: Device) -> None:
    """Return when the library has acted on what the host has told so far: it takes one after the other."""
    ask(HOST, {"op": "push", "uuid": UUIDS[0], "event": {"event": "request"}})
    assert device.interrupts(IRQ_REQUEST) == 1


def start_only(device: Device) -> int:
    """Start Sense ID; how many interrupts there were when the write had returned."""
    device.container.memory[PROGRAM : PROGRAM + 8] = struct.pack(">BBHI", 0xE4, SLI, 12, DATA)
    region = struct.pack("=IHBBI", 0, 0x0080 | 0x0040, 0xFF, 0, PROGRAM) + struct.pack("=HHIBBH", 0, 0x4000, 0, 0, 0, 0)
    assert os.pwrite(device.fd, region.ljust(124, b"\0"), IO) == 124
    with contextlib.suppress(BlockingIOError):
        return os.eventfd_read(device.irqs[IRQ_IO])
    return 0


def faults() -> None:
    """Faults armed before the device is opened, and while it is; what has come of them is told."""
    sense_id = (0xE4, SLI, 12, DATA)
    arm(Kind.UNIT_CHECK)
    device = Device()
    status, residual, irb = device.start(sense_id)
    assert (status, residual, irb[32:64]) == (0x0E, 12, SENSE), irb.hex()
    assert ask(HOST, {"op": "wait-met"})["ok"]
    assert device.start(sense_id)[0] == 0x0C
    for command in (1, 2):  # halt, clear
        arm(Kind.LOST_INTERRUPT)
        events_taken(device)
        assert start_only(device) == 0
        assert device.container.memory[DATA : DATA + 3].hex() == "ff3990", "the program was carried out"
        with refused(errno.EBUSY):
            start_only(device)
        assert os.pwrite(device.fd, struct.pack("=II", command, 0), ASYNC) == 8
        assert device.interrupts() == 1
        assert device.start(sense_id)[0] == 0x0C
        assert ask(HOST, {"op": "wait-met"})["ok"]
    arm(Kind.UNIT_CHECK, left=99)
    fault("clear")
    events_taken(device)
    assert device.start(sense_id)[0] == 0x0C


def device_gone() -> None:
    """The device goes from under the open mediated device: I/O errors, no SCHIB (state NOT_OPER of vfio_ccw)."""
    device = Device()
    fault("remove")
    events_taken(device)
    for call in (lambda: start_only(device), lambda: os.pwrite(device.fd, struct.pack("=II", 2, 0), ASYNC)):
        with refused(errno.EIO):
            call()
    with refused(errno.ENODEV):
        os.pread(device.fd, 52, SCHIB)
    with refused(errno.EINVAL):
        fcntl.ioctl(device.fd, DEVICE_RESET)
    os.close(device.fd)
    assert ask(HOST, {"op": "wait-closed", "uuid": UUIDS[0]})["ok"]
    with refused(errno.ENODEV):
        Device(0, device.container)
    fault("restore")
    assert Device(0, device.container).start((0xE4, SLI, 12, DATA))[0] == 0x0C


def host_ends() -> None:
    """A device whose host has gone does not answer any more; the program lives on and can close it."""
    device = Device()
    with contextlib.suppress(OSError):  # the answer may be cut off, too
        ask(HOST, {"op": "end"})
    deadline = time.monotonic() + 30
    with refused(errno.EIO):
        while time.monotonic() < deadline:  # the library hears of it in a thread of its own
            start_only(device)
    for fd in (device.fd, device.group, device.container.fd):
        os.close(fd)


def other_files() -> None:
    """What is no vfio goes on to the C library."""
    path = Path(os.environ["CCWEMU_ROOT"]) / "plain"
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
    assert os.fstat(fd).st_mode & 0o777 == 0o640
    assert os.pwrite(fd, b"text", 3) == 4
    assert os.pread(fd, 9, 0) == b"\0\0\0text"
    os.close(fd)
    directory = os.open(path.parent, os.O_RDONLY)
    assert os.open("plain", os.O_RDONLY, dir_fd=directory)
    container = Container()
    with refused(errno.EINVAL):
        os.pread(container.fd, 4, 0)
    for name, number in (("/dev/vfio/77", errno.ENOENT), ("/dev/vfio/x", errno.ENOENT)):
        with refused(number):
            os.open(name, os.O_RDWR)
    with refused(errno.ENOTTY):
        fcntl.ioctl(directory, GET_API_VERSION)


def bad_image() -> None:
    """A damaged disk image (the test has damaged it)."""
    with refused(errno.ENODEV):
        Device()
    assert ask(HOST, {"op": "wait-closed", "uuid": UUIDS[0]})["ok"]


if __name__ == "__main__":
    globals()[sys.argv[1]]()

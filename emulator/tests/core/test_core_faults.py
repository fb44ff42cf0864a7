# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults that are armed on a device: unit checks with given sense bytes, status that is lost, a device that goes."""

from __future__ import annotations

import errno

import pytest
from core_rig import CC, PROGRAM, SLI, C, Rig, extent, locate

from ccwemu.channel import Cc, Function, OrbFlag, VfioCcw, VfioCommand, VfioRegion, build_orb
from ccwemu.faults import ANY_COMMAND, SENSES, Kind, parse_sense

EQUIPMENT = parse_sense("equipment-check")
ORB = build_orb(PROGRAM, flags=OrbFlag.FORMAT_1)
GOOD, CHECK = "0c 00 0000", "0e 00 0000"


def arm(rig: Rig, kind: Kind = Kind.UNIT_CHECK, command: int = ANY_COMMAND, skip: int = 0, left: int = 1) -> None:
    sense = EQUIPMENT if kind is Kind.UNIT_CHECK else b""
    rig.device.arm_fault(7, kind, command, skip, left, sense)


def read_block(rig: Rig) -> str:
    """Device status of a read of one block: CCW at which it ended, and its sense byte 0."""
    program = [
        C(0x63, extent(), CC),
        C(0x47, locate(0x06, 0, 1, 1, 1), CC),
        C(0x86, 4096),
    ]
    result = rig.run(*program)
    return f"{result.raw[8]:02x}@{result.ccw}"


# fault (command, skip, left), then how five reads end: status, and the index of the CCW that is the last
SERIES = [
    ((ANY_COMMAND, 0, 1), "0e@0 0c@2 0c@2 0c@2 0c@2"),
    ((ANY_COMMAND, 2, 2), "0c@2 0c@2 0e@0 0e@0 0c@2"),
    ((0x86, 0, 2), "0e@2 0e@2 0c@2 0c@2 0c@2"),
    ((0x47, 1, 1), "0c@2 0e@1 0c@2 0c@2 0c@2"),
    ((0x85, 0, 1), "0c@2 0c@2 0c@2 0c@2 0c@2"),
    ((ANY_COMMAND, 0, 0xFFFFFFFF), "0e@0 0e@0 0e@0 0e@0 0e@0"),
]


@pytest.mark.parametrize(("fault", "endings"), SERIES)
def test_which_starts_are_hit(rig: Rig, fault: tuple[int, int, int], endings: str) -> None:
    arm(rig, Kind.UNIT_CHECK, *fault)
    assert [read_block(rig) for _ in range(5)] == endings.split()


def test_a_start_counts_once(rig: Rig) -> None:
    """However often the command is in the chain."""
    arm(rig, command=0x03, skip=2)
    nops = [C(0x03, 1, CC | SLI), C(0x03, 1, CC | SLI), C(0x03, 1, SLI)]
    assert [rig.run(*nops).ccw for _ in range(4)] == [2, 2, 0, 2]


@pytest.mark.parametrize("name", SENSES)
def test_the_sense_bytes_come_with_the_status(rig: Rig, name: str) -> None:
    """As with the device's own unit checks: ESW format 0, 32 bytes in the ECW, none left for Basic Sense."""
    sense = parse_sense(name)
    assert sense[27] == 0x80
    rig.device.arm_fault(1, Kind.UNIT_CHECK, ANY_COMMAND, 0, 1, sense)
    result = rig.run(C(0xE4, 12, SLI))
    assert result.status == "0e 00 000c", "nothing was carried out"
    assert result.raw[:4].hex() == "04824017"
    assert result.raw[12:20].hex() == "0080000001002000"
    assert result.raw[32:64] == sense
    assert rig.run(C(0x04, 32)).addresses and rig.stored(0x10000, 32) == bytes(32)


def test_without_concurrent_sense_basic_sense_brings_them(rig: Rig) -> None:
    """And Basic Sense is not hit by a fault of any command."""
    schib = bytearray(rig.sch.store())
    schib[27] &= ~1
    assert rig.sch.modify(bytes(schib)) == 0
    arm(rig, left=2)
    for _ in range(2):
        result = rig.run(C(0x03, 1, SLI))
        assert (result.raw[8], result.raw[32:64]) == (0x0E, bytes(32))
        assert rig.run(C(0x04, 32)).status == GOOD
        assert rig.stored(0x10000, 32) == EQUIPMENT


def test_counts_are_told(rig: Rig) -> None:
    arm(rig, skip=1, left=2)
    seen = []
    for _ in range(4):
        rig.run(C(0x03, 1, SLI))
        seen.append(rig.device.fault_changes())
    assert seen == [[(7, 0, 2)], [(7, 0, 1)], [(7, 0, 0)], []]
    arm(rig)  # the identity is free again


def test_disarmed(rig: Rig) -> None:
    rig.device.arm_fault(1, Kind.UNIT_CHECK, ANY_COMMAND, 0, 1, EQUIPMENT)
    rig.device.arm_fault(2, Kind.UNIT_CHECK, 0x03, 0, 1, EQUIPMENT)
    rig.device.disarm_fault(1)
    rig.device.disarm_fault(99)
    assert rig.run(C(0xE4, 12, SLI)).status == GOOD
    rig.device.disarm_fault(0)
    assert rig.run(C(0x03, 1, SLI)).raw[8] == 0x0C
    assert rig.device.fault_changes() == []


def test_what_cannot_be_armed(rig: Rig) -> None:
    def refused(*fault: object) -> int | None:
        with pytest.raises(OSError) as caught:
            rig.device.arm_fault(*fault)  # type: ignore[arg-type]
        return caught.value.errno

    assert refused(0, 0, ANY_COMMAND, 0, 1, b"") == errno.EINVAL
    assert refused(1, 0, ANY_COMMAND, 0, 0, b"") == errno.EINVAL
    for identity in range(1, 17):
        rig.device.arm_fault(identity, 0, ANY_COMMAND, 0, 1, b"")
    assert refused(16, 0, ANY_COMMAND, 0, 1, b"") == errno.EEXIST
    assert refused(17, 0, ANY_COMMAND, 0, 1, b"") == errno.ENOSPC
    for fault in [(1, 2, 0, 0, 1, b""), (1, 0, 0x101, 0, 1, b""), (1, 0, 0, 0, 1, bytes(33))]:
        with pytest.raises(ValueError, match="expected a kind up to 1, a command up to 256, at most 32 bytes"):
            rig.device.arm_fault(*fault)


@pytest.mark.parametrize(("how", "fctl"), [("halt", Function.HALT | Function.START), ("clear", Function.CLEAR)])
def test_a_lost_interrupt_is_ended(rig: Rig, how: str, fctl: Function) -> None:
    """The program was carried out; to the subchannel it goes on until it is halted or cleared."""
    arm(rig, Kind.LOST_INTERRUPT)
    rig.place([C(0xE4, 12, SLI)])
    assert rig.sch.start(ORB, rig.storage) == 0
    assert rig.stored(0x10000, 3).hex() == "ff3990"
    assert not rig.sch.status_pending
    assert (rig.sch.test()[0], rig.sch.start(ORB, rig.storage), rig.sch.resume()) == (1, Cc.BUSY, 2)
    scsw = rig.sch.store()[28:40]
    assert (scsw[2:4].hex(), scsw[8:10].hex()) == ("40c0", "0000"), "start function, subchannel and device active"
    assert getattr(rig.sch, how)() == 0
    cc, irb = rig.sch.test()
    assert (cc, int.from_bytes(irb[2:4], "big") & 0x7000) == (0, fctl)
    assert rig.run(C(0x03, 1, SLI)).raw[8] == 0x0C, "the next one goes well"


def test_a_lost_interrupt_of_a_command(rig: Rig) -> None:
    arm(rig, Kind.LOST_INTERRUPT, command=0x86)
    assert rig.run(C(0x03, 1, SLI)).raw[8] == 0x0C
    rig.place([C(0x63, extent(), CC), C(0x47, locate(0x06, 0, 1, 1, 1), CC), C(0x86, 4096)])
    assert rig.sch.start(ORB, rig.storage) == 0
    assert not rig.sch.status_pending
    assert rig.sch.clear() == 0
    assert rig.sch.test()[0] == 0


@pytest.mark.parametrize("command", [VfioCommand.HALT, VfioCommand.CLEAR])
def test_a_lost_interrupt_behind_vfio(rig: Rig, command: VfioCommand) -> None:
    """No interrupt, busy to another start, until the asynchronous region ends it."""
    vfio = VfioCcw(rig.sch, rig.storage)
    interrupts: list[str] = []
    vfio.set_irq(0, lambda: interrupts.append(vfio.state))
    vfio.open()
    arm(rig, Kind.LOST_INTERRUPT)
    rig.place([C(0xE4, 12, SLI)])
    region = ORB[:12] + (0x4000).to_bytes(4, "big") + bytes(108)
    assert vfio.pwrite(VfioRegion.IO, region) == 124
    assert (interrupts, vfio.state) == ([], "CP_PENDING")
    with pytest.raises(OSError) as caught:
        vfio.pwrite(VfioRegion.IO, region)
    assert caught.value.errno == errno.EBUSY
    assert vfio.pwrite(VfioRegion.ASYNC, command.to_bytes(4, "big") + bytes(4)) == 8
    assert interrupts == ["IDLE"]
    assert vfio.pwrite(VfioRegion.IO, region) == 124
    assert (interrupts, vfio.pread(VfioRegion.IO, 124)[24 + 8]) == (["IDLE", "IDLE"], 0x0C)


def test_a_device_that_goes_and_comes(rig: Rig) -> None:
    """Condition code 3 for everything, a device number that is not valid; then a disabled subchannel."""
    arm(rig, Kind.LOST_INTERRUPT)
    rig.place([C(0xE4, 12, SLI)])
    assert rig.sch.start(ORB, rig.storage) == 0
    rig.sch.set_device_valid(False)
    answers = [rig.sch.start(ORB, rig.storage), rig.sch.halt(), rig.sch.clear(), rig.sch.test()[0]]
    assert answers == [3, 3, 3, 3]
    assert rig.sch.store()[5] & 0x81 == 0
    rig.sch.set_device_valid(True)
    assert rig.sch.store()[4:8].hex() == "00017e52"
    assert rig.sch.start(ORB, rig.storage) == 3
    schib = bytearray(rig.sch.store())
    schib[5] |= 0x80
    assert rig.sch.modify(bytes(schib)) == 0
    assert rig.run(C(0xE4, 12, SLI)).status == GOOD

# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks come to a running guest and leave it, asked for and not; faults of a disk that a guest has."""

from __future__ import annotations

import contextlib
import time

from qmp import Monitor
from rig import DISKS, HOST, MONITOR, UUIDS, Failure, Guest, Lab, Progress, device_option, expect, vfio_device

PATIENCE = 30  # seconds
BLOCKS = "bs=64k skip=64 count=32"
BUSY = "Device or resource busy"
IO_ERROR, NO_DEVICE = "Input/output error", "no device"


class Plugs:
    """The devices of a running guest, numbered from 1 as the mediated devices are."""

    def __init__(self, lab: Lab, guest: Guest, monitor: Monitor) -> None:
        self._lab, self._guest, self._monitor = lab, guest, monitor

    def give(self, number: int) -> None:
        """From the host to the guest, which sees it."""
        uuid = UUIDS[number - 1]
        self._lab.host("give", uuid, *DISKS[uuid])
        self._monitor.do("device_add", **vfio_device(number, uuid))
        self._guest.do(f"appears 0.0.123{number}")

    def unplug(self, number: int) -> None:
        """Out of the guest, as its administrator wants it."""
        self._monitor.do("device_del", id=f"disk{number}")
        self._monitor.wait("DEVICE_DELETED", device=f"disk{number}")

    def take(self, number: int) -> None:
        """Back to the host, whoever has it."""
        uuid = UUIDS[number - 1]
        self._lab.host("take", uuid, *DISKS[uuid])

    def fault(self, number: int, *words: str) -> str:
        return self._lab.command("fault", HOST, DISKS[UUIDS[number - 1]][0], *words).strip()

    def wait_until_met(self, number: int) -> None:
        """Until no fault is pending: QEMU tells the host of those that were met. Raises Failure."""
        deadline = time.monotonic() + PATIENCE
        while not (said := self.fault(number, "list")).endswith("nothing is pending"):
            if time.monotonic() > deadline:
                raise Failure(f"{said}; it should have been met by now")


def checksum(guest: Guest, number: int) -> str:
    """Of what the guest reads; not from its cache."""
    return guest.do(f"forget; dd if=/dev/$(block 0.0.123{number}) {BLOCKS} 2>/dev/null | sha256sum")[-1].split()[0]


def plug_disks(lab: Lab, guest: Guest, say: Progress) -> str:
    """commands.sh. Raises Failure, MonitorError."""
    guest.wait_for("kernel")
    monitor = Monitor(lab.outside(MONITOR))
    plugs = Plugs(lab, guest, monitor)
    try:
        written = come_and_go(lab, guest, plugs, say)
        refuse_second(lab, say)
        lost_and_found(guest, plugs, written, say)
        faults(guest, plugs, say)
    except Failure:
        with contextlib.suppress(Failure):
            guest.do("dmesg | tail -n 25")  # into what is shown of the console
        raise
    finally:
        monitor.close()
    return ""


def come_and_go(lab: Lab, guest: Guest, plugs: Plugs, say: Progress) -> str:
    """Three devices in three groups are plugged into a guest that had none; one goes to the host and comes again."""
    for number in (1, 2, 3):
        plugs.give(number)
        guest.do(f"online 0.0.123{number} 1")
    say("guest: three disks were plugged in, and are online")
    guest.do("dd if=/dev/urandom of=/data bs=64k count=32 2>/dev/null")
    guest.do("dd if=/data of=/dev/$(block 0.0.1232) bs=64k seek=64 count=32 conv=fsync 2>/dev/null")
    written = guest.do("sha256sum /data")[-1].split()[0]
    guest.do("online 0.0.1232 0")
    plugs.unplug(2)
    guest.do("vanishes 0.0.1232")
    plugs.take(2)
    uuid = UUIDS[1]
    expect("checksum of what the host reads", lab.host("sum", uuid, *DISKS[uuid]), written)
    say("host: has a disk back that was unplugged, and reads what the guest wrote")
    plugs.give(2)
    guest.do("online 0.0.1232 1")
    expect("checksum after the disk was plugged in again", checksum(guest, 2), written)
    say("guest: has it again")
    return written


def refuse_second(lab: Lab, say: Progress) -> None:
    """Another QEMU cannot have a disk that this one has. Raises Failure."""
    words = ["-M", "s390-ccw-virtio", "-m", "128", "-nodefaults", "-nographic", "-S"]
    words += ["-device", device_option(1, UUIDS[0])]
    try:
        lab.command("exec", HOST, "--", "env", "CCWEMU_QEMU=real", "qemu-system-s390x", *words)
    except Failure as failure:
        expect("what the second QEMU said", BUSY in str(failure), True)
        say("host: a second QEMU cannot have a disk of the first one")
        return
    raise Failure("a second QEMU has opened a disk that the guest has")


def lost_and_found(guest: Guest, plugs: Plugs, written: str, say: Progress) -> None:
    """The host takes an online disk. Linux keeps it as one without a device, and lets requests wait for it.

    drivers/s390/block/dasd.c, dasd_generic_last_path_gone: until it comes back, is set offline, or with failfast.
    """
    plugs.take(2)
    guest.do(f"available 0.0.1232 '{NO_DEVICE}'")
    guest.do(f"forget; (dd if=/dev/$(block 0.0.1232) {BLOCKS} 2>/dev/null | sha256sum >/sum; echo >/read) &")
    guest.do("blocked dd")
    say("host: took a disk that the guest had online; a read waits for it")
    plugs.give(2)
    guest.do("available 0.0.1232 good; until [ -e /read ]; do usleep 100000; done")
    expect("checksum of the read that had waited", guest.do("cat /sum")[-1].split()[0], written)
    say("guest: the disk came back, and the read went on")
    plugs.take(2)
    guest.do(f"available 0.0.1232 '{NO_DEVICE}'; echo 1 >$ccw/0.0.1232/failfast")
    said = guest.do("forget; dd if=/dev/$(block 0.0.1232) bs=4k count=1 of=/dev/null 2>&1 || true")
    expect("a read with failfast ends with an I/O error", IO_ERROR in " ".join(said), True)
    guest.do("echo 0 >$ccw/0.0.1232/failfast; forget")
    guest.do("rm -f /read; (dd if=/dev/$(block 0.0.1232) bs=4k count=1 of=/got 2>/dev/null; echo >/read) &")
    guest.do("blocked dd; echo 0 >$ccw/0.0.1232/online; until [ -e /read ]; do usleep 100000; done")
    # An I/O error, or the end of a disk that has no blocks any more: what is first in the kernel.
    expect("bytes of the read that waited when the disk was set offline", guest.do("wc -c </got"), ["0"])
    guest.do("vanishes 0.0.1232")
    say("guest: a read with failfast is an I/O error, and setting the disk offline ends one that waits")


def faults(guest: Guest, plugs: Plugs, say: Progress) -> None:
    """The first disk meets faults while the guest reads it."""
    before = checksum(guest, 1)
    plugs.fault(1, "unit-check", "--sense", "equipment-check", "--command", "86", "--count", "3")
    expect("what is read in spite of equipment checks", checksum(guest, 1), before)
    plugs.wait_until_met(1)
    say("guest: three equipment checks were recovered from")
    # Reading ahead may meet one, and is silent about it.
    plugs.fault(1, "unit-check", "--sense", "command-reject", "--command", "86", "--count", "9")
    said = guest.do("forget; dd if=/dev/$(block 0.0.1231) bs=4k skip=64 count=1 of=/dev/null 2>&1 || true")
    expect("a command reject is an I/O error", IO_ERROR in " ".join(said), True)
    plugs.fault(1, "clear")
    say("guest: a command reject was an I/O error")
    guest.do("echo 1 >$ccw/0.0.1231/expires")
    plugs.fault(1, "lost-interrupt", "--command", "86")
    expect("what is read in spite of a lost interrupt", checksum(guest, 1), before)
    expect("the driver has timed out", guest.do("dmesg | grep -c 'timed out'"), ["1"])
    say("guest: a lost interrupt was timed out and recovered from")
    plugs.fault(1, "remove")
    guest.do(f"available 0.0.1231 '{NO_DEVICE}'")
    expect("the other disk", len(checksum(guest, 3)), 64)
    plugs.fault(1, "restore")
    say("guest: a disk disappeared, the other one goes on")

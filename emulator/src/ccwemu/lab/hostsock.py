# SPDX-License-Identifier: GPL-2.0-or-later
"""What a machine answers at /run/ccwemu/host.sock of its node: what Linux offers by system call only.

The commands inside (modprobe, dmesg, qemu-system-s390x ...) are the callers. ``node_operations`` serves every
machine, a quick guest's too; ``host_operations`` what only a host does. Beside that, for tests and measurements,
``count_operations``: what Linux would have to be traced for.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Protocol

from ccwemu.channel import Image, ImageError
from ccwemu.faults.board import Board
from ccwemu.lab.faults import count_fault, give_faults
from ccwemu.lab.lines import Message, Operation, Peer, Refusal
from ccwemu.machine.dasd.eckd import RESERVATION
from ccwemu.machine.spec import DasdSpec, MachineSpec, SubchannelSpec


class Handle(Protocol):
    """A mediated device held open."""

    subchannel: str

    def on_request(self, callback: Callable[[], None] | None) -> None: ...
    def on_paths(self, callback: Callable[[int], None] | None) -> None: ...
    def close(self) -> None: ...


def _words(message: Message, key: str) -> list[str]:
    words = message.get(key)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise Refusal("EINVAL", f"{message['op']}: {key} must be a list of texts, is {words!r}")
    return words


def _word(message: Message, key: str) -> str:
    word = message.get(key)
    if not isinstance(word, str) or not word:
        raise Refusal("EINVAL", f"{message['op']}: {key} must be a text, is {word!r}")
    return word


def node_operations(
    machine: Any, refresh: Callable[[], None], reboot: Callable[[], None], poweroff: Callable[[], None]
) -> dict[str, Operation]:
    """``machine`` is a :class:`ccwemu.machine.host.Machine`; ``refresh`` lets its faces forget what is no more;
    ``reboot`` and ``poweroff`` return before they have done it.
    """

    def modprobe(peer: Peer, message: Message) -> Message:
        words = _words(message, "args")
        with machine.lock:
            if words[:1] == ["-r"] and len(words) == 2:
                machine.modules.unload(words[1])
            elif words and not words[0].startswith("-"):
                machine.modules.load(words[0], words[1:])
            else:
                raise Refusal("EINVAL", "modprobe: expected [NAME, PARAMETER=VALUE...] or [-r, NAME]")
        refresh()
        return {"ok": True}

    def dmesg(peer: Peer, message: Message) -> Message:
        with machine.lock:
            return {"text": machine.dmesg.text()}

    def restart(peer: Peer, message: Message) -> None:
        peer.send({"ok": True})
        reboot()

    def off(peer: Peer, message: Message) -> None:
        peer.send({"ok": True})
        poweroff()

    def reservation(peer: Peer, message: Message) -> Message:
        order = _word(message, "order")
        if order not in RESERVATION:
            raise Refusal("EINVAL", f"reservation: expected one of {', '.join(RESERVATION)}, found {order!r}")
        try:
            machine.change_reservation(_word(message, "disk"), order)
        except OSError as problem:
            raise Refusal(errno.errorcode.get(problem.errno or 0, "EIO"), str(problem.strerror)) from None
        return {"ok": True}

    answers = {"modprobe": modprobe, "dmesg": dmesg, "reservation": reservation}
    return {**answers, "reboot": restart, "poweroff": off}


def count_operations(stores: Callable[[], int]) -> dict[str, Operation]:
    """``stores``: how often the node has written to the emulated kernel's files."""

    def tell_stores(peer: Peer, message: Message) -> Message:
        return {"stores": stores()}

    return {"stores": tell_stores}


class Guests(Protocol):
    """What a host's lab knows of the guests on it."""

    def up(self, name: str, pid: int) -> Callable[[], None]:
        """A guest runs; ``pid``: its init, or its QEMU. What to do when it is down. Raises Refusal."""

    def system(self, name: str) -> tuple[Message, list[int]]:
        """What the lab has a guest as, and open files that go with it. Raises OSError."""


def host_operations(
    machine: Any, spec: MachineSpec, guests: Guests, faults: Board | None = None
) -> dict[str, Operation]:
    """What a host does for qemu-system-s390x. A connection's end gives back what was opened through it."""
    board = faults if faults is not None else Board()
    opened: dict[Peer, str] = {}
    subchannels = {sch.busid: sch for sch in spec.subchannels}

    def vfio_open(peer: Peer, message: Message) -> None:
        uuid = _word(message, "uuid")
        handle: Handle = machine.mdevs.open_device(uuid, message.get("holds_group") is True)
        peer.at_end(handle.close)
        sch = subchannels[handle.subchannel]
        dasd = sch.device
        if not isinstance(dasd, DasdSpec) or not dasd.image:
            raise Refusal("ENODEV", f"subchannel {sch.busid}: no device with a disk image answers there")
        image = _open_image(dasd)
        peer.at_end(lambda: _take_back(image, dasd))
        give_faults(board, sch.busid, peer, _identity(sch, dasd), image)
        opened[peer] = sch.busid
        peer.at_end(lambda: opened.__delitem__(peer))
        handle.on_request(lambda: peer.send({"event": "request"}))
        handle.on_paths(lambda pam: peer.send({"event": "paths", "pam": pam}))

    def fault_counted(peer: Peer, message: Message) -> None:
        """Told unasked by who executes a device's programs: no answer."""
        if peer in opened:
            count_fault(board, opened[peer], message)

    def up(peer: Peer, message: Message) -> Message:
        name = _word(message, "name")
        descriptors = peer.take_descriptors()
        if len(descriptors) != 1:
            raise Refusal("EINVAL", "guest-up: expected the pidfd of the guest's init beside the message")
        try:
            down = guests.up(name, pid_of(descriptors[0]))
        except BaseException:
            os.close(descriptors[0])
            raise
        peer.at_end(lambda: _end_guest(descriptors[0], down))
        return {"ok": True}

    def system(peer: Peer, message: Message) -> None:
        answer, descriptors = guests.system(_word(message, "name"))
        try:
            peer.send(answer, *descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    return {"vfio-open": vfio_open, "fault-counted": fault_counted, "guest-up": up, "guest-system": system}


def _end_guest(pidfd: int, down: Callable[[], None]) -> None:
    """Whoever stood by the guest has ended: so does a guest that is left, which nobody could reach any more."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    down()


def _open_image(dasd: DasdSpec) -> int:
    flags = os.O_RDONLY if dasd.read_only else os.O_RDWR
    try:
        return os.open(dasd.image, flags | os.O_CLOEXEC)
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "EIO")
        raise Refusal(name, f"disk image {dasd.image}: {error.strerror}") from None


def _take_back(image: int, dasd: DasdSpec) -> None:
    """End the guest's lock on an image: its descriptor is the same open file as ours, whoever forgot to close it.

    A QEMU that ends leaves the journal at the image's end. Who opens the image takes it away.
    """
    fcntl.flock(image, fcntl.LOCK_UN)
    os.close(image)
    if not dasd.read_only:
        with contextlib.suppress(ImageError):  # then its next user is told
            Image.open(dasd.image).close()


def _identity(sch: SubchannelSpec, dasd: DasdSpec) -> Message:
    """What a subchannel of the core is made of: its paths and its device."""
    return {
        "ok": True,
        "device": asdict(dasd),
        "subchannel": sch.busid,
        "devno": sch.devno,
        "chpids": list(sch.chpids),
        "pim": sch.pim,
        "pam": sch.pam,
        "pom": sch.pom,
    }


def pid_of(pidfd: int) -> int:
    """The pid, as seen here, of the process that a pidfd stands for. Raises Refusal when it is none, or is gone."""
    with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as info:
        found = [line.split()[1] for line in info if line.startswith("Pid:")]
    if not found or int(found[0]) <= 0:
        raise Refusal("ESRCH", "guest-up: the descriptor is not the pidfd of a running process")
    return int(found[0])

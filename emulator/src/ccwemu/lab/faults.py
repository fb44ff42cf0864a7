# SPDX-License-Identifier: GPL-2.0-or-later
"""What the lab's daemon does for ``ccwemu fault``, and how who has a mediated device open is told."""

from __future__ import annotations

from typing import Any

from ccwemu.faults.board import Board
from ccwemu.faults.model import Fault, FaultError, from_message, is_number
from ccwemu.lab.lines import Message, Peer, Refusal
from ccwemu.machine.spec import IO, DasdSpec, MachineSpec, SubchannelSpec

NAMED = 10
"""Devices that an error names; a host can have ten thousand."""


class PeerUser:
    """A process that has a mediated device open (:class:`~ccwemu.faults.board.User`)."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def arm(self, fault: Fault) -> None:
        self._peer.send({"event": "fault", "fault": fault.to_message()})

    def disarm(self) -> None:
        self._peer.send({"event": "faults-cleared"})

    def set_device_valid(self, valid: bool) -> None:
        """A device that comes back finds its mediated device removed, or to be removed: nothing to tell then."""
        if not valid:
            self._peer.send({"event": "gone"})


def give_faults(board: Board, busid: str, peer: Peer, answer: Message, *descriptors: int) -> None:
    """Answer that a mediated device is open, with the faults that it has; from then on the peer is told of others.

    Raises Refusal where the device is away.
    """
    user = PeerUser(peer)
    with board.lock:
        if board.removed(busid):
            raise Refusal("ENODEV", f"subchannel {busid}: no device is there (ccwemu fault ... restore brings it back)")
        peer.at_end(lambda: board.detach(busid, user))
        pending = [fault.to_message() for fault in board.attach(busid, user)]
        peer.send({**answer, "faults": pending}, *descriptors)


def count_fault(board: Board, busid: str, message: Message) -> None:
    """A fault has been met by a start. Raises Refusal."""
    numbers = [message.get(name) for name in ("id", "skip", "left")]
    if not all(is_number(number) for number in numbers):
        raise Refusal("EINVAL", f"fault-counted: expected id, skip and left as numbers, found {message!r}")
    board.counted(busid, *(int(str(number)) for number in numbers))


def subchannel_of(spec: MachineSpec, device: str) -> SubchannelSpec:
    """Raises Refusal."""
    found = [sch for sch in spec.subchannels if sch.type == IO and sch.devno == device]
    if not found:
        known = [sch.devno for sch in spec.subchannels if sch.type == IO and sch.devno]
        more = f" and {len(known) - NAMED} more (lscss)" if len(known) > NAMED else ""
        has = ", ".join(known[:NAMED]) or "none"
        below = [sch.devno for sch in spec.subchannels if sch.busid == device and sch.devno]
        if below:
            raise Refusal("ENODEV", f"{device} is the number of a subchannel; its device is {below[0]}")
        raise Refusal("ENODEV", f"device {device}: there is no such device; it has: {has}{more}")
    return found[0]


class FaultDesk:
    """The requests of ``ccwemu fault`` for one host. ``machine`` is None while the host is down."""

    def __init__(self, board: Board, spec: MachineSpec, machine: Any) -> None:
        self._board = board
        self._spec = spec
        self._machine = machine

    def serve(self, message: Message) -> Message:
        """Raises Refusal."""
        actions = {"arm": self._arm, "clear": self._clear, "list": self._list, "remove": self._remove}
        actions["restore"] = self._restore
        action = actions.get(str(message.get("action")))
        if action is None:
            raise Refusal("EINVAL", f"fault: action {message.get('action')!r}; known here: {', '.join(actions)}")
        return {"ok": True, **action(message)}

    def _device(self, message: Message) -> SubchannelSpec:
        return subchannel_of(self._spec, str(message.get("device")))

    def _arm(self, message: Message) -> Message:
        sch = self._device(message)
        if not isinstance(sch.device, DasdSpec) or not sch.device.image:
            raise Refusal("EOPNOTSUPP", f"device {sch.devno}: is no DASD with an image; only its programs are executed")
        try:
            fault = self._board.arm(sch.busid, from_message(message["fault"]))
        except FaultError as error:
            raise Refusal("EINVAL", f"device {sch.devno}: {error}") from None
        return {"fault": str(fault)}

    def _clear(self, message: Message) -> Message:
        return {"cleared": self._board.clear(self._device(message).busid)}

    def _list(self, message: Message) -> Message:
        sch = self._device(message)
        away = [f"device {sch.devno}: is away"] if self._board.removed(sch.busid) else []
        return {"lines": away + [f"device {sch.devno}: {fault}" for fault in self._board.pending(sch.busid)]}

    def _remove(self, message: Message) -> Message:
        sch = self._device(message)
        if not self._board.set_removed(sch.busid, True):
            raise Refusal("EALREADY", f"device {sch.devno}: is away already; bring it back with restore")
        if self._machine is not None:
            self._machine.device_gone(sch.busid)
        return {}

    def _restore(self, message: Message) -> Message:
        sch = self._device(message)
        if not self._board.set_removed(sch.busid, False):
            raise Refusal("EALREADY", f"device {sch.devno}: is there; take it away with remove")
        if self._machine is not None:
            self._machine.device_back(sch.busid)
        return {}

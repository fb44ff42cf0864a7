# SPDX-License-Identifier: GPL-2.0-or-later
"""What may be different from one IPL to the next: subchannel numbers, and which devices answer in time.

Pure: a description, and a source of chance, in; a description, or names, out.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, replace

from ccwemu.machine.spec import IO, MachineSpec, SubchannelSpec, VirtioSpec

LATE = 0.25
"""How probable it is that a device answers late."""


@dataclass(frozen=True)
class Ipl:
    """``seed``: draws all that is left to chance; None: nothing is, and everything comes in its order."""

    seed: int | None = None
    renumber: bool = False

    def chance(self, what: str) -> random.Random | None:
        """A source of its own for each question, so that one more question does not change the other answers."""
        return None if self.seed is None else random.Random(f"{what} {self.seed}")


IN_ORDER = Ipl()


def renumbered(spec: MachineSpec, chance: random.Random) -> MachineSpec:
    """The same devices on other subchannels: one was taken out of the configuration and added again as the last.

    Its followers move down by one subchannel number. The I/O subchannels of each subchannel set keep their numbers
    among them; one of a set that has only one stays as it is.
    """
    moved = dict[str, SubchannelSpec]()
    for ssid in sorted({sch.busid.split(".")[1] for sch in spec.subchannels}):
        devices = [sch for sch in spec.subchannels if sch.type == IO and sch.busid.split(".")[1] == ssid]
        devices.sort(key=lambda sch: sch.busid)
        if len(devices) < 2:
            continue
        taken = chance.randrange(len(devices) - 1)
        order = [*devices[:taken], *devices[taken + 1 :], devices[taken]]
        for place, sch in zip(devices, order, strict=True):
            moved[place.busid] = replace(sch, busid=place.busid)
    return replace(spec, subchannels=tuple(moved.get(sch.busid, sch) for sch in spec.subchannels))


def late_subchannels(spec: MachineSpec, needed: Collection[str], chance: random.Random) -> list[str]:
    """The subchannels whose devices do not answer before userspace runs, in the order of their numbers.

    ``needed``: the device numbers of those that the host cannot boot without. Virtio devices are always in time.
    """
    may_be = [
        sch
        for sch in sorted(spec.subchannels, key=lambda sch: sch.busid)
        if sch.type == IO and sch.devno and sch.devno not in needed and not isinstance(sch.device, VirtioSpec)
    ]
    return [sch.busid for sch in may_be if chance.random() < LATE]


def moves(before: MachineSpec, after: MachineSpec) -> dict[str, str]:
    """Of each device that is on another subchannel: where it was → where it is."""
    old = {sch.devno: sch.busid for sch in before.subchannels if sch.devno}
    new = {sch.devno: sch.busid for sch in after.subchannels if sch.devno}
    return {old[devno]: new[devno] for devno in old if old[devno] != new[devno]}

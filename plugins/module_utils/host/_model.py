# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host looks like, as plain values. Observed by _observe, reasoned about by _plan and _refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .._busid import BusId, GuestDevno

IO_SUBCHANNEL = "io_subchannel"
VFIO_CCW = "vfio_ccw"
MDEV_TYPE = "vfio_ccw-io"

SUBCHANNEL_TYPES = {0: "io", 1: "chsc", 2: "message", 3: "adm"}

VIRTIO_CU_TYPE = "3832"
QDIO_CU_TYPES = ("1731", "1732")
"""Control units whose subchannels are QDIO: OSA, HiperSockets and FCP. vfio_ccw does not bind these."""
DASD_DRIVERS = ("dasd-eckd", "dasd-fba")


@dataclass(frozen=True)
class Use:
    """Why a device is busy, or who lays claim to it. ``detail`` is for people.

    ``kind`` of a use: root, mounted, swap, holder, opened, grouped, serves; of a claim: member (of a volume that is not
    active), fstab, fstab-swap, crypttab.
    """

    kind: str
    detail: str


@dataclass(frozen=True)
class BlockDevice:
    """A disk or partition of a CCW device. ``number`` is major:minor."""

    name: str
    number: str
    partitions: tuple[BlockDevice, ...] = ()

    @property
    def path(self) -> str:
        return "/dev/" + self.name.replace("!", "/")

    def with_partitions(self) -> tuple[BlockDevice, ...]:
        return (self,) + self.partitions


@dataclass(frozen=True)
class CcwDevice:
    """A CCW device as io_subchannel shows it (/sys/bus/ccw/devices)."""

    busid: BusId
    driver: str
    online: bool
    cutype: str
    devtype: str
    availability: str = "good"
    alias: bool = False
    uid: str = ""
    """Of an alias: vendor, serial number, subsystem, unit address of its base (xx: a HyperPAV alias has none)."""
    hosts: int | None = None
    """How many systems have a path group to a disk that is online, this one included; None: it does not tell."""
    reservation: str = "none"
    """What the driver knows of this system's reservation: none, reserved, lost."""
    block: tuple[BlockDevice, ...] = ()
    users: tuple[Use, ...] = ()

    @property
    def is_dasd(self) -> bool:
        return self.driver in DASD_DRIVERS or self.cutype.startswith(("3990", "2105", "2107", "1750", "3880"))


@dataclass(frozen=True)
class Mdev:
    """A mediated device. ``group`` is its IOMMU group ("" without one), ``in_use``: a QEMU holds it open."""

    uuid: str
    subchannel: BusId
    driver: str = ""
    group: str = ""
    in_use: bool = False

    @property
    def ready(self) -> bool:
        """Whether QEMU can open it. Without its driver it has no IOMMU group."""
        return self.in_use or bool(self.driver and self.group)


@dataclass(frozen=True)
class Subchannel:
    """A subchannel. ``devno`` is the device number that its SCHIB names; it stays readable whatever driver is bound."""

    busid: BusId
    type: int = 0
    driver: str = ""
    driver_override: str = ""
    has_override: bool = True
    """Whether the kernel (5.3 and newer) has the attribute driver_override for subchannels."""
    devno: BusId | None = None
    device: CcwDevice | None = None
    mdevs: tuple[Mdev, ...] = ()
    removing: bool = False
    """Whether a mediated device is being removed and somebody still has it open: gone, and its instance not free."""
    kept_driver: str = ""
    """The driver that driverctl gives the subchannel at boot."""
    kept_mdevs: tuple[str, ...] = ()
    """UUIDs that mdevctl starts at boot."""
    manual_mdevs: tuple[str, ...] = ()
    """UUIDs that mdevctl knows and starts by hand only."""


@dataclass(frozen=True)
class JournalEntry:
    """What a device was before it was taken from the host."""

    device: BusId
    subchannel: BusId
    uuid: str
    guest: str = ""
    devno: str = ""
    was_online: bool | None = False
    """None: not known, since the device was passed on by other means."""
    driver: str = ""
    """The CCW driver that had the device, "" when it is not known."""
    override: str = ""
    """What driver_override of the subchannel named."""
    kept_driver: str = ""
    """The driver that driverctl gave the subchannel at boot."""
    defined: str = ""
    """How mdevctl had this UUID defined before: auto (started at boot), manual, or not at all."""
    rules: tuple[tuple[str, str], ...] = ()
    """Path and text of the udev rules that were removed."""
    parameters: tuple[tuple[str, str], ...] = ()
    """Path and text, before any device was taken out, of the files that set it online at boot."""
    left_offline: bool = False
    """Whether the host has the device again, offline although it was online, for another system is to have it next."""


@dataclass(frozen=True)
class AtBoot:
    """Something that does to a device at boot what passing it through forbids.

    ``kind``: rule (a udev rule that sets it online), parameter (a kernel parameter or a line of dasd.conf that does),
    hidden (cio_ignore). ``source`` is the file, ``text`` the file's whole text for a rule, the parameter otherwise.
    """

    kind: str
    source: str
    text: str = ""
    alone: bool = True
    """Whether the file concerns this device only."""
    kept: str = ""
    """Why the device is not taken out of it; "" where it is, when asked for."""


@dataclass(frozen=True)
class Special:
    """What the host's start or dump needs a device for. ``kind``: boot or dump; ``why``: for people."""

    kind: str
    why: str


@dataclass(frozen=True)
class StaleRule:
    """mdevctl's udev rule, where it starts nothing at boot: ``program`` is what it runs and the host does not have.

    ``corrected`` is its text with the program that the host has, "" where there is none to put in its place.
    """

    path: str
    program: str
    corrected: str = ""


@dataclass(frozen=True)
class HostState:
    """What is known of the host for the devices asked about.

    ``by_device``: subchannel of each device number found. ``mdevs``: by UUID those that were asked for and those on the
    subchannels found. ``ignored``: device numbers asked about that cio_ignore hides. ``special``: what the settings of
    the boot loader use a device for.
    """

    by_device: dict[BusId, Subchannel] = field(default_factory=dict)
    subchannels: dict[BusId, Subchannel] = field(default_factory=dict)
    """Subchannels that have a number as their own that was asked for as a device's and is none."""
    mdevs: dict[str, Mdev] = field(default_factory=dict)
    ignored: frozenset[BusId] = frozenset()
    special: dict[BusId, Special] = field(default_factory=dict)
    journal: dict[BusId, JournalEntry] = field(default_factory=dict)
    """What was passed on."""
    left_offline: Mapping[BusId, JournalEntry] = field(default_factory=dict)
    """What is noted of devices that came back and were left offline."""
    left_behind: dict[BusId, Subchannel] = field(default_factory=dict)
    """Device to the subchannel that the journal noted for it, where that is another one than today's."""
    vfio_ccw_registered: bool = True
    """Whether the vfio_ccw driver is registered."""
    modules_to_load: tuple[str, ...] = ()
    """What passthrough needs and is not loaded yet."""
    kernel_lacks: str = ""
    """Why it cannot be loaded; "" when it can."""
    missing_tools: tuple[str, ...] = ()
    """Which of driverctl and mdevctl the host does not have."""
    stale_rule: StaleRule | None = None
    """mdevctl's udev rule, where it does not work."""
    at_boot: Mapping[BusId, tuple[AtBoot, ...]] = field(default_factory=dict)
    """What would set a device online at boot, or hide it."""
    boot_files: Mapping[str, str] = field(default_factory=dict)
    """The texts of the files that devices are to be taken out of, or put back into."""
    claims: Mapping[BusId, tuple[Use, ...]] = field(default_factory=dict)
    """Who lays claim to a disk that nobody uses now: volumes that are not active, the host's configuration."""
    unread: Mapping[BusId, str] = field(default_factory=dict)
    """A disk to the reason for which nobody could look at what is on it."""
    aliases: Mapping[BusId, tuple[BusId, ...]] = field(default_factory=dict)
    """A base device to the PAV aliases of it that are online."""
    has_channels: bool = True
    """Whether the system has a channel subsystem at all."""
    may_write: bool = True
    by_subchannel: Mapping[BusId, tuple[BusId, ...]] = field(default_factory=dict)
    """Subchannel to the devices that the journal notes for it."""


WHOLE, SUBCHANNEL_ONLY, MDEV_ONLY = "whole", "subchannel", "mdev"
"""How much of the way is wanted: all of it, the subchannel's driver alone, or the mediated device alone."""


@dataclass(frozen=True)
class Request:
    """What is wanted of one device, every text parsed. ``guest`` "" when no guest was named.

    ``present``: the device for a guest; a subchannel alone for vfio_ccw; that there is a mediated device alone.
    """

    device: BusId
    uuid: str
    devno: GuestDevno
    guest: str = ""
    present: bool = True
    uuid_given: bool = False
    persistent: bool = False
    """Whether it is to last over a restart of the host."""
    adopt: bool = False
    """Whether what others set up on it is taken over."""
    remove_rules: bool = False
    """Whether udev rules that set it online at boot are removed."""
    remove_parameters: bool = False
    """Whether it is taken out of kernel parameters that set it online at boot."""
    correct_rule: bool = False
    """Whether a udev rule of mdevctl's that starts nothing is corrected."""
    leave_offline: bool = False
    """Whether it stays offline when it comes back, even if it was online before."""
    force: tuple[str, ...] = ()
    scope: str = WHOLE
    """WHOLE, SUBCHANNEL_ONLY or MDEV_ONLY."""

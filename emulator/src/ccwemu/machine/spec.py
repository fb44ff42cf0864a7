# SPDX-License-Identifier: GPL-2.0-or-later
"""What a machine is made of: frozen descriptions, parsed from a lab's definition by someone else.

Bus ids are strings in the kernel's form ("0.0.7e52"), CHPIDs and models are integers, sizes are in the unit that
the field says. A spec is checked where a :class:`~ccwemu.machine.host.Machine` is made of it: :func:`check`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

DEFAULT_KERNEL = "6.1.0-29-s390x"

IO, CHSC, MESSAGE, ADM = 0, 1, 2, 3
"""Subchannel types (Principles of Operation, PMCW word 1)."""

CHPID_FICON = 0x1B
CHPID_VIRTIO = 0x32

BUSID = re.compile(r"^0\.[0-3]\.[0-9a-f]{4}$")


class SpecError(ValueError):
    """A machine that cannot be: which part, what was found, what is expected."""


@dataclass(frozen=True)
class ChpidSpec:
    """A channel path. ``chid`` is the physical channel id, None where the hypervisor gives none (QEMU)."""

    chpid: int
    type: int = CHPID_FICON
    online: bool = True
    chid: int | None = None
    configurable: bool = False
    """False: SCLP offers no configuration, ``configure`` answers EOPNOTSUPP (as under QEMU)."""


PAV_ALIAS, HYPER_PAV_ALIAS = 2, 3
"""Unit types of aliases: of one base device, and of any of the subsystem."""


@dataclass(frozen=True)
class DasdSpec:
    """An ECKD disk behind a storage control."""

    image: str = ""
    """Path of the CKD image; "" where the channel device comes from elsewhere (a passed-through subchannel)."""
    cylinders: int = 10017
    heads: int = 15
    cu_type: int = 0x3990
    cu_model: int = 0xE9
    dev_type: int = 0x3390
    dev_model: int = 0x0C
    serial: str = "0000000TEST0"
    """Up to 14 characters: location (2) and sequence number (12) of the node element descriptor, from the right."""
    ssid: int = 0x0000
    """Storage subsystem id."""
    unit_address: int = 0x00
    read_only: bool = False
    shared: bool = False
    """Other machines have it, too: one of them at a time can use it."""
    rejects: tuple[int, ...] = ()
    """Command codes that the control unit answers with command reject: a unit without that function."""
    rejects_suborders: tuple[int, ...] = ()
    """Subsystem data that the control unit does not have, by the suborder of Perform Subsystem Function."""
    online: bool = False
    """Brought online at boot."""
    alias: int = 0
    """Of an alias its unit type: PAV_ALIAS, HYPER_PAV_ALIAS."""
    base_unit_address: int = 0x00
    """Of a PAV alias: its base device's."""
    other_systems: int = 0
    """How many other systems have a path group to the device."""
    reserved: bool = False
    """Whether another system has it reserved."""


@dataclass(frozen=True)
class PartitionSpec:
    """Start and length in 512-byte sectors."""

    start: int
    sectors: int


VIRTIO_KINDS = {
    "net": 1,
    "blk": 2,
    "console": 3,
    "rng": 4,
    "balloon": 5,
    "scsi": 8,
    "9p": 9,
    "vsock": 0x13,
}
"""Virtio device ids (virtio specification, 5): the CU model of a virtio-ccw device."""


@dataclass(frozen=True)
class VirtioSpec:
    """A virtio-ccw device: control unit 3832, model = virtio device id, no device type."""

    kind: str
    size: int = 0
    """Bytes, of a blk."""
    image: str = ""
    """Backing file of a blk; "" gives a disk that reads zeros and forgets what is written beyond the run."""
    partitions: tuple[PartitionSpec, ...] = ()
    mac: str = "52:54:00:12:34:56"

    cu_type: int = 0x3832
    dev_type: int = 0
    dev_model: int = 0

    @property
    def cu_model(self) -> int:
        return VIRTIO_KINDS[self.kind]


@dataclass(frozen=True)
class OtherSpec:
    """A device that only identifies itself: a tape, a 3270, an OSA adapter."""

    cu_type: int
    cu_model: int
    dev_type: int = 0
    dev_model: int = 0


@dataclass(frozen=True)
class PlaceSpec:
    """A block device: a partition (0: the whole disk) of a DASD that is online, or a volume of the machine."""

    device: str
    """Bus id of the DASD, or name of the volume, which has no partitions."""
    partition: int = 1


VOLUME_KINDS = ("lvm", "crypt", "raid", "btrfs")


@dataclass(frozen=True)
class VolumeSpec:
    """Something that is built on block devices at boot: a device-mapper volume, a RAID array, a btrfs file system.

    ``name`` is what dmsetup calls it ("vg0-data"), the array's ("md0"), or the UUID of the file system. Members that
    are volumes stand before it.
    """

    name: str
    members: tuple[PlaceSpec, ...]
    kind: str = "lvm"
    """One of VOLUME_KINDS."""


DeviceSpec = DasdSpec | VirtioSpec | OtherSpec


@dataclass(frozen=True)
class SubchannelSpec:
    """A subchannel of the machine; ``busid`` is the subchannel's own bus id, not the device's."""

    busid: str
    type: int = IO
    devno: str | None = None
    """Bus id of the device ("0.0.7e52"); None: no valid device number (dnv = 0)."""
    chpids: tuple[int, ...] = ()
    """Installed CHPIDs, the first at path mask 0x80."""
    pim: int = 0x80
    pam: int = 0x80
    pom: int = 0xFF
    device: DeviceSpec | None = None
    qdio: bool = False
    """PMCW.QF: a queued-direct-I/O subchannel (OSA, FCP), which vfio_ccw refuses."""


@dataclass(frozen=True)
class MachineSpec:
    """A machine: its kernel, its channel subsystem, and what is done at boot."""

    name: str
    kernel: str = DEFAULT_KERNEL
    """``uname -r``."""
    config: Mapping[str, str] = field(default_factory=dict)
    """Kernel configuration over the defaults of the version: {"CONFIG_VFIO_CCW": "n"}; values y, m, n or a text."""
    chpids: tuple[ChpidSpec, ...] = ()
    """CHPIDs that a subchannel names and this does not are added with default values."""
    subchannels: tuple[SubchannelSpec, ...] = ()
    cio_ignore: str = ""
    """As the kernel parameter: "all,!0.0.7e52"; also taken from ``cmdline``."""
    modules: tuple[str, ...] = ("dasd_eckd_mod",)
    """Loaded at boot, with what they depend on."""
    cmdline: str = "root=/dev/vda1"
    real_cssid: int | None = None
    """What css0/real_cssid says; None: not valid, reading fails with EINVAL (as under QEMU)."""
    channel_measurement: bool = False
    """CHSC characteristic secm: css0/cm_enable is there."""
    recognition_delay: float = 0.0
    """Seconds that device recognition takes after a subchannel is bound; it is asynchronous in any case."""
    swaps: tuple[PlaceSpec, ...] = ()
    """Swap areas that are on from boot."""
    volumes: tuple[VolumeSpec, ...] = ()
    ipl: str = ""
    """Bus id of the device that it is started from; "": it does not tell."""
    dump: str = ""
    """Bus id of its dump device."""
    cpus: int = 2
    machine_type: str = "8561"
    cpu_serial: str = "0A5FE8"
    memory_kib: int = 4 * 1024 * 1024


def check(spec: MachineSpec) -> None:
    """Raise SpecError where the parts do not fit: bad or doubled bus ids, impossible paths."""
    seen_subchannels: set[str] = set()
    seen_devices: dict[str, str] = {}
    for sch in spec.subchannels:
        where = f"machine {spec.name}, subchannel {sch.busid}"
        if not BUSID.match(sch.busid):
            raise SpecError(f"{where}: the bus id must look like 0.0.16ca")
        if sch.busid in seen_subchannels:
            raise SpecError(f"{where}: is defined twice")
        seen_subchannels.add(sch.busid)
        if sch.type not in (IO, CHSC, MESSAGE, ADM):
            raise SpecError(f"{where}: type {sch.type} is none of 0 (I/O), 1 (CHSC), 2 (message), 3 (ADM)")
        if len(sch.chpids) > 8:
            raise SpecError(f"{where}: {len(sch.chpids)} channel paths, at most 8 are possible")
        if sch.devno is None:
            continue
        if not BUSID.match(sch.devno):
            raise SpecError(f"{where}: device number {sch.devno!r} must look like 0.0.7e52")
        if sch.devno in seen_devices:
            raise SpecError(f"{where}: device {sch.devno} is already on subchannel {seen_devices[sch.devno]}")
        seen_devices[sch.devno] = sch.busid
        if isinstance(sch.device, VirtioSpec) and sch.device.kind not in VIRTIO_KINDS:
            kinds = ", ".join(VIRTIO_KINDS)
            raise SpecError(f"{where}: virtio kind {sch.device.kind!r} is none of {kinds}")

# SPDX-License-Identifier: GPL-2.0-or-later
"""The devices of a guest's command line: models, properties, device numbers, order of realization.

Source: QEMU 7.2, hw/s390x/css.c (css_create_sch, set_css_devid), ccw-device.c, s390-ccw.c; messages compared with
the real program.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import product

from ccwemu.guest.cmdline import CommandLine
from ccwemu.guest.qemuopts import Options, QemuError, boolean, integer, words
from ccwemu.guest.release import VIRTUAL_CSSID, Release

MAX_SSID = 3

DEVNO = re.compile(r"\s*([0-9a-fA-F]{1,2})\.([0-9a-fA-F])\.([0-9a-fA-F]{4})")


@dataclass(frozen=True)
class CcwId:
    """A device number as QEMU names it: fe.0.1234."""

    cssid: int
    ssid: int
    devno: int

    def __str__(self) -> str:
        return f"{self.cssid:x}.{self.ssid:x}.{self.devno:04x}"

    @property
    def busid(self) -> str:
        """The bus id in the guest: 0.0.1234."""
        return f"0.{self.ssid:x}.{self.devno:04x}"


@dataclass(frozen=True)
class Model:
    """A model on the virtual channel subsystem. ``kind`` is the virtio device type, None for vfio-ccw."""

    kind: str | None
    proxied: str = ""
    """The device behind the ccw one, which messages about its properties name (virtio-blk-device)."""
    booleans: frozenset[str] = frozenset()
    integers: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()


def _virtio(kind: str, backend: str, integers: str = "", booleans: str = "", texts: str = "") -> Model:
    common = "ioeventfd any_layout disable-legacy event_idx indirect_desc iommu_platform notify_on_empty packed "
    return Model(
        kind,
        backend,
        words(common + "queue_reset use-disabled-flag use-started " + booleans),
        words("max_revision " + integers),
        words(texts),
    )


_BLOCK = "logical_block_size physical_block_size min_io_size opt_io_size discard_granularity num-queues queue-size"
MODELS: dict[str, Model] = {
    "vfio-ccw": Model(
        None, "", frozenset(["force-orb-pfch"]), frozenset(["bootindex"]), frozenset(["sysfsdev", "loadparm"])
    ),
    "virtio-blk-ccw": _virtio(
        "blk", "virtio-blk-device", f"bootindex cyls heads secs {_BLOCK}",
        "scsi write-cache config-wce discard write-zeroes share-rw request-merging",
        "drive serial iothread werror rerror loadparm",
    ),
    "virtio-net-ccw": _virtio(
        "net", "virtio-net-device", "bootindex rx_queue_size tx_queue_size host_mtu speed x-txtimer x-txburst",
        "mq mrg_rxbuf csum guest_csum gso ctrl_vq ctrl_rx ctrl_vlan rss failover guest_announce", "netdev mac duplex",
    ),
    "virtio-rng-ccw": _virtio("rng", "virtio-rng-device", "max-bytes period", texts="rng"),
    "virtio-scsi-ccw": _virtio(
        "scsi", "virtio-scsi-device", "num_queues virtqueue_size max_sectors cmd_per_lun", "hotplug param_change",
        "iothread",
    ),
    "virtio-serial-ccw": _virtio("console", "virtio-serial-device", "max_ports", "emergency-write"),
    "virtio-balloon-ccw": _virtio("balloon", "virtio-balloon-device", "", "deflate-on-oom free-page-reporting"),
    "virtio-9p-ccw": _virtio("9p", "virtio-9p-device", texts="fsdev mount_tag"),
    "vhost-vsock-ccw": _virtio("vsock", "vhost-vsock-device", "guest-cid", texts="vhostfd"),
}  # fmt: skip
"""What can be put on the virtual channel subsystem of a quick guest."""

WITHOUT_SUBCHANNEL = words(
    "sclpconsole sclplmconsole virtconsole virtserialport scsi-hd scsi-cd scsi-disk scsi-generic scsi-block "
    "diag288 vmcoreinfo"
)
"""Models that Linux does not see as subchannels; accepted, and nothing comes of them."""

COMMON = frozenset(["driver", "id", "devno", "bus"])
READ_ONLY = frozenset(["dev_id", "subch_id", "realized", "hotplugged"])


@dataclass
class GuestDevice:
    """A device as QEMU would realize it."""

    options: Options
    model: Model
    devno: CcwId | None = None
    """None: QEMU gives it the first free number."""
    values: dict[str, str] = field(default_factory=dict)

    @property
    def where(self) -> str:
        return self.options.where

    @property
    def passed_through(self) -> bool:
        return self.model.kind is None

    def take(self, taken: set[CcwId], line: CommandLine) -> CcwId:
        """Its device number, checked or chosen (css_create_sch). Raises QemuError."""
        restricted, squash = line.release.restricts_css, line.squash
        if self.devno is None:
            outside = restricted and self.passed_through and not squash
            self.devno = _first_free(taken, range(VIRTUAL_CSSID) if outside else (line.default_cssid,))
        elif restricted and self.passed_through == (self.devno.cssid == VIRTUAL_CSSID):
            kind = "non-virtual" if self.passed_through else "virtual"
            raise QemuError(f"cssid {self.devno.cssid:x} not valid for {kind} devices", self.where)
        if squash:
            self.devno = replace(self.devno, cssid=line.default_cssid)
        if self.devno in taken:
            raise QemuError(f"Device {self.devno} already exists", self.where)
        taken.add(self.devno)
        return self.devno


def _first_free(taken: set[CcwId], subsystems: Iterable[int]) -> CcwId:
    for cssid, ssid, number in product(subsystems, range(MAX_SSID + 1), range(0x10000)):
        candidate = CcwId(cssid, ssid, number)
        if candidate not in taken:
            return candidate
    raise QemuError("Virtual channel subsystem is full!")


def parse_devno(driver: str, text: str) -> CcwId:
    """``fe.0.1234``. Raises QemuError."""
    match = DEVNO.fullmatch(text)
    if match is None:
        raise QemuError(f"Property '{driver}.devno' doesn't take value '{text}'")
    number = CcwId(*(int(part, 16) for part in match.groups()))
    if number.ssid > MAX_SSID:
        raise QemuError(f"Invalid cssid or ssid: cssid {number.cssid:x}, ssid {number.ssid:x}")
    return number


_DEVNO_HELP = "dentifier of an I/O device in the channel subsystem, example: fe.1.23ab"
_HELP = {
    "devno": f"I{_DEVNO_HELP}",
    "dev_id": f"Read-only i{_DEVNO_HELP}",
    "subch_id": f"Read-only i{_DEVNO_HELP}",
    "force-orb-pfch": " (default: false)",
}


def help_text(driver: str, release: Release) -> str:
    """``-device DRIVER,help``: its properties, in QEMU's form. Raises QemuError."""
    model = MODELS.get(driver)
    if model is None:
        raise QemuError(f"Device '{driver}' not found")
    types = dict.fromkeys(("devno", "dev_id", "subch_id", *model.texts), "<str>")
    types |= dict.fromkeys(model.booleans, "<bool>") | dict.fromkeys(model.integers, "<int32>")
    lines = [f"{driver} options:"]
    for name, kind in sorted(item for item in types.items() if release.knows_property(driver, item[0])):
        property_ = f"  {name}={kind}"
        lines.append(f"{property_:<24} - {_HELP[name]}" if name in _HELP else property_)
    return "\n".join(lines) + "\n"


def list_text() -> str:
    """``-device help``."""
    return "Misc devices:\n" + "".join(f'name "{name}", bus virtual-css-bus\n' for name in MODELS)


def make(options: Options, line: CommandLine) -> GuestDevice | None:
    """A device with its properties set; None for a model without a subchannel. Raises QemuError."""
    driver = options.values.get("driver")
    if not driver:
        raise QemuError("Parameter 'driver' is missing", options.where)
    model = MODELS.get(driver)
    if model is None:
        if driver in WITHOUT_SUBCHANNEL:
            return None
        raise QemuError(f"'{driver}' is not a valid device model name", options.where)
    device = GuestDevice(options, model)
    for key, text in options.values.items():
        try:
            _set(device, driver, key, text, line)
        except QemuError as error:
            raise error.at(options.where) from None
    return device


def _set(device: GuestDevice, driver: str, key: str, text: str, line: CommandLine) -> None:
    model = device.model
    if not line.release.knows_property(driver, key):
        raise QemuError(line.release.unknown_property(driver, key))
    if key == "devno":
        device.devno = parse_devno(driver, text)
    elif key in COMMON:
        return
    elif key in READ_ONLY:
        raise QemuError(f"Property '{driver}.{key}' is not writable")
    elif key in model.booleans:
        boolean(key, text)
    elif key in model.integers:
        if not -(1 << 31) <= integer(key, text) < 1 << 32:
            raise QemuError(f"Parameter '{key}' expects int32_t")
    elif key not in model.texts:
        raise QemuError(line.release.unknown_property(driver, key))
    elif key in ("drive", "netdev"):
        _check_backend(model, key, text, line)
    elif key == "mac" and not re.fullmatch(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}", text):
        raise QemuError(f"Property '{model.proxied}.mac' doesn't take value '{text}'")
    elif key == "rng" and all(other.id != text for other in line.objects):
        raise QemuError(f"Device '{text}' not found")
    device.values[key] = text


def _check_backend(model: Model, key: str, text: str, line: CommandLine) -> None:
    backends = line.drives if key == "drive" else line.netdevs
    if all(backend.id != text for backend in backends):
        raise QemuError(f"Property '{model.proxied}.{key}' can't find value '{text}'")
    used = "_used_" + key
    backend = next(backend for backend in backends if backend.id == text)
    if used in backend.values:
        noun = "Drive" if key == "drive" else "Netdev"
        raise QemuError(f"{noun} '{text}' is already in use by another device")
    backend.values[used] = "on"


def complete(device: GuestDevice) -> None:
    """What a virtio device checks when it is realized. Raises QemuError."""
    kind, values = device.model.kind, device.values
    if kind == "blk" and "drive" not in values:
        raise QemuError("drive property not set", device.where)
    if kind == "9p" and "fsdev" not in values:
        raise QemuError("9pfs device couldn't find fsdev with the id = NULL", device.where)
    if kind == "vsock" and int(values.get("guest-cid", "0"), 0) <= 2:
        raise QemuError("guest-cid property must be greater than 2", device.where)


def machine_devices(line: CommandLine) -> list[GuestDevice]:
    """Network cards that come without -device, before all others."""
    cards = line.cards + (not line.networks and not line.nodefaults)
    card = Options("-nic user", {"driver": "virtio-net-ccw"})
    return [GuestDevice(card, MODELS["virtio-net-ccw"]) for _turn in range(cards)]


def drive_devices(line: CommandLine) -> list[Options]:
    """-device options that -drive if=virtio (the default on this machine) implies, after all others."""
    implied = []
    for number, drive in enumerate(line.drives):
        if drive.get("if", "virtio") == "virtio":
            identity = drive.values.setdefault("id", f"virtio{number}")
            implied.append(Options(drive.where, {"driver": "virtio-blk-ccw", "drive": identity}))
    return implied

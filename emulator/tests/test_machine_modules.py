# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules, kernel configuration, the files of /lib/modules and /proc, disks of the machine."""

from __future__ import annotations

import errno
import gzip
import lzma
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ccwemu.machine.access import find, names, read, readlink, write
from ccwemu.machine.cstring import kstrtouint, kstrtoul, streq
from ccwemu.machine.host import Machine
from ccwemu.machine.kconfig import KernelConfig
from ccwemu.machine.spec import DasdSpec, MachineSpec, PartitionSpec, PlaceSpec, SubchannelSpec, VirtioSpec
from ccwemu.machine.tree import DeviceFile
from ccwemu.machine.versions import facts

VFIO = ("mdev", "vfio", "vfio_iommu_type1", "vfio_ccw")


def booted(kernel: str = "6.1.192", modules: tuple[str, ...] = (), config: dict[str, str] | None = None) -> Machine:
    spec = MachineSpec(
        "lpar1",
        kernel=kernel,
        config={f"CONFIG_{key}": value for key, value in (config or {}).items()},
        modules=modules,
        subchannels=(
            SubchannelSpec(
                "0.0.0000", devno="0.0.0001", chpids=(0,),
                device=VirtioSpec("blk", size=1 << 20, partitions=(PartitionSpec(1, 7), PartitionSpec(8, 100))),
            ),
            SubchannelSpec("0.0.0001", devno="0.0.0002", chpids=(0,), device=VirtioSpec("net")),
            SubchannelSpec("0.0.0002", devno="0.0.7e52", chpids=(0x41,), device=DasdSpec()),
        ),
    )  # fmt: skip
    machine = Machine(spec, threaded=False)
    machine.boot()
    return machine


def load_errno(machine: Machine, name: str) -> int | None:
    with pytest.raises(OSError) as caught:
        machine.modules.load(name)
    return caught.value.errno


def unload_errno(machine: Machine, name: str) -> int | None:
    with pytest.raises(OSError) as caught:
        machine.modules.unload(name)
    return caught.value.errno


def test_loading_by_hand() -> None:
    machine = booted()
    assert load_errno(machine, "nosuch") == errno.ENOENT
    assert load_errno(machine, "dasd_eckd_mod") == errno.ENOENT
    assert "dasd_eckd_mod: Unknown symbol of dasd_mod (err -2)" in machine.dmesg.lines()
    assert load_errno(machine, "virtio_blk") == errno.ENOENT  # built in: no such file
    machine.modules.load("dasd_mod", ["eer_pages=7", "nonsense=1"])
    assert load_errno(machine, "dasd_mod") == errno.EEXIST
    machine.modules.load("dasd-eckd-mod")
    assert read(machine, "/sys/module/dasd_mod/parameters/eer_pages") == "7\n"
    assert "dasd_mod: unknown parameter 'nonsense' ignored" in machine.dmesg.lines()
    assert unload_errno(machine, "dasd_mod") == errno.EWOULDBLOCK
    assert unload_errno(machine, "vfio") == errno.ENOENT
    assert read(machine, "/sys/module/dasd_mod/refcnt") == "1\n"
    assert readlink(machine, "/sys/module/dasd_mod/holders/dasd_eckd_mod") == "../../dasd_eckd_mod"
    assert readlink(machine, "/sys/module/dasd_eckd_mod/drivers/ccw:dasd-eckd") == "../../../bus/ccw/drivers/dasd-eckd"
    machine.modules.unload("dasd_eckd_mod")
    machine.modules.unload("dasd_mod")
    assert names(machine, "/sys/module") == []
    assert find(machine, "/proc/dasd") is None
    assert "alias" not in names(machine, "/sys/bus/ccw/devices/0.0.7e52")


LOADED = [
    ("4.15.0", ("mdev", "vfio", "vfio_iommu_type1", "vfio_ccw")),
    ("5.10.0", ("mdev", "vfio", "vfio_iommu_type1", "vfio_ccw")),
    ("5.15.0", ("vfio", "vfio_iommu_type1", "mdev", "vfio_ccw")),
    ("6.1.192", ("mdev", "vfio", "vfio_iommu_type1", "vfio_ccw")),
]


@pytest.mark.parametrize(("kernel", "expected"), LOADED)
def test_modprobe(kernel: str, expected: tuple[str, ...]) -> None:
    machine = booted(kernel)
    assert machine.modules.modprobe("vfio-ccw") == expected
    assert machine.modules.modprobe("vfio_ccw") == ()
    assert ("vfio_mdev" in machine.modules.available) == (kernel in ("4.15.0", "5.10.0"))


def test_what_unloading_takes_away() -> None:
    machine = booted(modules=("vfio_ccw",))
    for name in reversed(machine.modules.loaded):
        if name != "vfio_iommu_type1":
            continue
        machine.modules.unload(name)
    for name in ("vfio_ccw", "vfio", "mdev"):
        machine.modules.unload(name)
    assert "vfio_ccw" not in names(machine, "/sys/bus/css/drivers")
    assert "mdev" not in names(machine, "/sys/bus")
    assert not {"vfio", "mdev_bus", "vfio-dev"} & set(names(machine, "/sys/class"))
    assert find(machine, "/dev/vfio") is None
    machine.modules.modprobe("vfio_ccw")
    assert names(machine, "/dev/vfio") == ["vfio"]


CONFIGS = [
    ({}, True),
    ({"VFIO_CCW": "n"}, False),
    ({"VFIO_MDEV": "n"}, False),
    ({"S390_CCW_IOMMU": "n"}, False),
    ({"VFIO": "n"}, False),
]


@pytest.mark.parametrize(("config", "there"), CONFIGS)
def test_configuration_decides_what_is_there(config: dict[str, str], there: bool, tmp_path: Path) -> None:
    machine = booted(config=config)
    assert ("vfio_ccw" in machine.modules.available) is there
    machine.modules.write_tree(tmp_path)
    assert (tmp_path / "kernel/drivers/s390/cio/vfio_ccw.ko").exists() is there
    assert ("CONFIG_VFIO_CCW=m" in machine.modules.config_text().splitlines()) is there
    if not there:
        assert load_errno(machine, "vfio_ccw") == errno.ENOENT


def test_all_built_in() -> None:
    """Nothing to load, and no module link; what is built in cannot be loaded or unloaded."""
    names_ = ("VFIO", "VFIO_IOMMU_TYPE1", "VFIO_MDEV", "VFIO_CCW", "DASD", "DASD_ECKD")
    machine = booted(config=dict.fromkeys(names_, "y"))
    assert machine.modules.loaded == ()
    assert names(machine, "/sys/bus/css/drivers/vfio_ccw") == ["bind", "uevent", "unbind"]
    assert readlink(machine, "/sys/bus/ccw/devices/0.0.7e52/driver") == "../../../../bus/ccw/drivers/dasd-eckd"
    assert machine.modules.modprobe("vfio_ccw") == ()
    assert load_errno(machine, "vfio_ccw") == errno.ENOENT
    assert unload_errno(machine, "vfio_ccw") == errno.ENOENT


def test_virtio_drivers_as_modules() -> None:
    machine = booted(config={"VIRTIO_BLK": "m"})
    assert "vda" not in names(machine, "/sys/block")
    assert readlink(machine, "/sys/bus/virtio/devices/virtio0/driver") is None
    machine.modules.load("virtio_blk")
    assert "vda" in names(machine, "/sys/block")
    assert readlink(machine, "/sys/bus/virtio/drivers/virtio_blk/module") == "../../../../module/virtio_blk"
    machine.modules.unload("virtio_blk")
    assert "vda" not in names(machine, "/sys/block")


def test_configuration_text() -> None:
    config = KernelConfig("6.1.192", {"CONFIG_VFIO_CCW": "n", "CONFIG_LOCALVERSION": '"-x"'})
    lines = config.text().splitlines()
    assert "# CONFIG_VFIO_CCW is not set" in lines
    assert 'CONFIG_LOCALVERSION="-x"' in lines
    assert "CONFIG_S390_CCW_IOMMU=y" in lines
    assert "CONFIG_S390_CCW_IOMMU=y" not in KernelConfig("6.8.0", {}).text().splitlines()
    assert "CONFIG_VFIO_MDEV_DEVICE=m" in KernelConfig("5.10.0", {}).text().splitlines()
    assert not any("VFIO_MDEV_DEVICE" in line for line in lines)


def test_config_gz() -> None:
    machine = booted()
    node = find(machine, "/proc/config.gz")
    assert node is not None
    content = node.show()  # type: ignore[attr-defined]
    assert gzip.decompress(content).decode() == machine.modules.config_text()
    assert find(booted(config={"IKCONFIG_PROC": "n"}), "/proc/config.gz") is None


def test_module_tree(tmp_path: Path) -> None:
    machine = booted()
    machine.modules.write_tree(tmp_path / "6.1.192")
    tree = tmp_path / "6.1.192"
    dep = (tree / "modules.dep").read_text().splitlines()
    assert "kernel/drivers/s390/block/dasd_eckd_mod.ko: kernel/drivers/s390/block/dasd_mod.ko" in dep
    assert "kernel/drivers/s390/cio/vfio_ccw.ko: kernel/drivers/vfio/vfio.ko kernel/drivers/vfio/mdev/mdev.ko" in dep
    assert "kernel/drivers/vfio/vfio.ko:" in dep
    assert "alias ccw:t3990m*dt3390dm* dasd_eckd_mod" in (tree / "modules.alias").read_text().splitlines()
    assert "kernel/drivers/block/virtio_blk.ko" in (tree / "modules.builtin").read_text().splitlines()
    assert "softdep vfio post: vfio_iommu_type1" in (tree / "modules.softdep").read_text()


def test_module_files(tmp_path: Path) -> None:
    """The module files are readable by kmod's modinfo; newer kernels have them compressed."""
    booted().modules.write_tree(tmp_path / "a")
    path = tmp_path / "a" / "kernel/drivers/s390/cio/vfio_ccw.ko"
    content = path.read_bytes()
    assert content[:6] == b"\x7fELF\x02\x02"
    assert b"depends=mdev,vfio\0" in content
    modinfo = shutil.which("modinfo") or shutil.which("modinfo", path="/usr/sbin:/sbin")
    if modinfo is not None:
        text = subprocess.run([modinfo, str(path)], check=True, capture_output=True, text=True).stdout
        assert "VFIO based Subchannel device driver" in text
        assert "mdev,vfio" in text
    booted("6.12.107").modules.write_tree(tmp_path / "b")
    packed = tmp_path / "b" / "kernel/drivers/s390/cio/vfio_ccw.ko.xz"
    assert lzma.decompress(packed.read_bytes())[:4] == b"\x7fELF"


def test_proc_modules() -> None:
    lines = read(booted(modules=("dasd_eckd_mod",)), "/proc/modules").splitlines()
    assert [line.rsplit(" ", 1)[0] for line in lines] == [
        "dasd_eckd_mod 106496 0 - Live",
        "dasd_mod 106496 1 dasd_eckd_mod, Live",
    ]


def test_missing_module_at_boot_is_logged() -> None:
    machine = booted(modules=("nosuch", "dasd_eckd_mod"))
    assert "systemd-modules-load: Failed to load nosuch: No such file or directory" in machine.dmesg.lines()
    assert machine.modules.loaded == ("dasd_mod", "dasd_eckd_mod")


def test_proc_files() -> None:
    machine = booted(modules=("dasd_eckd_mod", "vfio_ccw"))
    assert read(machine, "/proc/sys/kernel/osrelease") == "6.1.192\n"
    assert read(machine, "/proc/version").startswith("Linux version 6.1.192 ")
    assert "processor 1: version = FF,  identification = 0A5FE8,  machine = 8561\n" in read(machine, "/proc/cpuinfo")
    assert "LPAR Name:            LPAR1\n" in read(machine, "/proc/sysinfo")
    devices = read(machine, "/proc/devices")
    assert "252 vfio\n" in devices
    assert "\nBlock devices:\n 94 dasd\n" in devices
    assert read(machine, "/proc/swaps") == "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    with pytest.raises(OSError) as caught:
        machine.proc.lookup("cio_settle").show()  # type: ignore[union-attr]
    assert caught.value.errno == errno.EIO


def test_virtio_disk() -> None:
    machine = booted()
    vda = "/sys/devices/css0/0.0.0000/0.0.0001/virtio0/block/vda"
    assert readlink(machine, "/sys/block/vda") == "../devices/css0/0.0.0000/0.0.0001/virtio0/block/vda"
    assert readlink(machine, "/sys/class/block/vda2") == "../../devices/css0/0.0.0000/0.0.0001/virtio0/block/vda/vda2"
    assert readlink(machine, "/sys/dev/block/254:2") == readlink(machine, "/sys/class/block/vda2")
    assert readlink(machine, f"{vda}/device") == "../../../virtio0"
    assert read(machine, f"{vda}/size") == "2048\n"
    assert (read(machine, f"{vda}/vda2/start"), read(machine, f"{vda}/vda2/size")) == ("8\n", "100\n")
    assert read(machine, f"{vda}/vda1/uevent").startswith("MAJOR=254\nMINOR=1\nDEVNAME=vda1\nDEVTYPE=partition\n")
    assert read(machine, "/proc/partitions").splitlines()[2:] == [
        " 254        0       1024 vda",
        " 254        1          3 vda1",
        " 254        2         50 vda2",
    ]
    assert readlink(machine, "/sys/class/net/eth0") == "../../devices/css0/0.0.0001/0.0.0002/virtio1/net/eth0"


def test_open_counts() -> None:
    machine = booted()
    mounted = ["vda2"]
    machine.set_open_counter(mounted.count)
    node = find(machine, "/dev/vda1")
    assert isinstance(node, DeviceFile)
    assert (node.kind, node.rdev, node.size) == ("block", (254, 1), 7 * 512)
    opened = node.open(os.O_RDWR)
    assert machine.blocks.open_count("vda") == 2
    assert opened.write(0, b"hello") == 5
    whole = find(machine, "/dev/vda")
    assert isinstance(whole, DeviceFile)
    other = whole.open(os.O_RDONLY)
    assert other.read(512, 5) == b"hello"
    other.close()
    opened.close()
    opened.close()
    assert machine.blocks.open_count("vda") == 1
    # nothing protects a disk that is in use from an unbind
    write(machine, "/sys/bus/ccw/drivers/virtio_ccw/unbind", "0.0.0001")
    assert find(machine, "/dev/vda") is None
    assert names(machine, "/sys/block") == []
    assert read(machine, "/proc/partitions") == ""
    assert machine.blocks.open_count("vda") == 0


NUMBERS = [
    ("1", 10, 1),
    ("0x10", 0, 16),
    ("010", 0, 8),
    ("0x", 0, None),
    ("0x", 16, None),
    ("ff\n", 16, 255),
    ("", 10, None),
    ("-1", 10, None),
    ("9a", 10, None),
]


@pytest.mark.parametrize(("text", "base", "expected"), NUMBERS)
def test_numbers(text: str, base: int, expected: int | None) -> None:
    if expected is None:
        with pytest.raises(OSError):
            kstrtoul(text, base)
    else:
        assert kstrtoul(text, base) == expected


def test_numbers_that_do_not_fit() -> None:
    for text, convert in (("4294967296", kstrtouint), ("18446744073709551616", kstrtoul)):
        with pytest.raises(OSError) as caught:
            convert(text, 10)
        assert caught.value.errno == errno.ERANGE
    assert streq("a\n", "a")
    assert not streq("a\n\n", "a")


def test_versions_fold() -> None:
    """A later kernel has all that came before, and what came at its own version."""
    assert facts("5.2.21").driver_override is False
    assert facts("5.3.0").driver_override is True
    assert facts("6.1.0-29-s390x") == facts("6.1.192")
    assert facts("5.14.0-570.el9").dev_busid is True
    assert facts("7.2.13").mdev_driver == "vfio_ccw_mdev"


def test_swap_and_volumes() -> None:
    """Both keep the disk open, and show where Linux shows them."""
    machine = booted()
    machine.swaps.on("vda2")
    assert machine.volumes.add("lvm", "vg0-data", ["vda1"]) == "dm-0"
    assert machine.blocks.open_count("vda") == 2
    assert read(machine, "/proc/swaps").splitlines()[1].split() == ["/dev/vda2", "partition", "46", "0", "-2"]
    assert readlink(machine, "/sys/class/block/vda1/holders/dm-0") == "../../../../../../../../virtual/block/dm-0"
    assert names(machine, "/sys/block/dm-0/slaves") == ["vda1"]
    assert read(machine, "/sys/block/dm-0/dm/name") == "vg0-data\n"
    assert readlink(machine, "/sys/block/dm-0") == "../devices/virtual/block/dm-0"
    assert readlink(machine, "/dev/mapper/vg0-data") == "../dm-0"
    node = find(machine, "/dev/dm-0")
    assert isinstance(node, DeviceFile)
    opened = node.open(os.O_RDWR)
    opened.write(0, b"data")
    below = find(machine, "/dev/vda1")
    assert isinstance(below, DeviceFile)
    other = below.open(os.O_RDONLY)
    assert other.read(0, 4) == b"data"
    for each in (opened, other):
        each.close()
    machine.swaps.off("vda2")
    assert machine.blocks.open_count("vda") == 1
    with pytest.raises(KeyError):
        machine.swaps.on("vdz")


def test_volumes_on_volumes() -> None:
    """An array over two partitions, an encrypted volume on it, a btrfs file system on that."""
    machine = booted()
    assert machine.volumes.add("raid", "md0", ["vda1", "vda2"]) == "md0"
    assert machine.volumes.add("crypt", "secret", ["md0"]) == "dm-0"
    uuid = "11111111-2222-3333-4444-555555555555"
    machine.volumes.add("btrfs", uuid, ["dm-0"])
    assert names(machine, "/sys/block/md0/slaves") == ["vda1", "vda2"]
    assert names(machine, "/sys/block/md0/holders") == ["dm-0"]
    assert read(machine, "/sys/block/dm-0/dm/uuid").startswith("CRYPT-")
    assert readlink(machine, f"/sys/fs/btrfs/{uuid}/devices/dm-0").endswith("devices/virtual/block/dm-0")
    assert [machine.volumes.node(name) for name in ("md0", "secret", uuid)] == [
        "/dev/md0",
        "/dev/mapper/secret",
        "/dev/dm-0",
    ]
    assert machine.block_name(PlaceSpec("secret", 0)) == "dm-0"


def test_a_disk_in_use_from_boot_that_is_not_there() -> None:
    spec = MachineSpec("lpar1", swaps=(PlaceSpec("0.0.7e53"),))
    machine = Machine(spec, threaded=False)
    machine.boot()
    assert machine.dmesg.lines()[-1] == "lpar1: device 0.0.7e53 has no disk: it is not online"

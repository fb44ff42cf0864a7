# SPDX-License-Identifier: GPL-2.0-or-later
"""modprobe, insmod, rmmod, lsmod: what kmod 30 prints and returns, and what it asks the kernel for."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from ccwemu.tools import kmod, mount, uname
from ccwemu.tools._host import HostError

RELEASE = "6.1.0-29-s390x"
WHERE = f"/lib/modules/{RELEASE}"
DEP = """\
kernel/drivers/vfio/vfio.ko:
kernel/drivers/vfio/vfio_iommu_type1.ko: kernel/drivers/vfio/vfio.ko
kernel/drivers/vfio/mdev/mdev.ko:
kernel/drivers/s390/cio/vfio_ccw.ko: kernel/drivers/vfio/mdev/mdev.ko kernel/drivers/vfio/vfio.ko
kernel/drivers/s390/block/dasd_mod.ko:
kernel/drivers/s390/block/dasd_eckd_mod.ko: kernel/drivers/s390/block/dasd_mod.ko
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    modules = tmp_path / WHERE[1:]
    modules.mkdir(parents=True)
    (modules / "modules.dep").write_text(DEP)
    (modules / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\n")
    (modules / "modules.alias").write_text("alias ccw:t3990m*dt3390dm* dasd_eckd_mod\n")
    (modules / "modules.softdep").write_text("softdep vfio post: vfio_iommu_type1 vfio_spapr_eeh\n")
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/osrelease").write_text(RELEASE + "\n")
    (tmp_path / "proc/modules").write_text(
        "dasd_eckd_mod 106496 0 - Live 0x000003ff7ff28000\ndasd_mod 106496 1 dasd_eckd_mod, Live 0x000003ff7ff00000\n"
    )
    return tmp_path


class Kernel:
    """Takes the requests down; refuses those that ``errors`` names."""

    def __init__(self, **errors: str) -> None:
        self.asked: list[str] = []
        self.errors = errors

    def __call__(self, words: list[str]) -> None:
        self.asked.append(" ".join(words))
        if words[-1] in self.errors:
            raise HostError(self.errors[words[-1]], "")


FATAL = "modprobe: FATAL: Module {} not found in directory " + WHERE + "\n"

MODPROBE = [
    ("vfio_ccw", {}, ["vfio", "vfio_iommu_type1", "mdev", "vfio_ccw"], 0, ""),
    ("vfio-ccw", {}, ["vfio", "vfio_iommu_type1", "mdev", "vfio_ccw"], 0, ""),
    ("mdev a=1 b=2", {}, ["mdev a=1 b=2"], 0, ""),
    ("-a mdev vfio", {}, ["mdev", "vfio", "vfio_iommu_type1"], 0, ""),
    ("dasd_mod", {}, [], 0, ""),
    ("--first-time dasd_mod", {}, [], 1, "modprobe: ERROR: could not insert 'dasd_mod': Module already in kernel\n"),
    ("ext4", {}, [], 0, ""),
    ("nosuch", {}, [], 1, FATAL.format("nosuch")),
    ("vfio.ko", {}, [], 1, FATAL.format("vfio.ko")),
    ("-q nosuch", {}, [], 1, ""),
    ("-n vfio_ccw", {}, [], 0, ""),
    ("-R ccw:t3990mE9dt3390dm0C", {}, [], 0, "dasd_eckd_mod\n"),
    ("-nv mdev", {}, [], 0, f"insmod {WHERE}/kernel/drivers/vfio/mdev/mdev.ko \n"),
    ("mdev", {"mdev": "EPERM"}, ["mdev"], 1, "modprobe: ERROR: could not insert 'mdev': Operation not permitted\n"),
    ("mdev", {"mdev": "ENOENT"}, ["mdev"], 1,
     "modprobe: ERROR: could not insert 'mdev': Unknown symbol in module, or unknown parameter (see dmesg)\n"),
    ("-r dasd_mod", {}, [], 1, "modprobe: FATAL: Module dasd_mod is in use.\n"),
    ("-r dasd_eckd_mod", {}, ["-r dasd_eckd_mod"], 0, ""),
    ("-r mdev", {}, [], 0, ""),
    ("-r ext4", {}, [], 1, "modprobe: FATAL: Module ext4 is builtin.\n"),
    ("", {}, [], 1, "modprobe: ERROR: missing parameters. See -h.\n"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "errors", "asked", "status", "text"), MODPROBE)
def test_modprobe(arguments, errors, asked, status, text, root, monkeypatch):
    kernel = Kernel(**errors)
    assert run(kmod.modprobe, arguments, root, kernel, monkeypatch) == (status, text)
    assert kernel.asked == asked


RMMOD = [
    ("dasd_mod", [], 1, "rmmod: ERROR: Module dasd_mod is in use by: dasd_eckd_mod\n"),
    ("dasd-eckd-mod", ["-r dasd_eckd_mod"], 0, ""),
    ("mdev", [], 1, "rmmod: ERROR: Module mdev is not currently loaded\n"),
    ("ext4", [], 1, "rmmod: ERROR: Module ext4 is builtin.\n"),
    ("", [], 1, "rmmod: ERROR: missing module name.\n"),
]


@pytest.mark.parametrize(("arguments", "asked", "status", "text"), RMMOD)
def test_rmmod(arguments, asked, status, text, root, monkeypatch):
    kernel = Kernel()
    assert run(kmod.rmmod, arguments, root, kernel, monkeypatch) == (status, text)
    assert kernel.asked == asked


def test_insmod_loads_one_file_and_nothing_else(root, monkeypatch):
    file = root / "vfio_ccw.ko"
    file.write_bytes(b"")
    kernel = Kernel(vfio_ccw="ENOENT")
    text = f"insmod: ERROR: could not insert module {file}: Unknown symbol in module\n"
    assert run(kmod.insmod, str(file), root, kernel, monkeypatch) == (1, text)
    assert kernel.asked == ["vfio_ccw"]


def test_insmod_without_file(root, monkeypatch):
    text = "insmod: ERROR: could not load module /nosuch.ko: No such file or directory\n"
    assert run(kmod.insmod, "/nosuch.ko", root, Kernel(), monkeypatch) == (1, text)


def test_lsmod(root, capsys):
    assert kmod.lsmod([], root=str(root)) == 0
    assert capsys.readouterr().out == (
        "Module                  Size  Used by\n"
        "dasd_eckd_mod         106496  0\n"
        "dasd_mod              106496  1 dasd_eckd_mod\n"
    )


def run(command, arguments, root, kernel, monkeypatch):
    both = io.StringIO()
    monkeypatch.setattr(sys, "stdout", both)
    monkeypatch.setattr(sys, "stderr", both)
    return command(arguments.split(), root=str(root), request=kernel), both.getvalue()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["-r"], RELEASE), (["-m"], "s390x"), ([], "Linux"), (["-sr"], f"Linux {RELEASE}"), (["--machine"], "s390x")],
)
def test_uname(arguments, text, root, capsys):
    assert uname.main(arguments, root=str(root)) == 0
    assert capsys.readouterr().out == text + "\n"


def test_uname_takes_the_version_of_the_same_kernel_only():
    line = f"Linux version {RELEASE} (someone@somewhere) (gcc) #1 SMP Debian 6.1.123-1 (2025-01-02)"
    assert uname.kernel_version(RELEASE, line) == "#1 SMP Debian 6.1.123-1 (2025-01-02)"
    assert uname.kernel_version("5.10.0", line) == "#1 SMP"


MOUNT = [
    ("/dev/dasda1 /mnt", ["/dev/dasda1", "/mnt"], [], None),
    ("-t ext4 -o ro,noatime /dev/dasda1 /mnt", ["/dev/dasda1", "/mnt"], ["ro", "noatime"], "ext4"),
    ("-text4 -oro /dev/dasda1 /mnt", ["/dev/dasda1", "/mnt"], ["ro"], "ext4"),
    ("--types=xfs --source /dev/dasda1 --target /mnt -r", ["/dev/dasda1", "/mnt"], ["ro"], "xfs"),
    ("-a", [], [], None),
]


@pytest.mark.parametrize(("arguments", "words", "options", "kind"), MOUNT)
def test_mount_arguments(arguments, words, options, kind):
    assert mount.words_of(arguments.split()) == (words, options, kind)


def test_mount_takes_fuse2fs_for_an_ext4_and_a_tmpfs_else():
    arguments = ("/dev/dasda1", "/mnt", ["defaults", "ro"])
    assert mount.command(*arguments, True, "/usr/bin/mount") == [
        "/usr/bin/fuse2fs", "/dev/dasda1", "/mnt", "-o", "fakeroot,ro",
    ]  # fmt: skip
    assert mount.command(*arguments, False, "/usr/bin/mount") == [
        "/usr/bin/mount", "-i", "-t", "tmpfs", "-o", "ro", "/dev/dasda1", "/mnt",
    ]  # fmt: skip


def test_mount_refuses_a_disk_without_a_file_system(tmp_path):
    disk = tmp_path / "dasda1"
    disk.write_bytes(bytes(1 << 16))
    refused = mount.refusal(str(disk), str(tmp_path), None)
    assert refused is not None and refused[1] == 32
    assert refused[0].startswith(f"mount: {tmp_path}: wrong fs type, bad option, bad superblock on {disk}, ")
    with disk.open("r+b") as file:
        file.seek(mount.EXT_MAGIC_OFFSET)
        file.write(b"\x53\xef")
    assert mount.refusal(str(disk), str(tmp_path), None) is None
    assert mount.is_ext(str(disk))

# SPDX-License-Identifier: GPL-2.0-or-later
"""Guest images: what is read from apt and depmod, what an image is known by, what a build leaves behind."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import runpy
import stat
import struct
import subprocess
from pathlib import Path

import pytest

from ccwemu import cli
from ccwemu.guestimage import image, initramfs, packages, rootfs, tools
from ccwemu.guestimage.modules import ModuleTable
from ccwemu.guestimage.packages import Archive, Package
from ccwemu.guestimage.tools import Missing

# -- apt's output -----------------------------------------------------------------------------------------------------

INSTALL = """\
NOTE: This is only a simulation!
Inst libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [s390x]) []
Inst media-types (10.0.0 Debian:12.15/oldstable [all])
Inst busybox-static (1:1.35.0-4+deb12u1+b1 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [s390x])
Conf libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [s390x])
"""


def test_packages_to_install():
    assert packages.parse_install(INSTALL) == [
        ("libc6", "2.36-9+deb12u14"),
        ("media-types", "10.0.0"),
        ("busybox-static", "1:1.35.0-4+deb12u1+b1"),
    ]


def test_a_package_of_another_architecture_is_refused():
    with pytest.raises(Missing, match="package libc6:amd64 2.36 is of architecture amd64, expected s390x"):
        packages.parse_install("Inst libc6:amd64 (2.36 Debian:12/stable [amd64])\n")


KERNELS = """\
Package: linux-image-s390x
Source: linux-signed
Version: 6.12.95-1~bpo12+1
Depends: linux-image-6.12.95+deb12-s390x (= 6.12.95-1~bpo12+1)
Description: Linux for IBM zSeries (meta-package)
 This package depends on the latest Linux kernel: and modules.

Package: linux-image-s390x
Version: 6.1.176-1
Depends: linux-image-6.1.0-50-s390x (= 6.1.176-1)

Package: linux-image-s390x
Version: 6.1.170-1
Depends: linux-image-6.1.0-47-s390x (= 6.1.170-1)
"""


def test_the_newest_kernel_of_each_series():
    assert packages.parse_kernels(KERNELS) == {
        "6.12": "linux-image-6.12.95+deb12-s390x",
        "6.1": "linux-image-6.1.0-50-s390x",
    }


def test_a_package_and_the_name_of_its_file():
    (found,) = packages.parse_packages(
        "Package: bash\nArchitecture: s390x\nVersion: 1:5.2~rc2-2+b8\nSize: 1472336\nSHA256: ab12\n"
    )
    assert found == Package("bash", "1:5.2~rc2-2+b8", "s390x", "ab12", 1472336)
    assert found.file == "bash_1%3a5.2~rc2-2+b8_s390x.deb"


TARGETS = """\
Packages|http://mirror.example/debian/|bookworm|main|/usr/share/keyrings/a.gpg
Translations|http://mirror.example/debian/|bookworm|main|/usr/share/keyrings/a.gpg
Packages|http://mirror.example/debian/|bookworm|contrib|/usr/share/keyrings/a.gpg
Packages|http://other.example/|nodistro|main|$(SIGNED_BY)
Packages|http://security.example/|bookworm-security|main|$(SIGNED_BY)
"""


def test_the_archives_that_the_machine_uses():
    assert packages.parse_archives(TARGETS) == {
        "bookworm": Archive("http://mirror.example/debian/", "/usr/share/keyrings/a.gpg"),
        "bookworm-security": Archive("http://security.example/", ""),
    }


@pytest.mark.parametrize(
    ("archive", "text"),
    [
        (Archive("http://m/", ""), "Types: deb\nURIs: http://m/\nSuites: a b\nComponents: main\n"),
        (Archive("http://m/", "/k"), "Types: deb\nURIs: http://m/\nSuites: a b\nComponents: main\nSigned-By: /k\n"),
    ],
)
def test_a_source(archive, text):
    assert archive.source(["a", "b"]) == text


def test_a_damaged_package_file_is_fetched_again(tmp_path, monkeypatch):
    content = b"right"
    sha256 = "3d6a1c2c0b0f0d3c".ljust(64, "0")
    wanted = Package("a", "1", "all", sha256, len(content))
    debian = packages.Debian(tmp_path, lambda text: None)
    (tmp_path / "packages" / wanted.file).write_bytes(b"wrong")
    asked = []
    monkeypatch.setattr(debian, "_download", asked.extend)
    assert debian.fetch([wanted]) == {"a": tmp_path / "packages/a_1_all.deb"}
    assert asked == [wanted]


# -- depmod's tables --------------------------------------------------------------------------------------------------

DEP = """\
kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko kernel/fs/jbd2/jbd2.ko kernel/fs/mb-cache.ko
kernel/fs/jbd2/jbd2.ko:
kernel/lib/crc16.ko:
kernel/fs/mb-cache.ko:
kernel/crypto/crc32c_generic.ko:
kernel/net/core/failover.ko:
kernel/drivers/net/net_failover.ko: kernel/net/core/failover.ko
kernel/drivers/net/virtio_net.ko.xz: kernel/drivers/net/net_failover.ko kernel/net/core/failover.ko
"""
SOFTDEP = "# comment\nsoftdep ext4 pre: crypto-crc32c post: late\nsoftdep jbd2 pre: crypto-crc32c\nsoftdep cifs gcm\n"
ALIAS = "alias crypto-crc32c crc32c_generic\nalias fs-ext4 ext4\n"
TABLE = ModuleTable.parse(DEP, SOFTDEP, ALIAS, "kernel/drivers/s390/virtio/virtio_ccw.ko\n")


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["crc16"], ["crc16"]),
        (["virtio_ccw"], []),
        (["virtio_net"], ["failover", "net_failover", "virtio_net"]),
        (["ext4"], ["crc32c_generic", "mb-cache", "jbd2", "crc16", "ext4"]),
        (
            ["ext4", "jbd2", "virtio_net"],
            ["crc32c_generic", "mb-cache", "jbd2", "crc16", "ext4", "failover", "net_failover", "virtio_net"],
        ),
    ],
)
def test_modules_in_the_order_in_which_they_are_loaded(names, order):
    assert [Path(path).name.partition(".")[0] for path in TABLE.load_order(names)] == order


def test_a_module_that_the_kernel_does_not_have():
    with pytest.raises(KeyError, match="absent"):
        TABLE.load_order(["absent"])


# -- the initramfs ----------------------------------------------------------------------------------------------------


def test_an_initramfs_is_what_cpio_reads(tmp_path):
    archive = initramfs.build({"init": b"#!/bin/sh\n", "a/b/c": b"12345", "a/d": b""})
    listing = subprocess.run(
        ["busybox", "cpio", "-id"], input=archive, cwd=tmp_path, capture_output=True, check=False, timeout=60
    )
    assert listing.returncode == 0, listing.stderr
    assert (tmp_path / "a/b/c").read_bytes() == b"12345"
    assert (tmp_path / "init").read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE((tmp_path / "init").stat().st_mode) == 0o755
    assert sorted(os.listdir(tmp_path / "a")) == ["b", "d"]


def test_an_initramfs_entry_is_aligned():
    archive = initramfs.build({"x": b"abc"})
    header = archive[:110]
    assert header[:6] == b"070701"
    assert int(header[54:62], 16) == 3  # size
    assert archive[112:115] == b"abc"
    assert len(archive) % 4 == 0


# -- the guest's own programs ------------------------------------------------------------------------------------------


BRIDGE = runpy.run_path(str(rootfs.FILES / "sbin/checksum-bridge"))


@pytest.mark.parametrize("odd", [b"", b"x"])
def test_what_leaves_a_guest_has_its_checksum(odd):
    header = struct.pack("=BBHHHH", 1, 0, 0, 0, 14, 16)
    segment = bytes(range(16)) + b"\x12\x34" + bytes(6) + b"data" + odd
    frame = BRIDGE["outgoing"](header + bytes(14) + segment)
    assert len(frame) == 14 + len(segment)
    padded = frame[14:] + bytes(len(frame) % 2)
    before = segment + bytes(len(segment) % 2)
    words = [int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2)]
    # all words with the checksum, and the pseudo-header that was in its place, sum up to ones
    assert (sum(words) + int.from_bytes(before[16:18], "big")) % 0xFFFF == 0


def test_what_is_summed_leaves_a_guest_as_it_is():
    assert BRIDGE["outgoing"](bytes(10) + b"frame") == b"frame"


@pytest.mark.parametrize(
    ("protocol", "flags", "offset"), [(6, 1, 16), (17, 1, 6), (1, 0, 0)], ids=["tcp", "udp", "icmp"]
)
def test_what_reaches_a_guest_is_taken_as_it_is(protocol, flags, offset):
    frame = bytes(12) + b"\x08\x00" + b"\x46" + bytes(8) + bytes([protocol]) + bytes(40)
    start = 14 + 24 if flags else 0
    assert BRIDGE["incoming"](frame) == struct.pack("=BBHHHH", flags, 0, 0, 0, start, offset) + frame


# -- what an image is known by ----------------------------------------------------------------------------------------

A, B = Package("a", "1", "all", "aa", 1), Package("b", "2", "s390x", "bb", 2)


@pytest.mark.parametrize(
    ("recipe", "chosen", "same"),
    [
        ("r", [B, A], True),
        ("other", [A, B], False),
        ("r", [A], False),
        ("r", [A, dataclasses.replace(B, version="3")], False),
        ("r", [A, dataclasses.replace(B, sha256="cc")], False),
    ],
)
def test_content_key(recipe, chosen, same):
    assert (image.content_key(recipe, chosen) == image.content_key("r", [A, B])) is same


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CCWEMU_IMAGES", str(tmp_path))
    return tmp_path


def put(cache, name, **different):
    told = {"format": image.FORMAT, "series": "6.1", "release": "6.1.0-50-s390x", "recipe": image.recipe(), "made": 1.0}
    directory = cache / "images" / name
    directory.mkdir(parents=True)
    (directory / "manifest.json").write_text(json.dumps({**told, **different}))
    return directory


def test_the_newest_image_is_found(cache):
    put(cache, "old", made=1.0)
    newest = put(cache, "new", made=3.0)
    put(cache, "foreign", made=4.0, recipe="of another version")
    found = image.find("6.1")
    assert (found.directory, found.release, found.root) == (newest, "6.1.0-50-s390x", newest / "root.ext4")


@pytest.mark.parametrize(
    ("images", "kernel", "text"),
    [
        ([], "6.1", "kernel 6.1 is not built yet .*run:\n  ccwemu guest-image build$"),
        ([], "6.12", "kernel 6.12 is not built yet .*\n  ccwemu guest-image build --kernel 6.12$"),
        ([{"recipe": "x"}], "6.1", "was built by another version of ccwemu"),
        ([{"format": 0}], "6.1", "is not built yet"),
    ],
)
def test_no_image(cache, images, kernel, text):
    for number, different in enumerate(images):
        put(cache, str(number), **different)
    with pytest.raises(image.ImageMissing, match=text):
        image.find(kernel)


def test_an_image_whose_manifest_is_cut_off_is_none(cache):
    (put(cache, "cut") / "manifest.json").write_text('{"format": 1, "se')
    assert image.listed() == []


@pytest.mark.parametrize("call", [image.find, image.build])
def test_an_unknown_kernel(cache, call):
    with pytest.raises(Missing, match=re.escape("kernel '5.10': there are guest images of the kernels 6.1 and 6.12")):
        call("5.10")


# -- building ---------------------------------------------------------------------------------------------------------


class FakeDebian:
    def __init__(self, cache, progress):
        self.version = "1"

    def update(self, at_most_old=0.0):
        pass

    def kernel(self, series):
        return f"linux-image-{series}"

    def closure(self, names):
        return [A]

    def alone(self, *names):
        return [B]

    def fetch(self, chosen):
        return {each.name: Path("/nowhere") for each in chosen}


@pytest.fixture
def quick(monkeypatch, cache):
    """A build whose packages and file system are made up."""

    def make(debs, root, authorized_key, progress):
        (root / "boot").mkdir()
        (root / "boot/vmlinuz-6.1.0-test").write_bytes(b"kernel")
        return "6.1.0-test"

    monkeypatch.setattr(image, "Debian", FakeDebian)
    monkeypatch.setattr(tools, "require", lambda *names: None)
    monkeypatch.setattr(tools, "run", lambda words, timeout: Path(f"{words[-1]}.pub").write_text("ssh-ed25519 AAAA"))
    monkeypatch.setattr(rootfs, "make", make)
    monkeypatch.setattr(rootfs, "initial", lambda root, release: b"initrd")
    monkeypatch.setattr(rootfs, "filesystem", lambda root, path: path.write_bytes(b"root"))
    return cache


def test_an_image_is_built_once(quick, monkeypatch):
    built = image.build()
    assert built.kernel.stat().st_size == image.KERNEL_SIZE
    assert built.kernel.read_bytes()[:7] == b"kernel\0"
    assert (built.initrd.read_bytes(), built.root.read_bytes()) == (b"initrd", b"root")
    monkeypatch.setattr(image, "_make", lambda *arguments: pytest.fail("built twice"))
    assert image.build() == built == image.find()


def test_a_build_that_fails_leaves_no_image(quick, monkeypatch):
    def fails(root, path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(rootfs, "filesystem", fails)
    with pytest.raises(Missing, match="No space left on device; make room, or .* export CCWEMU_IMAGES"):
        image.build()
    assert image.listed() == []
    assert not list(quick.glob("new-*"))


def test_what_a_killed_build_left_is_removed(quick):
    (quick / "new-killed/root").mkdir(parents=True)
    image.build()
    assert not list(quick.glob("new-*"))


def test_a_full_disk_is_told_before_the_build(quick, monkeypatch):
    monkeypatch.setattr(image.shutil, "disk_usage", lambda path: image.shutil._ntuple_diskusage(1, 1, 0))
    with pytest.raises(Missing, match="0 MiB are free, 2048 MiB are needed"):
        image.build()


def test_a_cache_that_is_no_directory(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(tools, "require", lambda *names: None)
    monkeypatch.setenv("CCWEMU_IMAGES", str(tmp_path / "file/images"))
    with pytest.raises(Missing, match="(?s)Not a directory; images are kept in .*export CCWEMU_IMAGES=DIRECTORY"):
        image.build()


# -- programs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "text"),
    [
        (["apt-get"], "depmod, mke2fs: not installed; run:\n  sudo apt-get install e2fsprogs kmod"),
        ([], "depmod, mke2fs: not installed, nor is apt; guest images need Debian"),
    ],
)
def test_missing_programs_are_told_at_once(monkeypatch, there, text):
    monkeypatch.setattr(tools, "_which", lambda name: f"/bin/{name}" if name in there else None)
    with pytest.raises(Missing, match=re.escape(text)):
        tools.require("depmod", "mke2fs")


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("echo one >&2; echo two >&2; exit 3", "failed with exit status 3; it said:\n  one\n  two"),
        ("echo 'write: No space left on device' >&2; exit 1", "No space left on device; make room"),
        ("exec sleep 60", "no end after 1 s"),
    ],
)
def test_a_program_that_fails(script, text):
    with pytest.raises(Missing, match=re.escape(text)):
        tools.run(["/bin/sh", "-c", script], 1)


def test_the_command_says_what_is_missing(cache, capsys):
    assert cli.main(["guest-image", "build", "--kernel", "4.4"]) == 1
    assert capsys.readouterr().err == ("ccwemu: kernel '4.4': there are guest images of the kernels 6.1 and 6.12\n")


def test_the_command_lists_images(cache, capsys):
    directory = put(cache, "one", recipe="x")
    assert cli.main(["guest-image", "list"]) == 0
    line = capsys.readouterr().out
    assert line.startswith("6.1   6.1.0-50-s390x ")
    assert line.endswith(f"MiB  {directory}  (of another version of ccwemu)\n")


def test_what_is_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each kernel series the newest that this ccwemu takes is left."""
    monkeypatch.setenv("CCWEMU_IMAGES", str(tmp_path))
    now = image.recipe()
    images = {
        "6.1-old": ("6.1", 1.0, now), "6.1-new": ("6.1", 2.0, now), "6.1-other": ("6.1", 3.0, "another"),
        "6.12-only": ("6.12", 1.0, now),
    }  # fmt: skip
    for name, (series, made, recipe) in images.items():
        (tmp_path / "images" / name).mkdir(parents=True)
        told = {"format": image.FORMAT, "series": series, "release": series, "recipe": recipe, "made": made}
        (tmp_path / "images" / name / "manifest.json").write_text(json.dumps(told))
    assert sorted(each.image.directory.name for each in image.prune()) == ["6.1-old", "6.1-other"]
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == ["6.1-new", "6.12-only"]
    assert image.prune() == []

# SPDX-License-Identifier: GPL-2.0-or-later
"""The root file system of a guest: packages unpacked, and what their maintainer scripts would have set up.

No program of the guest runs here. Every file belongs to root; who builds may be anyone.
"""

from __future__ import annotations

import lzma
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from ccwemu.guestimage import initramfs, packages
from ccwemu.guestimage.modules import TABLES, ModuleTable
from ccwemu.guestimage.tools import Missing, program, run

PACKAGES = (
    "base-files", "base-passwd", "bash", "busybox-static", "coreutils", "dash", "debianutils", "diffutils",
    "dropbear-bin", "e2fsprogs", "fdisk", "findutils", "grep", "gzip", "hostname", "iproute2", "kmod", "libc-bin",
    "gawk", "login", "mount", "ncurses-base", "ncurses-bin", "openssh-sftp-server", "parted", "procps", "psmisc",
    "python3", "s390-tools", "sed", "tar", "udev", "util-linux",
)  # fmt: skip
"""What a guest has, with all that these depend on."""
ROOT_LABEL = "ccwemu-root"
"""Of the root file system. Names of disks, vda or vdb, are given in the order in which they happen to answer."""
PROGRAMS = ("apt-get", "apt-cache", "dpkg-deb", "tar", "depmod", "mke2fs", "ssh-keygen")
"""What a build runs on this machine."""
ROOT_MODULES = ("virtio_blk", "ext4", "virtio_net")
DASD_MODULES = ("dasd_mod", "dasd_eckd_mod")
"""In the initramfs, with what they need; the DASD's are loaded there only when the root file system is on one."""
SIZE = 2 << 30
"""Bytes of the root file system; what is not used takes no room."""
FILES = Path(__file__).parent / "guest"

_MERGED = ("bin", "sbin", "lib")
_DIRECTORIES = ("dev", "proc", "sys", "run", "tmp", "root", "mnt", "boot", "etc/dropbear", "var/log", "var/tmp")
_UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian")
_LINKS = {
    "usr/bin/sh": "dash",
    "usr/bin/awk": "gawk",
    "usr/bin/which": "which.debianutils",
    "usr/sbin/init": "../bin/busybox",
    "usr/sbin/reboot": "../bin/busybox",
    "usr/sbin/poweroff": "../bin/busybox",
    "usr/sbin/halt": "../bin/busybox",
    "usr/lib/sftp-server": "openssh/sftp-server",
    "etc/mtab": "/proc/self/mounts",
    "var/run": "/run",
    "var/lock": "/run/lock",
}
_TEXTS = {
    "etc/hostname": "guest\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/fstab": "# what is to be mounted besides the root file system\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
    "etc/shells": "/bin/sh\n/bin/bash\n/bin/dash\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\n",
}
_GROUPS = {"input": 101, "sgx": 102, "kvm": 103, "render": 104}
"""Those that udev's rules name and base-passwd does not have."""
_ELF_S390 = b"\x7fELF\x02\x02\x01", b"\x00\x16"
"""The identification of a 64-bit big-endian file, and the machine EM_S390 at byte 18 (ELF, s390x supplement)."""


def make(debs: Iterable[Path], root: Path, authorized_key: str, progress: Callable[[str], None]) -> str:
    """Make the tree below ``root``; the kernel's release. Raises Missing."""
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    debs = sorted(debs)
    for number, deb in enumerate(debs):
        if number % 25 == 0:
            progress(f"unpacking packages: {number} of {len(debs)}")
        packages.unpack(deb, root)
    _check_architecture(root / "usr/bin/busybox")
    for name in _UNUSED:
        shutil.rmtree(root / name, ignore_errors=True)
    progress("configuring the root file system")
    _configure(root, authorized_key)
    release = _modules(root)
    _compile_python(root, progress)
    return release


def _check_architecture(path: Path) -> None:
    with path.open("rb") as stream:
        head = stream.read(20)
    if (head[:7], head[18:20]) != _ELF_S390:
        raise Missing(f"{path.name} is no program of {packages.ARCHITECTURE}: the archive has a wrong package")


def _configure(root: Path, authorized_key: str) -> None:
    for name in _DIRECTORIES:
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "root").chmod(0o700)
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(0o1777)
    for name, linked in _LINKS.items():
        _replace(root / name).symlink_to(linked)
    for name, text in _TEXTS.items():
        _replace(root / name).write_text(text)
    (root / "etc/shadow").chmod(0o600)
    masters = root / "usr/share/base-passwd"
    shutil.copy(masters / "passwd.master", root / "etc/passwd")
    groups = "".join(f"{name}:x:{number}:\n" for name, number in _GROUPS.items())
    (root / "etc/group").write_text((masters / "group.master").read_text() + groups)
    keys = root / "root/.ssh"
    keys.mkdir(mode=0o700)
    (keys / "authorized_keys").write_text(authorized_key)
    for path in sorted(FILES.rglob("*")):
        if path.is_file() and path.parent != FILES:
            target = _replace(root / path.relative_to(FILES))
            target.write_bytes(path.read_bytes())
            target.chmod(0o755 if path.read_bytes()[:2] == b"#!" else 0o644)


def _replace(path: Path) -> Path:
    """The path, free for a new file in a directory that is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    path.unlink(missing_ok=True)
    return path


def _modules(root: Path) -> str:
    """What udev and modprobe need of the kernel's modules; its release.

    They are decompressed here, once, and not at each boot by an emulated CPU.
    """
    (modules,) = (root / "usr/lib/modules").iterdir()
    for path in modules.rglob("*.ko.xz"):
        path.with_suffix("").write_bytes(lzma.decompress(path.read_bytes()))
        path.unlink()
    run(["depmod", "--basedir", str(root), modules.name], 300)
    return modules.name


def _compile_python(root: Path, progress: Callable[[str], None]) -> None:
    """Compile the guest's standard library by this Python, if both write the same byte code."""
    (library,) = (root / "usr/lib").glob("python3.*")
    if library.name != f"python{sys.version_info.major}.{sys.version_info.minor}":
        progress(f"leaving the guest to compile its Python library: it is {library.name}, this is {sys.version[:4]}")
        return
    progress("compiling the guest's Python library")
    words = ["-m", "compileall", "-q", "-j", "0", "-s", str(root), "-p", "/", "--invalidation-mode", "unchecked-hash"]
    run([sys.executable, *words, str(library), str(root / "usr/lib/python3")], 600)


def initial(root: Path, release: str) -> bytes:
    """The initramfs of a guest whose root file system's tree this is."""
    modules = root / "usr/lib/modules" / release
    table = ModuleTable.parse(*((modules / f"modules.{name}").read_text() for name in TABLES))
    files = {
        "init": (FILES / "initramfs").read_bytes(),
        "bin/busybox": (root / "usr/bin/busybox").read_bytes(),
        **{f"{name}/.mount-point": b"" for name in ("dev", "proc", "sys", "root")},
    }
    done: set[str] = set()
    for list_name, names in (("root", ROOT_MODULES), ("dasd", DASD_MODULES)):
        order = [path for path in table.load_order(names) if path not in done]
        done.update(order)
        files.update({f"modules/{Path(path).name}": (modules / path).read_bytes() for path in order})
        files[f"modules/{list_name}.order"] = "".join(f"{Path(path).name}\n" for path in order).encode()
    return initramfs.build(files)


def filesystem(root: Path, image: Path) -> None:
    """Make the tree an ext4 file system in a sparse file. Raises Missing.

    An ordinary user's files are root's in a user namespace, and mke2fs sees them from there.
    """
    words = ["mke2fs", "-q", "-t", "ext4", "-L", ROOT_LABEL, "-m", "0", "-J", "size=16", "-E", "root_owner=0:0"]
    words += ["-d", str(root), str(image), f"{SIZE >> 10}k"]
    if os.geteuid() == 0:
        run(words, 600)
        return
    try:
        run(["unshare", "--map-root-user", "true"], 60)
    except Missing as problem:
        raise Missing(
            f"an ordinary user needs user namespaces to build a guest image: {problem}\n"
            "build it as root, or as its administrator set kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu) or "
            "user.max_user_namespaces=10000 by sysctl"
        ) from None
    run(["unshare", "--map-root-user", program("mke2fs"), *words[1:]], 600)

# SPDX-License-Identifier: GPL-2.0-or-later
"""Guest images: built once, kept by what is in them, found again.

An image is a directory of $CCWEMU_IMAGES: it is made under another name and appears whole, or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccwemu.guestimage import rootfs, tools
from ccwemu.guestimage.packages import Debian, Package
from ccwemu.guestimage.tools import Missing

KERNELS = ("6.1", "6.12")
"""The series that Debian offers for the guest's release."""
FORMAT = 1
"""Of an image's directory: another number when its files are named or meant differently."""
KERNEL_SIZE = 32 << 20
"""Bytes that the kernel's file is filled up to with zeros (sparse): more than the decompressed kernel takes.

At a reset QEMU writes the file to memory again and by that forgets the code that it has translated there. Otherwise
the kernel that decompresses itself over the old one invalidates it byte by byte, and a reboot takes a minute longer
(QEMU 7.2: 68 s against 6 s).
"""
ROOM = 2 << 30
"""Bytes that a build may take while it runs, both trees and package files."""

Progress = Callable[[str], None]


class ImageMissing(Missing):
    """There is no image of a kernel; the text says the command that builds it."""


@dataclass(frozen=True)
class GuestImage:
    """What a guest is started from.

    ``release``: the kernel's, e.g. 6.1.0-50-s390x. ``root``: a raw ext4 image, sparse, to be used through an overlay.
    ``key``: a private ssh key (mode 0600) whose public half is the authorized key of the image's root user.
    """

    directory: Path
    release: str
    kernel: Path
    initrd: Path
    root: Path
    key: Path


@dataclass(frozen=True)
class Listed:
    """A line of ``ccwemu guest-image list``: ``size`` in bytes on the disk, ``current`` when this ccwemu takes it."""

    image: GuestImage
    series: str
    made: float
    size: int
    current: bool


def cache() -> Path:
    """The directory of the images: $CCWEMU_IMAGES, or ccwemu/guest-images below $XDG_CACHE_HOME (~/.cache)."""
    given = os.environ.get("CCWEMU_IMAGES")
    if given:
        return Path(given).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "ccwemu/guest-images"


def content_key(recipe: str, chosen: Iterable[Package]) -> str:
    """What an image is known by: the recipe and each package's name, version and checksum, in whatever order."""
    rows = sorted([each.name, each.version, each.sha256] for each in chosen)
    return hashlib.sha256(json.dumps([FORMAT, recipe, rows]).encode()).hexdigest()


def recipe() -> str:
    """A checksum of this package's own files: what they would make has changed when they have."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(here.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            content = path.read_bytes()
            digest.update(f"{path.relative_to(here)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


# -- finding ----------------------------------------------------------------------------------------------------------


def find(kernel: str = "6.1") -> GuestImage:
    """The newest image of a kernel series that this ccwemu has built. Raises ImageMissing, and Missing for a series."""
    _check_series(kernel)
    known = [each for each in listed() if each.series == kernel]
    current = [each for each in known if each.current]
    if current:
        return current[-1].image
    why = "was built by another version of ccwemu" if known else "is not built yet"
    raise ImageMissing(f"the guest image of kernel {kernel} {why} ({cache()}); run:\n  {_command(kernel)}")


def listed() -> list[Listed]:
    """All images, oldest first."""
    wanted = recipe()
    found = []
    for path in _images().glob("*/manifest.json"):
        told = _manifest(path)
        if told is not None:
            image = _image(path.parent, told["release"])
            size = sum(each.stat().st_blocks * 512 for each in path.parent.iterdir())
            found.append(Listed(image, told["series"], told["made"], size, told["recipe"] == wanted))
    return sorted(found, key=lambda each: each.made)


def prune(progress: Progress = lambda text: None) -> list[Listed]:
    """Remove the images that no guest is started from any more: those of another ccwemu, and all but the newest of a
    kernel series. A guest that runs has copies of its own. Raises Missing.
    """
    with _problems_told(), _alone(progress):
        newest = {each.series: each for each in listed() if each.current}
        old = [each for each in listed() if newest.get(each.series) != each]
        for each in old:
            shutil.rmtree(each.image.directory)
        return old


def _images() -> Path:
    return cache() / "images"


def _command(kernel: str) -> str:
    return "ccwemu guest-image build" + ("" if kernel == KERNELS[0] else f" --kernel {kernel}")


def _check_series(kernel: str) -> None:
    if kernel not in KERNELS:
        raise Missing(f"kernel {kernel!r}: there are guest images of the kernels {' and '.join(KERNELS)}")


def _manifest(path: Path) -> dict[str, Any] | None:
    try:
        told = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) and told.get("format") == FORMAT else None


def _image(directory: Path, release: str) -> GuestImage:
    kernel, initrd, root, key = (directory / name for name in ("kernel", "initrd", "root.ext4", "id_ed25519"))
    return GuestImage(directory, release, kernel, initrd, root, key)


# -- building ---------------------------------------------------------------------------------------------------------


def build(kernel: str = "6.1", progress: Progress = lambda text: None) -> GuestImage:
    """The image of Debian's newest kernel of a series; built unless it is there. Raises Missing.

    It takes a minute, and the network when a package is new.
    """
    _check_series(kernel)
    tools.require(*rootfs.PROGRAMS)
    with _problems_told(), _alone(progress):
        debian = Debian(cache(), progress)
        debian.update()
        chosen = _choose(debian, kernel)
        found = _kept(kernel, chosen)
        if found is not None:
            return found
        free = shutil.disk_usage(cache()).free
        if free < ROOM:
            raise Missing(tools.full(f"{cache()}: {free >> 20} MiB are free, {ROOM >> 20} MiB are needed"))
        try:
            debian.fetch(chosen)
        except Missing as problem:
            progress(f"packages have gone from the archive, asking for its lists anew: {problem}")
            debian.update(at_most_old=0)
            chosen = _choose(debian, kernel)
        return _make(kernel, chosen, debian.fetch(chosen), progress)


def _choose(debian: Debian, series: str) -> list[Package]:
    # what the kernel's package depends on is for its maintainer scripts
    return debian.closure(rootfs.PACKAGES) + debian.alone(debian.kernel(series))


def _directory(series: str, chosen: Iterable[Package]) -> Path:
    return _images() / f"{series}-{content_key(recipe(), chosen)[:16]}"


def _kept(series: str, chosen: Iterable[Package]) -> GuestImage | None:
    directory = _directory(series, chosen)
    told = _manifest(directory / "manifest.json")
    return None if told is None else _image(directory, told["release"])


def _make(series: str, chosen: Sequence[Package], files: dict[str, Path], progress: Progress) -> GuestImage:
    work = Path(tempfile.mkdtemp(prefix="new-", dir=cache()))
    try:
        new, tree = work / "image", work / "root"
        new.mkdir()
        tree.mkdir()
        key = new / "id_ed25519"
        tools.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ccwemu-guest", "-f", str(key)], 60)
        release = rootfs.make(files.values(), tree, key.with_suffix(".pub").read_text(), progress)
        image = _image(new, release)
        shutil.copy(tree / "boot" / f"vmlinuz-{release}", image.kernel)
        os.truncate(image.kernel, max(KERNEL_SIZE, image.kernel.stat().st_size))
        image.initrd.write_bytes(rootfs.initial(tree, release))
        shutil.copy(image.initrd, tree / "boot" / f"initrd.img-{release}")  # for a guest that zipl installs on a DASD
        progress("making the file system")
        rootfs.filesystem(tree, image.root)
        told = {
            "format": FORMAT, "series": series, "release": release, "recipe": recipe(), "made": time.time(),
            "packages": {each.name: each.version for each in chosen},
        }  # fmt: skip
        (new / "manifest.json").write_text(json.dumps(told, indent=1))
        directory = _directory(series, chosen)
        directory.parent.mkdir(exist_ok=True)
        shutil.rmtree(directory, ignore_errors=True)  # one that is not whole: its manifest could not be read
        new.rename(directory)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return _image(directory, release)


@contextlib.contextmanager
def _alone(progress: Progress) -> Iterator[None]:
    """One builder at a time; what a killed one has left is removed."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another build of a guest image")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in cache().glob("new-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


@contextlib.contextmanager
def _problems_told() -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        where = problem.filename or cache()
        if problem.errno == errno.ENOSPC:
            raise Missing(tools.full(str(where))) from None
        if problem.errno not in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise
        raise Missing(
            f"{where}: {problem.strerror}; images are kept in {cache()}, which must be a directory that you may write, "
            "or name another:\n  export CCWEMU_IMAGES=DIRECTORY"
        ) from None

# SPDX-License-Identifier: GPL-2.0-or-later
"""The system that a lab gives a real guest: its files, copied on the host, and what QEMU is told of them."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ccwemu.guest.qemuopts import QemuError, parse

SSH_PORT = 22
ROOT_DEVNO, NETWORK_DEVNO = "fe.0.ffff", "fe.0.fffe"
"""At the far end, where nobody looks for a number of his own."""

_FILES = ("kernel", "initrd", "root.img")
_MARK = "image"
"""Names the image that the files were copied from; written last."""


@dataclass(frozen=True)
class System:
    """``listener`` is bound at ``port`` outside, where one logs in; ``files`` are open: kernel, initrd, root."""

    image: str
    append: str
    port: int
    listener: socket.socket
    files: tuple[int, ...]

    @classmethod
    def of(cls, answer: dict[str, Any], descriptors: Sequence[int]) -> System:
        """From the lab's answer. Raises QemuError."""
        try:
            listener, *files = descriptors
            image, append = (str(answer[key]) for key in ("image", "append"))
            port = int(answer["port"])
            if len(files) != len(_FILES):
                raise ValueError(f"{len(files)} files")
            return cls(image, append, port, socket.socket(fileno=listener), tuple(files))
        except (KeyError, ValueError) as error:
            raise QemuError(f"the lab's answer {answer!r} is not understood ({error!r})") from None

    def provide(self, directory: str) -> None:
        """Copy the files to the guest's directory, where it finds again what it wrote. Raises OSError."""
        mark = os.path.join(directory, _MARK)
        if _text_of(mark) == self.image:
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(mark)
        for file, name in zip(self.files, _FILES, strict=True):
            _copy_sparse(file, os.path.join(directory, name))
        with open(mark, "w", encoding="utf-8") as written:
            written.write(self.image)

    def close(self) -> None:
        for file in self.files:
            os.close(file)
        self.listener.close()


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _copy_sparse(source: int, target: str) -> None:
    """Holes stay holes. Raises OSError."""
    size = os.fstat(source).st_size
    copy = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        at = 0
        while (at := _data_from(source, at, size)) < size:
            os.lseek(copy, at, os.SEEK_SET)
            end = os.lseek(source, at, os.SEEK_HOLE)
            while at < end:
                at += os.sendfile(copy, source, at, end - at)
        os.truncate(copy, size)
    finally:
        os.close(copy)


def _data_from(file: int, at: int, size: int) -> int:
    """Where the next data of a file is; its size where there is none."""
    try:
        return os.lseek(file, at, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return size


# -- the command line -------------------------------------------------------------------------------------------------


def values_of(argv: Sequence[str], *flags: str) -> list[str]:
    """The values of options, with one dash or two."""
    return [value for word, value in zip(argv, argv[1:], strict=False) if word.replace("--", "-", 1) in flags]


def name_of(argv: Sequence[str]) -> str:
    """What -name says; empty where it says nothing. Raises QemuError."""
    names = [parse("-name", value, "guest").get("guest", "") for value in values_of(argv, "-name")]
    return names[-1] if names else ""


def asks_what_it_can(argv: Sequence[str]) -> bool:
    """Whether there is no guest at all: by a machine of type none libvirt asks a QEMU what it can."""
    machines = [parse("-machine", value, "type").get("type") for value in values_of(argv, "-machine", "-M")]
    return machines[-1:] == ["none"]


def boots_itself(argv: Sequence[str]) -> bool:
    """Whether the command line has a kernel of its own, or a device to boot from."""
    if values_of(argv, "-kernel"):
        return True
    return any("bootindex" in parse("-device", value, "driver").values for value in values_of(argv, "-device"))


def lab_options(argv: Sequence[str], system: System, directory: str) -> list[str]:
    """What goes in front of a command line, so that the guest has a system and a way in."""
    forward = f"hostfwd=tcp:127.0.0.1:{system.port}-:{SSH_PORT}"
    options = [] if boots_itself(argv) else _system_options(system, directory)
    options += ["-netdev", f"user,id=ccwemu-net,restrict=on,{forward}"]
    options += ["-device", f"virtio-net-ccw,netdev=ccwemu-net,devno={NETWORK_DEVNO}"]
    return options


def _system_options(system: System, directory: str) -> list[str]:
    kernel, initrd, root = (os.path.join(directory, name) for name in _FILES)
    return [
        "-kernel", kernel, "-initrd", initrd, "-append", system.append,
        "-drive", f"if=none,id=ccwemu-root,format=raw,file={root}",
        "-device", f"virtio-blk-ccw,drive=ccwemu-root,devno={ROOT_DEVNO}",
    ]  # fmt: skip

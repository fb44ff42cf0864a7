# SPDX-License-Identifier: GPL-2.0-or-later
"""What a lab gives a guest of kind real: a system to boot, and a port of this machine through which one logs in."""

from __future__ import annotations

import os
import socket
from typing import Any

from ccwemu.guest.relay import keep_address, stop_listening
from ccwemu.guestimage.image import find
from ccwemu.guestimage.rootfs import ROOT_LABEL
from ccwemu.lab import remote
from ccwemu.lab.spec import GuestSpec

ADDRESS, USER = "127.0.0.1", "root"


class RealGuestError(Exception):
    """A guest that cannot be as it is defined; the text says why and what to do."""


class RealGuest:
    """A guest of a lab, from the start of the lab on, whether it runs or not."""

    def __init__(self, spec: GuestSpec) -> None:
        """Takes its port. Raises RealGuestError, guestimage.image.ImageMissing."""
        self._spec = spec
        self._image = find(spec.kernel)
        self._listener = _reserve(spec)
        self.port: int = self._listener.getsockname()[1]

    def access(self) -> dict[str, Any]:
        """How to log in, for the lab's state file."""
        return {
            "address": ADDRESS,
            "port": self.port,
            "user": USER,
            "key": str(self._image.key),
            "options": list(remote.OPTIONS),
        }

    def system(self) -> tuple[dict[str, Any], list[int]]:
        """What QEMU is to boot, and descriptors: the socket, then the image's files to copy. Raises OSError.

        The host's own processes copy them: what is written below a host's root is written with that root's rights.
        """
        files = (self._image.kernel, self._image.initrd, self._image.root)
        descriptors = [os.dup(self._listener.fileno())]
        try:
            descriptors += [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in files]
        except OSError:
            for descriptor in descriptors:
                os.close(descriptor)
            raise
        append = f"root=LABEL={ROOT_LABEL} rw console=ttysclp0 ccwemu.name={self._spec.name}"
        return {"kind": "real", "port": self.port, "image": self._image.directory.name, "append": append}, descriptors

    def down(self) -> None:
        """It does not run any more: who knocks is refused at once. The port stays ours."""
        stop_listening(self._listener)

    def close(self) -> None:
        self._listener.close()


def _reserve(spec: GuestSpec) -> socket.socket:
    """A socket that is bound and does not listen yet: its port is taken, and refuses. Raises RealGuestError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a lab before may linger
        listener.bind((ADDRESS, spec.ssh_port or _free_port()))
        keep_address(listener)
    except OSError as error:
        listener.close()
        raise RealGuestError(
            f"guest {spec.name}: port {spec.ssh_port or 'any'} of {ADDRESS}, by which one logs in: {error.strerror}; "
            "choose another ssh_port in the lab's definition, or leave it out for a free one"
        ) from None
    return listener


def _free_port() -> int:
    """Asked for by number afterwards: a port that the system chose is lost when its socket stops listening."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.bind((ADDRESS, 0))
        port: int = other.getsockname()[1]
        return port

# SPDX-License-Identifier: GPL-2.0-or-later
"""How a machine reaches its subchannels, whoever implements them."""

from __future__ import annotations

from typing import Protocol

from ccwemu.machine.ccwdriver import ChannelDevice


class ChannelIo(Protocol):
    """A host gives the core's subchannels, a quick guest the vfio-ccw regions of one that was passed to it.

    At any time a subchannel has one user: the machine's own io_subchannel driver, or who opened its mediated
    device. The machine asks for it when its driver needs it and says when it is done with it.
    """

    def subchannel(self, busid: str) -> ChannelDevice | None:
        """Take the subchannel into use. None: nothing answers there (the spec's identity is all that is known)."""

    def release(self, busid: str) -> None:
        """The machine's driver let the subchannel go: close what was opened for it (the disk image)."""


class NoChannels:
    """A machine without any channel device: devices identify themselves by their spec, no I/O is possible."""

    def subchannel(self, busid: str) -> ChannelDevice | None:
        return None

    def release(self, busid: str) -> None:
        return None

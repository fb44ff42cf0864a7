# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Channel devices of a running domain: attached and detached one by one, and seen to be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from .._host import Host
from ._domain import hostdev_element, hostdevs
from ._plan import ATTACH, Change
from ._virsh import STDIN, LibvirtError, Virsh


@dataclass(frozen=True)
class Running:
    """A domain that runs. ``timeout``: seconds that its system may take to let a device go."""

    host: Host
    virsh: Virsh
    domain: str
    timeout: float

    @contextmanager
    def changed(self, todo: Sequence[Change]) -> Iterator[None]:
        """Make the changes before what follows; when one of them or that fails, all are taken back.

        Raises LibvirtError, which says what the domain has then.
        """
        done: list[Change] = []
        try:
            for change in todo:
                self._make(change)
                done.append(change)
            yield
        except LibvirtError as exc:
            raise LibvirtError(f"{exc}. {self._take_back(done)}") from exc

    def _take_back(self, done: Sequence[Change]) -> str:
        try:
            for change in reversed(done):
                self._make(change.inverse)
        except LibvirtError as exc:
            return f"What was done before it could not be taken back: {exc}"
        return "The domain is as it was before"

    def _make(self, change: Change) -> None:
        """Do it, and see that it is done: a guest may refuse to give a device up, and virsh reports success."""
        verb = f"{change.what}-device"
        self.virsh.run(verb, "--domain", self.domain, "--live", STDIN, xml=hostdev_element(change.hostdev))

        def holds() -> bool:
            there = [one.uuid for one in hostdevs(self.virsh.domain(self.domain, inactive=False))]
            return (change.hostdev.uuid in there) == (change.what == ATTACH)

        if not self.host.wait_for(holds, self.timeout):
            raise LibvirtError(
                f"virsh {verb} reported success, but {self.timeout:g} s later the running domain {self.domain} "
                f"{'has no' if change.what == ATTACH else 'still has'} {change.hostdev}. See dmesg in the guest: a "
                "device that is in use there is not given up; set it offline first"
            )

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What driverctl and mdevctl do to subchannels at boot: their files below /etc. Nothing here changes anything."""

from __future__ import annotations

import json

from .._busid import BusId
from .._host import Host
from .._sysfs import DRIVERCTL_DIRECTORY, MDEVCTL_DIRECTORY, bus_id_or_none


class Kept:
    """Both directories are listed once; what is read is what there is for a subchannel that is asked about."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._drivers = frozenset(host.names(DRIVERCTL_DIRECTORY))
        self._parents = frozenset(host.names(MDEVCTL_DIRECTORY))

    def subchannels(self) -> frozenset[BusId]:
        """All that either has something for."""
        names = [name[len("css-") :] for name in self._drivers if name.startswith("css-")]
        found = {bus_id_or_none(name) for name in [*names, *self._parents]}
        return frozenset(busid for busid in found if busid is not None)

    def driver(self, subchannel: BusId) -> str:
        """The driver that driverctl binds the subchannel to, "" for none."""
        name = f"css-{subchannel}"
        return self._host.get(f"{DRIVERCTL_DIRECTORY}/{name}") if name in self._drivers else ""

    def automatic(self, subchannel: BusId) -> tuple[str, ...]:
        """UUIDs that mdevctl starts whenever the subchannel is bound to vfio_ccw."""
        return kept_mdevs(self._host, subchannel) if str(subchannel) in self._parents else ()

    def manual(self, subchannel: BusId) -> tuple[str, ...]:
        """UUIDs that mdevctl knows on the subchannel and does not start by itself."""
        if str(subchannel) not in self._parents:
            return ()
        automatic = self.automatic(subchannel)
        return tuple(name for name in self._host.names(f"{MDEVCTL_DIRECTORY}/{subchannel}") if name not in automatic)


def kept_mdevs(host: Host, subchannel: BusId) -> tuple[str, ...]:
    """UUIDs that mdevctl starts whenever the subchannel is bound to vfio_ccw."""
    directory = f"{MDEVCTL_DIRECTORY}/{subchannel}"
    return tuple(uuid for uuid in host.names(directory) if _starts_by_itself(host.get(f"{directory}/{uuid}")))


def _starts_by_itself(definition: str) -> bool:
    try:
        return bool(json.loads(definition).get("start") == "auto")
    except (ValueError, AttributeError):
        return False

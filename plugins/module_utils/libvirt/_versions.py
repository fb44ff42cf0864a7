# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a libvirt can do with passed-through channel devices, by its version: one table. The docs are made from it.

Sources: libvirt's NEWS.rst; docs/formatdomain.rst and src/qemu of the versions named; for ``boot`` the commit
0c67a11a of August 2019 (in 5.7 or 5.8, the later one is taken); for ``device-loadparm`` libvirt 9.0 itself, which takes
the attribute and leaves it out of QEMU's command line.
"""

from __future__ import annotations

from .._releases import Feature, Release


class LibvirtVersion(Release):
    """A release of libvirt, or what ``virsh version --daemon`` prints: the daemon's where it is said."""

    program = "libvirt"
    says = r"(?s)(?:.*Running against daemon|.*Using library): (?:libvirt )?(\d+)\.(\d+)"


FEATURES = (
    Feature("hostdev", "a channel device in a domain (`<hostdev model='vfio-ccw'>`)", LibvirtVersion(4, 4)),
    Feature("boot", "`<boot order>` of such a device", LibvirtVersion(5, 8)),
    Feature(
        "nodedev-css",
        "subchannels as node devices, and mediated devices made on them (`nodedev-create`)",
        LibvirtVersion(6, 9),
    ),
    Feature("nodedev-define", "mediated devices that stay defined (`nodedev-define`)", LibvirtVersion(7, 3)),
    Feature("nodedev-autostart", "mediated devices started with the host (`nodedev-autostart`)", LibvirtVersion(7, 8)),
    Feature("device-loadparm", "`loadparm` of such a device; before, it is ignored", LibvirtVersion(10, 10)),
)
BY_ID = {feature.id: feature for feature in FEATURES}


def has(libvirt: LibvirtVersion, feature: str) -> bool:
    return BY_ID[feature].there(libvirt)

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This fragment is private to the collection.
from __future__ import annotations


class ModuleDocFragment:
    # What the modules that talk to libvirt have in common
    DOCUMENTATION = r"""
options:
  uri:
    description:
      - Which libvirt, as C(virsh --connect) takes it. It must be one of the host that the module runs on, whose
        mediated devices and QEMU are looked at.
    type: str
    default: qemu:///system
requirements:
  - virsh of libvirt 4.4 or newer on the target
notes:
  - The user needs the right to manage libvirt at O(uri), which root has.
"""

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# This fragment is private to the collection.
from __future__ import annotations


class ModuleDocFragment:
    # What a guest is, whichever hypervisor runs it; the types are GUEST_SPEC of module_utils/_guest.py
    DOCUMENTATION = r"""
options:
  name:
    description: Name of the guest. Letters, digits, dots, dashes and underscores.
    type: str
    required: true
  memory:
    description: Memory in MiB.
    type: int
    default: 1024
  cpus:
    description: Number of CPUs.
    type: int
    default: 1
  accel:
    description:
      - QEMU's accelerator.
      - V(auto) is V(kvm) on a host that has C(/dev/kvm), else V(tcg) with a warning.
    type: str
    choices: [auto, kvm, tcg]
    default: auto
"""

#!/usr/bin/python
# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_support
version_added: 0.1.0
short_description: Check and load what a kernel needs for channel I/O passthrough
description:
  - Reads the configuration of the running kernel (C(/proc/config.gz), else C(/boot/config-RELEASE)) and its module
    tree, and says which of the options that vfio-ccw needs in this kernel version are there. The list changed over the
    years.
  - Loads the modules C(vfio), C(mdev), C(vfio_mdev) (where the kernel still has it), C(vfio_iommu_type1) and
    C(vfio_ccw), in this order.
  - Fails, and names what is missing, when the kernel has no C(vfio_ccw).
  - A kernel that has it is taken as it is, with a warning where something is missing that its version should have
    beside it. A vendor's kernel may have the code of a newer one.
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
extends_documentation_fragment:
  - zkvm.vfio_ccw._attributes
  - zkvm.vfio_ccw._attributes.changes
options:
  persistent:
    description:
      - Whether the modules are to be loaded at boot as well, by C(/etc/modules-load.d/vfio_ccw.conf).
      - With V(false) that file is left as it is.
    type: bool
    default: true
  tools:
    description:
      - Programs that the host is to have because its devices are to be persistent. Where one is missing the module
        fails before it loads anything, and names the package.
    type: list
    elements: str
    choices: [driverctl, mdevctl]
    default: []
seealso:
  - module: zkvm.vfio_ccw.passthrough
  - module: zkvm.vfio_ccw.css_info
"""

EXAMPLES = r"""
---
- name: Load what passthrough needs, now and at boot
  zkvm.vfio_ccw.kernel_support:

- name: Only for as long as the host is up
  zkvm.vfio_ccw.kernel_support:
    persistent: false

- name: For devices that are to be persistent
  zkvm.vfio_ccw.kernel_support:
    tools: [driverctl, mdevctl]
"""

RETURN = r"""
error_id:
  description: Which error it is. C(docs/refusals.md) lists them.
  returned: failure
  type: str
  sample: kernel-lacks
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - device: ""
      step: load-module
      description: load kernel module vfio_ccw
      path: /sys/module/vfio_ccw
      value: vfio_ccw
kernel:
  description: Release of the running kernel.
  returned: always, when it could be read
  type: str
  sample: 6.1.0-29-s390x
config_source:
  description: File that the kernel's configuration was read from; empty when the host keeps none.
  returned: always, when the kernel could be read
  type: str
  sample: /boot/config-6.1.0-29-s390x
config:
  description: For each option whether this kernel version needs it, and its value (V(y), V(m), V(n) or V(absent)).
  returned: always, when the kernel could be read
  type: dict
  sample: {CONFIG_VFIO_CCW: {needed: true, value: m}, CONFIG_VFIO_MDEV_DEVICE: {needed: false, value: absent}}
modules:
  description: State of each module that this kernel version needs (V(loaded), V(builtin), V(loadable) or V(missing)).
  returned: always, when the kernel could be read
  type: dict
  sample: {vfio: loaded, mdev: loaded, vfio_iommu_type1: loaded, vfio_ccw: loaded}
tools:
  description: Of the programs that persistent devices need, whether they are installed.
  returned: success
  type: dict
  sample: {driverctl: true, mdevctl: true}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._module import run
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._kernel_support import converge_kernel


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "persistent": {"type": "bool", "default": True},
            "tools": {"type": "list", "elements": "str", "choices": ["driverctl", "mdevctl"], "default": []},
        },
        supports_check_mode=True,
    )
    params = module.params
    run(module, lambda host: converge_kernel(host, params["persistent"], module.check_mode, params["tools"]))


if __name__ == "__main__":
    main()

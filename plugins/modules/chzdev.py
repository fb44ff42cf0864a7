#!/usr/bin/python
# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: chzdev
version_added: 0.1.0
short_description: Have DASDs set online at every boot
description:
  - Sets DASDs up to be set online at every boot of the system, a guest or a host, or ends that, by C(chzdev) of the
    package s390-tools. What they are now is not changed; that is M(zkvm.vfio_ccw.ccw_device).
  - What C(chzdev) did is read back with C(lszdev).
  - A system whose root file system is on the device has to be set up by hand, with its initial RAM disk.
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
extends_documentation_fragment:
  - zkvm.vfio_ccw._attributes
  - zkvm.vfio_ccw._attributes.changes
requirements:
  - The package s390-tools on the target
options:
  devices:
    description: Bus ids as C(lscss) prints them in its first column, for example V(0.0.1234).
    type: list
    elements: str
    required: true
    aliases: [device]
  state:
    description: V(present) for devices that are to be set online at boot, V(absent) for those that are not.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: zkvm.vfio_ccw.ccw_device
"""

EXAMPLES = r"""
---
- name: Have the disk online after each start of the guest
  zkvm.vfio_ccw.chzdev:
    device: 0.0.1234

- name: No longer
  zkvm.vfio_ccw.chzdev:
    device: 0.0.1234
    state: absent
"""

RETURN = r"""
error_id:
  description: Which error it is. C(docs/refusals.md) lists them.
  returned: failure
  type: str
  sample: chzdev-failed
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - device: 0.0.1234
      step: keep-online
      description: set device 0.0.1234 online at boot
      path: ""
      value: ""
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BusId
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._module import run
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.disk._zdev import converge_zdev


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "devices": {"type": "list", "elements": "str", "required": True, "aliases": ["device"]},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    params = module.params
    run(
        module,
        lambda host: converge_zdev(
            host,
            tuple(dict.fromkeys(BusId.parse(text) for text in params["devices"])),
            params["state"] == "present",
            module.check_mode,
        ),
    )


if __name__ == "__main__":
    main()

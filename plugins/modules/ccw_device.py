#!/usr/bin/python
# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ccw_device
version_added: 0.1.0
short_description: Set a CCW device online or offline
description:
  - Sets a CCW device online or offline, in a guest or on a host, reads back that it is, and says which disks it has.
  - A disk that is in use (mounted, swap, part of a volume, opened) is not set offline.
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
extends_documentation_fragment:
  - zkvm.vfio_ccw._attributes
  - zkvm.vfio_ccw._attributes.changes
options:
  device:
    description: Bus id as C(lscss) prints it in its first column, for example V(0.0.1234).
    type: str
    required: true
  state:
    description: What it is to be.
    type: str
    choices: [online, offline]
    default: online
  force:
    description: Take a device online that another system has reserved (boxed). That system loses it.
    type: bool
    default: false
  timeout:
    description: Seconds to wait for a device that is not there yet, as in a guest that was just started.
    type: int
    default: 0
seealso:
  - module: zkvm.vfio_ccw.passthrough
"""

EXAMPLES = r"""
---
- name: Set the disk online in the guest
  zkvm.vfio_ccw.ccw_device:
    device: 0.0.1234
    timeout: 30
  register: disk

- name: Show its block device
  ansible.builtin.debug:
    msg: "{{ disk.block_devices[0].path }}"

- name: Set it offline again
  zkvm.vfio_ccw.ccw_device:
    device: 0.0.1234
    state: offline
"""

RETURN = r"""
error_id:
  description: Which error it is. C(docs/refusals.md) lists them.
  returned: failure
  type: str
  sample: in-use
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - device: 0.0.1234
      step: online
      description: set device 0.0.1234 online
      path: /sys/bus/ccw/devices/0.0.1234/online
      value: "1"
device:
  description: The bus id in the kernel's form.
  returned: success
  type: str
  sample: 0.0.1234
online:
  description: Whether it is (in check mode would be) online.
  returned: success
  type: bool
type:
  description: Device type and model.
  returned: success
  type: str
  sample: 3390/0c
control_unit:
  description: Control unit type and model.
  returned: success
  type: str
  sample: 3990/e9
block_devices:
  description: The disks of the device. Empty in check mode when it is offline.
  returned: success
  type: list
  elements: dict
  sample:
    - name: dasda
      path: /dev/dasda
      size: 7385333760
      partitions:
        - {name: dasda1, path: /dev/dasda1, size: 7385235456}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BusId
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._ccw import CcwRequest, converge_ccw
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._module import run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "device": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["online", "offline"], "default": "online"},
            "force": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    params = module.params
    run(
        module,
        lambda host: converge_ccw(
            host,
            CcwRequest(BusId.parse(params["device"]), params["state"] == "online", params["force"], params["timeout"]),
            module.check_mode,
        ),
    )


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ccw_device
version_added: 0.1.0
short_description: Set CCW devices online or offline
description:
  - Sets CCW devices online or offline, in a guest or on a host, reads back that they are, and says which disks they
    have.
  - The whole list is looked at before anything is written, and all that speaks against it is reported at once. A disk
    that is in use (mounted, swap, part of a volume, opened) is not set offline.
  - When the kernel then refuses one, the others are switched all the same, and the module fails.
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
extends_documentation_fragment:
  - zkvm.vfio_ccw._attributes
  - zkvm.vfio_ccw._attributes.changes
options:
  devices:
    description: Bus ids as C(lscss) prints them in its first column, for example V(0.0.1234).
    type: list
    elements: str
    required: true
    aliases: [device]
  state:
    description: What they are to be.
    type: str
    choices: [online, offline]
    default: online
  force:
    description: Take devices online that another system has reserved (boxed). That system loses them.
    type: bool
    default: false
  timeout:
    description: Seconds to wait for devices that are not there yet, as in a guest that was just started.
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
    msg: "{{ disk.devices[0].block_devices[0].path }}"

- name: Set it offline again
  zkvm.vfio_ccw.ccw_device:
    device: 0.0.1234
    state: offline

- name: Set several disks online
  zkvm.vfio_ccw.ccw_device:
    devices: [0.0.1234, 0.0.8000]

- name: Set them offline again
  zkvm.vfio_ccw.ccw_device:
    devices: [0.0.1234, 0.0.8000]
    state: offline
"""

RETURN = r"""
error_id:
  description: Which error it is. C(docs/refusals.md) lists them.
  returned: failure
  type: str
  sample: in-use
actions:
  description: What was done, or would be done in check mode. When the module fails, what was done all the same.
  returned: always
  type: list
  elements: dict
  sample:
    - device: 0.0.1234
      step: online
      description: set device 0.0.1234 online
      path: /sys/bus/ccw/devices/0.0.1234/online
      value: "1"
devices:
  description: The devices, in the order of the list.
  returned: success
  type: list
  elements: dict
  contains:
    device:
      description: The bus id in the kernel's form.
      type: str
    online:
      description: Whether it is (in check mode would be) online.
      type: bool
    type:
      description: Device type and model.
      type: str
    control_unit:
      description: Control unit type and model.
      type: str
    uid:
      description:
        - What a DASD's storage subsystem calls it (vendor, serial, subsystem, unit), the same wherever it is seen.
          Empty while it is offline.
      type: str
    block_devices:
      description: The disks of the device, with their size in bytes. Empty in check mode when it is offline.
      type: list
      elements: dict
  sample:
    - device: 0.0.1234
      online: true
      type: 3390/0c
      control_unit: 3990/e9
      uid: IBM.750000000LNX01.7e00.52
      block_devices:
        - name: dasda
          path: /dev/dasda
          size: 7385333760
          partitions:
            - {name: dasda1, path: /dev/dasda1, size: 7385235456}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BusId
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import Host
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._module import run
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.disk._ccw import CcwRequest, converge_ccw


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "devices": {"type": "list", "elements": "str", "required": True, "aliases": ["device"]},
            "state": {"type": "str", "choices": ["online", "offline"], "default": "online"},
            "force": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    params = module.params

    def work(host: Host) -> dict[str, Any]:
        devices = tuple(dict.fromkeys(BusId.parse(text) for text in params["devices"]))
        request = CcwRequest(devices, params["state"] == "online", params["force"], params["timeout"])
        return converge_ccw(host, request, module.check_mode)

    run(module, work)


if __name__ == "__main__":
    main()

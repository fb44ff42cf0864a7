#!/usr/bin/python
# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dasd_format
version_added: 0.1.0
short_description: Format a DASD, with a partition and a file system on it
description:
  - Has an ECKD DASD formatted for Linux (C(dasdfmt), compatible disk layout, blocks of 4096 bytes), with one partition
    (C(fdasd)) and, if wanted, a file system on that.
  - A disk that is so already is left alone, whatever O(destroy_data) says. Only the steps that are missing are done. A
    disk of the compatible layout is not formatted again, whatever the size of its blocks, nor is a partition made where
    there are some.
  - Without O(destroy_data) nothing is ever written. The module fails then, and says what is on the disk and what would
    be done. A disk in use is refused in any case.
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
extends_documentation_fragment:
  - zkvm.vfio_ccw._attributes
  - zkvm.vfio_ccw._attributes.changes
requirements:
  - The packages s390-tools and util-linux on the target, and the one of the file system
options:
  device:
    description: Bus id as C(lscss) prints it in its first column, for example V(0.0.1234). It has to be online.
    type: str
    required: true
  filesystem:
    description: File system on the first partition. Empty (or not given) for none.
    type: str
    choices: ["", ext4, xfs, btrfs]
    default: ""
  label:
    description:
      - Label of a file system that is made. One that is there keeps its own. At most 16 bytes for V(ext4), 12 for
        V(xfs), 255 for V(btrfs).
    type: str
    default: ""
  destroy_data:
    description: Consent to the loss of all that is on this disk, should it not be as wanted.
    type: bool
    default: false
notes:
  - In check mode a disk that is offline is not looked at, since what is on it cannot be seen.
seealso:
  - module: zkvm.vfio_ccw.ccw_device
  - module: zkvm.vfio_ccw.dasd_mount
"""

EXAMPLES = r"""
---
- name: Have a file system on the new disk
  zkvm.vfio_ccw.dasd_format:
    device: 0.0.1234
    filesystem: ext4
    label: data
    destroy_data: true
"""

RETURN = r"""
error_id:
  description: Which error it is. C(docs/refusals.md) lists them.
  returned: failure
  type: str
  sample: no-consent
actions:
  description: What was done, or would be done in check mode. When the module fails, what was done before.
  returned: always
  type: list
  elements: dict
  sample:
    - device: 0.0.1234
      step: format
      description: format /dev/dasda with blocks of 4096 bytes (all of its data is lost)
      path: /dev/dasda
      value: ""
device:
  description: The bus id in the kernel's form.
  returned: success
  type: str
disk:
  description: The disk, with its size in bytes.
  returned: success
  type: dict
  sample:
    name: dasda
    path: /dev/dasda
    size: 7385333760
    partitions:
      - {name: dasda1, path: /dev/dasda1, size: 7385235456}
layout:
  description: V(CDL), V(LDL), V(CMS), or empty.
  returned: success
  type: str
volser:
  description: Volume serial.
  returned: success
  type: str
  sample: 0X1234
partition:
  description: The first partition.
  returned: success
  type: str
  sample: /dev/dasda1
filesystem:
  description: What is on the first partition.
  returned: success
  type: str
  sample: ext4
label:
  description: Its label.
  returned: success
  type: str
uuid:
  description: Its UUID.
  returned: success
  type: str
  sample: 2fbf0562-7e46-4d6f-a7e6-4cd8b4b0b0e1
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BusId
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import Host
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._module import run
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._sysfs import CCW_DEVICES
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.disk._format import FormatRequest, converge_format


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "device": {"type": "str", "required": True},
            "filesystem": {"type": "str", "choices": ["", "ext4", "xfs", "btrfs"], "default": ""},
            "label": {"type": "str", "default": ""},
            "destroy_data": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    params = module.params

    def work(host: Host) -> dict[str, Any]:
        device = BusId.parse(params["device"])
        if module.check_mode and host.get(f"{CCW_DEVICES}/{device}/online") == "0":
            unseen = f"{device} is offline, so what is on it, and what would be done to it, cannot be seen"
            return {"changed": False, "actions": [], "device": str(device), "warnings_": [unseen]}
        request = FormatRequest(device, params["filesystem"], params["label"], params["destroy_data"])
        return converge_format(host, request, module.check_mode)

    run(module, work)


if __name__ == "__main__":
    main()

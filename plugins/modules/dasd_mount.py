#!/usr/bin/python
# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dasd_mount
version_added: 0.1.0
short_description: Mount the file system on a DASD, now and at boot
description:
  - Mounts the file system on a partition of a DASD, which is named by its bus id, and has a line in C(/etc/fstab) for
    it. The line names the file system by its UUID, since names such as C(/dev/dasda) change.
  - A line of somebody else's for the same directory, another mount there, or a directory that holds something, is
    refused.
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
extends_documentation_fragment:
  - zkvm.vfio_ccw._attributes
  - zkvm.vfio_ccw._attributes.changes
requirements:
  - The package util-linux on the target
options:
  device:
    description: Bus id as C(lscss) prints it in its first column, for example V(0.0.1234).
    type: str
    required: true
  path:
    description: The directory. It is made if it is not there.
    type: str
    required: true
  options:
    description:
      - Mount options, as C(/etc/fstab) has them. Other options for a file system that is mounted are written there, and
        are in effect from the next mount on.
    type: str
    default: defaults,nofail
  partition:
    description: Number of the partition.
    type: int
    default: 1
  state:
    description: V(mounted), or V(absent) for neither mounted nor in C(/etc/fstab). The directory stays.
    type: str
    choices: [mounted, absent]
    default: mounted
seealso:
  - module: zkvm.vfio_ccw.dasd_format
  - module: zkvm.vfio_ccw.chzdev
"""

EXAMPLES = r"""
---
- name: Mount the disk
  zkvm.vfio_ccw.dasd_mount:
    device: 0.0.1234
    path: /srv/data

- name: Unmount it, and forget it
  zkvm.vfio_ccw.dasd_mount:
    device: 0.0.1234
    path: /srv/data
    state: absent
"""

RETURN = r"""
error_id:
  description: Which error it is. C(docs/refusals.md) lists them.
  returned: failure
  type: str
  sample: mounted-there
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - device: 0.0.1234
      step: mount
      description: mount device 0.0.1234 at /srv/data
      path: /srv/data
      value: ""
device:
  description: The bus id in the kernel's form.
  returned: success
  type: str
path:
  description: The directory.
  returned: success
  type: str
partition:
  description: The partition. Empty when the disk is offline.
  returned: success
  type: str
  sample: /dev/dasda1
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BusId
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import Host
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._module import run
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.disk._mount import (
    MountRequest,
    converge_mount,
    parse_options,
    parse_partition,
    parse_path,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "device": {"type": "str", "required": True},
            "path": {"type": "str", "required": True},
            "options": {"type": "str", "default": "defaults,nofail"},
            "partition": {"type": "int", "default": 1},
            "state": {"type": "str", "choices": ["mounted", "absent"], "default": "mounted"},
        },
        supports_check_mode=True,
    )
    params = module.params

    def work(host: Host) -> dict[str, Any]:
        request = MountRequest(
            device=BusId.parse(params["device"]),
            path=parse_path(params["path"]),
            options=parse_options(params["options"]),
            mounted=params["state"] == "mounted",
            partition=parse_partition(params["partition"]),
        )
        return converge_mount(host, request, module.check_mode)

    run(module, work)


if __name__ == "__main__":
    main()

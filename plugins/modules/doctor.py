#!/usr/bin/python
# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: doctor
version_added: 0.1.0
short_description: Why a device cannot be used in a guest, or that it can
description:
  - Goes along the chain from the host's kernel to the guest's QEMU and says of each link whether it holds - kernel
    support, the device and its channel paths, all that M(zkvm.vfio_ccw.passthrough) would refuse, the mediated device,
    the guest's start script and process, who has the device open, and what a restart of the host would do.
  - It changes nothing, and does not fail when the device cannot be used.
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
extends_documentation_fragment:
  - zkvm.vfio_ccw._attributes
  - zkvm.vfio_ccw._attributes.info_module
options:
  device:
    description: Device number on the host, as C(lscss) prints it, for example V(0.0.7e52).
    type: str
    required: true
  guest:
    description: >-
      Name of the guest. Without it the one that the host notes for the device; where there is none, the host's side
      alone is looked at.
    type: str
    default: ""
notes:
  - Run it as root (C(become)); another user does not see who has the device open.
seealso:
  - module: zkvm.vfio_ccw.css_info
  - module: zkvm.vfio_ccw.passthrough
"""

EXAMPLES = r"""
---
- name: Ask whether guest linux01 can use the disk
  zkvm.vfio_ccw.doctor:
    device: 0.0.7e52
    guest: linux01
  register: doctor

- name: Show the answer
  ansible.builtin.debug:
    var: doctor.report
"""

RETURN = r"""
error_id:
  description: Which error it is. C(docs/refusals.md) lists them.
  returned: failure
  type: str
  sample: malformed
verdict:
  description:
    - V(usable) when the guest runs with the device, V(ready) when it is passed through and no running guest has it,
      V(passable) when the host has it and nothing speaks against passing it through, V(refused) when something fails.
  returned: success
  type: str
  sample: usable
usable:
  description: Whether the verdict is V(usable).
  returned: success
  type: bool
guest_device:
  description: The bus id by which the guest sees it.
  returned: success
  type: str
  sample: 0.0.1234
checks:
  description: The links of the chain.
  returned: success
  type: list
  elements: dict
  contains:
    check:
      description: What was looked at; the id of the refusal where it is one.
      type: str
    state:
      description: V(ok), V(fails), or V(open) for what is not done yet.
      type: str
    found:
      description: What was found.
      type: str
    next_step:
      description: What to do; empty where nothing is.
      type: str
  sample:
    - check: mounted
      state: fails
      found: "the disk is in use on the host: mounted at /srv/data"
      next_step: Unmount it, and remove it from /etc/fstab
report:
  description: The same as lines to read.
  returned: success
  type: list
  elements: str
  sample:
    - 0.0.7e53 cannot be used in guest linux01
    - "ok     kernel: vfio_ccw is registered"
    - "fails  mounted: the disk is in use on the host: mounted at /srv/data"
    - "       -> Unmount it, and remove it from /etc/fstab"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BusId
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._module import run
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.info._doctor import examine


def main() -> None:
    module = AnsibleModule(
        argument_spec={"device": {"type": "str", "required": True}, "guest": {"type": "str", "default": ""}},
        supports_check_mode=True,
    )
    run(module, lambda host: examine(host, BusId.parse(module.params["device"]), module.params["guest"]))


if __name__ == "__main__":
    main()

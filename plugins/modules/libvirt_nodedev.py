#!/usr/bin/python
# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_nodedev
version_added: 0.1.0
short_description: Mediated devices of channel devices as node devices of libvirt
description:
  - Defines mediated devices in libvirt for subchannels that M(zkvm.vfio_ccw.passthrough), or driverctl, has bound to
    vfio_ccw; starts and ends them, and has them started with the host.
  - libvirt keeps them by mdevctl, so the state is the same as with M(zkvm.vfio_ccw.passthrough) and
    C(persistent=true). This module is for those who leave mediated devices to libvirt, as IBM documents it.
  - It talks to libvirt by C(virsh), which is wherever libvirt is; the Python binding need not be installed.
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
extends_documentation_fragment:
  - zkvm.vfio_ccw._attributes
  - zkvm.vfio_ccw._attributes.changes
  - zkvm.vfio_ccw._libvirt
options:
  devices:
    description: The devices.
    type: list
    elements: dict
    required: true
    suboptions:
      device:
        description: Device number on the host, for example V(0.0.7e52).
        type: str
        required: true
      uuid:
        description:
          - UUID of the mediated device. By default the one that is there, else the one that
            M(zkvm.vfio_ccw.passthrough) would give it.
        type: str
  state:
    description:
      - V(present) defines them, and leaves them started or not.
      - V(started) defines and starts them.
      - V(stopped) defines them and ends them.
      - V(absent) ends them and removes their definitions. The subchannels stay bound to vfio_ccw.
    type: str
    choices: [present, started, stopped, absent]
    default: started
  autostart:
    description: Whether they are started with the host. By default that stays as it is.
    type: bool
seealso:
  - module: zkvm.vfio_ccw.passthrough
  - module: zkvm.vfio_ccw.libvirt_hostdev
"""

EXAMPLES = r"""
---
- name: Define a mediated device in libvirt, start it, now and with the host
  zkvm.vfio_ccw.libvirt_nodedev:
    devices:
      - device: 0.0.7e52
        uuid: 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920
    autostart: true

- name: End it and remove its definition
  zkvm.vfio_ccw.libvirt_nodedev:
    devices:
      - device: 0.0.7e52
        uuid: 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - device: 0.0.7e52
      step: define
      description: define mediated device 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920 of 0.0.7e52
      path: 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920
      value: ""
devices:
  description: The devices afterwards.
  returned: success
  type: list
  elements: dict
  contains:
    device:
      description: Device number on the host.
      type: str
    uuid:
      description: UUID of the mediated device.
      type: str
    parent:
      description: libvirt's name of the subchannel.
      type: str
      sample: css_0_0_16ca
    persistent:
      description: Whether it is defined.
      type: bool
    active:
      description: Whether it is started.
      type: bool
    autostart:
      description: Whether it is started with the host.
      type: bool
    xml:
      description: The node device as C(virsh nodedev-define) takes it.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import Host
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._module import run
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._nodedev import converge_nodes, parse_nodes
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._virsh import URI, Virsh


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "devices": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {"device": {"type": "str", "required": True}, "uuid": {"type": "str"}},
            },
            "state": {"type": "str", "choices": ["present", "started", "stopped", "absent"], "default": "started"},
            "autostart": {"type": "bool"},
            "uri": {"type": "str", "default": URI},
        },
        supports_check_mode=True,
    )
    params = module.params

    def work(host: Host) -> dict[str, object]:
        wanted = parse_nodes(host, params["devices"], params["state"], params["autostart"])
        return converge_nodes(host, Virsh(host, params["uri"]), wanted, module.check_mode)

    run(module, work)


if __name__ == "__main__":
    main()

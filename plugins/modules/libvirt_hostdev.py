#!/usr/bin/python
# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_hostdev
version_added: 0.1.0
short_description: Passed-through channel devices of a libvirt domain
description:
  - Attaches mediated devices that M(zkvm.vfio_ccw.passthrough) made to a domain of libvirt, and detaches them; to the
    running guest, to the domain's definition, or to both. Whoever defined the domain, nothing else of it is touched.
  - A domain that has the devices as they are wanted is not changed.
  - All devices are attached, or none. What libvirt or QEMU cannot do, device numbers that the domain has already, and
    mediated devices that are missing or in use are found before anything is changed.
  - It talks to libvirt by C(virsh), which is wherever libvirt is; the Python binding need not be installed.
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
extends_documentation_fragment:
  - zkvm.vfio_ccw._attributes
  - zkvm.vfio_ccw._attributes.changes
  - zkvm.vfio_ccw._libvirt
options:
  domain:
    description: Name of the domain (letters, digits, dots, dashes and underscores), or its UUID.
    type: str
    required: true
  state:
    description:
      - V(present) has the devices in the domain, V(absent) has them out of it.
      - Set a device offline in the guest first, see the role C(guest_device). QEMU takes one that is online there all
        the same, and the guest's I/O on it fails, until the device is back at the same number.
    type: str
    choices: [present, absent]
    default: present
  devices:
    description: The devices. Each is named by O(devices[].uuid) or O(devices[].device).
    type: list
    elements: dict
    required: true
    suboptions:
      uuid:
        description: UUID of the mediated device.
        type: str
      device:
        description:
          - Device number on the host, for example V(0.0.7e52). Its mediated device is meant, and where it has none the
            UUID that M(zkvm.vfio_ccw.passthrough) would give it.
        type: str
      devno:
        description:
          - Where the guest sees it, for example V(fe.0.1234). Left out, a device that is there already may be anywhere,
            and one that comes has the same number as on the host.
          - With O(state=absent) it may name the device instead of O(devices[].uuid).
        type: str
      boot:
        description: Whether the guest is started from it (QEMU 4.1 or newer), as O(devices[].bootindex=1).
        type: bool
        default: false
      bootindex:
        description: Place in the order of boot devices. Left out, that of a device that is there already is left alone.
        type: int
      loadparm:
        description:
          - What the guest's boot loader is told, up to 8 letters, digits, dots and blanks (libvirt 10.10 or newer; see
            M(zkvm.vfio_ccw.libvirt_guest) for older ones).
        type: str
  live:
    description:
      - Whether the running guest is changed, as C(virsh --live). By default it is when the domain runs.
      - A device that the running guest has in another place is not moved, that would pull it from under the guest.
    type: bool
  config:
    description:
      - Whether the definition is changed, which the next start uses, as C(virsh --config). By default it is when the
        domain has one.
    type: bool
  qemu_version:
    description: Version of the domain's QEMU, quoted. By default its emulator is asked.
    type: str
  timeout:
    description: Seconds to wait for the guest to let a device go.
    type: int
    default: 30
seealso:
  - module: zkvm.vfio_ccw.libvirt_guest
  - module: zkvm.vfio_ccw.passthrough
"""

EXAMPLES = r"""
---
- name: Give a disk to a domain, while it runs and for its next start
  zkvm.vfio_ccw.libvirt_hostdev:
    domain: linux01
    devices:
      - uuid: 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920
        devno: fe.0.1234

- name: Take it away again, whatever its UUID
  zkvm.vfio_ccw.libvirt_hostdev:
    domain: linux01
    state: absent
    devices:
      - devno: fe.0.1234
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - device: ""
      step: attach-live
      description: attach mediated device 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920 as fe.0.1234 to the running guest
      path: linux01
      value: ""
hostdevs:
  description: All passed-through channel devices of the domain afterwards.
  returned: success
  type: list
  elements: dict
  contains:
    uuid:
      description: UUID of the mediated device.
      type: str
    devno:
      description: Where the guest sees it.
      type: str
      sample: fe.0.1234
    bootindex:
      description: Place in the order of boot devices, V(null) for none.
      type: int
    loadparm:
      description: What the boot loader is told.
      type: str
    live:
      description: Whether the running guest has it.
      type: bool
    config:
      description: Whether the definition has it.
      type: bool
    xml:
      description: The device as C(virsh attach-device) takes it.
      type: str
running:
  description: Whether the domain runs.
  returned: success
  type: bool
restart_required:
  description: Whether the running guest has other devices than its definition.
  returned: success
  type: bool
xml:
  description:
    - The domain's definition afterwards (in check mode as it would be), empty where there is none.
    - Other modules can take it, C(community.libvirt.virt) for example. Passwords of displays are left out.
  returned: success
  type: str
domain:
  description: The domain.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import Host
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._module import run
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._hostdev import Order, converge_hostdevs
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._virsh import URI, Virsh
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._wanted import parse_domain, parse_wanted

DEVICE_SPEC = {
    "uuid": {"type": "str"},
    "device": {"type": "str"},
    "devno": {"type": "str"},
    "boot": {"type": "bool", "default": False},
    "bootindex": {"type": "int"},
    "loadparm": {"type": "str"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "domain": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "devices": {"type": "list", "elements": "dict", "required": True, "options": DEVICE_SPEC},
            "live": {"type": "bool"},
            "config": {"type": "bool"},
            "qemu_version": {"type": "str"},
            "timeout": {"type": "int", "default": 30},
            "uri": {"type": "str", "default": URI},
        },
        supports_check_mode=True,
    )
    params = module.params

    def work(host: Host) -> dict[str, object]:
        present = params["state"] == "present"
        order = Order(
            domain=parse_domain(params["domain"]),
            wanted=tuple(parse_wanted(host, params["devices"], present)),
            present=present,
            live=params["live"],
            config=params["config"],
            timeout=params["timeout"],
            qemu=params["qemu_version"] or "",
        )
        return converge_hostdevs(host, Virsh(host, params["uri"]), order, module.check_mode)

    run(module, work)


if __name__ == "__main__":
    main()

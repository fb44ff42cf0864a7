#!/usr/bin/python
# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: passthrough
version_added: 0.1.0
short_description: Take channel-attached devices from a KVM host for its guests, or give them back
description:
  - Takes a DASD (or another device on an I/O subchannel) from the host and makes a mediated device of it that a
    guest can use. The device is set offline and unbound, its subchannel is bound to C(vfio_ccw), and the mediated
    device is created.
  - With O(devices[].state=absent) all of that is taken back. The device is online again afterwards if it was before.
  - The whole list is checked before anything is written, and every reason to refuse a device is reported at once.
  - Each write is read back. When one fails, what was done to that device is undone.
  - Devices are named by their device number, since subchannel numbers change when a host is started again.
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
extends_documentation_fragment:
  - zkvm.vfio_ccw._attributes
  - zkvm.vfio_ccw._attributes.changes
options:
  devices:
    description: The devices. Only these are touched.
    type: list
    elements: dict
    required: true
    suboptions:
      device:
        description: Device number as the host's C(lscss) prints it, for example V(0.0.7e52).
        type: str
        required: true
      state:
        description: V(present) for a guest, V(absent) for the host.
        type: str
        choices: [present, absent]
        default: present
      uuid:
        description:
          - UUID of the mediated device.
          - When it is not given (or empty), one that follows from the device number is used, the same at every run.
        type: str
      guest:
        description:
          - Name of the guest that the device is for.
          - It is noted on the host; a device that is noted for one guest is refused to another.
        type: str
      devno:
        description:
          - Where the guest is to see the device, as QEMU's property C(devno), for example V(fe.0.1234).
          - When it is not given (or empty), the guest sees the same device number as the host.
        type: str
      force:
        description: Refusals (by their id) that are not to hold for this device.
        type: list
        elements: str
        choices: [unavailable, boot-device, online-at-boot, online-no-disk]
        default: []
      persistent:
        description:
          - Whether the device goes to the guest again when the host is restarted. Needs C(driverctl) and C(mdevctl)
            on the host,
            which do it at boot, also for a device that is passed through already.
          - V(false) leaves what is configured as it is. Giving a device back always ends it.
        type: bool
        default: false
  stopped_guests:
    description:
      - Guests that an earlier task of the play stops.
      - In check mode that task has not stopped them, so their devices are taken as free. It has no effect otherwise.
    type: list
    elements: str
    default: []
notes:
  - The state before is kept in C(/var/lib/vfio_ccw/journal.json) on the host.
  - Without O(devices[].persistent) a restart of the host ends it all. Run the task again after one.
seealso:
  - module: zkvm.vfio_ccw.kernel_support
  - module: zkvm.vfio_ccw.qemu_guest
"""

EXAMPLES = r"""
---
- name: Take a disk for guest linux01
  zkvm.vfio_ccw.passthrough:
    devices:
      - device: 0.0.7e52
        uuid: 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920
        guest: linux01
        devno: fe.0.1234

- name: Give it back to the host
  zkvm.vfio_ccw.passthrough:
    devices:
      - device: 0.0.7e52
        state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order.
  returned: always
  type: list
  elements: dict
  contains:
    device:
      description: Device number; empty for what concerns the whole host.
      type: str
    step:
      description: Kind of the step.
      type: str
    description:
      description: The step for people.
      type: str
    path:
      description: File that is written.
      type: str
    value:
      description: What is written to it.
      type: str
  sample:
    - device: 0.0.7e52
      step: bind-subchannel
      description: bind subchannel 0.0.16ca to vfio_ccw
      path: /sys/bus/css/drivers/vfio_ccw/bind
      value: 0.0.16ca
undone:
  description: Steps that were done and undone again, because a later one failed.
  returned: when a step failed
  type: list
  elements: dict
refusals:
  description: Why devices were refused.
  returned: when any was refused; nothing was changed then
  type: list
  elements: dict
  contains:
    id:
      description: Name of the rule.
      type: str
    device:
      description: Device number.
      type: str
    found:
      description: What was found.
      type: str
    next_step:
      description: What to do.
      type: str
devices:
  description: The devices with everything that was left to defaults filled in.
  returned: success
  type: list
  elements: dict
  sample:
    - device: 0.0.7e52
      subchannel: 0.0.16ca
      state: present
      uuid: 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920
      sysfsdev: /sys/bus/mdev/devices/6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920
      guest: linux01
      devno: fe.0.1234
      guest_device: 0.0.1234
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._engine import converge
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import Host
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._module import diff, run

DEVICE_SPEC = {
    "device": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "uuid": {"type": "str"},
    "guest": {"type": "str"},
    "devno": {"type": "str"},
    "force": {
        "type": "list",
        "elements": "str",
        "choices": ["unavailable", "boot-device", "online-at-boot", "online-no-disk"],
        "default": [],
    },
    "persistent": {"type": "bool", "default": False},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "devices": {"type": "list", "elements": "dict", "required": True, "options": DEVICE_SPEC},
            "stopped_guests": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )

    def work(host: Host) -> dict[str, Any]:
        params = module.params
        outcome = converge(host, params["devices"], module.check_mode, params["stopped_guests"])
        return {
            "changed": outcome.changed,
            "actions": outcome.actions,
            "devices": outcome.devices,
            "diff": diff(outcome.before, outcome.after, "channel devices", outcome.actions),
        }

    run(module, work)


if __name__ == "__main__":
    main()

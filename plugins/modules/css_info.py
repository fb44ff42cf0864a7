#!/usr/bin/python
# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: css_info
version_added: 0.1.0
short_description: What is on the channel subsystem of a host or guest
description:
  - Lists the subchannels with their devices, drivers, channel paths and mediated devices, who uses a disk, and why
    a device cannot be passed through.
  - Run it as root (C(become)). Another user cannot see whether a guest has a device open, nor the host's journal, nor
    the files that other users' processes have open. What is not known is V(null) then, and a warning says so.
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
extends_documentation_fragment:
  - zkvm.vfio_ccw._attributes
  - zkvm.vfio_ccw._attributes.info_module
options:
  devices:
    description: Device numbers, or ranges of them, to list. Without any, all subchannels are listed.
    type: list
    elements: str
    default: []
seealso:
  - module: zkvm.vfio_ccw.passthrough
"""

EXAMPLES = r"""
---
- name: Look at a range of devices only
  zkvm.vfio_ccw.css_info:
    devices: [0.0.8000-0.0.80ff]

- name: Look at the whole channel subsystem
  zkvm.vfio_ccw.css_info:
  register: css

- name: List the disks that could go to a guest
  ansible.builtin.debug:
    msg: "{{ css.subchannels | selectattr('passable') | map(attribute='device') }}"
"""

RETURN = r"""
error_id:
  description: Which error it is. C(docs/refusals.md) lists them.
  returned: failure
  type: str
  sample: damaged-journal
subchannels:
  description: The subchannels in order of their number.
  returned: success
  type: list
  elements: dict
  contains:
    subchannel:
      description: Bus id of the subchannel.
      type: str
      sample: 0.0.16ca
    type:
      description: Type of the subchannel (V(io), V(chsc), V(message) or V(adm)).
      type: str
    driver:
      description: Driver that it is bound to, empty for none.
      type: str
      sample: io_subchannel
    driver_override:
      description: The one driver that may bind it, empty for any.
      type: str
      sample: ""
    device:
      description: Device number behind it, empty when there is none.
      type: str
      sample: 0.0.7e52
    chpids:
      description: Channel paths that are installed, in the order of the masks' bits.
      type: list
      elements: str
      sample: ["41", "42"]
    pim:
      description: Path installed mask.
      type: str
      sample: c0
    pam:
      description: Path available mask.
      type: str
      sample: c0
    pom:
      description: Path operational mask.
      type: str
      sample: ff
    guest:
      description: The guest that it was passed to; empty when it was not, or the journal does not name one.
      type: str
      sample: linux01
    at_boot:
      description:
        - The driver that C(driverctl) gives it at boot, and the mediated devices that C(mdevctl) starts.
        - C(refusals) says what would come in the way of that, for a device that was passed through.
      type: dict
      sample: {driver: vfio_ccw, mdevs: [6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920], refusals: []}
    ccw:
      description: The CCW device; empty when the host has none there.
      type: dict
      sample:
        driver: dasd-eckd
        online: true
        control_unit: 3990/e9
        type: 3390/0c
        availability: good
        alias: false
        host_access_count: null
        aliases: []
        block_devices: []
        users: [mounted at /srv/data]
        claims: []
        unread: ""
    mdevs:
      description: Mediated devices on the subchannel. C(in_use) is V(null) when this user cannot tell.
      type: list
      elements: dict
      sample: [{uuid: 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920, in_use: true, group: "0"}]
    passable:
      description: Whether M(zkvm.vfio_ccw.passthrough) would take the device.
      type: bool
    refusals:
      description: Why it would not.
      type: list
      elements: dict
      sample:
        - id: mounted
          found: "the disk is in use on the host: mounted at /srv/data"
          next_step: Unmount it, and remove it from /etc/fstab
passed_through:
  description:
    - Devices that were passed through, as the host's journal and its mediated devices say.
    - C(guest), C(devno) and C(guest_device) are empty when the journal does not name them, V(null) when this user may
      not read it. C(in_use) is V(null) when this user cannot tell.
  returned: success
  type: list
  elements: dict
  sample:
    - device: 0.0.7e52
      subchannel: 0.0.16ca
      uuid: 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920
      guest: linux01
      devno: fe.0.1234
      guest_device: 0.0.1234
      in_use: true
guests:
  description:
    - The guests of the host that it has a start script (M(zkvm.vfio_ccw.qemu_guest)) or a libvirt domain for, with the
      mediated devices that these name. C(running) is V(null) when this user cannot tell.
  returned: success
  type: list
  elements: dict
  sample:
    - name: linux01
      hypervisor: qemu
      running: true
      uuids: [6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920]
not_as_noted:
  description:
    - Devices that the journal has as passed through, and that are not where it says. C(state) is V(gone) when the host
      has no such device, V(back) when it has it as its own again, as after a restart, and V(moved) when it is passed
      through from another subchannel than the one C(noted).
    - And those that came back and were left offline, though they had been online, since another system was to have them
      next, with the state V(left).
    - Empty when O(devices) are named.
  returned: success
  type: list
  elements: dict
  sample:
    - device: 0.0.7e52
      noted: 0.0.16ca
      subchannel: 0.0.16c9
      guest: linux01
      uuid: 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920
      state: back
definitions_without_device:
  description:
    - What C(driverctl) and C(mdevctl) have for subchannels that are not there, or have no device.
    - Empty when O(devices) are named.
  returned: success
  type: list
  elements: dict
  sample:
    - subchannel: 0.0.16d0
      driver: vfio_ccw
      mdevs: [6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920]
channel_paths:
  description:
    - The channel paths of the host. C(status) says whether it is varied on, C(configured) is V(configured), V(standby)
      or V(reserved), or empty where the machine does not say. C(type) is the type's code.
  returned: success
  type: list
  elements: dict
  sample: [{chpid: "41", status: online, configured: configured, type: 1b}]
ignored:
  description: Ranges of device numbers that the kernel ignores.
  returned: success
  type: list
  elements: str
  sample: [0.0.9000, 0.0.a000-0.0.afff]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._module import run
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.info._info import css_info


def main() -> None:
    module = AnsibleModule(
        argument_spec={"devices": {"type": "list", "elements": "str", "default": []}},
        supports_check_mode=True,
    )
    run(module, lambda host: css_info(host, module.params["devices"]))


if __name__ == "__main__":
    main()

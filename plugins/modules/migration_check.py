#!/usr/bin/python
# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_check
version_added: 0.1.0
short_description: Whether a guest can be migrated, or saved and restored, between two QEMUs
description:
  - Predicts what QEMU would do with a guest, before anything is started, with the errors that it would print and what
    to do about them. Changes nothing.
  - Judges what has to do with channel devices, that is where each QEMU puts them, and the machine type. Memory, CPU
    models, disks and the backends of devices are not looked at.
  - With O(source) and O(target) alone it needs no host; it can run on the controller.
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
extends_documentation_fragment:
  - zkvm.vfio_ccw._attributes
  - zkvm.vfio_ccw._attributes.info_module
options:
  guest:
    description:
      - Name of a guest on this host that M(zkvm.vfio_ccw.qemu_guest) made. Its command line is read from its process,
        or from its start script when it does not run. A device that was plugged in later is not in it.
      - What O(source) says takes the place of what is found. One of O(guest) and O(source) is required.
    type: str
  source:
    description: The guest as it is.
    type: dict
    suboptions:
      qemu:
        description: Version of QEMU, quoted, for example V("2.10"). That of O(target) is the source's by default.
        type: str
      machine:
        description: Machine type, V(s390-ccw-virtio) by default.
        type: str
      squash_mcss:
        description: Whether the machine option C(s390-squash-mcss) is on.
        type: bool
      devices:
        description: The channel devices, in the order of the command line.
        type: list
        elements: dict
        suboptions:
          driver:
            description: Name of the device, for example V(vfio-ccw) or V(virtio-blk-ccw).
            type: str
            required: true
          devno:
            description: Its device number, for example V(fe.0.1234). Left out, QEMU chooses one.
            type: str
      command:
        description:
          - A QEMU command line, a list of words, to read all that from.
          - For example RV(zkvm.vfio_ccw.qemu_guest#module:command).
        type: list
        elements: str
  target:
    description:
      - The guest that is to take over. What is left out is as in the source, without the passed-through devices.
    type: dict
    default: {}
    suboptions:
      qemu:
        description: Version of QEMU, quoted. That of O(source) by default.
        type: str
      machine:
        description: Machine type.
        type: str
      squash_mcss:
        description: Whether the machine option C(s390-squash-mcss) is on.
        type: bool
      devices:
        description: The channel devices, in the order of the command line.
        type: list
        elements: dict
        suboptions:
          driver:
            description: Name of the device.
            type: str
            required: true
          devno:
            description: Its device number. Left out, QEMU chooses one.
            type: str
      command:
        description: A QEMU command line, a list of words, to read all that from.
        type: list
        elements: str
      translate:
        description: Whether the source is translated for the target's QEMU first, see RV(translated).
        type: bool
        default: false
seealso:
  - module: zkvm.vfio_ccw.qemu_guest
"""

EXAMPLES = r"""
---
- name: Ask whether a guest could move to a host with QEMU 2.12
  zkvm.vfio_ccw.migration_check:
    source:
      qemu: "2.10"
      machine: s390-ccw-virtio-2.10
      squash_mcss: true
      devices:
        - driver: virtio-blk-ccw
          devno: fe.0.0000
        - driver: vfio-ccw
          devno: 0.0.1234
    target:
      qemu: "2.12"
  register: move

- name: Show why not, and what to do
  ansible.builtin.debug:
    msg: "{{ move.findings | map(attribute='cure') | list }}"
  when: not move.migratable_after_detach

- name: Ask for a guest of this host
  zkvm.vfio_ccw.migration_check:
    guest: linux01
    target:
      qemu: "7.2"
"""

RETURN = r"""
migratable:
  description: Whether it succeeds as the guest is. Never with a passed-through device.
  returned: success
  type: bool
migratable_after_detach:
  description: Whether it succeeds once the passed-through devices have been taken from the running guest.
  returned: success
  type: bool
findings:
  description: What stands against it, what is met first first. The page C(docs/qemu.md) lists the rules.
  returned: success
  type: list
  elements: dict
  contains:
    rule:
      description: The rule.
      type: str
      sample: unmigratable
    reason:
      description: What was found.
      type: str
      sample: the guest holds the passed-through device fe.0.1234
    errors:
      description: What QEMU prints. Newer ones print more behind it.
      type: list
      elements: str
      sample: ["qemu-system-s390x: State blocked by non-migratable device '/fe.0.1234/vfio-ccw'"]
    cure:
      description: What to do.
      type: str
source:
  description: The source as it was understood. C(place) is where a device is, empty when QEMU would not start.
  returned: success
  type: dict
  sample:
    qemu: "2.10"
    machine: s390-ccw-virtio
    squash_mcss: true
    devices: [{driver: vfio-ccw, devno: "00.0.1234", place: 00.0.1234}]
target:
  description: The target, likewise.
  returned: success
  type: dict
  sample: {qemu: "2.12", machine: s390-ccw-virtio, squash_mcss: false, devices: []}
translated:
  description:
    - The source as the target's QEMU needs it for the guest to see the same.
    - V(null) when that is not possible.
    - C(command) is the whole command line, where the source has one, else empty. What is no channel device and no
      machine option is in it as it was.
  returned: success
  type: dict
  sample: {qemu: "2.12", machine: s390-ccw-virtio-2.10, squash_mcss: false, devices: [], command: []}
untranslatable:
  description: Why it is not possible.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._module import run
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._migration_check import check_migration

DEVICE_SPEC = {"driver": {"type": "str", "required": True}, "devno": {"type": "str"}}
SIDE_SPEC = {
    "qemu": {"type": "str"},
    "machine": {"type": "str"},
    "squash_mcss": {"type": "bool"},
    "devices": {"type": "list", "elements": "dict", "options": DEVICE_SPEC},
    "command": {"type": "list", "elements": "str"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "guest": {"type": "str"},
            "source": {"type": "dict", "options": SIDE_SPEC},
            "target": {
                "type": "dict",
                "default": {},
                "options": {**SIDE_SPEC, "translate": {"type": "bool", "default": False}},
            },
        },
        required_one_of=[("guest", "source")],
        supports_check_mode=True,
    )
    run(module, lambda host: check_migration(host, module.params))


if __name__ == "__main__":
    main()

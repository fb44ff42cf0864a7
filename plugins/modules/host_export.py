#!/usr/bin/python
# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_export
version_added: 0.1.0
short_description: All of a host that another one like it needs
description:
  - Reads a host's channel subsystem, what its disks are used for, what becomes of channel devices at boot (overrides of
    C(driverctl), definitions of C(mdevctl), udev rules, kernel parameters, modules), its guests, and this collection's
    journal, into one value. It changes nothing.
  - An emulated host can be made from it, on which a change is tried before it is done to the real one; playbook
    C(zkvm.vfio_ccw.rehearse) does all of that.
  - Contents of disks do not go along. The host's name and its machine id do (UUIDs of mediated devices are derived from
    that), and the files listed under RV(export). Of kernel parameters only those that concern channel devices go along,
    of a domain of libvirt only its name, size and passed-through devices; values of options of a guest's command line
    that look secret are replaced. What was left out is listed.
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
extends_documentation_fragment:
  - zkvm.vfio_ccw._attributes
  - zkvm.vfio_ccw._attributes.info_module
options: {}
notes:
  - Run it as root (C(become)).
seealso:
  - module: zkvm.vfio_ccw.css_info
"""

EXAMPLES = r"""
---
- name: Take a picture of the host
  zkvm.vfio_ccw.host_export:
  register: taken

- name: Keep it on the controller
  ansible.builtin.copy:
    content: "{{ taken.export | to_json }}"
    dest: "{{ playbook_dir }}/{{ inventory_hostname }}.json"
    mode: "0600"
  delegate_to: localhost
"""

RETURN = r"""
export:
  description: The host, a value that can be written as JSON.
  returned: success
  type: dict
  contains:
    format:
      description: Version of this document's layout.
      type: int
      sample: 1
    host:
      description: The host's name.
      type: str
      sample: lpar1
    taken:
      description: When it was read, in UTC.
      type: str
      sample: "2026-11-25T20:00:00Z"
    machine_id:
      description: Content of C(/etc/machine-id).
      type: str
      sample: 0123456789abcdef0123456789abcdef
    kernel:
      description:
        - Release, the options of its configuration that passthrough needs, loaded modules, whether it has the driver
          vfio_ccw, and the parameters of the next boot that concern channel devices, each with the file it stands in.
      type: dict
      sample:
        release: 6.1.0-29-s390x
        config: {CONFIG_VFIO_CCW: m}
        modules: [dasd_eckd_mod, dasd_mod]
        driver: true
        parameters: [{source: /proc/cmdline, name: cio_ignore, value: "0.0.9000"}]
    qemu:
      description: Version of QEMU, empty when it is not there.
      type: str
      sample: "7.2"
    kvm:
      description: Whether the host has C(/dev/kvm).
      type: bool
    channel_paths:
      description: As M(zkvm.vfio_ccw.css_info) returns them.
      type: list
      elements: dict
      sample: [{chpid: "41", status: online}]
    ignored:
      description: As M(zkvm.vfio_ccw.css_info) returns it.
      type: list
      elements: str
      sample: [0.0.9000]
    subchannels:
      description:
        - As M(zkvm.vfio_ccw.css_info) returns them; C(ccw) has C(uid) and C(read_only) besides, and C(disk) says the
          size in bytes, the number of partitions, and what the host uses which of them for (0 is the whole disk).
      type: list
      elements: dict
      sample:
        - subchannel: 0.0.16cb
          device: 0.0.7e53
          disk:
            size: 73728000
            partitions: 1
            uses: [{partition: 1, kind: mounted, name: /srv/data}]
    guests:
      description:
        - Guests with their passed-through devices. C(argv) is the command line of a running one that this collection's
          script has started.
      type: list
      elements: dict
      sample:
        - name: linux01
          hypervisor: qemu
          running: true
          devices: [{uuid: 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920, devno: fe.0.1234}]
          argv: [qemu-system-s390x, -name, linux01]
    files:
      description: Files with their text and mode.
      type: list
      elements: dict
      sample: [{path: /etc/driverctl.d/css-0.0.16ca, text: vfio_ccw, mode: "0644"}]
    left_out:
      description: What does not go along, and why.
      type: list
      elements: dict
      sample: [{what: /etc/libvirt/qemu/linux02.xml, why: parts of it that may be secret are taken out}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._module import run
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.info._export import export


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    run(module, export)


if __name__ == "__main__":
    main()

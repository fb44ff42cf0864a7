#!/usr/bin/python
# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qemu_guest
version_added: 0.1.0
short_description: Start script of a QEMU guest with passed-through channel devices
description:
  - Writes the script that starts a guest with the mediated devices that M(zkvm.vfio_ccw.passthrough) made, and
    starts or stops the guest.
  - The guest is started by that very script, as its administrator would.
  - Duplicate or impossible device numbers, missing mediated devices and a QEMU that is too old for what is asked are
    found before anything is started.
  - The command line is the one for the QEMU that is there, 2.10 or newer. What differs by version is on the page
    C(docs/qemu.md) of the collection.
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
extends_documentation_fragment:
  - zkvm.vfio_ccw._attributes
  - zkvm.vfio_ccw._attributes.changes
  - zkvm.vfio_ccw._guest
options:
  state:
    description:
      - V(present) has the script, and leaves the guest running or not.
      - V(started) has the script and runs the guest. A guest that runs with an older command line is left alone; see
        RV(restart_required).
      - V(stopped) ends the guest, see O(shutdown).
      - V(absent) ends the guest and removes the script.
    type: str
    choices: [present, started, stopped, absent]
    default: started
  devices:
    description: The mediated devices of the guest.
    type: list
    elements: dict
    default: []
    suboptions:
      uuid:
        description: UUID of the mediated device.
        type: str
        required: true
      devno:
        description: Where the guest sees it, as QEMU's property C(devno), for example V(fe.0.1234).
        type: str
        required: true
      boot:
        description: Whether the guest is started from it (QEMU 4.1 or newer), as O(devices[].bootindex=1).
        type: bool
        default: false
      bootindex:
        description: Place in the order of boot devices. More than one boot device needs QEMU 9.2 or newer.
        type: int
      loadparm:
        description:
          - What the guest's boot loader is told, up to 8 letters, digits, dots and blanks.
          - Before QEMU 9.2 only the first boot device can have one; it becomes the machine's.
        type: str
      force_orb_pfch:
        description:
          - Whether QEMU sets the prefetch flag of channel programs (QEMU 3.0 or newer).
          - By default it does so for a boot device where the host's kernel is older than 5.10 or QEMU older than 5.1,
            which refuse the programs of a booting guest otherwise.
        type: bool
  qemu_version:
    description:
      - Version of O(binary), for example V("7.2"). By default the binary is asked.
      - Quote it, YAML reads 2.10 as a number.
    type: str
  machine:
    description:
      - Machine type. One with a version, for example V(s390-ccw-virtio-2.10), is needed where the guest is to be
        migrated between different QEMUs, see M(zkvm.vfio_ccw.migration_check).
    type: str
    default: s390-ccw-virtio
  needs:
    description:
      - What the QEMU that is there must be able to do besides what the other options ask for. One that is too old is
        refused, with the version that would do.
      - For example V(hot-unplug) for a guest whose devices are to be taken back while it runs. The page
        C(docs/qemu.md) of the collection says what each is.
    type: list
    elements: str
    choices: [explicit-css, force-orb-pfch, boot, path-events, hot-unplug, device-loadparm, boot-fallback]
    default: []
  binary:
    description: The QEMU command, for example V(/usr/libexec/qemu-kvm).
    type: str
    default: qemu-system-s390x
  extra_args:
    description: Further arguments for QEMU (disks, networks, kernel), each word an element of its own.
    type: list
    elements: str
    default: []
  shutdown:
    description:
      - How a guest is ended.
      - V(powerdown) tells the guest to shut its system down, and waits for it. A guest that does not do it in time (see
        O(timeout)) runs on, and the module fails.
      - V(terminate) sends SIGTERM to QEMU, as pulling the guest's plug. What its system has not written yet is lost, on
        its own disks as well.
    type: str
    choices: [powerdown, terminate]
    default: powerdown
  timeout:
    description: Seconds to wait for QEMU to end.
    type: int
    default: 180
seealso:
  - module: zkvm.vfio_ccw.passthrough
  - module: zkvm.vfio_ccw.migration_check
"""

EXAMPLES = r"""
---
- name: Start guest linux01 with a passed-through disk
  zkvm.vfio_ccw.qemu_guest:
    name: linux01
    memory: 2048
    devices:
      - uuid: 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920
        devno: fe.0.1234
    extra_args:
      - -drive
      - file=/var/lib/guests/linux01.qcow2,if=virtio
      - -nic
      - user

- name: Start it from the passed-through disk itself
  zkvm.vfio_ccw.qemu_guest:
    name: linux01
    devices:
      - uuid: 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920
        devno: fe.0.1234
        boot: true
    machine: s390-ccw-virtio-7.2

- name: Stop it and remove its script
  zkvm.vfio_ccw.qemu_guest:
    name: linux01
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - device: ""
      step: start
      description: start guest linux01
      path: /etc/vfio_ccw/guests/linux01.sh
      value: ""
command:
  description: QEMU's command line, a list of words.
  returned: success
  type: list
  elements: str
  sample: [qemu-system-s390x, -name, linux01, -M, s390-ccw-virtio]
running:
  description: Whether the guest runs (in check mode would run).
  returned: success
  type: bool
was_running:
  description: Whether the guest ran before.
  returned: success
  type: bool
restart_required:
  description: Whether the guest runs with another command line than its script has now.
  returned: success
  type: bool
script:
  description: Path of the start script.
  returned: success
  type: str
  sample: /etc/vfio_ccw/guests/linux01.sh
pid_file:
  description: File with QEMU's process id.
  returned: success
  type: str
  sample: /run/vfio_ccw/linux01.pid
monitor:
  description: Unix socket of QEMU's monitor (QMP).
  returned: success
  type: str
  sample: /run/vfio_ccw/linux01.qmp
console:
  description: File that the guest's console is written to.
  returned: success
  type: str
  sample: /var/log/vfio_ccw/linux01.console
name:
  description: Name of the guest.
  returned: success
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import Host
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._module import run
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._guest import (
    GUEST_SPEC,
    Hypervisor,
    Shutdown,
    choose_accel,
    converge_guest,
    hypervisor,
    parse_guest,
)
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._qemu import outdated_options


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **GUEST_SPEC,
            "binary": {"type": "str", "default": "qemu-system-s390x"},
        },
        supports_check_mode=True,
    )
    params = module.params

    def work(host: Host) -> dict[str, Any]:
        accel, warnings = choose_accel(host, params["accel"])
        runs = params["state"] in ("present", "started")
        version = params["qemu_version"] or ""
        there = hypervisor(host, params["binary"], version) if runs or version else Hypervisor()
        guest = parse_guest(params, accel, there)
        shutdown = Shutdown(params["shutdown"], params["timeout"])
        result = converge_guest(host, guest, params["state"], shutdown, module.check_mode)
        if any(action["step"] == "start" for action in result["actions"]):
            result["warnings_"] += warnings
        if runs:
            result["warnings_"] += outdated_options(guest)
        return result

    run(module, work)


if __name__ == "__main__":
    main()

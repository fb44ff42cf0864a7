#!/usr/bin/python
# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: libvirt_guest
version_added: 0.1.0
short_description: libvirt domain with passed-through channel devices
description:
  - Defines a domain of libvirt with the mediated devices that M(zkvm.vfio_ccw.passthrough) made, and starts or stops
    it, as M(zkvm.vfio_ccw.qemu_guest) does without libvirt.
  - A domain that is there already is changed only where an option says something. What libvirt filled in and what its
    administrator added, disks and networks for example, stays. The passed-through channel devices and what is told to
    QEMU past libvirt are exactly those of the options.
  - Devices of a domain that others define are given and taken by M(zkvm.vfio_ccw.libvirt_hostdev).
  - Impossible or duplicate device numbers, missing mediated devices, and a libvirt or QEMU that is too old for what is
    asked are found before anything is started. What differs by version is on the page C(docs/libvirt.md) of the
    collection.
  - It talks to libvirt by C(virsh), which is wherever libvirt is; the Python binding need not be installed.
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
extends_documentation_fragment:
  - zkvm.vfio_ccw._attributes
  - zkvm.vfio_ccw._attributes.changes
  - zkvm.vfio_ccw._guest
  - zkvm.vfio_ccw._libvirt
options:
  state:
    description:
      - V(present) defines the guest, and leaves it running or not.
      - V(started) defines and runs it. A guest that runs with an older definition is left alone; see
        RV(restart_required).
      - V(stopped) ends the guest, see O(shutdown).
      - V(absent) ends the guest and removes its definition.
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
          - Before libvirt 10.10 or QEMU 9.2 only the first boot device can have one; QEMU is told it as the machine's.
        type: str
      force_orb_pfch:
        description:
          - Whether QEMU sets the prefetch flag of channel programs (QEMU 3.0 or newer). libvirt has no element for it,
            so that QEMU is told for all devices of the guest.
          - By default it does so for a boot device where the host's kernel is older than 5.10 or QEMU older than 5.1,
            which refuse the programs of a booting guest otherwise.
        type: bool
  qemu_version:
    description:
      - Version of the domain's QEMU, for example V("7.2"). By default the emulator is asked.
      - Quote it, YAML reads 2.10 as a number.
    type: str
  machine:
    description: Machine type. Without a version in it, a domain keeps the one that it has.
    type: str
    default: s390-ccw-virtio
  needs:
    description: What the QEMU that is there must be able to do besides, see O(zkvm.vfio_ccw.qemu_guest#module:needs).
    type: list
    elements: str
    choices: [explicit-css, force-orb-pfch, boot, path-events, hot-unplug, device-loadparm, boot-fallback]
    default: []
  emulator:
    description: The QEMU command, by default the one that libvirt takes for s390x.
    type: str
  extra_args:
    description:
      - Further arguments for QEMU, each word an element of its own (C(qemu:commandline)). libvirt does not look at
        them.
    type: list
    elements: str
    default: []
  environment:
    description: Environment variables of the QEMU process, beside those that libvirt sets.
    type: dict
    default: {}
  console:
    description:
      - File that libvirt writes a copy of the guest's console to, from the guest's definition on. Empty for none.
      - Default is C(/var/log/libvirt/qemu/NAME.console), where libvirt may write on every distribution.
    type: str
  autostart:
    description: Whether libvirt starts the guest with the host. By default that stays as it is.
    type: bool
  live:
    description:
      - Whether a guest that runs gets devices that it has not yet while it runs (C(virsh attach-device --live)).
      - No device is taken from a running guest that way, that does M(zkvm.vfio_ccw.libvirt_hostdev). One that is to be
        elsewhere, or has a place in the boot order, waits for the guest's next start; see RV(restart_required).
    type: bool
    default: true
  shutdown:
    description:
      - How a guest is ended.
      - V(powerdown) tells the guest to shut its system down (C(virsh shutdown)), and waits for it. A guest that does
        not do it in time (see O(timeout)) runs on, and the module fails.
      - V(terminate) ends QEMU (C(virsh destroy)), as pulling the guest's plug. What its system has not written yet is
        lost, on its own disks as well.
    type: str
    choices: [powerdown, terminate]
    default: powerdown
  timeout:
    description: Seconds to wait for the guest to end.
    type: int
    default: 180
seealso:
  - module: zkvm.vfio_ccw.libvirt_hostdev
  - module: zkvm.vfio_ccw.qemu_guest
  - module: zkvm.vfio_ccw.passthrough
"""

EXAMPLES = r"""
---
- name: Start guest linux01 with a passed-through disk
  zkvm.vfio_ccw.libvirt_guest:
    name: linux01
    memory: 2048
    devices:
      - uuid: 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920
        devno: fe.0.1234
        boot: true

- name: End it and remove its definition
  zkvm.vfio_ccw.libvirt_guest:
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
      step: define
      description: define guest linux01
      path: linux01
      value: ""
xml:
  description:
    - The domain's definition, empty where there is none (any more). In check mode the one that libvirt would be given.
    - Other modules can take it, C(community.libvirt.virt) for example. Passwords of displays are left out.
  returned: success
  type: str
uuid:
  description: The domain's UUID, empty where libvirt has not chosen one yet.
  returned: success
  type: str
running:
  description: Whether the guest runs (in check mode would run).
  returned: success
  type: bool
was_running:
  description: Whether the guest ran before.
  returned: success
  type: bool
restart_required:
  description: Whether the guest runs with another definition than the options ask for.
  returned: success
  type: bool
console:
  description: File that libvirt writes the guest's console to, empty where it does not.
  returned: success
  type: str
  sample: /var/log/libvirt/qemu/linux01.console
name:
  description: Name of the guest.
  returned: success
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import Host
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._module import run
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._guest import (
    converge_libvirt_guest,
    domain_hypervisor,
    parse_libvirt_guest,
)
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.libvirt._virsh import URI, Virsh
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._guest import (
    GUEST_SPEC,
    GuestError,
    Hypervisor,
    Shutdown,
    choose_accel,
)
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._qemu import outdated_options


def whole_path(module: AnsibleModule, command: str | None) -> str:
    """libvirt wants a path. Raises GuestError."""
    if not command or command.startswith("/"):
        return command or ""
    path = module.get_bin_path(command)
    if path is None:
        raise GuestError(f"emulator {command}: there is no such command on the host; give its path, or leave it out")
    return str(path)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **GUEST_SPEC,
            "emulator": {"type": "str"},
            "environment": {"type": "dict", "default": {}},
            "console": {"type": "str"},
            "autostart": {"type": "bool"},
            "live": {"type": "bool", "default": True},
            "uri": {"type": "str", "default": URI},
        },
        supports_check_mode=True,
    )
    params = module.params

    def work(host: Host) -> dict[str, Any]:
        virsh = Virsh(host, params["uri"])
        accel, warnings = choose_accel(host, params["accel"])
        runs = params["state"] in ("present", "started")
        emulator = whole_path(module, params["emulator"])
        version = params["qemu_version"] or ""
        there = domain_hypervisor(host, virsh, emulator, accel, version) if runs else Hypervisor()
        wanted = parse_libvirt_guest({**params, "emulator": emulator}, accel, virsh.version(), there)
        shutdown = Shutdown(params["shutdown"], params["timeout"])
        result = converge_libvirt_guest(host, virsh, wanted, params["state"], shutdown, module.check_mode)
        if any(action["step"] == "start" for action in result["actions"]):
            result["warnings_"] += warnings
        if runs:
            result["warnings_"] += outdated_options(wanted.guest)
        return result

    run(module, work)


if __name__ == "__main__":
    main()

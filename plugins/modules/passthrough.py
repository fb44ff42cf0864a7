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
  - With O(devices[].state=absent) all of that is taken back. What the host had before is restored from a journal. The
    device is online again afterwards if it was before.
  - The whole list is checked before anything is written, and every reason to refuse a device is reported at once.
  - Each write is read back. When one fails, what was done to that device is undone, and (O(on_error)) what was done to
    the others.
  - A run that is killed at any moment leaves a journal from which the next run goes on, in either direction.
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
        description:
          - Device number as the host's C(lscss) prints it, for example V(0.0.7e52).
          - Or a range, V(0.0.8000-0.0.80ff), that stands for every device in it that the host has.
        type: str
      select:
        description:
          - A JMESPath expression over the host's devices, as M(zkvm.vfio_ccw.css_info) lists its C(subchannels),
            instead of O(devices[].device). It results in a list of device numbers, or of those entries.
          - That none matches is an error for V(present); for V(absent) there is nothing to do then.
          - It is evaluated on the controller, which needs the Python package C(jmespath).
        type: str
      state:
        description: V(present) for a guest, V(absent) for the host.
        type: str
        choices: [present, absent]
        default: present
      uuid:
        description:
          - UUID of the mediated device.
          - When it is not given (or empty), the one that the device was passed through with is used, else one that
            follows from the host and the device number (version 5), the same at every run.
          - Not for a range or a selection.
        type: str
      guest:
        description:
          - Name of the guest that the device is for.
          - It is noted on the host; a device that is noted for one guest is refused to another.
        type: str
      devno:
        description:
          - Where the guest is to see the device, as QEMU's property C(devno), for example V(fe.0.1234).
          - For a range it is the place of the range's first number; the others are counted from there, so that each
            keeps its place when others come and go. For a selection the devices are counted in their order; those
            that the guest has already keep their place.
          - When it is not given (or empty), the guest sees the same device number as the host.
        type: str
      persistent:
        description:
          - Whether the device goes to the guest again when the host is restarted. Needs C(driverctl) and C(mdevctl)
            on the host, which do it at boot, also for a device that is passed through already.
          - V(false) leaves what is configured as it is. Giving a device back always ends it.
        type: bool
        default: false
      remove_rules:
        description:
          - Remove udev rules below C(/etc) that set this device alone online at boot, as C(chzdev) writes them. Giving
            the device back restores them.
          - Without it they are refused for a device that is to be O(devices[].persistent).
        type: bool
        default: false
      remove_parameters:
        description:
          - Take the device out of the kernel parameters C(dasd=) and C(rd.dasd=) in C(/etc/zipl.conf) (and its
            C(parmfile)), C(/boot/loader/entries) and C(/etc/kernel/cmdline), and out of C(/etc/dasd.conf). Giving the
            device back restores them.
          - It takes effect when the initial RAM disk is made anew and C(zipl) is run, which a warning says; neither is
            done here.
          - Without it such a parameter is refused for a device that is to be O(devices[].persistent), as are those that
            cannot be changed without side effects; the message says which and what to do.
        type: bool
        default: false
      adopt:
        description:
          - Take over what others set up on the subchannel, by hand, C(driverctl), C(mdevctl) or libvirt. The mediated
            device that is there keeps its UUID if none is given.
          - Without it such a device is refused.
        type: bool
        default: false
      leave_offline:
        description:
          - With O(devices[].state=absent), leave the device offline on the host even if it was online before, since
            another system is to have it next.
          - That it was online stays noted. It is online again when it comes back from the next guest that this host
            passes it to. Rules and parameters that set it online at boot, and were removed, are restored then, too, or
            with O(devices[].state=absent) once somebody has set it online.
        type: bool
        default: false
      force:
        description:
          - Refusals (by their id) that are not to hold for this device.
          - There is no way to overrule those of a disk in use.
        type: list
        elements: str
        choices:
          - base-with-aliases
          - boot-device
          - dump-device
          - hidden-at-boot
          - in-crypttab
          - in-fstab
          - online-at-boot
          - online-no-disk
          - reserved
          - reserved-here
          - shared
          - stale-rule
          - swap-in-fstab
          - unavailable
          - volume-member
        default: []
  on_error:
    description:
      - What becomes of the devices that were finished before one failed.
      - With V(undo) they are as before the call. A disk that was given back and is in use on the host by then stays
        there, and the message says so.
      - With V(keep) they stay finished.
    type: str
    choices: [undo, keep]
    default: undo
  correct_rule:
    description:
      - Write C(mdevctl)'s udev rule to C(/etc/udev/rules.d), with the program that is there, where the package's own
        names one that is not (Debian 12). Without it O(devices[].persistent) is refused there.
      - It stays when devices are given back.
    type: bool
    default: false
  lock_timeout:
    description: Seconds to wait for another run on the same host. The message says whose it is.
    type: int
    default: 600
  details:
    description:
      - How much is returned. V(full) lists each step under RV(actions) and each device under RV(devices), V(devices)
        the devices only. V(summary) none of these, and one action for all steps of a kind.
      - V(auto) is V(full) up to 100 devices and V(summary) for more.
    type: str
    choices: [auto, full, devices, summary]
    default: auto
  stopped_guests:
    description:
      - Guests that an earlier task of the play stops.
      - In check mode that task has not stopped them, so their devices are taken as free. It has no effect otherwise.
    type: list
    elements: str
    default: []
notes:
  - The state before is kept in C(/var/lib/vfio_ccw/journal.json) on the host.
  - A disk that is online and that nobody uses is read, for what is on it may be a member of a volume that is not active
    or a file system of C(/etc/fstab). One that is offline is not; a warning names those.
  - Without O(devices[].persistent) a restart of the host ends it all. Run the task again after one.
  - "What is refused, and why: C(docs/refusals.md) in the collection's repository."
seealso:
  - module: zkvm.vfio_ccw.kernel_support
  - module: zkvm.vfio_ccw.qemu_guest
  - module: zkvm.vfio_ccw.css_info
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

- name: Take all disks of a range, over restarts of the host, at fe.0.1000 and on
  zkvm.vfio_ccw.passthrough:
    devices:
      - device: 0.0.8000-0.0.80ff
        guest: linux01
        devno: fe.0.1000
        persistent: true

- name: Give that range back, and leave what is done where one device fails
  zkvm.vfio_ccw.passthrough:
    devices:
      - device: 0.0.8000-0.0.80ff
        state: absent
    on_error: keep

- name: Take every 3390 that nothing speaks against
  zkvm.vfio_ccw.passthrough:
    devices:
      - select: "[?passable && starts_with(ccw.type, '3390')]"
        guest: linux02

- name: Give back what guest linux02 has
  zkvm.vfio_ccw.passthrough:
    devices:
      - select: "[?guest == 'linux02'].device"
        state: absent
"""

RETURN = r"""
error_id:
  description: Which error it is. C(docs/refusals.md) lists them.
  returned: failure
  type: str
  sample: refused
summary:
  description: What was asked for and what came of it.
  returned: success
  type: dict
  contains:
    devices:
      description: How many devices were asked for, ranges and selections counted out.
      type: int
    to_guests:
      description: Devices that were changed (in check mode would be) for guests, many as ranges.
      type: list
      elements: str
    to_host:
      description: Devices that were changed (in check mode would be) for the host.
      type: list
      elements: str
    unchanged:
      description: How many were as wanted.
      type: int
    steps:
      description: How many steps of each kind.
      type: dict
  sample:
    devices: 257
    to_guests: [0.0.7e52, 0.0.8000-0.0.80ff]
    to_host: []
    unchanged: 0
    steps: {record: 257, offline: 1, unbind-ccw: 257, unbind-subchannel: 257, bind-subchannel: 257, create-mdev: 257}
actions:
  description:
    - What was done, or would be done in check mode. A device's steps are in order.
    - For long lists (see O(details)) one for all steps of a kind, with their C(count); C(device) names all of them, the
      rest is of the first.
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
    count:
      description: How many steps it stands for.
      returned: for long lists
      type: int
  sample:
    - device: 0.0.7e52
      step: bind-subchannel
      description: bind subchannel 0.0.16ca to vfio_ccw
      path: /sys/bus/css/drivers/vfio_ccw/bind
      value: 0.0.16ca
step:
  description: Kind of the step that failed.
  returned: when a step failed
  type: str
  sample: create-mdev
undone:
  description: Steps that were done and undone again, because a later one failed.
  returned: when a step failed
  type: list
  elements: dict
  sample:
    - device: 0.0.7e52
      step: offline
      description: set device 0.0.7e52 offline
      path: /sys/bus/ccw/devices/0.0.7e52/online
      value: "0"
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
  sample:
    - id: mounted
      device: 0.0.7e53
      found: "the disk is in use on the host: mounted at /srv/data"
      next_step: Unmount it, and remove it from /etc/fstab
devices:
  description: The devices with everything that was left to defaults filled in. Empty for long lists (see O(details)).
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
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import Host
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._module import run
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._engine import Options, converge
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._report import report
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._table import FORCIBLE

DEVICE_SPEC = {
    "device": {"type": "str"},
    "select": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "uuid": {"type": "str"},
    "guest": {"type": "str"},
    "devno": {"type": "str"},
    "persistent": {"type": "bool", "default": False},
    "adopt": {"type": "bool", "default": False},
    "remove_rules": {"type": "bool", "default": False},
    "remove_parameters": {"type": "bool", "default": False},
    "leave_offline": {"type": "bool", "default": False},
    "force": {"type": "list", "elements": "str", "choices": list(FORCIBLE), "default": []},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "devices": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": DEVICE_SPEC,
                "mutually_exclusive": [("device", "select")],
                "required_one_of": [("device", "select")],
            },
            "on_error": {"type": "str", "choices": ["undo", "keep"], "default": "undo"},
            "correct_rule": {"type": "bool", "default": False},
            "lock_timeout": {"type": "int", "default": 600},
            "details": {"type": "str", "choices": ["auto", "full", "devices", "summary"], "default": "auto"},
            "stopped_guests": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    params = module.params
    options = Options(
        check_mode=module.check_mode,
        stopped_guests=tuple(params["stopped_guests"]),
        keep=params["on_error"] == "keep",
        lock_timeout=params["lock_timeout"],
        correct_rule=params["correct_rule"],
    )

    def work(host: Host) -> dict[str, Any]:
        return report(converge(host, params["devices"], options), params["details"], module._diff)

    run(module, work)


if __name__ == "__main__":
    main()

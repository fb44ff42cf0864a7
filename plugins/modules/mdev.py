#!/usr/bin/python
# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mdev
version_added: 0.1.0
short_description: Make or remove the mediated device of a subchannel
description:
  - Makes the mediated device on a subchannel that C(vfio_ccw) has, or removes it. It is the part of
    M(zkvm.vfio_ccw.passthrough) that concerns the mediated device, for those who bind subchannels by other means.
  - One that a running guest has open is not removed, and none that was not made here, unless it is named or taken over.
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
extends_documentation_fragment:
  - zkvm.vfio_ccw._attributes
  - zkvm.vfio_ccw._attributes.changes
options:
  device:
    description: Device number behind the subchannel, for example V(0.0.7e52).
    type: str
  subchannel:
    description:
      - Bus id of the subchannel itself, for example V(0.0.16ca). It may name another device after the host was started
        again.
    type: str
  uuid:
    description:
      - UUID of the mediated device. When it is not given, the one that was noted for the device is used, else one that
        follows from the host and the device number (version 5), the same at every run.
    type: str
  state:
    description: Whether it is to be there.
    type: str
    choices: [present, absent]
    default: present
  autostart:
    description:
      - Whether C(mdevctl) makes it again whenever C(vfio_ccw) gets the subchannel, as at a restart of the host. Needs
        C(mdevctl) on the host.
      - V(false) leaves what is configured as it is. Removing it always ends that.
    type: bool
    default: false
  adopt:
    description: Take over what others set up on the subchannel. Without it that is refused.
    type: bool
    default: false
  lock_timeout:
    description: Seconds to wait for another run on the same host. The message says whose it is.
    type: int
    default: 600
seealso:
  - module: zkvm.vfio_ccw.passthrough
  - module: zkvm.vfio_ccw.subchannel
"""

EXAMPLES = r"""
---
- name: Make the mediated device of the disk, now and at each restart of the host
  zkvm.vfio_ccw.mdev:
    device: 0.0.7e52
    uuid: 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920
    autostart: true

- name: Remove it
  zkvm.vfio_ccw.mdev:
    device: 0.0.7e52
    state: absent
"""

RETURN = r"""
error_id:
  description: Which error it is. C(docs/refusals.md) lists them.
  returned: failure
  type: str
  sample: step-failed
actions:
  description: What was done, or would be done in check mode, in order.
  returned: always
  type: list
  elements: dict
  sample:
    - device: 0.0.7e52
      step: create-mdev
      description: create mediated device 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920 on subchannel 0.0.16ca
      path: /sys/bus/css/devices/0.0.16ca/mdev_supported_types/vfio_ccw-io/create
      value: 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920
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
device:
  description: Device number behind the subchannel.
  returned: success
  type: str
  sample: 0.0.7e52
subchannel:
  description: Bus id of the subchannel.
  returned: success
  type: str
  sample: 0.0.16ca
uuid:
  description: UUID of the mediated device.
  returned: success
  type: str
  sample: 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920
sysfsdev:
  description: What QEMU's property C(sysfsdev) names it.
  returned: success
  type: str
  sample: /sys/bus/mdev/devices/6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import Host
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._module import run
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._engine import Options, converge
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._report import outline
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.host._model import MDEV_ONLY


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "device": {"type": "str"},
            "subchannel": {"type": "str"},
            "uuid": {"type": "str"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "autostart": {"type": "bool", "default": False},
            "adopt": {"type": "bool", "default": False},
            "lock_timeout": {"type": "int", "default": 600},
        },
        mutually_exclusive=[("device", "subchannel")],
        required_one_of=[("device", "subchannel")],
        supports_check_mode=True,
    )
    params = module.params
    options = Options(check_mode=module.check_mode, lock_timeout=params["lock_timeout"], module="mdev")
    item = {
        "scope": MDEV_ONLY,
        "device": params["device"],
        "subchannel": params["subchannel"],
        "uuid": params["uuid"],
        "state": params["state"],
        "persistent": params["autostart"],
        "adopt": params["adopt"],
    }

    def work(host: Host) -> dict[str, Any]:
        outcome = converge(host, [item], options)
        found = outcome.devices[0]
        names = ("device", "subchannel", "uuid", "sysfsdev")
        return {**outline(outcome, module._diff), **{name: found[name] for name in names}}

    run(module, work)


if __name__ == "__main__":
    main()

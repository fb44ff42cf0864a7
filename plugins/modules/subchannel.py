#!/usr/bin/python
# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: subchannel
version_added: 0.1.0
short_description: Give subchannels the driver vfio_ccw, or their own one back
description:
  - Binds subchannels to C(vfio_ccw), with the device set offline and unbound first, or to C(io_subchannel) again. It is
    the part of M(zkvm.vfio_ccw.passthrough) that concerns the subchannel, for those who make mediated devices by other
    means, libvirt for one.
  - All checks of M(zkvm.vfio_ccw.passthrough) hold, all subchannels are checked before anything is written, and what
    the host had before is restored.
  - A subchannel with a mediated device is not given back; remove that first (M(zkvm.vfio_ccw.mdev)).
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
extends_documentation_fragment:
  - zkvm.vfio_ccw._attributes
  - zkvm.vfio_ccw._attributes.changes
options:
  devices:
    description: Device numbers, for example V(0.0.7e52), or ranges of them, whose subchannels are meant.
    type: list
    elements: str
  subchannels:
    description:
      - Bus ids of the subchannels themselves, for example V(0.0.16ca). They may name other devices after the host was
        started again.
    type: list
    elements: str
  driver:
    description: The driver that they are to be bound to.
    type: str
    choices: [vfio_ccw, io_subchannel]
    required: true
  persistent:
    description:
      - Whether C(driverctl) binds them to C(vfio_ccw) again when the host is restarted. Needs C(driverctl) on the host.
      - V(false) leaves what is configured as it is. Giving them back always ends it.
    type: bool
    default: false
  adopt:
    description: Take over what others set up on a subchannel. Without it that is refused.
    type: bool
    default: false
  force:
    description: Refusals (by their id) that are not to hold, as O(zkvm.vfio_ccw.passthrough#module:devices[].force).
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
  lock_timeout:
    description: Seconds to wait for another run on the same host. The message says whose it is.
    type: int
    default: 600
notes:
  - The state before is kept in C(/var/lib/vfio_ccw/journal.json) on the host.
  - "What is refused, and why: C(docs/refusals.md) in the collection's repository."
seealso:
  - module: zkvm.vfio_ccw.passthrough
  - module: zkvm.vfio_ccw.mdev
"""

EXAMPLES = r"""
---
- name: Give the disk's subchannel to vfio_ccw
  zkvm.vfio_ccw.subchannel:
    devices: [0.0.7e52]
    driver: vfio_ccw

- name: Give it back
  zkvm.vfio_ccw.subchannel:
    devices: [0.0.7e52]
    driver: io_subchannel

- name: Set a range aside, over restarts of the host
  zkvm.vfio_ccw.subchannel:
    devices: [0.0.8000-0.0.80ff]
    driver: vfio_ccw
    persistent: true

- name: Give the range back
  zkvm.vfio_ccw.subchannel:
    devices: [0.0.8000-0.0.80ff]
    driver: io_subchannel
"""

RETURN = r"""
error_id:
  description: Which error it is. C(docs/refusals.md) lists them.
  returned: failure
  type: str
  sample: refused
actions:
  description: What was done, or would be done in check mode, in order.
  returned: always
  type: list
  elements: dict
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
subchannels:
  description: The subchannels, their devices, and the driver that they have (in check mode would have).
  returned: success
  type: list
  elements: dict
  sample:
    - {subchannel: 0.0.16ca, device: 0.0.7e52, driver: vfio_ccw}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import Host
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._module import run
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._engine import Options, converge
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._report import outline
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.host._model import SUBCHANNEL_ONLY
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.refusals._table import FORCIBLE


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "devices": {"type": "list", "elements": "str"},
            "subchannels": {"type": "list", "elements": "str"},
            "driver": {"type": "str", "choices": ["vfio_ccw", "io_subchannel"], "required": True},
            "persistent": {"type": "bool", "default": False},
            "adopt": {"type": "bool", "default": False},
            "force": {"type": "list", "elements": "str", "choices": list(FORCIBLE), "default": []},
            "lock_timeout": {"type": "int", "default": 600},
        },
        mutually_exclusive=[("devices", "subchannels")],
        required_one_of=[("devices", "subchannels")],
        supports_check_mode=True,
    )
    params = module.params
    options = Options(check_mode=module.check_mode, lock_timeout=params["lock_timeout"], module="subchannel")
    shared = {
        "scope": SUBCHANNEL_ONLY,
        "state": "present" if params["driver"] == "vfio_ccw" else "absent",
        "persistent": params["persistent"],
        "adopt": params["adopt"],
        "force": params["force"],
    }
    named = [{"device": name} for name in params["devices"] or ()]
    named += [{"subchannel": name} for name in params["subchannels"] or ()]

    def work(host: Host) -> dict[str, Any]:
        outcome = converge(host, [{**one, **shared} for one in named], options)
        subchannels = [
            {"subchannel": one["subchannel"], "device": one["device"], "driver": params["driver"]}
            for one in outcome.devices
        ]
        return {**outline(outcome, module._diff), "subchannels": subchannels}

    run(module, work)


if __name__ == "__main__":
    main()

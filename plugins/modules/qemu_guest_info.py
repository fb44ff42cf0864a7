#!/usr/bin/python
# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: qemu_guest_info
version_added: 0.1.0
short_description: How a QEMU guest is
description:
  - Says on a guest's host whether the guest runs, what QEMU calls its state, and what its console showed last.
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
extends_documentation_fragment:
  - zkvm.vfio_ccw._attributes
  - zkvm.vfio_ccw._attributes.info_module
options:
  name:
    description: Name of the guest, as M(zkvm.vfio_ccw.qemu_guest) has it.
    type: str
    required: true
  lines:
    description: How many lines of the console are returned.
    type: int
    default: 30
seealso:
  - module: zkvm.vfio_ccw.qemu_guest
"""

EXAMPLES = r"""
---
- name: See how the guest is
  zkvm.vfio_ccw.qemu_guest_info:
    name: linux01
  register: seen

- name: Show its console
  ansible.builtin.debug:
    var: seen.console_lines
"""

RETURN = r"""
error_id:
  description: Which error it is. C(docs/refusals.md) lists them.
  returned: failure
  type: str
  sample: guest-failed
name:
  description: Name of the guest.
  returned: success
  type: str
running:
  description: Whether its QEMU runs.
  returned: success
  type: bool
status:
  description: QEMU's word for the state of the guest, as V(running) or V(guest-panicked). Empty where it does not say.
  returned: success
  type: str
  sample: running
pid:
  description: Process id of QEMU, 0 when it does not run.
  returned: success
  type: int
command:
  description: QEMU's command line, a list of words. Empty when it does not run.
  returned: success
  type: list
  elements: str
  sample: [qemu-system-s390x, -name, linux01, -M, s390-ccw-virtio]
script:
  description: Path of the start script, empty when there is none.
  returned: success
  type: str
  sample: /etc/vfio_ccw/guests/linux01.sh
console:
  description: File that the guest's console is written to.
  returned: success
  type: str
  sample: /var/log/vfio_ccw/linux01.console
console_lines:
  description: Its last lines, without empty ones.
  returned: success
  type: list
  elements: str
  sample: ["linux01 login:"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._module import run
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._guest import observe_guest


def main() -> None:
    module = AnsibleModule(
        argument_spec={"name": {"type": "str", "required": True}, "lines": {"type": "int", "default": 30}},
        supports_check_mode=True,
    )
    run(module, lambda host: observe_guest(host, module.params["name"], module.params["lines"]))


if __name__ == "__main__":
    main()

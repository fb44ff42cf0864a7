# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run was given on its command line, to hand it on to another one."""

from __future__ import annotations

DOCUMENTATION = r"""
name: extra_vars
short_description: The extra vars of this run
version_added: 0.1.0
author: The zkvm.vfio_ccw maintainers (@zkvm)
description:
  - Returns the variables that C(ansible-playbook) was given with C(--extra-vars), all of them in one dictionary. A
    survey of AWX arrives that way, too. A playbook that starts another run hands them on by it.
options: {}
"""

EXAMPLES = r"""
- name: Run another playbook with the same extra vars
  ansible.builtin.command:
    argv: [ansible-playbook, -e, "{{ lookup('zkvm.vfio_ccw.extra_vars') | to_json }}", other.yml]
"""

RETURN = r"""
_raw:
  description: The extra vars.
  type: list
  elements: dict
  sample: [{passthrough_device: 0.0.7e52}]
"""

import typing as t

from ansible.plugins.lookup import LookupBase
from ansible.utils.vars import load_extra_vars


class LookupModule(LookupBase):
    """A dictionary, whatever the terms."""

    def run(self, terms: list[t.Any], variables: dict[str, t.Any] | None = None, **kwargs: t.Any) -> list[t.Any]:
        return [dict(load_extra_vars(self._loader))]

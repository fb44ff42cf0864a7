# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of a host that are probably misspelt ones of a role."""

from __future__ import annotations

DOCUMENTATION = r"""
name: misspelt
short_description: Variables that are probably misspelt ones of a role
version_added: 0.1.0
author: The zkvm.vfio_ccw maintainers (@zkvm)
description:
  - Returns a sentence for each variable of the host that is nearly one of a role of this collection, C(guest_acel) for
    C(guest_accel), so that the role can fail instead of going on without it. What the roles know is read from their
    argument specs.
  - A variable that would be one of another role of this collection, C(guest_devno) for C(passthrough_devno), is a
    warning only. One that is not near any is left alone.
options:
  _terms:
    description: Names of roles of this collection, without its namespace.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse misspelt variables
  ansible.builtin.fail:
    msg: "{{ query('zkvm.vfio_ccw.misspelt', 'guest') | join(' ') }}"
  when: query('zkvm.vfio_ccw.misspelt', 'guest') | length > 0
"""

RETURN = r"""
_raw:
  description: What is wrong, a sentence for each variable.
  type: list
  elements: str
  sample:
    - >-
      The variable guest_acel is unknown; did you mean guest_accel? Correct the name, or choose another one if it is for
      something else.
"""

import typing as t
from pathlib import Path

from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils._names import doubts, known_variables

ROLES = Path(__file__).resolve().parents[2] / "roles"

display = Display()


class LookupModule(LookupBase):
    """The doubts about the host's variables that concern the roles in the terms."""

    def run(self, terms: list[str], variables: dict[str, t.Any] | None = None, **kwargs: t.Any) -> list[str]:
        found = [doubt for doubt in doubts(variables or {}, known_variables(ROLES)) if doubt.role in terms]
        for doubt in found:
            if not doubt.sure:
                display.warning(str(doubt))
        return [str(doubt) for doubt in found if doubt.sure]

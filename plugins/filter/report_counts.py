# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: report_counts
version_added: 0.1.0
short_description: How many channel devices hosts have, and how much of it wants attention
description:
  - Counts what P(zkvm.vfio_ccw.report_html#filter) shows, for a workflow that goes on by it.
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
options:
  _input:
    description: A mapping of each host's name to what M(zkvm.vfio_ccw.css_info) returned there.
    type: dict
    required: true
seealso:
  - plugin: zkvm.vfio_ccw.report_html
    plugin_type: filter
  - module: zkvm.vfio_ccw.css_info
"""

EXAMPLES = r"""
---
- name: Look at the host
  zkvm.vfio_ccw.css_info:
  register: css

- name: Fail when something is wrong
  ansible.builtin.assert:
    that: counts.errors == 0
  vars:
    counts: "{{ {inventory_hostname: css} | zkvm.vfio_ccw.report_counts }}"
"""

RETURN = r"""
_value:
  description:
    - C(hosts), C(devices) and how many of these are C(passed) to guests; C(errors) and C(warnings), of which one for
      several devices alike counts once; C(not_seen), the names of hosts that could not be looked at.
  type: dict
  sample: {hosts: 2, not_seen: [lpar2], devices: 5, passed: 1, errors: 0, warnings: 1}
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils import _report


def report_counts(hosts: t.Any) -> dict[str, t.Any]:
    try:
        return _report.report_counts(hosts)
    except _report.ReportError as exc:
        raise AnsibleFilterError(f"zkvm.vfio_ccw.report_counts: {exc}") from exc


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., dict[str, t.Any]]]:
        return {"report_counts": report_counts}

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: report_svg
version_added: 0.1.0
short_description: A picture of the channel devices of hosts
description:
  - Draws channel paths, control units, devices, mediated devices and guests of one or more hosts, below each other.
  - Devices that are alike are drawn as one, so that the picture stays readable with ten thousand.
  - It has colours for light and dark, and loads nothing.
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
options:
  _input:
    description: A mapping of each host's name to what M(zkvm.vfio_ccw.css_info) returned there.
    type: dict
    required: true
  title:
    description: Title of the picture.
    type: str
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

- name: Write the picture on the controller
  ansible.builtin.copy:
    dest: /tmp/channels.svg
    content: "{{ {inventory_hostname: css} | zkvm.vfio_ccw.report_svg }}"
    mode: "0600"
  diff: false
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: The picture.
  type: str
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils import _report


def report_svg(hosts: t.Any, title: str = "") -> str:
    try:
        return _report.report_svg(hosts, title)
    except _report.ReportError as exc:
        raise AnsibleFilterError(f"zkvm.vfio_ccw.report_svg: {exc}") from exc


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., str]]:
        return {"report_svg": report_svg}

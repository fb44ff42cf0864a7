# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: report_html
version_added: 0.1.0
short_description: A page about the channel devices of hosts
description:
  - Makes one page of HTML of what is on the channel subsystems of one or more hosts - channel paths, control units,
    devices, mediated devices and guests, with what is wrong and what to do about it.
  - The page is one file and loads nothing. What hosts said cannot become markup in it.
  - The same input makes the same page.
author:
  - The zkvm.vfio_ccw maintainers (@zkvm)
options:
  _input:
    description:
      - A mapping of each host's name to what M(zkvm.vfio_ccw.css_info) returned there.
      - The result of a task that failed, or of a host that could not be reached, is shown as such.
    type: dict
    required: true
  plans:
    description:
      - A mapping of hosts' names to what M(zkvm.vfio_ccw.passthrough) returned there in check mode. With it the page
        says what would be done next.
      - Give that task C(details=full), for each step to be shown with its devices.
    type: dict
  title:
    description: Title of the page.
    type: str
  at:
    description: When the hosts were looked at, as it is to be written. Left out, the page names no time.
    type: str
  docs:
    description: Address below which the docs of the collection are, for what an id means.
    type: str
    default: https://github.com/zkvm/vfio_ccw/blob/main/docs
seealso:
  - plugin: zkvm.vfio_ccw.report_svg
    plugin_type: filter
  - module: zkvm.vfio_ccw.css_info
"""

EXAMPLES = r"""
---
- name: Look at the host
  zkvm.vfio_ccw.css_info:
  register: css

- name: Write the page on the controller
  ansible.builtin.copy:
    dest: /tmp/channels.html
    content: "{{ {inventory_hostname: css} | zkvm.vfio_ccw.report_html(at=now(utc=true, fmt='%Y-%m-%d %H:%M UTC')) }}"
    mode: "0600"
  diff: false
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: The page.
  type: str
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils import _report


def report_html(hosts: t.Any, plans: t.Any = None, title: str = "", at: str = "", docs: str = "") -> str:
    try:
        return _report.report_html(hosts, plans, title, at, docs)
    except _report.ReportError as exc:
        raise AnsibleFilterError(f"zkvm.vfio_ccw.report_html: {exc}") from exc


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., str]]:
        return {"report_html": report_html}

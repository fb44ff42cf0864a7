# SPDX-License-Identifier: GPL-3.0-or-later
"""``module_defaults`` for the group zkvm.vfio_ccw.vfio_ccw reach the modules, also the one with an action plugin."""

from __future__ import annotations

import json

import pytest

PLAY = """\
- hosts: lpar1
  gather_facts: false
  module_defaults:
    group/zkvm.vfio_ccw.vfio_ccw:
      {defaults}
  tasks:
    - zkvm.vfio_ccw.{module}:
      check_mode: true
      register: done
    - ansible.builtin.copy:
        content: "{{{{ done | to_json }}}}"
        dest: {result}
      delegate_to: localhost
      vars:
        ansible_connection: local
"""


@pytest.mark.lab
@pytest.mark.parametrize(
    ("module", "defaults", "seen"),
    [
        ("css_info", {"devices": ["0.0.7e52"]}, lambda done: [one["device"] for one in done["subchannels"]]),
        ("passthrough", {"devices": [{"device": "0.0.7e52"}], "details": "devices"},
         lambda done: [one["device"] for one in done["devices"]]),
    ],
    ids=["css_info", "passthrough"],
)  # fmt: skip
def test_they_reach_the_modules(controller, lab, module, defaults, seen):
    play, result = controller.home / "defaults.yml", controller.home / "defaults.json"
    play.write_text(PLAY.format(defaults=json.dumps(defaults), module=module, result=result), encoding="utf-8")
    done = controller.playbook("-i", controller.inventory(lab), str(play))
    assert done.returncode == 0, done.stdout
    assert seen(json.loads(result.read_text(encoding="utf-8"))) == ["0.0.7e52"]

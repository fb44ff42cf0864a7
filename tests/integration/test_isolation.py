# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a play does in a node stays in the lab's directory, also when root started it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

OUTSIDE = ("/etc", "/var/lib", "/var/spool", "/usr/local", "/lib/modules", "/boot", "/srv", "/opt", "/mnt")
MARK = "written-by-a-play"

PLAY = f"""\
- hosts: lpar1
  gather_facts: true
  tasks:
    - ansible.builtin.copy: {{dest: "{{{{ item }}}}/{MARK}", content: {MARK}}}
      loop: [/etc, /etc/modules-load.d, /var/lib, /root, /srv, /mnt, /boot, "/lib/modules/{{{{ release.stdout }}}}"]
      vars: {{release: {{stdout: 6.1.0-29-s390x}}}}
    - ansible.builtin.lineinfile: {{path: /etc/passwd, line: "{MARK}:x:4711:4711::/root:/bin/sh"}}
    - ansible.builtin.hostname: {{name: {MARK}, use: generic}}
      ignore_errors: true
    - ansible.builtin.command: {{argv: [modprobe, vfio_ccw]}}
    - ansible.builtin.command: {{argv: [rm, -rf, /var/log, /etc/hosts]}}
    - ansible.builtin.copy: {{dest: /usr/{MARK}, content: {MARK}}}
      register: read_only
      failed_when: read_only is not failed
    - ansible.builtin.raw: reboot -f
      ignore_unreachable: true
      failed_when: false
    - ansible.builtin.meta: reset_connection
    - ansible.builtin.wait_for_connection: {{timeout: 30}}
    - ansible.builtin.slurp: {{src: /etc/{MARK}}}
"""


def tree(root: str) -> Iterator[tuple[str, int, int, int]]:
    """Each file below a directory: path, size, time of change, owner."""
    for parent, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = os.path.join(parent, name)
            try:
                found = os.lstat(path)
            except OSError:
                continue
            yield path, found.st_size, found.st_mtime_ns, found.st_uid


def outside() -> dict[str, object]:
    loaded = sorted(os.listdir("/sys/module"))
    return {"modules": loaded, "hostname": os.uname().nodename, **{root: sorted(tree(root)) for root in OUTSIDE}}


def check(who, lab: str) -> None:
    play = who.home / "isolation.yml"
    play.write_text(PLAY, encoding="utf-8")
    before = outside()
    done = who.playbook("-i", who.inventory(lab), str(play))
    assert done.returncode == 0, done.stdout
    after = outside()
    for what, state in before.items():
        assert after[what] == state
    found = [path for path, *_rest in tree(str(who.home / "labs" / lab)) if path.endswith(MARK)]
    assert any(path.endswith(f"/etc/{MARK}") for path in found)


@pytest.mark.lab
def test_a_play_leaves_nothing_outside(controller, fresh_lab):
    check(controller, fresh_lab)


@pytest.mark.lab
def test_a_play_of_an_ordinary_user_leaves_nothing_outside(ordinary_user, lab_of_ordinary_user):
    check(ordinary_user, lab_of_ordinary_user)

# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook report: one page of all hosts on the controller, also of one that cannot be reached."""

from __future__ import annotations

import pytest

# passthrough_uuid is for passthrough_device, which unclear does not say: the role refuses it
HOSTS = """\
kvm_hosts:
  hosts:
    lpar1:
      passthrough_devices:
        - {{device: 0.0.7e52, guest: linux01}}
        - {{device: 0.0.7e54-0.0.7e55, guest: linux01, persistent: true}}
    unclear:
      ansible_ccwemu_node: lpar1
      ansible_connection: zkvm.vfio_ccw.ccwemu
      ansible_ccwemu_lab: {lab}
      ansible_ccwemu_home: {home}
      passthrough_uuid: 6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920
    away:
      ansible_connection: ssh
      ansible_host: 127.0.0.1
      ansible_port: 9
"""


@pytest.fixture(name="report")
def _report(controller, lab, tmp_path):
    (tmp_path / "hosts.yml").write_text(HOSTS.format(lab=lab, home=controller.home / "labs"), encoding="utf-8")
    inventories = ("-i", controller.inventory(lab), "-i", str(tmp_path / "hosts.yml"))
    files = ("-e", f"report_dest={tmp_path}/page.html", "-e", f"report_picture={tmp_path}/picture.svg")

    def report(*options: str):
        done = controller.playbook(*inventories, *files, *options, "zkvm.vfio_ccw.report")
        return done, tmp_path / "page.html", tmp_path / "picture.svg"

    return report


@pytest.mark.lab
def test_the_page_has_the_hosts_and_the_plan(report):
    done, page, picture = report("-e", "report_at=today")
    assert done.returncode != 0 and "not all hosts could be looked at: away" in done.stdout
    text = page.read_text(encoding="utf-8")
    assert "As of today" in text and "mounted at /srv/data" in text
    assert "It cannot be reached" in text and "Connection refused" in text
    assert "set device 0.0.7e52 offline" in text  # what the passthrough would do
    assert "passthrough_devno are for passthrough_device, which is not given" in text
    assert "used by the host: mounted" in picture.read_text(encoding="utf-8")
    assert page.stat().st_mode & 0o777 == 0o600


@pytest.mark.lab
def test_a_check_writes_nothing_and_shows_no_diff_of_a_page(report):
    done, page, picture = report("--check", "--diff", "--limit", "lpar1")
    assert done.returncode == 0, done.stdout
    assert "The report of 1 host: " in done.stdout and "<html" not in done.stdout
    assert not page.exists() and not picture.exists()

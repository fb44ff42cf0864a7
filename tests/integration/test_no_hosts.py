# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that no host takes part in fails and says so. Plays over no host are skipped: it would look like a success."""

from __future__ import annotations

from pathlib import Path

import pytest

PLAYBOOKS = sorted(path.stem for path in (Path(__file__).resolve().parents[2] / "playbooks").glob("*.yml"))


def said(controller, tmp_path, inventory: str, playbook: str, *words: str) -> str:
    (tmp_path / "hosts.yml").write_text(inventory, encoding="utf-8")
    done = controller.playbook("-i", str(tmp_path / "hosts.yml"), *words, f"zkvm.vfio_ccw.{playbook}")
    assert done.returncode == 2, done.stdout
    assert done.stdout.count("PLAY [") == 1, done.stdout  # none follows
    return " ".join(done.stdout.split())


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_an_empty_group(controller, tmp_path, playbook):
    text = said(controller, tmp_path, "kvm_hosts:\n", playbook)
    assert f"Found no host for {'all' if playbook == 'move' else 'kvm_hosts'}" in text
    assert f"The groups of the inventory ({tmp_path}/hosts.yml) are kvm_hosts" in text
    assert "Expected the KVM hosts in the group kvm_hosts" in text and "Nothing was changed" in text


def test_no_such_group(controller, tmp_path):
    assert "are others" in said(controller, tmp_path, "others: {hosts: {lpar1: }}\n", "release")


def test_a_limit_that_leaves_none_of_the_hosts(controller, tmp_path):
    text = said(controller, tmp_path, "kvm_hosts: {hosts: {a: , b: }}\n", "release", "--limit", "a", "-e", "target=b")
    assert "Found no host for b within --limit a" in text and "localhost" not in text


def test_a_limit_without_localhost(controller, tmp_path):
    text = said(controller, tmp_path, "kvm_hosts: {hosts: {a: }}\n", "move", "--limit", "a")
    assert "runs on localhost: --limit has to name it as well" in text

# SPDX-License-Identifier: GPL-3.0-or-later
"""The tarball that users install: what is in it, and what is not."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
LARGEST = 20 * 1024 * 1024  # what a Galaxy server takes
FOLDERS = "LICENSES changelogs docs emulator examples extensions meta playbooks plugins roles tests"
PAGES = "CODE_OF_CONDUCT.md CONTRIBUTING.md LICENSE MAINTAINERS.md README.md RELEASING.md REUSE.toml SECURITY.md"
ALL_OF = ("plugins", "roles", "playbooks", "meta", "examples", "emulator/core", "emulator/mirror", "emulator/src")
NOTHING_OF = ("extensions/molecule", "emulator/tests", "tests")  # what is needed to work on the project, not to use it
MADE_BY_THE_BUILD = {"MANIFEST.json", "FILES.json"}
MADE_BY_A_RELEASE = {"CHANGELOG.rst"}


@pytest.fixture(scope="module", name="content")
def _content(tarball) -> set[str]:
    with tarfile.open(tarball) as archive:
        return {member.name for member in archive if member.isfile()}


def test_it_has_what_users_run_and_nothing_else(tarball, content):
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    known = set(listed.stdout.splitlines())
    assert content - known - MADE_BY_THE_BUILD == set(), "not in the repository"
    top = {path.split("/")[0] for path in content} - MADE_BY_THE_BUILD - MADE_BY_A_RELEASE
    assert top == {*FOLDERS.split(), *PAGES.split()}
    for path in known:
        assert path in content or not path.startswith(tuple(f"{folder}/" for folder in ALL_OF))
    assert [path for path in content if path.startswith(NOTHING_OF)] == ["tests/config.yml"]
    assert tarball.stat().st_size < LARGEST


def test_the_installed_collection_is_the_tarball(installed, content):
    root = installed / "ansible_collections" / "zkvm" / "vfio_ccw"
    assert {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} == content

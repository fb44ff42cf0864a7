# SPDX-License-Identifier: GPL-2.0-or-later
"""Labs for programs in Python and for pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ccwemu
from ccwemu.client import CcwemuError, Lab

DEFINITION = {
    "lab": "client",
    "hosts": {"lpar1": {"devices": [{"dasd": "0.0.7e52", "chpids": ["41"], "cylinders": 3, "online": True}]}},
    "guests": {"linux01": {"host": "lpar1"}},
}
SOURCES = str(Path(ccwemu.__file__).parents[1])

TESTS = """\
import pytest


@pytest.fixture(scope="module")
def lab(ccwemu_lab):
    return ccwemu_lab({definition})


def test_the_disk_is_there(lab):
    assert "0.0.7e52" in lab.run("lpar1", ["lscss"]).stdout


def test_two_at_once(ccwemu_lab, lab, pytestconfig):
    with ccwemu_lab("seed") as other:
        assert other.shell("lpar1", "cat /srv/data/*").returncode == 0
    assert lab.status()["lpar1"]["state"] == "running"
    print("PID", lab.status()["lpar1"]["pid"])
"""


@pytest.fixture(scope="module", name="lab")
def _lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    os.environ["PYTHONPATH"] = SOURCES
    with Lab(DEFINITION, tmp_path_factory.mktemp("client")) as lab:
        yield lab


def test_run(lab: Lab) -> None:
    assert lab.run("lpar1", ["cat"], input="a b").stdout == "a b"
    assert lab.shell("lpar1", "echo $0; exit 3", check=False).returncode == 3
    with pytest.raises(CcwemuError, match="exec --lab client lpar1 -- false: exit status 1") as caught:
        lab.run("lpar1", ["false"])
    assert caught.value.status == 1
    with pytest.raises(subprocess.TimeoutExpired):
        lab.run("lpar1", ["sleep", "60"], timeout=0.5)


def test_status_and_wait(lab: Lab) -> None:
    found = lab.status()
    assert (found["lpar1"]["state"], found["linux01"]["state"]) == ("running", "down")
    lab.wait("lpar1", timeout=5)
    with pytest.raises(CcwemuError, match="node linux01 of lab client: is not running after 0.2 s"):
        lab.wait("linux01", timeout=0.2)
    with pytest.raises(CcwemuError, match="lab client has no such node"):
        lab.wait("nobody")


def test_a_fault_and_a_reboot(lab: Lab) -> None:
    lab.fault("lpar1", "0.0.7e52", "unit-check", sense="equipment-check", count=11)
    assert lab.shell("lpar1", "dd if=/dev/dasda of=/dev/null bs=4096 count=1", check=False).returncode == 1
    lab.fault("lpar1", "0.0.7e52", "clear")
    assert "seed 5" in lab.reboot("lpar1", seed=5)
    lab.shell("lpar1", "dd if=/dev/dasda of=/dev/null bs=4096 count=1")


def test_a_wrong_definition(tmp_path: Path) -> None:
    with pytest.raises(CcwemuError, match="lab.yml:2: hosts: found no host"):
        Lab({"lab": "x", "hosts": {}}, tmp_path)


def test_the_fixture(tmp_path: Path) -> None:
    """pytest itself, in a directory of somebody who has installed ccwemu; the labs are gone afterwards."""
    (tmp_path / "test_it.py").write_text(TESTS.format(definition=DEFINITION))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-s",
            "-p",
            "ccwemu.pytest_plugin",
            "--basetemp",
            str(tmp_path / "base"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": SOURCES, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    pid = done.stdout.split("PID ")[1].split()[0]
    assert not Path(f"/proc/{pid}").exists()
    assert not list(tmp_path.rglob("state.json"))

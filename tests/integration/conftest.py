# SPDX-License-Identifier: GPL-3.0-or-later
"""Labs to run playbooks against."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from libvirt_embedded import Embedded

PROJECT = Path(__file__).resolve().parents[2]
NOBODY = 65534

sys.path.insert(0, str(PROJECT / "build" / "collections"))

INVENTORY = """\
plugin: zkvm.vfio_ccw.ccwemu
lab: {lab}
home: {home}
"""


@dataclass
class Controller:
    """Somebody who runs ccwemu and ansible-playbook: root, or an ordinary user (then with copies that he may read)."""

    home: Path
    python: str = sys.executable
    prefix: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *argv: str, **kwargs) -> subprocess.CompletedProcess[str]:
        """Run ``python -m argv``, output captured, standard error joined."""
        return subprocess.run(
            [*self.prefix, self.python, "-m", *argv],
            env={**os.environ, **self.environment},
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
            **kwargs,
        )

    def ccwemu(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return self.run("ccwemu", *argv)

    def playbook(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return self.run("ansible", "playbook", *argv)

    def inventory(self, lab: str) -> str:
        path = self.home / "inventory" / f"{lab}.ccwemu.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(INVENTORY.format(lab=lab, home=self.home / "labs"), encoding="utf-8")
        return str(path)


def _environment(home: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "CCWEMU_HOME": str(home / "labs"),
        "ANSIBLE_HOME": str(home / "ansible"),
        "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "build" / "collections"),
        "ANSIBLE_INVENTORY_ENABLED": "zkvm.vfio_ccw.ccwemu,yaml",
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "1",
        "ANSIBLE_REMOTE_TMP": f"/tmp/ansible-{home.name}",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
    }


@pytest.fixture(scope="session")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Controller:
    home = tmp_path_factory.mktemp("controller")
    return Controller(home, environment=_environment(home))


@pytest.fixture(scope="session")
def ordinary_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """An ordinary user: this one, or nobody when the tests run as root, with copies of what nobody may not reach."""
    if os.getuid() != 0:
        home = tmp_path_factory.mktemp("controller")
        yield Controller(home, environment=_environment(home))
        return
    home = Path(subprocess.check_output(["mktemp", "-d", "/tmp/ccwemu-nobody.XXXXXX"], text=True).strip())
    try:
        site = home / "site-packages"
        shutil.copytree(sysconfig.get_path("purelib"), site, ignore=shutil.ignore_patterns("pip*", "mypy*", "ruff*"))
        collection = home / "collections" / "ansible_collections" / "zkvm" / "vfio_ccw"
        for part in ("plugins", "roles", "playbooks", "meta"):
            shutil.copytree(PROJECT / part, collection / part)
        shutil.copy(PROJECT / "galaxy.yml", collection)
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(home)], check=True)
        yield Controller(
            home,
            python="/usr/bin/python3",
            prefix=("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
            environment={
                **_environment(home),
                "PYTHONPATH": str(site),
                "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
                "ANSIBLE_COLLECTIONS_PATH": str(home / "collections"),
            },
        )
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _lab(who: Controller, name: str) -> Iterator[str]:
    up = who.ccwemu("up", "--name", name, "seed")
    assert up.returncode == 0, up.stdout
    yield name
    down = who.ccwemu("down", name)
    assert down.returncode == 0, down.stdout


@pytest.fixture(scope="session")
def lab(controller: Controller) -> Iterator[str]:
    """The seed lab, shared by the tests that leave it as they found it."""
    yield from _lab(controller, "shared")


@pytest.fixture
def fresh_lab(controller: Controller) -> Iterator[str]:
    """A seed lab of its own for a test that changes it."""
    yield from _lab(controller, "fresh")


@pytest.fixture(scope="session")
def lab_of_ordinary_user(ordinary_user: Controller) -> Iterator[str]:
    yield from _lab(ordinary_user, "ordinary")


@pytest.fixture(scope="module")
def module_lab(controller: Controller) -> Iterator[str]:
    """A seed lab of its own for the tests of a file."""
    yield from _lab(controller, "module")


@pytest.fixture(scope="module")
def libvirt() -> Iterator[Embedded]:
    """Debian's libvirt without a daemon."""
    from libvirt_embedded import embedded, missing  # it needs the collection's path from above

    if missing():
        pytest.skip(f"not installed: {missing()} (.ci/system-packages libvirt)")
    with embedded() as made:
        yield made


@pytest.fixture(scope="session")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection as it would be released."""
    folder = tmp_path_factory.mktemp("tarball")
    subprocess.run(["ansible-galaxy", "collection", "build", "--output-path", str(folder)], cwd=PROJECT, check=True)
    return next(folder.glob("zkvm-vfio_ccw-*.tar.gz"))


@pytest.fixture(scope="session")
def installed(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A path to which the tarball is installed, and nothing else."""
    folder = tmp_path_factory.mktemp("collections")
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(folder),
    }  # not what is elsewhere
    install = ["ansible-galaxy", "collection", "install", "-p", str(folder), str(tarball)]
    subprocess.run(install, env=environment, check=True)
    return folder

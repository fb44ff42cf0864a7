# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may know whom (docs/architecture.md): no import, and no word, against the arrows."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
EMULATOR = PROJECT / "emulator" / "src" / "ccwemu"

# a part of the emulator and what it may not import
FORBIDDEN = [
    (
        "machine",
        [
            "userspace",
            "faces",
            "guest",
            "lab",
            "namespace",
            "tools",
            "cli",
            "hostio",
            "disk",
            "channel",
            "_core",
            "_mirror",
        ],
    ),
    ("faces", ["guest", "lab", "namespace", "tools", "cli", "hostio", "disk", "channel", "_core"]),
    (
        "namespace",
        ["userspace", "guest", "lab", "faces", "machine", "cli", "hostio", "disk", "channel", "_core", "_mirror"],
    ),
    (
        "userspace",
        ["faces", "guest", "lab", "namespace", "tools", "cli", "hostio", "disk", "channel", "_core", "_mirror"],
    ),
    (
        "faults",
        ["machine", "faces", "guest", "lab", "namespace", "tools", "userspace", "guestimage", "cli", "hostio", "disk"],
    ),
    ("imports", ["userspace", "faces", "hostio", "disk", "channel", "_core", "_mirror", "cli"]),
    ("guest", ["lab", "cli"]),
    ("tools", ["lab", "cli"]),
    (
        "guestimage",
        ["machine", "faces", "guest", "lab", "namespace", "tools", "cli", "hostio", "disk", "channel", "_core"],
    ),
]

UTILS = PROJECT / "plugins" / "module_utils"

# a package of the collection's module_utils and those that it may import; "" is what lies beside the packages
SHARED = {"_busid", "_helper", "_host", "_releases", "_sysfs"}
ALLOWED = {
    "host": [],
    "refusals": ["host", "qemu", "libvirt"],
    "engine": ["host", "refusals"],
    "disk": ["host"],
    "qemu": ["engine", "refusals"],
    "libvirt": ["host", "refusals", "engine", "qemu"],
    "info": ["host", "refusals", "engine", "disk", "qemu", "libvirt"],
}
# the table of refusals knows hypervisors by what they can do, not how they are driven
PURE = {"qemu": {"_versions"}, "libvirt": {"_versions", "_domain"}}


def imports(path: Path) -> set[str]:
    """The modules that a file imports, in full."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def siblings(path: Path) -> set[tuple[str, str]]:
    """(package, module) of each part of module_utils that a file of it imports relatively; package "" for none."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
        files = [base] if base.with_suffix(".py").exists() else [base / alias.name for alias in node.names]
        for file in files:
            package, _slash, module = file.relative_to(UTILS).as_posix().rpartition("/")
            found.add((package, module))
    return found


def test_every_package_of_the_collection_has_its_arrows():
    assert {path.parent.name for path in UTILS.glob("*/*.py")} == set(ALLOWED)


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_what_it_may(package):
    for path in (UTILS / package).glob("*.py"):
        for other, module in siblings(path):
            where = f"{path.relative_to(PROJECT)} imports {other}/{module}"
            assert other in {package, "", *ALLOWED[package]}, where
            assert other or module in SHARED, where
            assert package != "refusals" or module in PURE.get(other, {module}), where


def test_what_all_share_knows_no_package():
    for name in SHARED:
        assert {other for other, _module in siblings(UTILS / f"{name}.py")} <= {""}, name


@pytest.mark.skipif(not EMULATOR.exists(), reason="the emulator is not part of this tree (ansible-test)")
@pytest.mark.parametrize(("part", "others"), FORBIDDEN, ids=[part for part, _others in FORBIDDEN])
def test_no_arrow_runs_back_up(part, others):
    for path in (EMULATOR / part).rglob("*.py"):
        for name in imports(path):
            for other in others:
                assert not f"{name}.".startswith(f"ccwemu.{other}."), f"{path.relative_to(PROJECT)} imports {name}"


@pytest.mark.skipif(not EMULATOR.exists(), reason="the emulator is not part of this tree (ansible-test)")
def test_the_emulator_knows_nothing_of_ansible():
    for path in EMULATOR.rglob("*.py"):
        assert not [name for name in imports(path) if name.startswith("ansible")], path


# the change is tried on emulated hosts before it is done to the real ones: that has to name the emulator
MEETING = PROJECT / "playbooks" / "rehearse.yml"


@pytest.mark.parametrize("part", ["plugins/modules", "plugins/module_utils", "roles", "playbooks"])
def test_the_collection_cannot_tell_the_emulator_from_a_real_host(part):
    for path in (PROJECT / part).rglob("*"):
        if path.is_file() and path.suffix in (".py", ".yml", ".j2") and path != MEETING:
            assert "ccwemu" not in path.read_text(encoding="utf-8").lower(), path

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module, role and playbook has (docs/checklist.md): where one was forgotten, this says which."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
MODULES = sorted((PROJECT / "plugins" / "modules").glob("*.py"))
ROLES = sorted(path for path in (PROJECT / "roles").iterdir() if (path / "tasks").is_dir())
PLAYBOOKS = sorted((PROJECT / "playbooks").glob("*.yml"))
ATTRIBUTES = {"check_mode", "diff_mode", "idempotent", "platform", "action_group"}
# an option of a task, and no module
KEYWORDS = {
    "name", "when", "register", "loop", "loop_control", "vars", "become", "check_mode", "diff", "delegate_to",
    "failed_when", "changed_when", "until", "retries", "delay", "tags", "notify", "no_log", "run_once", "environment",
}  # fmt: skip


def each(paths: list[Path]) -> Any:
    return pytest.mark.parametrize("path", paths, ids=[path.stem for path in paths])


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def text_of(path: Path, name: str) -> str:
    """The text that a plugin assigns to a name. Raises AssertionError where it does not."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return ast.literal_eval(node.value)
    raise AssertionError(f"{path.name} has no {name}")


def attributes(documentation: dict[str, Any]) -> dict[str, Any]:
    """A module's attributes with those of its fragments."""
    found: dict[str, dict[str, Any]] = {}
    for fragment in documentation["extends_documentation_fragment"]:
        name, _dot, part = fragment.rpartition("zkvm.vfio_ccw.")[2].partition(".")
        source = (PROJECT / "plugins" / "doc_fragments" / f"{name}.py").read_text(encoding="utf-8")
        body = next(node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)).body
        texts = {node.targets[0].id: ast.literal_eval(node.value) for node in body if isinstance(node, ast.Assign)}
        for key, value in yaml.safe_load(texts[(part or "documentation").upper()]).get("attributes", {}).items():
            found.setdefault(key, {}).update(value)
    for key, value in documentation.get("attributes", {}).items():
        found.setdefault(key, {}).update(value)
    return found


@each(MODULES)
def test_a_module_is_documented(path):
    documentation = yaml.safe_load(text_of(path, "DOCUMENTATION"))
    assert documentation["module"] == path.stem
    known = attributes(documentation)
    assert set(known) >= ATTRIBUTES
    assert all("support" in attribute and "description" in attribute for attribute in known.values()), known
    assert yaml.safe_load(text_of(path, "RETURN"))
    tasks = yaml.safe_load(text_of(path, "EXAMPLES"))
    used = {key for task in tasks for key in task if key not in KEYWORDS}
    assert f"zkvm.vfio_ccw.{path.stem}" in used
    assert all(name.count(".") == 2 for name in used), f"not by their full names: {used}"


@each(MODULES)
def test_a_module_knows_check_mode(path):
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    made = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "AnsibleModule"]
    assert made, "no AnsibleModule"
    for call in made:
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        assert isinstance(given.get("supports_check_mode"), ast.Constant) and given["supports_check_mode"].value is True


def test_the_action_group_has_all_modules_and_no_others():
    group = loaded(PROJECT / "meta" / "runtime.yml")["action_groups"]["vfio_ccw"]
    assert sorted(group) == [path.stem for path in MODULES]


def test_what_is_private_is_named_so():
    for folder in ("module_utils", "plugin_utils", "doc_fragments"):
        for path in (PROJECT / "plugins" / folder).rglob("*.py"):
            assert path.name.startswith("_"), path


@each(ROLES)
def test_a_roles_variables_are_documented_and_named_after_it(path):
    options = loaded(path / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    defaults = loaded(path / "defaults" / "main.yml") if (path / "defaults" / "main.yml").exists() else {}
    private = loaded(path / "vars" / "main.yml") if (path / "vars" / "main.yml").exists() else {}
    assert set(defaults or {}) <= set(options), "in defaults/main.yml and not in meta/argument_specs.yml"
    assert all(name.startswith(f"{path.name}_") for name in options)
    assert all(name.startswith(f"__{path.name}_") for name in private or {})
    readme = (path / "README.md").read_text(encoding="utf-8")
    assert not [name for name in options if f"`{name}`" not in readme], "not in README.md"


@each(PLAYBOOKS)
def test_a_playbook_takes_other_hosts_and_needs_no_facts(path):
    for play in loaded(path):
        if "ansible.builtin.import_playbook" in play:
            continue
        assert play["hosts"] == "localhost" or "default(" in play["hosts"], play["name"]
        assert play["gather_facts"] is False


def test_the_readme_is_whole_where_only_it_is_shown():
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((?!https://)[^)]*\)", text) == [], "addresses that are not absolute"


def test_the_readme_has_each_playbook_with_its_variables():
    table = re.findall(
        r"^\| `(\w+)` \|([^|]*)\|([^|]*)\|$", (PROJECT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(name for name, _what, _variables in table) == [path.stem for path in PLAYBOOKS]
    options = {
        name
        for role in ROLES
        for name in loaded(role / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    }
    for playbook, _what, variables in table:
        text = (PROJECT / "playbooks" / f"{playbook}.yml").read_text(encoding="utf-8")
        for name in re.findall(r"`([a-z_]+)`", variables):
            assert name in options or re.search(rf"\b{name}\b", text), f"{playbook} has no variable {name}"


@pytest.mark.skipif(not (PROJECT / "emulator").exists(), reason="the emulator is not part of this tree (ansible-test)")
def test_there_is_one_version():
    version = loaded(PROJECT / "galaxy.yml")["version"]
    assert f"version: '{version}'" in (PROJECT / "emulator" / "meson.build").read_text(encoding="utf-8")
    assert f'release = "{version}"' in (PROJECT / "docs" / "conf.py").read_text(encoding="utf-8")

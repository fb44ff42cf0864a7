# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each identifier that the modules for disks return is on the page on refusals, and no other is."""

from __future__ import annotations

import ast
from pathlib import Path

from ansible_collections.zkvm.vfio_ccw.plugins.module_utils import _errors

DISK = Path(_errors.__file__).parent / "disk"


def constants(node: ast.AST) -> set[str]:
    """The text that a call or a tuple begins with."""
    first = node.args[:1] if isinstance(node, ast.Call) else node.elts[:1]
    return {one.value for one in first if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def test_the_table_has_what_the_modules_return():
    raised: set[str] = set()
    problems: set[str] = set()
    for path in DISK.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "CcwError":
                raised |= constants(node)
            elif isinstance(node, ast.Tuple) and len(node.elts) == 2:
                problems |= constants(node)
    assert raised - set(_errors.DISK_ERRORS) == set()
    assert set(_errors.DISK_ERRORS) - raised - problems == set()

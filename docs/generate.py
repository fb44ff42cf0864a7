# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the pages that are made from tables in the code: ``make docs``. With ``--check`` say which is out of date."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "build" / "collections"))

from ansible_collections.zkvm.vfio_ccw.plugins.module_utils import _refusals as table  # noqa: E402

HEAD = """\
<!-- Made by docs/generate.py from plugins/module_utils/_refusals.py. Do not edit. -->
# What is refused

The kernel refuses almost nothing: it unbinds a mounted disk. So `zkvm.vfio_ccw.passthrough` looks first. The whole list
of devices is checked before anything is written, and every reason found is in one message: device, what was found,
the id in brackets, what to do next.

A refusal that can be overruled is overruled by naming its id in `force` of that one device; there is no blanket.

| id | when | guards | `force` |
|---|---|---|---|
"""
LIST_HEAD = """
## What is wrong with the list itself

| id | what to do |
|---|---|
"""


def refusals() -> str:
    """The page on refusals."""
    rows = [
        f"| `{row.id}` | {row.when} | {' and '.join(_guards(row))} | {'yes' if row.forcible else 'no'} |"
        for row in table.ROWS
    ]
    own = [f"| `{name}` | {text} |" for name, text in table.LIST_REFUSALS.items()]
    return HEAD + "\n".join(rows) + "\n" + LIST_HEAD + "\n".join(own) + "\n"


def _guards(row: table.Row) -> list[str]:
    return [name for name, guards in (("present", row.present), ("absent", row.absent)) if guards]


def main(argv: list[str]) -> int:
    pages = {HERE / "refusals.md": refusals()}
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if "--check" in argv:
            print(f"docs/{path.name} is out of date; run: make docs", file=sys.stderr)
        else:
            path.write_text(pages[path], encoding="utf-8")
            print(f"docs/{path.name} written")
    return 1 if stale and "--check" in argv else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

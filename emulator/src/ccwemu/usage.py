# SPDX-License-Identifier: GPL-2.0-or-later
"""How the subcommands say that they were used wrongly: what was found or is missing, the usage, an example."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """Every parser has ``examples``, lines that can be copied; those of its actions as well."""

    def __init__(self, *args: Any, examples: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._examples = examples.splitlines()

    def format_help(self) -> str:
        return f"{super().format_help()}\n{self.format_examples()}"

    def format_examples(self) -> str:
        head = "example:" if len(self._examples) == 1 else "examples:"
        return "".join(f"{line}\n" for line in (head, *(f"  {example}" for example in self._examples)))

    def error(self, message: str) -> NoReturn:
        """Ends the process with status 2."""
        self.exit(2, f"{self.prog}: {message}\n{self.format_usage()}{self.format_examples()}")

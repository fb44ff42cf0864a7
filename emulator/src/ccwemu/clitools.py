# SPDX-License-Identifier: GPL-2.0-or-later
"""What the subcommands of ``ccwemu`` share."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading

    from ccwemu.usage import Parser

_PROGRESS_AFTER = 1.0
"""Seconds after which a user is told what is being done."""


class Progress:
    """Says what is being done, on standard error, once it has taken more than a second."""

    def __init__(self) -> None:
        self._text = ""
        self._timer: threading.Timer | None = None

    def __call__(self, text: str) -> None:
        import threading

        self.stop()
        self._text = text
        self._timer = threading.Timer(_PROGRESS_AFTER, self._say)
        self._timer.daemon = True
        self._timer.start()

    def _say(self) -> None:
        print(f"{self._text} ...", file=sys.stderr, flush=True)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def fail(error: Exception | str, status: int = 1) -> int:
    """Tell an error; the exit status."""
    print(f"ccwemu: {error}", file=sys.stderr)
    return status


def parser_of(command: str, description: str, examples: str) -> Parser:
    """The parser of a subcommand. ``examples``: lines that can be copied."""
    from ccwemu.usage import Parser

    return Parser(prog=f"ccwemu {command}", description=description, examples=examples)

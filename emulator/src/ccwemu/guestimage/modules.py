# SPDX-License-Identifier: GPL-2.0-or-later
"""In which order the modules of a kernel are loaded: what modprobe finds in depmod's tables (modules.dep(5))."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

TABLES = ("dep", "softdep", "alias", "builtin")
"""modules.NAME, in the order of the arguments of :meth:`ModuleTable.parse`."""


@dataclass(frozen=True)
class ModuleTable:
    """Of one kernel. Names are spelled with underscores, paths as modules.dep has them."""

    paths: Mapping[str, str]
    needs: Mapping[str, Sequence[str]]
    before: Mapping[str, Sequence[str]]
    aliases: Mapping[str, Sequence[str]]
    builtin: frozenset[str]

    @classmethod
    def parse(cls, dep: str, softdep: str, alias: str, builtin: str) -> ModuleTable:
        """From the text of the four tables."""
        rows = [line.partition(":") for line in dep.splitlines() if line]
        aliases: dict[str, list[str]] = {}
        for name, module in re.findall(r"^alias (\S+) (\S+)$", alias, re.MULTILINE):
            aliases.setdefault(_spelled(name), []).append(_spelled(module))
        before: dict[str, list[str]] = {}
        for name, rest in re.findall(r"^softdep (\S+) .*?\bpre: (.*?)(?: post:.*)?$", softdep, re.MULTILINE):
            before.setdefault(_spelled(name), []).extend(_spelled(each) for each in rest.split())
        return cls(
            {_module(path): path for path, _colon, _rest in rows},
            {_module(path): [_module(each) for each in rest.split()] for path, _colon, rest in rows},
            before,
            aliases,
            frozenset(_module(line) for line in builtin.splitlines()),
        )

    def load_order(self, names: Iterable[str]) -> list[str]:
        """The paths of modules and of all that they need, each behind what it needs itself.

        A module that is built in takes no place. Raises KeyError for one that the kernel does not have.
        """
        order: list[str] = []
        for name in names:
            self._add(name, order, ())
        return [self.paths[name] for name in order]

    def _add(self, name: str, order: list[str], asking: tuple[str, ...]) -> None:
        if name in self.builtin or name in order or name in asking:
            return
        for soft in self.before.get(name, ()):
            for each in [soft] if soft in self.paths else self.aliases.get(soft, ()):
                self._add(each, order, (*asking, name))
        # modules.dep names all that a module needs, the deepest last
        for each in reversed(self.needs[name]):
            self._add(each, order, (*asking, name))
        order.append(name)


def _spelled(name: str) -> str:
    return name.replace("-", "_")


def _module(path: str) -> str:
    return _spelled(PurePosixPath(path).name.partition(".ko")[0])

# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading YAML so that every error names file, line, key, what was found and what is expected.

Works on the nodes that PyYAML composes, not on constructed values: they know their place, and a CHPID written as
``41`` stays the text "41" instead of becoming the number forty-one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from textwrap import shorten
from typing import Any, TypeVar, cast

import yaml

T = TypeVar("T")
Convert = Callable[["Value"], T]

_REQUIRED: Any = object()
SHOWN = 60
"""Letters of what was found that an error shows."""


class LabError(Exception):
    """A definition that cannot be used; the text says where and why."""


class Value:
    """A node of the definition with the key that leads to it."""

    def __init__(self, node: yaml.Node, file: str, key: str) -> None:
        self.node = node
        self.file = file
        self.key = key

    def error(self, found: str, expected: str) -> LabError:
        line = self.node.start_mark.line + 1
        key = f"{self.key}: " if self.key else ""
        return LabError(f"{self.file}:{line}: {key}{found}; expected {expected}")

    def describe(self) -> str:
        """What stands here, for an error."""
        if isinstance(self.node, yaml.ScalarNode):
            return "nothing" if self.is_empty() else repr(shorten(self.node.value, SHOWN, placeholder=" ..."))
        return "a list" if isinstance(self.node, yaml.SequenceNode) else "a mapping"

    def is_empty(self) -> bool:
        return isinstance(self.node, yaml.ScalarNode) and self.node.tag == "tag:yaml.org,2002:null"

    def text(self, expected: str = "a text") -> str:
        if not isinstance(self.node, yaml.ScalarNode) or self.is_empty():
            raise self.error(f"found {self.describe()}", expected)
        return str(self.node.value)

    def items(self) -> list[Value]:
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.error(f"found {self.describe()}", "a list")
        return [Value(node, self.file, f"{self.key}[{index}]") for index, node in enumerate(self.node.value)]

    def entries(self) -> dict[str, Value]:
        """The entries of a mapping. A key that stands twice is an error (YAML would keep the last silently)."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.error(f"found {self.describe()}", "a mapping (key: value)")
        found: dict[str, Value] = {}
        for key_node, node in self.node.value:
            key = Value(key_node, self.file, f"{self.key}: a key").text("a plain key")
            path = f"{self.key}.{key}" if self.key else key
            if key in found:
                raise Value(key_node, self.file, path).error("this key stands here twice", "each key once")
            found[key] = Value(node, self.file, path)
        return found


class Fields:
    """The keys of one mapping: take each that is known, then :meth:`done` refuses the rest."""

    def __init__(self, value: Value, known: Sequence[str]) -> None:
        self.value = value
        self._entries = value.entries()
        for key, entry in self._entries.items():
            if key not in known:
                close = difflib.get_close_matches(key, known, 1)
                hint = f"{close[0]!r}, perhaps? (known here: {', '.join(known)})" if close else ", ".join(known)
                raise entry.error("unknown key", hint)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __getitem__(self, key: str) -> Value:
        return self._entries[key]

    def take(self, key: str, convert: Convert[T], default: Any = _REQUIRED) -> T:
        """The converted value; the default where the key is not there. Without a default it must be."""
        entry = self._entries.get(key)
        if entry is None:
            if default is _REQUIRED:
                raise self.value.error("nothing found", f"the key {key!r}")
            return cast(T, default)
        return convert(entry)


def text(value: Value) -> str:
    return value.text()


def boolean(value: Value) -> bool:
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    word = value.text("true or false")
    if word.lower() not in words:
        raise value.error(f"found {word!r}", "true or false")
    return words[word.lower()]


def integer(low: int, high: int, base: int = 10) -> Convert[int]:
    kind = "a number" if base == 10 else "a hexadecimal number"
    shown = f"{kind} from {low} to {high}" if base == 10 else f"{kind} from {low:x} to {high:x}"
    shown = f"an octal number from {low:o} to {high:o}" if base == 8 else shown

    def convert(value: Value) -> int:
        word = value.text(shown)
        try:
            number = int(word, base)
        except ValueError:
            raise value.error(f"found {word!r}", shown) from None
        if not low <= number <= high:
            raise value.error(f"found {word!r}", shown)
        return number

    return convert


def pattern(expression: str, expected: str) -> Convert[str]:
    compiled = re.compile(expression)

    def convert(value: Value) -> str:
        word = value.text(expected)
        if not compiled.fullmatch(word):
            raise value.error(f"found {word!r}", expected)
        return word

    return convert


def choice(*words: str) -> Convert[str]:
    def convert(value: Value) -> str:
        word = value.text(" or ".join(words))
        if word not in words:
            raise value.error(f"found {word!r}", " or ".join(words))
        return word

    return convert


def listed(convert: Convert[T]) -> Convert[tuple[T, ...]]:
    return lambda value: tuple(convert(item) for item in value.items())


def texts(value: Value) -> Mapping[str, str]:
    """A mapping of texts."""
    return {key: "" if entry.is_empty() else entry.text() for key, entry in value.entries().items()}


def load(path: str) -> Value:
    """The top of a file. Raises LabError when it cannot be read or is no YAML."""
    try:
        with open(path, encoding="utf-8") as file:
            node = yaml.compose(file, Loader=yaml.CSafeLoader)
    except FileNotFoundError:
        raise LabError(f"{path}: there is no such file; expected the definition of a lab, or the name seed") from None
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(f"{path}: cannot be read: {error}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f":{mark.line + 1}" if mark else ""
        raise LabError(f"{path}{line}: not YAML: {error.problem}") from None
    if node is None:
        raise LabError(f"{path}:1: the file is empty; expected the keys lab and hosts")
    return Value(node, path, "")

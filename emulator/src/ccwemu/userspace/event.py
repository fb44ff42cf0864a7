# SPDX-License-Identifier: GPL-2.0-or-later
"""One uevent against the rules: what holds, what is set, what is to be run.

Source: udev(7); systemd src/udev/udev-rules.c (udev_rule_apply_token_to_event), udev-event.c (udev_event_apply_format).
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ccwemu.machine.access import find, read, readlink, write
from ccwemu.machine.host import Machine
from ccwemu.machine.tree import Attribute, Directory
from ccwemu.machine.uevent import Uevent
from ccwemu.userspace.files import NodeFiles
from ccwemu.userspace.rules import Rule, Token, Warn, split_command

PROGRAMS = "/usr/lib/udev"
"""Where a program that is named without a path is looked for."""

_SUBSYSTEMS = frozenset({"subsystem", "class", "bus"})
"""What SUBSYSTEM=="subsystem" stands for: buses and classes themselves."""

_ELSEWHERE = re.compile(r"^\[([^/\]]+)/([^\]]+)\]/?(.*)$")
_FORMAT = re.compile(
    r"\$(?P<literal>\$)|%(?P<percent>%)"
    r"|\$(?P<word>kernel|number|devpath|driver|attr|env|major|minor|devnode|sys)(?:\{(?P<of>[^}]*)\})?"
    r"|%(?P<letter>[knpsEMmNS])(?:\{(?P<of2>[^}]*)\})?"
)
_LETTERS = {
    "k": "kernel", "n": "number", "p": "devpath", "s": "attr", "E": "env", "M": "major", "m": "minor", "N": "devnode",
    "S": "sys",
}  # fmt: skip


@dataclass
class Outcome:
    """What the rules make of an event. ``runs``: which rule wants which command run, in order."""

    environment: dict[str, str]
    tags: set[str] = field(default_factory=set)
    runs: list[tuple[Rule, list[str]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was done, or could not be, with the rule that asked for it."""

    @property
    def wants(self) -> list[str]:
        """The units that systemd starts for the device."""
        return self.environment.get("SYSTEMD_WANTS", "").split() if "systemd" in self.tags else []


class Evaluation:
    """The rules applied to one event, at the time of the call: attributes and files are read then."""

    def __init__(self, machine: Machine, files: NodeFiles, event: Uevent, warn: Warn) -> None:
        self._machine = machine
        self._files = files
        self._event = event
        self._warn = warn
        self._kernel = event.devpath.rsplit("/", 1)[-1]
        self._parent: str | None = None
        """The device that the latest match of a device or one above it has found."""
        self.outcome = Outcome(dict(event.env))

    def apply(self, rules: Sequence[Rule]) -> Outcome:
        skip_to: tuple[str, str] | None = None
        for rule in rules:
            if skip_to is not None:
                if rule.file == skip_to[0] and rule.label != skip_to[1]:
                    continue
                if rule.file != skip_to[0]:
                    self._warn(f'{skip_to[0]}: GOTO="{skip_to[1]}": the file has no such LABEL behind it')
                skip_to = None
            if rule.concerns(self._event.action) and self._holds(rule):
                label = self._assign(rule)
                skip_to = (rule.file, label) if label is not None else None
        return self.outcome

    # Matches

    def _holds(self, rule: Rule) -> bool:
        return all(self._matches(token, rule) for token in rule.matches) and (
            not rule.parent_matches or self._some_parent(rule)
        )

    def _matches(self, token: Token, rule: Rule) -> bool:
        if token.key == "TEST":
            found = self._exists(self.format(token.value, rule))
        elif token.key == "TAG":
            found = any(_match(tag, token.value) for tag in self.outcome.tags)
        else:
            value = self._value(token, rule)
            if value is None:
                return False
            found = _match(value, token.value)
        return found == (token.op == "==")

    def _value(self, token: Token, rule: Rule) -> str | None:
        """What a match is compared with; None: an attribute that is not there matches nothing."""
        event = self._event
        if token.key == "ATTR":
            return _without_end(self._attribute(self.format(token.name, rule)), token.value)
        if token.key == "SUBSYSTEM":
            subsystem = event.env["SUBSYSTEM"]
            return "subsystem" if token.value == "subsystem" and subsystem in _SUBSYSTEMS else subsystem
        if token.key == "ENV":
            return self.outcome.environment.get(token.name, "")
        if token.key == "DRIVER":
            return self._driver(event.devpath)
        return {"ACTION": event.action, "DEVPATH": event.devpath, "KERNEL": self._kernel}[token.key]

    def _driver(self, devpath: str) -> str:
        """The event's, or the one that the device has by now."""
        if devpath == self._event.devpath and "DRIVER" in self._event.env:
            return self._event.env["DRIVER"]
        return (readlink(self._machine, f"/sys{devpath}/driver") or "").rsplit("/", 1)[-1]

    def _some_parent(self, rule: Rule) -> bool:
        devpath = self._event.devpath
        while devpath.count("/") > 1:
            if all(self._parent_matches(token, devpath) for token in rule.parent_matches):
                self._parent = devpath
                return True
            devpath = devpath.rsplit("/", 1)[0]
        return False

    def _parent_matches(self, token: Token, devpath: str) -> bool:
        value: str | None
        if token.key == "ATTRS":
            value = _without_end(self._read(f"/sys{devpath}/{token.name}"), token.value)
        elif token.key == "SUBSYSTEMS":
            value = (readlink(self._machine, f"/sys{devpath}/subsystem") or "").rsplit("/", 1)[-1]
        elif token.key == "DRIVERS":
            value = self._driver(devpath)
        else:
            value = devpath.rsplit("/", 1)[-1]
        return value is not None and _match(value, token.value) == (token.op == "==")

    # Files and attributes

    def _place(self, name: str) -> str | None:
        """The path of "online" (of this device), "[ccw/0.0.7e52]online" or "/etc/file"; None: no such device."""
        elsewhere = _ELSEWHERE.match(name)
        if elsewhere is None:
            return name if name.startswith("/") else f"/sys{self._event.devpath}/{name}"
        subsystem, kernel, attribute = elsewhere.groups()
        for place in _candidates(subsystem, kernel):
            if find(self._machine, place) is not None:
                return f"{place}/{attribute}".rstrip("/")
        return None

    def _exists(self, name: str) -> bool:
        place = self._place(name)
        if place is None:
            return False
        if place.startswith(("/sys/", "/proc/", "/dev/")):
            return find(self._machine, place) is not None
        return self._files.exists(place)

    def _attribute(self, name: str) -> str | None:
        place = self._place(name)
        return self._read(place) if place is not None else None

    def _read(self, place: str) -> str | None:
        """An attribute's value; of a link the last part of where it points."""
        target = readlink(self._machine, place)
        if target is not None:
            return target.rsplit("/", 1)[-1]
        try:
            return read(self._machine, place) if isinstance(find(self._machine, place), Attribute) else None
        except OSError:
            return None

    # Assignments

    def _assign(self, rule: Rule) -> str | None:
        """Returns the label to go to."""
        target = None
        for token in rule.assignments:
            value = self.format(token.value, rule)
            if token.key == "ENV":
                self._set_environment(token, value)
            elif token.key == "TAG":
                self._set_tag(token, value)
            elif token.key == "RUN":
                self._add_run(rule, token, value)
            elif token.key == "ATTR":
                self._write(rule, self.format(token.name, rule), value)
            else:
                target = value
        return target

    def _set_environment(self, token: Token, value: str) -> None:
        environment = self.outcome.environment
        before = environment.get(token.name, "") if token.op == "+=" else ""
        value = f"{before} {value}".strip() if before else value
        if value:
            environment[token.name] = value
        else:
            environment.pop(token.name, None)

    def _set_tag(self, token: Token, value: str) -> None:
        if token.op == "-=":
            self.outcome.tags.discard(value)
            return
        if token.op == "=":
            self.outcome.tags.clear()
        self.outcome.tags.add(value)

    def _add_run(self, rule: Rule, token: Token, command: str) -> None:
        if token.op != "+=":
            self.outcome.runs.clear()
        words = split_command(command)
        if words and not words[0].startswith("/"):
            words[0] = f"{PROGRAMS}/{words[0]}"
        if words:
            self.outcome.runs.append((rule, words))

    def _write(self, rule: Rule, name: str, value: str) -> None:
        place = self._place(name)
        text = f'{rule.where}: ATTR{{{name}}}="{value}"'
        try:
            if place is None:
                raise FileNotFoundError(2, "No such device")
            write(self._machine, place, value)
        except OSError as problem:
            self.outcome.notes.append(f"{text}: {problem.strerror}")
        else:
            self.outcome.notes.append(text)

    # Substitutions

    def format(self, text: str, rule: Rule) -> str:
        """Put in what $kernel, %k and their like stand for."""

        def stands_for(found: re.Match[str]) -> str:
            if found["literal"] or found["percent"]:
                return found[0][0]
            word = found["word"] or _LETTERS[found["letter"]]
            return self._variable(word, found["of"] or found["of2"] or "")

        for left in re.findall(r"[$%][a-zA-Z]+", _FORMAT.sub("", text)):
            self._warn(f"{rule.where}: {left} is not understood by the emulator; it is left as it is")
        return _FORMAT.sub(stands_for, text)

    def _variable(self, word: str, of: str) -> str:
        environment = self.outcome.environment
        if word == "attr":
            value = self._attribute(of)
            if value is None and self._parent is not None:
                value = self._read(f"/sys{self._parent}/{of}")
            return (value or "").rstrip()
        if word == "env":
            return environment.get(of, "")
        number = re.search(r"\d*$", self._kernel)
        return {
            "kernel": self._kernel,
            "number": number[0] if number else "",
            "devpath": self._event.devpath,
            "driver": self._driver(self._parent) if self._parent is not None else "",
            "major": environment.get("MAJOR", "0"),
            "minor": environment.get("MINOR", "0"),
            "devnode": f"/dev/{environment['DEVNAME']}" if "DEVNAME" in environment else "",
            "sys": "/sys",
        }[word]


def _candidates(subsystem: str, kernel: str) -> list[str]:
    """Where "[subsystem/kernel]" may be (util_resolve_subsys_kernel)."""
    if subsystem == "subsystem":
        return [f"/sys/bus/{kernel}", f"/sys/class/{kernel}"]
    if subsystem == "module":
        return [f"/sys/module/{kernel}"]
    if subsystem == "drivers":
        bus, _colon, driver = kernel.partition(":")
        return [f"/sys/bus/{bus}/drivers/{driver}"]
    return [f"/sys/bus/{subsystem}/devices/{kernel}", f"/sys/class/{subsystem}/{kernel}"]


def _match(value: str, pattern: str) -> bool:
    """Shell patterns, alternatives between "|"."""
    return any(fnmatch.fnmatchcase(value, each) for each in pattern.split("|"))


def _without_end(value: str | None, pattern: str) -> str | None:
    """Blanks at a value's end do not count, unless the pattern ends with one."""
    return value if value is None or pattern[-1:].isspace() else value.rstrip()


def coldplug(machine: Machine) -> None:
    """``udevadm trigger`` as the boot does it: an "add" of each bus, driver and module, then of each device."""
    for place in _subsystems(machine) + _devices(machine):
        if isinstance(find(machine, f"{place}/uevent"), Attribute):
            write(machine, f"{place}/uevent", "add")


def _below(machine: Machine, place: str) -> list[str]:
    node = find(machine, place)
    names = sorted(child.name for child in node) if isinstance(node, Directory) else []
    return [f"{place}/{name}" for name in names]


def _subsystems(machine: Machine) -> list[str]:
    buses = _below(machine, "/sys/bus")
    drivers = [driver for bus in buses for driver in _below(machine, f"{bus}/drivers")]
    return buses + drivers + _below(machine, "/sys/module")


def _devices(machine: Machine) -> list[str]:
    buses = [device for bus in _below(machine, "/sys/bus") for device in _below(machine, f"{bus}/devices")]
    return buses + [device for kind in _below(machine, "/sys/class") for device in _below(machine, kind)]

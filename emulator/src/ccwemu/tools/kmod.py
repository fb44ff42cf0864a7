# SPDX-License-Identifier: GPL-2.0-or-later
"""modprobe, insmod, rmmod, lsmod: kmod 30 on the emulated machine (tools/modprobe.c, insmod.c, rmmod.c, lsmod.c).

What is there and what it needs comes from /lib/modules/RELEASE, what is loaded from /proc/modules, as in kmod. Only
init_module(2) and delete_module(2) themselves have no file: they are the op "modprobe" of the machine's socket,
``["NAME", "PARAM=VALUE"...]`` to load one module and ``["-r", "NAME"]`` to take one out.
"""

from __future__ import annotations

import fnmatch
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from ccwemu.tools import _host
from ccwemu.tools._files import read_line, read_text

INSERT_ERRORS = {
    "EEXIST": "Module already in kernel",
    "ENOENT": "Unknown symbol in module, or unknown parameter (see dmesg)",
}
"""What modprobe says for an errno of init_module(2) instead of strerror's text."""

INSMOD_ERRORS = {
    "ENOENT": "Unknown symbol in module",
    "ENOEXEC": "Invalid module format",
    "EINVAL": "Invalid parameters",
}
"""The same for insmod."""

Request = Callable[[list[str]], None]
"""Loads or takes out one module. Raises HostError, OSError."""


def _ask(words: list[str]) -> None:
    _host.ask({"op": "modprobe", "args": words})


def normal(name: str) -> str:
    return name.replace("-", "_")


def _module_of(path: str) -> str:
    """The module in a file: ``kernel/drivers/vfio/vfio.ko.xz`` → ``vfio``."""
    return normal(os.path.basename(path).split(".ko")[0])


def _soft_dependencies(words: list[str]) -> tuple[list[str], list[str]]:
    """``pre: a b post: c`` → ([a, b], [c])."""
    lists: dict[str, list[str]] = {"pre:": [], "post:": []}
    current = "pre:"
    for word in words:
        if word in lists:
            current = word
        else:
            lists[current].append(normal(word))
    return lists["pre:"], lists["post:"]


@dataclass
class Tree:
    """/lib/modules/RELEASE of the node."""

    directory: str
    files: dict[str, str] = field(default_factory=dict)
    needs: dict[str, list[str]] = field(default_factory=dict)
    """Name → what must be loaded before, the first needed last (the order of modules.dep)."""
    builtin: set[str] = field(default_factory=set)
    aliases: list[tuple[str, str]] = field(default_factory=list)
    soft: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)
    """Name → what is loaded before and after where it is there (softdep)."""

    @classmethod
    def read(cls, root: str = "") -> Tree:
        release = read_line(root + "/proc/sys/kernel/osrelease") or os.uname().release
        tree = cls(f"/lib/modules/{release}")
        base = root + tree.directory
        for line in (read_text(base + "/modules.dep") or "").splitlines():
            path, _colon, rest = line.partition(":")
            tree.files[_module_of(path)] = path
            tree.needs[_module_of(path)] = [_module_of(other) for other in rest.split()]
        tree.builtin = {_module_of(path) for path in (read_text(base + "/modules.builtin") or "").splitlines()}
        for line in (read_text(base + "/modules.alias") or "").splitlines():
            words = line.split()
            if len(words) == 3 and words[0] == "alias":
                tree.aliases.append((words[1], normal(words[2])))
        for line in (read_text(base + "/modules.softdep") or "").splitlines():
            words = line.split()
            if len(words) > 2 and words[0] == "softdep":
                tree.soft[normal(words[1])] = _soft_dependencies(words[2:])
        return tree

    def order(self, name: str) -> list[str]:
        """What to load for a module, in order, itself included; soft dependencies only where they are there."""
        steps: list[str] = []
        for module in [*reversed(self.needs.get(name, [])), name]:
            before, after = self.soft.get(module, ([], []))
            steps += [*filter(self.files.get, before), module, *filter(self.files.get, after)]
        return list(dict.fromkeys(steps))

    def resolve(self, name: str) -> list[str]:
        """The modules that a name or an alias stands for; none where it is not known."""
        name = normal(name)
        if name in self.files or name in self.builtin:
            return [name]
        return [module for pattern, module in self.aliases if fnmatch.fnmatchcase(name, normal(pattern))]


@dataclass
class Loaded:
    """A line of /proc/modules."""

    name: str
    size: int
    uses: int
    users: list[str]


def loaded(root: str = "") -> dict[str, Loaded]:
    """/proc/modules, newest first."""
    modules = {}
    for line in (read_text(root + "/proc/modules") or "").splitlines():
        words = line.split()
        if len(words) >= 4:
            users = [user for user in words[3].split(",") if user not in ("", "-", "[permanent]")]
            uses = int(words[2]) if words[2].isdigit() else -1
            modules[words[0]] = Loaded(words[0], int(words[1]), uses, users)
    return modules


@dataclass
class Options:
    """modprobe's options."""

    quiet: bool = False
    remove: bool = False
    dry: bool = False
    verbose: bool = False
    every: bool = False
    first_time: bool = False
    resolve: bool = False
    show_depends: bool = False
    words: list[str] = field(default_factory=list)


_SWITCHES = {
    "-q": "quiet", "--quiet": "quiet", "-r": "remove", "--remove": "remove", "-n": "dry", "--dry-run": "dry",
    "--show": "dry", "-v": "verbose", "--verbose": "verbose", "-a": "every", "--all": "every",
    "--first-time": "first_time", "-R": "resolve", "--resolve-alias": "resolve", "-D": "show_depends",
    "--show-depends": "show_depends", "-b": "", "--use-blacklist": "", "-s": "", "--syslog": "", "-i": "",
    "--ignore-install": "", "--ignore-remove": "", "-f": "", "--force": "", "-w": "",
}  # fmt: skip


def _options(argv: list[str]) -> Options | str:
    """The options; a text where one is not known."""
    options = Options()
    for position, word in enumerate(argv):
        if not word.startswith("-") or word == "-":
            options.words = argv[position:]
            break
        flags = [word] if word in _SWITCHES or word.startswith("--") else [f"-{letter}" for letter in word[1:]]
        for flag in flags:
            if flag not in _SWITCHES:
                return flag
            if _SWITCHES[flag]:
                setattr(options, _SWITCHES[flag], True)
    return options


def _fatal(text: str) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"modprobe: FATAL: {text}\n")
    return 1


class Prober:
    """One run of modprobe."""

    def __init__(self, options: Options, root: str, request: Request) -> None:
        self.options = options
        self.root = root
        self.request = request
        self.tree = Tree.read(root)

    def run(self, name: str, parameters: list[str]) -> int:
        """Load, remove or show what one name stands for; the exit status."""
        modules = self.tree.resolve(name)
        if not modules:
            # A path is not a name: "modprobe vfio.ko" finds no module of that name either.
            return 1 if self.options.quiet else _fatal(f"Module {name} not found in directory {self.tree.directory}")
        if self.options.resolve:
            sys.stdout.write("".join(module + "\n" for module in modules))
            return 0
        step = self._remove if self.options.remove else self._insert
        return max(step(module, parameters) for module in modules)

    def _insert(self, module: str, parameters: list[str]) -> int:
        options = self.options
        if module in self.tree.builtin:
            if options.show_depends:
                sys.stdout.write(f"builtin {module}\n")
            elif options.first_time:
                sys.stderr.write(f"modprobe: ERROR: could not insert '{module}': Module already in kernel\n")
                return 1
            return 0
        present = loaded(self.root)
        if module in present and not options.show_depends:
            if options.first_time:
                sys.stderr.write(f"modprobe: ERROR: could not insert '{module}': Module already in kernel\n")
            return int(options.first_time)
        for step in self.tree.order(module):
            if step in present and not options.show_depends:
                continue
            words = parameters if step == module else []
            if options.show_depends or options.verbose:
                path = os.path.join(self.tree.directory, self.tree.files[step])
                sys.stdout.write(" ".join(["insmod", path, *words]) + " \n")
            if not options.dry and not options.show_depends and not self._load(step, module, words):
                return 1
        return 0

    def _load(self, step: str, module: str, parameters: list[str]) -> bool:
        try:
            self.request([step, *parameters])
        except _host.HostError as error:
            if error.name == "EEXIST" and not self.options.first_time:
                return True
            text = INSERT_ERRORS.get(error.name) or _strerror(error.name)
            sys.stderr.write(f"modprobe: ERROR: could not insert '{module}': {text}\n")
            return False
        except OSError as error:
            sys.stderr.write(f"modprobe: ERROR: could not insert '{module}': {error.strerror}\n")
            return False
        return True

    def _remove(self, module: str, _arguments: list[str]) -> int:
        if module in self.tree.builtin:
            return _fatal(f"Module {module} is builtin.")
        present = loaded(self.root)
        if module not in present:
            return _fatal(f"Module {module} is not in kernel.") if self.options.first_time else 0
        if present[module].uses > 0:
            return _fatal(f"Module {module} is in use.")
        # What was loaded for its sake goes too, where nothing else uses it.
        for step in [module, *self.tree.needs.get(module, [])]:
            state = loaded(self.root).get(step)
            if state is None or state.uses:
                continue
            if self.options.verbose:
                sys.stdout.write(f"rmmod {step}\n")
            if self.options.dry:
                continue
            try:
                self.request(["-r", step])
            except (_host.HostError, OSError) as error:
                text = _strerror(error.name) if isinstance(error, _host.HostError) else error.strerror
                sys.stderr.write(f"modprobe: ERROR: could not remove '{step}': {text}\n")
                return 1
        return 0


def _strerror(name: str) -> str:
    import errno

    number = getattr(errno, name, None)
    return os.strerror(number) if isinstance(number, int) else name


def modprobe(argv: list[str], root: str = "", request: Request = _ask) -> int:
    """modprobe."""
    if argv[:1] in (["-V"], ["--version"]):
        sys.stdout.write("kmod version 30\n")
        return 0
    if argv[:1] in (["-h"], ["--help"]):
        sys.stdout.write("Usage: modprobe [-q] [-n] [-v] [--first-time] [-D | -R] NAME [PARAM=VALUE...]\n")
        sys.stdout.write("       modprobe [options] -a NAME...\n       modprobe [options] -r NAME...\n")
        return 0
    options = _options(argv)
    if isinstance(options, str):
        sys.stderr.write(f"modprobe: invalid option -- '{options.lstrip('-')}'\n")
        return 1
    if not options.words:
        sys.stderr.write("modprobe: ERROR: missing parameters. See -h.\n")
        return 1
    prober = Prober(options, root, request)
    if options.remove or options.every:
        return max([prober.run(name, []) for name in options.words])
    return prober.run(options.words[0], options.words[1:])


def insmod(argv: list[str], root: str = "", request: Request = _ask) -> int:
    """insmod FILE [PARAM=VALUE...]: one file, nothing that it needs."""
    words = [word for word in argv if word not in ("-f", "--force", "-s", "--syslog", "-v", "--verbose")]
    if words[:1] in (["-V"], ["--version"]):
        sys.stdout.write("kmod version 30\n")
        return 0
    if not words:
        sys.stderr.write("insmod: ERROR: missing filename.\n")
        return 1
    path = words[0]
    if not os.path.isfile(path if os.path.isabs(path) else os.path.join(os.getcwd(), path)):
        sys.stderr.write(f"insmod: ERROR: could not load module {path}: No such file or directory\n")
        return 1
    try:
        request([_module_of(path), *words[1:]])
    except _host.HostError as error:
        text = INSMOD_ERRORS.get(error.name) or _strerror(error.name)
        sys.stderr.write(f"insmod: ERROR: could not insert module {path}: {text}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"insmod: ERROR: could not insert module {path}: {error.strerror}\n")
        return 1
    return 0


def rmmod(argv: list[str], root: str = "", request: Request = _ask) -> int:
    """rmmod NAME...: as delete_module(2) sees it."""
    words = [word for word in argv if not word.startswith("-")]
    if not words:
        sys.stderr.write("rmmod: ERROR: missing module name.\n")
        return 1
    status = 0
    for word in words:
        problem = _rmmod_problem(_module_of(word), root, request)
        if problem:
            sys.stderr.write(f"rmmod: ERROR: {problem}\n")
            status = 1
    return status


def _rmmod_problem(name: str, root: str, request: Request) -> str:
    state = loaded(root).get(name)
    if state is None:
        if name in Tree.read(root).builtin:
            return f"Module {name} is builtin."
        return f"Module {name} is not currently loaded"
    if state.users:
        return f"Module {name} is in use by: {' '.join(state.users)}"
    if state.uses > 0:
        return f"Module {name} is in use"
    try:
        request(["-r", name])
    except _host.HostError as error:
        return f"could not remove module {name}: {_strerror(error.name)}"
    except OSError as error:
        return f"could not remove module {name}: {error.strerror}"
    return ""


def lsmod(argv: list[str], root: str = "") -> int:
    """lsmod: /proc/modules as a table."""
    if argv:
        sys.stderr.write("Usage: lsmod\n")
        return 1
    lines = ["Module                  Size  Used by"]
    for module in loaded(root).values():
        lines.append(re.sub(" $", "", f"{module.name:<19} {module.size:8d}  {module.uses} {','.join(module.users)}"))
    sys.stdout.write("\n".join(lines) + "\n")
    return 0

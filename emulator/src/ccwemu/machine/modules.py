# SPDX-License-Identifier: GPL-2.0-or-later
"""Loading and unloading modules; /proc/modules and /sys/module.

Source: Linux kernel/module/main.c, procfs.c, sysfs.c.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ccwemu.machine import klog, modfiles
from ccwemu.machine.cstring import error
from ccwemu.machine.kconfig import KernelConfig
from ccwemu.machine.kernel import Kernel, text_attribute
from ccwemu.machine.modtable import ModuleInfo, module_table
from ccwemu.machine.tree import Attribute, Directory, Link
from ccwemu.machine.uevent import Variables, store_synthetic

BASE_ADDRESS = 0x3FF7FF00000
PAGE = 0x1000


class ModuleCode(Protocol):
    """What a module does: ``init`` may raise OSError, which loading passes on."""

    def init(self) -> None: ...

    def exit(self) -> None: ...


@dataclass
class _Loaded:
    info: ModuleInfo
    address: int
    code: ModuleCode | None
    users: list[str] = field(default_factory=list)
    """Modules that use its symbols, newest first."""


def normalise(name: str) -> str:
    """Module names have underscores, whatever was typed."""
    return name.replace("-", "_")


class Modules:
    """The modules of a kernel. ``code(name)`` gives what a module does, None for one that does nothing here."""

    def __init__(self, kernel: Kernel, config: KernelConfig, code: Callable[[str], ModuleCode | None]) -> None:
        self._kernel = kernel
        self._config = config
        self._code = code
        self._table, self.builtin = module_table(config, kernel.facts)
        self._loaded: dict[str, _Loaded] = {}
        self._next_address = BASE_ADDRESS

    # What there is

    @property
    def available(self) -> tuple[str, ...]:
        """The names in /lib/modules/RELEASE, loaded or not."""
        return tuple(self._table)

    @property
    def loaded(self) -> tuple[str, ...]:
        """Oldest first."""
        return tuple(self._loaded)

    def dependencies(self, name: str) -> tuple[str, ...]:
        """The modules that must be loaded before this one, the first to load first. Raises OSError(ENOENT)."""
        needed: list[str] = []
        for other in self._info(name).depends:
            if other in self.builtin:
                continue
            needed += [each for each in (*self.dependencies(other), other) if each not in needed]
        return tuple(needed)

    def _info(self, name: str) -> ModuleInfo:
        info = self._table.get(normalise(name))
        if info is None:
            raise error(errno.ENOENT)
        return info

    # init_module, delete_module

    def load(self, name: str, params: Sequence[str] = ()) -> None:
        """Load one module. Raises OSError.

        ENOENT: no such module, or one that it needs is not loaded (unknown symbol); EEXIST: loaded already;
        others: what its init returns.
        """
        with self._kernel.lock:
            info = self._info(name)
            if info.name in self._loaded:
                raise error(errno.EEXIST)
            needed = [other for other in info.depends if other not in self.builtin]
            for other in needed:
                if other not in self._loaded:
                    self._kernel.log.append(f"{info.name}: Unknown symbol of {other} (err -2)", klog.WARNING)
                    raise error(errno.ENOENT)
            module = _Loaded(info, self._next_address, self._code(info.name))
            self._publish(module, dict(_parameter(text) for text in params))
            for other in needed:
                self._use(other, info.name)
            self._loaded[info.name] = module
            try:
                if module.code is not None:
                    module.code.init()
            except OSError:
                self._forget(module)
                raise
            self._next_address += info.size + PAGE

    def unload(self, name: str) -> None:
        """Unload one module. Raises OSError: ENOENT not loaded, EWOULDBLOCK in use (by a module or otherwise)."""
        with self._kernel.lock:
            module = self._loaded.get(normalise(name))
            if module is None:
                raise error(errno.ENOENT)
            if self.references(module.info.name):
                raise error(errno.EWOULDBLOCK)
            if module.code is not None:
                module.code.exit()
            self._forget(module)

    def modprobe(self, name: str, params: Sequence[str] = ()) -> tuple[str, ...]:
        """Load a module with all that it needs and its soft dependencies; returns what was loaded.

        One that is loaded or built in is no error. Raises OSError as :meth:`load`.
        """
        name = normalise(name)
        if name in self.builtin or name in self._loaded:
            return ()
        done: list[str] = []
        for step in (*self.dependencies(name), name):
            if step in self._loaded:
                continue
            self.load(step, params if step == name else ())
            done.append(step)
            for soft in self._info(step).post:
                if soft in self._table and soft not in self._loaded:
                    self.load(soft)
                    done.append(soft)
        return tuple(done)

    def references(self, name: str) -> int:
        """The module's reference count."""
        module = self._loaded[name]
        return len(module.users) + self._kernel.module_users[name]

    def start_builtin(self) -> None:
        """Run what is built in."""
        for name in self.builtin:
            code = self._code(name)
            if code is not None:
                code.init()

    def load_at_boot(self, names: Sequence[str]) -> None:
        """Load modules as a host does at boot; one that is not there is said in the log."""
        for name in names:
            try:
                self.modprobe(name)
            except OSError as problem:
                self._kernel.log.append(f"systemd-modules-load: Failed to load {name}: {problem.strerror}", klog.ERR)

    def _use(self, name: str, user: str) -> None:
        module = self._loaded[name]
        module.users.insert(0, user)
        holders = self._directory(name).directory("holders")
        holders.add(Link(user, self._directory(user)))

    def _forget(self, module: _Loaded) -> None:
        name = module.info.name
        self._emit(name, "remove")
        for other in module.info.depends:
            if other in self._loaded:
                self._loaded[other].users.remove(name)
                self._directory(other).directory("holders").remove(name)
        self._loaded.pop(name, None)
        self._kernel.directory("module").remove(name)

    # /sys/module, /proc/modules

    def _directory(self, name: str) -> Directory:
        return self._kernel.directory("module").directory(name)

    def _emit(self, name: str, action: str, extra: Variables | None = None) -> None:
        self._kernel.uevents.emit(action, f"/module/{name}", "module", extra or [])

    def _publish(self, module: _Loaded, given: dict[str, str]) -> None:
        info, kernel = module.info, self._kernel
        directory = kernel.directory("module").add(Directory(info.name))
        directory.add(text_attribute("coresize", str(info.size)))
        directory.add(text_attribute("initsize", "0"))
        directory.add(text_attribute("initstate", "live"))
        directory.add(text_attribute("refcnt", lambda: str(self.references(info.name))))
        directory.add(Attribute("taint", 0o444, lambda: "\n"))
        directory.add(Directory("holders"))
        directory.add(Directory("notes"))
        directory.add(Directory("sections"))
        directory.add(Attribute("uevent", 0o200, store=lambda data: self._store_uevent(info.name, data)))
        known = dict(info.parameters)
        for name in given:
            if name not in known:
                kernel.log.append(f"{info.name}: unknown parameter '{name}' ignored", klog.WARNING)
        if known:
            parameters = directory.add(Directory("parameters"))
            for name, default in known.items():
                parameters.add(text_attribute(name, given.get(name, default)))
        self._emit(info.name, "add")

    def _store_uevent(self, name: str, data: bytes) -> None:
        store_synthetic(
            data,
            f"/module/{name}",
            lambda action, extra: self._emit(name, action, extra),
            lambda text: self._kernel.log.append(text, klog.WARNING),
        )

    def proc_modules(self) -> str:
        """/proc/modules: newest first."""
        return "".join(self._line(module) for module in reversed(self._loaded.values()))

    def _line(self, module: _Loaded) -> str:
        name = module.info.name
        users = "".join(f"{user}," for user in module.users) or "-"
        return f"{name} {module.info.size} {self.references(name)} {users} Live {module.address:#018x}\n"

    # Files

    def write_tree(self, directory: Path) -> None:
        """Write what belongs into /lib/modules/RELEASE into that directory, which is made where it is not there."""
        dependencies = {name: tuple(reversed(self.dependencies(name))) for name in self._table}
        suffix = self._kernel.facts.module_suffix
        modfiles.write_tree(directory, self._table, self.builtin, dependencies, suffix, self._kernel.release)

    def config_text(self) -> str:
        """/boot/config-RELEASE."""
        return self._config.text()


def _parameter(text: str) -> tuple[str, str]:
    """Of "name=value"; a name alone means yes."""
    name, equals, value = text.partition("=")
    return normalise(name), value if equals else "Y"

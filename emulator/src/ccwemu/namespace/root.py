# SPDX-License-Identifier: GPL-2.0-or-later
"""The root file system of a node: directories of its own, and read-only binds of the machine's programs.

Nothing of the machine's own configuration shows: /etc is written anew, with only those files of the machine's that
describe the programs which are bound (the linker's, alternatives, certificates, the distribution's name).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import uuid
from collections.abc import Iterable

from ccwemu import tools
from ccwemu.namespace import packaged, power
from ccwemu.namespace.launch import Bind, Links

RUN_DIR = "/run/ccwemu"
LAUNCHERS_AT = "/usr/local/sbin"

_DIRECTORIES = (
    "boot", "dev", "etc", "etc/default", "etc/driverctl.d", "etc/mdevctl.d/scripts.d/callouts",
    "etc/mdevctl.d/scripts.d/notifiers", "etc/modprobe.d", "etc/modules-load.d", "etc/sysctl.d", "etc/udev/rules.d",
    "home", "media", "mnt", "opt", "proc", "root", "run/ccwemu/proc", "run/ccwemu/sys", "run/lock", "srv", "sys",
    "tmp", "usr", "var/cache", "var/lib", "var/local", "var/log", "var/mail", "var/opt", "var/spool", "var/tmp",
)  # fmt: skip
_MODES = {"proc": 0o555, "root": 0o700, "run/lock": 0o1777, "sys": 0o555, "tmp": 0o1777, "var/tmp": 0o1777}
"""Of those that have another than 0755."""

_COPIED = (
    "bash.bashrc", "ca-certificates.conf", "debian_version", "environment", "host.conf", "inputrc",
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "locale.conf", "login.defs", "lsb-release", "magic",
    "mke2fs.conf", "os-release", "pam.d", "perl", "pki", "profile", "profile.d", "protocols", "python3",
    f"python3.{sys.version_info.minor}", "redhat-release", "security", "services", "shells", "skel",
    "ssl/certs/ca-certificates.crt", "ssl/openssl.cnf", "system-release", "terminfo", "timezone",
)  # fmt: skip
"""What of the machine's /etc describes the programs that are bound from it."""

_PASSWD = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
sys:x:3:3:sys:/dev:/usr/sbin/nologin
man:x:6:12:man:/var/cache/man:/usr/sbin/nologin
mail:x:8:8:mail:/var/mail:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
_GROUP = """\
root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
disk:x:6:
mail:x:8:
man:x:12:
kmem:x:15:
sudo:x:27:
shadow:x:42:
utmp:x:43:
users:x:100:
nogroup:x:65534:
"""
_NSSWITCH = "passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\nprotocols: files\n"

_COMMANDS = (*tools.COMMANDS, *power.COMMANDS)
_BY_FULL_PATH = ("qemu-system-s390x",)
"""Of those in /usr/bin, what configurations name by its path (a libvirt domain's emulator): a launcher lies over it."""
_REAL_LINKS = {"lib": "/usr/lib", "share": "/usr/share"}
"""Beside the directory where the covered ones are: QEMU looks for its files from where it lies itself."""
_BOUND = ("/etc/alternatives", "/var/lib/dpkg", "/var/lib/rpm")
"""Read-only: hundreds of links, and the package manager's knowledge of what /usr holds."""
_LIBRARY_LINKS = ("bin", "lib", "lib32", "lib64", "libx32")


def prepare(base: str, *, hostname: str, owner: int) -> tuple[str, list[Bind | Links]]:
    """Make, or make ready again after a reboot, the root of a node below ``base``.

    ``owner``: the outside id of the node's root. Returns the directory and what is bound into it. What the node has
    written is kept, but for /run and /tmp.
    """
    root = os.path.join(base, "root")
    first = not os.path.exists(os.path.join(root, "etc/machine-id"))
    for volatile in ("run", "tmp"):
        _empty(os.path.join(root, volatile))
    old_umask = os.umask(0o022)
    try:
        return _prepare(base, root, hostname, owner, first=first)
    finally:
        os.umask(old_umask)


def _prepare(base: str, root: str, hostname: str, owner: int, *, first: bool) -> tuple[str, list[Bind | Links]]:
    for name in _DIRECTORIES:
        os.makedirs(os.path.join(root, name), exist_ok=True)
    for name, mode in _MODES.items():
        os.chmod(os.path.join(root, name), mode)
    if first:
        _write_etc(root, hostname)
        for link, target in (("var/run", "/run"), ("var/lock", "/run/lock")):
            os.symlink(target, os.path.join(root, link))
    launchers = _write_launchers(base)
    binds = _system_binds(root, launchers)
    for bind in binds:
        if not bind.target.startswith(_IN_OTHERS):
            os.makedirs(root + bind.target, exist_ok=True)
    for name, target in _REAL_LINKS.items():
        os.symlink(target, os.path.join(root + os.path.dirname(tools.REAL_PROGRAMS), name))
    if first:
        give(root, owner)
    else:
        for name in ("", "run", "tmp"):
            _give_one(os.path.join(root, name), owner)
        for name in ("run/lock", "run/ccwemu"):
            give(os.path.join(root, name), owner)
    return root, binds


def _empty(directory: str) -> None:
    if os.path.isdir(directory):
        shutil.rmtree(directory)


def give(path: str, owner: int) -> None:
    """Make the node's root, ``owner`` outside, the owner of a tree that root outside has written."""
    _give_one(path, owner)
    for parent, directories, files in os.walk(path):
        for name in (*directories, *files):
            _give_one(os.path.join(parent, name), owner)


def _give_one(path: str, owner: int) -> None:
    if os.geteuid() == 0 and owner != 0:
        os.chown(path, owner, owner, follow_symlinks=False)


# -- /etc -------------------------------------------------------------------------------------------------------------


def _write_etc(root: str, hostname: str) -> None:
    etc = os.path.join(root, "etc")
    for name in _COPIED:
        _copy(os.path.join("/etc", name), os.path.join(etc, name))
    texts = {
        "passwd": _PASSWD,
        "group": _GROUP,
        "shadow": "".join(f"{line.split(':')[0]}:*:19000:0:99999:7:::\n" for line in _PASSWD.splitlines()),
        "nsswitch.conf": _NSSWITCH,
        "hostname": hostname + "\n",
        "hosts": f"127.0.0.1 localhost\n127.0.1.1 {hostname}\n::1 localhost ip6-localhost\n",
        "machine-id": uuid.uuid4().hex + "\n",
        "fstab": "",
        "resolv.conf": "",
        "modules": "",
        **{f"udev/rules.d/{name}": text for name, text in packaged.corrected_rules().items()},
    }
    for name, text in texts.items():
        with open(os.path.join(etc, name), "w", encoding="utf-8") as file:
            file.write(text)
    os.chmod(os.path.join(etc, "shadow"), 0o640)
    os.symlink("/proc/self/mounts", os.path.join(etc, "mtab"))
    for name in (".bashrc", ".profile"):
        _copy("/etc/skel/" + name, os.path.join(root, "root", name))


def _copy(source: str, target: str) -> None:
    """Copy a file, link or tree; what may not be read is left out (keys among certificates, for one)."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    try:
        if os.path.isdir(source) and not os.path.islink(source):
            shutil.copytree(source, target, symlinks=True, ignore=_unreadable, dirs_exist_ok=True)
        elif os.path.lexists(source):
            shutil.copy(source, target, follow_symlinks=False)
    except PermissionError:
        pass


def _unreadable(directory: str, names: list[str]) -> list[str]:
    paths = {name: os.path.join(directory, name) for name in names}
    return [
        name
        for name, path in paths.items()
        if name == "private" or (not os.path.islink(path) and not os.access(path, os.R_OK))
    ]


# -- programs ---------------------------------------------------------------------------------------------------------


_MODULES = "/var/lib/modules"
"""Where a node's /lib/modules is kept."""

_IN_OTHERS = ("/usr/", "/lib/")
"""Mount points that another bind brings."""


def _system_binds(root: str, launchers: str) -> list[Bind | Links]:
    merged = os.path.isdir("/usr/lib/modules")
    binds: list[Bind | Links] = [Bind("/usr", "/usr")]
    for name in _LIBRARY_LINKS:
        if name != "lib" or merged:
            binds += _top_level(root, name)
    if not merged:  # nowhere in /usr to bind the modules on: /lib becomes a directory of its own
        libraries = {name: f"/usr/lib/{name}" for name in os.listdir("/usr/lib") if name != "modules"}
        binds.append(Links("/lib", libraries, ("modules",)))
    os.makedirs(root + _MODULES, exist_ok=True)
    binds.append(Bind(root + _MODULES, "/usr/lib/modules" if merged else "/lib/modules", read_only=False))
    sbin = {name: f"/usr/sbin/{name}" for name in os.listdir("/usr/sbin")} if os.path.isdir("/usr/sbin") else {}
    binds.append(Links("/sbin", sbin | {name: f"{LAUNCHERS_AT}/{name}" for name in _COMMANDS}))
    if os.path.isdir(LAUNCHERS_AT):
        binds.append(Bind(launchers, LAUNCHERS_AT))
    binds.append(Bind("/usr/bin", tools.REAL_PROGRAMS))
    for name in _BY_FULL_PATH:
        if os.path.isfile(f"/usr/bin/{name}") and not os.path.islink(f"/usr/bin/{name}"):
            binds.append(Bind(f"{launchers}/{name}", f"/usr/bin/{name}"))
    binds += [Bind(path, path) for path in _BOUND if os.path.isdir(path)]
    binds += [Bind(path, path) for path in python_paths()]
    return binds


def _top_level(root: str, name: str) -> list[Bind]:
    """/bin, /lib...: a link where the machine has one (merged /usr), or else a bind of the directory."""
    source, target = "/" + name, os.path.join(root, name)
    if os.path.islink(source):
        if not os.path.islink(target):
            os.symlink(os.readlink(source), target)
        return []
    return [Bind(source, source)] if os.path.isdir(source) else []


def modules_directory(root: str) -> str:
    """Where a node's /lib/modules lies in its root directory."""
    return root + _MODULES


def python_paths() -> list[str]:
    """What the running Python and this package need and /usr does not have."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(tools.__file__)))
    wanted = [sys.base_prefix, sys.prefix, os.path.dirname(package)]
    core = importlib.util.find_spec("ccwemu._core")
    if core is not None and core.origin is not None:  # built in place it is a link to where it was built
        wanted.append(os.path.dirname(os.path.realpath(core.origin)))
    return list(_outermost(os.path.abspath(path) for path in wanted))


def _outermost(paths: Iterable[str]) -> Iterable[str]:
    kept = ["/usr"]
    for path in sorted(set(paths), key=len):
        if not any(path == other or path.startswith(other + "/") for other in kept):
            kept.append(path)
    return kept[1:]


def _write_launchers(base: str) -> str:
    """The directory with one script for each emulated command."""
    directory = os.path.join(base, "launchers")
    os.makedirs(directory, exist_ok=True)
    package = os.path.dirname(os.path.dirname(os.path.abspath(tools.__file__)))
    for name in _COMMANDS:
        path = os.path.join(directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(_launcher(name, os.path.dirname(package)))
        os.chmod(path, 0o755)
    os.chmod(directory, 0o755)
    return directory


def _launcher(name: str, sources: str) -> str:
    """A Python script; through sh where the interpreter's path is too long for a #! line (127 bytes)."""
    head = f"#!{sys.executable} -I\n"
    if len(head) > 127 or " " in sys.executable:
        head = f'#!/bin/sh\n"exec" "{sys.executable}" "-I" "$0" "$@"\n'
    if name in power.COMMANDS:
        run = f"from ccwemu.namespace import power\n\nsys.exit(power.main([{name!r}, *sys.argv[1:]]))\n"
    else:
        run = f"from ccwemu import tools\n\nsys.exit(tools.run({name!r}, sys.argv[1:]))\n"
    return f"{head}# ccwemu: the emulated command {name}\nimport sys\n\nsys.path.insert(0, {sources!r})\n{run}"

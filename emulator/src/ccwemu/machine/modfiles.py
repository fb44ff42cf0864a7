# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of /lib/modules/RELEASE: the lists that depmod writes, and module files that modinfo can read.

Format of the lists: depmod(8), modules.dep(5). A module file is an ELF object without code, its .modinfo section
saying what the real one's says.
"""

from __future__ import annotations

import lzma
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from ccwemu.machine.modtable import ModuleInfo

EM_S390 = 22
_SECTION_NAMES = b"\0.modinfo\0.shstrtab\0"


def module_file(info: ModuleInfo, depends: Iterable[str], release: str) -> bytes:
    """A big-endian ELF64 s390 object with a .modinfo section."""
    fields = [f"alias={alias}" for alias in info.aliases]
    fields += [f"softdep=post: {' '.join(info.post)}"] if info.post else []
    fields += [f"description={info.description}", "license=GPL", f"depends={','.join(depends)}", "intree=Y"]
    fields += [f"name={info.name}", f"vermagic={release} SMP mod_unload "]
    fields += [f"parm={name}" for name, _value in info.parameters]
    modinfo = b"".join(field.encode() + b"\0" for field in fields)
    header_size, section_size = 64, 64
    names_at = header_size + len(modinfo)
    sections_at = (names_at + len(_SECTION_NAMES) + 7) & ~7
    ident = b"\x7fELF\x02\x02\x01" + bytes(9)
    header = ident + struct.pack(
        ">HHIQQQIHHHHHH", 1, EM_S390, 1, 0, 0, sections_at, 0, header_size, 0, 0, section_size, 3, 2
    )
    body = header + modinfo + _SECTION_NAMES
    sections = bytes(section_size)
    sections += struct.pack(">IIQQQQIIQQ", 1, 1, 2, 0, header_size, len(modinfo), 0, 0, 1, 0)
    sections += struct.pack(">IIQQQQIIQQ", 10, 3, 0, 0, names_at, len(_SECTION_NAMES), 0, 0, 1, 0)
    return body.ljust(sections_at, b"\0") + sections


def write_tree(
    directory: Path,
    modules: Mapping[str, ModuleInfo],
    builtin: Mapping[str, ModuleInfo],
    dependencies: Mapping[str, tuple[str, ...]],
    suffix: str,
    release: str,
) -> None:
    """``dependencies``: all that a module needs, in modules.dep's order (the first to be loaded last)."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = {name: info.path + suffix for name, info in modules.items()}
    for name, info in modules.items():
        target = directory / paths[name]
        target.parent.mkdir(parents=True, exist_ok=True)
        content = module_file(info, info.depends, release)
        target.write_bytes(lzma.compress(content) if suffix.endswith(".xz") else content)
    builtin_paths = [f"{info.path}.ko" for info in builtin.values()]
    aliases = [f"alias {alias} {name}" for name, info in modules.items() for alias in info.aliases]
    softdeps = [f"softdep {name} post: {' '.join(info.post)}" for name, info in modules.items() if info.post]
    nodes = ["vfio vfio/vfio c10:196"] if "vfio" in modules else []
    needs = {name: " ".join(paths[need] for need in dependencies[name]) for name in modules}
    lists = {
        "modules.dep": [f"{paths[name]}: {needs[name]}".rstrip(" ") for name in modules],
        "modules.order": [f"{info.path}.ko" for info in modules.values()],
        "modules.builtin": builtin_paths,
        "modules.alias": ["# Aliases extracted from modules themselves.", *aliases],
        "modules.softdep": ["# Soft dependencies extracted from modules themselves.", *softdeps],
        "modules.devname": ["# Device nodes to trigger on-demand module loading.", *nodes],
        "modules.symbols": ["# Aliases for symbols, used by symbol_request()."],
        "modules.builtin.modinfo": [],
    }
    for name, lines in lists.items():
        (directory / name).write_text("".join(f"{line}\n" for line in lines), encoding="ascii")

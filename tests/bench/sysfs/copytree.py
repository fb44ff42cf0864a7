# SPDX-License-Identifier: GPL-2.0-or-later
"""Run inside an emulated host: its /sys on the standard output, as a tar archive of plain files.

What cannot be read is left out. The modes are kept, the times are not.
"""

from __future__ import annotations

import io
import os
import sys
import tarfile


def add(archive: tarfile.TarFile, path: str) -> None:
    info = tarfile.TarInfo(path.lstrip("/"))
    if os.path.islink(path):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
        archive.addfile(info)
        return
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError:
        return
    info.size, info.mode = len(content), os.stat(path).st_mode & 0o777
    archive.addfile(info, io.BytesIO(content))


def add_directory(archive: tarfile.TarFile, path: str) -> None:
    info = tarfile.TarInfo(path.lstrip("/"))
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    archive.addfile(info)
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                add_directory(archive, entry.path)
            else:
                add(archive, entry.path)


with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as out:
    add_directory(out, "/sys")

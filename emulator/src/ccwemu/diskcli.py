# SPDX-License-Identifier: GPL-2.0-or-later
"""The command ``ccwemu disk``: make, describe, check and show disk images.

Exit status: 0 done, 1 failed or (check) something is wrong with the image, 2 wrong usage.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ccwemu import disk, diskcheck
from ccwemu.clitools import Progress, fail, parser_of
from ccwemu.usage import Parser


def run(command: str, words: Sequence[str]) -> int:
    """Returns the exit status."""
    arguments = _arguments(command).parse_args(words)
    try:
        return int(arguments.action(arguments))
    except disk.DiskError as error:
        return fail(error)


def _arguments(command: str) -> Parser:
    top = parser_of(
        command,
        "Disk images (CKD, as Hercules uses them).",
        "ccwemu disk create data.ckd --cylinders 100\nccwemu disk info data.ckd",
    )
    actions = top.add_subparsers(required=True, metavar="ACTION")

    create = actions.add_parser(
        "create", help="make an image", examples="ccwemu disk create data.ckd --cylinders 100 --filesystem ext4"
    )
    create.add_argument("path", metavar="IMAGE")
    create.add_argument("--cylinders", type=_cylinders, required=True, metavar="N", help="its size; one has 15 tracks")
    layout = "cdl: one partition (default); ldl: blocks only"
    create.add_argument("--layout", choices=disk.LAYOUTS, default="cdl", help=layout)
    create.add_argument("--volser", default="0X0000", help="volume serial, of layout cdl (0X0000)")
    create.add_argument("--filesystem", choices=tuple(disk.MAKERS), help="fills the partition; default: none")
    create.add_argument("--sparse", action="store_true", help="takes room for touched tracks only; not for Hercules")
    create.set_defaults(action=_create)

    for name, action, text in (
        ("info", _info, "describe an image: size, layout, volume, partitions"),
        ("check", _check, "look at every record of every track, and say what is wrong and where"),
        ("recover", _recover, "finish the track that a killed program left unfinished, and remove its journal"),
    ):
        simple = actions.add_parser(name, help=text, examples=f"ccwemu disk {name} data.ckd")
        simple.add_argument("path", metavar="IMAGE")
        simple.set_defaults(action=action)

    dump = actions.add_parser(
        "dump",
        help="show a track or a record: count fields, keys and data",
        examples="ccwemu disk dump data.ckd 0/0\nccwemu disk dump data.ckd 0/0/3",
    )
    dump.add_argument("path", metavar="IMAGE")
    dump.add_argument("track", metavar="CYLINDER/HEAD[/RECORD]", type=_track)
    dump.set_defaults(action=_dump)
    return top


def _cylinders(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number of cylinders")
    return int(text)


def _track(text: str) -> diskcheck.Track:
    try:
        return diskcheck.Track.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _create(arguments: argparse.Namespace) -> int:
    layout = arguments.layout
    volser = arguments.volser if layout == "cdl" else ""
    progress = Progress()
    progress(f"making {arguments.path}, {arguments.cylinders} cylinders")
    try:
        disk.create(
            arguments.path,
            arguments.cylinders,
            layout,
            volser,
            filesystem=arguments.filesystem,
            sparse=arguments.sparse,
        )
    finally:
        progress.stop()
    return 0


def _info(arguments: argparse.Namespace) -> int:
    found = disk.info(arguments.path)
    print(f"image:      {found.path}")
    print(f"geometry:   {found.cylinders} cylinders, {found.heads} heads")
    print(f"layout:     {found.layout}")
    if found.block_size:
        print(f"blocks:     {found.size // found.block_size} of {found.block_size} bytes")
    if found.volser:
        print(f"volume:     {found.volser}")
    for number, partition in enumerate(found.partitions, 1):
        print(f"partition {number}: {partition}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    progress = Progress()
    progress(f"checking {arguments.path}")
    try:
        report = diskcheck.check(arguments.path)
    finally:
        progress.stop()
    for problem in report.problems:
        print(problem)
    if report.damaged > len(report.problems):
        print(f"and {report.damaged - len(report.problems)} more damaged tracks")
    if report.journal:
        print(
            f"journal:    {report.journal} bytes behind the tracks: a program has the image open for writing, or was "
            f"killed; if none has, ccwemu disk recover {report.path} removes it"
        )
    size = f"{report.cylinders} cylinders, {report.cylinders * report.heads} tracks"
    if report.damaged:
        print(f"{report.path}: {size}, {report.damaged} damaged; restore them from a copy")
        return 1
    print(f"{report.path}: {size}, all sound")
    return 0


def _recover(arguments: argparse.Namespace) -> int:
    diskcheck.recover(arguments.path)
    return 0


def _dump(arguments: argparse.Namespace) -> int:
    for line in diskcheck.dump(arguments.path, arguments.track):
        print(line)
    return 0

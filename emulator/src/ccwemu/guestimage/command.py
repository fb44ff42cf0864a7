# SPDX-License-Identifier: GPL-2.0-or-later
"""``ccwemu guest-image``."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from ccwemu.clitools import fail, parser_of


def main(words: Sequence[str]) -> int:
    """Returns the exit status."""
    parser = parser_of(
        "guest-image",
        "Kernel and root file system of guests of kind real, made from Debian's s390x packages.",
        "ccwemu guest-image build\nccwemu guest-image list",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    from ccwemu.guestimage import image
    from ccwemu.guestimage.tools import Missing

    build = actions.add_parser(
        "build", help="build an image, unless it is there", examples="ccwemu guest-image build --kernel 6.12"
    )
    build.add_argument("--kernel", metavar="SERIES", default="6.1", help=f"{' or '.join(image.KERNELS)}; default 6.1")
    actions.add_parser("list", help="the images that are there", examples="ccwemu guest-image list")
    actions.add_parser(
        "prune", help="remove those that no guest would be started from", examples="ccwemu guest-image prune"
    )
    arguments = parser.parse_args(words)
    try:
        if arguments.action == "build":
            return _build(arguments.kernel)
        return _list() if arguments.action == "list" else _prune()
    except Missing as problem:
        return fail(problem)


def _build(kernel: str) -> int:
    from ccwemu.guestimage import image

    built = image.build(kernel, lambda text: print(f"{text} ...", file=sys.stderr, flush=True))
    print(f"guest image {built.release}: {built.directory}")
    return 0


def _list() -> int:
    from ccwemu.guestimage import image

    found = image.listed()
    for each in found:
        made = time.strftime("%Y-%m-%d %H:%M", time.localtime(each.made))
        note = "" if each.current else "  (of another version of ccwemu)"
        print(
            f"{each.series:<5} {each.image.release:<24} {made} {each.size >> 20:>5} MiB  {each.image.directory}{note}"
        )
    if not found:
        print(f"no guest image in {image.cache()}; ccwemu guest-image build makes one", file=sys.stderr)
    return 0


def _prune() -> int:
    from ccwemu.guestimage import image

    removed = image.prune(lambda text: print(f"{text} ...", file=sys.stderr, flush=True))
    for each in removed:
        print(f"removed {each.series:<5} {each.image.release:<24} {each.size >> 20:>5} MiB  {each.image.directory}")
    if not removed:
        print("nothing to remove")
    return 0

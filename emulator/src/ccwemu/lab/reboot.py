# SPDX-License-Identifier: GPL-2.0-or-later
"""``ccwemu reboot``: the request, and its answer, at both ends of the lab's socket."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Protocol

from ccwemu.lab.lines import Message, Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ccwemu.lab.host import Boot
    from ccwemu.machine.ipl import Ipl
    from ccwemu.usage import Parser

SEEDS = 1_000_000
"""One that is not given is drawn below this."""


class Reboots(Protocol):
    """:class:`ccwemu.lab.host.Host`."""

    def reboot(self, ipl: Ipl) -> Boot: ...


def serve(host: Reboots, message: Message) -> Message:
    """What the daemon does. Raises Refusal."""
    from ccwemu.machine.ipl import Ipl

    seed = message.get("seed")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise Refusal("EINVAL", f"reboot: seed must be a number of at least 0, is {seed!r}")
    boot = host.reboot(Ipl(seed, message.get("renumber") is True))
    return {"ok": True, "tally": vars(boot.tally), "lines": list(boot.lines)}


def main(rest: Sequence[str]) -> int:
    """What the command does. Returns the exit status."""
    import os

    from ccwemu.clitools import fail
    from ccwemu.lab import lines, state

    arguments = make_parser().parse_args(rest)
    found = state.lab_of_host(arguments.node, arguments.lab)
    seed = arguments.seed if arguments.seed is not None else secrets.randbelow(SEEDS)
    request = {"op": "reboot", "node": arguments.node, "seed": seed, "renumber": arguments.renumber}
    try:
        answer = lines.ask(os.path.join(state.lab_directory(found.lab), "control.sock"), request)
    except (OSError, lines.Refusal) as error:
        return fail(f"host {arguments.node}: reboot with seed {seed}: {error}")
    for line in answer["lines"] if arguments.verbose else ():
        print(line)
    tally = answer["tally"]
    print(
        f"host {arguments.node} has rebooted: seed {seed}, {tally['events']} uevents, "
        f"{tally['programs']} programs run, {tally['failed']} of them failed"
    )
    return 0


def make_parser() -> Parser:
    from ccwemu.clitools import parser_of

    parser = parser_of(
        "reboot",
        "Reboot a host: its kernel's state is gone, its file systems and disks stay. The order of uevents, and which "
        "devices answer late, is drawn from a seed.",
        "ccwemu reboot lpar1\nccwemu reboot lpar1 --seed 7 --verbose",
    )
    parser.add_argument("node", metavar="HOST")
    parser.add_argument("--lab", metavar="LAB", help="default: the lab that has the host")
    parser.add_argument("--seed", metavar="N", type=_seed, help="draw as a reboot did that has printed this seed")
    parser.add_argument("--renumber", action="store_true", help="have devices on other subchannels than before")
    parser.add_argument("--verbose", action="store_true", help="print what userspace did, in order")
    return parser


def _seed(text: str) -> int:
    import argparse

    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number of at least 0")
    return int(text)

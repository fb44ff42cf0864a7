# SPDX-License-Identifier: GPL-2.0-or-later
"""``ccwemu fault``: have a device of an emulated host meet a fault, wherever its programs are executed."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ccwemu.clitools import fail, parser_of
from ccwemu.faults.model import (
    ANY_COMMAND,
    SENSES,
    Fault,
    FaultError,
    Kind,
    parse_command,
    parse_count,
    parse_sense,
)
from ccwemu.usage import Parser

Parsed = TypeVar("Parsed")

_HELP = {
    "unit-check": "starts end with unit check and these sense bytes",
    "lost-interrupt": "programs are carried out, their interruption never comes",
    "remove": "the device is not there any more",
    "restore": "it is there again",
    "list": "what is still to come",
    "clear": "forget what is armed",
}


_OPTIONS = {"unit-check": " --sense equipment-check --count 11", "lost-interrupt": " --after 10"}


def _example(kind: str) -> str:
    return f"ccwemu fault lpar1 0.0.7e52 {kind}{_OPTIONS.get(kind, '')}"


EXAMPLES = "\n".join(_example(kind) for kind in _HELP)


def parse_device(text: str) -> str:
    """A device number, in the kernel's form. Raises FaultError."""
    if not re.fullmatch(r"[0-9a-f]{1,2}\.[0-3]\.[0-9a-f]{4}", text.lower()):
        raise FaultError(f"found {text!r}, expected a device number of the host, as 0.0.7e52")
    return text.lower()


def _checked(parse: Callable[[str], Parsed]) -> Callable[[str], Parsed]:
    """A parser of the fault's parts as a type of argparse."""

    def convert(text: str) -> Parsed:
        try:
            return parse(text)
        except FaultError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def make_parser() -> Parser:
    parser = parser_of(
        "fault",
        "Have a device of an emulated host meet a fault, be it used by the host or by a guest. "
        f"KIND is one of: {', '.join(_HELP)}.",
        EXAMPLES,
    )
    parser.add_argument("--lab", metavar="LAB", help="default: the lab that has the host")
    parser.add_argument("host", metavar="HOST")
    parser.add_argument(
        "device", metavar="DEVICE", type=_checked(parse_device), help="its number on the host: 0.0.7e52"
    )
    actions = parser.add_subparsers(dest="action", metavar="KIND", required=True)
    for name, text in _HELP.items():
        action = actions.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}.", examples=_example(name)
        )
        if name in (Kind.UNIT_CHECK.word, Kind.LOST_INTERRUPT.word):
            _add_starts(action)
        if name == Kind.UNIT_CHECK.word:
            action.add_argument(
                "--sense", type=_checked(parse_sense), required=True, metavar="HEX|NAME",
                help=f"sense bytes, filled up with zeros to 24 or 32; or one of {', '.join(SENSES)}",
            )  # fmt: skip
    return parser


def _add_starts(action: Parser) -> None:
    def count(lowest: int) -> Callable[[str], int]:
        return _checked(lambda text: parse_count(text, lowest))

    action.add_argument(
        "--command", type=_checked(parse_command), default=ANY_COMMAND, metavar="XX",
        help="only starts that execute this command; default: any but Basic Sense",
    )  # fmt: skip
    action.add_argument("--count", type=count(1), default=1, metavar="N", help="starts that meet it (1)")
    action.add_argument("--after", type=count(0), default=0, metavar="N", help="starts that pass before (0)")


def make_request(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the lab's daemon is asked."""
    request = {"op": "fault", "node": arguments.host, "device": arguments.device, "action": arguments.action}
    kinds = {kind.word: kind for kind in Kind}
    if arguments.action in kinds:
        sense = getattr(arguments, "sense", Fault(Kind.LOST_INTERRUPT).sense)
        fault = Fault(kinds[arguments.action], arguments.command, arguments.after, arguments.count, sense)
        request |= {"action": "arm", "fault": fault.to_message()}
    return request


def describe(request: dict[str, Any], answer: dict[str, Any], lab: str | None = None) -> str:
    """What the user is told of an answer. ``lab``: the one that was named on the command line."""
    device = f"device {request['device']}"
    again = f"ccwemu fault {f'--lab {lab} ' if lab else ''}{request['node']} {request['device']}"
    count = answer.get("cleared")
    return {
        "arm": f"{device}: armed {answer.get('fault')}; take it back with: {again} clear",
        "list": "\n".join(answer.get("lines") or [f"{device}: nothing is pending"]),
        "clear": f"{device}: {count} fault{'' if count == 1 else 's'} cleared",
        "remove": f"{device}: is away; bring it back with: {again} restore",
        "restore": f"{device}: is there again",
    }[str(request["action"])]


def main(argv: Sequence[str]) -> int:
    """Returns the exit status: 0 done, 1 refused. Raises StateError; wrong usage ends the process with 2."""
    arguments = make_parser().parse_args(argv)
    from ccwemu.lab import lines, state

    found = state.lab_of_host(arguments.host, arguments.lab)
    request = make_request(arguments)
    try:
        answer = lines.ask(os.path.join(state.lab_directory(found.lab), "control.sock"), request)
    except (OSError, lines.Refusal) as error:
        return fail(f"host {arguments.host}: {error}")
    print(describe(request, answer, arguments.lab))
    return 0

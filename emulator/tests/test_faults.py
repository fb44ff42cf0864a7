# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults as users write them, as they travel, and the account that is kept of them."""

from __future__ import annotations

from typing import Any

import pytest

from ccwemu.faultcli import describe, make_parser, make_request
from ccwemu.faults.board import Board
from ccwemu.faults.model import (
    ANY_COMMAND,
    SENSES,
    SLOTS,
    Fault,
    FaultError,
    Kind,
    describe_sense,
    from_message,
    parse_sense,
)
from ccwemu.lab.faults import subchannel_of
from ccwemu.lab.lines import Refusal
from ccwemu.machine.dasd.recovery import recoverable
from ccwemu.machine.spec import MachineSpec, SubchannelSpec

SCH = "0.0.16ca"

SENSE = [
    ("equipment-check", "10" + "00" * 26 + "80" + "00" * 4),
    ("80", "80" + "00" * 26 + "80" + "00" * 4),
    ("0000 10", "000010" + "00" * 24 + "80" + "00" * 4),
    ("11" * 24, "11" * 24 + "00" * 3 + "80" + "00" * 4),
    ("11" * 25, "11" * 25 + "00" * 7),
    ("AB" * 32, "ab" * 32),
]


@pytest.mark.parametrize(("text", "found"), SENSE)
def test_sense_bytes(text: str, found: str) -> None:
    """Up to 24 bytes are marked as of the 24-byte format (byte 27)."""
    assert parse_sense(text).hex() == found


DESCRIBED = [
    *[(name, f"{name} ({digits})") for name, digits in SENSES.items()],
    ("90", "command-reject, equipment-check (90)"),
    ("01", "01"),
    ("00", "00"),
    ("11" * 25, f"equipment-check, environmental ({'11' * 25})"),
]


@pytest.mark.parametrize(("text", "said"), DESCRIBED)
def test_what_sense_bytes_say(text: str, said: str) -> None:
    assert describe_sense(parse_sense(text)) == said


USAGE = [
    ("7e52 list", "argument DEVICE: found '7e52', expected a device number of the host, as 0.0.7e52"),
    ("0.4.7e52 list", "argument DEVICE: found '0.4.7e52', expected a device number"),
    ("0.0.7e52", "the following arguments are required: KIND"),
    ("0.0.7e52 burn", "argument KIND: invalid choice: 'burn'"),
    ("0.0.7e52 unit-check", "the following arguments are required: --sense"),
    ("0.0.7e52 unit-check --sense", "argument --sense: expected one argument"),
    (
        "0.0.7e52 unit-check --sense bad",
        "argument --sense: found 'bad', expected up to 32 bytes as hexadecimal",
    ),
    (f"0.0.7e52 unit-check --sense {'00' * 33}", "argument --sense: found 33 bytes, expected 1 to 32"),
    ("0.0.7e52 unit-check --sense 10 --command 186", "argument --command: found '186', expected a command code of two"),
    ("0.0.7e52 unit-check --sense 10 --command xy", "argument --command: found 'xy', expected a command code of two"),
    ("0.0.7e52 lost-interrupt --count 0", "argument --count: found '0', expected a number from 1 to 4294967295"),
    ("0.0.7e52 lost-interrupt --count 4294967296", "argument --count: found '4294967296', expected a number from 1"),
    ("0.0.7e52 lost-interrupt --after=-1", "argument --after: found '-1', expected a number from 0"),
    ("0.0.7e52 lost-interrupt --sense 10", "unrecognized arguments: --sense 10"),
    ("0.0.7e52 remove --count 2", "unrecognized arguments: --count 2"),
]


@pytest.mark.parametrize(("words", "message"), USAGE)
def test_wrong_usage(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        make_parser().parse_args(["lpar1", *words.split()])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    example = said.rpartition("examples:\n" if "examples:" in said else "example:\n")[2].splitlines()[0]
    assert example.startswith("  ccwemu fault lpar1 0.0.7e52 ")
    make_parser().parse_args(example.split()[2:])


REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("unit-check --sense 10", {"kind": 0, "command": ANY_COMMAND, "skip": 0, "left": 1}),
    ("unit-check --sense 10 --command 86 --count 3 --after 2", {"kind": 0, "command": 0x86, "skip": 2, "left": 3}),
    ("lost-interrupt --command e4", {"kind": 1, "command": 0xE4, "skip": 0, "left": 1}),
]


@pytest.mark.parametrize(("words", "fault"), REQUESTS)
def test_requests(words: str, fault: dict[str, Any]) -> None:
    request = make_request(make_parser().parse_args(["lpar1", "0.0.7E52", *words.split()]))
    assert (request["action"], request["node"], request["device"]) == ("arm", "lpar1", "0.0.7e52")
    assert fault.items() <= request["fault"].items()
    assert from_message(request["fault"]).to_message() == request["fault"]


def test_what_a_user_is_told() -> None:
    request = {"action": "list", "node": "lpar1", "device": "0.0.7e52"}
    assert describe(request, {"lines": []}) == "device 0.0.7e52: nothing is pending"
    assert describe({**request, "action": "clear"}, {"cleared": 1}) == "device 0.0.7e52: 1 fault cleared"
    fault = Fault(Kind.UNIT_CHECK, 0x86, 2, 1, parse_sense("10"), 7)
    assert str(fault) == "7: unit-check, sense equipment-check (10), command 86, after 2 starts, 1 start left"
    armed = describe({**request, "action": "arm"}, {"fault": "1: lost-interrupt, 1 start left"}, "mine")
    assert armed == (
        "device 0.0.7e52: armed 1: lost-interrupt, 1 start left; take it back with: "
        "ccwemu fault --lab mine lpar1 0.0.7e52 clear"
    )
    away = describe({**request, "action": "remove"}, {})
    assert away == "device 0.0.7e52: is away; bring it back with: ccwemu fault lpar1 0.0.7e52 restore"
    assert str(Fault(Kind.LOST_INTERRUPT, left=2, identity=8)) == "8: lost-interrupt, 2 starts left"


BROKEN: list[dict[str, Any]] = [
    {},
    {"id": "1"},
    {"kind": 2},
    {"command": 0x101},
    {"left": 0},
    {"left": True},
    {"skip": -1},
    {"sense": [256] * 32},
    {"sense": [0] * 31},
    {"sense": None},
]


@pytest.mark.parametrize("change", BROKEN)
def test_messages_that_are_no_fault(change: dict[str, Any]) -> None:
    good = Fault(Kind.UNIT_CHECK, identity=1).to_message()
    with pytest.raises(FaultError, match="expected id, kind, command, skip, left, sense of a fault"):
        from_message({**good, **change} if change else {})


class Recorder:
    """Who executes a device's programs: notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def arm(self, fault: Fault) -> None:
        self.told.append(f"arm {fault.identity}")

    def disarm(self) -> None:
        self.told.append("disarm")

    def set_device_valid(self, valid: bool) -> None:
        self.told.append(f"valid {valid}")


def test_a_fault_goes_along_from_one_user_to_the_next() -> None:
    board, host, guest = Board(), Recorder(), Recorder()
    board.arm(SCH, Fault(Kind.LOST_INTERRUPT, left=3))
    assert [fault.identity for fault in board.attach(SCH, host)] == [1]
    board.arm(SCH, Fault(Kind.LOST_INTERRUPT))
    assert host.told == ["arm 2"]
    board.counted(SCH, 1, 0, 1)
    board.counted(SCH, 2, 0, 0)
    board.detach(SCH, host)
    assert [(fault.identity, fault.left) for fault in board.attach(SCH, guest)] == [(1, 1)]
    board.detach(SCH, host)  # a late end of the one before changes nothing
    board.set_removed(SCH, True)
    assert guest.told == ["valid False"]
    assert board.clear(SCH) == 1
    assert guest.told == ["valid False", "disarm"]
    board.counted(SCH, 1, 0, 1)
    assert board.pending(SCH) == []


def test_as_many_as_a_device_can_have() -> None:
    board = Board()
    for _ in range(SLOTS):
        board.arm(SCH, Fault(Kind.LOST_INTERRUPT))
    with pytest.raises(FaultError, match="16 faults are armed on it, as many as can be"):
        board.arm(SCH, Fault(Kind.LOST_INTERRUPT))
    board.arm("0.0.0001", Fault(Kind.LOST_INTERRUPT))


def test_removed_once() -> None:
    board = Board()
    assert [board.set_removed(SCH, away) for away in (False, True, True, False)] == [False, True, False, True]


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        (0, "it has: none"),
        (2, "it has: 0.0.0000, 0.0.0001"),
        (12, "0.0.0008, 0.0.0009 and 2 more (lscss)"),
    ],
)
def test_a_device_that_the_host_has_not(devices: int, said: str) -> None:
    numbers = [f"0.0.{number:04x}" for number in range(devices)]
    spec = MachineSpec("lpar1", subchannels=tuple(SubchannelSpec(number, devno=number) for number in numbers))
    with pytest.raises(Refusal) as refusal:
        subchannel_of(spec, "0.0.7e52")
    assert str(refusal.value).startswith("device 0.0.7e52: there is no such device; it has: ")
    assert str(refusal.value).endswith(said)


RETRIED = {"intervention-required", "bus-out-check", "equipment-check", "data-check", "overrun", "environmental"}


@pytest.mark.parametrize("name", SENSES)
def test_what_the_dasd_driver_tries_again(name: str) -> None:
    assert recoverable(parse_sense(name)) is (name in RETRIED)

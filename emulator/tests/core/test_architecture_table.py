# SPDX-License-Identifier: GPL-2.0-or-later
"""The architecture as a table (architecture/*.txt): channel program, storage before, ending, sense, storage after.

Each row holds for the C core and for the reference interpreter.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from reference.subchannel import DEFERRED_CC_3, Status
from reference.table import FORMAT_1, Row, read_table, value
from reference.twins import PROGRAM, Image, Twins

from ccwemu.channel import build_orb

TABLES = sorted((Path(__file__).parent / "architecture").glob("*.txt"))
ROWS = [row for path in TABLES for row in read_table(path)]
# storage, where a row says nothing else, is as it was before


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    image = Image(tmp_path_factory.mktemp("table") / "disk.ckd")
    yield image
    image.image.close()


def ending(status: Status) -> str:
    """As the table writes it."""
    at = f"@{(status.ccw_address - PROGRAM) // 8 - 1}"
    if status.flags & DEFERRED_CC_3:
        return "not operational"
    if status.suspended:
        return f"suspended {at}"
    check = status.status & 0x3F
    count = "-" if check else str(status.count)
    sense = f" !{status.sense[0]:02x}{status.sense[1]:02x}{status.sense[7]:02x}" if status.sense else ""
    return f"{status.device_status:02X} {status.status:02X} {count} {at}{sense}"


def run(twins: Twins, row: Row, swap_format: bool) -> tuple[Status, list[int]]:
    for program in row.programs:
        word = program.word ^ FORMAT_1 if swap_format else program.word
        placed, addresses = program.place(bool(word & FORMAT_1))
        for address, data in placed:
            twins.load(address, data)
        status = twins.start(build_orb(program.start, lpm=0, flags=word), program.host)
    return status, addresses


def check_storage(twins: Twins, row: Row, addresses: list[int]) -> None:
    """What the row names has come, and where it names nothing nothing has."""
    expected = {f"{i}": ccw.area for i, ccw in enumerate(row.programs[-1].ccws) if ccw.stores}
    for statement in row.after:
        name, _, content = statement.partition("=")
        if name.startswith("R"):
            check_record(twins, name[1:], value(content) if content else b"")
        elif name.startswith("T"):
            check_track(twins, name[1:], content)
        elif len(name) > 2:
            data = value(content)
            assert read(twins, int(name, 16), len(data)) == data.hex(), statement
        else:
            data = value(content)
            expected[name] = data + expected[name][len(data) :]
    for name, data in expected.items():
        assert read(twins, addresses[int(name)], len(data)) == data.hex(), f"area of CCW {name}"


def read(twins: Twins, address: int, size: int) -> str:
    """Hex; areas may meet in between."""
    result = b""
    while size:
        area = next(a for a in twins.areas if a.start <= address < a.start + len(a.content))
        piece = bytes(area.content[address - area.start :][:size])
        address, size, result = address + len(piece), size - len(piece), result + piece
    return result.hex()


def check_record(twins: Twins, at: str, content: bytes) -> None:
    """Key and data of a record: the one with this index on its track."""
    cylinder, head, index = (int(part) for part in at.split("/"))
    block = twins.image.image.read_track(cylinder, head)[index]
    assert (block.key + block.data) == content, f"record {at}"


def check_track(twins: Twins, at: str, numbers: str) -> None:
    cylinder, head = (int(part) for part in at.split("/"))
    found = [record.number for record in twins.image.image.read_track(cylinder, head)]
    assert found == [int(number) for number in numbers.split(",")], f"records of {at}"


def test_the_table_has_its_size() -> None:
    assert len(ROWS) >= 300
    assert all(row.rule for row in ROWS), "each row stands under the rule that it shows"


@pytest.mark.parametrize("row", [pytest.param(row, id=row.where) for row in ROWS])
def test_row(image: Image, row: Row) -> None:
    for swap_format in (False, True) if row.programs[-1].both else (False,):
        twins = Twins(image, read_only=row.read_only, hosts=2, concurrent_sense=row.concurrent_sense)
        status, addresses = run(twins, row, swap_format)
        assert ending(status) == row.ending, f"{row.rule}, format {0 if swap_format else 1}"
        check_storage(twins, row, addresses)

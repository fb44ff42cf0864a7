# SPDX-License-Identifier: GPL-2.0-or-later
"""Look into disk images: are they whole (``ccwemu disk check``), and what is on a track (``ccwemu disk dump``).

Nothing here writes to an image, except :func:`recover`, which does what the next opening for writing would do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from ccwemu import channel
from ccwemu.disk import DiskError

HEADER_SIZE = 512
TRACK_SIZE = 56832
HOME_ADDRESS_SIZE = 5
COUNT_SIZE = 8
END_OF_TRACK = b"\xff" * 8
MOST_PROBLEMS = 20
_WIDTH = 16


@dataclass(frozen=True)
class Report:
    """``damaged`` is the number of damaged tracks, ``problems`` describes the first of them, a line for each."""

    path: str
    cylinders: int
    heads: int
    damaged: int
    problems: tuple[str, ...]
    journal: int
    """Bytes behind the tracks: the journal of a program that has the image open for writing, or was killed."""


@dataclass(frozen=True)
class Track:
    """``cylinder/head`` or ``cylinder/head/record``, as users name a track or a record."""

    cylinder: int
    head: int
    record: int | None = None

    @classmethod
    def parse(cls, text: str) -> Track:
        """Raises ValueError."""
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(part.isascii() and part.isdigit() for part in parts):
            raise ValueError(f"{text!r}: expected CYLINDER/HEAD or CYLINDER/HEAD/RECORD, in decimal, such as 0/0/3")
        return cls(*(int(part) for part in parts))


def _open(path: str) -> channel.Image:
    """Raises DiskError for what is no image, whatever its tracks."""
    try:
        return channel.Image.open(path, damaged=True)
    except channel.ImageError as error:
        raise DiskError(str(error)) from error


def check(path: str | os.PathLike[str]) -> Report:
    """Look at every record of every track. Raises DiskError when the file as a whole is no image."""
    target = os.fspath(path)
    image = _open(target)
    try:
        damaged, problems = image.problems(MOST_PROBLEMS)
        tracks_end = HEADER_SIZE + image.cylinders * image.heads * TRACK_SIZE
        return Report(
            path=target,
            cylinders=image.cylinders,
            heads=image.heads,
            damaged=damaged,
            problems=tuple(f"{problem.problem} (at byte {problem.offset})" for problem in problems),
            journal=os.stat(target).st_size - tracks_end,
        )
    except OSError as error:
        raise DiskError(f"{target}: {error.strerror}") from error
    finally:
        image.close()


def recover(path: str | os.PathLike[str]) -> None:
    """Finish the track that a killed writer left unfinished, and cut its journal off. Raises DiskError."""
    try:
        channel.Image.open(path).close()
    except channel.ImageError as error:
        raise DiskError(str(error)) from error


def dump(path: str | os.PathLike[str], track: Track) -> Iterator[str]:
    """Lines that show a track, or the records of one number on it. Raises DiskError, also behind the lines that could
    be shown of a damaged track."""
    target = os.fspath(path)
    image = _open(target)
    try:
        raw = image.read_raw(track.cylinder, track.head)
    except IndexError as error:
        raise DiskError(f"{target}: {error}") from error
    except channel.ImageError as error:
        raise DiskError(str(error)) from error
    finally:
        image.close()
    if track.record is None:
        yield f"home address: {raw[:HOME_ADDRESS_SIZE].hex(' ', -2)}"
    numbers, damage = [], ""
    for offset, record in _records(raw):
        if record is None:
            damage = (
                f"{target}: {track.cylinder}/{track.head}: no record and no end of the track at byte {offset} of it"
            )
            break
        numbers.append(record[4])
        if track.record in (None, record[4]):
            yield from _show(offset, record)
    if damage:
        raise DiskError(f"{damage}; ccwemu disk check says more")
    if track.record is not None and track.record not in numbers:
        there = ", ".join(map(str, numbers))
        raise DiskError(f"{target}: {track.cylinder}/{track.head} has no record {track.record}; there are {there}")


def _records(raw: bytes) -> Iterator[tuple[int, bytes | None]]:
    """Offset and bytes of each record; None where neither a record nor the end of the track is."""
    offset = HOME_ADDRESS_SIZE
    while raw[offset : offset + COUNT_SIZE] != END_OF_TRACK:
        count = raw[offset : offset + COUNT_SIZE]
        size = COUNT_SIZE + count[5] + int.from_bytes(count[6:8], "big") if len(count) == COUNT_SIZE else 0
        if not size or offset + size > len(raw) - len(END_OF_TRACK):
            yield offset, None
            return
        yield offset, raw[offset : offset + size]
        offset += size


def _show(offset: int, record: bytes) -> Iterator[str]:
    """The count field in words and in hexadecimal; key and data in hexadecimal, EBCDIC and ASCII."""
    key, data = record[5], int.from_bytes(record[6:8], "big")
    yield f"record {record[4]} at byte {offset}: count {record[:COUNT_SIZE].hex(' ', -2)}, key {key}, data {data}"
    for name, content in (("key", record[COUNT_SIZE : COUNT_SIZE + key]), ("data", record[COUNT_SIZE + key :])):
        yield from (f"  {name:4} {line}" for line in _hexadecimal(content))


def _hexadecimal(content: bytes) -> Iterator[str]:
    """16 bytes a line; a * stands for lines that are as the one before."""
    before = b""
    for start in range(0, len(content), _WIDTH):
        line = content[start : start + _WIDTH]
        last = start + _WIDTH >= len(content)
        if line != before or last:
            yield f"{start:04x}  {line.hex(' ', -4):<35}  |{_text(line, 'cp037')}|  |{_text(line, 'latin-1')}|"
        elif content[start - 2 * _WIDTH : start - _WIDTH] != line or start < 2 * _WIDTH:
            yield "*"
        before = line


def _text(line: bytes, code: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "." for c in line.decode(code)).ljust(_WIDTH)

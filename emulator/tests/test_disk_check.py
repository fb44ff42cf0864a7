# SPDX-License-Identifier: GPL-2.0-or-later
"""``ccwemu disk check``, ``dump`` and ``recover``: what is wrong with an image, and what is on it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from ccwemu import channel, cli, disk

HEADER, TRACK = 512, 56832
TRACK_1 = HEADER + TRACK
RECORDS = [channel.Record(0, 1, n, b"KEY%d" % n, b"data of %d" % n) for n in (1, 2, 3)]
R0 = channel.Record(0, 1, 0, b"", bytes(8))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A cylinder; on its second track three records with keys, of 21 bytes each from byte 21 of it on."""
    path = tmp_path / "disk.ckd"
    disk.create(path, 1, layout="unformatted")
    with channel.Image.open(path) as image:
        image.write_track(0, 1, [R0, *RECORDS])
    return path


def patch(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, list[str]]:
    """Exit status and the lines of both outputs."""
    try:
        status = cli.main(["disk", *map(str, words)])
    except SystemExit as end:
        status = int(str(end.code))
    captured = capsys.readouterr()
    return status, (captured.out + captured.err).splitlines()


def test_a_sound_image(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "check", path) == (0, [f"{path}: 1 cylinders, 15 tracks, all sound"])


DAMAGE = [
    ("home address", TRACK_1 + 4, b"\x09", "cylinder 0 head 1: home address 0000 0009, expected 0000 0001", TRACK_1),
    ("record 0", TRACK_1 + 5, b"\xff" * 8, "cylinder 0 head 1: no record 0 after the home address", TRACK_1 + 5),
    ("length of a record", TRACK_1 + 42 + 6, b"\xff\xff", "cylinder 0 head 1: record 2 of the track (number 2, 4 bytes "
     "of key, 65535 of data) runs over the end of the track", TRACK_1 + 42),
    ("more than a track holds", TRACK_1 + 42 + 6, b"\xdd\xa0",
     "cylinder 0 head 1: record 2 of the track is more than a 3390 track holds", TRACK_1 + 42),
    ("no end", TRACK_1 + 84, bytes(8), "cylinder 0 head 1: record ", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("offset", "data", "problem", "at"), [row[1:] for row in DAMAGE], ids=[row[0] for row in DAMAGE]
)
def test_damage_is_told_with_its_place(
    path: Path, capsys: pytest.CaptureFixture[str], offset: int, data: bytes, problem: str, at: int | None
) -> None:
    patch(path, offset, data)
    before = path.read_bytes()
    status, lines = run(capsys, "check", path)
    assert (status, len(lines)) == (1, 2)
    assert lines[0].startswith(problem)
    assert at is None or lines[0] == f"{problem} (at byte {at})"
    assert lines[1] == f"{path}: 1 cylinders, 15 tracks, 1 damaged; restore them from a copy"
    assert path.read_bytes() == before


def test_a_track_without_an_end(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Records of nothing up to the last byte of the track."""
    patch(path, TRACK_1 + 21, bytes(TRACK - 21))
    status, lines = run(capsys, "check", path)
    assert status == 1
    assert "is more than a 3390 track holds" in lines[0]


def test_many_damaged_tracks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "disk.ckd"
    disk.create(path, 2, layout="unformatted")
    for track in range(3, 30):
        patch(path, HEADER + TRACK * track + 1, b"\xaa")
    status, lines = run(capsys, "check", path)
    assert (status, len(lines)) == (1, 22)
    assert lines[0].startswith("cylinder 0 head 3: home address")
    assert lines[20] == "and 7 more damaged tracks"


WHOLE = [
    ("nothing", b"", "truncated: 0 bytes"),
    ("another file", b"no disk at all" * 1000, "does not begin with CKD_P370"),
]


@pytest.mark.parametrize("action", ["check", "info"])
@pytest.mark.parametrize(("content", "problem"), [row[1:] for row in WHOLE], ids=[row[0] for row in WHOLE])
def test_what_is_no_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, problem: str, action: str
) -> None:
    (tmp_path / "disk").write_bytes(content)
    status, lines = run(capsys, action, tmp_path / "disk")
    assert status == 1
    assert str(tmp_path / "disk") in lines[0]
    assert problem in lines[0]


def test_a_truncated_image(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.truncate(path, path.stat().st_size - 1)
    before = path.read_bytes()
    status, lines = run(capsys, "check", path)
    assert (status, len(lines)) == (1, 1)
    assert "truncated: the file ends after 14 tracks and 56831 bytes" in lines[0]
    assert path.read_bytes() == before


# --- an image whose writer was killed


def kill_a_writer(path: Path) -> None:
    pid = os.fork()
    if not pid:
        image = channel.Image.open(path)
        image.write_track(0, 5, [channel.Record(0, 5, 0, b"", bytes(8)), channel.Record(0, 5, 9, b"", b"new")])
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)


def test_the_journal_of_a_killed_writer(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = path.stat().st_size
    kill_a_writer(path)
    status, lines = run(capsys, "check", path)
    assert (status, len(lines)) == (0, 2)
    assert lines[0].startswith("journal:")
    assert f"ccwemu disk recover {path} removes it" in lines[0]
    assert run(capsys, "recover", path) == (0, [])
    assert path.stat().st_size == size
    assert run(capsys, "check", path) == (0, [f"{path}: 1 cylinders, 15 tracks, all sound"])


def test_a_living_writer_keeps_its_journal(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with channel.Image.open(path) as image:
        image.write_track(0, 1, [R0])
        size = path.stat().st_size
        assert run(capsys, "check", path)[0] == 0
        status, lines = run(capsys, "recover", path)
        assert status == 1
        assert "in use: another program has the image open for writing" in lines[0]
        assert path.stat().st_size == size


# --- dump


def test_a_track(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, lines = run(capsys, "dump", path, "0/1")
    assert status == 0
    assert lines[:3] == [
        "home address: 0000 0000 01",
        "record 0 at byte 5: count 0000 0001 0000 0008, key 0, data 8",
        "  data 0000  00000000 00000000                    |........        |  |........        |",
    ]
    assert [line for line in lines if line.startswith("record ")][1:] == [
        f"record {n} at byte {21 * n}: count 0000 0001 {n:02x}04 0009, key 4, data 9" for n in (1, 2, 3)
    ]


def test_a_record(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "dump", path, "0/1/2") == (
        0,
        [
            "record 2 at byte 42: count 0000 0001 0204 0009, key 4, data 9",
            "  key  0000  4b455932                             |....            |  |KEY2            |",
            "  data 0000  64617461 206f6620 32                 |././.?...       |  |data of 2       |",
        ],
    )


def test_a_label_is_readable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    disk.create(tmp_path / "disk", 1, volser="0X7E52")
    lines = run(capsys, "dump", tmp_path / "disk", "0/0/3")[1]
    assert "|VOL10X7E52 .....|" in lines[2]
    assert "  data *" in lines


NOT_THERE = [
    ("cylinder", "1/0", 1, "no track at cylinder 1 head 0: the disk has 1 cylinders of 15 heads"),
    ("head", "0/15", 1, "no track at cylinder 0 head 15"),
    ("record", "0/1/7", 1, "0/1 has no record 7; there are 0, 1, 2, 3"),
    ("one number", "5", 2, "'5': expected CYLINDER/HEAD or CYLINDER/HEAD/RECORD, in decimal, such as 0/0/3"),
    ("no number", "0/x", 2, "'0/x': expected CYLINDER/HEAD"),
    ("beyond all bounds", "99999999999999999999/0", 1, "no track"),
]


@pytest.mark.parametrize(
    ("track", "status", "problem"), [row[1:] for row in NOT_THERE], ids=[row[0] for row in NOT_THERE]
)
def test_what_is_not_there(
    path: Path, capsys: pytest.CaptureFixture[str], track: str, status: int, problem: str
) -> None:
    found, lines = run(capsys, "dump", path, track)
    assert found == status
    assert problem in "\n".join(lines)


def test_a_damaged_track_is_shown_as_far_as_it_goes(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    patch(path, TRACK_1 + 42 + 6, b"\xff\xff")
    status, lines = run(capsys, "dump", path, "0/1")
    assert status == 1
    assert [line[:8] for line in lines if line.startswith("record")] == ["record 0", "record 1"]
    assert lines[-1].endswith("0/1: no record and no end of the track at byte 42 of it; ccwemu disk check says more")


# --- Hercules


def hercules(name: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed (Debian package hercules)")
    return found


def test_an_image_of_dasdinit_is_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "disk"
    subprocess.run([hercules("dasdinit"), "-linux", path, "3390", "HERC01", "5"], check=True, capture_output=True)
    assert run(capsys, "check", path) == (0, [f"{path}: 5 cylinders, 75 tracks, all sound"])
    lines = run(capsys, "info", path)[1]
    assert lines[1:] == [
        "geometry:   5 cylinders, 15 heads",
        "layout:     compatible disk layout",
        "blocks:     900 of 4096 bytes",
        "volume:     HERC01",
    ]


def test_hercules_refuses_an_image_with_a_journal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Never reads it wrong: the file's size is not that of whole tracks. Recovered, it reads what was written."""
    path = tmp_path / "disk"
    disk.create(path, 5, volser="0X7E52")
    kill_a_writer(path)
    refused = subprocess.run([hercules("dasdls"), path], capture_output=True, text=True, check=False)
    assert "CKD initialization failed" in refused.stdout + refused.stderr
    assert "VOLSER" not in refused.stdout
    copied = subprocess.run(
        [hercules("dasdcopy"), path, tmp_path / "copy"], capture_output=True, text=True, check=False
    )
    assert "CKD initialization failed" in copied.stdout + copied.stderr
    assert run(capsys, "recover", path)[0] == 0
    listed = subprocess.run([hercules("dasdls"), path], capture_output=True, text=True, check=True)
    assert "VOLSER=0X7E52" in listed.stdout


def test_no_journal_makes_an_image_look_larger() -> None:
    """Whatever the number of cylinders: Hercules wants whole cylinders behind the header."""
    cylinder = 15 * TRACK
    for cylinders in range(1, 65521):
        size = HEADER + cylinders * cylinder
        page = (size + 4095) // 4096 * 4096
        for journal in (page + 4096, page + 4096 + 57344):
            assert (journal - HEADER) % TRACK

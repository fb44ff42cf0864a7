# SPDX-License-Identifier: GPL-2.0-or-later
"""How a face answers system calls: what was measured on sysfs of Linux 6.1 and 6.12, row by row.

The probes run inside a node, on a small tree; those that change nothing run on the real /sys of this machine as well.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ccwemu.faces.fuse import TreeFace
from ccwemu.faces.rules import Wiring
from ccwemu.faces.sysfs import sysfs_face
from ccwemu.machine.tree import Attribute, Directory, Link
from ccwemu.namespace import root as node_root
from ccwemu.namespace.launch import NodeSpec, launch
from ccwemu.namespace.unshare import choose_id_map

SOURCES = str(Path(node_root.__file__).parents[2])


@dataclass(frozen=True)
class Row:
    """One system call and what it answers: a value, or the name of an errno.

    ``safe``: changes nothing, so that it can be asked of the machine's own /sys too.
    """

    name: str
    code: str
    expected: Any
    safe: bool = False


ROWS = [
    Row("read a 0200 attribute", "os.open(WO, os.O_RDONLY)", "EACCES", True),
    Row("read and write a 0200 attribute", "os.open(WO, os.O_RDWR)", "EACCES", True),
    Row("write a 0444 attribute", "os.open(RO, os.O_WRONLY)", "EACCES", True),
    Row("read and write a 0444 attribute", "os.open(RO, os.O_RDWR)", "EACCES", True),
    Row("open a missing attribute", "os.open(D + '/none', os.O_WRONLY)", "ENOENT", True),
    Row("create a missing attribute", "os.open(D + '/none', os.O_WRONLY | os.O_CREAT, 0o644)", "EACCES", True),
    Row("a shell's > on it", "os.open(D + '/none', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)", "EACCES", True),
    Row("create in a missing directory", "os.open(D + '/none/x', os.O_WRONLY | os.O_CREAT)", "ENOENT", True),
    Row("O_CREAT|O_TRUNC of an attribute that is there", "closed(os.open(RW, os.O_WRONLY|os.O_CREAT|os.O_TRUNC))", 0),
    Row("O_APPEND", "closed(os.open(RW, os.O_WRONLY | os.O_APPEND))", 0),
    Row("O_CREAT|O_EXCL", "os.open(RO, os.O_RDONLY | os.O_CREAT | os.O_EXCL)", "EEXIST", True),
    Row("O_TMPFILE", "os.open(D, os.O_WRONLY | os.O_TMPFILE, 0o600)", "ENOTSUP", True),
    Row("O_DIRECT", "os.open(RO, os.O_RDONLY | os.O_DIRECT)", "EINVAL", True),
    Row("a directory for writing", "os.open(D, os.O_WRONLY)", "EISDIR", True),
    Row("mkdir", "os.mkdir(D + '/new')", "EPERM", True),
    Row("rmdir", "os.rmdir(SUB)", "EPERM"),
    Row("unlink", "os.unlink(RO)", "EPERM"),
    Row("symlink", "os.symlink('x', D + '/new')", "EPERM", True),
    Row("link", "os.link(RO, D + '/new')", "EPERM", True),
    Row("rename", "os.rename(RO, D + '/new')", "EPERM"),
    Row("mknod of a file", "os.mknod(D + '/new', 0o100644)", "EACCES", True),
    Row("mkfifo", "os.mkfifo(D + '/new')", "EPERM", True),
    Row("chmod", "(os.chmod(RW, 0o600), mode(RW), os.chmod(RW, 0o644), mode(RW))[1::2]", [0o600, 0o644]),
    Row("chown", "os.chown(RW, 0, 0)", None),
    Row("utime", "(os.utime(RW, (1, 2)), int(os.stat(RW).st_mtime))[1]", 2),
    Row("truncate leaves the content", "(os.truncate(RW, 7), os.truncate(RW, 1), read(RW))[2]", "start\n"),
    Row("ftruncate of a read-only descriptor", "os.ftruncate(os.open(RO, os.O_RDONLY), 0)", "EINVAL", True),
    Row("setxattr user.*", "os.setxattr(RW, 'user.x', b'1')", "ENOTSUP"),
    Row("getxattr user.*", "os.getxattr(RO, 'user.x')", "ENODATA", True),
    Row("statfs", "tuple(os.statvfs(RO))[0:3:2] + (os.statvfs(RO).f_namemax,)", [4096, 0, 255], True),
    Row("stat of an attribute", "stat(RO)", ["0o100444", 4096, 0, 1], True),
    Row("stat of a directory", "stat(D)[1:3]", [0, 0], True),
    Row("stat of a link", "stat(LN)", ["0o120777", 0, 0, 1], True),
    Row("readlink", "os.readlink(SELF_LN)", "../bus"),
    Row("a read to the end", "parts(RW, 2, 2, 2, 2, 2)", ["st", "ar", "t\n", "", ""]),
    Row("pread", "os.pread(os.open(RW, os.O_RDONLY), 3, 2).decode()", "art"),
    Row(
        "made at the first read",
        "(lambda f: (store('one'), os.read(f, 9).decode()))(os.open(RW, 0))[1]",
        "one",
    ),
    Row("not made anew at the end", "again(lambda f: None)", ["one", ""]),
    Row("made anew at lseek 0", "again(lambda f: os.lseek(f, 0, os.SEEK_SET))", ["one", "two"]),
    Row("sendfile", "(store('one'), sent(RW))[1]", "one"),
    Row(
        "sendfile after O_TRUNC without a store",
        "(closed(os.open(RW, os.O_WRONLY | os.O_TRUNC)), sent(RW))[1]",
        "start\n",
    ),
    Row("sendfile of a value that became longer", "(store('1'), sent(RW), store('three'), sent(RW))[3]", "three"),
    Row("lseek END", "os.lseek(os.open(RO, os.O_RDONLY), 0, os.SEEK_END)", 4096, True),
    Row("mmap shared", "mmap.mmap(os.open(RO, os.O_RDONLY), 10, mmap.MAP_SHARED, mmap.PROT_READ)", "ENODEV", True),
    Row("fsync", "os.fsync(os.open(RO, os.O_RDONLY))", None, True),
    Row("one store per write", "writes(b'abc', b'de')", ["abc", "de"]),
    Row("the offset is ignored", "(os.pwrite(os.open(RW, os.O_WRONLY), b'whole', 7), read(LOG))[1]", ["whole"]),
    Row("writing nothing stores nothing", "writes(b'')", []),
    Row("a page at most", "(os.write(os.open(RW, os.O_WRONLY), b'x' * 5000), len(read(LOG)[0]))", [4096, 4096]),
    Row("a NUL ends the value", "writes(b'ab\\0cd')", ["ab"]),
    Row("a NUL does not shorten the count", "os.write(os.open(RW, os.O_WRONLY), b'ab\\0cd')", 5),
    Row("the store's errno", "os.write(os.open(BAD, os.O_WRONLY), b'x')", "EBUSY"),
    Row("the show's errno", "os.read(os.open(BAD, os.O_RDONLY), 9)", "EIO"),
    Row("poll", "(lambda f: (os.read(f, 9), poll(f)))(os.open(RO, os.O_RDONLY))[1]", "0x1", True),
    Row("poll before the first read", "poll(os.open(RO, os.O_RDONLY))", "0xb", True),
    Row("poll after the device vanished", "poll(vanished(WILL))", "0xb"),
    Row("read after the device vanished", "os.read(vanished(WILL), 9)", "ENODEV"),
    Row("write after the device vanished", "os.write(vanished(WILL, os.O_WRONLY), b'x')", "ENODEV"),
    Row("stat of a vanished path", "(vanished(WILL), os.stat(WILL))", "ENOENT"),
    Row("a vanished directory's listing", "(vanished(WILL), 'will' in os.listdir(D))[1]", False),
    Row(
        "who came back is another",
        "(lambda f: (write(VANISH, '0'), write(VANISH, '1'), os.read(f, 9)))(os.open(WILL, 0))",
        "ENODEV",
    ),
    Row("a new device is there at once", "(vanished(WILL), write(VANISH, '1'), read(WILL))[2]", "will\n"),
    Row("inotify tells the writer's doing", "inotify()", ["OPEN", "MODIFY", "CLOSE_WRITE"]),
]

CANNOT = [
    # What a FUSE file system cannot answer as sysfs does: the row with sysfs' answer, and what it answers instead.
    (Row("statfs f_type", "filesystem_type(RO)", "0x62656572", True), "0x65735546"),
    (
        Row("mmap private", "mmap.mmap(os.open(RO, 0), 10, mmap.MAP_PRIVATE, mmap.PROT_READ)[:3]", "ENODEV", True),
        "ro\n",
    ),
    (Row("O_DIRECT set later", "fcntl.fcntl(os.open(RO, 0), fcntl.F_SETFL, os.O_DIRECT)", "EINVAL", True), 0),
]

UNPRIVILEGED = [
    Row("read 0444", "read(RO)", "ro\n"),
    Row("write 0644", "os.open(RW, os.O_WRONLY)", "EACCES"),
    Row("write 0200", "os.open(WO, os.O_WRONLY)", "EACCES"),
    Row("create", "os.open(D + '/none', os.O_WRONLY | os.O_CREAT, 0o644)", "EACCES"),
]

PRELUDE = """
import ctypes, errno, fcntl, json, mmap, os, select, struct, sys
D, RO, RW, WO, LN, SUB, SELF_LN, BAD, WILL, VANISH, LOG, RESET = PATHS
def read(path):
    with open(path) as file: text = file.read()
    return [line for line in text.split("\\x01") if line] if path == LOG else text
def write(path, text):
    with open(path, "w") as file: file.write(text)
def store(text): write(RW, text)
def sent(path):
    # what busybox's cat and Python's shutil do: the page cache is read, up to the size that the kernel knows
    pipe, out = os.pipe(); fd = os.open(path, os.O_RDONLY)
    os.sendfile(out, fd, None, 4096); os.close(fd); os.close(out)
    return os.read(pipe, 4096)
def closed(fd): os.close(fd); return 0
def mode(path): return os.stat(path).st_mode & 0o7777
def stat(path):
    found = os.lstat(path)
    return [oct(found.st_mode), found.st_size, found.st_blocks, found.st_nlink]
def parts(path, *sizes):
    fd = os.open(path, os.O_RDONLY)
    return [os.read(fd, size).decode() for size in sizes]
def again(between):
    store("one"); fd = os.open(RW, os.O_RDONLY); first = os.read(fd, 9).decode()
    store("two"); between(fd)
    return [first, os.read(fd, 9).decode()]
def writes(*data):
    fd = os.open(RW, os.O_WRONLY)
    for part in data: os.write(fd, part)
    return read(LOG)
def poll(fd):
    poller = select.poll(); poller.register(fd, select.POLLIN | select.POLLPRI)
    return hex(poller.poll(0)[0][1])
def vanished(path, flags=os.O_RDONLY):
    fd = os.open(path, flags); write(VANISH, "0"); return fd
def inotify():
    libc = ctypes.CDLL(None); fd = libc.inotify_init()
    libc.inotify_add_watch(fd, RW.encode(), 0xfff)
    store("x"); data = os.read(fd, 4096); names = {0x20: "OPEN", 2: "MODIFY", 8: "CLOSE_WRITE"}
    return [names.get(struct.unpack_from("iI", data, at)[1], "?") for at in range(0, len(data), 16)]
def filesystem_type(path):
    buffer = ctypes.create_string_buffer(256); ctypes.CDLL(None).statfs(path.encode(), buffer)
    return hex(struct.unpack_from("l", buffer)[0])
def probe(code):
    if RESET: write(RESET, "1")
    try: return eval(code, globals())
    except OSError as error: return errno.errorcode[error.errno]
def plain(value): return value.decode() if isinstance(value, bytes) else value
if UID: os.setresgid(UID, UID, UID); os.setresuid(UID, UID, UID)
json.dump([plain(probe(code)) for code in json.load(sys.stdin)], sys.stdout)
"""

NODE_PATHS = (
    "/sys/bus", "/sys/bus/ro", "/sys/bus/rw", "/sys/bus/wo", "/sys/bus/ln", "/sys/bus/sub", "/sys/bus/ln",
    "/sys/bus/bad", "/sys/bus/will", "/sys/bus/vanish", "/sys/bus/log", "/sys/bus/reset",
)  # fmt: skip
REAL_PATHS = (
    "/sys/kernel", "/sys/kernel/uevent_seqnum", "", "/sys/bus/platform/drivers_probe", "/sys/block/vda", "", "", "", "",
    "", "", "",
)  # fmt: skip


def small_tree() -> Directory:
    """A tree whose attributes tell what was stored, and a device that comes and goes."""
    tree = Directory()
    bus = tree.add(Directory("bus"))
    values = {"rw": b"start\n"}
    stored: list[bytes] = []

    def store(data: bytes) -> None:
        values["rw"] = data
        stored.append(data)

    def fail(data: bytes) -> None:
        raise OSError(errno.EBUSY, "busy")

    def vanish(data: bytes) -> None:
        if "will" in bus:
            bus.remove("will")
        if data.strip() == b"1":
            bus.add(Attribute("will", 0o644, lambda: "will\n", store))

    def reset(data: bytes) -> None:
        values["rw"] = b"start\n"
        stored.clear()
        vanish(b"1")

    def shown() -> bytes:
        return b"".join(part + b"\1" for part in stored)

    bus.add(Attribute("rw", 0o644, lambda: values["rw"], store))
    bus.add(Attribute("ro", 0o444, lambda: "ro\n"))
    bus.add(Attribute("wo", 0o200, None, store))
    bus.add(Attribute("bad", 0o644, None, fail))
    bus.add(Attribute("vanish", 0o200, None, vanish))
    bus.add(Attribute("reset", 0o222, None, reset))
    bus.add(Attribute("log", 0o444, shown))
    bus.add(Directory("sub"))
    bus.add(Link("ln", "../bus"))
    return tree


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """A running node with the small tree at /sys, as ``run_in_node`` wants it."""
    base = tmp_path_factory.mktemp("node")
    ids = choose_id_map()
    root, binds = node_root.prepare(str(base), hostname="probe", owner=ids.outside)
    faces: list[TreeFace] = []

    def serve(name: str, fd: int, proc: int | None) -> None:
        faces.append(sysfs_face(small_tree(), fd, name, Wiring()))
        faces[-1].start()

    namespace = launch(NodeSpec("probe", root, binds, faces=["sys"]), serve, ids)
    yield {"pid": namespace.pid, "uid": ids.outside, "id_count": ids.count}
    namespace.stop()
    for face in faces:
        face.close()


def run(script: str, rows: list[Row], node: dict[str, int] | None) -> list[Any]:
    """The answers to the probes, in the node or, without one, on this machine."""
    command = [sys.executable, "-I", "-S", "-c", script]
    if node is not None:
        enter = f"import sys; sys.path.insert(0, {SOURCES!r}); from ccwemu.lab.enter import run_in_node; run_in_node"
        command = [sys.executable, "-I", "-S", "-c", f"{enter}({node!r}, sys.argv[1:])", *command]
    asked = json.dumps([row.code for row in rows])
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout)
    return answers


def script_for(paths: tuple[str, ...], uid: int = 0) -> str:
    return f"PATHS, UID = {paths!r}, {uid}\n" + textwrap.dedent(PRELUDE)


@pytest.fixture(scope="module")
def answers(node: dict[str, int]) -> dict[str, Any]:
    found = run(script_for(NODE_PATHS), ROWS, node)
    return {row.name: answer for row, answer in zip(ROWS, found, strict=True)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_root(row: Row, answers: dict[str, Any]) -> None:
    assert answers[row.name] == row.expected


def test_what_fuse_cannot_do(node: dict[str, int]) -> None:
    """Should one of these come true, take it into the table of what is the same."""
    found = run(script_for(NODE_PATHS), [row for row, _ in CANNOT], node)
    assert dict(zip([row.name for row, _ in CANNOT], found, strict=True)) == {row.name: got for row, got in CANNOT}


def test_unprivileged_user(node: dict[str, int]) -> None:
    if node["id_count"] == 1:
        pytest.skip("started as an ordinary user: the node has no second user")
    found = run(script_for(NODE_PATHS, uid=1000), UNPRIVILEGED, node)
    assert dict(zip([row.name for row in UNPRIVILEGED], found, strict=True)) == {
        row.name: row.expected for row in UNPRIVILEGED
    }


def _real_link() -> str | None:
    blocks = Path("/sys/block")
    return (
        next((str(path) for path in sorted(blocks.iterdir()) if path.is_symlink()), None) if blocks.is_dir() else None
    )


def test_the_real_sysfs_answers_the_same() -> None:
    """The table is true: this machine's own sysfs says so."""
    link = _real_link()
    if os.geteuid() != 0 or link is None or not os.path.exists(REAL_PATHS[3]):
        pytest.skip("needs root and a /sys with block devices and a platform bus")
    paths = tuple(link if path == "/sys/block/vda" else path for path in REAL_PATHS)
    rows = [row for row in [*ROWS, *(row for row, _ in CANNOT)] if row.safe]
    found = run(script_for(paths), rows, None)
    assert dict(zip([row.name for row in rows], found, strict=True)) == {row.name: row.expected for row in rows}

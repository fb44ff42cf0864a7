# SPDX-License-Identifier: GPL-2.0-or-later
"""The compiled mirror of a tree: that it says what the tree says, at any time, and forgets what is no more."""

from __future__ import annotations

import errno
import gc
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fuse_client import Client, error

from ccwemu._mirror import Mirror
from ccwemu.faces import wire
from ccwemu.faces.mirrored import MirroredFace
from ccwemu.faces.rules import Wiring
from ccwemu.faces.wire import Op
from ccwemu.lab.schema import read_lab
from ccwemu.machine.host import Machine
from ccwemu.machine.lock import MachineLock
from ccwemu.machine.tree import Attribute, Directory, Link, Node

ROUNDS = 2000


class Bench:
    """A face on a tree of a test's own, a client of it, and the lock under which the tree changes."""

    def __init__(self, root: Directory, lock: MachineLock | None = None) -> None:
        self.root = root
        self.lock = lock if lock is not None else MachineLock()
        self.client = Client(lambda fd: MirroredFace(root, fd, name="test", wiring=Wiring(self.lock)))

    @property
    def counts(self) -> dict[str, int]:
        assert isinstance(self.client.face, MirroredFace)
        return self.client.face.counts()


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(root: Directory, lock: MachineLock | None = None) -> Bench:
        made.append(Bench(root, lock))
        return made[-1]

    yield make
    for each in made:
        each.client.close()


@pytest.fixture
def seed(bench: Callable[..., Bench]) -> tuple[Machine, Bench]:
    spec = read_lab("seed").hosts[0].machine
    machine = Machine(spec, threaded=False)
    machine.boot()
    return machine, bench(machine.sysfs, machine.lock)


def nodes_below(directory: Directory) -> Iterator[Node]:
    for node in directory:
        yield node
        if isinstance(node, Directory):
            yield from nodes_below(node)


def shown(node: Attribute) -> tuple[bytes, int]:
    try:
        return node.show(), 0
    except OSError as problem:
        return b"", problem.errno or 0


def read(client: Client, number: int) -> tuple[bytes, int]:
    try:
        return client.content(number), 0
    except OSError as problem:
        return b"", problem.errno or 0


def test_a_machine_is_told_as_it_is(seed: tuple[Machine, Bench]) -> None:
    """Names, links and contents of a whole /sys, compared with the tree; small pieces end anywhere in a listing."""
    machine, bench = seed
    client = bench.client
    numbers = {machine.sysfs.path(): wire.ROOT_ID}
    for node in [machine.sysfs, *nodes_below(machine.sysfs)]:
        number = numbers[node.path()]
        if isinstance(node, Directory):
            assert client.list(number, 300) == {child.name: child.ino for child in node}
            for child in node:
                numbers[child.path()] = client.look_up(number, child.name)
        elif isinstance(node, Link):
            assert os.fsdecode(client.call(Op.READLINK, number)) == node.readlink(), node.path()
        elif isinstance(node, Attribute) and node.mode & 0o444:
            assert read(client, number) == shown(node), node.path()
    assert bench.counts["nodes"] == len(numbers)


def test_what_is_read_again_is_not_made_again(seed: tuple[Machine, Bench]) -> None:
    """No show function takes the machine's lock to change something, as that would make every read slow."""
    machine, bench = seed
    client = bench.client
    numbers = [
        client.walk(node.path())
        for node in nodes_below(machine.sysfs)
        if isinstance(node, Attribute) and node.mode & 0o444
    ]
    for _ in range(2):
        before = bench.counts["handed_over"]
        for number in numbers:
            read(client, number)
    assert bench.counts["handed_over"] == before
    with machine.lock:
        pass
    read(client, client.walk("/devices/css0/0.0.16ca/vpm"))
    assert bench.counts["handed_over"] == before + 1


def test_writes_are_counted(bench: Callable[..., Bench]) -> None:
    """Those that are refused too; reading, and opening for writing, are none."""

    def refuse(_data: bytes) -> None:
        raise error(errno.EINVAL)

    root = Directory()
    root.add(Attribute("taken", 0o644, "1\n", lambda _data: None))
    root.add(Attribute("refused", 0o644, "1\n", refuse))
    client = bench(root).client
    taken, refused = client.walk("/taken"), client.walk("/refused")
    read(client, taken)
    client.release(taken, client.open(taken, os.O_RDWR))
    assert client.face.stores == 0
    client.store(taken, b"1")
    assert client.errno_of(lambda: client.store(refused, b"1")) == "EINVAL"
    assert client.face.stores == 2


LINKS = [
    ("a/b/link", "a/b", "../b"),
    ("a/b/link", "a", "../../a"),
    ("a/b/link", "a/b/file", "file"),
    ("a/b/link", "a/b/c/d", "c/d"),
    ("a/b/c/link", "a/b/e", "../e"),
    ("a/link", "x/y/z", "../x/y/z"),
    ("a/b/c/d/link", "x", "../../../../x"),
    ("link", "x/y", "x/y"),
]


@pytest.mark.parametrize(("place", "target", "text"), LINKS)
def test_the_way_of_a_link(bench: Callable[..., Bench], place: str, target: str, text: str) -> None:
    root = Directory()
    for path in ("a", "a/b", "a/b/c", "a/b/c/d", "a/b/e", "x", "x/y", "x/y/z", "a/b/file"):
        above, _, name = path.rpartition("/")
        parent = root.lookup(above)
        assert isinstance(parent, Directory)
        parent.add(Directory(name))
    above, _, name = place.rpartition("/")
    parent, goal = root.lookup(above), root.lookup(target)
    assert isinstance(parent, Directory) and goal is not None
    link = parent.add(Link(name, goal))
    client = bench(root).client
    assert os.fsdecode(client.call(Op.READLINK, client.walk(place))) == link.readlink() == text


def test_a_link_whose_target_is_gone_still_says_where_it_was(bench: Callable[..., Bench]) -> None:
    root = Directory()
    target = root.add(Directory("there"))
    root.add(Link("link", target))
    bench_ = bench(root)
    root.remove("there")
    assert bench_.client.call(Op.READLINK, bench_.client.walk("link")) == b"there"


# -- change -----------------------------------------------------------------------------------------------------------


def test_a_read_never_comes_before_a_change_that_was_over(bench: Callable[..., Bench]) -> None:
    """A writer publishes each value once the lock is released; who reads then must find it, or a later one.

    Two attributes that change together: the one that is read later is never the older one.
    """
    root, lock = Directory(), MachineLock()
    state = {"value": 0, "published": 0}
    for name in ("one", "two"):
        root.add(Attribute(name, 0o444, lambda: f"{state['value']}\n"))
    bench_ = bench(root, lock)
    client = bench_.client
    one, two = client.look_up(1, "one"), client.look_up(1, "two")
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            with lock:
                state["value"] += 1
            state["published"] = state["value"]

    writer = threading.Thread(target=change)
    writer.start()
    try:
        for _ in range(ROUNDS):
            published = state["published"]
            first = int(client.content(one))
            assert first >= published
            assert int(client.content(two)) >= first
    finally:
        stop.set()
        writer.join()
    settled = [int(client.content(one)), int(client.content(one))]
    assert settled == [state["value"]] * 2


def test_a_name_is_gone_when_its_removal_is_over(bench: Callable[..., Bench]) -> None:
    """Devices that take turns: the last but one is never found, its open file is dead, the newest is there."""
    root, lock = Directory(), MachineLock()
    root.add(Directory("0")).add(Attribute("value", 0o444, "0\n"))
    state = {"published": 0}
    bench_ = bench(root, lock)
    client = bench_.client
    stop = threading.Event()

    def change() -> None:
        newest = 0
        while not stop.is_set():
            with lock:
                newest += 1
                device = Directory(str(newest))
                device.add(Attribute("value", 0o444, f"{newest}\n"))
                root.add(device)
                root.remove(str(newest - 1))
            state["published"] = newest

    writer = threading.Thread(target=change)
    writer.start()
    try:
        for _ in range(ROUNDS):
            published = state["published"]
            with pytest.raises(FileNotFoundError):
                client.look_up(1, str(published - 1))
            (newest,) = [int(name) for name in client.list(1)][-1:]
            assert newest >= published
            try:
                directory = client.look_up(1, str(newest))
                value = client.look_up(directory, "value")
            except FileNotFoundError:  # its change is not over, or the next one has begun
                continue
            assert read(client, value)[0] in (b"%d\n" % newest, b"")
            client.forget(value)
            client.forget(directory)
    finally:
        stop.set()
        writer.join()


def test_a_change_that_waits_is_seen_and_may_go_on(bench: Callable[..., Bench]) -> None:
    """Condition.wait() lets readers in: they see what was changed before it, and what is changed after it."""
    root, lock = Directory(), MachineLock()
    state = {"value": "before"}
    root.add(Attribute("value", 0o444, lambda: state["value"]))
    client = bench(root, lock).client
    number = client.look_up(1, "value")
    waits, done = threading.Event(), threading.Event()

    def change() -> None:
        with lock:
            state["value"] = "waiting"
            waits.set()
            lock.wait_for(done.is_set)
            state["value"] = "after"

    assert client.content(number) == b"before"
    writer = threading.Thread(target=change)
    writer.start()
    waits.wait()
    assert [client.content(number), client.content(number)] == [b"waiting"] * 2
    with lock:
        done.set()
        lock.notify_all()
    writer.join()
    assert client.content(number) == b"after"


def test_what_is_made_inside_a_change_is_not_kept(bench: Callable[..., Bench]) -> None:
    root, lock = Directory(), MachineLock()
    state = {"value": "one"}
    root.add(Attribute("value", 0o644, lambda: state["value"], lambda data: state.update(value=data.decode())))
    bench_ = bench(root, lock)
    client = bench_.client
    number = client.look_up(1, "value")
    assert [client.content(number), client.content(number)] == [b"one"] * 2
    with lock, lock.reading():
        before = bench_.counts["handed_over"]
    client.store(number, b"two")
    assert [client.content(number), client.content(number)] == [b"two"] * 2
    assert bench_.counts["handed_over"] > before


# -- life -------------------------------------------------------------------------------------------------------------


class Watched(Attribute):
    __slots__ = ("__weakref__",)


def test_nodes_are_let_go_when_the_kernel_has_forgotten_them(bench: Callable[..., Bench]) -> None:
    root = Directory()
    directory = root.add(Directory("device"))
    seen = weakref.ref(directory.add(Watched("value", 0o444, "x\n")))
    bench_ = bench(root)
    client = bench_.client
    parent = client.look_up(1, "device")
    value = client.look_up(parent, "value")
    handle = client.open(value)
    root.remove("device")
    del directory
    assert bench_.counts | {"answered": 0, "handed_over": 0} == {
        "nodes": 1, "dead": 2, "open": 1, "answered": 0, "handed_over": 0,
    }  # fmt: skip
    assert client.errno_of(lambda: client.read(value, handle)) == "ENODEV"
    client.release(value, handle)
    client.forget(value)
    client.forget(parent)
    assert client.errno_of(lambda: client.look_up(1, "device")) == "ENOENT"
    assert bench_.counts["dead"] == bench_.counts["open"] == 0
    root.add(Directory("next"))
    root.remove("next")  # takes along what was waiting to be let go
    gc.collect()  # a node and its directory know each other
    assert seen() is None


def test_chmod_is_seen_by_who_opens(bench: Callable[..., Bench]) -> None:
    root = Directory()
    root.add(Attribute("value", 0o644, "x\n"))
    client = bench(root).client
    number = client.look_up(1, "value")
    changed = wire.SETATTR_IN.pack(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0o200, 0, 0, 0, 0)
    client.call(Op.SETATTR, number, changed)
    assert client.errno_of(lambda: client.open(number)) == "EACCES"


# -- requests that no kernel makes ------------------------------------------------------------------------------------


def mirror() -> Mirror:
    tree = Mirror(object(), 0o040755, 0, 0, 0)
    tree.add(1, 2, b"directory", 0o040755, 0, 0, 0, 0, None, 0, object())
    tree.add(2, 3, b"file", 0o100444, 0, 0, 4096, 0, b"text\n", 0, object())
    tree.add(2, 4, b"link", 0o120777, 0, 0, 0, 0, None, 2, object())
    return tree


@pytest.mark.parametrize("op", range(64))
@pytest.mark.parametrize("node", [0, 1, 2, 3, 4, 5, 1 << 63])
def test_short_and_foreign_requests_are_answered_or_handed_over(op: int, node: int) -> None:
    tree = mirror()
    for length in (0, 1, 7, 8, 39, 40, 200):
        for filling in (b"\0", b"\xff"):
            body = filling * length
            answer = tree.request(wire.IN_HEADER.pack(40 + length, op, 7, node, 0, 0, 1, 0, 0) + body)
            if answer:
                size, _, unique = wire.OUT_HEADER.unpack_from(answer)
                assert (size, unique) == (len(answer), 7)


def test_less_than_a_header_is_no_request() -> None:
    assert [mirror().request(bytes(length)) for length in (0, 1, 39)] == [b""] * 3


@pytest.mark.parametrize(
    ("parent", "number", "name", "mode", "problem"),
    [
        (9, 5, b"x", 0o100444, errno.ENOENT),
        (3, 5, b"x", 0o100444, errno.ENOENT),
        (2, 5, b"file", 0o100444, errno.EEXIST),
        (2, 3, b"x", 0o100444, errno.EEXIST),
        (2, 1, b"x", 0o100444, errno.EINVAL),
        (2, 5, b"", 0o100444, errno.EINVAL),
        (2, 5, b"x" * 256, 0o100444, errno.EINVAL),
        (2, 5, b"x", 0o060600, errno.EINVAL),
    ],
)
def test_what_cannot_be_added(parent: int, number: int, name: bytes, mode: int, problem: int) -> None:
    with pytest.raises(OSError, match=os.strerror(problem)):
        mirror().add(parent, number, name, mode, 0, 0, 0, 0, None, 0, object())


def test_a_file_that_is_not_open_cannot_be_supplied() -> None:
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        mirror().supply(1 << 63, b"", 0, 0)
    assert error(errno.EBADF).errno == errno.EBADF


def test_the_extension_is_part_of_the_package() -> None:
    import ccwemu

    assert list(Path(str(ccwemu.__file__)).parent.glob("_mirror*.so"))

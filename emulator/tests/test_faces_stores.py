# SPDX-License-Identifier: GPL-2.0-or-later
"""What a store costs beside itself: no second thread, no notice, nothing in Python that the mirror can answer."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from fuse_client import Client

from ccwemu.faces import wire
from ccwemu.faces.mirrored import MirroredFace
from ccwemu.faces.rules import Wiring
from ccwemu.faces.wire import Op
from ccwemu.machine import waiting
from ccwemu.machine.driver_base import DeviceMutex
from ccwemu.machine.lock import MachineLock
from ccwemu.machine.tree import Attribute, Directory, Link
from ccwemu.namespace.mounts import MountTable

NAME = "stores"


class Tree:
    """A small tree and its client. Storing 1 to ``wait`` waits until ``done``; storing to ``remove`` removes a node."""

    def __init__(self) -> None:
        self.lock = MachineLock()
        self.done = False
        self.shown: Counter[str] = Counter()
        self.root = Directory()
        self.root.add(Attribute("wait", 0o644, "constant\n", self._wait))
        self.root.add(Attribute("remove", 0o200, store=lambda data: self.root.remove(data.decode())))
        self.root.add(Attribute("nothing", 0o644, "constant\n", lambda _data: None))
        target = self.root.add(Directory("directory"))
        for name in ("known", "unknown"):
            self.root.add(Link(name, target))
            target.add(Attribute(name, 0o444, self._show(name)))
        self.root.add(Attribute("file", 0o444, "constant\n"))
        self.client = Client(lambda fd: MirroredFace(self.root, fd, name=NAME, wiring=Wiring(self.lock)))

    def _show(self, name: str) -> object:
        def show() -> str:
            self.shown[name] += 1
            return f"{name}\n"

        return show

    def _wait(self, _data: bytes) -> None:
        self.lock.wait_for(lambda: self.done)

    @property
    def face(self) -> MirroredFace:
        assert isinstance(self.client.face, MirroredFace)
        return self.client.face

    @property
    def handed_over(self) -> int:
        """Requests that the mirror knows and that it could not answer."""
        return self.face.counts()["handed_over"]


@pytest.fixture
def tree() -> Iterator[Tree]:
    made = Tree()
    yield made
    made.client.close()


def threads() -> int:
    """Of the face."""
    return sum(thread.name == f"fuse {NAME}" for thread in threading.enumerate())


def test_a_store_that_does_not_wait_takes_one_thread(tree: Tree) -> None:
    number = tree.client.look_up(1, "nothing")
    for _ in range(10):
        tree.client.store(number, b"1")
    assert threads() == 1


def test_a_store_that_waits_holds_up_nobody(tree: Tree) -> None:
    client = tree.client
    number = client.look_up(1, "wait")
    handle = client.open(number, os.O_WRONLY)
    store = client.send(Op.WRITE, number, wire.WRITE_IN.pack(handle, 0, 1, 0, 0, 0, 0) + b"1")
    assert client.content(client.look_up(1, "file")) == b"constant\n"
    assert client.content(client.walk("/directory/known")) == b"known\n"
    client.store(client.look_up(1, "nothing"), b"1")
    with tree.lock:
        tree.done = True
        tree.lock.notify_all()
    assert wire.WRITE_OUT.unpack(client.answer(store))[0] == 1
    assert threads() == 2


def test_a_store_behind_a_lock_that_is_held_holds_up_nobody(tree: Tree) -> None:
    client = tree.client
    number = client.look_up(1, "nothing")
    handle = client.open(number, os.O_WRONLY)
    with tree.lock:
        store = client.send(Op.WRITE, number, wire.WRITE_IN.pack(handle, 0, 1, 0, 0, 0, 0) + b"1")
        assert client.content(client.look_up(1, "file")) == b"constant\n"
    assert wire.WRITE_OUT.unpack(client.answer(store))[0] == 1


def test_the_kernel_is_told_only_of_names_that_it_has(tree: Tree) -> None:
    """A name that nobody has looked up it has not, and that of a file it asks for each time."""
    client = tree.client
    remove = client.look_up(1, "remove")
    client.look_up(1, "known")
    client.look_up(1, "file")
    for name in (b"unknown", b"file", b"known"):
        client.store(remove, name)
    told = [(wire.OUT_HEADER.unpack_from(notice)[1], notice[-len(b"known\0") :]) for notice in client.notices]
    assert told == [(wire.NOTIFY_INVAL_ENTRY, b"known\0")]


def test_only_a_write_comes_to_python(tree: Tree) -> None:
    client = tree.client
    number = client.look_up(1, "nothing")
    before = tree.handed_over
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
        client.release(number, client.open(number, flags))
    assert tree.handed_over == before
    client.store(number, b"1")
    assert (tree.handed_over, tree.face.stores) == (before, 1)


def test_beside_is_made_what_is_likely_to_be_read(tree: Tree) -> None:
    """Who reads one attribute between two changes wants that one, who reads two wants more."""
    client = tree.client
    known, nothing = client.walk("/directory/known"), client.look_up(1, "nothing")
    for _ in range(3):
        client.store(nothing, b"1")
        client.content(known)
    assert tree.shown == {"known": 3}
    tree.root.directory("directory").add(Attribute("third", 0o444, tree._show("third")))
    client.content(client.walk("/directory/third"))
    assert tree.shown == {"known": 4, "third": 1, "unknown": 1}


def test_a_mutex_that_nobody_waits_for_wakes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others who wait for the machine would have nothing to look at."""
    lock = MachineLock()
    woken: list[str] = []
    monkeypatch.setattr(lock, "notify_all", lambda: woken.append("all"))
    with DeviceMutex(lock):
        pass
    assert woken == []


def test_who_is_told_before_a_thread_waits() -> None:
    told: list[str] = []
    waiting.announce()
    with waiting.told(lambda: told.append("outer")):
        with waiting.told(lambda: told.append("inner")):
            waiting.announce()
        waiting.announce()
    waiting.announce()
    assert told == ["outer", "inner", "outer"]


def test_mounts_are_counted_by_their_source() -> None:
    table = MountTable(os.getpid())
    try:
        with open("/proc/self/mountinfo", encoding="utf-8") as lines:
            sources = Counter(line.partition(" - ")[2].split()[1] for line in lines)
        assert {source: table.count(source) for source in sources} == sources
        assert table.count("/dev/no-such-disk") == 0
    finally:
        table.close()

# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that a node's process 1 runs: what comes back, and what does not keep it waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_rig import until

from ccwemu.namespace import root
from ccwemu.namespace.launch import Namespace, NodeSpec, launch
from ccwemu.namespace.run import MAX_OUTPUT, Ended
from ccwemu.namespace.unshare import choose_id_map

PATH = {"PATH": "/usr/bin:/bin"}


def start(base: Path, name: str) -> Namespace:
    """A node without faces: a file has to do for its /dev/null."""
    directory, binds = root.prepare(str(base), hostname=name, owner=choose_id_map().outside)
    (Path(directory) / "dev/null").touch()
    return launch(NodeSpec(name, directory, binds, faces=()), lambda *_: None)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    started = start(tmp_path_factory.mktemp("node"), "lpar1")
    yield started
    started.stop()


def shell(node: Namespace, script: str, seconds: float = 60) -> Ended:
    return node.run(["/bin/sh", "-c", script], PATH, seconds)


RUNS = [
    ("echo out; echo error >&2", Ended(0, "out\nerror\n")),
    ("exit 3", Ended(3, "")),
    ("kill -9 $$", Ended(-9, "")),
    (
        'echo "$PATH"; id -u; hostname; read x || echo nothing to read',
        Ended(0, "/usr/bin:/bin\n0\nlpar1\nnothing to read\n"),
    ),
    ("printf '\\377'", Ended(0, "\ufffd")),
    ("sleep 1000 & echo left", Ended(0, "left\n")),
    ("trap", Ended(0, "")),
]


@pytest.mark.lab
@pytest.mark.parametrize(("script", "ended"), RUNS, ids=[script for script, _ in RUNS])
def test_what_comes_back(node: Namespace, script: str, ended: Ended) -> None:
    assert shell(node, script) == ended


@pytest.mark.lab
def test_much_output_is_cut(node: Namespace) -> None:
    ended = shell(node, "yes | head -c 1000000")
    assert ended.status == 0
    assert ended.output == ("y\n" * MAX_OUTPUT)[:MAX_OUTPUT]


@pytest.mark.lab
def test_one_that_does_not_end_is_killed_with_its_children(node: Namespace) -> None:
    assert shell(node, "sleep 1000; true", seconds=0.2) == Ended(-9, "")
    assert shell(node, "echo next") == Ended(0, "next\n")


@pytest.mark.lab
@pytest.mark.parametrize(("path", "error"), [("/bin/nosuch", FileNotFoundError), ("/etc/hostname", PermissionError)])
def test_what_cannot_be_started(node: Namespace, path: str, error: type[OSError]) -> None:
    with pytest.raises(error):
        node.run([path], PATH, 60)


@pytest.mark.lab
def test_the_end_of_the_node_ends_the_wait(tmp_path: Path) -> None:
    node = start(tmp_path, "lpar2")

    def stop() -> None:
        until((tmp_path / "root/tmp/started").exists)
        node.stop()

    stopping = threading.Thread(target=stop)
    stopping.start()
    with pytest.raises(ProcessLookupError):
        shell(node, "echo > /tmp/started; sleep 1000")
    stopping.join()
    with pytest.raises(ProcessLookupError):
        shell(node, "true")

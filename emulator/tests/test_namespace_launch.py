# SPDX-License-Identifier: GPL-2.0-or-later
"""Id maps, roots and what a user is told when a node cannot be started."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccwemu.namespace import packaged, power, root, unshare
from ccwemu.namespace.launch import Bind, Links, Namespace, NamespaceError, NodeSpec, _explain, launch
from ccwemu.namespace.unshare import IDS, OUTSIDE_BASE, IdMap, choose_id_map

WHOLE = [(0, 4294967295)]

ID_MAPS = [
    ("root of the machine", 0, True, WHOLE, IdMap(OUTSIDE_BASE, IDS)),
    ("root of a container with 65536 ids", 0, True, [(0, IDS)], IdMap(0, IDS)),
    ("root of a container with one id", 0, True, [(0, 1)], IdMap(0, 1)),
    ("root without capabilities", 0, False, WHOLE, IdMap(0, 1)),
    ("an ordinary user", 1000, False, WHOLE, IdMap(1000, 1)),
    ("root of a container with a gap", 0, True, [(0, 1000), (2000, IDS)], IdMap(0, 1)),
]


@pytest.mark.parametrize(
    ("user", "capable", "ranges", "expected"), [row[1:] for row in ID_MAPS], ids=[r[0] for r in ID_MAPS]
)
def test_id_maps(
    monkeypatch: pytest.MonkeyPatch, user: int, capable: bool, ranges: list[tuple[int, int]], expected: IdMap
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(unshare, "capable", lambda *numbers: capable)
    monkeypatch.setattr(unshare, "_own_ranges", lambda kind: ranges)
    assert choose_id_map() == expected


ERRORS = [
    ("unshare", 1, "kernel.apparmor_restrict_unprivileged_userns=0"),
    ("mount fuse /old/dev/fuse", 2, "load the module fuse"),
    ("mount proc proc at run/ccwemu/proc", 1, "parts of /proc are covered here"),
]


@pytest.mark.parametrize(("what", "number", "advice"), ERRORS)
def test_what_to_do_about_an_error(what: str, number: int, advice: str) -> None:
    message = {"error": "the node's mounts", "errno": number, "message": os.strerror(number), "what": what}
    text = str(_explain(NodeSpec("lpar1", "/x", []), message))
    assert text.startswith(f"node lpar1: making the node's mounts failed: {what}: {os.strerror(number)}")
    assert advice in text


@pytest.fixture
def prepared(tmp_path: Path) -> Iterator[tuple[Path, list[Bind | Links]]]:
    directory, binds = root.prepare(str(tmp_path), hostname="lpar1", owner=choose_id_map().outside)
    yield Path(directory), binds


def test_a_root_is_the_nodes_own(prepared: tuple[Path, list[Bind | Links]]) -> None:
    directory, binds = prepared
    assert (directory / "etc/hostname").read_text() == "lpar1\n"
    assert {bind.target for bind in binds if isinstance(bind, Bind) and not bind.read_only} <= {
        "/lib/modules",
        "/usr/lib/modules",
    }
    sbin = next(bind for bind in binds if isinstance(bind, Links) and bind.target == "/sbin")
    assert sbin.links["modprobe"] == "/usr/local/sbin/modprobe"


def test_a_reboot_keeps_files_and_empties_run_and_tmp(tmp_path: Path) -> None:
    owner = choose_id_map().outside
    directory = Path(root.prepare(str(tmp_path), hostname="a", owner=owner)[0])
    identity = (directory / "etc/machine-id").read_text()
    for path in ("etc/kept", "var/lib/kept", "tmp/lost", "run/lost"):
        (directory / path).touch()
    root.prepare(str(tmp_path), hostname="a", owner=owner)
    left = [path for path in ("etc/kept", "var/lib/kept", "tmp/lost", "run/lost") if (directory / path).exists()]
    assert left == ["etc/kept", "var/lib/kept"]
    assert (directory / "etc/machine-id").read_text() == identity


def test_a_rule_that_names_a_program_where_it_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule, named, installed = tmp_path / "60-mdevctl.rules", tmp_path / "sbin", tmp_path / "bin"
    monkeypatch.setattr(packaged, "_RULES", (str(tmp_path / "nosuch"), str(rule)))
    monkeypatch.setattr(packaged, "_NAMED", str(named))
    monkeypatch.setattr(packaged, "_INSTALLED", str(installed))
    assert packaged.corrected_rules() == {}
    rule.write_text(f'RUN+="{named} start"\n')
    assert packaged.corrected_rules() == {}
    installed.touch()
    assert packaged.corrected_rules()["60-mdevctl.rules"].splitlines()[-1] == f'RUN+="{installed} start"'
    named.touch()
    assert packaged.corrected_rules() == {}


def test_a_launcher_of_a_long_path_goes_through_sh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/" + "long/" * 30 + "python3")
    assert root._launcher("lscss", "/src").startswith('#!/bin/sh\n"exec" "/long/')


def test_a_node_that_cannot_be_made(tmp_path: Path, prepared: tuple[Path, list[Bind | Links]]) -> None:
    directory, binds = prepared
    spec = NodeSpec("lpar1", str(directory), [*binds, Bind("/nonexistent", "/mnt")], faces=[])
    with pytest.raises(NamespaceError, match=r"open_tree /old/nonexistent: No such file or directory \(ENOENT\)"):
        launch(spec, lambda name, fd, proc: None)


def test_a_node_ends_with_who_started_it(prepared: tuple[Path, list[Bind | Links]]) -> None:
    directory, binds = prepared
    node = launch(NodeSpec("lpar1", str(directory), binds, faces=[]), lambda name, fd, proc: None)
    assert isinstance(node, Namespace)
    node.connection.shutdown(socket.SHUT_RDWR)
    node.wait()
    node.stop()
    node.stop()


POWER = [
    ("reboot", [], "reboot"),
    ("reboot", ["-f"], "reboot"),
    ("shutdown", ["-r", "now"], "reboot"),
    ("shutdown", ["-r", "0", "a message"], "reboot"),
    ("shutdown", [], "poweroff"),
    ("shutdown", ["-h", "now"], "poweroff"),
    ("poweroff", [], "poweroff"),
    ("halt", ["-p"], "poweroff"),
]


@pytest.mark.parametrize(("command", "words", "request_"), POWER)
def test_power_commands(command: str, words: list[str], request_: str) -> None:
    assert power.parse(command, words) == request_


@pytest.mark.parametrize(
    ("words", "message"), [(["-x"], "unrecognized option '-x'"), (["+5"], "cannot wait until '\\+5'")]
)
def test_power_commands_that_mean_nothing(words: list[str], message: str) -> None:
    with pytest.raises(power.UsageError, match=message):
        power.parse("shutdown", words)


def test_the_maps_are_in_the_form_of_the_kernel() -> None:
    assert IdMap(5, 7).line() == "0 5 7\n"
    status = subprocess.run(["cat", "/proc/self/uid_map"], capture_output=True, text=True, check=True).stdout
    assert len(unshare._own_ranges("uid")) == len(status.splitlines())

# SPDX-License-Identifier: GPL-2.0-or-later
"""udev's rules and systemd's units as text: what they say, and that what is not understood is told with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccwemu.machine.access import read
from ccwemu.machine.host import Machine
from ccwemu.machine.spec import DasdSpec, MachineSpec, SubchannelSpec
from ccwemu.machine.uevent import Uevent
from ccwemu.userspace import modules, units
from ccwemu.userspace.event import Evaluation, Outcome
from ccwemu.userspace.files import NodeFiles
from ccwemu.userspace.queue import EventQueue
from ccwemu.userspace.rules import parse, split_command

SCH = "/devices/css0/0.0.16ca"
DASD = f"{SCH}/0.0.7e52"


@pytest.fixture
def machine() -> Machine:
    subchannel = SubchannelSpec("0.0.16ca", devno="0.0.7e52", chpids=(0x41,), device=DasdSpec())
    made = Machine(MachineSpec("lpar1", subchannels=(subchannel,)), threaded=False)
    made.boot()
    return made


def outcome(machine: Machine, text: str, devpath: str = SCH, root: Path = Path("/nowhere"), **env: str) -> Outcome:
    """Of an "add" of a device; nothing may be left that was not understood."""
    problems: list[str] = []
    rules = parse("x.rules", text, problems.append)
    subsystem = {SCH: "css", DASD: "ccw", "/bus/ccw": "bus"}[devpath]
    event = Uevent("add", devpath, {"ACTION": "add", "DEVPATH": devpath, "SUBSYSTEM": subsystem, **env})
    found = Evaluation(machine, NodeFiles(root), event, problems.append).apply(rules)
    assert not problems
    return found


MATCHES = [
    (SCH, 'ACTION=="add"', True),
    (SCH, 'ACTION=="change|add"', True),
    (SCH, 'ACTION!="add"', False),
    (SCH, 'KERNEL=="0.0.16c[a-f]", SUBSYSTEM=="css"', True),
    (SCH, 'DEVPATH=="/devices/css0/*"', True),
    (SCH, 'DRIVER=="io_subchannel"', True),
    (DASD, 'DRIVER=="dasd-eckd"', True),
    (DASD, 'DRIVER=="?*", KERNEL=="0.0.7e53"', False),
    (DASD, 'ATTR{devtype}=="3390/*"', True),
    (DASD, 'ATTR{online}!="0"', False),
    (DASD, 'ATTR{nosuch}!="0"', False),
    (DASD, 'ATTR{driver}=="dasd-eckd"', True),
    (DASD, 'ATTR{[css/0.0.16ca]type}=="0"', True),
    (DASD, 'TEST=="online"', True),
    (DASD, 'TEST!="nosuch"', True),
    (DASD, 'TEST=="[ccw/0.0.7e52]"', True),
    (DASD, 'TEST=="[ccw/0.0.7e53]"', False),
    (DASD, 'TEST=="[drivers/ccw:dasd-eckd]"', True),
    (DASD, 'TEST=="/sys/bus/css"', True),
    (DASD, 'KERNELS=="0.0.16ca", DRIVERS=="io_subchannel", ATTRS{type}=="0"', True),
    (DASD, 'KERNELS=="0.0.16ca", DRIVERS=="dasd-eckd"', False),
    (DASD, 'SUBSYSTEMS=="css"', True),
    ("/bus/ccw", 'SUBSYSTEM=="subsystem", KERNEL=="ccw"', True),
    ("/bus/ccw", 'SUBSYSTEM=="bus"', True),
    (SCH, 'ENV{MDEV_STATE}=="registered"', False),
    (SCH, 'ENV{MDEV_STATE}==""', True),
]


@pytest.mark.parametrize(("devpath", "match", "holds"), MATCHES)
def test_matches(machine, devpath, match, holds):
    found = outcome(machine, f'{match}, ENV{{found}}="yes"', devpath)
    assert ("found" in found.environment) is holds


def test_assignments(machine):
    text = r"""
# a comment, then a rule of two lines
ACTION=="add", TAG+="systemd", \
    ENV{SYSTEMD_WANTS}="a@$env{SUBSYSTEM}-$kernel.service"
ENV{SYSTEMD_WANTS}+="b.service"
RUN+="/bin/sh -c 'echo %k $$HOME 100%%'", RUN{program}+="helper %p $attr{type}"
"""
    found = outcome(machine, text)
    assert found.wants == ["a@css-0.0.16ca.service", "b.service"]
    assert [(rule.line, words) for rule, words in found.runs] == [
        (6, ["/bin/sh", "-c", "echo 0.0.16ca $HOME 100%"]),
        (6, ["/usr/lib/udev/helper", SCH, "0"]),
    ]
    assert outcome(machine, 'ENV{SYSTEMD_WANTS}="a.service"').wants == []  # not tagged
    assert outcome(machine, 'RUN+="/bin/a"\nRUN="/bin/b"').runs[0][1] == ["/bin/b"]
    assert outcome(machine, 'TAG+="a", TAG+="b"\nTAG-="a"').tags == {"b"}
    assert "A" not in outcome(machine, 'ENV{A}="1"\nENV{A}=""').environment


def test_what_a_match_above_has_found(machine):
    found = outcome(
        machine, 'ENV{a}="$driver"\nKERNELS=="0.0.16ca", ENV{b}="$driver $attr{type}"\nENV{c}="$driver"', DASD
    )
    assert "a" not in found.environment
    assert (found.environment["b"], found.environment["c"]) == ("io_subchannel 0", "io_subchannel")


def test_a_jump_stays_in_its_file(machine):
    text = 'KERNEL=="0.0.16ca", GOTO="end"\nENV{skipped}="1"\nLABEL="end"\nENV{done}="1"'
    found = outcome(machine, text).environment
    assert found.get("done") == "1" and "skipped" not in found


def test_an_attribute_is_written(machine):
    found = outcome(machine, 'ATTR{[ccw/0.0.7e52]cmb_enable}="1"')
    assert read(machine, f"/sys{DASD}/cmb_enable") == "1\n"
    assert found.notes == ['x.rules:1: ATTR{[ccw/0.0.7e52]cmb_enable}="1"']
    again = outcome(machine, 'ATTR{[ccw/0.0.7e52]cmb_enable}="x"\nATTR{[ccw/0.0.7e53]online}="1"')
    assert again.notes == [
        'x.rules:1: ATTR{[ccw/0.0.7e52]cmb_enable}="x": Invalid argument',
        'x.rules:2: ATTR{[ccw/0.0.7e53]online}="1": No such device',
    ]


NOT_UNDERSTOOD = [
    ('KERNEL=="x", IMPORT{program}="collect"', "the rule is not followed", 0),
    ('PROGRAM=="/bin/x", RUN+="/bin/y"', "the rule is not followed", 0),
    ('CONST{arch}=="s390x", RUN+="/bin/y"', "the rule is not followed", 0),
    ('KERNEL==i"x"', "it is not followed", 0),
    ("KERNEL==x", "it is not followed", 0),
    ('KERNEL=="x", MODE="0600", RUN+="/bin/y"', "this part is not followed", 1),
    ('RUN{builtin}+="kmod load"', "this part is not followed", 1),
]


@pytest.mark.parametrize(("text", "told", "left"), NOT_UNDERSTOOD)
def test_what_is_not_understood_is_told_with_its_place(text, told, left):
    problems: list[str] = []
    assert len(parse("/etc/udev/rules.d/9.rules", f"# head\n{text}\n", problems.append)) == left
    assert len(problems) == 1
    assert problems[0].startswith("/etc/udev/rules.d/9.rules:2: ") and told in problems[0]


def test_an_unknown_substitution_is_told(machine):
    problems: list[str] = []
    rules = parse("x.rules", 'RUN+="/bin/a $links"', problems.append)
    event = Uevent("add", SCH, {"ACTION": "add", "DEVPATH": SCH, "SUBSYSTEM": "css"})
    Evaluation(machine, NodeFiles(Path("/nowhere")), event, problems.append).apply(rules)
    assert problems == ["x.rules:1: $links is not understood by the emulator; it is left as it is"]


def test_commands():
    assert split_command("/bin/sh -c 'a  \"b\"' ''") == ["/bin/sh", "-c", 'a  "b"', ""]
    assert split_command(r"  x  a\ b ") == ["x", "a\\", "b"]


UNIT = """\
[Unit]
Description=Load the override for %i
ConditionPathExists=/etc/driverctl.d/%i
After=foo.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/driverctl load-override %I
ExecStart=-/bin/false
"""


def test_units(tmp_path):
    problems: list[str] = []
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    (tmp_path / "etc/systemd/system/x@.service").write_text(UNIT)
    unit = units.load("x@css-0.0.16ca.service", NodeFiles(tmp_path), problems.append)
    assert unit is not None
    assert unit.condition_paths == ("/etc/driverctl.d/css-0.0.16ca",)
    assert unit.commands == (("/usr/sbin/driverctl", "load-override", "css/0.0.16ca"),)
    assert unit.remain_after_exit
    place = "/etc/systemd/system/x@.service"
    assert [text.partition(" is not")[0] for text in problems] == [
        f"{place}:4: After=foo.target",
        f"{place}:10: ExecStart=-/bin/false",
    ]
    assert units.load("nosuch@a.service", NodeFiles(tmp_path), problems.append) is None
    assert units.unescape(r"css-0.0.16ca\x2d1") == "css/0.0.16ca-1"


def test_modules(tmp_path):
    node, outside = tmp_path / "node", tmp_path / "outside"
    (node / "etc/modules-load.d").mkdir(parents=True)
    (node / "etc/modules").write_text("first\n")
    (node / "etc/modules-load.d/vfio_ccw.conf").write_text("# for guests\nvfio\n\n; and\nvfio_ccw  \n")
    outside.write_text("dasd_mod\n")
    (node / "etc/modules-load.d/link.conf").symlink_to(outside)
    files = NodeFiles(node)
    assert modules.to_load(files, "root=/dev/vda1") == ["first", "vfio", "vfio_ccw"]
    assert modules.to_load(files, "modules_load=a,b rd.modules-load=vfio") == ["a", "b", "vfio", "first", "vfio_ccw"]
    assert modules.to_load(NodeFiles(tmp_path / "nothing"), "") == []


def test_a_file_of_the_host_hides_the_same_name_further_on(tmp_path):
    for directory in ("etc/udev/rules.d", "run/udev/rules.d"):
        (tmp_path / directory).mkdir(parents=True)
        (tmp_path / directory / "1.rules").write_text(directory)
    (tmp_path / "run/udev/rules.d/0.rules").write_text("")
    found = NodeFiles(tmp_path).find(["/etc/udev/rules.d", "/run/udev/rules.d"], ["*.rules"])
    assert found == ["/run/udev/rules.d/0.rules", "/etc/udev/rules.d/1.rules"]


def test_events_wait_for_their_device_and_those_above_and_below():
    queue = EventQueue()

    def add(path: str):
        return queue.add(Uevent("add", path, {}))

    first, other, child, again = add(SCH), add("/devices/css0/0.0.16cb"), add(DASD), add(SCH)
    assert [event.waits_for for event in (first, other, child, again)] == [0, 0, 1, 2]
    assert queue.finish(first) == [child]
    assert queue.finish(other) == []
    assert queue.finish(child) == [again]
    assert queue.finish(again) == []
    assert add(DASD).waits_for == 0

# SPDX-License-Identifier: GPL-2.0-or-later
"""Labs from end to end through the command: up, ps, exec, reboot, down; what goes wrong; what leaks (nothing)."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

import ccwemu
from ccwemu.cli import main

SOURCES = str(Path(ccwemu.__file__).parents[1])
LAB = """\
lab: {name}
hosts:
  {host}:
    devices:
      - {{dasd: 0.0.7e52, subchannel: 0.0.16ca, chpids: [41, 42], cylinders: 3, online: true}}
      - dasd: 0.0.7e53
        subchannel: 0.0.16cb
        chpids: [41]
        cylinders: 3
        mounted: /srv/data
        files: {{note: in use}}
guests:
  {name}-guest: {{host: {host}}}
"""

Command = Callable[..., "subprocess.CompletedProcess[str]"]


class Labs:
    """The command with a directory of labs of its own."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "labs"
        self._directory = directory
        self.environment = {**os.environ, "CCWEMU_HOME": str(self.home), "PYTHONPATH": SOURCES}

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "ccwemu", *words]

    def __call__(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*words),
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=60,
            check=False,
        )

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.argv(*words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.environment)

    def define(self, name: str, host: str = "lpar1") -> str:
        path = self._directory / f"{name}.yml"
        path.write_text(LAB.format(name=name, host=host))
        return str(path)

    def state(self, name: str) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.home / name / "state.json").read_text())
        return found


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labs]:
    made = Labs(tmp_path_factory.mktemp("run"))
    yield made
    made("down", "--all")


@pytest.fixture(scope="module")
def one(labs: Labs) -> Labs:
    """Lab ``one`` with the host lpar1, running."""
    done = labs("up", labs.define("one"))
    assert (done.returncode, done.stdout) == (0, "lab one is up: lpar1\n"), done.stderr
    return labs


EXEC = [
    ("an exit status", ["sh", "-c", "exit 7"], "", (7, "", "")),
    ("stdin and stdout", ["cat"], "a\nb", (0, "a\nb", "")),
    ("stderr", ["sh", "-c", "echo x >&2"], "", (0, "", "x\n")),
    ("root's identity", ["id", "-u"], "", (0, "0\n", "")),
    ("its own name", ["hostname"], "", (0, "lpar1\n", "")),
    ("its directory", ["pwd"], "", (0, "/\n", "")),
    ("words are not split", ["printf", "%s|", "a b", "$x", "*"], "", (0, "a b|$x|*|", "")),
    ("a missing command", ["nosuch"], "", (127, "", "ccwemu: nosuch: No such file or directory\n")),
    ("what may not be run", ["/etc/hosts"], "", (126, "", "ccwemu: /etc/hosts: Permission denied\n")),
    ("a signal", ["sh", "-c", "kill -TERM $$"], "", (-15, "", "")),
    ("libudev's switch", ["printenv", "SYSTEMD_DEVICE_VERIFY_SYSFS"], "", (0, "0\n", "")),
    ("the mounted disk", ["cat", "/srv/data/note"], "", (0, "in use", "")),
    ("its mount", ["grep", "-c", "^/dev/dasdb1 /srv/data", "/proc/mounts"], "", (0, "1\n", "")),
    ("the first sysfs line", ["sh", "-c", "grep -m1 ^sysfs /proc/mounts | cut -c-10"], "", (0, "sysfs /sys\n", "")),
    ("the kernel's release", ["cat", "/proc/sys/kernel/osrelease"], "", (0, "6.1.0-29-s390x\n", "")),
    ("/proc/self is the caller", ["readlink", "-f", "/proc/self/exe"], "", (0, "/usr/bin/readlink\n", "")),
    ("processes of its own", ["sh", "-c", "ps -e -o pid= | sort -n | head -1 | tr -d ' '"], "", (0, "1\n", "")),
    ("standard devices", ["bash", "-c", "echo a >/dev/null; cat <(echo b) </dev/zero"], "", (0, "b\n", "")),
    ("standard output by name", ["sh", "-c", "echo c > /dev/stdout"], "", (0, "c\n", "")),
    ("a terminal of its own", ["script", "-qec", "tty", "/dev/null"], "", (0, "/dev/pts/0\n", "")),
    ("a disk's size", ["stat", "-c", "%s", "/dev/dasda"], "", (0, f"{3 * 15 * 12 * 4096}\n", "")),
]  # fmt: skip


@pytest.mark.parametrize(("words", "stdin", "expected"), [row[1:] for row in EXEC], ids=[row[0] for row in EXEC])
def test_exec(one: Labs, words: list[str], stdin: str, expected: tuple[int, str, str]) -> None:
    done = one("exec", "lpar1", "--", *words, stdin=stdin)
    assert (done.returncode, done.stdout, done.stderr) == expected


def test_a_mounted_disk_stays_online(one: Labs) -> None:
    """The mount counts as an opener, as a mount of the real kernel's does."""
    write = "import os, errno; os.write(os.open('/sys/bus/ccw/devices/0.0.7e53/online', os.O_WRONLY), b'0')"
    done = one("exec", "lpar1", "--", "python3", "-c", write)
    assert done.returncode == 1
    assert "Device or resource busy" in done.stderr
    script = "umount /srv/data && chccwdev -d 0.0.7e53 && chccwdev -e 0.0.7e53 && mount -t tmpfs /dev/dasdb1 /srv/data"
    assert one("exec", "lpar1", "--", "sh", "-c", script).returncode == 0


def test_a_signal_reaches_the_command(one: Labs) -> None:
    process = one.start("exec", "lpar1", "--", "sh", "-c", "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done")
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 3
    process.stdout.close()


def test_a_terminal_of_the_node(one: Labs) -> None:
    script = shutil.which("script")
    if script is None:
        pytest.skip("script (bsdutils) is not installed")
    command = shlex.join(one.argv("exec", "lpar1", "--", "sh", "-c", "tty; echo to-stderr > /dev/stderr; exit 5"))
    done = subprocess.run(
        [script, "-qec", command, "/dev/null"],
        capture_output=True,
        text=True,
        env=one.environment,
        timeout=30,
        check=False,
    )
    assert done.returncode == 5
    name, said = done.stdout.split()  # script(1) may echo a control character before either
    assert name.endswith("/dev/pts/0")
    assert said.removeprefix("^@") == "to-stderr"


def test_block_input_and_output_pass_through_the_disk(one: Labs) -> None:
    script = (
        "head -c 40960 /dev/urandom > /tmp/x; dd if=/tmp/x of=/dev/dasda1 bs=4096 seek=5 conv=fsync,notrunc status=none"
    )
    script += "; dd if=/dev/dasda1 bs=4096 skip=5 count=10 status=none | cmp - /tmp/x && echo same"
    assert one("exec", "lpar1", "--", "sh", "-c", script).stdout == "same\n"


COMING_AND_GOING = """
for i in 1 2 3; do
  (while [ ! -e /tmp/stop ]; do ls -lR /sys/bus /dev; cat /sys/bus/css/devices/*/*; done >/dev/null 2>&1) &
done
modprobe vfio_ccw; css=/sys/bus/css; mdev=/sys/bus/mdev/devices; dasd=/sys/bus/ccw/devices/0.0.7e52
for i in 1 2 3 4 5; do
  echo 0.0.16ca > $css/drivers/io_subchannel/unbind
  [ -e $dasd ] && echo "stale device"; [ -e /dev/dasda ] && echo "stale node"
  echo 0.0.16ca > $css/drivers/vfio_ccw/bind
  uuid=$(cat /proc/sys/kernel/random/uuid)
  echo $uuid > $css/devices/0.0.16ca/mdev_supported_types/vfio_ccw-io/create
  [ -d $mdev/$uuid/vfio-dev ] || echo "missing mdev"
  echo 1 > $mdev/$uuid/remove; [ -e $mdev/$uuid ] && echo "stale mdev"
  echo 0.0.16ca > $css/drivers/vfio_ccw/unbind; echo 0.0.16ca > $css/drivers/io_subchannel/bind
  echo 1 > /proc/cio_settle; [ -e $dasd/online ] || echo "missing device"
  chccwdev -e 0.0.7e52 >/dev/null; [ -e /dev/dasda ] || echo "missing node"
done
modprobe -r vfio_ccw; [ -e $css/drivers/vfio_ccw ] && echo "stale driver"
touch /tmp/stop; wait
"""


def test_names_are_never_stale(one: Labs) -> None:
    """Devices come and go, while others read: who looks after a write sees what the write did, and nothing hangs."""
    done = one("exec", "lpar1", "--", "bash", "-c", COMING_AND_GOING)
    assert (done.returncode, done.stdout) == (0, "")


def test_who_closed_a_disk_does_not_find_it_in_use(one: Labs) -> None:
    """The kernel tells a FUSE server of a close without waiting for it; a store waits for what was told."""
    script = """
    online=/sys/bus/ccw/devices/0.0.7e52/online
    for i in $(seq 100); do exec 3</dev/dasda; exec 3<&-; echo 0 > $online || echo busy; echo 1 > $online; done"""
    assert one("exec", "lpar1", "--", "bash", "-c", script).stdout == ""


def test_ps_and_the_state_file(one: Labs) -> None:
    rows = json.loads(one("ps", "--json").stdout)
    assert [(row["lab"], row["node"], row["role"], row["state"]) for row in rows if row["lab"] == "one"] == [
        ("one", "lpar1", "host", "running"),
        ("one", "one-guest", "guest", "down"),
    ]
    nodes = one.state("one")["nodes"]
    assert isinstance(nodes, dict)
    assert set(nodes["lpar1"]) == {"role", "kind", "pid", "start_time", "uid", "id_count"}
    assert nodes["one-guest"]["host"] == "lpar1"


def test_two_labs_do_not_disturb_each_other(one: Labs) -> None:
    assert one("up", one.define("two")).returncode == 0
    try:
        done = one("exec", "lpar1", "--", "true")
        assert done.stderr == "ccwemu: node lpar1: is in several labs: one, two; say which with --lab NAME\n"
        assert one("exec", "--lab", "two", "lpar1", "--", "chccwdev", "-d", "0.0.7e52").returncode == 0
        online = "/sys/bus/ccw/devices/0.0.7e52/online"
        assert one("exec", "--lab", "two", "lpar1", "--", "cat", online).stdout == "0\n"
        assert one("exec", "--lab", "one", "lpar1", "--", "cat", online).stdout == "1\n"
    finally:
        assert one("down", "two").stdout == "lab two has ended\n"
    assert not (one.home / "two").exists()
    assert one("exec", "lpar1", "--", "true").returncode == 0


def test_reboot_forgets_the_kernel_and_keeps_the_files(one: Labs) -> None:
    boot_id = "/proc/sys/kernel/random/boot_id"
    before = one("exec", "lpar1", "--", "cat", boot_id).stdout
    one("exec", "lpar1", "--", "sh", "-c", "touch /etc/kept /run/lost; chccwdev -d 0.0.7e52; modprobe vfio_ccw")
    assert one("reboot", "lpar1").returncode == 0
    script = f"cat {boot_id}; ls /etc/kept /run/lost; cat /sys/bus/ccw/devices/0.0.7e52/online; lsmod | grep -c vfio"
    done = one("exec", "lpar1", "--", "sh", "-c", script)
    after, *rest = done.stdout.splitlines()
    assert after != before.strip()
    assert rest == ["/etc/kept", "1", "0"]


def test_what_is_configured_to_last_comes_back_at_boot(one: Labs) -> None:
    """modules-load.d, a driver override and a mediated device with start=auto, as on a host with systemd and udev."""
    uuid = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
    script = f"""set -e
    echo vfio_ccw > /etc/modules-load.d/x.conf
    driverctl -b css set-override 0.0.16ca vfio_ccw
    mdevctl define -a -u {uuid} -p 0.0.16ca -t vfio_ccw-io"""
    if not shutil.which("driverctl") or not shutil.which("mdevctl"):
        pytest.skip("driverctl and mdevctl are not installed")
    assert one("exec", "lpar1", "--", "sh", "-c", script).returncode == 0
    assert one("reboot", "lpar1").returncode == 0
    try:
        look = "basename $(readlink /sys/bus/css/devices/0.0.16ca/driver); ls /sys/bus/mdev/devices"
        assert one("exec", "lpar1", "--", "sh", "-c", look).stdout == f"vfio_ccw\n{uuid}\n"
        again = """cd /sys/bus/css
        echo 0.0.16ca > drivers/vfio_ccw/unbind
        ls /sys/bus/mdev/devices
        echo 0.0.16ca > drivers_probe"""
        assert one("exec", "lpar1", "--", "sh", "-c", again).stdout == ""
        assert wait_until(lambda: one("exec", "lpar1", "--", "ls", "/sys/bus/mdev/devices").stdout == f"{uuid}\n")
    finally:
        one("exec", "lpar1", "--", "sh", "-c", "rm -r /etc/modules-load.d/x.conf /etc/driverctl.d/* /etc/mdevctl.d/0.*")
        one("reboot", "lpar1")


def test_a_seed_boots_in_the_same_order_again(one: Labs) -> None:
    first = one("reboot", "--seed", "7", "--verbose", "lpar1").stdout
    assert one("reboot", "--seed", "7", "--verbose", "lpar1").stdout == first
    *lines, last = first.splitlines()
    assert "add /devices/css0/0.0.16ca DRIVER=io_subchannel (synthetic)" in lines
    assert re.fullmatch(r"host lpar1 has rebooted: seed 7, \d+ uevents, 0 programs run, 0 of them failed", last)
    drawn = one("reboot", "lpar1").stdout
    assert re.fullmatch(r"host lpar1 has rebooted: seed \d+, .*\n", drawn)


def test_a_rule_that_is_not_understood_is_told_with_its_place(one: Labs) -> None:
    rule = "/etc/udev/rules.d/99-x.rules"
    one("exec", "lpar1", "--", "tee", rule, stdin='# x\nKERNEL=="x", IMPORT{program}="y"\n')
    told = f'{rule}:2: IMPORT{{program}}="y" is not understood by the emulator; the rule is not followed'
    try:
        assert told in one("reboot", "--verbose", "lpar1").stdout.splitlines()
        assert told in one("exec", "lpar1", "--", "dmesg").stdout
        assert f"host lpar1: {told}" in (one.home / "one" / "daemon.log").read_text()
    finally:
        one("exec", "lpar1", "--", "rm", rule)


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_reboot_from_inside(one: Labs) -> None:
    nodes = one.state("one")["nodes"]
    assert isinstance(nodes, dict)
    before = nodes["lpar1"]["pid"]
    one("exec", "lpar1", "--", "shutdown", "-r", "now")

    def again() -> bool:
        nodes = one.state("one")["nodes"]
        assert isinstance(nodes, dict)
        return nodes["lpar1"]["pid"] not in (None, before)

    assert wait_until(again)
    assert one("exec", "lpar1", "--", "true").returncode == 0


def test_power_off_and_on(one: Labs) -> None:
    one("exec", "lpar1", "--", "poweroff")
    assert wait_until(lambda: one("exec", "lpar1", "--", "true").returncode == 1)
    message = "ccwemu: host lpar1: is not running; start it with: ccwemu reboot --lab one lpar1\n"
    assert one("exec", "lpar1", "--", "true").stderr == message
    assert one("reboot", "lpar1").returncode == 0
    assert one("exec", "lpar1", "--", "true").returncode == 0


@pytest.mark.parametrize("command", ["exec", "shell"])
def test_help_on_entering_a_node(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("usage: ccwemu exec [--lab LAB] NODE -- COMMAND")


COMMANDS = "exec, shell, up, ps, wait, reboot, fault, down, validate, import, disk, guest-image"
WRONG = [
    ([], 2, f"ccwemu: expected a command: {COMMANDS} (ccwemu --help says what they do)\n"),
    (["go"], 2, f"ccwemu: unknown command 'go'; it is one of: {COMMANDS} (ccwemu --help says what they do)\n"),
    (["exec"], 2, "ccwemu: exec: expected the name of a node: ccwemu exec lpar1 -- lscss\n"),
    (["shell"], 2, "ccwemu: shell: expected the name of a node: ccwemu shell lpar1\n"),
    (["exec", "lpar1"], 2, "ccwemu: exec: expected a command to run on lpar1: ccwemu exec lpar1 -- COMMAND\n"),
    (["exec", "-x", "lpar1"], 2, "ccwemu: exec: unknown option '-x'\n"),
    (["exec", "lpar9", "--", "id"], 1, "ccwemu: node lpar9: lab one has no such node; it has: lpar1, one-guest\n"),
    (["exec", "--lab", "x", "lpar1", "id"], 1,
     "ccwemu: lab x: is not there; labs are: one; start it with: ccwemu up LAB.yml\n"),
    (["down", "x"], 1, "ccwemu: lab x: is not there; labs are: one\n"),
    (["reboot", "one-guest"], 1, "ccwemu: node one-guest: is a guest of lab one, expected a host; it has: lpar1\n"),
    (["fault", "one-guest", "0.0.7e52", "list"], 1,
     "ccwemu: node one-guest: is a guest of lab one, expected a host; it has: lpar1\n"),
    (["fault", "lpar1", "0.0.16ca", "list"], 1,
     "ccwemu: host lpar1: 0.0.16ca is the number of a subchannel; its device is 0.0.7e52\n"),
    (["exec", "one-guest", "id"], 1,
     "ccwemu: guest one-guest: is not running; start it on its host lpar1 with qemu-system-s390x\n"),
    (["reboot", "lpar9"], 1, "ccwemu: node lpar9: lab one has no such node; it has: lpar1, one-guest\n"),
    (["up", "/nonexistent.yml"], 1,
     "ccwemu: /nonexistent.yml: there is no such file; expected the definition of a lab, or the name seed\n"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "status", "message"), WRONG, ids=[" ".join(row[0]) or "nothing" for row in WRONG])
def test_wrong_use(one: Labs, words: list[str], status: int, message: str) -> None:
    done = one(*words)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", message)


def test_down_of_no_lab(labs: Labs, one: Labs, tmp_path: Path) -> None:
    done = one("down", "--if-exists", "x")
    assert (done.returncode, done.stdout) == (0, "lab x was not there\n")
    nothing = Labs(tmp_path)
    done = nothing("down", "--all")
    assert (done.returncode, done.stdout) == (0, f"no lab is there (looked in {nothing.home})\n")
    hint = f"no lab is running (looked in {nothing.home}); start one with: ccwemu up seed, or ccwemu up LAB.yml\n"
    for words, said in (
        (("down", "x"), f"ccwemu: lab x: is not there; labs are: none (looked in {nothing.home})\n"),
        (("exec", "lpar1", "id"), f"ccwemu: {hint}"),
    ):
        done = nothing(*words)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
    listed = nothing("ps")
    assert (listed.returncode, listed.stderr) == (0, f"ccwemu: {hint}")


PARSED = ["up", "ps", "wait", "reboot", "fault", "down", "validate", "import", "disk", "guest-image"]


@pytest.mark.parametrize("command", PARSED)
def test_wrong_use_is_told_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--nonsense"])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"ccwemu {command}: ") and f"\nusage: ccwemu {command} " in said
    assert f"\n  ccwemu {command}" in said.partition("\nexample")[2]


def test_up_of_a_running_lab(one: Labs) -> None:
    done = one("up", one.define("one"))
    assert done.returncode == 1
    assert "lab one: is running already (process " in done.stderr


def test_two_starts_at_once(one: Labs) -> None:
    definition = one.define("twice", host="lpar9")
    started = [one.start("up", definition) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in started]
    try:
        assert sorted(process.returncode for process in started) == [0, 1]
        assert sorted(outputs) == [b"", b"lab twice is up: lpar9\n"]
    finally:
        assert one("down", "twice").returncode == 0


def test_a_dead_lab(one: Labs) -> None:
    """The daemon was killed: its nodes are gone with it, every command says so, down removes what is left."""
    definition = one.define("dead", host="lpar8")
    assert one("up", definition).returncode == 0
    state = one.state("dead")
    nodes, daemon = state["nodes"], state["daemon_pid"]
    assert isinstance(nodes, dict)
    assert isinstance(daemon, int)
    init = nodes["lpar8"]["pid"]
    os.kill(daemon, signal.SIGKILL)
    assert wait_until(lambda: not os.path.exists(f"/proc/{init}/ns/mnt"))
    assert wait_until(lambda: "dead: its process" in one("exec", "lpar8", "--", "true").stderr)
    hint = f"run: ccwemu down dead; ccwemu up {definition}\n"
    assert one("exec", "lpar8", "--", "true").stderr.endswith(hint)
    assert "lab dead: is dead" in one("up", definition).stderr
    assert one("down", "dead").stdout == "lab dead has ended\n"
    assert not (one.home / "dead").exists()


def test_a_reused_pid_is_not_believed(one: Labs) -> None:
    directory = one.home / "ghost"
    directory.mkdir()
    state = {"lab": "ghost", "daemon_pid": os.getpid(), "daemon_start_time": 1, "definition": "/x.yml", "nodes": {}}
    (directory / "state.json").write_text(json.dumps(state))
    try:
        assert "lab ghost: is dead" in one("exec", "--lab", "ghost", "lpar1", "true").stderr
    finally:
        assert one("down", "ghost").returncode == 0
    assert not directory.exists()


def test_disks_are_kept_when_asked(one: Labs) -> None:
    definition = one.define("kept", host="lpar7")
    write = "echo kept | dd of=/dev/dasda1 conv=sync,notrunc bs=4096 status=none; touch /root/kept"
    read = "head -c4 /dev/dasda1; ls -d /root/kept"
    one("up", definition)
    assert one("exec", "lpar7", "--", "sh", "-c", write).returncode == 0
    one("down", "kept", "--keep")
    assert one("up", definition).returncode == 0
    assert one("exec", "lpar7", "--", "sh", "-c", read).stdout == "kept/root/kept\n"
    one("down", "kept")


# -- isolation --------------------------------------------------------------------------------------------------------

MISDEEDS = """
set -u
for directory in /etc /var/lib /var/tmp /root /home /srv /opt /boot /lib/modules /tmp /run /mnt; do
  echo leak > $directory/ccwemu-leak || echo "cannot write $directory"
done
modprobe vfio_ccw || echo "modprobe failed"
echo 1 > /proc/sys/kernel/panic; echo 1 > /proc/sys/vm/drop_caches; echo b > /proc/sysrq-trigger
echo leak > /usr/ccwemu-leak; mount -o remount,rw /usr; mount -o remount,bind,rw /usr; umount -l /usr
echo leak > /usr/ccwemu-leak; umount -l /sys; umount -l /proc; hostname leaked; ip link add leak type dummy
echo leak > "$1"; kill -9 $2
date -s 2000-01-01; mount -t tmpfs none /mnt
reboot -f
"""


def _listing(*paths: str) -> dict[str, tuple[int, int, int]]:
    """Every file below some directories of this machine: inode, size, time of change."""
    found = {}
    for path in paths:
        for parent, directories, files in os.walk(path):
            for name in (*directories, *files):
                status = os.lstat(os.path.join(parent, name))
                found[os.path.join(parent, name)] = (status.st_ino, status.st_size, status.st_ctime_ns)
    return found


def test_nothing_leaks(labs: Labs, tmp_path: Path) -> None:
    """A host's root does its worst: outside the lab's directory nothing changes, no module is loaded."""
    places = [
        path
        for path in ("/etc", "/usr/sbin", "/usr/local", "/boot", "/lib/modules", "/home", "/srv", "/opt")
        if os.path.isdir(path)
    ]
    watched = tmp_path / "watched"
    watched.mkdir(mode=0o777)
    sleeper = subprocess.Popen(["sleep", "60"])
    before = _listing(*places, str(watched))
    modules = Path("/proc/modules").read_text() if os.path.exists("/proc/modules") else ""
    names = sorted(line.split()[0] for line in modules.splitlines())
    panic = Path("/proc/sys/kernel/panic").read_text()
    hostname = os.uname().nodename
    try:
        assert labs("up", labs.define("wild", host="lpar6")).returncode == 0
        labs("exec", "lpar6", "--", "bash", "-c", MISDEEDS, "misdeeds", str(watched / "leak"), str(sleeper.pid))
        assert sleeper.poll() is None
        assert labs("down", "wild").returncode == 0
    finally:
        sleeper.kill()
        sleeper.wait()
    assert _listing(*places, str(watched)) == before
    after = Path("/proc/modules").read_text() if os.path.exists("/proc/modules") else ""
    assert sorted(line.split()[0] for line in after.splitlines()) == names
    assert Path("/proc/sys/kernel/panic").read_text() == panic
    assert os.uname().nodename == hostname
    assert time.time() > 1_700_000_000


def test_the_laptops_configuration_does_not_show(one: Labs) -> None:
    script = "cat /etc/hostname; cut -d: -f1 /etc/passwd | sort; ls -A /home /srv/data"
    shown = one("exec", "lpar1", "--", "sh", "-c", script).stdout
    assert shown.startswith("lpar1\n")
    assert "note" in shown
    for line in Path("/etc/passwd").read_text().splitlines():
        name, _, uid, *_ = line.split(":")
        if 1000 <= int(uid) < 60000:
            assert name not in shown.splitlines()


def test_as_an_ordinary_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The same as nobody, where this test is run by root (an ordinary user's run has tested it already)."""
    if os.geteuid() != 0:
        pytest.skip("this run is an ordinary user's")
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("setpriv (util-linux) is not installed")
    home = Path("/tmp") / f"ccwemu-test-{os.getpid()}"
    home.mkdir()
    # where this project lies, nobody may have no business
    for package in (ccwemu, yaml):
        shutil.copytree(Path(package.__file__).parent, home / "packages" / package.__name__)
    definition = home / "plain.yml"
    definition.write_text(LAB.format(name="plain", host="lpar5"))
    os.chown(home, 65534, 65534)
    environment = {
        "CCWEMU_HOME": str(home / "labs"),
        "PYTHONPATH": str(home / "packages"),
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(home),
    }
    prefix = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-m", "ccwemu"]

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*prefix, *words], env=environment, cwd="/", capture_output=True, text=True, timeout=60, check=False
        )

    try:
        up = run("up", str(definition))
        assert up.returncode == 0, up.stderr
        script = "id -u; lscss | grep -c 3390; chccwdev -d 0.0.7e52 >/dev/null && touch /etc/x && echo done"
        assert run("exec", "lpar5", "--", "sh", "-c", script).stdout == "0\n2\ndone\n"
        assert run("reboot", "lpar5").returncode == 0
        assert run("exec", "lpar5", "--", "cat", "/sys/bus/ccw/devices/0.0.7e52/online").stdout == "1\n"
        assert run("down").returncode == 0
        assert not (home / "labs" / "plain").exists()
    finally:
        run("down", "plain")
        shutil.rmtree(home)

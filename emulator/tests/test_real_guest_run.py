# SPDX-License-Identifier: GPL-2.0-or-later
"""How a real guest's QEMU lives and ends, and what is told of a machine on which there can be none.

Starts emulated hosts, and in them the machine's own qemu-system-s390x, whose processor stays stopped (-S):
no guest image is needed, files that are called so will do.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_rig import Lab, give, running_lab, until

from ccwemu.guestimage import image
from ccwemu.lab.state import start_time
from ccwemu.tools import real_program

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(
        real_program("qemu-system-s390x") is None,
        reason="qemu-system-s390x is missing: apt-get install qemu-system-misc",
    ),
]

LAB = """\
lab: real-run
hosts:
  lpar1:
    devices: [{{dasd: 0.0.7e52, subchannel: 0.0.16ca, chpids: [41], cylinders: 3}}]
guests:
  linux01: {{host: lpar1, kind: real, ssh_port: {port}}}
"""
UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
START = (
    "qemu-system-s390x -name linux01 -M s390-ccw-virtio -m 256 -S -nodefaults -nographic -daemonize "
    f"-pidfile /run/linux01.pid -device vfio-ccw,sysfsdev=/sys/bus/mdev/devices/{UUID},devno=fe.0.1234"
)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Files that are called a guest image."""
    cache = tmp_path_factory.mktemp("images")
    directory = cache / "images" / "none"
    directory.mkdir(parents=True)
    told = {"format": image.FORMAT, "series": "6.1", "release": "none", "recipe": image.recipe(), "made": 1.0}
    (directory / "manifest.json").write_text(json.dumps(told))
    for name in ("kernel", "initrd", "root.ext4", "id_ed25519"):
        (directory / name).write_bytes(bytes(1 << 20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CCWEMU_IMAGES", str(cache))
        yield cache


@pytest.fixture
def lab(images: Path, tmp_path: Path) -> Iterator[tuple[Lab, int]]:
    port = free_port()
    with running_lab(tmp_path, LAB.format(port=port)) as made:
        made.output("lpar1", give("0.0.16ca", UUID))
        made.output("lpar1", START)
        yield made, port


def node(lab: Lab) -> dict[str, object]:
    rows = json.loads(lab.command("ps", "--json").stdout)
    found: dict[str, object] = next(row for row in rows if row["node"] == "linux01")
    return found


def qemu(lab: Lab) -> int:
    pid = node(lab)["pid"]
    assert isinstance(pid, int)
    return pid


def launcher(pid: int) -> int:
    """The process that stays beside a QEMU: its parent."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1])


def is_free(port: int) -> bool:
    with contextlib.suppress(OSError), socket.socket() as mine:
        mine.bind(("127.0.0.1", port))
        return True
    return False


def test_a_killed_launcher_takes_its_qemu_along(lab: tuple[Lab, int]) -> None:
    """Nobody could log in to the guest any more, and its disk would be in use for ever."""
    made, _port = lab
    pid = qemu(made)
    os.kill(launcher(pid), signal.SIGKILL)
    until(lambda: start_time(pid) is None)
    until(lambda: node(made)["state"] == "down")
    said = made.command("exec", "linux01", "--", "true")
    assert (said.returncode, said.stderr) == (
        1, "ccwemu: guest linux01: is not running; start it on its host lpar1 with qemu-system-s390x\n",
    )  # fmt: skip
    made.output("lpar1", START)
    assert node(made)["state"] == "running"


def test_a_killed_qemu_takes_its_launcher_along(lab: tuple[Lab, int]) -> None:
    made, _port = lab
    pid = qemu(made)
    beside = launcher(pid)
    os.kill(pid, signal.SIGKILL)
    until(lambda: start_time(beside) is None)
    until(lambda: node(made)["state"] == "down")
    made.output("lpar1", START)


@pytest.mark.parametrize("command", [["down", "real-run"], ["reboot", "lpar1"]])
def test_the_end_of_the_host_is_the_end_of_its_guests(lab: tuple[Lab, int], command: list[str]) -> None:
    made, port = lab
    pid = qemu(made)
    beside = launcher(pid)
    assert not is_free(port)
    done = made.command(*command)
    assert done.returncode == 0, done.stderr
    until(lambda: start_time(pid) is None and start_time(beside) is None)
    if command[0] == "down":
        assert is_free(port)
    else:
        until(lambda: node(made)["state"] == "down")
        made.output("lpar1", give("0.0.16ca", UUID) + START)


# -- machines on which there can be none ------------------------------------------------------------------------------

NO_FUSE = """
mount -t tmpfs none $1
for name in null zero full random urandom tty; do touch $1/$name; mount --bind /dev/$name $1/$name; done
ln -s /proc/self/fd $1/fd
mount --rbind $1 /dev
"""
NO_NAMESPACES = "echo 0 > /proc/sys/user/max_user_namespaces"
# over the program that is there: one that knows no vfio-ccw
OTHER_QEMU = """
printf '#!/bin/sh\\necho virtio-blk-ccw\\n' > $1/qemu
chmod 755 $1/qemu
mount --bind $1/qemu $(readlink -f $(command -v qemu-system-s390x))
"""
MACHINES = [
    ("no /dev/fuse", ["-m"], NO_FUSE, "/dev/fuse: No such file or directory (ENOENT); load the module fuse"),
    ("no user namespaces", ["-Ur"], NO_NAMESPACES, "user.max_user_namespaces to more than 0 with sysctl"),
    ("no vfio-ccw", ["-m"], OTHER_QEMU, "sudo apt-get install --reinstall qemu-system-misc"),
    ("a port in use", ["-m"], "", "Address already in use; choose another ssh_port in the lab's definition"),
    ("no guest image", ["-m"], "export CCWEMU_IMAGES=/nowhere", "run:\n  ccwemu guest-image build"),
]


def test_a_program_that_is_named_by_its_path_is_the_same(lab: tuple[Lab, int]) -> None:
    made, _port = lab
    by_name = made.output("lpar1", "qemu-system-s390x --version")
    assert "quick guest" in by_name
    assert made.output("lpar1", "/usr/bin/qemu-system-s390x --version") == by_name
    firmware = made.output("lpar1", "CCWEMU_QEMU=real /usr/bin/qemu-system-s390x -L help").split()
    assert "s390-ccw.img" in made.output("lpar1", f"ls {firmware[0]}")


@pytest.mark.skipif(os.getuid() != 0, reason="mounts over /dev and a program: needs root")
@pytest.mark.parametrize(("unshare", "change", "text"), [row[1:] for row in MACHINES], ids=[row[0] for row in MACHINES])
def test_a_machine_that_lacks_something(
    images: Path, tmp_path: Path, unshare: list[str], change: str, text: str
) -> None:
    """``up`` tells in one message what is missing and what mends it, and leaves nothing that runs."""
    (tmp_path / "mine").mkdir()
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = other.getsockname()[1] if "Address" in text else free_port()
        (tmp_path / "lab.yml").write_text(LAB.format(port=port))
        done = subprocess.run(
            ["unshare", *unshare, "sh", "-euc", f'{change}\nexec "$2" -m ccwemu up "$3"', "sh", str(tmp_path / "mine"),
             sys.executable, str(tmp_path / "lab.yml")],
            env=Lab(tmp_path / "labs").environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("ccwemu: lab real-run: did not come up: ")
    assert text in done.stderr
    assert not (tmp_path / "labs/real-run/state.json").exists()

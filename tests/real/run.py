# SPDX-License-Identifier: GPL-2.0-or-later
"""A real qemu-system-s390x and a stock Debian kernel on the emulated host's disks. ``make test-real`` runs it.

One line for each step. On failure: what failed, and the last lines of the guest's console. Everything has a limit
of time. What is fetched and built is kept in build/real.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import ccwemu
from ccwemu.guestimage.packages import Debian
from ccwemu.guestimage.tools import QEMU, Missing, qemu
from ccwemu.tools import real_program
from hotplug import plug_disks
from qmp import MonitorError
from rig import DISKS, HERE, HOST, UUIDS, Failure, Guest, Lab, Progress, expect, guest_image, packages, qemu_command

CACHE = HERE.parents[1] / "build/real"
LAB = Path(ccwemu.__file__).parent / "labs/seed.yml"


def check_busy(lab: Lab, uuid: str) -> None:
    """Nobody else can open the group while the guest has its device."""
    group = lab.host("group", uuid)
    try:
        lab.command("exec", HOST, "--", "dd", f"if=/dev/vfio/{group}", "count=0", "status=none")
    except Failure as failure:
        if "Device or resource busy" in str(failure):
            return
        raise
    raise Failure(f"/dev/vfio/{group} can be opened while the guest runs; expected: Device or resource busy")


def one_disk(lab: Lab, guest: Guest, say: Progress) -> str:
    """guest.sh: the checksum of what the guest wrote. Raises Failure."""
    told: dict[str, str] = {}
    for word, rest in guest.says():
        told[word] = rest
        say(f"guest: {word} {rest}".rstrip())
        if word == "waits":
            check_busy(lab, UUIDS[0])
            say("host: the group is busy")
            guest.tell()
    expect("the device in the guest", told.get("device"), "3990/e9 3390/0c")
    expect("online in the guest", told.get("online", "").split(), ["1", "online", "IBM.000000000ABC01.007e.52"])
    expect("checksum of what the guest read", told.get("read"), told.get("written"))
    expect("the end of the guest", "end" in told, True)
    return told["written"]


def several_disks(lab: Lab, guest: Guest, say: Progress) -> str:
    """several.sh: paths go and come while the guest reads; then the host wants a disk back. Raises Failure."""
    without_path: set[str] = set()
    stage = 0
    told: dict[str, str] = {}
    for word, rest in guest.says():
        told[word] = rest
        say(f"guest: {word} {rest}".rstrip())
        if word == "kernel" and "No operational channel path is left" in rest:
            without_path.add(rest.split(":")[0])
        if word == "read":
            expect("disks that the guest could read", rest, "3 of 3")
        if word == "read" and stage in (0, 1):
            lab.host("path", ("41", "42")[stage], "off")
            say(("host: CHPID 41 is off", "host: CHPID 42 is off, the last one")[stage])
            stage += 1
        elif stage == 2 and len(without_path) == 3:
            lab.host("path", "42", "on")
            lab.host("path", "41", "on")
            say("host: both CHPIDs are on")
            stage = 3
        elif word == "read" and stage == 3:
            lab.host("take", UUIDS[2], *DISKS[UUIDS[2]])
            say("host: asked for a disk and has it back, online")
            stage = 4
            break  # Linux lets reads wait for a disk that was online: see hotplug.py
    expect("disks without a path, as the guest saw it", sorted(without_path), ["0.0.1231", "0.0.1232", "0.0.1233"])
    expect("stages that were passed", stage, 4)
    return ""


Follow = Callable[[Lab, Guest, Progress], str]


def run_guest(lab: Lab, trees: Mapping[str, Path], script: str, uuids: list[str], follow: Follow, say: Progress) -> str:
    """Give the disks away, run a guest with them; what came of it. Raises Failure."""
    kernel, initrd = guest_image(trees, script)
    for uuid in uuids:
        lab.host("give", uuid, *DISKS[uuid])
        say(f"host: {DISKS[uuid][0]} is mediated device {uuid}")
    guest = Guest(lab.start(*qemu_command(lab.put("kernel", kernel), lab.put("initrd", initrd), uuids)))
    try:
        return follow(lab, guest, say)
    except Failure:
        guest.show_console()
        raise
    finally:
        guest.stop()


def run(lab: Lab, say: Progress) -> None:
    trees = packages(Debian(CACHE, say), CACHE)
    say(f"packages: {', '.join(tree.name for tree in trees.values())}")
    lab.command("up", str(LAB))
    say("the lab is up")
    written = run_guest(lab, trees, "guest.sh", UUIDS[:1], one_disk, say)
    lab.host("take", UUIDS[0], *DISKS[UUIDS[0]])
    say("host: 0.0.7e52 is back and online")
    expect("checksum of what the host reads", lab.host("sum", UUIDS[0], *DISKS[UUIDS[0]]), written)
    say("host: reads the same bytes")
    run_guest(lab, trees, "several.sh", UUIDS, several_disks, say)
    for uuid in UUIDS[:2]:
        lab.host("take", uuid, *DISKS[uuid])
    say("host: has the other two back")
    run_guest(lab, trees, "commands.sh", [], plug_disks, say)


def main() -> int:
    say = Progress()
    CACHE.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="labs-", dir=CACHE))
    home.chmod(0o755)
    lab = Lab(home)
    try:
        say(f"{qemu(real_program(QEMU))}")
        run(lab, say)
    except (Failure, Missing, MonitorError, subprocess.TimeoutExpired) as problem:
        print(f"real: FAILED: {problem}", file=sys.stderr)
        return 1
    finally:
        if (home / "seed").exists():
            lab.command("down", "--all")
        shutil.rmtree(home, ignore_errors=True)
    print("disks in the real QEMU: all passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole flow on an emulated s390x host, printed so that a newcomer can follow it.

What QEMU's page "Features/Channel I/O Passthrough" describes for the DASD 0.0.7e52, done by the playbooks of the
collection: from the host into the guest linux01 and back. Ends with 1, and the reason, as soon as anything is not as
it should be.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
LAB, HOST, GUEST, DEVICE, GUEST_DEVICE = "demo", "lpar1", "linux01", "0.0.7e52", "0.0.1234"
REPORT = (PROJECT / "build" / "report.html", PROJECT / "build" / "report.svg")
BLOCKS, BLOCK_SIZE = 1024, 4096
RECAP = re.compile(r"^(\S+)\s+:.*\bchanged=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


class DemoError(Exception):
    """A step did not do what it should."""


def say(text: str) -> None:
    print(f"\n=== {text}", flush=True)


def run(argv: list[str], *, show: bool = True) -> str:
    """Run a command, printed with its output. Raises DemoError when it fails."""
    if show:
        print("$ " + " ".join(argv), flush=True)
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise DemoError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}")
    if show:
        print(done.stdout, end="", flush=True)
    return done.stdout


def node(name: str, *command: str, show: bool = True) -> str:
    """Run a command in a node of the lab."""
    return run(["ccwemu", "exec", "--lab", LAB, name, "--", *command], show=show)


def playbook(name: str, *options: str) -> dict[str, int]:
    """Run a playbook of the collection as a user would, output passed through; hosts to changed counts."""
    argv = ["ansible-playbook", "-i", str(HERE / "inventory"), *options, f"zkvm.vfio_ccw.{name}"]
    print("$ " + " ".join([argv[0], "-i", "extensions/demo/inventory", *argv[3:]]), flush=True)
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=PROJECT)
    assert process.stdout is not None
    output = []
    for line in process.stdout:
        print("  " + line if line.strip() else line, end="", flush=True)
        output.append(line)
    if process.wait() != 0:
        raise DemoError(f"{name} failed")
    return {host: int(changed) for host, changed, _unreachable, _failed in RECAP.findall("".join(output))}


def expect(condition: bool, what: str) -> None:
    if not condition:
        raise DemoError(what)
    print(f"--- {what}: yes", flush=True)


def checksum(name: str, device: str) -> str:
    """SHA-256 of the first blocks of a block device, read by dd in the node."""
    read = f"dd if={device} bs={BLOCK_SIZE} count={BLOCKS} status=none | sha256sum"
    print(f"[{name}]$ {read}", flush=True)
    digest = node(name, "sh", "-c", read, show=False).split()[0]
    print(digest, flush=True)
    return digest


def state_of_host() -> str:
    return node(HOST, "sh", "-c", "lscss -a; lsdasd -a; cat /proc/modules", show=False)


def flow(lab: str, in_guest: Callable[[], str]) -> None:
    """The disk goes and comes back. ``in_guest()``: the checksum of what was written. Raises DemoError."""
    say("An emulated s390x host")
    subprocess.run(["ccwemu", "down", LAB], capture_output=True, check=False)
    run(["ccwemu", "up", "--name", LAB, lab])
    there()
    written = in_guest()
    report()
    read = back()
    expect(written == read, "the host reads what the guest wrote")


def there() -> None:
    say("What is on the host: the DASD is online, a second one is mounted")
    node(HOST, "lscss")
    node(HOST, "lsdasd", "-a")
    node(HOST, "grep", "dasd", "/proc/self/mounts")
    say("What its kernel offers")
    run(["ansible", "-i", str(HERE / "inventory"), HOST, "-m", "zkvm.vfio_ccw.kernel_support", "--check"])

    say("The plan: --check --diff changes nothing")
    before = state_of_host()
    playbook("provision", "--check", "--diff")
    expect(state_of_host() == before, "the host is as it was before --check")

    say("The passthrough")
    expect(sum(playbook("provision", "--diff").values()) > 0, "the first run changed something")
    say("The same again")
    expect(sum(playbook("provision").values()) == 0, "the second run reports changed=0")


def passed() -> None:
    """What the passthrough has left on the host."""
    say("On the host now: the start script and the mediated device")
    node(HOST, "cat", f"/etc/vfio_ccw/guests/{GUEST}.sh")
    node(HOST, "lscss", "--vfio")


def in_guest() -> str:
    passed()
    say("In the guest")
    node(GUEST, "lscss")
    node(GUEST, "lsdasd")
    node(GUEST, "ls", "-l", "/dev/dasda", "/dev/dasda1")
    say(f"{BLOCKS} random blocks written in the guest, read back there")
    node(GUEST, "dd", "if=/dev/urandom", "of=/dev/dasda1", f"bs={BLOCK_SIZE}", f"count={BLOCKS}", "conv=fsync")
    return checksum(GUEST, "/dev/dasda1")


def report() -> None:
    """The page of the host while its guest has the disk."""
    say("A page to look at")
    for file in REPORT:
        file.unlink(missing_ok=True)
    page, picture = REPORT
    playbook("report", "-e", f"report_dest={page}", "-e", f"report_picture={picture}")
    expect(all(file.exists() for file in REPORT), "the page and its picture are written")


def back() -> str:
    say("The way back")
    playbook("release", "--diff")
    say("On the host: the DASD is back")
    node(HOST, "lscss")
    node(HOST, "lsdasd", "-a")
    return checksum(HOST, "/dev/dasda1")


def main(lab: str = "seed", in_guest: Callable[[], str] = in_guest) -> int:
    os.environ.setdefault("ANSIBLE_NOCOLOR", "1")
    os.environ["ANSIBLE_CALLBACK_RESULT_FORMAT"] = "yaml"
    os.environ["ANSIBLE_INVENTORY_ENABLED"] = "zkvm.vfio_ccw.ccwemu,yaml"
    started = time.monotonic()
    try:
        flow(lab, in_guest)
    except DemoError as error:
        print(f"\ndemo failed: {error}", file=sys.stderr)
        return 1
    finally:
        subprocess.run(["ccwemu", "down", LAB], capture_output=True, check=False)
    print(f"\nDone in {time.monotonic() - started:.0f} s. What ran: provision.yml and release.yml of playbooks/")
    print(f"The page of the host, disk in the guest: {REPORT[0]} (open it in a browser; docs/report.md)")
    print("To look around in such a host: .venv/bin/ccwemu up seed; .venv/bin/ccwemu shell lpar1 (docs/labs.md)")
    return 0


if __name__ == "__main__":
    sys.exit(main())

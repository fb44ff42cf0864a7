# SPDX-License-Identifier: GPL-2.0-or-later
"""The cases T1 to T8 of QEMU's wiki page "Features/Channel I/O Passthrough", between emulated hosts.

A quick guest with a passed-through DASD cannot be saved; the DASD is taken from it; it is saved; a guest without the
DASD is started on the other host to take it over.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest
from lab_rig import Lab, give, running_lab, until

pytestmark = pytest.mark.lab

UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
P = "qemu-system-s390x: "
DASD = "{{dasd: 0.0.7e52, subchannel: 0.0.16ca, chpids: [41], cylinders: 5}}"
LAB = """\
lab: migration
hosts:
  old210: {qemu: "2.10", devices: [DASD]}
  new210: {qemu: "2.10"}
  old212: {qemu: "2.12", devices: [DASD]}
  new212: {qemu: "2.12"}
""".replace("DASD", DASD.format())

MISMATCH = f"""\
{P}vmstate: get_nullptr expected VMS_NULLPTR_MARKER
{P}Failed to load s390_css:css
{P}error while loading state for instance 0x0 of device 's390_css'
{P}load of migration failed: Invalid argument
"""
UNKNOWN = f"""\
{P}Unknown savevm section or instance '/%s.0.0003/virtio-rng' 0
{P}load of migration failed: Invalid argument
"""
CASES = [
    ("T1", "210", "off", "", MISMATCH),
    ("T2", "210", "off", "0.0.1234", MISMATCH),
    ("T3", "210", "on", "", UNKNOWN % "00"),
    ("T4", "210", "on", "0.0.1234", ""),
    ("T5", "212", "off", "", UNKNOWN % "fe"),
    ("T6", "212", "off", "0.0.1234", MISMATCH),
    ("T6", "212", "off", "fe.0.1234", ""),
    ("T7", "212", "on", "", UNKNOWN % "00"),
    ("T8", "212", "on", "fe.0.1234", ""),
]

ASK = """
import json, socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(f"/run/{sys.argv[1]}.qmp")
    with connection.makefile("rwb") as stream:
        stream.readline()
        for line in ('{"execute": "qmp_capabilities"}', sys.argv[2]):
            stream.write(line.encode() + b"\\n")
            stream.flush()
            answer = stream.readline()
print(answer.decode())
"""


def qmp(lab: Lab, host: str, command: str, guest: str = "linux01", **arguments: str) -> dict[str, object]:
    """What the monitor of a guest on that host answers."""
    request = json.dumps({"execute": command, "arguments": arguments})
    done = lab.command("exec", host, "--", sys.executable, "-c", ASK, guest, request)
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def qemu(squash: str, devno: str, passed: bool) -> str:
    """The guest: its passed-through device is the third, the random number generator the fourth."""
    explicit = bool(devno)
    devices = ["virtio-scsi-ccw", "virtio-balloon-ccw", "vfio-ccw", "virtio-rng-ccw"]
    words = ["qemu-system-s390x", "-name linux01", "-nodefaults", "-nographic", "-m 128"]
    words += [f"-M s390-ccw-virtio,s390-squash-mcss={squash}", "-qmp unix:/run/linux01.qmp,server=on,wait=off"]
    words += ["-pidfile /run/linux01.pid"]
    for number, driver in enumerate(devices):
        if driver == "vfio-ccw":
            place = f",devno={devno}" if explicit else ""
            words += [f"-device vfio-ccw,id=disk,sysfsdev=/sys/bus/mdev/devices/{UUID}{place}"] if passed else []
        else:
            words.append(f"-device {driver}" + (f",devno=fe.0.000{number}" if explicit else ""))
    return " ".join(words)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("migration"), LAB) as made:
        for host in ("old210", "old212"):
            made.output(host, give("0.0.16ca", UUID))
        yield made


def end(lab: Lab, host: str, guest: str = "linux01") -> None:
    qmp(lab, host, "quit", guest)
    until(lambda: lab.shell(host, f"[ -e /run/{guest}.pid ]").returncode != 0)


def save(lab: Lab, host: str, squash: str, devno: str) -> str:
    """Start the guest, see that it cannot be saved, take its DASD away, save it; what was saved."""
    lab.output(host, qemu(squash, devno, passed=True) + " -daemonize")
    try:
        blocked = qmp(lab, host, "migrate", uri="exec:cat > /root/saved")
        assert "State blocked by non-migratable device '/" in str(blocked["error"])
        assert qmp(lab, host, "device_del", id="disk") == {"return": {}}
        assert qmp(lab, host, "migrate", uri="exec:cat > /root/saved") == {"return": {}}
        assert qmp(lab, host, "query-migrate") == {"return": {"status": "completed"}}
        state = {"status": "postmigrate", "singlestep": False, "running": False}
        assert qmp(lab, host, "query-status") == {"return": state}
    finally:
        end(lab, host)
    return lab.output(host, "cat /root/saved")


@pytest.mark.parametrize(("name", "version", "squash", "devno", "says"), CASES, ids=[f"{c[0]}-{c[3]}" for c in CASES])
def test_case(name: str, version: str, squash: str, devno: str, says: str, lab: Lab) -> None:
    saved, host = save(lab, f"old{version}", squash, devno), f"new{version}"
    lab.output(host, f"cat > /root/saved <<'END'\n{saved}END\n")
    incoming = qemu(squash, devno, passed=False) + " -incoming 'exec:cat /root/saved'"
    if says:
        done = lab.shell(host, incoming)
        lines = [line for line in done.stderr.splitlines(keepends=True) if "is deprecated" not in line]
        assert (done.returncode, "".join(lines)) == (1, says)
        return
    lab.output(host, incoming + " -daemonize")
    try:
        until(lambda: "'running': True" in str(qmp(lab, host, "query-status")))
    finally:
        end(lab, host)


def test_from_one_guest_to_another_through_a_socket(lab: Lab) -> None:
    """On one host; the one that waits can be told to end instead."""
    host, waiting = "new212", qemu("off", "fe.0.1234", passed=False) + " -incoming unix:/run/socket -daemonize"
    lab.output(host, waiting)
    assert "'status': 'inmigrate'" in str(qmp(lab, host, "query-status"))
    end(lab, host)
    lab.output(host, waiting)
    lab.output(host, qemu("off", "fe.0.1234", passed=False).replace("linux01", "linux02") + " -daemonize")
    try:
        until(lambda: lab.shell(host, "[ -S /run/socket ]").returncode == 0)
        assert qmp(lab, host, "migrate", "linux02", uri="unix:/run/socket") == {"return": {}}
        until(lambda: "'running': True" in str(qmp(lab, host, "query-status")))
        assert "0.0.0003" in lab.output("linux01", "lscss")
    finally:
        end(lab, host, "linux02")
        end(lab, host)


def test_a_virtual_device_is_not_taken_away(lab: Lab) -> None:
    host = "new212"
    lab.output(host, qemu("off", "", passed=False).replace("virtio-rng-ccw", "virtio-rng-ccw,id=rng") + " -daemonize")
    try:
        answers = [str(qmp(lab, host, "device_del", id=name)["error"]) for name in ("rng", "none")]
        assert "not offered by the quick guest" in answers[0] and "Device 'none' not found" in answers[1]
        assert "unknown migration protocol: foo" in str(qmp(lab, host, "migrate", uri="foo"))
    finally:
        end(lab, host)


def test_between_the_two_worlds(lab: Lab) -> None:
    """A guest of 2.10 goes to 2.12; its machine type stays. One that squashed is in css 0, where 2.12's is in fe."""
    saved = save(lab, "old210", "on", "0.0.1234")
    lab.output("new212", f"cat > /root/saved <<'END'\n{saved}END\n")
    target = qemu("on", "fe.0.1234", passed=False) + " -incoming 'exec:cat /root/saved'"
    newest = lab.shell("new212", target)
    assert newest.returncode == 1
    assert "Machine type received is 's390-ccw-virtio-2.10' and local is 's390-ccw-virtio-2.12'" in newest.stderr
    target = target.replace("s390-ccw-virtio,", "s390-ccw-virtio-2.10,")
    without = lab.shell("new212", target.replace("squash-mcss=on", "squash-mcss=off"))
    assert (without.returncode, without.stderr) == (1, MISMATCH)
    lab.output("new212", target + " -daemonize")
    try:
        until(lambda: "'running': True" in str(qmp(lab, "new212", "query-status")))
    finally:
        end(lab, "new212")

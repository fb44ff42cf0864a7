# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine's own qemu-system-s390x says when a guest is saved and restored, against what is predicted.

No guest system is needed: QEMU does not start the CPUs (-S). The collection predicts (_migration), the emulated QEMU
says the same (ccwemu.guest.migration), and the real one is the judge of both.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "build/collections"))

from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._releases import NotPossible
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._ccwlayout import layout
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._command import config_of
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._migration import predict
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._versions import (
    QemuVersion,
)
from ccwemu.guest import migration
from ccwemu.guest.plan import plan
from ccwemu.guest.qemuopts import QemuError
from lab_rig import Lab, give, running_lab

PROGRAM = shutil.which("qemu-system-s390x") or ""
pytestmark = pytest.mark.skipif(not PROGRAM, reason="qemu-system-s390x is not installed (qemu-system-misc)")
BASE = ["-accel", "tcg", "-m", "16", "-nodefaults", "-display", "none", "-S"]
P = "qemu-system-s390x: "
TIMEOUT = 60  # seconds
UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"


class Qemu:
    """A QEMU with its monitor on its standard streams."""

    def __init__(self, *words: str, prefix: Sequence[str] = (), lab: Lab | None = None) -> None:
        argv = [*prefix, *(["qemu-system-s390x"] if prefix else [PROGRAM]), *BASE, *words, "-qmp", "stdio"]
        more = {} if lab is None else {"env": lab.environment}
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
        )
        self._answer("QMP")
        self.ask("qmp_capabilities")

    def _answer(self, *members: str) -> dict:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            message = json.loads(line)
            if any(member in message for member in members):
                return message
        return {}  # QEMU has ended

    def ask(self, command: str, **arguments: str) -> dict:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return {}
        return self._answer("return", "error")

    def migrated(self) -> str:
        """Until it has ended: completed, failed, or "" when QEMU has."""
        while True:
            status = self.ask("query-migrate").get("return", {"status": ""}).get("status", "none")
            if status in ("completed", "failed", ""):
                return status

    def end(self) -> str:
        """What it said on its error stream, warnings left out."""
        self.ask("quit")
        _out, said = self._process.communicate(timeout=TIMEOUT)
        return "".join(line for line in said.splitlines(keepends=True) if "warning: " not in line)


def save(path: str, *words: str) -> None:
    qemu = Qemu(*words)
    assert qemu.ask("migrate", uri=f"exec:cat > {path}") == {"return": {}}
    assert qemu.migrated() == "completed"
    assert qemu.end() == ""


def restore(path: str, *words: str, **how) -> str:
    """What QEMU says; "" when the guest is there."""
    qemu = Qemu(*words, "-incoming", f"exec:cat {path}", **how)
    status = qemu.migrated()
    said = qemu.end()
    assert (status == "completed") == (said == ""), (status, said)
    return said


def version() -> QemuVersion:
    return QemuVersion.parse(subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout)


def predicted(source: Sequence[str], target: Sequence[str]) -> list[str]:
    """By the collection: the lines that are printed first, [] for a success."""
    findings = predict(config_of([PROGRAM, *source], version()), config_of([PROGRAM, *target], version()))
    return findings[0].as_dict()["errors"] if findings else []


def emulated(source: Sequence[str], target: Sequence[str]) -> str:
    """By the emulated QEMU: what it prints."""
    try:
        migration.check(migration.state(plan(["-nodefaults", *source])), plan(["-nodefaults", *target]))
    except QemuError as error:
        return error.text()
    return ""


def agrees(said: str, lines: list[str]) -> bool:
    """Newer QEMUs print more behind the text of the wiki page."""
    return len(lines) == len(said.splitlines()) and all(
        real.startswith(line) for real, line in zip(said.splitlines(), lines, strict=True)
    )


RNG = "-device virtio-rng-ccw,devno=fe.0.0003"
BALLOON = "-device virtio-balloon-ccw"
ROWS = [
    (RNG, RNG),
    (f"{RNG} {BALLOON}", f"{RNG} {BALLOON}"),
    (RNG, f"{RNG} {BALLOON},devno=fe.0.0001"),
    (f"{RNG} {BALLOON},devno=fe.0.0001", f"{BALLOON},devno=fe.0.0001 {RNG}"),
    # automatic against explicit bus ids
    (RNG, "-device virtio-rng-ccw"),
    ("-device virtio-rng-ccw", RNG),
    ("-device virtio-rng-ccw", f"{BALLOON} -device virtio-rng-ccw"),
    (f"{BALLOON} -device virtio-rng-ccw", "-device virtio-rng-ccw"),
    ("-device virtio-serial-ccw", ""),
    ("-device virtio-scsi-ccw", ""),
    ("-device virtio-net-ccw", ""),
    # a channel subsystem on one side only
    (f"{RNG} {BALLOON},devno=0.0.1234", RNG),
    (RNG, f"{RNG} {BALLOON},devno=0.0.1234"),
    (f"{BALLOON},devno=0.0.1234 -device virtio-rng-ccw -device virtio-rng-ccw", "-device virtio-rng-ccw"),
    # the machine type
    (f"-M s390-ccw-virtio-2.10 {RNG}", f"-M s390-ccw-virtio-2.10 {RNG}"),
    (f"-M s390-ccw-virtio-2.10 {RNG}", RNG),
]


@pytest.mark.parametrize(("source", "target"), ROWS)
def test_the_real_qemu_says_what_is_predicted(source, target, tmp_path):
    old, new = source.split(), target.split()
    save(f"{tmp_path}/saved", *old)
    said = restore(f"{tmp_path}/saved", *new)
    assert agrees(said, predicted(["-nodefaults", *old], ["-nodefaults", *new])), said
    if version() == QemuVersion(7, 2):
        assert said == emulated(old, new)


def test_no_saved_guest(tmp_path):
    (tmp_path / "saved").write_text("garbage, and more of it\n")
    with pytest.raises(QemuError) as error:
        migration.Saved.parse(b"garbage, and more of it\n")
    assert restore(f"{tmp_path}/saved") == error.value.text()


def started(*words: str) -> str:
    """What QEMU says before it gives up."""
    done = subprocess.run([PROGRAM, *BASE, *words], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 1
    return done.stderr


def test_squashing_is_gone():
    words = ["-M", "s390-ccw-virtio,s390-squash-mcss=on"]
    with pytest.raises(QemuError) as error:
        plan(["-nodefaults", *words])
    assert re.sub(r"virtio-[\d.]+-machine", "virtio-7.2-machine", started(*words)) == error.value.text()
    with pytest.raises(NotPossible, match="no such machine option any more"):
        layout(config_of([PROGRAM, *words], version()))


def test_two_devices_with_one_number():
    words = ["-nodefaults", *RNG.split(), *RNG.split()]
    with pytest.raises(NotPossible) as error:
        layout(config_of([PROGRAM, *words], version()))
    assert re.search("says '(.*?)'", str(error.value)).group(1) in started(*words)


# --- with a passed-through device, on an emulated host


LAB = """\
lab: real-migration
hosts:
  lpar1:
    devices:
      - {dasd: 0.0.7e52, subchannel: 0.0.16ca, chpids: [41], cylinders: 5}
"""


@pytest.fixture(name="lab", scope="module")
def _lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with running_lab(tmp_path_factory.mktemp("real"), LAB) as made:
        made.output("lpar1", give("0.0.16ca", UUID))
        yield made


def guest(devno: str, passed: bool) -> list[str]:
    """The wiki page's guest: the passed-through device comes before the random number generator."""
    devices = ["virtio-scsi-ccw", "virtio-balloon-ccw", "vfio-ccw", "virtio-rng-ccw"]
    words = []
    for number, driver in enumerate(devices):
        place = f",devno=fe.0.000{number}" if devno else ""
        if driver == "vfio-ccw":
            place = f",id=disk,sysfsdev=/sys/bus/mdev/devices/{UUID}" + (f",devno={devno}" if devno else "")
        if passed or driver != "vfio-ccw":
            words += ["-device", driver + place]
    return words


@pytest.mark.lab
@pytest.mark.parametrize(
    ("devno", "lines"),
    [
        ("", 2),  # T5
        ("0.0.1234", 4),  # T6
        ("fe.0.1234", 0),  # T6
    ],
)
def test_a_passed_through_device(devno, lines, lab):
    """It cannot be saved; then it is unplugged, and the page's cases for 2.12 and newer come out."""
    how = {"prefix": [sys.executable, "-m", "ccwemu", "exec", "lpar1", "--", "env", "CCWEMU_QEMU=real"], "lab": lab}
    source, target = guest(devno, passed=True), guest(devno, passed=False)
    blocked, *others = predict(
        config_of([PROGRAM, "-nodefaults", *source], version()), config_of([PROGRAM, "-nodefaults", *target], version())
    )
    qemu = Qemu(*source, **how)
    assert qemu.ask("migrate", uri="exec:cat > /root/saved")["error"]["desc"] == blocked.errors[0]
    assert qemu.ask("device_del", id="disk") == {"return": {}}
    assert qemu.ask("migrate", uri="exec:cat > /root/saved") == {"return": {}}
    assert qemu.migrated() == "completed"
    qemu.end()
    said = restore("/root/saved", *target, **how)
    assert len(said.splitlines()) == lines
    assert agrees(said, [P + line for one in others for line in one.errors]), said

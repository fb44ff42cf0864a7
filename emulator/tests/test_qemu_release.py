# SPDX-License-Identifier: GPL-2.0-or-later
"""qemu-system-s390x as the release that a lab names; saving a guest and taking it over, judged without starting one."""

from __future__ import annotations

from pathlib import Path

import pytest
from qemu_host import UUID, make_host

from ccwemu.guest import migration
from ccwemu.guest.plan import Plan, plan
from ccwemu.guest.qemuopts import QemuError
from ccwemu.guest.release import FILE, KNOWN, Release, of_host
from ccwemu.lab.fields import LabError
from ccwemu.lab.schema import read_lab

P = "qemu-system-s390x: "
SQUASH = "-M s390-ccw-virtio,s390-squash-mcss=on"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host with a mediated device."""
    make_host(tmp_path)
    return tmp_path


def planned(root: Path, release: str, words: str) -> Plan:
    """``vfio`` in the words is the mediated device."""
    file = root / FILE[1:]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(release + "\n")
    device = f"vfio-ccw,sysfsdev={root}/sys/devices/css0/0.0.16ca/{UUID}"
    return plan(["-nodefaults", *words.replace("vfio", device).split()], str(root))


def numbers(made: Plan) -> list[str]:
    return [str(number) for number, _ in made.numbered()]


def refused(root: Path, release: str, words: str) -> str:
    with pytest.raises(QemuError) as error:
        planned(root, release, words)
    return error.value.text().replace(str(root), "")


@pytest.mark.parametrize("release", KNOWN)
def test_it_says_that_it_is_the_release(release, root):
    said = planned(root, release, "--version").line.information
    assert said is not None and said.startswith(f"QEMU emulator version {release}.")


def test_a_host_for_which_none_is_named_has_the_one_that_is_compared_with_the_real_program(root):
    assert of_host(str(root)) == Release()
    assert Release.parse("7.2") == Release()


@pytest.mark.parametrize(
    ("release", "words", "expected"),
    [
        (
            "2.10",
            f"{SQUASH} -device vfio,devno=0.0.1234 -device virtio-rng-ccw,devno=fe.0.0003",
            ["0.0.1234", "0.0.0003"],
        ),
        ("2.11", "-device vfio,devno=0.0.1234", ["0.0.1234"]),
        ("2.10", "-device vfio -device virtio-rng-ccw", ["0.0.0000", "fe.0.0000"]),
        ("2.10", f"{SQUASH} -device vfio -device virtio-rng-ccw", ["0.0.0000", "0.0.0001"]),
        ("2.12", "-device vfio -device virtio-rng-ccw", ["fe.0.0000", "fe.0.0001"]),
        ("2.12", "-device vfio,devno=fe.0.1234", ["fe.0.1234"]),
        ("2.12", f"{SQUASH} -device vfio,devno=fe.0.1234", ["0.0.1234"]),
        ("4.1", "-device virtio-rng-ccw,devno=3.0.1234", ["3.0.1234"]),
    ],
)
def test_where_a_release_puts_the_devices(release, words, expected, root):
    assert numbers(planned(root, release, words)) == expected


@pytest.mark.parametrize(
    ("release", "words", "says"),
    [
        ("2.10", "-device vfio,devno=fe.0.1234", "cssid fe not valid for non-virtual devices\n"),
        ("2.11", f"{SQUASH} -device vfio,devno=fe.0.1234", "cssid fe not valid for non-virtual devices\n"),
        ("2.10", "-device virtio-rng-ccw,devno=0.0.1234", "cssid 0 not valid for virtual devices\n"),
        ("2.10", f"{SQUASH} -device virtio-rng-ccw,devno=fe.0.0001 -device vfio,devno=0.0.0001",
         "Device 0.0.0001 already exists\n"),
        ("2.12", "-device vfio,force-orb-pfch=on", "Property '.force-orb-pfch' not found\n"),
        ("4.0", "-device vfio,bootindex=1", "Property '.bootindex' not found\n"),
        ("5.1", "-device vfio,nonsense=1", "Property '.nonsense' not found\n"),
        ("5.2", "-device vfio,nonsense=1", "Property 'vfio-ccw.nonsense' not found\n"),
        ("9.1", "-device vfio,loadparm=1", "Property 'vfio-ccw.loadparm' not found\n"),
        ("3.1", SQUASH, "Property '.s390-squash-mcss' not found\n"),
        ("7.2", SQUASH, "Property 's390-ccw-virtio-7.2-machine.s390-squash-mcss' not found\n"),
        ("2.10", "-M s390-ccw-virtio-2.12",
         "unsupported machine type\nUse -machine help to list supported machines\n"),
    ],
)  # fmt: skip
def test_what_a_release_refuses(release, words, says, root):
    assert refused(root, release, words).endswith(says)


@pytest.mark.parametrize(
    ("release", "words"),
    [
        ("3.0", "-device vfio,force-orb-pfch=on"),
        ("4.1", "-device vfio,bootindex=1"),
        ("9.2", "-device vfio,bootindex=1,loadparm=1"),
        ("2.10", "-M s390-ccw-virtio-2.4"),
    ],
)
def test_what_a_release_takes(release, words, root):
    assert planned(root, release, words)


@pytest.mark.parametrize(("release", "warns"), [("2.10", 0), ("2.12", 1), ("3.0", 1)])
def test_squashing_is_deprecated(release, warns, root):
    warnings = planned(root, release, SQUASH).line.warnings
    assert len(warnings) == warns
    assert all("'s390-squash-mcss' is deprecated" in text for text in warnings)


@pytest.mark.parametrize(("release", "warns"), [("5.2", 0), ("6.0", 1)])
def test_a_switch_without_a_value_is_deprecated(release, warns, root):
    warnings = planned(root, release, "-device virtio-rng-ccw,packed").line.warnings
    assert len(warnings) == warns


# -- saving and taking over: without a passed-through device, the real QEMU 7.2 says these texts (tests/real)

RNG = "-device virtio-rng-ccw,devno=fe.0.0003"
CSS = [
    "vmstate: get_nullptr expected VMS_NULLPTR_MARKER",
    "Failed to load s390_css:css",
    "error while loading state for instance 0x0 of device 's390_css'",
]
UNKNOWN = "Unknown savevm section or instance '{}' 0"
HINT = ". Make sure that your current VM setup matches your saved VM setup, including any hotplugged devices"


@pytest.mark.parametrize(
    ("releases", "source", "target", "lines"),
    [
        ("7.2 7.2", RNG, RNG, None),
        ("7.2 7.2", RNG, f"{RNG} -device virtio-scsi-ccw", None),
        ("7.2 7.2", RNG, "-device virtio-rng-ccw", [UNKNOWN.format("/fe.0.0003/virtio-rng") + HINT]),
        ("2.12 2.12", RNG, "-device virtio-rng-ccw", [UNKNOWN.format("/fe.0.0003/virtio-rng")]),
        ("7.2 7.2", f"{RNG} -device virtio-balloon-ccw,devno=0.0.0001", RNG, CSS),
        ("7.2 7.2", RNG, f"{RNG} -device virtio-balloon-ccw,devno=0.0.0001", CSS),
        ("7.2 7.2", "-device virtio-serial-ccw", "", [UNKNOWN.format("/fe.0.0000/virtio-console") + HINT]),
        ("3.0 3.1", f"-M s390-ccw-virtio-2.12 {RNG}", "-M s390-ccw-virtio-2.12 -device virtio-rng-ccw",
         [UNKNOWN.format("/fe.0.0003/virtio-rng") + HINT]),
        ("2.12 2.12", f"{SQUASH} {RNG}", f"{SQUASH} {RNG}", None),
        ("2.12 2.12", f"{SQUASH} {RNG}", RNG, CSS),
        ("2.10 7.2", RNG, RNG,
         ["Machine type received is 's390-ccw-virtio-2.10' and local is 's390-ccw-virtio-7.2'"]),
        ("2.10 7.2", f"-M s390-ccw-virtio-2.10 {RNG}", f"-M s390-ccw-virtio-2.10 {RNG}", None),
        ("7.2 7.2", RNG, f"{RNG} -device vfio,devno=fe.0.0009",
         ["State blocked by non-migratable device '/fe.0.0009/vfio-ccw'"]),
    ],
)  # fmt: skip
def test_taking_over_a_saved_guest(releases, source, target, lines, root):
    old, new = releases.split()
    saved = migration.Saved.parse(migration.state(planned(root, old, source)).dump())
    made = planned(root, new, target)
    if lines is None:
        migration.check(saved, made)
        return
    with pytest.raises(QemuError) as error:
        migration.check(saved, made)
    expected = [*lines, "load of migration failed: Invalid argument"]
    assert error.value.text() == "".join(f"{P}{line}\n" for line in expected)


@pytest.mark.parametrize("data", [b"", b"garbage\n", b"[]", b'{"format": "ccwemu quick guest"}'])
def test_garbage_is_no_saved_guest(data):
    with pytest.raises(QemuError) as error:
        migration.Saved.parse(data)
    assert error.value.text() == f"{P}Not a migration stream\n{P}load of migration failed: Invalid argument\n"


def test_an_unknown_protocol():
    with pytest.raises(QemuError) as error:
        migration.check_uri("foo", "-incoming foo")
    assert error.value.text() == f"{P}-incoming foo: unknown migration protocol: foo\n"


def lab(tmp_path: Path, version: str, more: str = "") -> Path:
    file = tmp_path / "lab.yml"
    file.write_text(f"lab: x\nhosts:\n  lpar1:\n    qemu: {version}\n{more}")
    return file


@pytest.mark.parametrize(("text", "version"), [('"2.10"', "2.10"), ("2.10", "2.10"), ("10.2", "10.2")])
def test_a_lab_names_it(text, version, tmp_path):
    assert read_lab(str(lab(tmp_path, text))).hosts[0].qemu == version


def test_a_lab_names_one_that_is_not_known(tmp_path):
    with pytest.raises(LabError, match="found '2.9'.*2.10 or 2.11"):
        read_lab(str(lab(tmp_path, '"2.9"')))


def test_a_real_guest_has_the_machines_own_qemu(tmp_path):
    file = lab(tmp_path, "2.10", "guests:\n  linux01: {host: lpar1, kind: real}\n")
    with pytest.raises(
        LabError, match="lpar1 has QEMU 2.10, which is for quick guests; expected a host without 'qemu'"
    ):
        read_lab(str(file))

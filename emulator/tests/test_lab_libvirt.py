# SPDX-License-Identifier: GPL-2.0-or-later
"""What libvirt needs on an emulated host, and what is told where the machine has no libvirt."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ccwemu.lab import libvirt
from ccwemu.lab.libvirt import LibvirtMissing

FILES = ("sbin/libvirtd", "lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so", "bin/virsh")
PACKAGES = ("libvirt-daemon", "libvirt-daemon-driver-qemu", "libvirt-clients")

ABSENT = [((), None), (FILES[:1], "libvirt-daemon"), (FILES, " ".join(sorted(PACKAGES)))]


@pytest.mark.parametrize(("absent", "wanted"), ABSENT)
def test_what_is_missing_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absent: tuple[str, ...], wanted: str | None
) -> None:
    monkeypatch.setattr(libvirt, "_USR", tmp_path)
    for name in set(FILES) - set(absent):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    if wanted is None:
        libvirt.require("lpar1")
        return
    with pytest.raises(LibvirtMissing) as told:
        libvirt.require("lpar1")
    assert str(told.value) == (
        "host lpar1: libvirt is not installed on this machine; run: apt-get install --no-install-recommends " + wanted
    )


def test_what_an_administrator_has_changed_stays(tmp_path: Path) -> None:
    (tmp_path / "etc/libvirt").mkdir(parents=True)
    (tmp_path / "etc/libvirt/qemu.conf").write_text("mine")
    for name in ("passwd", "shadow", "group"):
        (tmp_path / "etc" / name).write_text("root:x:0:0\n")
    for _boot in range(2):
        libvirt.install(str(tmp_path), os.geteuid())
        assert (tmp_path / "etc/libvirt/qemu.conf").read_text() == "mine"
        assert 'auth_unix_rw = "none"' in (tmp_path / "etc/libvirt/libvirtd.conf").read_text()
        assert (tmp_path / "etc/passwd").read_text().count("libvirt-qemu:") == 1
        assert (tmp_path / "etc/group").read_text().count("\nlibvirt:") == 1


def test_the_emulators_of_other_processors_are_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt, "_USR", tmp_path / "usr")
    programs = tmp_path / "usr/bin"
    programs.mkdir(parents=True)
    for name in ("qemu-system-s390x", "qemu-system-alpha", "qemu-img"):
        (programs / name).touch(mode=0o755)
    (programs / "qemu-system-x86_64-spice").symlink_to("qemu-system-alpha")
    for _boot in range(2):
        (bind,) = libvirt.hide_other_emulators(str(tmp_path))
        assert bind.target == "/usr/bin/qemu-system-alpha" and bind.read_only
        assert os.stat(bind.source).st_mode & 0o111 == 0

# SPDX-License-Identifier: GPL-3.0-or-later
"""A device goes to a guest of the QEMUs on both sides of 2.12, and what one cannot do is refused with what would do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SEED = Path(__file__).resolve().parents[2] / "emulator/src/ccwemu/labs/seed.yml"
PLAY = """\
- hosts: lpar1
  gather_facts: false
  tasks:
    - zkvm.vfio_ccw.passthrough:
        devices: [{device: 0.0.7e52, guest: linux01, devno: fe.0.1234}]
      register: passed
    - zkvm.vfio_ccw.qemu_guest: &guest
        name: linux01
        accel: tcg
        devices: "{{ [{'uuid': passed.devices[0].uuid, 'devno': 'fe.0.1234', 'boot': boot | bool}] }}"
        extra_args: [-device, "virtio-rng-ccw,devno=fe.0.0003"]
      register: started
    - zkvm.vfio_ccw.qemu_guest: *guest
      register: again
    - zkvm.vfio_ccw.migration_check:
        guest: linux01
        target: {qemu: "7.2", translate: true, machine: s390-ccw-virtio}
      register: move
    - ansible.builtin.debug:
        msg: "again={{ again.changed }} rules={{ move.findings | map(attribute='rule') | join(',') }}
          qemu={{ move.source.qemu }} place={{ move.source.devices[0].place }}
          new={{ move.translated.devices[0].devno }}"
"""
# what stands against a migration to 7.2, and where QEMU has the device: 2.10 squashes all into css 0
FOUND = {
    "2.10": ("unmigratable,machine-type,css,bus-id", "00.0.1234"),
    "2.12": ("unmigratable,machine-type", "fe.0.1234"),
    "7.2": ("unmigratable", "fe.0.1234"),
}


@pytest.fixture(params=FOUND)
def lab(request, controller):
    definition = controller.home / f"qemu-{request.param}.yml"
    text = re.sub(r"( +)(kernel: \S+)", rf'\1\2\n\1qemu: "{request.param}"', SEED.read_text(encoding="utf-8"))
    definition.write_text(text, encoding="utf-8")
    name = "qemu-" + request.param.replace(".", "-")
    up = controller.ccwemu("up", "--name", name, str(definition))
    assert up.returncode == 0, up.stdout
    yield name, request.param
    down = controller.ccwemu("down", name)
    assert down.returncode == 0, down.stdout


@pytest.mark.lab
def test_a_guest_sees_its_device(controller, lab):
    name, version = lab
    play = controller.home / "qemu-versions.yml"
    play.write_text(PLAY, encoding="utf-8")

    def run(boot: str) -> tuple[int, str]:
        done = controller.playbook("-i", controller.inventory(name), "-e", f"boot={boot}", str(play))
        return done.returncode, done.stdout

    if version != "7.2":
        code, said = run("true")
        assert code != 0
        assert f"needs QEMU 4.1 or newer, this one is {version} [boot]" in said
    code, said = run("false")
    assert code == 0, said
    rules, place = FOUND[version]
    assert f"again=False rules={rules} qemu={version} place={place} new=fe.0.1234" in " ".join(said.split())
    squashes = controller.ccwemu("exec", "--lab", name, "lpar1", "--", "cat", "/etc/vfio_ccw/guests/linux01.sh").stdout
    assert ("s390-squash-mcss=on" in squashes) == (version == "2.10")
    seen = controller.ccwemu("exec", "--lab", name, "linux01", "--", "lscss").stdout
    assert "0.0.1234 " in seen

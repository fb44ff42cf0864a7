# SPDX-License-Identifier: GPL-2.0-or-later
"""The other ways to give devices to guests: a shell loop of the distribution's tools, an Ansible loop of commands."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass

from labs import FIRST


@dataclass(frozen=True)
class Passed:
    """A device to be passed, and the UUID that it is to have."""

    device: str
    subchannel: str
    uuid: str


def first_devices(count: int) -> list[Passed]:
    """The first devices of a host of ``labs``."""
    return [
        Passed(f"0.0.{FIRST + number:04x}", f"0.0.{number:04x}", str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))))
        for number in range(count)
    ]


def span(count: int) -> str:
    """The same as a range."""
    return f"0.0.{FIRST:04x}-0.0.{FIRST + count - 1:04x}"


SHELL_LOOP = """\
set -eu
chccwdev -d "$1" >/dev/null
while read -r subchannel uuid; do
    driverctl -b css --nosave set-override "$subchannel" vfio_ccw
    mdevctl start -u "$uuid" -p "$subchannel" -t vfio_ccw-io
done
"""
"""$1: the devices as a range, which go offline by one command. Lines of subchannel and UUID on the standard input."""


LASTING_LOOP = """\
set -eu
chccwdev -d "$1" >/dev/null
while read -r subchannel uuid; do
    driverctl -b css set-override "$subchannel" vfio_ccw
    mdevctl start -u "$uuid" -p "$subchannel" -t vfio_ccw-io
    mdevctl define -u "$uuid" -p "$subchannel" --auto
done
"""
"""The same for devices that are passed on again when the host is restarted.

Defined last: what is defined when udev sees the driver bound is started by its rule, and a second start fails.
"""


def shell_lines(devices: list[Passed]) -> bytes:
    return "".join(f"{one.subchannel} {one.uuid}\n" for one in devices).encode()


ENGINE_PLAY = """\
- hosts: {host}
  gather_facts: false
  tasks:
    - zkvm.vfio_ccw.passthrough: {{devices: [{{device: {span}}}]}}
"""

ANSIBLE_LOOP = """\
- hosts: {host}
  gather_facts: false
  vars:
    wanted: {wanted}
  tasks:
    - ansible.builtin.command: chccwdev -d {{{{ item.device }}}}
      loop: "{{{{ wanted }}}}"
    - ansible.builtin.shell: echo {{{{ item.device }}}} > /sys/bus/ccw/devices/{{{{ item.device }}}}/driver/unbind
      loop: "{{{{ wanted }}}}"
    - ansible.builtin.shell: echo {{{{ item.subchannel }}}} > /sys/bus/css/drivers/io_subchannel/unbind
      loop: "{{{{ wanted }}}}"
    - ansible.builtin.shell: echo {{{{ item.subchannel }}}} > /sys/bus/css/drivers/vfio_ccw/bind
      loop: "{{{{ wanted }}}}"
    - ansible.builtin.shell: >-
        echo {{{{ item.uuid }}}} >
        /sys/bus/css/devices/{{{{ item.subchannel }}}}/mdev_supported_types/vfio_ccw-io/create
      loop: "{{{{ wanted }}}}"
"""
"""The commands of QEMU's page "Features/Channel I/O Passthrough", each disk set offline before."""


def engine_play(host: str, count: int) -> str:
    return ENGINE_PLAY.format(host=host, span=span(count))


def ansible_loop(host: str, devices: list[Passed]) -> str:
    wanted = json.dumps([{"device": one.device, "subchannel": one.subchannel, "uuid": one.uuid} for one in devices])
    return ANSIBLE_LOOP.format(host=host, wanted=wanted)

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's command line by the version of the QEMU that is there; what an old one cannot do is refused."""

from __future__ import annotations

import errno
import shlex

import pytest
import yaml
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import GuestDevno
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import HostError
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._guest import (
    GuestError,
    Hypervisor,
    hypervisor,
    parse_guest,
)
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._qemu import (
    Guest,
    PassedDevice,
    command_line,
    outdated_options,
    start_script,
)
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._versions import BY_ID, QemuVersion

UUID = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920"
OTHER = "6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb921"
GUEST = Guest("linux01", (PassedDevice(UUID, GuestDevno.parse("fe.0.1234")),))


def params(**more):
    values = {"name": "linux01", "devices": [{"uuid": UUID, "devno": "fe.0.1234"}], "memory": 1024, "cpus": 1}
    return {**values, "binary": "qemu-system-s390x", "extra_args": [], **more}


def words(script):
    """The argument vector that a shell would make of the script's last command."""
    return shlex.split(script[script.index("exec ") + len("exec ") :].replace("\\\n", ""))


def version(text):
    return QemuVersion.parse(text)


def fit(qemu, kernel=(6, 1), **device):
    """The guest with one device, for a QEMU."""
    devices = [{"uuid": UUID, "devno": "fe.0.1234", **device}]
    return parse_guest(params(devices=devices), "kvm", Hypervisor(version(qemu), kernel))


@pytest.mark.parametrize(
    "qemu, device, machine, option",
    [
        ("2.10", {}, "s390-ccw-virtio,s390-squash-mcss=on", "devno=00.0.1234"),
        ("2.11", {}, "s390-ccw-virtio,s390-squash-mcss=on", "devno=00.0.1234"),
        ("2.12", {}, "s390-ccw-virtio", "devno=fe.0.1234"),
        ("7.2", {}, "s390-ccw-virtio", "devno=fe.0.1234"),
        ("4.1", {"boot": True}, "s390-ccw-virtio", "devno=fe.0.1234,bootindex=1,force-orb-pfch=on"),
        ("7.2", {"boot": True}, "s390-ccw-virtio", "devno=fe.0.1234,bootindex=1"),
        ("7.2", {"boot": True, "force_orb_pfch": True}, "s390-ccw-virtio", "bootindex=1,force-orb-pfch=on"),
        ("4.1", {"boot": True, "force_orb_pfch": False}, "s390-ccw-virtio", "devno=fe.0.1234,bootindex=1"),
        ("3.0", {"force_orb_pfch": True}, "s390-ccw-virtio", "devno=fe.0.1234,force-orb-pfch=on"),
        ("9.1", {"bootindex": 3, "loadparm": "2"}, "s390-ccw-virtio,loadparm=2", "bootindex=3"),
        ("9.2", {"bootindex": 3, "loadparm": "2"}, "s390-ccw-virtio", "bootindex=3,loadparm=2"),
    ],
)
def test_the_command_line_is_the_one_for_the_qemu_that_is_there(qemu, device, machine, option):
    argv = command_line(fit(qemu, **device))
    assert argv[argv.index("-M") + 1] == machine
    head, _path, tail = argv[argv.index("-device") + 1].partition(f",sysfsdev=/sys/bus/mdev/devices/{UUID}")
    assert (head[len("vfio-ccw,") :] + tail).endswith(option)
    assert words(start_script(fit(qemu, **device))) == argv


def test_an_old_kernel_needs_the_prefetch_flag_of_a_booting_guest():
    assert fit("7.2", (5, 4), boot=True).devices[0].force_orb_pfch
    assert not fit("7.2", (5, 10), boot=True).devices[0].force_orb_pfch
    assert not fit("7.2", (5, 4)).devices[0].force_orb_pfch


SECOND = {"uuid": OTHER, "devno": "fe.0.1235"}


@pytest.mark.parametrize(
    "qemu, change, says",
    [
        ("2.9", {}, "needs QEMU 2.10 or newer, this one is 2.9 [vfio-ccw]"),
        ("5.1", {"needs": ["path-events", "hot-unplug"]}, "needs QEMU 6.0 or newer, this one is 5.1 [hot-unplug]"),
        ("2.11", {"needs": ["explicit-css"]}, "needs QEMU 2.12 or newer, this one is 2.11 [explicit-css]"),
        ("4.0", {"devices": [{"uuid": UUID, "devno": "fe.0.1234", "boot": True}]}, "needs QEMU 4.1 or newer"),
        ("2.12", {"devices": [{"uuid": UUID, "devno": "fe.0.1234", "force_orb_pfch": True}]}, "needs QEMU 3.0 or"),
        ("9.1", {"devices": [{"uuid": UUID, "devno": "fe.0.1234", "bootindex": 1},
                             {**SECOND, "bootindex": 2, "loadparm": "1"}]}, "not the first boot device: `loadparm` of"),
        ("9.2", {"devices": [{"uuid": UUID, "devno": "fe.0.1234", "loadparm": "1"}]}, "set boot or bootindex"),
        ("9.2", {"devices": [{"uuid": UUID, "devno": "fe.0.1234", "loadparm": "1;x"}]}, "up to 8 letters"),
        ("9.1", {"devices": [{"uuid": UUID, "devno": "fe.0.1234", "bootindex": 1}, {**SECOND, "bootindex": 2}]},
         "more than one boot device"),
        ("9.2", {"devices": [{"uuid": UUID, "devno": "fe.0.1234", "boot": True}, {**SECOND, "boot": True}]},
         "boot is set for more than one device"),
        ("7.2", {"extra_args": ["-device", "virtio-rng-ccw,devno=fe.0.1234"]}, "Device fe.0.1234 already exists"),
        ("2.10", {"extra_args": ["-device", "virtio-rng-ccw,devno=fe.0.1234"]}, "Device 0.0.1234 already exists"),
        ("2.10", {"extra_args": ["-device", "virtio-rng-ccw,devno=0.0.0001"]}, "cssid 0 not valid for virtual devices"),
        ("3.1", {"extra_args": ["-M", "s390-squash-mcss=on"]}, "has no such machine option any more; put the passed"),
        ("7.2", {"machine": "s390-ccw-virtio-8.0"}, "needs QEMU 8.0 or newer"),
        ("7.2", {"devices": [{"uuid": UUID, "devno": "ff.0.1234"}]}, "CC is 0 to fe"),
        ("7.2", {"devices": [{"uuid": UUID, "devno": "fe.0.12345"}]}, "four hexadecimal digits"),
        ("7.2", {"devices": [{"uuid": UUID, "devno": "fe.4.1234"}]}, "S is 0 to 3"),
        ("7.2", {"name": "linux01,process=x"}, "name 'linux01,process=x'"),
        ("7.2", {"name": "a;b"}, "name 'a;b'"),
    ],
)  # fmt: skip
def test_what_the_qemu_that_is_there_cannot_do_is_refused_with_the_version_that_would(qemu, change, says):
    with pytest.raises(GuestError) as error:
        parse_guest(params(**change), "kvm", Hypervisor(version(qemu)))
    assert says in str(error.value)
    assert str(error.value).endswith("Nothing was changed.")


def test_a_configuration_that_still_squashes_is_reported_with_the_replacement():
    extra = ("-M", "s390-squash-mcss=on")
    (warning,) = outdated_options(Guest("linux01", GUEST.devices, extra=extra, qemu=version("3.0")))
    assert "deprecated since QEMU 2.12" in warning and "fe.S.DDDD" in warning
    assert outdated_options(Guest("linux01", GUEST.devices, extra=extra, qemu=version("2.10"))) == []
    assert outdated_options(GUEST) == []


def test_the_qemu_that_is_there_is_asked(kernel):
    def host(code, out):
        made = kernel.host()
        made._run_command = lambda argv, data: (code, out if argv == ["/opt/qemu", "--version"] else "", "no such luck")
        return made

    kernel.put("proc/sys/kernel/osrelease", "5.4.0-29-s390x\n")
    asked = hypervisor(host(0, "QEMU emulator version 2.11.1\nCopyright"), "/opt/qemu")
    assert (asked.qemu, asked.kernel) == (version("2.11"), (5, 4))
    assert hypervisor(host(1, ""), "/opt/qemu", "2.12").qemu == version("2.12")
    with pytest.raises(GuestError, match="no such luck. Give qemu_version"):
        hypervisor(host(1, ""), "/opt/qemu")
    with pytest.raises(GuestError, match="expected two numbers"):
        hypervisor(host(0, "hello"), "/opt/qemu")


def test_a_host_without_qemu(kernel):
    host = kernel.host()

    def run(argv, data):
        raise HostError("run", argv[0], errno.ENOENT)

    host._run_command = run
    with pytest.raises(GuestError) as error:
        hypervisor(host, "qemu-kvm")
    assert "run qemu-kvm: No such file or directory (ENOENT)" in str(error.value)
    assert "Install QEMU 2.10 or newer on the host" in str(error.value)


def test_what_can_be_needed_is_in_the_table():
    from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.qemu._guest import NEEDS
    from ansible_collections.zkvm.vfio_ccw.plugins.modules import qemu_guest

    assert set(NEEDS) == set(BY_ID) - {"vfio-ccw", "squash"}
    assert yaml.safe_load(qemu_guest.DOCUMENTATION)["options"]["needs"]["choices"] == NEEDS

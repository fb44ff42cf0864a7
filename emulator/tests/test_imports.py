# SPDX-License-Identifier: GPL-2.0-or-later
"""Definitions from descriptions of real hosts: what becomes of what, and what is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ccwemu.imports import document
from ccwemu.imports.command import main, node_name
from ccwemu.imports.definition import define
from ccwemu.lab.fields import LabError
from ccwemu.lab.schema import read_lab
from ccwemu.machine.spec import HYPER_PAV_ALIAS, PAV_ALIAS, DasdSpec, OtherSpec

UUIDS = [f"6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb92{number}" for number in range(2)]
SIZE = 10017 * 15 * 12 * 4096


def subchannel(number: int, device: str, **more: Any) -> dict[str, Any]:
    ccw = {"driver": "dasd-eckd", "online": False, "control_unit": "3990/e9", "type": "3390/0c", "alias": False}
    row = {
        "subchannel": f"0.0.{number:04x}", "type": "io", "driver": "io_subchannel", "device": device,
        "chpids": ["41", "42"], "pim": "c0", "pam": "c0", "pom": "ff", "ccw": ccw, "disk": {}, "mdevs": [],
        "at_boot": {"driver": "", "mdevs": []},
    }  # fmt: skip
    return {**row, **more, "ccw": {**ccw, **more["ccw"]} if more.get("ccw") else more.get("ccw", ccw)}


def online(number: int, device: str, *uses: tuple[str, str, int], **more: Any) -> dict[str, Any]:
    found = [{"kind": kind, "name": name, "partition": partition} for kind, name, partition in uses]
    disk = {"size": SIZE, "partitions": 1, "uses": found}
    return subchannel(number, device, ccw={"online": True, "uid": "IBM.750000000ABC01.7e00.52"}, disk=disk, **more)


ONE_PATH: dict[str, Any] = {"chpids": ["43"], "pim": "80", "pam": "80"}
HOST: dict[str, Any] = {
    "format": 1,
    "host": "LPAR1.example.com",
    "machine_id": "0" * 32,
    "kernel": {
        "release": "6.1.0-29-s390x",
        "config": {"CONFIG_VFIO_CCW": "m"},
        "modules": ["dasd_eckd_mod", "vfio_ccw", "some_other"],
        "driver": True,
        "parameters": [{"source": "/boot/loader/entries/a.conf", "name": "rd.dasd", "value": "0.0.7e52"}],
    },
    "qemu": "7.2",
    "ignored": ["0.0.9000-0.0.90ff"],
    "subchannels": [
        online(0, "0.0.7e52", ("mounted", "/srv/data", 1)),
        online(1, "0.0.7e53", ("mounted", "/", 1), ("swap", "", 3), ("volume", "vg0-a b", 2)),
        online(2, "0.0.7e54", ("swap", "", 1)),
        *(subchannel(0x10 + number, f"0.0.{0x8000 + number:04x}") for number in range(256)),
        subchannel(0x200, "0.0.8800", driver="vfio_ccw", ccw={}, mdevs=[{"uuid": UUIDS[0]}]),
        subchannel(
            0x201, "0.0.0600", chpids=["43"], pim="80", pam="80", ccw={"control_unit": "1731/01", "type": "n/a"}
        ),
        subchannel(
            0x202, "0.0.0000", chpids=[], pim="80", pam="80", ccw={"control_unit": "3832/02"}, disk={"size": 512}
        ),
        {"subchannel": "0.0.0300", "type": "chsc", "driver": "", "device": "", "ccw": {}},
    ],
    "guests": [
        {
            "name": "linux01",
            "hypervisor": "qemu",
            "running": True,
            "devices": [{"uuid": UUIDS[0], "devno": "fe.0.1234"}],
            "argv": ["/usr/bin/qemu-system-s390x", "-name", "linux01", "-drive", "file=x", "-daemonize"],
        },
        {"name": "idle", "hypervisor": "libvirt", "running": False, "devices": [], "argv": []},
    ],
    "files": [{"path": "/etc/driverctl.d/css-0.0.0200", "text": "vfio_ccw\n", "mode": "0644"}],
    "left_out": [{"what": "/etc/modprobe.d/x.conf", "why": "too large"}],
}


def written(directory: Path, changed: dict[str, Any] | None = None) -> str:
    path = directory / "host.json"
    path.write_text(json.dumps(HOST if changed is None else changed))
    return str(path)


@pytest.fixture(name="host")
def _host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """The host of the lab that is made of the description, and what was printed."""
    assert main([written(tmp_path), "-o", str(tmp_path / "lab.yml")]) == 0
    assert (tmp_path / "lab.yml").stat().st_mode & 0o777 == 0o600
    return read_lab(str(tmp_path / "lab.yml")).hosts[0], capsys.readouterr().out


def test_the_machine(host: Any) -> None:
    spec = host[0].machine
    assert (host[0].name, spec.kernel, host[0].qemu, spec.cio_ignore) == (
        "lpar1", "6.1.0-29-s390x", "7.2", "0.0.9000-0.0.90ff",
    )  # fmt: skip
    assert spec.modules == ("dasd_eckd_mod", "vfio_ccw")
    assert [mount.target for mount in host[0].mounts] == ["/srv/data", "/srv/real-host"]
    assert ([swap.device for swap in spec.swaps], [volume.name for volume in spec.volumes]) == (
        ["0.0.7e54"],
        ["vg0-a-b"],
    )
    files = {file.path: file.text for file in host[0].files}
    assert files["/etc/machine-id"] == "0" * 32 + "\n"
    assert files["/boot/loader/entries/a.conf"].endswith("options rd.dasd=0.0.7e52\n")
    assert files["/etc/driverctl.d/css-0.0.0200"] == "vfio_ccw\n"


def test_the_devices(host: Any) -> None:
    by_device = {sch.devno: sch for sch in host[0].machine.subchannels}
    disk = by_device["0.0.7e52"].device
    assert isinstance(disk, DasdSpec)
    assert (disk.cylinders, disk.serial, disk.ssid, disk.unit_address) == (10017, "750000000ABC01", 0x7E00, 0x52)
    assert (by_device["0.0.80ff"].busid, by_device["0.0.80ff"].chpids) == ("0.0.010f", (0x41, 0x42))
    assert isinstance(by_device["0.0.0600"].device, OtherSpec) and by_device["0.0.0600"].qdio
    assert by_device["0.0.0000"].chpids == (0,)
    assert len(by_device) == 256 + 6 + 1


def test_what_was_passed_through_and_runs(host: Any) -> None:
    commands = host[0].commands
    assert commands[0] == ("modprobe", "vfio_ccw")
    assert [command[3:] for command in commands[1:3]] == [("sh", "0.0.0200"), ("sh", UUIDS[0], "0.0.0200")]
    assert commands[-1] == ("qemu-system-s390x", "-name", "linux01", "-daemonize")


def test_what_is_not_carried_over_is_told(host: Any) -> None:
    for text in (
        "lpar1: 260 DASDs (1 passed through), 1 other devices, running: linux01",
        "contents of disks",
        "0.0.7e53: the mount at / is at /srv/real-host",
        "0.0.7e53: what uses its partition 2 uses the first one",
        "0.0.7e53: the swap area beside what is mounted of it",
        "0.0.7e53: volume 'vg0-a b' is called vg0-a-b",
        "0.0.8000-0.0.80ff: size not known, nobody has it online: 1113 cylinders",
        "0.0.0600: no DASD (1731/01): it only says what it is",
        "guest linux01: runs without -drive",
        "/etc/modprobe.d/x.conf: too large",
    ):
        assert text in host[1]


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("/", "/srv/real-host"), ("/boot", "/srv/real-host/boot"), ("/var", "/srv/real-host/var"),
        ("/usr/local", "/srv/real-host/usr/local"), ("/home", "/home"), ("/var/lib/images", "/var/lib/images"),
        ("/variable", "/variable"), ("/var/lib", "/srv/real-host/var/lib"), ("/srv/data", "/srv/data"),
    ],
)  # fmt: skip
def test_where_disks_are_mounted(tmp_path: Path, target: str, place: str) -> None:
    changed = {**HOST, "subchannels": [online(0, "0.0.7e52", ("mounted", target, 1))]}
    described = document.read(written(tmp_path, changed))
    assert define(described).host["devices"][0]["mounted"] == place


def test_cio_ignore_of_the_command_line(tmp_path: Path) -> None:
    changed = copy.deepcopy(HOST)
    changed["kernel"]["parameters"] = [
        {"source": "/proc/cmdline", "name": "cio_ignore", "value": "all,!0.0.7e52"},
        {"source": "/proc/cmdline", "name": "dasd", "value": "0.0.7e52"},
    ]
    made = define(document.read(written(tmp_path, changed))).host
    assert made["cmdline"] == "root=/dev/vda1"
    assert 'parameters="cio_ignore=all,!0.0.7e52 dasd=0.0.7e52"' in made["files"]["/etc/zipl.conf"]


def test_what_is_ignored_since_boot_stays_on_the_command_line(tmp_path: Path) -> None:
    changed = copy.deepcopy(HOST)
    source = {"source": "/proc/cmdline", "name": "cio_ignore", "value": "0.0.9000-0.0.90ff"}
    changed["kernel"]["parameters"] = [source]
    made = define(document.read(written(tmp_path, changed))).host
    assert made["cmdline"] == "root=/dev/vda1 cio_ignore=0.0.9000-0.0.90ff"
    assert "cio_ignore" not in made and "/etc/zipl.conf" not in made["files"]


def test_parameters_stand_in_the_files_that_they_stood_in(tmp_path: Path) -> None:
    changed = copy.deepcopy(HOST)
    changed["kernel"]["parameters"] = [
        {"source": source, "name": name, "value": "0.0.7e52"}
        for source, name in (
            ("/etc/kernel/cmdline", "rd.dasd"), ("/etc/default/grub", "dasd"), ("/etc/dasd.conf", ""),
            ("/boot/parmfile", "dasd"), ("/etc/shadow", "dasd"),
        )
    ]  # fmt: skip
    made = define(document.read(written(tmp_path, changed))).host["files"]
    assert made["/etc/kernel/cmdline"] == "rd.dasd=0.0.7e52\n"
    assert made["/etc/default/grub"] == 'GRUB_CMDLINE_LINUX="dasd=0.0.7e52"\n'
    assert made["/etc/dasd.conf"] == "0.0.7e52\n"
    assert 'parameters="dasd=0.0.7e52 dasd=0.0.7e52"' in made["/etc/zipl.conf"]
    assert "/etc/shadow" not in made and "/boot/parmfile" not in made


def test_refusals_that_a_twin_does_not_have_are_told(tmp_path: Path) -> None:
    """Those for which the disk is, are not."""
    refusals = [{"id": "opened", "found": "opened by process 7"}, {"id": "mounted", "found": "mounted at /srv"}]
    changed = {**HOST, "subchannels": [online(0, "0.0.7e52", refusals=refusals)]}
    told = define(document.read(written(tmp_path, changed))).differences
    assert [line for line in told if "refused" in line] == ["0.0.7e52: is not refused for opened by process 7"]


def test_aliases_and_a_reserved_disk(tmp_path: Path) -> None:
    reserved = [{"id": "reserved", "found": "another system has it reserved"}]
    rows = [
        subchannel(0, "0.0.7e50", ccw={"online": True, "aliases": ["0.0.7ef0"]}, disk={"size": SIZE, "partitions": 1}),
        subchannel(1, "0.0.7ef0", ccw={"online": True, "alias": True}),
        subchannel(2, "0.0.7ef1", ccw={"online": True, "alias": True}),
        subchannel(3, "0.0.7e51", refusals=reserved),
    ]
    path = tmp_path / "lab.yml"
    assert main([written(tmp_path, {**HOST, "subchannels": rows, "guests": []}), "-o", str(path)]) == 0
    by_device = {sch.devno: sch.device for sch in read_lab(str(path)).hosts[0].machine.subchannels}
    aliases = [by_device[device] for device in ("0.0.7ef0", "0.0.7ef1")]
    assert [(one.alias, one.base_unit_address) for one in aliases if isinstance(one, DasdSpec)] == [
        (PAV_ALIAS, 0x50),
        (HYPER_PAV_ALIAS, 0),
    ]
    assert getattr(by_device["0.0.7e51"], "reserved", None) is True


def test_a_guest_of_libvirt_is_started_with_its_devices(tmp_path: Path) -> None:
    changed = copy.deepcopy(HOST)
    changed["guests"][0] |= {"hypervisor": "libvirt", "argv": []}
    made = define(document.read(written(tmp_path, changed)))
    argv = made.host["commands"][-1]
    assert f"vfio-ccw,sysfsdev=/sys/bus/mdev/devices/{UUIDS[0]},devno=fe.0.1234" in argv


def test_a_guest_whose_device_is_not_described_does_not_run(tmp_path: Path) -> None:
    changed = copy.deepcopy(HOST)
    changed["guests"][0]["devices"][0]["uuid"] = UUIDS[1]
    made = define(document.read(written(tmp_path, changed)))
    assert made.running == []
    assert f"guest linux01: does not run: mediated device {UUIDS[1]} was not described" in made.differences


def change(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def apply(document: dict[str, Any]) -> None:
        at: Any = document
        *way, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        for part in way:
            at = at[part]
        at[last] = value

    return apply


WRONG = [
    (change("format", 2), "format: found '2'; expected 1: another ccwemu reads this one"),
    (change("machine_id", "../../x"), "machine_id: found '../../x'; expected 32 hexadecimal digits"),
    (change("kernel/release", "4.4"), "kernel.release: kernel release '4.4': vfio_ccw exists from Linux 4.12 on"),
    (change("kernel/config", {"X Y": "y"}), "kernel.config.X Y: found 'X Y'; expected a symbol"),
    (
        change("kernel/parameters/0/source", "/root/x"),
        "found '/root/x'; expected a file with kernel parameters",
    ),
    (change("subchannels", {}), "subchannels: found a mapping; expected a list"),
    (change("subchannels/0/subchannel", "0.0.zz"), "subchannels[0].subchannel: found '0.0.zz'; expected a bus id"),
    (change("subchannels/0/device", "7e52"), "subchannels[0].device: found '7e52'; expected a bus id"),
    (change("subchannels/0/pim", "100"), "subchannels[0].pim: found '100'; expected a hexadecimal number from 0 to ff"),
    (change("subchannels/0/disk/size", -1), "subchannels[0].disk.size: found '-1'; expected a number from 0"),
    (change("subchannels/0/disk/uses/0/kind", "x"), "uses[0].kind: found 'x'; expected mounted or swap or volume"),
    (change("guests/0/name", "a b"), "guests[0].name: found 'a b'; expected a name"),
    (change("guests/0/devices/0/uuid", "$(x)"), "guests[0].devices[0].uuid: found '$(x)'; expected a UUID"),
    (change("files/0/path", "/etc/shadow"), "files[0].path: found '/etc/shadow'; expected a file below one of"),
    (change("files/0/path", "/etc/driverctl.d/../x"), "files[0].path: found '/etc/driverctl.d/../x'; expected a file"),
    (change("files/0/mode", "4755"), "files[0].mode: found '4755'; expected an octal number from 0 to 777"),
    (change("files", [{}] * 70000), "files: found 70000 entries; expected at most 65536"),
]


@pytest.mark.parametrize(("apply", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_is_refused(tmp_path: Path, apply: Callable[[dict[str, Any]], None], message: str) -> None:
    changed = copy.deepcopy(HOST)
    apply(changed)
    path = written(tmp_path, changed)
    with pytest.raises(LabError) as caught:
        document.read(path)
    assert message in str(caught.value)
    assert main([path]) == 1


@pytest.mark.parametrize("text", ["", "[", "nonsense", "[1]", "[" * 100000])
def test_no_description(tmp_path: Path, text: str) -> None:
    (tmp_path / "host.json").write_text(text)
    with pytest.raises(LabError, match="host.json"):
        document.read(str(tmp_path / "host.json"))


def test_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [node_name(name) for name in ("LPAR1.example.com", "a_b", "-x-")] == ["lpar1", "a-b", "x"]
    path = written(tmp_path)
    assert main([f"one={path}", f"two={path}", "--lab", "both", "-o", str(tmp_path / "lab.yml")]) == 0
    lab = read_lab(str(tmp_path / "lab.yml"))
    assert (lab.name, [host.name for host in lab.hosts]) == ("both", ["one", "two"])
    assert main([path, path]) == 1
    assert "there is a host lpar1 already" in capsys.readouterr().err

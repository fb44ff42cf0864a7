# SPDX-License-Identifier: GPL-2.0-or-later
"""lscss, lsdasd, chccwdev and cio_ignore against what the real ones printed on a real s390x kernel.

The trace is tests/fidelity/data/linux-6.1-tools-trace.txt. Each command runs on a tree of plain files that is in
the state which the machine of the trace had at that step.
"""

from __future__ import annotations

import importlib
import io
import os
import shlex
import sys
from pathlib import Path

import pytest

from ccwemu.tools import COMMANDS
from ccwemu.tools._files import write_attribute

TRACE = Path(__file__).parents[2] / "tests/fidelity/data/linux-6.1-tools-trace.txt"
UID = "BIB.M750000000FAKE.0000.34"


def put(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def link(root: Path, path: str, target: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    os.symlink(target, root / path)


def subchannel(root: Path, number: int, devno: str, cutype: str, devtype: str, chpid: str) -> None:
    name = f"0.0.{number:04x}"
    base = f"sys/devices/css0/{name}"
    put(root, f"{base}/type", "0\n")
    put(root, f"{base}/pimpampom", "80 80 ff\n")
    put(root, f"{base}/chpids", f"{chpid} 00 00 00 00 00 00 00 \n")
    put(root, f"{base}/vpm", "80\n")
    put(root, f"{base}/dev_busid", devno + "\n")
    link(root, f"sys/bus/css/devices/{name}", f"../../../devices/css0/{name}")
    link(root, f"{base}/driver", "../../../bus/css/drivers/io_subchannel")
    for attribute, value in {"cutype": cutype, "devtype": devtype, "online": "1", "availability": "good"}.items():
        put(root, f"{base}/{devno}/{attribute}", value + "\n")
    link(root, f"sys/bus/ccw/devices/{devno}", f"../../../devices/css0/{name}/{devno}")


DASD = "sys/devices/css0/0.0.0003/0.0.7e52"


def base(root: Path) -> None:
    """Before modules: the DASD has no driver and is offline."""
    for number, model in enumerate(("02", "01", "04")):
        subchannel(root, number, f"0.0.000{number + 1}", f"3832/{model}", "n/a", "00")
    subchannel(root, 3, "0.0.7e52", "3990/e9", "3390/0a", "41")
    put(root, f"{DASD}/online", "0\n")
    put(root, "proc/filesystems", "nodev\tsysfs\n")
    put(root, "proc/mounts", "proc /proc proc rw 0 0\nsys /sys sysfs rw 0 0\n")
    put(root, "proc/cio_settle", "")
    put(root, "proc/cio_ignore", "")
    (root / "sys/bus/ccw/drivers").mkdir()


def offline(root: Path) -> None:
    """dasd_eckd_mod is loaded."""
    base(root)
    link(root, "sys/bus/ccw/drivers/dasd-eckd/0.0.7e52", "../../../../devices/css0/0.0.0003/0.0.7e52")
    link(root, f"{DASD}/driver", "../../../../bus/ccw/drivers/dasd-eckd")
    flags = {"alias": "0", "uid": "", "readonly": "0", "discipline": "none", "use_diag": "0"}
    for attribute, value in {**flags, "eer_enabled": "0", "erplog": "0", "hpf": "0"}.items():
        put(root, f"{DASD}/{attribute}", value + "\n")


def online(root: Path) -> None:
    offline(root)
    values = {"online": "1", "uid": UID, "discipline": "ECKD", "ese": "0", "path_masks": "80 00 00 00 00 00"}
    for attribute, value in {**values, "fc_security": "Unsupported", "extent_pool/extent_size": "0"}.items():
        put(root, f"{DASD}/{attribute}", value + "\n")
    put(root, f"{DASD}/capacity/logical_capacity", "0\n")
    put(root, f"{DASD}/capacity/space_allocated", "-5\n")
    put(root, f"{DASD}/block/dasda/dev", "94:0\n")
    put(root, f"{DASD}/block/dasda/size", "144000\n")
    put(root, f"{DASD}/block/dasda/queue/hw_sector_size", "4096\n")


def online_readonly(root: Path) -> None:
    online(root)
    put(root, f"{DASD}/readonly", "1\n")


def passed_through(root: Path) -> None:
    """The subchannel is bound to vfio_ccw: no CCW device, no vpm."""
    base(root)
    (root / "sys/bus/ccw/drivers/dasd-eckd").mkdir()
    (root / "sys/bus/ccw/devices/0.0.7e52").unlink()
    for file in (root / DASD).iterdir():
        file.unlink()
    (root / DASD).rmdir()
    (root / "sys/devices/css0/0.0.0003/vpm").unlink()
    (root / "sys/devices/css0/0.0.0003/driver").unlink()
    link(root, "sys/devices/css0/0.0.0003/driver", "../../../bus/css/drivers/vfio_ccw")


def ignored(root: Path) -> None:
    base(root)
    put(root, "proc/cio_ignore", "0.0.7e52\n")


CASES = [
    ("versions", "lscss --version", base),
    ("versions", "lsdasd --version", base),
    ("versions", "chccwdev --version", base),
    ("before modules", "lscss", base),
    ("before modules", "lscss -t 3390", base),
    ("before modules", "lscss -a", base),
    ("before modules", "lscss -u", base),
    ("before modules", "lsdasd", offline),
    ("before modules", "lsdasd -a", offline),
    ("chccwdev", "chccwdev -e 0.0.7e52", offline),
    ("chccwdev", "chccwdev -e 0.0.7e52", online),
    ("chccwdev", "lsdasd", online),
    ("chccwdev", "lsdasd -l", online),
    ("chccwdev", "lsdasd -s", online),
    ("chccwdev", "lsdasd -u", online),
    ("chccwdev", "lsdasd 0.0.7e52", online),
    ("chccwdev", "lscss 0.0.7e52", online),
    ("chccwdev", "lscss --avail 0.0.7e52", online),
    ("chccwdev", "chccwdev -a readonly=1 0.0.7e52", online),
    ("chccwdev", "chccwdev -d 0.0.7e52", online),
    ("chccwdev", "chccwdev -d 0.0.7e52", offline),
    ("chccwdev", "chccwdev -e 0.0.9999", offline),
    ("chccwdev", "chccwdev -e nonsense", offline),
    ("chccwdev", "chccwdev -e 7e52", offline),
    ("chccwdev", "chccwdev -d 0.0.7e50-0.0.7e5f", online),
    ("chccwdev", "chccwdev", offline),
    ("chccwdev", "chccwdev -f -e 0.0.7e52", offline),
    ("in use", "chccwdev -d 0.0.7e52", online),
    ("driverctl", "lscss", passed_through),
    ("driverctl", "lscss 0.0.7e52", passed_through),
    ("driverctl", "lsdasd -a", passed_through),
    ("driverctl", "chccwdev -e 0.0.7e52", passed_through),
    ("give back", "lscss 0.0.7e52", offline),
    ("give back", "lsdasd", online_readonly),
    ("cio_ignore", "cio_ignore -l", base),
    ("cio_ignore", "cio_ignore -a 0.0.7e52", base),
    ("cio_ignore", "cio_ignore -l", ignored),
    ("cio_ignore", "cio_ignore -L", ignored),
    ("cio_ignore", "cio_ignore -r 0.0.7e52", ignored),
    ("cio_ignore", "cio_ignore -k", base),
    ("cio_ignore", "cio_ignore -i 0.0.7e52", base),
]


def recorded() -> dict[tuple[str, str], list[tuple[str, int]]]:
    """(section, command) → output and exit status of each time it was run, in order."""
    steps: dict[tuple[str, str], list[tuple[str, int]]] = {}
    section, current = "", None
    for line in TRACE.read_text().splitlines(keepends=True):
        if line.startswith("== "):
            section, current = line[3:].strip(), None
        elif line.startswith("$ "):
            current = steps.setdefault((section, line[2:].rstrip("\n")), [])
            current.append(("", 0))
        elif current is not None:
            text, _ = current[-1]
            current[-1] = (text, int(line[4:-2])) if line.startswith("[rc=") else (text + line, 0)
    return steps


def execute(command: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, int]:
    """Output (both streams, as they come) and exit status."""
    name, *argv = shlex.split(command)
    module, _, function = COMMANDS[name].partition(":")
    both = io.StringIO()
    monkeypatch.setattr(sys, "stdout", both)
    monkeypatch.setattr(sys, "stderr", both)
    tool = importlib.import_module(module)
    if name == "chccwdev" and tool.write_attribute is write_attribute:
        # a plain file keeps what is written to it; the kernel's online says 1 after force
        def kernel(path: str, text: str) -> None:
            write_attribute(path, text.replace("force", "1"))

        monkeypatch.setattr(tool, "write_attribute", kernel)
    status = getattr(tool, function)(argv, root=str(root))
    return both.getvalue(), status


@pytest.mark.parametrize(("section", "command", "state"), CASES)
def test_prints_what_the_real_tool_printed(section, command, state, tmp_path, monkeypatch):
    state(tmp_path)
    runs = recorded()[section, command]
    position = [case for case in CASES if case[:2] == (section, command)].index((section, command, state))
    assert execute(command, tmp_path, monkeypatch) == runs[min(position, len(runs) - 1)]


def test_every_command_of_the_trace_has_a_case():
    """What is not replayed here is named, so that nothing drops out unseen."""
    tools = ("lscss", "lsdasd", "chccwdev", "cio_ignore")
    wanted = {key for key in recorded() if key[1].split()[0] in tools}
    replayed = {case[:2] for case in CASES}
    elsewhere = {
        ("mdevctl", "lscss"),  # the same tree and output as in the section driverctl
        ("give back", "chccwdev -e 0.0.7e52"),
        ("give back", "chccwdev -d 0.0.7e52"),
    }
    assert wanted - replayed == elsewhere


LSCSS = [
    ("lscss --vfio", 0, "MDEV                                  Subchan.  PIM PAM POM  CHPIDs           \n"
     "------------------------------------------------------------------------------\n"
     "none                                  0.0.0003  80  80  ff   41000000 00000000\n"),
    ("lscss --vfio --io", 1,
     "lscss: Invalid option combination: --vfio can not be used with --io, -d, -t or --avail\n"),
    ("lscss zzz", 1, "lscss: Invalid ID specified: zzz\n"),
    ("lscss 1-", 1, "lscss: Invalid ID specified: 1\n"),
    ("lscss -t x", 1, "lscss: Invalid device type specified: x\n"),
    ("lscss --nosuch", 1, "lscss: Invalid option '--nosuch'\nTry 'lscss --help' for more information.\n"),
    ("lscss -t", 1, "lscss: Option '-t' requires an argument\nTry 'lscss --help' for more information.\n"),
    ("lscss -s --vpm 3", 0,
     "Device   Subchan.  DevType CU Type Use  PIM PAM POM VPM CHPIDs           \n"
     "-------------------------------------------------------------------------\n"
     "none     0003                           80  80  ff      41000000 00000000\n"),
    # the bug that is in kernel-facts: -t shows the vfio-bound subchannel with its predecessor's device type
    ("lscss -t 0", 0,
     "Device   Subchan.  DevType CU Type Use  PIM PAM POM  CHPIDs           \n"
     "----------------------------------------------------------------------\n"
     "0.0.0001 0.0.0000  0000/00 3832/02 yes  80  80  ff   00000000 00000000\n"
     "0.0.0002 0.0.0001  0000/00 3832/01 yes  80  80  ff   00000000 00000000\n"
     "0.0.0003 0.0.0002  0000/00 3832/04 yes  80  80  ff   00000000 00000000\n"
     "none     0.0.0003  0000/00 3832/04 yes  80  80  ff   41000000 00000000\n"),
    ("lscss -d 0.0.0002-0.0.0002 --avail", 0,
     "Device   Subchan.  DevType CU Type Use  PIM PAM POM  CHPIDs            Avail.\n"
     "-----------------------------------------------------------------------------\n"
     "0.0.0002 0.0.0001  0000/00 3832/01 yes  80  80  ff   00000000 00000000 good  \n"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "status", "text"), LSCSS)
def test_lscss_options(command, status, text, tmp_path, monkeypatch):
    passed_through(tmp_path)
    assert execute(command, tmp_path, monkeypatch) == (text, status)


def test_lscss_names_the_mediated_device(tmp_path, monkeypatch):
    passed_through(tmp_path)
    (tmp_path / "sys/devices/css0/0.0.0003/6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920").mkdir()
    text, _ = execute("lscss --vfio", tmp_path, monkeypatch)
    assert text.splitlines()[2].startswith("6dfd3ec5-e8b3-4e18-a6fe-57bc9eceb920  0.0.0003  80  80  ff   ")


def test_lscss_lists_chsc_subchannels(tmp_path, monkeypatch):
    base(tmp_path)
    put(tmp_path, "sys/devices/css0/0.0.ff00/type", "1\n")
    link(tmp_path, "sys/bus/css/devices/0.0.ff00", "../../../devices/css0/0.0.ff00")
    text, _ = execute("lscss --chsc", tmp_path, monkeypatch)
    assert text == "Device   Subchan. \n------------------\nn/a      0.0.ff00 \n"
    assert "0.0.ff00" not in execute("lscss", tmp_path, monkeypatch)[0]


CHCCWDEV = [
    ("chccwdev -e -d 7e52", 1, "chccwdev: Incompatible argument list.\nTry 'chccwdev --help' for more information.\n"),
    ("chccwdev -x 7e52", 1, "chccwdev: Invalid option -x\nTry 'chccwdev --help' for more information.\n"),
    ("chccwdev -e 7e53-7e52", 1, "Invalid range order\nERROR: Evaluation of bus IDs failed!\n\n"),
    ("chccwdev -e 0.1.0000-0.0.7e52", 1,
     "Invalid range (0.1.0000-0.0.7e52)\nERROR: Evaluation of bus IDs failed!\n\n"),
    ("chccwdev -e 1000-1010", 1,
     "No Device in range (0.0.1000-0.0.1010) found\nERROR: Evaluation of bus IDs failed!\n\n"),
    ("chccwdev -a nosuch=1 7e52", 1, "ERROR: Device[0.0.7e52] has no attribute nosuch!\n"),
    ("chccwdev -a readonly=0 7e52", 0, "The readonly attribute of 0.0.7e52 already is 0\nDone\n"),
    ("chccwdev -e 7e52,0.0.0002", 0,
     "Setting device 0.0.7e52 online\nDone\nWARNING: Device[0.0.0002] is already  online\nDone\n"),
    ("chccwdev -a online=force 7E52", 0, "Setting device 0.0.7e52 online\nDone\n"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "status", "text"), CHCCWDEV)
def test_chccwdev_options(command, status, text, tmp_path, monkeypatch):
    offline(tmp_path)
    assert execute(command, tmp_path, monkeypatch) == (text, status)


def test_chccwdev_needs_a_sysfs_line(tmp_path, monkeypatch):
    offline(tmp_path)
    put(tmp_path, "proc/mounts", "none /sys fuse rw 0 0\n")
    text, status = execute("chccwdev -e 7e52", tmp_path, monkeypatch)
    assert text.startswith("ERROR: chccwdev requires sysfs filesystem mounted!\n")
    assert status == 1


def test_chccwdev_reports_what_the_kernel_says(tmp_path, monkeypatch):
    base(tmp_path)
    chccwdev = importlib.import_module("ccwemu.tools.chccwdev")

    def refuse(path: str, text: str) -> None:
        if path.endswith("/online"):
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr(chccwdev, "write_attribute", refuse)
    monkeypatch.setattr(chccwdev, "PAUSE", 0)
    assert execute("chccwdev -e 7e52", tmp_path, monkeypatch) == (
        "Setting device 0.0.7e52 online\nFailed (Invalid argument)\n"
        "Note: No driver is attached to this device (DevType:3390/0a CU Type:3990/e9).\nFailed\n",
        1,
    )


CIO_IGNORE = [
    ("cio_ignore", 1, "cio_ignore: Need one of options -a, -A, -r, -R, -l, -L, -i, -k, -u or -p\n"
     "Use 'cio_ignore --help' to get usage information.\n"),
    ("cio_ignore -x", 1, "cio_ignore: invalid option '-x'\nUse 'cio_ignore --help' to get usage information.\n"),
    ("cio_ignore -a", 1, "cio_ignore: --add requires an argument\n"),
    ("cio_ignore -i 1-2", 1, "cio_ignore: Error: --is-ignored accepts only a single device ID\n"),
    ("cio_ignore -i 0.4.1234", 1, "cio_ignore: Error: device ID '0.4.1234': SSID is too large\n"),
    ("cio_ignore -i 7e52", 0, "Device 7e52 is ignored\n"),
    ("cio_ignore -k", 0, "cio_ignore=7e52\n"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "status", "text"), CIO_IGNORE)
def test_cio_ignore_options(command, status, text, tmp_path, monkeypatch):
    ignored(tmp_path)
    assert execute(command, tmp_path, monkeypatch) == (text, status)


def test_cio_ignore_prints_the_shorter_kernel_parameter(tmp_path, monkeypatch):
    base(tmp_path)
    ranges = "0.0.0000-0.0.0008\n0.0.000a-0.0.ffff\n0.1.0000-0.1.ffff\n0.2.0000-0.2.ffff\n0.3.0000-0.3.ffff\n"
    put(tmp_path, "proc/cio_ignore", ranges)
    assert execute("cio_ignore -k", tmp_path, monkeypatch) == ("cio_ignore=all,!0009\n", 0)


def test_lsdasd_old_format(tmp_path, monkeypatch):
    online(tmp_path)
    text = "0.0.7e52(ECKD) at ( 94:  0) is dasda      : active at blocksize 4096, 18000 blocks, 70 MB\n"
    assert execute("lsdasd -c", tmp_path, monkeypatch) == (text, 0)


def test_lsdasd_not_formatted(tmp_path, monkeypatch):
    online(tmp_path)
    put(tmp_path, f"{DASD}/block/dasda/size", "0\n")
    line = "0.0.7e52  n/f       dasda     94:0    ECKD".ljust(68) + "\n"
    assert execute("lsdasd", tmp_path, monkeypatch)[0].splitlines(keepends=True)[2] == line

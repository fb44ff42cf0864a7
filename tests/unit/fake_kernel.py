# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory tree that answers writes as Linux 6.1 does, after the trace of a real one (tests/fidelity/data).

Only what the collection uses is there: css and ccw buses, vfio_ccw, mediated devices, /proc files. Faults can be
injected into any write.
"""

from __future__ import annotations

import errno
import heapq
import itertools
import json
import os
import re
from pathlib import Path
from typing import Any, Callable

from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._host import Host, HostError, StillBlocked
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._engine import Options, Outcome
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils.engine._engine import converge as _converge

UUID_TEXT = re.compile(r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
RELEASE = "6.1.0-29-s390x"


class Killed(BaseException):
    """What SIGKILL is to a process: nothing runs after it, no handler of errors either."""


class FakeHost(Host):
    """A host whose kernel attributes are stored into a FakeKernel. ``writes`` is the log of all that was written."""

    def __init__(self, kernel: FakeKernel) -> None:
        super().__init__(root=str(kernel.root), run_command=kernel.run)
        self.kernel = kernel
        self.writes: list[tuple[str, str]] = []
        self.saves: list[str] = []
        self.bounded: list[str] = []
        self.looks = 0
        """How often something was looked at: files read, directories listed, links followed."""
        self.mutations = 0
        self.kill_at = (0, "")
        """At which change of the host, and whether before or after its effect."""
        self.permitted = True
        self.denied: tuple[str, ...] = ()
        """What paths begin with that this user may not read."""

    def is_root(self) -> bool:
        return self.permitted

    def writable(self, path: str) -> bool:
        return self.permitted and self.exists(path)

    def write(self, path: str, value: str) -> None:
        self.writes.append((path, value))
        number = self._mutate(lambda: self.kernel.store(path, value, len(self.writes)))
        if number:
            raise HostError("write", path, number, value)

    def write_bounded(self, path: str, value: str, timeout: float = 0) -> None:
        self.bounded.append(path)
        self.write(path, value)

    def ask_bounded(self, work: Callable[[str], str], path: str, timeout: float) -> str:
        if path in self.kernel.stuck:
            raise StillBlocked("read", path, errno.EBUSY, text=f"not finished after {timeout:g} s")
        try:
            return work(f"{self.kernel.root}{path}")
        except OSError as exc:
            raise HostError("read", path, exc.errno or 0) from exc

    def save(self, path: str, text: str, mode: int = 0o644) -> None:
        self.saves.append(path)
        if path in self.kernel.unwritable:
            raise HostError("save", path, errno.EROFS)
        self._mutate(lambda: super(FakeHost, self).save(path, text, mode))

    def unlink(self, path: str) -> None:
        self._mutate(lambda: super(FakeHost, self).unlink(path))

    def run(self, argv: list[str], data: str = "") -> tuple[int, str, str]:
        return self._mutate(lambda: super(FakeHost, self).run(argv, data))

    def _mutate(self, effect: Callable[[], Any]) -> Any:
        """Do something that changes the host, unless the process is killed right before; it may be right after."""
        self.mutations += 1
        if self.kill_at == (self.mutations, "before"):
            raise Killed
        result = effect()
        if self.kill_at == (self.mutations, "after"):
            raise Killed
        return result

    def names(self, path: str) -> list[str]:
        self.looks += 1
        return super().names(path)

    def link(self, path: str) -> str:
        self.looks += 1
        return super().link(path)

    def exists(self, path: str) -> bool:
        self.looks += 1
        return super().exists(path)

    def read(self, path: str) -> str:
        self.looks += 1
        if path.startswith(self.denied):
            raise HostError("read", path, errno.EACCES)
        if path == "/proc/partitions":
            return self.kernel.partitions()
        if path.startswith(("/sys/bus/ccw/devices/", "/sys/devices/css0/")) and path.endswith("/uevent"):
            return self.kernel.uevent(path.split("/")[-2])
        return super().read(path)

    def try_open(self, path: str) -> int:
        if path.startswith(self.denied):
            return errno.EACCES
        if path in self.kernel.busy:
            return errno.EBUSY
        return super().try_open(path)

    def wait_for(self, condition, timeout: float) -> bool:
        return any(condition() for _try in range(3))

    def kill(self, pid: int, number: int) -> None:
        self.kernel.killed.append((pid, number))
        if self.kernel.obeys_signals:
            self.kernel.end_process(pid)


class FakeKernel:
    """The tree and the stores. ``faults``: write number to (errno, when); when is "before" or "after" the effect."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.faults: dict[int, tuple[int, str]] = {}
        self.busy: set[str] = set()
        self.unwritable: set[str] = set()
        self.stuck: set[str] = set()
        """Nodes of disks that do not answer a reader."""
        self.commands: list[list[str]] = []
        self.killed: list[tuple[int, int]] = []
        self.obeys_signals = True
        self.recognises = True
        self.mdevctl_fails = False
        self.refuses_offline: set[str] = set()
        self.refuses_online: set[str] = set()
        self.mdev_driver = "vfio_ccw_mdev"
        self.qdio: set[str] = set()
        self._devices: dict[str, dict[str, str]] = {}
        self._numbers = itertools.count()
        self._freed: list[int] = []
        for directory in (
            "sys/bus/css/devices",
            "sys/bus/css/drivers/io_subchannel",
            "sys/bus/ccw/devices",
            "sys/block",
        ):
            (root / directory).mkdir(parents=True)
        for directory in ("sys/bus/ccw/drivers", "proc/self", "proc/sys/kernel", "dev/vfio", "sys/module"):
            (root / directory).mkdir(parents=True)
        for name in ("bind", "unbind"):
            self.put(f"sys/bus/css/drivers/io_subchannel/{name}", "")
        self.put("sys/bus/ccw/drivers_probe", "")
        self.put("proc/cio_settle", "")
        self.put("proc/cio_ignore", "")
        self.put("proc/modules", "")
        self.put("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n")
        self.put("proc/self/mountinfo", "22 1 0:20 / / rw - overlay overlay rw\n")
        self.put("proc/sys/kernel/osrelease", RELEASE + "\n")

    # --- making the tree

    def put_command(self, path):
        """A program that can be run."""
        self.put(path, "")
        (self.root / path).chmod(0o755)

    def put(self, path: str, text: str) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def get(self, path: str) -> str:
        return (self.root / path.lstrip("/")).read_text(encoding="utf-8")

    def link(self, path: str, target: str) -> None:
        """A relative link, both given from the root."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(os.path.relpath(self.root / target.lstrip("/"), place.parent))

    def host(self) -> FakeHost:
        return FakeHost(self)

    def add_driver(self, bus: str, name: str) -> None:
        for attribute in ("bind", "unbind"):
            self.put(f"sys/bus/{bus}/drivers/{name}/{attribute}", "")

    def load_vfio_ccw(self) -> None:
        self.add_driver("css", "vfio_ccw")
        (self.root / "sys/bus/mdev/devices").mkdir(parents=True, exist_ok=True)
        (self.root / f"sys/bus/mdev/drivers/{self.mdev_driver}").mkdir(parents=True, exist_ok=True)

    def add_subchannel(self, sch: str, devno: str = "", kind: int = 0, **device: str) -> None:
        """A subchannel bound to io_subchannel, with a CCW device when ``devno`` is given (cutype, devtype, driver,
        disk).
        """
        path = f"sys/devices/css0/{sch}"
        self.put(f"{path}/type", f"{kind}\n")
        self.put(f"{path}/driver_override", "(null)\n")
        self.link(f"sys/bus/css/devices/{sch}", path)
        if kind != 0:
            return
        self.put(f"{path}/chpids", "41 42 00 00 00 00 00 00 \n")
        self.put(f"{path}/pimpampom", "c0 c0 ff\n")
        self.put(f"{path}/dev_busid", f"{devno or 'none'}\n")
        if devno:
            self._devices[sch] = {"devno": devno, **device}
        self._bind_css(sch, "io_subchannel")

    def _recognise(self, sch: str) -> None:
        device = self._devices.get(sch)
        if device is None or not self.recognises:
            return
        path = f"sys/devices/css0/{sch}/{device['devno']}"
        values = {"online": "0", "availability": "good", "alias": "0"}
        for name, value in {**values, **device}.items():
            if name in ("online", "cutype", "devtype", "availability", "alias"):
                self.put(f"{path}/{name}", value + "\n")
        self.link(f"sys/bus/ccw/devices/{device['devno']}", path)
        if device.get("driver"):
            self._bind_ccw(device["devno"], device["driver"])
        if device.get("online") == "1":
            self._add_block(sch)
            device["online"] = "0"  # a device that comes back later comes back offline

    def _add_block(self, sch: str) -> None:
        device = self._devices[sch]
        disk, minor = device.get("disk", ""), device.get("minor", "0")
        if not disk:
            return
        path = f"sys/devices/css0/{sch}/{device['devno']}/block/{disk}"
        self.put(f"{path}/dev", f"94:{minor}\n")
        self.put(f"{path}/size", "144000\n")
        self.put(f"{path}/{disk}1/dev", f"94:{int(minor) + 1}\n")
        self.put(f"{path}/{disk}1/size", "143976\n")
        self.put(f"{path}/{disk}1/partition", "1\n")
        for part in (path, f"{path}/{disk}1"):
            (self.root / part / "holders").mkdir()
        self.link(f"sys/block/{disk}", path)
        self.link(f"sys/class/block/{disk}", path)
        self.link(f"sys/class/block/{disk}1", f"{path}/{disk}1")
        for node in (disk, f"{disk}1"):
            self.put(f"dev/{node}", "")

    def partitions(self) -> str:
        """What has a size; the lists of the tests need no sizes."""
        lines = ["major minor  #blocks  name", ""]
        for path in sorted((self.root / "sys/class/block").glob("*")):
            major, minor = (path / "dev").read_text().strip().split(":")
            lines.append(f"{major:>4} {minor:>8} {72000:>10} {path.name}")
        return "\n".join(lines) + "\n"

    def uevent(self, name: str) -> str:
        """Of a CCW device."""
        path = self.root / f"sys/bus/ccw/devices/{name}"
        lines = [f"DRIVER={os.path.basename(os.readlink(path / 'driver'))}"] if (path / "driver").is_symlink() else []
        for of in ("CU", "DEV"):
            attribute = path / f"{of.lower()}type"
            kind, _slash, model = (attribute.read_text().strip() if attribute.exists() else "n/a").partition("/")
            lines += [f"{of}_TYPE={kind.upper() if kind != 'n' else '0000'}", f"{of}_MODEL={model.upper()}"]
        return "\n".join(lines) + "\n"

    def make_old(self) -> None:
        """A kernel before 5.10: a subchannel does not say whose it is."""
        for path in (self.root / "sys/devices/css0").glob("*/dev_busid"):
            path.unlink()

    # --- answering writes

    def store(self, path: str, value: str, number: int) -> int:
        """The errno of a write (0 for success), with its effect on the tree."""
        fault, when = self.faults.get(number, (0, ""))
        if fault and when == "before":
            return fault
        if when == "ignored":
            return 0
        if not (self.root / path.lstrip("/")).exists():
            return errno.ENOENT
        answer = self._dispatch(path.lstrip("/"), value)
        return answer or fault

    def _dispatch(self, path: str, value: str) -> int:
        driver = re.match(r"sys/bus/(css|ccw)/drivers/([^/]+)/(bind|unbind)$", path)
        if driver:
            return getattr(self, f"_{driver.group(3)}")(driver.group(1), driver.group(2), value)
        if path == "sys/bus/ccw/drivers_probe":
            match = next((one["driver"] for one in self._devices.values() if one["devno"] == value), "")
            return self._bind("ccw", match, value) if match else errno.EINVAL
        if path.endswith("/online"):
            return self._online(path.split("/")[-2], value)
        if path.endswith("/driver_override"):
            self.put(path, (value or "(null)") + "\n")
            return 0
        if path.endswith("/create"):
            return self._create(path.split("/")[4], value)
        if path.endswith("/remove"):
            return self._remove(path.split("/")[-2])
        return 0 if path == "proc/cio_settle" else errno.EACCES

    def _device_path(self, bus: str, name: str) -> Path | None:
        path = self.root / f"sys/bus/{bus}/devices/{name}"
        return Path(os.path.realpath(path)) if path.exists() else None

    def _unbind(self, bus: str, driver: str, name: str) -> int:
        path = self._device_path(bus, name)
        if (
            path is None
            or not (path / "driver").is_symlink()
            or os.path.basename(os.readlink(path / "driver")) != driver
        ):
            return errno.ENODEV
        (self.root / f"sys/bus/{bus}/drivers/{driver}/{name}").unlink()
        if bus == "ccw":
            self._drop_block(path)
        elif driver == "io_subchannel":
            self._drop_ccw(path)
        else:
            for child in list(path.iterdir()):
                if UUID_TEXT.match(child.name):
                    self._remove(child.name)
            self._rmtree(path / "mdev_supported_types")
        (path / "driver").unlink()
        return 0

    def _bind(self, bus: str, driver: str, name: str) -> int:
        path = self._device_path(bus, name)
        if path is None:
            return errno.ENODEV
        if (path / "driver").is_symlink():
            return errno.EBUSY
        if bus == "ccw":
            self._bind_ccw(name, driver)
            return 0
        override = (path / "driver_override").read_text().strip()
        kind = (path / "type").read_text().strip()
        if override not in ("(null)", driver) or kind != "0" or (driver == "vfio_ccw" and name in self.qdio):
            return errno.ENODEV
        self._bind_css(name, driver)
        return 0

    def _bind_css(self, sch: str, driver: str) -> None:
        path = f"sys/devices/css0/{sch}"
        self.link(f"{path}/driver", f"sys/bus/css/drivers/{driver}")
        self.link(f"sys/bus/css/drivers/{driver}/{sch}", path)
        if driver == "io_subchannel":
            self._recognise(sch)
        else:
            types = f"{path}/mdev_supported_types/vfio_ccw-io"
            self.put(f"{types}/create", "")
            self.put(f"{types}/available_instances", "1\n")
            (self.root / types / "devices").mkdir()

    def _bind_ccw(self, name: str, driver: str) -> None:
        self.add_driver("ccw", driver)
        path = self._device_path("ccw", name)
        assert path is not None
        relative = path.relative_to(os.path.realpath(self.root))
        self.link(f"{relative}/driver", f"sys/bus/ccw/drivers/{driver}")
        self.link(f"sys/bus/ccw/drivers/{driver}/{name}", str(relative))

    def _online(self, name: str, value: str) -> int:
        path = self._device_path("ccw", name)
        assert path is not None
        now = (path / "online").read_text().strip()
        if not (path / "driver").is_symlink() or value == now:
            return errno.EINVAL
        if value == "0" and name in self.refuses_offline:
            return errno.EBUSY
        if value != "0" and name in self.refuses_online:
            return 0 if value == "force" else errno.EIO
        (path / "online").write_text(("0" if value == "0" else "1") + "\n")
        if value == "0":
            self._drop_block(path)
        else:
            self._add_block(path.parent.name)
        return 0

    def _drop_block(self, path: Path) -> None:
        for disk in list((path / "block").iterdir()) if (path / "block").is_dir() else []:
            (self.root / "sys/block" / disk.name).unlink()
            for name in (disk.name, f"{disk.name}1"):
                (self.root / "sys/class/block" / name).unlink()
        self._rmtree(path / "block")

    def _drop_ccw(self, path: Path) -> None:
        device = self._devices.get(path.name)
        if device and (path / device["devno"]).is_dir():
            self._drop_block(path / device["devno"])
            link = path / device["devno"] / "driver"
            if link.is_symlink():
                (self.root / "sys/bus/ccw/drivers" / os.path.basename(os.readlink(link)) / device["devno"]).unlink()
            (self.root / "sys/bus/ccw/devices" / device["devno"]).unlink()
            self._rmtree(path / device["devno"])

    def _create(self, sch: str, value: str) -> int:
        path = f"sys/devices/css0/{sch}"
        instances = f"{path}/mdev_supported_types/vfio_ccw-io/available_instances"
        uuid = value.lower()
        if not UUID_TEXT.match(value):
            return errno.EINVAL
        if (self.root / "sys/bus/mdev/devices" / uuid).exists():
            return errno.EEXIST
        if self.get(instances) == "0\n":
            return errno.EUSERS
        self.put(instances, "0\n")
        self.put(f"{path}/{uuid}/remove", "")
        if self.mdev_driver:
            self.link(f"{path}/{uuid}/driver", f"sys/bus/mdev/drivers/{self.mdev_driver}")
            self.link(f"sys/bus/mdev/drivers/{self.mdev_driver}/{uuid}", f"{path}/{uuid}")
            group = self._free_group()
            (self.root / f"sys/kernel/iommu_groups/{group}/devices").mkdir(parents=True)
            self.link(f"{path}/{uuid}/iommu_group", f"sys/kernel/iommu_groups/{group}")
            self.put(f"dev/vfio/{group}", "")
        self.link(f"sys/bus/mdev/devices/{uuid}", f"{path}/{uuid}")
        self.link(f"{path}/mdev_supported_types/vfio_ccw-io/devices/{uuid}", f"{path}/{uuid}")
        return 0

    def _free_group(self) -> str:
        """The lowest number that is free."""
        number = next(self._numbers) if not self._freed else heapq.heappop(self._freed)
        return str(number)

    def _remove(self, uuid: str) -> int:
        link = self.root / "sys/bus/mdev/devices" / uuid
        path = Path(os.path.realpath(link))
        link.unlink()
        (path.parent / "mdev_supported_types/vfio_ccw-io/devices" / uuid).unlink()
        if (path / "driver").is_symlink():
            (Path(os.path.realpath(path / "driver")) / uuid).unlink()
        if (path / "iommu_group").is_symlink():
            heapq.heappush(self._freed, int(os.path.basename(os.readlink(path / "iommu_group"))))
            self._rmtree(Path(os.path.realpath(path / "iommu_group")))
        self._rmtree(path)
        (path.parent / "mdev_supported_types/vfio_ccw-io/available_instances").write_text("1\n")
        return 0

    @staticmethod
    def _rmtree(path: Path) -> None:
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.is_dir():
            for child in path.iterdir():
                FakeKernel._rmtree(child)
            path.rmdir()

    # --- commands and processes

    def add_module_tree(self, *modules: str) -> None:
        lines = [f"kernel/drivers/{name}/{name.replace('_', '-')}.ko.xz:\n" for name in modules]
        self.put(f"lib/modules/{RELEASE}/modules.dep", "".join(lines))
        self.put(f"lib/modules/{RELEASE}/modules.builtin", "kernel/fs/ext4/ext4.ko\n")

    def add_config(self, **options: str) -> None:
        lines = [f"# {name} is not set" if value == "n" else f"{name}={value}" for name, value in options.items()]
        self.put(f"boot/config-{RELEASE}", "\n".join(lines) + "\n")

    def run(self, argv: list[str], data: str = "") -> tuple[int, str, str]:
        self.commands.append(argv)
        if argv[0] == "modprobe":
            return self._modprobe(argv[1])
        if argv[0] == "mdevctl":
            return self._mdevctl(argv[1], argv[argv.index("-u") + 1], argv[argv.index("-p") + 1], "--auto" in argv)
        if argv[0].startswith("/etc/vfio_ccw/guests/"):
            return self._start_guest(argv[0])
        return 127, "", "not found"

    def _modprobe(self, name: str) -> tuple[int, str, str]:
        if name.replace("_", "-") not in self.get(f"lib/modules/{RELEASE}/modules.dep"):
            return 1, "", f"modprobe: FATAL: Module {name} not found in directory /lib/modules/{RELEASE}\n"
        self.put("proc/modules", self.get("proc/modules") + f"{name} 28672 0 - Live 0x000003ff7ff1b000\n")
        if name == "vfio_ccw":
            self.load_vfio_ccw()
        return 0, "", ""

    def _mdevctl(self, verb: str, uuid: str, parent: str, auto: bool) -> tuple[int, str, str]:
        path = f"etc/mdevctl.d/{parent}/{uuid}"
        if self.mdevctl_fails:
            return 1, "", "Error: no such luck"
        if verb in ("undefine", "modify") and not (self.root / path).exists():
            return 1, "", "Error: No devices match the specified uuid\n"
        if verb == "undefine":
            (self.root / path).unlink()
        else:
            self.put(path, json.dumps({"mdev_type": "vfio_ccw-io", "start": "auto" if auto else "manual", "attrs": []}))
        return 0, "", ""

    def _start_guest(self, script: str) -> tuple[int, str, str]:
        import shlex

        text = self.get(script)
        command = text[text.index("exec ") + 5 :].replace("\\\n", " ")
        self.start_process(4711, shlex.split(command))
        return 0, "", ""

    def start_process(self, pid: int, argv: list[str]) -> None:
        self.put(f"proc/{pid}/cmdline", "\0".join(argv) + "\0")
        self.put(f"proc/{pid}/comm", argv[0][:15] + "\n")
        if "-pidfile" in argv:
            self.put(argv[argv.index("-pidfile") + 1], f"{pid}\n")

    def end_process(self, pid: int) -> None:
        self._rmtree(self.root / f"proc/{pid}")

    def open_by(self, pid: int, command: str, node: str) -> None:
        """A process that has a device node open."""
        self.put(f"proc/{pid}/comm", command + "\n")
        (self.root / f"proc/{pid}/fd").mkdir(parents=True, exist_ok=True)
        (self.root / f"proc/{pid}/fd/3").symlink_to(node)


DASD = {"cutype": "3990/e9", "devtype": "3390/0c", "driver": "dasd-eckd"}
VIRTIO = {"cutype": "3832/02", "devtype": "n/a", "driver": "virtio_ccw", "online": "1"}
OSA = {"cutype": "1731/01", "devtype": "1732/01", "driver": "qeth"}


def seed(root: Path) -> FakeKernel:
    """The host lpar1 of the seed."""
    kernel = FakeKernel(root)
    kernel.add_subchannel("0.0.0000", "0.0.0001", **VIRTIO)
    kernel.add_subchannel("0.0.16ca", "0.0.7e52", **DASD, online="1", disk="dasda")
    kernel.add_subchannel("0.0.16cb", "0.0.7e53", **DASD, online="1", disk="dasdb", minor="4")
    kernel.add_subchannel("0.0.16cc", "0.0.7e54", **DASD)
    kernel.add_subchannel("0.0.16cd", "0.0.a000", **OSA)
    kernel.add_subchannel("0.0.2000", kind=1)
    kernel.put(
        "proc/self/mountinfo",
        "22 1 0:20 / / rw - overlay overlay rw\n61 22 94:5 / /srv/data rw,relatime - ext4 /dev/dasdb1 rw\n",
    )
    kernel.add_module_tree("vfio", "mdev", "vfio_iommu_type1", "vfio_ccw", "dasd_mod", "dasd_eckd_mod")
    kernel.add_config(CONFIG_S390_CCW_IOMMU="y", CONFIG_VFIO="m", CONFIG_VFIO_MDEV="m", CONFIG_VFIO_CCW="m")
    kernel.put_command("usr/sbin/driverctl")
    kernel.put_command("usr/bin/mdevctl")
    for module in ("vfio", "mdev", "vfio_iommu_type1", "vfio_ccw"):
        kernel._modprobe(module)
    return kernel


def converge(host: Host, items: list[dict[str, Any]], **options: Any) -> Outcome:
    """What the module passthrough does, with its defaults."""
    return _converge(host, items, Options(**options))

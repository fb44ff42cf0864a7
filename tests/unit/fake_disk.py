# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that look at and change a DASD of the fake kernel, and that DASD: what they do to it, nothing more."""

from __future__ import annotations

from typing import Any

SCH, DISK = "0.0.16ca", "dasda"
BLOCK = 4096
VOL1 = "VOL1".encode("cp037")


class FakeDisk:
    """The DASD 0.0.7e52 of the seed, online as /dev/dasda. ``commands``: what was run, but for looking."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.commands: list[list[str]] = []
        self.signatures: dict[str, dict[str, str]] = {}
        """Node to what blkid says of it."""
        self.fails: dict[str, int] = {}
        """Program to the code that it ends with, nothing done."""
        self.persistent: set[str] = set()
        self.installed("blkid", "dasdfmt", "fdasd", "mkfs.ext4", "mkfs.xfs", "udevadm", "chzdev", "lszdev")
        kernel.put(f"sys/bus/ccw/devices/0.0.7e52/{'discipline'}", "ECKD\n")
        kernel.put("sys/bus/ccw/devices/0.0.7e52/status", "online\n")
        kernel.put(f"sys/block/{DISK}/queue/logical_block_size", f"{BLOCK}\n")
        self.label(VOL1 + VOL1 + "0X7E52".encode("cp037"))

    def installed(self, *names: str) -> None:
        for name in names:
            self.kernel.put_command(f"usr/sbin/{name}")

    def label(self, text: bytes) -> None:
        node = self.kernel.root / f"dev/{DISK}"
        node.write_bytes(bytes(2 * BLOCK) + text.ljust(BLOCK, b"\x40"))

    def unformatted(self) -> None:
        self.kernel.put("sys/bus/ccw/devices/0.0.7e52/status", "unformatted\n")
        self.kernel.put(f"sys/block/{DISK}/size", "0\n")
        self.no_partition()

    def no_partition(self) -> None:
        self.kernel._rmtree(self.kernel.root / f"sys/block/{DISK}/{DISK}1")
        link = self.kernel.root / f"sys/class/block/{DISK}1"
        if link.is_symlink():
            link.unlink()

    def run(self, argv: list[str], data: str = "") -> tuple[int, str, str]:
        name, node = argv[0], argv[-1]
        if name not in ("blkid", "lszdev", "udevadm"):
            self.commands.append(argv)
        if name in self.fails:
            return self.fails[name], "", f"{name}: it went wrong\n"
        return getattr(self, "_" + name.replace(".", "_"))(argv, node) or (0, "", "")

    def _udevadm(self, argv: list[str], node: str) -> None:
        """Nothing is waited for."""

    def _blkid(self, argv: list[str], node: str) -> tuple[int, str, str]:
        found = self.signatures.get(node)
        if found is None:
            return 2, "", ""
        return 0, f"DEVNAME={node}\n" + "".join(f"{key}={value}\n" for key, value in found.items()), ""

    def _dasdfmt(self, argv: list[str], node: str) -> None:
        self.kernel.put("sys/bus/ccw/devices/0.0.7e52/status", "online\n")
        self.kernel.put(f"sys/block/{DISK}/size", "144000\n")
        self.label(VOL1 + VOL1 + "0X7E52".encode("cp037"))
        self.signatures.clear()
        self.no_partition()

    def _fdasd(self, argv: list[str], node: str) -> None:
        path = f"sys/devices/css0/{SCH}/0.0.7e52/block/{DISK}"
        self.kernel.put(f"{path}/{DISK}1/dev", "94:1\n")
        self.kernel.put(f"{path}/{DISK}1/size", "143976\n")
        (self.kernel.root / path / f"{DISK}1/holders").mkdir()
        self.kernel.link(f"sys/class/block/{DISK}1", f"{path}/{DISK}1")

    def _mkfs_ext4(self, argv: list[str], node: str) -> None:
        label = argv[argv.index("-L") + 1] if "-L" in argv else ""
        self.signatures[node] = {"TYPE": "ext4", "LABEL": label, "UUID": "2fbf0562-7e46-4d6f-a7e6-4cd8b4b0b0e1"}

    def _mount(self, argv: list[str], node: str) -> None:
        text = self.kernel.get("proc/self/mountinfo")
        self.kernel.put("proc/self/mountinfo", f"{text}62 22 94:1 / {node} rw - ext4 {argv[-2]} rw\n")

    def _umount(self, argv: list[str], node: str) -> None:
        lines = self.kernel.get("proc/self/mountinfo").splitlines(keepends=True)
        self.kernel.put("proc/self/mountinfo", "".join(line for line in lines if f" {node} " not in line))

    def _lszdev(self, argv: list[str], node: str) -> tuple[int, str, str]:
        lines = [
            f'ID="{name}" PERS="{"yes" if name in self.persistent else "no"}"\n' for name in ("0.0.7e52", "0.0.7e54")
        ]
        return 0, "".join(lines), ""

    def _chzdev(self, argv: list[str], node: str) -> None:
        devices = set(argv[argv.index("dasd") + 1 :])
        self.persistent = self.persistent | devices if "--enable" in argv else self.persistent - devices

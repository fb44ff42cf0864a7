# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine answers as a real Linux 6.1 did: recorded traces, replayed on the model's trees.

Commands are carried out by a small interpreter of the shell lines in the traces; what it does not know is listed in
``NOT_HERE`` with the reason, never passed over. The same traces are replayed through FUSE by tests/fidelity.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ccwemu.machine.ccwdriver import Ccw, ChannelDevice, Ending
from ccwemu.machine.host import Machine
from ccwemu.machine.spec import ChpidSpec, DasdSpec, MachineSpec, SubchannelSpec, VirtioSpec
from ccwemu.machine.tree import Attribute, DeviceFile, Directory, Link, Node

DATA = Path(__file__).parents[2] / "tests" / "fidelity" / "data"

VIRTIO_PATH = ChpidSpec(0, type=0x32)

TRACE_MACHINE = MachineSpec(
    "trace",
    kernel="6.1.192",
    modules=(),
    chpids=(VIRTIO_PATH, ChpidSpec(0x41)),
    subchannels=(
        SubchannelSpec("0.0.0000", devno="0.0.1234", chpids=(0x41,), pom=0x80, device=DasdSpec(dev_model=0x0A)),
        SubchannelSpec("0.0.0001", devno="0.0.0aaa", chpids=(0,), device=VirtioSpec("rng")),
        SubchannelSpec("0.0.0002", devno="0.0.0bbb", chpids=(0,), device=VirtioSpec("balloon")),
    ),
)

NOT_HERE = {
    r"^ls -la? ": "long listings show owners, sizes and dates, which the face makes",
    r"^lsmod$": "a command of kmod; /proc/modules is compared",
    r"^(grep dasd /proc/mounts|ls /mnt)": "mounts belong to the namespace",
}


@dataclass
class Step:
    title: str
    output: list[str] = field(default_factory=list)


def parse(name: str) -> list[Step]:
    steps: list[Step] = []
    for line in (DATA / name).read_text().splitlines():
        if line.startswith(("== ", "$ ")):
            steps.append(Step(line))
        elif line.startswith("  dmesg "):
            if steps[-1].title != "dmesg":
                steps.append(Step("dmesg"))
            steps[-1].output.append(line.removeprefix("  dmesg "))
        elif line.startswith("  D ") and not goes_on(steps[-1], line):
            steps.append(Step("tree", [line]))
        elif steps:
            steps[-1].output.append(line)
    return steps


def path_of(line: str) -> str:
    """The path in a line of a listing."""
    return re.split(r" -> | = ", line)[0].split()[-1]


def goes_on(step: Step, line: str) -> bool:
    """Whether the line belongs to the listing before it, which is sorted and shows what is below its first line."""
    if step.title != "tree":
        return False
    return path_of(line).startswith(path_of(step.output[0]) + "/") and path_of(line) > path_of(step.output[-1])


class Failed(Exception):
    """A command's message on stderr."""


class Shell:
    """The commands of the traces on a machine's trees, as busybox 1.35 carries them out."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.roots = {"sys": machine.sysfs, "proc": machine.proc, "dev": machine.dev}
        self.mounted: list[str] = []
        machine.set_open_counter(self.mounted.count)

    def node(self, path: str, follow: bool = True) -> Node | None:
        parts = [part for part in path.split("/") if part]
        node: Node | None = self.roots.get(parts.pop(0))
        while parts and node is not None:
            node = node.get(parts.pop(0)) if isinstance(node, Directory) else None
            if isinstance(node, Link) and (parts or follow):
                target = node.target
                node = target if isinstance(target, Node) and target.alive else None
        return node

    # One command

    def run(self, command: str) -> list[str]:
        """What the command prints, with [rc=N] where it failed."""
        lines: list[str] = []
        status = 0
        for part in command.split(";"):
            words = shlex.split(part, posix=True)
            lines_before = len(lines)
            try:
                status = 0
                lines += self._one(words)
            except Failed as failure:
                lines += failure.args[0]
                status = failure.args[1] if len(failure.args) > 1 else 1
            assert len(lines) >= lines_before
        return lines + ([f"[rc={status}]"] if status else [])

    def _one(self, words: list[str]) -> list[str]:
        if "|" in words:
            at = words.index("|")
            assert words[at + 1] == "grep", words
            found = [line for line in self._one(words[:at]) if words[at + 2] in line]
            if not found:
                raise Failed([], 1)
            return found
        words = [word for word in words if word != "2>&1"]
        if not words:
            return []
        name, *args = words
        if ">" in words:
            return self._echo(words[1 : words.index(">")], words[-1])
        return list({
            "mount": self._mount, "umount": self._umount,
            "cat": self._cat, "ls": self._ls, "readlink": self._readlink, "insmod": self._insmod, "rmmod": self._rmmod,
        }[name](args))  # fmt: skip

    def _echo(self, words: Sequence[str], path: str) -> list[str]:
        node = self.node(path)
        if node is None:
            raise Failed([f"sh: can't create {path}: nonexistent directory"])
        assert isinstance(node, Attribute) and node.mode & 0o222, path
        try:
            with self.machine.lock:
                node.store((" ".join(words) + "\n").encode())
        except OSError as problem:
            raise Failed([f"sh: write error: {os.strerror(problem.errno or 0)}"]) from None
        return []

    def cat_one(self, path: str) -> tuple[str, bool]:
        node = self.node(path)
        if node is None:
            return f"cat: can't open '{path}': No such file or directory\n", False
        if not node.mode & 0o444:
            return f"cat: can't open '{path}': Permission denied\n", False
        assert isinstance(node, Attribute)
        try:
            return node.show().decode(), True
        except OSError as problem:
            return f"cat: read error: {os.strerror(problem.errno or 0)}\n", False

    def _cat(self, paths: list[str]) -> list[str]:
        results = [self.cat_one(path) for path in paths]
        lines = "".join(text for text, _ in results).splitlines()
        if not all(good for _, good in results):
            raise Failed(lines)
        return lines

    def _names(self, directory: Directory) -> list[str]:
        return sorted(node.name for node in directory)

    def _ls(self, args: list[str]) -> list[str]:
        paths = [each for path in args if not path.startswith("-") for each in self._glob(path)]
        one_column = "-1" in args
        lines: list[str] = []
        for path in sorted(paths):
            node = self.node(path)
            if node is None:
                raise Failed([f"ls: {path}: No such file or directory"])
            assert isinstance(node, Directory), path
            names = self._names(node)
            if len(paths) > 1:
                lines += [*([""] if lines else []), f"{path}:"]
            lines += names if one_column else columns(names)
        return lines

    def _glob(self, path: str) -> list[str]:
        if not path.endswith("/*"):
            return [path]
        node = self.node(path[:-2])
        assert isinstance(node, Directory)
        return [f"{path[:-2]}/{name}" for name in self._names(node)]

    def _readlink(self, args: list[str]) -> list[str]:
        node = self.node(args[0], follow=False)
        if not isinstance(node, Link):
            raise Failed([])
        return [node.readlink()]

    def _insmod(self, args: list[str]) -> list[str]:
        try:
            self.machine.modules.load(args[0].removesuffix(".ko"))
        except OSError as problem:
            raise Failed([f"insmod: can't insert '{args[0]}': {os.strerror(problem.errno or 0)}"]) from None
        return []

    def _mount(self, args: list[str]) -> list[str]:
        """The namespace counts mounts by their source; here the list is what it would say."""
        self.mounted.append(Path(args[-2]).name)
        return []

    def _umount(self, args: list[str]) -> list[str]:
        self.mounted.pop()
        return []

    def _rmmod(self, args: list[str]) -> list[str]:
        self.machine.modules.unload(args[0])
        return []

    # Listings of directories: find | sort, then each with its kind, mode and content

    def tree(self, path: str, depth: int) -> list[str]:
        lines = []
        for each in sorted(self._find(path, depth)):
            node = self.node(each, follow=False)
            if isinstance(node, Link):
                lines.append(f"  L {each} -> {node.readlink()}")
            elif isinstance(node, Directory):
                lines.append(f"  D {each}")
            elif node is not None:
                content = self.cat_one(each)[0][:200].replace("\n", "|")
                lines.append(f"  F {node.mode:o} {each} = {content}")
        return lines

    def _find(self, path: str, depth: int) -> Iterator[str]:
        yield path
        node = self.node(path, follow=True)
        if depth and isinstance(node, Directory):
            for child in node:
                if isinstance(child, Directory):
                    yield from self._find(f"{path}/{child.name}", depth - 1)
                else:
                    yield f"{path}/{child.name}"


def columns(names: list[str], width: int = 80) -> list[str]:
    """Names in columns as busybox ls prints them."""
    if not names:
        return []
    cell = max(map(len, names)) + 2
    count = max(1, width // cell)
    rows = -(-len(names) // count)
    lines = []
    for row in range(rows):
        lines.append("".join(name.ljust(cell) for name in names[row::rows]).rstrip())
    return lines


def depth_of(lines: list[str]) -> int:
    root = lines[0].split()[1]
    return max(path_of(line).count("/") - root.count("/") for line in lines)


class RejectingDasd:
    """A channel device that identifies itself and groups its paths but rejects every other command."""

    def __init__(self) -> None:
        self.commands: list[int] = []

    def run(self, program: Sequence[Ccw], lpm: int = 0, expires: float = 0) -> Ending:
        command = program[0].command
        self.commands.append(command)
        irb = bytearray(96)
        irb[8] = 0x0C
        if command == 0xE4:
            return Ending(0, bytes(irb), (bytes.fromhex("ff3990e933900a00"),))
        if command == 0x34:
            return Ending(0, bytes(irb), (bytes(12),))
        if command != 0xAF:
            irb[8] = 0x0E
        return Ending(0, bytes(irb), tuple(b"" if isinstance(ccw.data, int) else None for ccw in program))

    def schib(self) -> bytes:
        return bytes(16) + b"\x41" + bytes(35)

    def disable(self) -> None: ...


class OneDevice:
    """A channel device on subchannel 0.0.0000."""

    def __init__(self) -> None:
        self.released = 0

    def subchannel(self, busid: str) -> ChannelDevice | None:
        return RejectingDasd() if busid == "0.0.0000" else None

    def release(self, busid: str) -> None:
        self.released += 1


def skip_reason(command: str) -> str | None:
    return next((reason for pattern, reason in NOT_HERE.items() if re.match(pattern, command)), None)


def without_addresses(lines: list[str]) -> list[str]:
    """Where modules lie in memory is a matter of luck."""
    return [re.sub(r"Live 0x[0-9a-f]{16}", "Live ADDRESS", line) for line in lines]


def compare(shell: Shell, steps: list[Step], normal: Callable[[list[str]], list[str]] = without_addresses) -> int:
    """Carry out the steps; how many were compared."""
    compared = 0
    for step in steps:
        shell.machine.settle()
        if step.title == "tree":
            lines = [line for line in step.output if line.startswith("  ")]
            assert normal(shell.tree(lines[0].split()[1], depth_of(lines))) == normal(lines)
            compared += 1
        elif step.title == "dmesg":
            recorded = [line for line in step.output if "dasd" in line]
            assert shell.machine.dmesg.lines()[-len(recorded) :] == recorded
            compared += 1
        elif step.title.startswith("$ "):
            command = step.title[2:]
            if skip_reason(command) is None:
                assert normal(shell.run(command)) == normal(step.output), command
                compared += 1
    return compared


def until(steps: list[Step], title: str) -> list[Step]:
    return steps[: next(index for index, step in enumerate(steps) if step.title == title)]


def test_trace_of_passing_through() -> None:
    machine = Machine(TRACE_MACHINE, OneDevice(), threaded=False)
    machine.boot()
    shell = Shell(machine)
    held: list[object] = []
    steps = until(parse("linux-6.1-trace.txt"), "== dmesg")
    hold = next(index for index, step in enumerate(steps) if step.title == "== mdev hold open then remove")
    compared = compare(shell, steps[:hold])
    node = machine.dev.lookup("vfio/0")
    assert isinstance(node, DeviceFile)
    held.append(node.open(os.O_RDWR))
    with pytest.raises(OSError) as second:
        node.open(os.O_RDWR)
    assert second.value.errno == errno.EBUSY
    compared += compare(shell, steps[hold:])
    assert compared > 75


def test_nothing_is_passed_over() -> None:
    """Each command of the trace is either carried out or named, with its reason."""
    for step in parse("linux-6.1-trace.txt"):
        if step.title.startswith("$ ") and skip_reason(step.title[2:]) is None:
            assert shlex.split(step.title[2:])[0] in ("cat", "echo", "insmod", "ls", "readlink", "rmmod")


def test_dmesg_of_passing_through() -> None:
    """The lines of vfio_ccw and mdev, in order."""
    machine = Machine(TRACE_MACHINE, OneDevice(), threaded=False)
    machine.boot()
    compare(Shell(machine), until(parse("linux-6.1-trace.txt"), "== dmesg"))
    expected = [step for step in parse("linux-6.1-trace.txt") if step.title == "== dmesg"][0].output
    recorded = [line for line in expected if line.startswith("vfio_ccw")]
    assert [line for line in machine.dmesg.lines() if line.startswith("vfio_ccw")][-len(recorded) :] == recorded


ONLINE_MACHINE = MachineSpec(
    "online",
    kernel="6.1.192",
    modules=("dasd_eckd_mod", "vfio_iommu_type1", "vfio_ccw"),
    chpids=(VIRTIO_PATH, ChpidSpec(0x1A)),
    subchannels=(
        SubchannelSpec("0.0.0000", devno="0.0.0042", chpids=(0,), device=VirtioSpec("rng")),
        SubchannelSpec(
            "0.0.0001",
            devno="0.0.1234",
            chpids=(0x1A,),
            device=DasdSpec(rejects_suborders=(0x1C, 0x52, 0x53), dev_model=0x0A, unit_address=0x34, cylinders=100),
        ),
    ),
)

OTHER_DEVICE = (
    (r"BIB\.M750000000FAKE\.0000\.34", "UID"),
    (r"IBM\.\w+\.0000\.34", "UID"),
    (r"\b(BIB|IBM)\b", "VENDOR"),
)
"""The recorded disk's uid and vendor are that device's own."""


def other_device(lines: list[str]) -> list[str]:
    for pattern, name in OTHER_DEVICE:
        lines = [re.sub(pattern, name, line) for line in lines]
    return lines


def make_linux_disk(path: Path, cylinders: int = 100) -> None:
    """A disk of the Linux disk layout without a label: twelve records of 4096 bytes, no key, on each track."""
    from ccwemu.channel import Image, Record

    Image.create(path, cylinders=cylinders)
    image = Image.open(path)
    for track in range(cylinders * 15):
        cylinder, head = divmod(track, 15)
        zero = Record(cylinder, head, 0, b"", bytes(8))
        blocks = [Record(cylinder, head, number, b"", bytes(4096)) for number in range(1, 13)]
        image.write_track(cylinder, head, [zero, *blocks])
    image.close()


def test_trace_of_a_disk_online(tmp_path: Path) -> None:
    pytest.importorskip("ccwemu._core", reason="the channel core is not built: run make")
    from ccwemu.hostio import HostIo

    image = tmp_path / "disk"
    make_linux_disk(image)
    first, second = ONLINE_MACHINE.subchannels
    assert isinstance(second.device, DasdSpec)
    subchannels = (first, replace(second, device=replace(second.device, image=str(image))))
    machine = Machine(replace(ONLINE_MACHINE, subchannels=subchannels), HostIo(subchannels), threaded=False)
    machine.boot()
    compared = 0
    shell = Shell(machine)
    for step in until(parse("linux-6.1-trace-online.txt"), "== dmesg"):
        compared += compare(shell, [step], other_device)
    machine.shutdown()
    assert compared > 85

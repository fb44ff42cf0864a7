# SPDX-License-Identifier: GPL-2.0-or-later
"""The files of /proc that tell of the machine. Source: Linux fs/proc, arch/s390/kernel/{processor,sysinfo}.c."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ccwemu.machine.kernel import ensure
from ccwemu.machine.modules import Modules
from ccwemu.machine.spec import MachineSpec
from ccwemu.machine.tree import Attribute

if TYPE_CHECKING:
    from ccwemu.machine.host import Machine


def proc_file(
    name: str, show: Callable[[], str | bytes], store: Callable[[bytes], None] | None = None, mode: int = 0o444
) -> Attribute:
    """A file of /proc: its size is 0."""
    return Attribute(name, mode, show, store, st_size=None)


def install(machine: Machine) -> None:
    """Put the machine's files into its /proc."""
    proc, spec, modules = machine.proc, machine.spec, machine.modules
    blacklist = machine.css.blacklist
    proc.add(proc_file("cio_ignore", blacklist.show, blacklist.store, 0o644))
    proc.add(Attribute("cio_settle", 0o200, store=lambda _: machine.kernel.work.flush(), st_size=0))
    proc.add(proc_file("cmdline", lambda: f"{command_line(spec)}\n"))
    if machine.config.get("CONFIG_IKCONFIG_PROC") == "y":
        content = machine.config.gzip()
        proc.add(Attribute("config.gz", 0o444, lambda: content, st_size=len(content)))
    proc.add(proc_file("modules", modules.proc_modules))
    proc.add(proc_file("partitions", machine.blocks.proc_partitions))
    proc.add(proc_file("devices", lambda: devices(modules)))
    proc.add(proc_file("version", lambda: version(spec)))
    proc.add(proc_file("cpuinfo", lambda: cpuinfo(spec)))
    proc.add(proc_file("sysinfo", lambda: sysinfo(spec)))
    proc.add(proc_file("swaps", machine.swaps.text))
    system = ensure(proc, "sys/kernel")
    system.add(proc_file("osrelease", lambda: f"{spec.kernel}\n"))
    system.add(proc_file("ostype", lambda: "Linux\n"))


def command_line(spec: MachineSpec) -> str:
    """The kernel's command line, with cio_ignore= where the machine has one of its own."""
    words = spec.cmdline.split()
    if spec.cio_ignore and not any(word.startswith("cio_ignore=") for word in words):
        words.append(f"cio_ignore={spec.cio_ignore}")
    return " ".join(words)


def ignore_lists(spec: MachineSpec) -> list[str]:
    """What ``cio_ignore=`` on the command line says, in its order."""
    return [word.partition("=")[2] for word in command_line(spec).split() if word.startswith("cio_ignore=")]


def devices(modules: Modules) -> str:
    """/proc/devices: majors of what is there."""
    character = [(1, "mem"), (4, "/dev/vc/0"), (5, "/dev/tty"), (5, "/dev/console"), (10, "misc"), (128, "ptm")]
    block = [(259, "blkext")]
    if "vfio" in modules.loaded or "vfio" in modules.builtin:
        character.append((252, "vfio"))
    if "dasd_mod" in modules.loaded or "dasd_mod" in modules.builtin:
        block.append((94, "dasd"))
    if "virtio_blk" in modules.loaded or "virtio_blk" in modules.builtin:
        block.append((254, "virtblk"))
    lines = [f"{major:3d} {name}\n" for major, name in sorted(character)]
    return (
        "Character devices:\n"
        + "".join(lines)
        + "\nBlock devices:\n"
        + "".join(f"{major:3d} {name}\n" for major, name in sorted(block))
    )


def version(spec: MachineSpec) -> str:
    return f"Linux version {spec.kernel} (root@localhost) (gcc 12.2.0, GNU ld 2.40) #1 SMP\n"


def cpuinfo(spec: MachineSpec) -> str:
    """/proc/cpuinfo as s390 prints it."""
    features = "esan3 zarch stfle msa ldisp eimm dfp edat etf3eh highgprs te vx vxd vxe gs vxe2 vxp sort dflt sie"
    head = [
        "vendor_id       : IBM/S390",
        f"# processors    : {spec.cpus}",
        "bogomips per cpu: 3241.00",
        "max thread id   : 0",
        f"features\t: {features} ",
    ]
    processors = [
        f"processor {number}: version = FF,  identification = {spec.cpu_serial},  machine = {spec.machine_type}"
        for number in range(spec.cpus)
    ]
    details: list[str] = []
    for number in range(spec.cpus):
        details += [
            "",
            f"cpu number      : {number}",
            f"physical id     : {number}",
            f"core id         : {number}",
            "book id         : 0",
            "drawer id       : 0",
            "dedicated       : 0",
            f"address         : {number}",
            "siblings        : 1",
            "cpu cores       : 1",
            "version         : FF",
            f"identification  : {spec.cpu_serial}",
            f"machine         : {spec.machine_type}",
        ]
    return "\n".join([*head, *processors, *details]) + "\n"


def sysinfo(spec: MachineSpec) -> str:
    """/proc/sysinfo of a logical partition."""
    lines = [
        "Manufacturer:         IBM",
        f"Type:                 {spec.machine_type}",
        "LIC Identifier:       0000000000000000",
        "Model:                701              T01",
        f"Sequence Code:        00000000000{spec.cpu_serial[-5:]}",
        "Plant:                02",
        "Model Capacity:       701              00000000",
        "",
        f"CPUs Total:           {spec.cpus}",
        f"CPUs Configured:      {spec.cpus}",
        "CPUs Standby:         0",
        "CPUs Reserved:        0",
        "",
        "LPAR Number:          1",
        "LPAR Characteristics: Shared ",
        f"LPAR Name:            {spec.name.upper()[:8]}",
        "LPAR Adjustment:      1000",
        f"LPAR CPUs Total:      {spec.cpus}",
        f"LPAR CPUs Configured: {spec.cpus}",
        "LPAR CPUs Standby:    0",
        "LPAR CPUs Reserved:   0",
        "LPAR CPUs Dedicated:  0",
        f"LPAR CPUs Shared:     {spec.cpus}",
    ]
    return "\n".join(lines) + "\n"

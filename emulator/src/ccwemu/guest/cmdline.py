# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of qemu-system-s390x, as far as a start script of a guest uses it.

Source: QEMU 7.2, qemu-options.hx and softmmu/vl.c; messages compared with the real program. What other releases do
otherwise: :mod:`ccwemu.guest.release`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from ccwemu.guest.qemuopts import PROGRAM, Options, QemuError, boolean, memory_size, parse, words
from ccwemu.guest.release import SQUASH, VIRTUAL_CSSID, Release

MAX_CPUS = 248
DEPRECATED = f"The machine property '{SQUASH}' is deprecated (obsoleted by lifting the cssid restrictions)."
MACHINE = re.compile(r"s390-ccw-virtio(?:-(\d+)\.(\d+))?")
MACHINE_PROPERTIES = words(
    "type accel aes-key-wrap append boot confidential-guest-support dea-key-wrap dt-compatible dtb dump-guest-core "
    "dumpdtb firmware graphics initrd kernel loadparm mem-merge memory memory-backend memory-encryption phandle-start "
    "smp suppress-vmdesc usb zpcii-disable"
)
ACCELERATORS = ("kvm", "tcg")
CPU_MODELS = re.compile(r"(z|gen)[0-9a-zA-Z.]+(-base)?|qemu|max|host")
NETDEV_TYPES = (
    "user", "tap", "l2tpv3", "socket", "stream", "dgram", "bridge", "hubport", "netmap", "vhost-user", "vhost-vdpa",
    "vde",
)  # fmt: skip

WITHOUT_ARGUMENT = words(
    "-nographic -daemonize -no-user-config -nodefaults -no-reboot -no-shutdown -S -enable-kvm -mem-prealloc "
    "-h -help --help -version -no-fd-bootchk -only-migratable"
)
WITH_ARGUMENT = words(
    "-M -machine -name -m -smp -cpu -accel -display -serial -monitor -qmp -qmp-pretty -mon -chardev -pidfile -drive "
    "-blockdev -netdev -nic -net -device -object -uuid -kernel -initrd -append -boot -rtc -msg -sandbox -overcommit "
    "-D -d -global -vga -bios -k -runas -chroot -add-fd -smbios -numa -watchdog-action -action -run-with -trace "
    "-hda -hdb -cdrom -L -vnc -parallel -incoming -loadvm -set -readconfig -fw_cfg -audiodev"
)

UNSUPPORTED = {
    "-loadvm": "a snapshot of a quick guest",
    "-readconfig": "reading a configuration file",
    "-runas": "changing the user",
    "-chroot": "changing the root directory",
}
"""What QEMU can do and a quick guest cannot: refused, so that nothing seems to have worked."""


@dataclass
class CommandLine:
    """What was asked for. Devices, drives and netdevs keep their order."""

    name: str = ""
    machine: dict[str, str] = field(default_factory=dict)
    memory: int = 128 << 20
    """Bytes."""
    cpus: int = 1
    daemonize: bool = False
    nodefaults: bool = False
    stopped: bool = False
    pidfile: str | None = None
    console: str | None = None
    """The file of -serial file:PATH."""
    qmp: list[Options] = field(default_factory=list)
    devices: list[Options] = field(default_factory=list)
    drives: list[Options] = field(default_factory=list)
    netdevs: list[Options] = field(default_factory=list)
    objects: list[Options] = field(default_factory=list)
    chardevs: list[Options] = field(default_factory=list)
    stdio: str | None = None
    """The option that wants the standard streams, which -daemonize does not have."""
    networks: bool = False
    """-net, -nic or -netdev was given: no default network card."""
    cards: int = 0
    """Network cards by -nic."""
    uuid: str | None = None
    append: str = ""
    kernel: str = ""
    initrd: str = ""
    information: str | None = None
    """To print instead of starting (-version, -help)."""
    warnings: list[str] = field(default_factory=list)
    release: Release = field(default_factory=Release)
    incoming: str = ""
    """Where a saved guest comes from."""

    @property
    def squash(self) -> bool:
        """All devices are moved into one channel subsystem."""
        return SQUASH in self.machine and boolean(SQUASH, self.machine[SQUASH])

    @property
    def default_cssid(self) -> int:
        """The channel subsystem that the guest sees as its css 0 (ccw_init, hw/s390x/s390-virtio-ccw.c)."""
        return 0 if self.squash else VIRTUAL_CSSID


HELP = (
    "usage: qemu-system-s390x [options] [disk_image]\n\n"
    "A quick guest takes the options of a vfio-ccw start script: -M, -name, -m, -smp, -cpu, -accel, -nographic,\n"
    "-display, -serial, -monitor, -qmp, -chardev, -mon, -daemonize, -pidfile, -drive, -blockdev, -netdev, -nic,\n"
    "-object, -uuid, -S, -device virtio-*-ccw[,devno=CC.S.DDDD...] and\n"
    "-device vfio-ccw,sysfsdev=PATH[,devno=CC.S.DDDD][,id=ID][,bootindex=N][,force-orb-pfch=on|off]\n"
)


def parse_argv(argv: list[str], release: Release | None = None) -> CommandLine:
    """Parse what follows the program's name. Raises QemuError for what QEMU finds at this stage."""
    line = CommandLine(release=release or Release())
    words = iter(argv)
    for word in words:
        if not word.startswith("-") or word == "-":
            line.drives.append(Options(word, {"file": word, "if": "virtio", "format": "raw"}))
            continue
        flag = word[1:] if word.startswith("--") and len(word) > 2 else word
        if flag in WITHOUT_ARGUMENT:
            _switch(line, flag)
        elif flag in WITH_ARGUMENT:
            value = next(words, None)
            if value is None:
                raise QemuError("requires an argument", word)
            if flag in UNSUPPORTED:
                raise QemuError(f"{UNSUPPORTED[flag]} is not offered by the quick guest", f"{flag} {value}")
            _option(line, flag, value, word)
        else:
            raise QemuError("invalid option", word)
        if line.information is not None:
            break
    return line


def _switch(line: CommandLine, flag: str) -> None:
    if flag in ("-h", "-help", "--help"):
        line.information = line.release.text + HELP
    elif flag == "-version":
        line.information = line.release.text
    elif flag == "-daemonize":
        line.daemonize = True
    elif flag == "-nodefaults":
        line.nodefaults = True
    elif flag == "-S":
        line.stopped = True


_LISTS = {
    "-device": ("devices", "driver"),
    "-drive": ("drives", ""),
    "-blockdev": ("drives", "driver"),
    "-netdev": ("netdevs", "type"),
    "-object": ("objects", "qom-type"),
    "-chardev": ("chardevs", "backend"),
    "-mon": ("qmp", "chardev"),
}
_NOUNS = {"-device": "device", "-netdev": "netdev", "-drive": "drive", "-object": "object", "-chardev": "chardev"}


def _option(line: CommandLine, flag: str, value: str, written: str) -> None:
    """``written`` is the flag as it stands on the command line, with one dash or two: messages repeat it."""
    if flag in _LISTS:
        name, implied = _LISTS[flag]
        options = parse(written, value, implied)
        earlier: list[Options] = getattr(line, name)
        if options.id is not None and any(other.id == options.id for other in earlier):
            raise QemuError(f"Duplicate ID '{options.id}' for {_NOUNS.get(flag, 'device')}", options.where)
        if flag == "-blockdev":
            options.values.update({"if": "none", "id": options.get("node-name"), "file": options.get("filename")})
        if flag == "-netdev":
            _check_netdev(options)
            line.networks = True
        line.warnings += options.warnings if line.release.warns_of_short_forms else []
        earlier.append(options)
        return
    handler = _SINGLE.get(flag)
    if handler is not None:
        handler(line, flag, value)


def _check_netdev(options: Options) -> None:
    if options.get("type") not in NETDEV_TYPES:
        raise QemuError(f"Parameter 'type' does not accept value '{options.get('type')}'", options.where)
    if options.id is None:
        raise QemuError("Parameter 'id' is missing", options.where)


def _machine(line: CommandLine, flag: str, value: str) -> None:
    line.machine.update(parse(flag, value, "type").values)


def _name(line: CommandLine, flag: str, value: str) -> None:
    options = parse(flag, value, "guest")
    for key in options.values:
        if key not in ("guest", "process", "debug-threads"):
            raise QemuError(f"Invalid parameter '{key}'", options.where)
    line.name = options.get("guest", line.name)


def _memory(line: CommandLine, flag: str, value: str) -> None:
    options = parse(flag, value, "size")
    for key in options.values:
        if key not in ("size", "slots", "maxmem"):
            raise QemuError(f"Invalid parameter '{key}'", options.where)
    size = memory_size(options.get("size", "128M"))
    if size is None:
        raise QemuError(
            "Parameter 'size' expects a non-negative number below 2^64",
            options.where,
            "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.",
        )
    line.memory = size or line.memory


def _smp(line: CommandLine, flag: str, value: str) -> None:
    options = parse(flag, value, "cpus")
    for key, text in options.values.items():
        if key not in ("cpus", "maxcpus", "sockets", "dies", "clusters", "cores", "threads"):
            raise QemuError(f"Parameter 'smp.{key}' is unexpected")
        if not re.fullmatch(r"\d+", text):
            raise QemuError(f"Parameter 'smp.{key}' expects integer")
    line.cpus = max(1, int(options.get("cpus", "1")))


def _accel(line: CommandLine, flag: str, value: str) -> None:
    options = parse(flag, value, "accel")
    if options.get("accel") not in ACCELERATORS:
        raise QemuError(f"invalid accelerator {options.get('accel')}", options.where)


def _cpu(line: CommandLine, flag: str, value: str) -> None:
    model = value.split(",")[0]
    if not CPU_MODELS.fullmatch(model):
        raise QemuError(f"unable to find CPU model '{model}'")


def _uuid(line: CommandLine, flag: str, value: str) -> None:
    if not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value):
        raise QemuError("failed to parse UUID string: wrong format", f"{flag} {value}")
    line.uuid = value


CHARDEV_DRIVERS = ("null", "none", "stdio", "mon:stdio", "vc", "pty", "chardev", "file", "unix", "tcp", "telnet", "udp",
                   "pipe", "msmouse", "con", "mon")  # fmt: skip


def _character_device(line: CommandLine, flag: str, value: str) -> None:
    if value.partition(":")[0] not in CHARDEV_DRIVERS:
        what = f"could not connect serial device to character backend '{value}'"
        message = what if flag == "-serial" else f"parse error: {value}"
        raise QemuError(message, f"{flag} {value}", before=(f"'{value}' is not a valid char driver",))
    if value in ("stdio", "mon:stdio"):
        line.stdio = flag
    if flag == "-serial" and value.startswith("file:"):
        line.console = value[5:]
    if flag in ("-qmp", "-qmp-pretty") and value not in ("none", "null"):
        kind, _colon, rest = value.partition(":")
        if kind != "unix":
            raise QemuError(
                f"a {kind} monitor is not offered by the quick guest, expected unix:PATH", f"{flag} {value}"
            )
        options = parse(flag, rest, "path")
        options.where = f"{flag} {value}"
        line.qmp.append(options)


def _network(line: CommandLine, flag: str, value: str) -> None:
    line.networks = True
    kind = value.split(",")[0]
    if kind not in ("none", "nic", *NETDEV_TYPES):
        raise QemuError(f"Parameter 'type' does not accept value '{kind}'", f"{flag} {value}")
    line.cards += flag == "-nic" and kind != "none"


def _text(line: CommandLine, flag: str, value: str) -> None:
    setattr(line, flag[1:], value)


_SINGLE = {
    "-M": _machine, "-machine": _machine, "-name": _name, "-m": _memory, "-smp": _smp, "-accel": _accel, "-cpu": _cpu,
    "-uuid": _uuid, "-serial": _character_device, "-monitor": _character_device, "-qmp": _character_device,
    "-qmp-pretty": _character_device, "-net": _network, "-nic": _network, "-pidfile": _text, "-append": _text,
    "-kernel": _text, "-initrd": _text, "-incoming": _text,
}  # fmt: skip


def check_machine(line: CommandLine) -> None:
    """What QEMU finds when it makes the machine. Raises QemuError."""
    kind = line.machine.get("type", "s390-ccw-virtio")
    match = MACHINE.fullmatch(kind)
    if match is None or (match[1] and not line.release.knows_machine((int(match[1]), int(match[2])))):
        raise QemuError("unsupported machine type", hint="Use -machine help to list supported machines")
    name = kind if match[1] else line.release.machine
    for key in line.machine:
        if key not in MACHINE_PROPERTIES and not (key == SQUASH and line.release.squashes):
            raise QemuError(line.release.unknown_property(f"{name}-machine", key))
    if line.squash and not line.release.restricts_css:
        line.warnings.append(f"{PROGRAM}: warning: {DEPRECATED}\n")
    for accelerator in filter(None, line.machine.get("accel", "").split(":")):
        if accelerator not in ACCELERATORS:
            raise QemuError(f"invalid accelerator {accelerator}")
    if line.cpus > MAX_CPUS:
        raise QemuError(f"Invalid SMP CPUs {line.cpus}. The max CPUs supported by machine '{name}' is {MAX_CPUS}")
    if line.daemonize and line.stdio:
        serial = "could not connect serial device to character backend 'stdio'"
        cannot = "cannot use stdio with -daemonize"
        if line.stdio == "-serial":
            raise QemuError(serial, "-serial stdio", before=(cannot,))
        raise QemuError(cannot, f"{line.stdio} stdio")
    if line.append and not line.kernel:
        raise QemuError("-append only allowed with -kernel option")
    for what, path in (("kernel", line.kernel), ("initrd", line.initrd)):
        if path and not os.path.exists(path):
            raise QemuError(f"could not load {what} '{path}'")


def open_console(line: CommandLine) -> None:
    """Make the file of -serial file:PATH, empty. Raises QemuError."""
    if line.console is None:
        return
    try:
        os.close(os.open(line.console, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666))
    except OSError as error:
        value = f"file:{line.console}"
        raise QemuError(
            f"could not connect serial device to character backend '{value}'",
            f"-serial {value}",
            before=(f"Could not open '{line.console}': {error.strerror}",),
        ) from None


def check_drives(line: CommandLine) -> None:
    """Open what the drives name, as QEMU does before it makes the devices. Raises QemuError."""
    for drive in line.drives:
        path = drive.get("file")
        if not path and not {"driver", "if", "id"} & set(drive.values):
            raise QemuError("Must specify either driver or file", drive.where)
        if path:
            try:
                os.close(os.open(path, os.O_RDONLY))
            except OSError as error:
                raise QemuError(f"Could not open '{path}': {error.strerror}", drive.where) from None

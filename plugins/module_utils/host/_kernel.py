# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kernel needs to have for channel I/O passthrough, and whether it has it.

The list changed over the years (Linux arch/s390/Kconfig, drivers/vfio/mdev/Kconfig, drivers/iommu/Kconfig): the tables
below say for which versions an option or a module belongs to it. Where it is not known in which release between two
trees a change came, the configuration itself decides: an option that it mentions, set or not, exists.

Vendors take newer code into kernels of an older number, so the tables refuse nothing where vfio_ccw itself is there:
they explain why it is not, and what may be missing beside it.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from typing import Tuple

from .._host import Host, HostError

Version = Tuple[int, int]

FIRST_VERSION: Version = (4, 12)
"""vfio_ccw and mdev came with it."""

RELEASE_FILE = "/proc/sys/kernel/osrelease"
PROC_CONFIG = "/proc/config.gz"
PERSISTENT_FILE = "/etc/modules-load.d/vfio_ccw.conf"

REQUIRED, SELECTED, GONE, IF_MENTIONED = "required", "selected", "gone", "if-mentioned"


@dataclass(frozen=True)
class Rule:
    """An option or module, and from which version on which need applies (ascending)."""

    name: str
    needs: tuple[tuple[Version, str], ...]

    def need(self, version: Version) -> str:
        answer = GONE
        for since, need in self.needs:
            if version >= since:
                answer = need
        return answer


OPTIONS: tuple[Rule, ...] = (
    Rule("CONFIG_S390_CCW_IOMMU", (((4, 12), REQUIRED), ((6, 2), IF_MENTIONED), ((6, 8), GONE))),
    Rule("CONFIG_VFIO", (((4, 12), REQUIRED),)),
    Rule("CONFIG_VFIO_MDEV", (((4, 12), REQUIRED), ((6, 2), IF_MENTIONED), ((6, 8), SELECTED))),
    Rule("CONFIG_VFIO_MDEV_DEVICE", (((4, 12), REQUIRED), ((5, 11), IF_MENTIONED), ((5, 15), GONE))),
    Rule("CONFIG_VFIO_CCW", (((4, 12), REQUIRED),)),
)

MODULES: tuple[Rule, ...] = (
    Rule("vfio", (((4, 12), REQUIRED),)),
    Rule("mdev", (((4, 12), REQUIRED),)),
    Rule("vfio_mdev", (((4, 12), REQUIRED), ((5, 11), IF_MENTIONED), ((5, 15), GONE))),
    Rule("vfio_iommu_type1", (((4, 12), REQUIRED), ((6, 8), IF_MENTIONED))),
    Rule("vfio_ccw", (((4, 12), REQUIRED),)),
)
"""In loading order."""


@dataclass(frozen=True)
class Option:
    """A configuration option: ``need`` as in the table, ``value`` y, m, n, or "" when it is not mentioned."""

    name: str
    need: str
    value: str

    @property
    def needed(self) -> bool:
        return self.need == REQUIRED or (self.need == IF_MENTIONED and self.value != "")

    @property
    def there(self) -> bool:
        return self.value in ("y", "m")


@dataclass(frozen=True)
class Module:
    """A kernel module. ``state``: loaded, builtin, loadable, missing."""

    name: str
    need: str
    state: str

    @property
    def needed(self) -> bool:
        return self.need == REQUIRED or (self.need == IF_MENTIONED and self.state != "missing")


@dataclass(frozen=True)
class KernelSupport:
    """``config_source`` is the file that the options were read from, "" when there was none."""

    release: str
    version: Version | None
    config_source: str
    options: tuple[Option, ...]
    modules: tuple[Module, ...]

    @property
    def missing_options(self) -> list[str]:
        if not self.config_source:
            return []
        return [option.name for option in self.options if option.needed and not option.there]

    @property
    def missing_modules(self) -> list[str]:
        return [module.name for module in self.modules if module.needed and module.state == "missing"]

    @property
    def has_driver(self) -> bool:
        """Whether vfio_ccw is registered, built in or can be loaded."""
        return any(module.name == "vfio_ccw" and module.state != "missing" for module in self.modules)

    def doubt(self) -> str:
        """What a kernel of this version should have beside vfio_ccw and has not; "" for nothing."""
        missing = self.missing_options + [f"module {name}" for name in self.missing_modules]
        if not self.has_driver or not missing:
            return ""
        return (
            f"kernel {self.release} has vfio_ccw, but not {', '.join(missing)}, which come with it in this version. "
            "Nothing is wrong where the vendor changed that; if a mediated device gets no driver, this is why"
        )

    @property
    def to_load(self) -> list[str]:
        """What is there and not loaded yet, in order."""
        return [module.name for module in self.modules if module.needed and module.state == "loadable"]

    @property
    def kept(self) -> list[str]:
        """What has to be loaded again after a reboot, in order."""
        return [module.name for module in self.modules if module.needed and module.state in ("loaded", "loadable")]

    def lack(self) -> str:
        """Why this kernel cannot pass devices through, and what to do; "" when it can."""
        if self.has_driver:
            return ""
        if self.version is None:
            return f"the kernel release {self.release!r} of {RELEASE_FILE} has no version that is known"
        if self.version < FIRST_VERSION:
            return f"kernel {self.release} is older than 4.12, the first one with vfio_ccw; install a newer kernel"
        if self.missing_options:
            return (
                f"kernel {self.release} was built without {', '.join(self.missing_options)} (read in "
                f"{self.config_source}); install a kernel that has them, and boot it"
            )
        if self.missing_modules:
            tree = f"/lib/modules/{self.release}"
            has = f"{self.config_source} has them, but " if self.config_source else ""
            return (
                f"kernel {self.release}: {has}the module tree {tree} lacks {', '.join(self.missing_modules)}; "
                "install the package that carries them for this very release (often named -extra), or boot the kernel "
                "that is installed"
            )
        return ""


def parse_version(release: str) -> Version | None:
    match = re.match(r"(\d+)\.(\d+)", release)
    return (int(match.group(1)), int(match.group(2))) if match else None


def parse_config(text: str) -> dict[str, str]:
    """A kernel configuration: option to y, m, n (``# X is not set``) or its text."""
    values = {}
    for line in text.splitlines():
        unset = re.match(r"# (CONFIG_\w+) is not set", line)
        if unset:
            values[unset.group(1)] = "n"
            continue
        name, equals, value = line.partition("=")
        if equals and name.startswith("CONFIG_"):
            values[name] = value.strip()
    return values


def read_release(host: Host) -> str:
    return host.read(RELEASE_FILE).strip()


def read_config(host: Host, release: str) -> tuple[str, dict[str, str]]:
    """The file that the configuration came from, and the options; ("", {}) when the host keeps none."""
    try:
        return PROC_CONFIG, parse_config(gzip.decompress(host.read_bytes(PROC_CONFIG)).decode("utf-8", "replace"))
    except (HostError, OSError, EOFError):
        pass  # not built in (CONFIG_IKCONFIG_PROC): distributions keep it beside the kernel
    for path in (f"/boot/config-{release}", f"/lib/modules/{release}/config", f"/usr/lib/modules/{release}/config"):
        try:
            return path, parse_config(host.read(path))
        except HostError:
            continue
    return "", {}


def _module_name(path: str) -> str:
    base = path.rsplit("/", 1)[-1]
    return re.sub(r"\.ko(\.\w+)?$", "", base).replace("-", "_")


def read_module_tree(host: Host, release: str) -> tuple[list[str], list[str]]:
    """Names of the built-in and of the loadable modules of the running kernel."""
    tree = f"/lib/modules/{release}"
    builtin = [_module_name(line.strip()) for line in host.get(f"{tree}/modules.builtin").splitlines() if line.strip()]
    loadable = [
        _module_name(line.split(":", 1)[0]) for line in host.get(f"{tree}/modules.dep").splitlines() if ":" in line
    ]
    return builtin, loadable


def read_loaded(host: Host) -> list[str]:
    return [line.split()[0] for line in host.get("/proc/modules").splitlines() if line.split()]


def observe_kernel(host: Host) -> KernelSupport:
    """Read it all. Raises HostError when not even the kernel's release can be read."""
    release = read_release(host)
    version = parse_version(release)
    source, config = read_config(host, release)
    builtin, loadable = read_module_tree(host, release)
    loaded = read_loaded(host)
    at = version or FIRST_VERSION

    def state(name: str) -> str:
        if name in loaded:
            return "loaded"
        if name in builtin or (name == "vfio_ccw" and host.exists("/sys/bus/css/drivers/vfio_ccw")):
            return "builtin"
        return "loadable" if name in loadable else "missing"

    return KernelSupport(
        release=release,
        version=version,
        config_source=source,
        options=tuple(Option(rule.name, rule.need(at), config.get(rule.name, "")) for rule in OPTIONS),
        modules=tuple(Module(rule.name, rule.need(at), state(rule.name)) for rule in MODULES),
    )


def persistent_text(modules: list[str]) -> str:
    """What systemd-modules-load reads at boot."""
    lines = ["# Kernel modules for channel I/O passthrough, in loading order. Kept by zkvm.vfio_ccw.kernel_support."]
    return "\n".join(lines + modules) + "\n"


def load_module(host: Host, name: str) -> None:
    """modprobe, read back. Raises HostError."""
    code, out, err = host.run(["modprobe", name])
    if code != 0:
        raise HostError("load module", name, 0, text=(err or out).strip() or f"modprobe ended with {code}")
    if name not in read_loaded(host):
        raise HostError(
            "load module", name, 0, text="modprobe reported success, but /proc/modules does not list the module"
        )

# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a host to where it can pass devices through: modules loaded, now and at boot, and tools that are there."""

from __future__ import annotations

from typing import Any, Sequence

from .._host import Host, HostError
from .._sysfs import TOOLS
from ..host._kernel import PERSISTENT_FILE, KernelSupport, load_module, observe_kernel, persistent_text

VFIO_CCW_DRIVER = "/sys/bus/css/drivers/vfio_ccw"
DRIVER_TIMEOUT = 5.0


class KernelError(Exception):
    """The kernel cannot do it; the text says what it lacks."""

    def __init__(self, message: str, support: KernelSupport | None = None) -> None:
        super().__init__(message)
        self.support = support


def converge_kernel(host: Host, persistent: bool, check_mode: bool, needed_tools: Sequence[str] = ()) -> dict[str, Any]:
    """The module's result. Raises KernelError, HostError."""
    support = observe_kernel(host)
    lack = support.lack()
    if lack:
        raise KernelError(f"This kernel cannot pass channel devices through: {lack}.", support)
    tools = {name: host.has_command(name) for name in TOOLS}
    missing = [name for name in needed_tools if not tools[name]]
    if missing:
        raise KernelError(
            f"{' and '.join(missing)} {'are' if len(missing) > 1 else 'is'} not installed, and devices that are to be "
            f"persistent need {' and '.join(TOOLS)}. Install the package {' and the package '.join(missing)} (the role "
            "kvm_host does with kvm_host_install_packages: true), or do without persistent. Nothing was changed.",
            support,
        )
    wanted = persistent_text(support.kept) if persistent and support.kept else ""
    kept = host.read(PERSISTENT_FILE) if host.exists(PERSISTENT_FILE) else ""
    save = bool(wanted) and kept != wanted
    actions = [
        _action("load-module", f"load kernel module {name}", f"/sys/module/{name}", name) for name in support.to_load
    ]
    if save:
        actions.append(_action("keep-modules", "load the modules at boot", PERSISTENT_FILE, " ".join(support.kept)))
    if not check_mode:
        _load(host, support)
        if save:
            host.save(PERSISTENT_FILE, wanted)
    return {
        "changed": bool(actions),
        "warnings_": [support.doubt()] if support.doubt() else [],
        "actions": actions,
        "diff": {
            "before": _text(support, after=False) + kept,
            "after": _text(support, after=True) + (wanted or kept),
            "before_header": "kernel modules",
            "after_header": "kernel modules",
        },
        "tools": tools,
        **report(support if check_mode or not actions else observe_kernel(host)),
    }


def _load(host: Host, support: KernelSupport) -> None:
    for name in support.to_load:
        try:
            load_module(host, name)
        except HostError as exc:
            raise KernelError(
                f"kernel {support.release}: {exc}. dmesg says more; loaded before it: "
                f"{', '.join(support.to_load[: support.to_load.index(name)]) or 'none'}.",
                support,
            ) from exc
    if not host.wait_for(lambda: host.exists(VFIO_CCW_DRIVER), DRIVER_TIMEOUT):
        raise KernelError(
            f"kernel {support.release}: module vfio_ccw is loaded, but {VFIO_CCW_DRIVER} is not there. This is no "
            "s390x system with a channel subsystem, or its /sys is hidden.",
            support,
        )


def _action(step: str, description: str, path: str, value: str) -> dict[str, str]:
    return {"device": "", "step": step, "description": description, "path": path, "value": value}


def _text(support: KernelSupport, after: bool) -> str:
    lines = []
    for module in support.modules:
        if module.needed:
            state = "loaded" if after and module.state == "loadable" else module.state
            lines.append(f"module {module.name}: {state}\n")
    return "".join(lines)


def report(support: KernelSupport) -> dict[str, Any]:
    """What the kernel has, for a return value."""
    return {
        "kernel": support.release,
        "config_source": support.config_source,
        "config": {
            option.name: {"needed": option.needed, "value": option.value or "absent"} for option in support.options
        },
        "modules": {module.name: module.state for module in support.modules if module.needed},
    }

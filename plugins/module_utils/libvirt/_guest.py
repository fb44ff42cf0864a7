# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that libvirt runs: its definition, started and stopped."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._host import Host
from ..qemu._command import options
from ..qemu._guest import BadGuest, Hypervisor, Shutdown, hypervisor, parse_guest
from ..refusals._rows_guest import look
from ..refusals._rows_libvirt import LibvirtCase
from ..refusals._table import LIBVIRT_ROWS, Refusal, Refused, check_guest
from ._definition import TYPES, LibvirtGuest, definition, with_hostdevs
from ._domain import boot_orders, hostdevs, taken
from ._live import Running
from ._plan import ATTACH, LIVE, Change
from ._plan import after as devices_after
from ._versions import LibvirtVersion
from ._virsh import STDIN, DomainInfo, LibvirtError, Virsh, said
from ._xml import dump, fit, same, without_secrets

_ENVIRONMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_AMBIGUOUS = re.compile(r"\d+|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class SeenDomain:
    """A domain as libvirt has it. ``config``: its definition, ``live``: as it runs."""

    info: DomainInfo | None = None
    config: ET.Element | None = None
    live: ET.Element | None = None

    @property
    def active(self) -> bool:
        return self.info is not None and self.info.active


def ambiguous(name: str) -> bool:
    """Whether virsh takes the name for a domain's id or UUID."""
    return bool(_AMBIGUOUS.fullmatch(name))


def see_domain(virsh: Virsh, name: str) -> SeenDomain:
    """Raises LibvirtError."""
    info = virsh.info(name)
    if info is None:
        return SeenDomain()
    config = virsh.domain(name, inactive=True) if info.persistent else None
    return SeenDomain(info, config, virsh.domain(name, inactive=False) if info.active else None)


def parse_libvirt_guest(
    params: Mapping[str, Any], accel: str, libvirt: LibvirtVersion, there: Hypervisor
) -> LibvirtGuest:
    """From the module's parameters. Raises GuestError that lists everything wrong."""
    environment = {str(name): str(value) for name, value in (params.get("environment") or {}).items()}
    guest = parse_guest({**params, "binary": params.get("emulator") or ""}, accel, there)
    made = LibvirtGuest(
        guest, libvirt, environment, params.get("autostart"), params.get("console"), params.get("live", True)
    )
    wrong = [*_unfit_names(made), *_unfit_texts(made)]
    if wrong:
        raise BadGuest(f"guest {guest.name}: " + "; ".join(wrong) + ". Nothing was changed.")
    return made


def _unfit_names(made: LibvirtGuest) -> Iterator[str]:
    guest = made.guest
    if ambiguous(guest.name):
        yield f"name {guest.name!r}: virsh takes it for a domain's id or UUID; give it a letter"
    for what, path in (("emulator", guest.binary), ("console", made.console or "")):
        if path and not path.startswith("/"):
            yield f"{what} {path!r}: expected a whole path"
    for name in made.environment:
        if not _ENVIRONMENT.fullmatch(name):
            yield f"environment {name!r}: expected letters, digits and underscores"
    for option, text in options(["", *guest.extra]):
        if option == "-net" or (option == "-nic" and text != "none"):
            yield (
                f"extra_args {option} {text}: QEMU gives the card the number that libvirt gives its own memory "
                "balloon; write -netdev ID and -device virtio-net-ccw,netdev=ID,devno=fe.0.DDDD"
            )


def _unfit_texts(made: LibvirtGuest) -> Iterator[str]:
    texts = [("emulator", made.guest.binary), ("console", made.console or "")]
    texts += [("extra_args", word) for word in made.guest.extra]
    texts += [("environment", value) for value in made.environment.values()]
    for what, text in texts:
        if not fit(text):
            yield f"{what} {text!r}: XML carries no control characters"


def domain_hypervisor(host: Host, virsh: Virsh, emulator: str, accel: str, given: str = "") -> Hypervisor:
    """What runs a domain: its emulator, or the one that libvirt takes by itself. Raises GuestError, LibvirtError."""
    if not emulator and not given:
        asked = ("domcapabilities", "--arch", "s390x", "--virttype", TYPES[accel])
        emulator = virsh.xml("domainCapabilities", *asked).findtext("path", "")
    return hypervisor(host, emulator, given)


@dataclass(frozen=True)
class Todo:
    """What leads to the wanted state. ``new``: the definition that is to be, None where there is to be none.

    ``attach``: what the running guest gets.
    """

    new: ET.Element | None = None
    define: bool = False
    attach: tuple[Change, ...] = ()
    autostart: bool = False
    start: bool = False
    stop: bool = False
    undefine: bool = False


def plan(wanted: LibvirtGuest, seen: SeenDomain, state: str) -> Todo:
    """``state``: present, started, stopped, absent."""
    if state not in ("present", "started"):
        persistent = seen.info is not None and seen.info.persistent
        return Todo(stop=seen.active, undefine=state == "absent" and persistent)
    new = definition(wanted, seen.config)
    return Todo(
        new=new,
        define=not same(new, seen.config),
        attach=_comes(wanted, seen.live) if wanted.live and seen.live is not None else (),
        autostart=wanted.autostart not in (None, seen.info.autostart if seen.info else False),
        start=state == "started" and not seen.active,
    )


def _comes(wanted: LibvirtGuest, live: ET.Element) -> tuple[Change, ...]:
    """Devices that the running guest has not yet. A boot order, or a number that is taken, waits for its next start."""
    there, numbers = {one.uuid for one in hostdevs(live)}, {number for number, _who in taken(live)}
    return tuple(
        Change(ATTACH, LIVE, one)
        for one in wanted.hostdevs
        if one.uuid not in there and one.boot is None and one.devno not in numbers
    )


def converge_libvirt_guest(
    host: Host, virsh: Virsh, wanted: LibvirtGuest, state: str, shutdown: Shutdown, check_mode: bool
) -> dict[str, Any]:
    """The module's result. ``state``: present, started, stopped, absent.

    Raises Refused before anything is changed, LibvirtError.
    """
    seen = see_domain(virsh, wanted.guest.name)
    todo = plan(wanted, seen, state)
    if todo.new is not None:
        _check(host, wanted, todo.new, todo, check_mode)
    if not check_mode:
        todo = _do(host, virsh, wanted, todo, shutdown)
    return _result(wanted, seen, todo, state)


def _do(host: Host, virsh: Virsh, wanted: LibvirtGuest, todo: Todo, shutdown: Shutdown) -> Todo:
    """What was done, with the definition as libvirt has it."""
    name = wanted.guest.name
    with Running(host, virsh, name, shutdown.timeout).changed(todo.attach):
        if todo.define:
            virsh.run("define", STDIN, xml=todo.new)
    if todo.define:
        todo = replace(todo, new=virsh.domain(name, inactive=True))
    if todo.autostart:
        virsh.run("autostart", "--domain", name, *([] if wanted.autostart else ["--disable"]))
    if todo.start:
        _start(virsh, name)
    if todo.stop:
        stop_domain(host, virsh, name, shutdown)
    if todo.undefine:
        virsh.run("undefine", "--domain", name)
    return todo


def _result(wanted: LibvirtGuest, seen: SeenDomain, todo: Todo, state: str) -> dict[str, Any]:
    name, ran = wanted.guest.name, seen.active
    runs = (ran or todo.start) and not todo.stop
    outdated = todo.new is not None and seen.live is not None and _outdated(wanted, seen.live, todo.attach)
    warning = f"guest {name} runs with another definition than it has now; restart it to use that one"
    after = todo.new if todo.new is not None else (None if state == "absent" else seen.config)
    actions = _actions(wanted, todo)
    return {
        "changed": bool(actions),
        "actions": actions,
        "name": name,
        "running": runs,
        "was_running": ran,
        "restart_required": outdated,
        "xml": "" if after is None else dump(without_secrets(after)),
        "uuid": "" if after is None else after.findtext("uuid", ""),
        "console": console_log(after),
        "diff": [*xml_diff(name, seen.config, after), _running_diff(name, ran, runs)],
        "warnings_": [warning] if outdated else [],
    }


def _outdated(wanted: LibvirtGuest, live: ET.Element, attached: tuple[Change, ...]) -> bool:
    """Whether the guest runs with another definition, once it has got what it can get while it runs."""
    runs = with_hostdevs(live, devices_after(hostdevs(live), attached))
    return not same(definition(wanted, runs), runs)


def console_log(domain: ET.Element | None) -> str:
    """Where libvirt writes the console, "" where it does not."""
    log = None if domain is None else domain.find("devices/console/log")
    return "" if log is None else log.get("file", "")


def xml_diff(name: str, before: ET.Element | None, after: ET.Element | None) -> list[dict[str, str]]:
    header = f"definition of domain {name}"
    texts = ["" if tree is None else dump(without_secrets(tree)) for tree in (before, after)]
    return [{"before_header": header, "after_header": header, "before": texts[0], "after": texts[1]}]


def _running_diff(name: str, ran: bool, runs: bool) -> dict[str, str]:
    state = {True: "running\n", False: "not running\n"}
    header = f"guest {name}"
    return {"before_header": header, "after_header": header, "before": state[ran], "after": state[runs]}


def _actions(wanted: LibvirtGuest, todo: Todo) -> list[dict[str, str]]:
    name = wanted.guest.name
    rows = (
        *((True, f"{one.what}-{one.where}", one.text) for one in todo.attach),
        (todo.define, "define", f"define guest {name}"),
        (todo.autostart, "autostart", f"{'start' if wanted.autostart else 'do not start'} guest {name} with the host"),
        (todo.start, "start", f"start guest {name}"),
        (todo.stop, "stop", f"stop guest {name}"),
        (todo.undefine, "undefine", f"undefine guest {name}"),
    )
    return [
        {"device": "", "step": step, "description": text, "path": name, "value": ""}
        for needed, step, text in rows
        if needed
    ]


def _check(host: Host, wanted: LibvirtGuest, new: ET.Element, todo: Todo, check_mode: bool) -> None:
    """Raises Refused with everything that libvirt or QEMU would fail on, or silently leave out."""
    numbers, orders = list(taken(new)), list(boot_orders(new))
    attached = {change.hostdev.uuid for change in todo.attach}
    refusals: list[Refusal] = []
    for hostdev in wanted.hostdevs:
        case = LibvirtCase(
            uuid=hostdev.uuid,
            mdev=look(host, hostdev.uuid),
            opens=todo.start or hostdev.uuid in attached,
            planned=check_mode,
            domain=wanted.guest.name,
            wanted=hostdev,
            taken={number: who for number, who in numbers if who != hostdev.uuid},
            orders={order: who for order, who in orders if who != hostdev.uuid},
            libvirt=wanted.libvirt,
            qemu=wanted.guest.qemu,
        )
        refusals += check_guest(LIBVIRT_ROWS, case, f"guest {wanted.guest.name}")
    if refusals:
        raise Refused(refusals)


def _start(virsh: Virsh, name: str) -> None:
    virsh.run("start", "--domain", name)
    info = virsh.info(name)
    if info is None or not info.active:
        raise LibvirtError(
            f"virsh start reported success, but domain {name} does not run. Its log is {name}.log in "
            "/var/log/libvirt/qemu"
        )


def stop_domain(host: Host, virsh: Virsh, name: str, shutdown: Shutdown) -> None:
    """Raises LibvirtError where it still runs after the time that it is given."""

    def gone() -> bool:
        info = virsh.info(name)
        return info is None or not info.active

    told = ["shutdown" if shutdown.how == "powerdown" else "destroy", "--domain", name]
    code, _out, err = virsh.try_run(*told)
    if code != 0 and not gone():  # it may have ended by itself
        raise LibvirtError(f"virsh {' '.join(told)}: {said(err)}")
    if not host.wait_for(gone, shutdown.timeout):
        raise LibvirtError(
            f"guest {name} still runs {shutdown.timeout:g} s after being told to end. Log in and see what keeps it, or "
            "wait longer (timeout); a guest that is still starting, or that has no system, does not listen. "
            "shutdown: terminate ends it at once, as pulling its plug"
        )

# SPDX-License-Identifier: GPL-2.0-or-later
"""Saving a quick guest and taking one over: which channel devices and subsystems there were, checked as QEMU does.

Source: QEMU's migration/savevm.c, hw/s390x/css.c (vmstate_css) and css-bridge.c (virtual_css_bus_get_dev_path); QEMU
7.2 was asked for the order and the texts. What runs in the guest is not carried over: the new one boots.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from ccwemu.guest.devices import CcwId
from ccwemu.guest.plan import Plan
from ccwemu.guest.qemuopts import QemuError

FAILED = "load of migration failed: Invalid argument"
CSS_MISMATCH = (
    "vmstate: get_nullptr expected VMS_NULLPTR_MARKER",
    "Failed to load s390_css:css",
    "error while loading state for instance 0x0 of device 's390_css'",
)
_MAGIC = "ccwemu quick guest"
_SECTIONS = {"console": "virtio-console", "vsock": "vhost-vsock"}


@dataclass(frozen=True)
class Saved:
    """``css``: the channel subsystems; ``sections``: the devices, in the order in which they came into being."""

    machine: str
    css: frozenset[int]
    sections: tuple[str, ...]

    def dump(self) -> bytes:
        values = {"format": _MAGIC, "machine": self.machine, "css": sorted(self.css), "sections": self.sections}
        return json.dumps(values).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Saved:
        """Raises QemuError for anything but what ``dump`` makes."""
        try:
            values = json.loads(data)
            if values["format"] != _MAGIC:
                raise ValueError
            return cls(str(values["machine"]), frozenset(values["css"]), tuple(values["sections"]))
        except (ValueError, KeyError, TypeError):
            raise QemuError(FAILED, before=("Not a migration stream",)) from None


def section(plan: Plan, number: CcwId) -> str:
    """A device's name in a saved guest."""
    kind = dict(plan.numbered())[number].model.kind
    name = "vfio-ccw" if kind is None else _SECTIONS.get(kind, f"virtio-{kind}")
    return f"/{number.cssid:02x}.{number.ssid:x}.{number.devno:04x}/{name}"


def state(plan: Plan) -> Saved:
    """Of a guest of that plan. A channel subsystem stays when its last device has been unplugged."""
    kind = plan.line.machine.get("type", "s390-ccw-virtio")
    machine = plan.line.release.machine if kind == "s390-ccw-virtio" else kind
    numbers = plan.numbered()
    return Saved(
        machine,
        frozenset([plan.line.default_cssid, *(number.cssid for number, _device in numbers)]),
        tuple(section(plan, number) for number, device in numbers if not device.passed_through),
    )


def blocked(plan: Plan, held: list[CcwId]) -> str:
    """Why it cannot be saved or taken over while it holds these devices; "" when it can."""
    return f"State blocked by non-migratable device '{section(plan, held[0])}'" if held else ""


def check(saved: Saved, plan: Plan) -> None:
    """Whether a guest of that plan can go on from there. Raises QemuError."""
    own = state(plan)
    held = [number for number, device in plan.numbered() if device.passed_through]
    if held:
        raise QemuError(FAILED, before=(blocked(plan, held),))
    if saved.machine != own.machine:
        text = f"Machine type received is '{saved.machine}' and local is '{own.machine}'"
        raise QemuError(FAILED, before=(text,))
    if saved.css != own.css:
        raise QemuError(FAILED, before=CSS_MISMATCH)
    for name in saved.sections:
        if name not in own.sections:
            raise QemuError(FAILED, before=(plan.line.release.unknown_section(name),))


# -- the way of the bytes ---------------------------------------------------------------------------------------------


def check_uri(uri: str, where: str) -> None:
    """Raises QemuError for what is not offered."""
    if uri.partition(":")[0] not in ("exec", "unix", "tcp"):
        raise QemuError(f"unknown migration protocol: {uri}", where)


def send(data: bytes, uri: str) -> None:
    """To ``exec:COMMAND`` (as QEMU: by /bin/sh), ``unix:PATH`` or ``tcp:HOST:PORT``. Raises OSError."""
    kind, _colon, rest = uri.partition(":")
    if kind == "exec":
        done = subprocess.run(["/bin/sh", "-c", rest], input=data, check=False)
        if done.returncode:
            raise OSError(f"the command ended with {done.returncode}")
        return
    with _connected(kind, rest) as connection:
        connection.sendall(data)


def receive(uri: str) -> bytes:
    """From there; waits for it. Raises QemuError."""
    kind, _colon, rest = uri.partition(":")
    if kind == "exec":
        return subprocess.run(["/bin/sh", "-c", rest], stdout=subprocess.PIPE, check=False).stdout
    try:
        with _listening(kind, rest) as listener:
            connection, _address = listener.accept()
            with connection, connection.makefile("rb") as stream:
                return stream.read()
    except OSError as error:
        raise QemuError(f"{uri}: {error.strerror}", f"-incoming {uri}") from None


def _socket(kind: str) -> socket.socket:
    return socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET, socket.SOCK_STREAM)


def _address(kind: str, rest: str) -> str | tuple[str, int]:
    if kind == "unix":
        return rest
    host, _colon, port = rest.partition(":")
    if not port.isdecimal():
        raise OSError(0, "expected tcp:HOST:PORT")
    return host, int(port)


@contextlib.contextmanager
def _connected(kind: str, rest: str) -> Iterator[socket.socket]:
    with _socket(kind) as connection:
        connection.connect(_address(kind, rest))
        yield connection


@contextlib.contextmanager
def _listening(kind: str, rest: str) -> Iterator[socket.socket]:
    with _socket(kind) as listener:
        if kind == "unix":
            with contextlib.suppress(FileNotFoundError):
                os.unlink(rest)
        listener.bind(_address(kind, rest))
        listener.listen(1)
        yield listener

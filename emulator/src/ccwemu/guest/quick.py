# SPDX-License-Identifier: GPL-2.0-or-later
"""The quick guest: opens what is passed to it, boots a model of Linux over it, and shows it in a node of its own.

Everything of the guest lives in the process that was started as qemu-system-s390x, and ends with it.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ccwemu.faces.procfs import HIDDEN
from ccwemu.faces.serve import Faces
from ccwemu.guest.claim import GUESTS, Claim
from ccwemu.guest.passthrough import GuestIo, GuestStorage, PassedThrough
from ccwemu.guest.plan import Plan
from ccwemu.guest.qemuopts import QemuError
from ccwemu.guest.service import Service
from ccwemu.guest.spec import machine_spec, subchannel_ids
from ccwemu.machine.host import Machine
from ccwemu.machine.spec import MachineSpec, VirtioSpec
from ccwemu.machine.tree import Attribute
from ccwemu.namespace import root as node_root
from ccwemu.namespace import unshare as sys_
from ccwemu.namespace.launch import Namespace, NamespaceError, NodeSpec, launch
from ccwemu.namespace.unshare import become_subreaper, choose_id_map
from ccwemu.tools._host import Connection, HostError

log = logging.getLogger(__name__)


class QuickGuest:
    """A guest, from the opening of its devices to their release."""

    def __init__(self, plan: Plan, ended: Callable[[str], None], guests: str = GUESTS) -> None:
        """``ended(reason)`` is called when the guest cannot go on (its host has ended)."""
        self.plan = plan
        self.name = plan.line.name or "guest"
        self._ended = ended
        self._base = os.path.join(guests, self.name)
        self._io = GuestIo()
        self._devices: list[PassedThrough] = []
        self._machine: Machine | None = None
        self._faces: Faces | None = None
        self._node: Namespace | None = None
        self._service: Service | None = None
        self._registration: Connection | None = None
        self._claim: Claim | None = None
        self._spec: MachineSpec | None = None
        self._guard = threading.RLock()

    # -- start ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Boot. Raises QemuError; what was opened until then is released again."""
        try:
            self._claim = Claim(self.name, self._base)
            become_subreaper()  # to learn how the guest's init ends
            _see_true_processes()
            self._spec = self._open_devices()
            self._bring_up(self._spec)
            for device in self._devices:
                self._connect(device)
        except BaseException:
            self.stop()
            raise

    def _bring_up(self, spec: MachineSpec) -> None:
        self._boot(spec)
        self._show(spec)
        self._register()
        assert self._node is not None
        threading.Thread(target=self._watch, args=(self._node,), name="watch", daemon=True).start()

    def _watch(self, node: Namespace) -> None:
        """Wait for the end of the guest's init: reboot(2) starts the guest again, power off ends QEMU."""
        poll = select.poll()
        poll.register(node.pidfd, select.POLLIN)
        poll.poll()
        if self._node is not node:
            return
        try:
            _pid, status = os.waitpid(node.pid, 0)
        except ChildProcessError:
            status = 0
        # pid_namespaces(7): reboot(2) ends the init of a pid namespace by SIGHUP (restart) or SIGINT (power off).
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGHUP:
            self._reboot()
        else:
            self._ended("quit")

    def _reboot(self) -> None:
        """Down and up again over the same open devices."""
        try:
            with self._guard:
                self._take_down()
                if self._spec is not None:
                    self._bring_up(self._spec_now(self._spec))
        except Exception:
            log.exception("guest %s: rebooting failed", self.name)
            self._ended(f"guest {self.name}: rebooting failed, see {self._base}/guest.log")

    def _spec_now(self, spec: MachineSpec) -> MachineSpec:
        """What the guest finds when it starts again: devices may have left it, and paths changed."""
        subchannels = []
        for sch in spec.subchannels:
            device = self._io.devices.get(sch.busid)
            if device is not None and device.channel is not None:
                subchannels.append(replace(sch, pam=device.channel.pam()))
            elif isinstance(sch.device, VirtioSpec):
                subchannels.append(sch)
        return replace(spec, subchannels=tuple(subchannels))

    def _open_devices(self) -> MachineSpec:
        storage = GuestStorage(self.plan.line.memory)
        described = {}
        for number, device in self.plan.numbered():
            if device.passed_through:
                opened = PassedThrough(device, number, self.plan.hosts[number])
                self._devices.append(opened)
                opened.open(self.name, storage)
                described[number] = opened.description
        spec = machine_spec(self.plan, described)
        subchannels = subchannel_ids(spec)
        for opened in self._devices:
            if opened.number.cssid == self.plan.line.default_cssid:
                self._io.devices[subchannels[opened.number.busid]] = opened
        return spec

    def _boot(self, spec: MachineSpec) -> None:
        self._machine = Machine(spec, self._io)
        self._machine.set_open_counter(self._mounts_of)
        self._machine.boot()
        self._machine.settle()
        if self.plan.line.console is not None:
            with open(self.plan.line.console, "a", encoding="utf-8") as console:
                console.write(self._machine.dmesg.text() + f"\n{self.name} login: ")

    def _mounts_of(self, name: str) -> int:
        """How many mounts of the guest's node have a disk or partition as their source.

        A FUSE mount is not counted: the process that serves it has the device open.
        """
        node, source = self._node, f"/dev/{name}"
        if node is None:
            return 0
        try:
            with open(f"/proc/{node.pid}/mountinfo", encoding="utf-8", errors="replace") as lines:
                mounts = [line.partition(" - ")[2].split(" ") for line in lines]
        except OSError:
            return 0
        return sum(mount[1:2] == [source] and not mount[0].startswith("fuse") for mount in mounts)

    def _show(self, spec: MachineSpec) -> None:
        """The node: its root file system, its namespaces, its faces."""
        assert self._machine is not None
        ids = choose_id_map()
        try:
            root, binds = node_root.prepare(self._base, hostname=self.name, owner=ids.outside)
            self._machine.modules.write_tree(Path(node_root.modules_directory(root)) / spec.kernel)
            _write(f"{root}/boot/config-{spec.kernel}", self._machine.modules.config_text())
            self._service = Service(f"{root}{node_root.RUN_DIR}/host.sock", self._operations())
            self._faces = Faces(self._machine, self.name)
            self._node = launch(NodeSpec(self.name, root, binds), self._faces.serve, ids)
            self._show_sysfs_mount(self._machine, self._node.pid)
        except (OSError, NamespaceError) as error:
            raise QemuError(f"guest {self.name}: {error}") from None

    def _show_sysfs_mount(self, machine: Machine, pid: int) -> None:
        """See that /proc/mounts has a line of type sysfs, which chccwdev looks for.

        In a node within a node the kernel refuses a new sysfs mount, and a bind of the host's brings only what lies
        over it.
        """

        def mounts() -> str:
            with open(f"/proc/{pid}/mounts", encoding="utf-8", errors="replace") as file:
                return file.read()

        if not any(line.split()[2:3] == ["sysfs"] for line in mounts().splitlines()):
            line = "sysfs /sys sysfs rw,nosuid,nodev,noexec,relatime 0 0\n"
            machine.proc.add(Attribute("mounts", 0o444, lambda: line + mounts(), st_size=0))

    def _register(self) -> None:
        """Tell the host's lab that the guest is up, with a descriptor of its init: Ansible enters through that."""
        assert self._node is not None
        try:
            self._registration = Connection()
            question = {"op": "guest-up", "name": self.name, "pid": self._node.pid}
            self._registration.ask(question, (self._node.pidfd,))
        except (OSError, HostError) as error:
            raise QemuError(f"guest {self.name}: the emulated host does not take it: {error}") from None

    # -- while it runs --------------------------------------------------------------------------------------------

    def _connect(self, device: PassedThrough) -> None:
        """Serve the device's interrupts that are not the end of a program."""
        busid = next((busid for busid, other in self._io.devices.items() if other is device), None)
        if device.channel is not None and busid is not None:
            device.channel.on_reports(lambda pam: self._paths_changed(busid, pam))
        if device.channel is not None and self.plan.line.release.lets_devices_go:
            device.channel.on_request(lambda: self._unplug(device, busid))
        device.listen(lambda: self._ended("the emulated host has ended"))

    def _paths_changed(self, busid: str, pam: int) -> None:
        if self._machine is not None:
            self._machine.set_paths(busid, pam)

    def _unplug(self, device: PassedThrough, busid: str | None) -> None:
        """The host wants the device back: it leaves the guest as if it were pulled, then is closed."""
        log.info("%s: the host asks for it: unplugged", device.number)
        if self._machine is not None and busid is not None:
            self._machine.unplug(busid)
            self._machine.settle()
            self._io.devices.pop(busid, None)
        device.close()
        if device in self._devices:
            self._devices.remove(device)

    def held(self) -> list[PassedThrough]:
        """The passed-through devices that have not left it."""
        return list(self._devices)

    def unplug(self, device: PassedThrough) -> None:
        """Take a device away from the running guest (device_del)."""
        self._unplug(device, next((busid for busid, other in self._io.devices.items() if other is device), None))

    def freeze(self) -> None:
        """The guest runs no more, QEMU stays: it has been saved."""
        with self._guard:
            self._take_down()

    def statistics(self) -> dict[str, dict[str, int]]:
        """Device number in the guest → what went through its vfio-ccw regions."""
        return {
            device.number.busid: vars(device.channel.statistics)
            for device in self._devices
            if device.channel is not None
        }

    def _operations(self) -> dict[str, Callable[[dict[str, Any]], dict[str, Any]]]:
        assert self._machine is not None
        machine = self._machine

        def modprobe(message: dict[str, Any]) -> dict[str, Any]:
            words = [str(word) for word in message["args"]]
            if words[:1] == ["-r"]:
                for name in words[1:]:
                    machine.modules.unload(name)
            else:
                machine.modules.load(words[0], words[1:])
            return {}

        def reboot(message: dict[str, Any]) -> dict[str, Any]:
            threading.Thread(target=self._reboot, name="reboot", daemon=True).start()
            return {}

        return {
            "modprobe": modprobe,
            "reboot": reboot,
            "dmesg": lambda message: {"text": machine.dmesg.text()},
            "statistics": lambda message: {"devices": self.statistics()},
        }

    # -- end ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End the guest's processes, then give its devices back. Safe to call at any stage, and again."""
        with self._guard:
            self._take_down()
            while self._devices:
                self._devices.pop().close()
            if self._claim is not None:
                self._claim.release()

    def _take_down(self) -> None:
        """What a boot has brought up."""
        node, self._node = self._node, None
        if node is not None:
            node.stop()
        registration, self._registration = self._registration, None
        if registration is not None:
            registration.close()
        service, self._service = self._service, None
        if service is not None:
            service.close()
        faces, self._faces = self._faces, None
        if faces is not None:
            faces.close()
        machine, self._machine = self._machine, None
        if machine is not None:
            machine.shutdown()


def _see_true_processes() -> None:
    """Have the true procfs at /proc, in a mount namespace of this thread and those that it starts.

    Who makes a node writes id maps at /proc/self below another root, where the links of a host's /proc lead nowhere.
    """
    if os.path.isdir(HIDDEN):
        sys_.unshare(sys_.CLONE_NEWNS)
        sys_.mount("none", "/", None, sys_.MS_REC | sys_.MS_PRIVATE)
        sys_.mount(HIDDEN, "/proc", None, sys_.MS_BIND | sys_.MS_REC)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
